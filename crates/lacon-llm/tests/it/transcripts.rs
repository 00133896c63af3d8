//! Every provider against its transcripts: what is sent and what is made of the answer.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use lacon_llm::{
    Client, Effort, ErrorKind, JsonSchema, Malformed, Message, Protocol, Request, StreamEvent, ToolCall,
    ToolSpec, ignore_events,
};
use serde_json::{Value, json};

use crate::server::{Server, Step, answer, chunk, stream_end, stream_head};

const CASES: [&str; 3] = ["text", "tools", "schema"];

fn folder(protocol: Protocol) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/transcripts").join(protocol.name())
}

fn model(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Chat | Protocol::Responses => "gpt-5-mini",
        Protocol::Messages => "claude-opus-4-6",
        Protocol::Gemini => "gemini-2.5-pro",
        Protocol::Ollama => "gpt-oss:20b",
    }
}

/// State that the provider wants back, as its reader would have returned it.
fn state(protocol: Protocol) -> Option<Value> {
    match protocol {
        Protocol::Chat | Protocol::Ollama => None,
        Protocol::Responses => {
            Some(json!({"reasoning_items": [{"type": "reasoning", "encrypted_content": "gAAAA"}]}))
        }
        Protocol::Messages => {
            Some(json!({"thinking": [{"type": "thinking", "thinking": "hm", "signature": "Eq"}]}))
        }
        Protocol::Gemini => {
            let call = json!({"name": "price", "args": {"ticker": "AAPL"}});
            Some(json!({"parts": [{"functionCall": call, "thoughtSignature": "Ct"}]}))
        }
    }
}

fn request(protocol: Protocol, case: &str) -> Request {
    let base = Request {
        messages: vec![Message::system("Be brief."), Message::user("AAPL?")],
        ..Request::new(model(protocol))
    };
    match case {
        "text" => Request { max_tokens: Some(300), effort: Some(Effort::Low), ..base },
        "tools" => {
            let call = |id: &str| ToolCall {
                id: id.into(),
                name: "price".into(),
                arguments: "{\"ticker\":\"AAPL\"}".into(),
            };
            let mut messages = base.messages;
            let asked = Message::assistant_calls("", vec![call("c1"), call("c2")]);
            messages.push(Message { provider_state: state(protocol), ..asked });
            messages.push(Message::tool("c1", "price", "209.10"));
            messages.push(Message::tool("c2", "price", "209.20"));
            let parameters = json!({"type": "object", "properties": {"ticker": {"type": "string"}}});
            let tools = vec![ToolSpec::new("price", "Last price of a ticker.", parameters)];
            Request { messages, tools, max_tokens: Some(300), ..Request::new(model(protocol)) }
        }
        _ => {
            let schema = json!({"type": "object", "properties": {"action": {"type": "string"}}});
            let format = JsonSchema { name: "decision".into(), schema, strict: true };
            Request { response_format: Some(format), max_tokens: Some(300), ..base }
        }
    }
}

/// Plays a case in chunks of `size` bytes; returns what was sent and what came of it.
async fn play(protocol: Protocol, case: &str, size: usize) -> (Value, Value) {
    let stream = std::fs::read(folder(protocol).join(format!("{case}.stream.txt"))).unwrap();
    let mut steps = vec![stream_head()];
    steps.extend(stream.chunks(size).map(chunk));
    steps.push(stream_end());
    let server = Server::start([steps]).await;
    let events = Mutex::new(Vec::new());
    let note = |event: StreamEvent<'_>| events.lock().unwrap().push(format!("{event:?}"));
    let response =
        server.provider_of(protocol, |_| ()).complete(&request(protocol, case), &note).await.unwrap();
    let received = &server.received()[0];
    let headers: serde_json::Map<String, Value> =
        ["authorization", "x-api-key", "x-goog-api-key", "anthropic-version"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), received.header(name)?.into())))
            .collect();
    let path = received.head.lines().next().unwrap().to_owned();
    let wire = json!({"request": path, "headers": headers, "body": received.json()});
    let answer = json!({
        "text": response.text,
        "tool_calls": response.tool_calls,
        "finish": response.finish,
        "usage": response.usage,
        "model": response.model,
        "id": response.id,
        "provider_state": response.provider_state,
        "warnings": response.warnings,
        "events": events.into_inner().unwrap(),
    });
    (wire, answer)
}

fn expected(protocol: Protocol, case: &str, what: &str) -> Value {
    let path = folder(protocol).join(format!("{case}.{what}.json"));
    serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()
}

#[tokio::test]
async fn every_provider_sends_and_reads_what_its_transcripts_say() {
    for &protocol in Protocol::ALL {
        for case in CASES {
            for size in [1 << 20, 7] {
                let (wire, answer) = play(protocol, case, size).await;
                assert_eq!(wire, expected(protocol, case, "wire"), "{protocol:?} {case}");
                assert_eq!(
                    answer,
                    expected(protocol, case, "answer"),
                    "{protocol:?} {case} in chunks of {size}"
                );
            }
        }
    }
}

#[test]
fn a_recorded_body_reads_the_same_without_a_network() {
    for &protocol in Protocol::ALL {
        for case in CASES {
            let stream = std::fs::read(folder(protocol).join(format!("{case}.stream.txt"))).unwrap();
            let response =
                protocol.read(&request(protocol, case), stream.chunks(11), &ignore_events).unwrap();
            let expected = expected(protocol, case, "answer");
            assert_eq!(json!(response.text), expected["text"]);
            assert_eq!(json!(response.tool_calls), expected["tool_calls"]);
            assert_eq!(json!(response.usage), expected["usage"]);
        }
    }
}

#[tokio::test]
#[ignore = "writes the expected files anew"]
async fn rewrite_transcripts() {
    for &protocol in Protocol::ALL {
        for case in CASES {
            let (wire, answer) = play(protocol, case, 1 << 20).await;
            for (what, value) in [("wire", wire), ("answer", answer)] {
                let path = folder(protocol).join(format!("{case}.{what}.json"));
                std::fs::write(path, serde_json::to_string_pretty(&value).unwrap() + "\n").unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_stream_cut_anywhere_is_an_error_for_every_provider() {
    for &protocol in Protocol::ALL {
        for case in CASES {
            let stream = std::fs::read(folder(protocol).join(format!("{case}.stream.txt"))).unwrap();
            let whole = String::from_utf8_lossy(&stream).trim_end().len();
            // Where the reason has come the answer is whole; before that no cut may pass.
            let reason = [
                "\"finish_reason\":\"",
                "response.completed\",",
                "\"stop_reason\":\"",
                "\"finishReason\"",
                "\"done\":true",
            ]
            .iter()
            .filter_map(|mark| String::from_utf8_lossy(&stream).rfind(mark))
            .max()
            .unwrap();
            for n in (1..8).map(|n| whole * n / 8).filter(|n| *n < reason) {
                let server = Server::start([vec![stream_head(), chunk(&stream[..n]), stream_end()]]).await;
                let provider = server.provider_of(protocol, |_| ());
                let error = provider.complete(&request(protocol, case), &ignore_events).await.unwrap_err();
                assert!(error.is_retryable(), "{protocol:?} {case} cut at {n}: {error}");
                let kinds = [Malformed::CutStream, Malformed::Json].map(ErrorKind::Malformed);
                assert!(kinds.contains(&error.kind()), "{protocol:?} {case} cut at {n}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn refusals_of_every_provider() {
    let check = async |protocol: Protocol, status: u16, body: &str, kind: ErrorKind| {
        let server = Server::start([answer(status, "", body)]).await;
        let error = server
            .provider_of(protocol, |_| ())
            .complete(&request(protocol, "text"), &ignore_events)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{protocol:?} {body}: {error}");
        assert!(!error.to_string().contains("sk-test-secret"));
    };
    let anthropic = |kind: &str| format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"no"}}}}"#);
    check(Protocol::Messages, 401, &anthropic("authentication_error"), ErrorKind::Auth).await;
    check(Protocol::Messages, 529, &anthropic("overloaded_error"), ErrorKind::Status(529)).await;
    check(Protocol::Messages, 200, &anthropic("overloaded_error"), ErrorKind::Status(503)).await;
    check(
        Protocol::Messages,
        200,
        &format!("event: error\ndata: {}\n\n", anthropic("rate_limit_error")),
        ErrorKind::RateLimited,
    )
    .await;
    let gemini = r#"{"error":{"code":429,"message":"Resource exhausted","status":"RESOURCE_EXHAUSTED"}}"#;
    check(Protocol::Gemini, 429, gemini, ErrorKind::RateLimited).await;
    check(Protocol::Gemini, 429, &format!("[{gemini}]"), ErrorKind::RateLimited).await;
    check(Protocol::Gemini, 200, &format!("data: {gemini}\n\n"), ErrorKind::RateLimited).await;
    check(Protocol::Ollama, 404, r#"{"error":"model 'x' not found"}"#, ErrorKind::NotFound).await;
    check(
        Protocol::Ollama,
        200,
        "{\"error\":\"llama runner died\"}\n",
        ErrorKind::Malformed(Malformed::ErrorInBody),
    )
    .await;
    let failed = r#"data: {"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded","message":"slow"}}}"#;
    check(Protocol::Responses, 200, &format!("{failed}\n\n"), ErrorKind::RateLimited).await;
}

#[tokio::test]
async fn answers_that_a_limit_or_a_filter_ended() {
    let check = async |protocol: Protocol, body: &str, expected: &str| {
        let server =
            Server::start([vec![stream_head(), chunk(body), Step::Send(b"0\r\n\r\n".to_vec())]]).await;
        let response = server.provider_of(protocol, |options| options.idle = Duration::from_secs(5));
        let response = response.complete(&request(protocol, "text"), &ignore_events).await.unwrap();
        assert_eq!(response.finish.as_str(), expected, "{protocol:?}");
    };
    let incomplete = r#"data: {"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[]}}"#;
    check(Protocol::Responses, &format!("{incomplete}\n\n"), "length").await;
    let delta = |reason: &str| {
        format!(
            "data: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"{reason}\"}}}}\n\ndata: {{\"type\":\"message_stop\"}}\n\n"
        )
    };
    check(Protocol::Messages, &delta("max_tokens"), "length").await;
    check(Protocol::Messages, &delta("refusal"), "content_filter").await;
    check(Protocol::Gemini, "data: {\"promptFeedback\":{\"blockReason\":\"OTHER\"}}\n\n", "content_filter")
        .await;
    check(Protocol::Gemini, "data: {\"candidates\":[{\"finishReason\":\"MAX_TOKENS\"}]}\n\n", "length").await;
    check(
        Protocol::Ollama,
        "{\"message\":{\"content\":\"a\"},\"done\":true,\"done_reason\":\"length\"}\n",
        "length",
    )
    .await;
}

#[tokio::test]
async fn whole_answers_of_providers_that_did_not_stream() {
    let check = async |protocol: Protocol, body: Value| {
        let server =
            Server::start([answer(200, "content-type: application/json\r\n", &body.to_string())]).await;
        let provider = server.provider_of(protocol, |options| options.stream = false);
        let response = provider.complete(&request(protocol, "text"), &ignore_events).await.unwrap();
        assert_eq!(
            (response.text.as_str(), response.usage.unwrap().total()),
            ("Hold.", Some(7)),
            "{protocol:?}"
        );
        assert_ne!(server.received()[0].json()["stream"], json!(true));
    };
    check(
        Protocol::Responses,
        json!({"status": "completed", "output": [
        {"type": "message", "content": [{"type": "output_text", "text": "Hold."}]}],
        "usage": {"input_tokens": 5, "output_tokens": 2}}),
    )
    .await;
    check(
        Protocol::Messages,
        json!({"type": "message", "content": [{"type": "text", "text": "Hold."}],
        "stop_reason": "end_turn", "usage": {"input_tokens": 5, "output_tokens": 2}}),
    )
    .await;
    check(
        Protocol::Gemini,
        json!({"candidates": [{"content": {"parts": [{"text": "Hold."}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2}}),
    )
    .await;
    check(
        Protocol::Ollama,
        json!({"message": {"content": "Hold."}, "done": true, "done_reason": "stop",
        "prompt_eval_count": 5, "eval_count": 2}),
    )
    .await;
}

#[tokio::test]
async fn what_a_failed_attempt_cost() {
    let costs = async |protocol: Protocol, body: &str| {
        let server = Server::start([vec![stream_head(), chunk(body), stream_end()]]).await;
        let provider = server.provider_of(protocol, |_| ());
        let error = provider.complete(&request(protocol, "tools"), &ignore_events).await.unwrap_err();
        let attempt = &error.attempts()[0];
        (
            attempt.usage.and_then(|usage| usage.total()),
            attempt.usage_estimate.map(|usage| (usage.input, usage.output)),
        )
    };
    // Cut: the prompt is known from the head, the answer is estimated from what came.
    let cut = concat!(
        "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":120,\"output_tokens\":1}}}\n\n",
        "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"twelve bytes\"}}\n\n",
    );
    assert_eq!(costs(Protocol::Messages, cut).await, (None, Some((Some(120), Some(3)))));
    // Whole but unusable: the bill is known.
    let unusable = concat!(
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"p\",\"arguments\":\"{\"}}]},",
        "\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
    );
    assert_eq!(costs(Protocol::Chat, unusable).await, (Some(7), None));
}

#[tokio::test]
async fn ollama_is_told_how_long_the_prompt_is() {
    let server = Server::start([answer(200, "", "{\"message\":{\"content\":\"a\"},\"done\":true}\n")]).await;
    let mut request = request(Protocol::Ollama, "text");
    request.messages.push(Message::user("x".repeat(60_000)));
    let provider = server.provider_of(Protocol::Ollama, |_| ());
    provider.complete(&request, &ignore_events).await.unwrap();
    assert_eq!(server.received()[0].json()["options"]["num_ctx"], json!(32_768));
}

/// The original took the second output item blindly; a web search or a reasoning item may stand anywhere.
#[test]
fn defect_16_the_answer_is_found_by_its_type_not_its_place() {
    let item = |kind: &str| json!({"type": kind, "id": "x", "status": "completed", "summary": []});
    let message = json!({"type": "message", "id": "m", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Rates held at 4.25 %.", "annotations": []}]});
    for before in [vec![], vec!["reasoning"], vec!["web_search_call", "reasoning", "web_search_call"]] {
        let mut output: Vec<Value> = before.iter().map(|kind| item(kind)).collect();
        output.push(message.clone());
        let body = json!({"id": "r", "object": "response", "status": "completed", "model": "gpt-5-mini", "output": output,
            "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}})
        .to_string();
        let request = Request { messages: vec![Message::user("News?")], ..Request::new("gpt-5-mini") };
        let response = Protocol::Responses.read(&request, [body.as_bytes()], &ignore_events).unwrap();
        assert_eq!(response.text, "Rates held at 4.25 %.");
    }
}
