//! What each cache rule is told of each shape of calls, and what its usage means: transcripts in
//! `testdata/transcripts/caches`.

use std::path::Path;

use lacon_llm::{
    Client, Cut, Message, Protocol, Request, Reuse, Tags, ToolCall, ToolSpec, Usage, ignore_events,
};
use serde_json::{Value, json};

use crate::server::{Server, answer};

fn transcript(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/transcripts/caches");
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

fn protocol(name: &str) -> Protocol {
    [Protocol::Chat, Protocol::Responses, Protocol::Messages].into_iter().find(|p| p.name() == name).unwrap()
}

fn request(model: &str, reuse: Reuse) -> Request {
    let messages = vec![
        Message::system("Rules."),
        Message::user("Shared report.\n\nMore of it."),
        Message::user("Own question."),
    ];
    let tags = Tags { run: "a run".into(), ..Tags::default() };
    Request { messages, reuse, tags, ..Request::new(model) }
}

async fn sent(protocol: Protocol, request: &Request) -> Value {
    let server = Server::start([answer(400, "", "{}")]).await;
    server.provider_of(protocol, |_| ()).complete(request, &ignore_events).await.unwrap_err();
    server.received()[0].json()
}

fn cuts() -> Vec<Cut> {
    vec![Cut { message: 1, byte: 16 }, Cut::end_of(1)]
}

async fn check(file: &str) {
    let transcript = transcript(file);
    let protocol = protocol(transcript["protocol"].as_str().unwrap());
    let model = transcript["model"].as_str().unwrap();
    let rule = lacon_models::cache_of(&lacon_models::plain_name(model)).map(|row| row.rule.as_str());
    assert_eq!(rule, transcript["rule"].as_str());
    for (name, reuse) in [
        ("siblings", Reuse::Siblings(cuts())),
        ("grows", Reuse::Grows(cuts())),
        ("alone", Reuse::Alone),
        ("unknown", Reuse::Unknown),
    ] {
        let max_tokens = (protocol == Protocol::Messages).then_some(9);
        let mut body = sent(protocol, &Request { max_tokens, ..request(model, reuse) }).await;
        // Whether it streams is another matter, and the key is a digest of the run.
        body["stream"] = json!(false);
        body.as_object_mut().unwrap().remove("stream_options");
        if let Some(key) = body.get_mut("prompt_cache_key") {
            assert!(key.as_str().unwrap().starts_with("lacon-"));
            *key = json!("lacon-…");
        }
        assert_eq!(body, transcript["shapes"][name], "{file} {name}");
    }
    let whole = transcript["answer"].to_string();
    let head = "content-type: application/json\r\n";
    let server = Server::start([answer(200, head, &whole)]).await;
    let provider = server.provider_of(protocol, |options| options.stream = false);
    let max_tokens = Some(9);
    let response =
        provider.complete(&Request { max_tokens, ..request(model, Reuse::Alone) }, &ignore_events).await;
    let buckets: Usage = serde_json::from_value(transcript["buckets"].clone()).unwrap();
    assert_eq!(response.unwrap().usage, Some(buckets), "{file}");
}

#[tokio::test]
async fn every_rule_is_told_the_shape_in_its_own_words() {
    for file in ["openai-5.6.json", "openai-5.6-responses.json", "openai-5.5.json", "anthropic.json"] {
        check(file).await;
    }
}

#[tokio::test]
async fn marks_stay_within_four_and_within_the_text() {
    let many: Vec<Cut> =
        (0..9).map(|byte| Cut { message: 1, byte }).chain([Cut::end_of(1), Cut::end_of(77)]).collect();
    let count = |body: &Value, word: &str| body.to_string().matches(word).count();
    let body = sent(Protocol::Chat, &request("gpt-5.6-sol", Reuse::Siblings(many.clone()))).await;
    assert!((1..=4).contains(&count(&body, "prompt_cache_breakpoint")), "{body}");
    let body = sent(Protocol::Chat, &request("gpt-5.6-sol", Reuse::Grows(many.clone()))).await;
    assert!((1..=3).contains(&count(&body, "prompt_cache_breakpoint")), "{body}");
    let body = sent(Protocol::Messages, &request("claude-opus-4-7", Reuse::Grows(many))).await;
    assert!((1..=4).contains(&count(&body, "cache_control")), "{body}");
    // The text is the same whatever is marked.
    let parts = body["messages"][0]["content"].as_array().unwrap().clone();
    let text: String = parts.iter().map(|part| part["text"].as_str().unwrap()).collect();
    assert_eq!(text, "Shared report.\n\nMore of it.Own question.");
}

#[tokio::test]
async fn a_conversation_with_tools_is_marked_at_its_end() {
    let call = ToolCall { id: "c1".into(), name: "price".into(), arguments: "{}".into() };
    let mut request = request("claude-opus-4-7", Reuse::Grows(Vec::new()));
    request.messages.push(Message::assistant_calls("", vec![call]));
    request.messages.push(Message::tool("c1", "price", "209.10"));
    request.tools = vec![ToolSpec::new("price", "Last price.", json!({"type": "object"}))];
    let body = sent(Protocol::Messages, &request).await;
    assert_eq!(body["messages"][2]["content"][0]["cache_control"], json!({"type": "ephemeral"}), "{body}");
    assert_eq!(body.to_string().matches("cache_control").count(), 1);
    request.model = "gpt-5.6-sol".into();
    request.reuse = Reuse::Siblings(vec![Cut::end_of(4)]);
    let body = sent(Protocol::Chat, &request).await;
    assert_eq!(body["messages"][4]["content"][0]["prompt_cache_breakpoint"], json!({"mode": "explicit"}));
}
