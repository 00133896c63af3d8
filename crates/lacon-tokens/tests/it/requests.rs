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
    let expected = "# Tools\n\n## functions\n\nnamespace functions {\n\
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
    assert_eq!((found.framing, found.total), (3 * 3 + 2 + 3, found.messages + found.framing));
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
