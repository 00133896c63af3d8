//! Whole requests: framing, tools, images.

use lacon_tokens::{
    ChatMessage, Exactness, Image, Request, count_request, for_model, image_tokens, tools_text,
};
use serde_json::json;

#[test]
fn tools_are_written_as_a_namespace() {
    let tool = json!({"type": "function", "function": {
        "name": "get_price", "description": "Daily prices.\nSource: offline.",
        "parameters": {"type": "object", "required": ["symbol"], "properties": {
            "symbol": {"type": "string", "description": "ticker"},
            "days": {"type": "integer", "default": 30},
            "kind": {"enum": ["open", "close"]},
            "tags": {"type": "array", "items": {"type": "string"}}
        }}
    }});
    let expected = "namespace functions {\n\n\
        // Daily prices.\n// Source: offline.\ntype get_price = (_: {\n// ticker\nsymbol: string,\n\
        days?: number, // default: 30\nkind?: \"open\" | \"close\",\ntags?: string[],\n}) => any;\n\n\
        } // namespace functions";
    assert_eq!(tools_text(&[tool]), expected);
}

#[test]
fn a_request_is_the_sum_of_its_parts() {
    let model = for_model("gpt-4o");
    let count = |text: &str| model.encoding.count(text);
    let calls = [("get_price", "{\"symbol\":\"AAPL\"}")];
    let messages = [
        ChatMessage { role: "system", content: "be brief", name: None, tool_calls: &[] },
        ChatMessage { role: "user", content: "AAPL?", name: Some("desk"), tool_calls: &[] },
        ChatMessage { role: "assistant", content: "", name: None, tool_calls: &calls },
    ];
    let found = count_request(&model, &Request { messages: &messages, ..Default::default() });
    let texts = ["system", "be brief", "user", "AAPL?", "desk", "assistant", calls[0].0, calls[0].1];
    assert_eq!(found.messages, texts.iter().map(|text| count(text)).sum::<usize>());
    assert_eq!((found.framing, found.total), (3 * 3 + 1 + 2 + 3, found.messages + found.framing));
    assert_eq!(found.how, Exactness::Framed);
}

#[test]
fn images_by_size() {
    let check = |width, height, low_detail, expected| {
        assert_eq!(image_tokens(&Image { width, height, low_detail }), expected, "{width}x{height}");
    };
    check(1024, 1024, false, 765);
    check(2048, 4096, false, 1105);
    check(4096, 8192, true, 85);
    check(512, 512, false, 255);
    check(1, 1, false, 255);
}

/// Prompt tokens as OpenAI's API billed them, from its cookbook ("How to count tokens with tiktoken") and from the tests of
/// hmarr/openai-chat-tokens.
#[test]
fn counts_are_those_that_were_billed() {
    let message = |role, content, name| ChatMessage { role, content, name, tool_calls: &[] };
    let jargon = [
        message(
            "system",
            "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
            None,
        ),
        message("system", "New synergies will help drive top-line growth.", Some("example_user")),
        message("system", "Things working well together will increase revenue.", Some("example_assistant")),
        message(
            "system",
            "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
            Some("example_user"),
        ),
        message(
            "system",
            "Let's talk later when we're less busy about how to do better.",
            Some("example_assistant"),
        ),
        message(
            "user",
            "This late pivot means we don't have time to boil the ocean for the client deliverable.",
            None,
        ),
    ];
    let weather = [
        message(
            "system",
            "You are a helpful assistant that can answer to questions about the weather.",
            None,
        ),
        message("user", "What's the weather like in San Francisco?", None),
    ];
    let tool = [json!({"type": "function", "function": {"name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {"type": "object", "required": ["location"], "properties": {
            "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
            "unit": {"type": "string", "description": "The unit of temperature to return", "enum": ["celsius", "fahrenheit"]}}}}})];
    let hello = [message("user", "hello", None)];
    let foo = [json!({"name": "foo", "parameters": {"type": "object", "properties": {}}})];
    for (model, messages, tools, billed) in [
        ("gpt-4o", &jargon[..], &[][..], 124),
        ("gpt-4-0613", &jargon, &[], 129),
        ("gpt-3.5-turbo", &jargon, &[], 129),
        ("gpt-4o", &weather, &tool, 101),
        ("gpt-4o-mini", &weather, &tool, 101),
        ("gpt-4", &weather, &tool, 105),
        ("gpt-3.5-turbo", &weather, &tool, 105),
        ("gpt-3.5-turbo", &hello, &[], 8),
        ("gpt-3.5-turbo", &hello, &foo, 31),
    ] {
        let found = count_request(&for_model(model), &Request { messages, tools, ..Default::default() });
        assert_eq!(found.total, billed, "{model} {found:?}");
    }
}
