//! Chat Completions: one attempt against every way an endpoint can answer.

use std::sync::Mutex;
use std::time::Duration;

use lacon_llm::{
    Client, Effort, Error, ErrorKind, Finish, JsonSchema, Malformed, Message, Outcome, Request, Response,
    StreamEvent, Tags, Timeout, ToolCall, ToolChoice, ToolSpec, ignore_events,
};
use serde_json::json;

use crate::server::{
    Server, Step, answer, chunk, event, finish_event, good_stream, stream_end, stream_head, text_event,
};

fn request() -> Request {
    Request {
        messages: vec![Message::system("be brief"), Message::user("AAPL?")],
        ..Request::new("gpt-4o-mini")
    }
}

async fn ask(script: Vec<Step>) -> Result<Response, Error> {
    let server = Server::start([script]).await;
    let provider = server.provider(|options| {
        options.first_token = Duration::from_secs(5);
        options.idle = Duration::from_secs(5);
        options.max_event = 4096;
        options.max_answer = 64 * 1024;
    });
    provider.complete(&request(), &ignore_events).await
}

async fn fails(script: Vec<Step>, kind: ErrorKind) -> Error {
    let error = ask(script).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.attempts().len(), 1);
    assert_eq!(error.attempts()[0].outcome, Outcome::Failed(kind));
    assert!(!error.to_string().contains("sk-test-secret"), "{error}");
    error
}

async fn answers(script: Vec<Step>) -> Response {
    ask(script).await.unwrap()
}

fn stream(events: &[&str]) -> Vec<Step> {
    let mut steps = vec![stream_head()];
    steps.extend(events.iter().map(|data| event(data)));
    steps.push(stream_end());
    steps
}

#[tokio::test]
async fn a_stream_is_put_together_and_counted() {
    let server = Server::start([good_stream("Buy at 12.5, not at 13. ")]).await;
    let provider = server.provider(|_| ());
    let events = Mutex::new(Vec::new());
    let note = |event: StreamEvent<'_>| events.lock().unwrap().push(format!("{event:?}"));
    let response = provider.complete(&request(), &note).await.unwrap();
    assert_eq!(response.text, "Buy at 12.5, not at 13. ");
    assert_eq!(
        (response.finish, response.model.as_str(), response.id.as_deref()),
        (Finish::Stop, "m-1", Some("c1"))
    );
    let usage = response.usage.unwrap();
    assert_eq!(
        (usage.input, usage.cached, usage.cache_write, usage.output, usage.reasoning),
        (Some(464), Some(1536), None, Some(180), Some(120))
    );
    let attempt = &response.attempts[0];
    assert_eq!((attempt.status, &attempt.outcome, attempt.received), (Some(200), &Outcome::Answered, 24));
    assert!(attempt.first_token.unwrap() <= attempt.end && response.first_token == attempt.first_token);
    let events = events.into_inner().unwrap();
    assert_eq!(events[..3], ["Sent { attempt: 1 }", "FirstToken", "Delta(\"Buy \")"]);
    assert_eq!(events.len(), 8);
}

#[tokio::test]
async fn the_request_on_the_wire() {
    let server = Server::start([good_stream("ok")]).await;
    let provider = server.provider(|options| options.headers = vec![("X-Org".into(), "o-1".into())]);
    let call = ToolCall { id: "c1".into(), name: "price".into(), arguments: "{\"t\":\"AAPL\"}".into() };
    let request = Request {
        messages: vec![
            Message::system("be brief"),
            Message::user("AAPL?"),
            Message::assistant_calls("", vec![call]),
            Message::tool("c1", "price", "12.5"),
        ],
        tools: vec![ToolSpec::new("price", "last price", json!({"type": "object"}))],
        tool_choice: ToolChoice::Named("price".into()),
        max_tokens: Some(100),
        temperature: Some(0.5),
        effort: Some(Effort::Low),
        response_format: Some(JsonSchema {
            name: "d".into(),
            schema: json!({"type": "object"}),
            strict: true,
        }),
        tags: Tags {
            run: "r 1".into(),
            role: "bull".into(),
            labels: [("ticker".to_owned(), "A\u{e9}".to_owned())].into(),
        },
        ..Request::new("gpt-4o-mini")
    };
    let response = provider.complete(&request, &ignore_events).await.unwrap();
    assert_eq!(response.warnings, ["effort left out: openai-chat models take none"]);
    let received = &server.received()[0];
    assert!(received.head.starts_with("POST /v1/chat/completions HTTP/1.1"), "{}", received.head);
    let headers = [
        ("authorization", "Bearer sk-test-secret"),
        ("content-type", "application/json"),
        ("x-org", "o-1"),
        ("x-lacon-run", "r 1"),
        ("x-lacon-role", "bull"),
        ("x-lacon-ticker", "A?"),
    ];
    for (name, value) in headers {
        assert_eq!(received.header(name), Some(value), "{name}");
    }
    assert_eq!(
        received.json(),
        json!({
            "model": "gpt-4o-mini",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "AAPL?"},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "price", "arguments": "{\"t\":\"AAPL\"}"}}]},
                {"role": "tool", "content": "12.5", "tool_call_id": "c1"},
            ],
            "tools": [{"type": "function", "function":
                {"name": "price", "description": "last price", "parameters": {"type": "object"}}}],
            "tool_choice": {"type": "function", "function": {"name": "price"}},
            "max_tokens": 100,
            "temperature": 0.5,
            "response_format": {"type": "json_schema",
                "json_schema": {"name": "d", "schema": {"type": "object"}, "strict": true}},
            "stream": true,
            "stream_options": {"include_usage": true},
        })
    );
}

#[tokio::test]
async fn tags_can_be_turned_off_and_no_key_sends_no_header() {
    let server = Server::start([good_stream("ok")]).await;
    let provider = server.provider(|options| {
        options.send_tags = false;
        options.key = "".into();
    });
    let request = Request {
        tags: Tags {
            run: "r".into(),
            role: "bull".into(),
            labels: [("ticker".to_owned(), "A".to_owned())].into(),
        },
        ..request()
    };
    provider.complete(&request, &ignore_events).await.unwrap();
    let received = &server.received()[0];
    assert!(!received.head.to_lowercase().contains("x-lacon") && received.header("authorization").is_none());
}

#[tokio::test]
async fn a_reasoning_model_gets_its_own_parameters() {
    let server = Server::start([good_stream("ok")]).await;
    let request = Request {
        model: "o4-mini".into(),
        max_tokens: Some(9),
        temperature: Some(0.0),
        effort: Some(Effort::High),
        ..request()
    };
    let response = server.provider(|_| ()).complete(&request, &ignore_events).await.unwrap();
    assert_eq!(response.warnings, ["temperature left out: openai-reasoning models refuse it"]);
    let body = server.received()[0].json();
    assert_eq!((&body["max_completion_tokens"], &body["reasoning_effort"]), (&json!(9), &json!("high")));
    assert!(body.get("max_tokens").is_none() && body.get("temperature").is_none());
}

#[tokio::test]
async fn connections_are_kept_alive() {
    let server = Server::start((0..5).map(|_| good_stream("ok"))).await;
    let provider = server.provider(|_| ());
    for _ in 0..5 {
        provider.complete(&request(), &ignore_events).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn text_split_inside_of_a_character_and_inside_of_a_line_end() {
    let data = "data: {\"choices\":[{\"delta\":{\"content\":\"a€😀b\"},\"finish_reason\":\"stop\"}]}\r\n\r\ndata: [DONE]\r\n\r\n";
    let mut steps = vec![stream_head()];
    steps.extend(data.as_bytes().chunks(1).map(chunk));
    steps.push(stream_end());
    assert_eq!(answers(steps).await.text, "a€😀b");
}

#[tokio::test]
async fn tool_calls_in_parts() {
    let response = answers(stream(&[
        r#"{"choices":[{"delta":{"role":"assistant","content":null}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"price","arguments":""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"t\":"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"news","arguments":""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"AAPL\"}"}}]}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#,
        "[DONE]",
    ]))
    .await;
    assert_eq!(response.finish, Finish::ToolCalls);
    let shown: Vec<_> =
        response.tool_calls.iter().map(|c| (c.id.as_str(), c.name.as_str(), c.arguments.as_str())).collect();
    assert_eq!(shown, [("a", "price", "{\"t\":\"AAPL\"}"), ("b", "news", "{}")]);
}

#[tokio::test]
async fn tool_calls_of_servers_that_number_or_name_them_oddly() {
    // Same index for all, arguments as an object, no id, and "stop" as the reason.
    let response = answers(stream(&[
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"x","arguments":{"n":1}}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"y","arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"z","arguments":"{\"a\""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":":2}"}}]},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ]))
    .await;
    assert_eq!(response.finish, Finish::ToolCalls);
    let shown: Vec<_> =
        response.tool_calls.iter().map(|c| format!("{} {} {}", c.id, c.name, c.arguments)).collect();
    assert_eq!(shown, ["a x {\"n\":1}", "b y {}", "call_2 z {\"a\":2}"]);
}

#[tokio::test]
async fn broken_tool_arguments_are_malformed() {
    for arguments in ["{\\\"t\\\":1,\\\"", "[1]", "12", "x"] {
        let first = format!(
            r#"{{"choices":[{{"delta":{{"tool_calls":[{{"index":0,"id":"a","function":{{"name":"p","arguments":"{arguments}"}}}}]}}}}]}}"#
        );
        let script =
            stream(&[&first, r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#, "[DONE]"]);
        let error = fails(script, ErrorKind::Malformed(Malformed::ToolArguments)).await;
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn a_cut_stream_is_never_a_short_answer() {
    let cut = ErrorKind::Malformed(Malformed::CutStream);
    let error = fails(vec![stream_head(), text_event("Buy "), stream_end()], cut).await;
    assert_eq!(error.to_string(), "openai's answer was cut after 4 bytes of text");
    assert_eq!(error.attempts()[0].usage_estimate.unwrap().output, Some(1));
    fails(vec![stream_head(), text_event("Buy "), Step::Close], cut).await;
    fails(vec![stream_head(), text_event("Buy "), Step::Reset], cut).await;
    fails(vec![stream_head(), Step::Close], cut).await;
    // The last event lacks its blank line: half a finish is no finish.
    fails(
        vec![
            stream_head(),
            text_event("Buy"),
            chunk("data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n"),
            stream_end(),
        ],
        cut,
    )
    .await;
}

#[tokio::test]
async fn an_end_without_done_is_an_end_when_the_reason_came() {
    let response = answers(vec![stream_head(), text_event("Hold"), finish_event("stop"), stream_end()]).await;
    assert_eq!((response.text.as_str(), response.usage), ("Hold", None));
    let response =
        answers(vec![stream_head(), text_event("Hold"), finish_event("length"), Step::Reset]).await;
    assert_eq!(response.finish, Finish::Length);
    let response =
        answers(vec![stream_head(), text_event("Hold"), finish_event(""), event("[DONE]"), stream_end()])
            .await;
    assert_eq!(response.finish, Finish::Stop);
}

#[tokio::test]
async fn an_answer_that_is_no_stream_is_read_whole() {
    let body = json!({"id": "x", "model": "m", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": " Hold."}}], "usage": {"prompt_tokens": 5, "completion_tokens": 2}});
    let response = answers(answer(200, "content-type: application/json\r\n", &body.to_string())).await;
    assert_eq!(response.text, " Hold.");
    assert_eq!(response.usage.unwrap().total(), Some(7));
    let cut = body.to_string();
    fails(answer(200, "", &cut[..cut.len() - 40]), ErrorKind::Malformed(Malformed::Json)).await;
    fails(answer(200, "", "{\"choices\":[]}"), ErrorKind::Malformed(Malformed::Json)).await;
}

#[tokio::test]
async fn refusals() {
    let page = "<html><head><title>Welcome</title></head></html>";
    let error =
        fails(answer(200, "content-type: text/html\r\n", page), ErrorKind::Malformed(Malformed::Html)).await;
    assert_eq!(
        error.to_string(),
        "endpoint answered 200 with a web page titled \"Welcome\"\nhint: check the base url: it should end in the api's path, such as /v1"
    );
    assert!(!error.is_retryable());
    let echo = r#"{"error":{"message":"Incorrect API key provided: sk-test-secret."}}"#;
    let error = fails(answer(401, "", echo), ErrorKind::Auth).await;
    assert_eq!(error.message(), "openai answered 401: Incorrect API key provided: [redacted]");
    fails(answer(403, "", page), ErrorKind::Auth).await;
    let error =
        fails(answer(429, "retry-after-ms: 40\r\nretry-after: 1\r\n", "{}"), ErrorKind::RateLimited).await;
    assert_eq!((error.retry_after(), error.status()), (Some(Duration::from_millis(40)), Some(429)));
    let error = fails(answer(429, "", ""), ErrorKind::RateLimited).await;
    assert_eq!((error.retry_after(), error.attempts()[0].usage_estimate), (None, None));
    assert!(
        fails(answer(500, "", "{\"error\":{\"message\":\"boom\"}}"), ErrorKind::Status(500))
            .await
            .is_retryable()
    );
    assert!(fails(answer(503, "", page), ErrorKind::Status(503)).await.is_retryable());
    fails(answer(404, "", "{}"), ErrorKind::NotFound).await;
    fails(answer(400, "", r#"{"error":{"code":"context_length_exceeded"}}"#), ErrorKind::ContextTooLong)
        .await;
    fails(answer(500, "", &"x".repeat(200_000)), ErrorKind::Status(500)).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let error = fails(answer(302, "location: http://elsewhere/\r\n", ""), ErrorKind::NotFound).await;
    assert_eq!(error.message(), "openai answered 302, a redirect to http://elsewhere/");
}

#[tokio::test]
async fn errors_inside_of_a_success() {
    let inside = r#"{"error":{"message":"The model is overloaded","type":"overloaded_error"}}"#;
    fails(vec![stream_head(), text_event("Buy "), event(inside), stream_end()], ErrorKind::Status(503)).await;
    fails(answer(200, "", r#"{"error":{"message":"no"}}"#), ErrorKind::Malformed(Malformed::ErrorInBody))
        .await;
    fails(
        vec![stream_head(), chunk("event: error\ndata: {\"message\":\"no\"}\n\n"), stream_end()],
        ErrorKind::Malformed(Malformed::ErrorInBody),
    )
    .await;
}

#[tokio::test]
async fn bad_json_and_bad_sizes() {
    let json = ErrorKind::Malformed(Malformed::Json);
    let broken = r#"{"id":"chatcmpl-broken","choices":[{"index":0,"delta":{"con"#;
    fails(vec![stream_head(), text_event("Buy "), event(broken), stream_end()], json).await;
    fails(vec![stream_head(), event("\u{1}"), stream_end()], json).await;
    fails(vec![stream_head(), chunk(b"data: {\"id\":\"\xff\"}\n\n"), stream_end()], json).await;
    let large = ErrorKind::Malformed(Malformed::TooLarge);
    fails(vec![stream_head(), text_event(&"x".repeat(5000)), stream_end()], large).await;
    let mut steps = vec![stream_head()];
    steps.extend((0..100).map(|n| text_event(&format!("{n} ").repeat(300)[..600])));
    fails(steps, large).await;
    fails(answer(200, "", &format!("{{\"a\":\"{}\"}}", "x".repeat(70_000))), large).await;
}

#[tokio::test]
async fn calls_of_one_answer_are_bounded() {
    let large = ErrorKind::Malformed(Malformed::TooLarge);
    let calls = |n: usize| {
        let calls: Vec<_> = (0..n)
            .map(|i| json!({"index": i, "id": format!("c{i}"), "function": {"name": "price", "arguments": "{}"}}))
            .collect();
        json!({"choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "tool_calls": calls}}]})
    };
    let response = answers(answer(200, "", &calls(128).to_string())).await;
    assert_eq!(response.tool_calls.len(), 128);
    let error = fails(answer(200, "", &calls(129).to_string()), large).await;
    assert_eq!(error.message(), "answer has more than 128 tool calls");
    assert!(!error.is_retryable());
    // A stream is given up as soon as it brings one too many.
    let one = |i: usize| {
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": i, "id": format!("c{i}"),
            "function": {"name": "price", "arguments": "{}"}}]}}]})
        .to_string()
    };
    let mut steps = vec![stream_head()];
    steps.extend((0..129).map(|i| event(&one(i))));
    fails(steps, large).await;
}

#[tokio::test]
async fn a_usage_that_cannot_be_true_is_ignored_and_told() {
    for usage in [
        json!({"prompt_tokens": -5, "completion_tokens": 2}),
        json!({"prompt_tokens": 5, "completion_tokens": -2.0}),
        json!({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": -1}}),
        json!({"prompt_tokens": 4_000_000_000_u64, "completion_tokens": 2}),
        json!({"prompt_tokens": 5, "completion_tokens": 1e30}),
        json!({"prompt_tokens": 5, "completion_tokens": u64::MAX}),
    ] {
        let body = json!({"choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "Hold now."}}], "usage": usage});
        let response = answers(answer(200, "", &body.to_string())).await;
        assert_eq!((response.text.as_str(), response.usage), ("Hold now.", None), "{usage}");
        assert!(response.warnings.iter().any(|w| w.contains("that is ignored")), "{:?}", response.warnings);
        let attempt = &response.attempts[0];
        assert_eq!((attempt.usage, attempt.usage_estimate.unwrap().output), (None, Some(3)), "{usage}");
    }
}

#[tokio::test]
async fn empty_answers() {
    let empty = ErrorKind::Malformed(Malformed::Empty);
    assert!(
        fails(vec![stream_head(), finish_event("stop"), event("[DONE]"), stream_end()], empty)
            .await
            .is_retryable()
    );
    fails(answer(200, "", ""), empty).await;
    fails(answer(200, "", " \n "), empty).await;
    let length = answers(vec![stream_head(), finish_event("length"), event("[DONE]"), stream_end()]).await;
    assert_eq!((length.text.as_str(), length.finish), ("", Finish::Length));
    let filtered = answers(stream(&[
        r#"{"choices":[{"delta":{"refusal":"I cannot"}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ]))
    .await;
    assert_eq!((filtered.text.as_str(), filtered.finish), ("I cannot", Finish::ContentFilter));
}

#[tokio::test]
async fn unknown_events_and_comments_are_skipped() {
    let mut steps = vec![stream_head(), chunk(": keep-alive\n\nid: 7\nretry: 10\n\n")];
    steps.push(chunk("event: ping\ndata: {\"type\":\"ping\"}\n\n"));
    steps.extend([text_event("Hold"), finish_event("stop"), event("[DONE]"), stream_end()]);
    assert_eq!(answers(steps).await.text, "Hold");
}

#[tokio::test]
async fn reasoning_counts_as_the_first_token() {
    let server = Server::start([stream(&[
        r#"{"choices":[{"delta":{"reasoning_content":"hm","reasoning":"hm"}}]}"#,
        r#"{"choices":[{"delta":{"content":"Hold"},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ])])
    .await;
    let request = Request { model: "deepseek-reasoner".into(), ..request() };
    let events = Mutex::new(Vec::new());
    let note = |event: StreamEvent<'_>| events.lock().unwrap().push(format!("{event:?}"));
    let response = server.provider(|_| ()).complete(&request, &note).await.unwrap();
    let events = events.into_inner().unwrap();
    assert_eq!(events, ["Sent { attempt: 1 }", "FirstToken", "Reasoning(2)", "Delta(\"Hold\")"]);
    assert_eq!(response.message().provider_state.unwrap()["reasoning_content"], "hm");
}

#[tokio::test]
async fn waits_are_bounded() {
    let check = async |script: Vec<Step>, which: Timeout, text: &str| {
        let server = Server::start([script]).await;
        let provider = server.provider(|options| {
            options.first_token = Duration::from_millis(60);
            options.idle = Duration::from_millis(40);
        });
        let error = provider.complete(&request(), &ignore_events).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Timeout(which), text));
        assert!(error.is_retryable());
        server.wait_for_left(1).await;
        error
    };
    let slow = "openai sent no answer within 0.06 s";
    let error = check(vec![Step::Stall], Timeout::FirstToken, slow).await;
    assert_eq!((error.attempts()[0].status, error.attempts()[0].usage_estimate), (None, None));
    check(vec![stream_head(), Step::Stall], Timeout::FirstToken, slow).await;
    check(vec![stream_head(), chunk(": working\n\n"), Step::Stall], Timeout::FirstToken, slow).await;
    let still = "openai's answer stood still for 0.04 s after 4 bytes of text";
    let error = check(vec![stream_head(), text_event("Buy "), Step::Stall], Timeout::Idle, still).await;
    assert!(error.attempts()[0].usage_estimate.is_some() && error.attempts()[0].first_token.is_some());
}

#[tokio::test]
async fn a_stalled_refusal_is_still_a_refusal() {
    let server = Server::start([vec![
        Step::Send(b"HTTP/1.1 500 X\r\ncontent-length: 99\r\n\r\n{\"e".to_vec()),
        Step::Stall,
    ]])
    .await;
    let provider = server.provider(|options| options.idle = Duration::from_millis(30));
    let error = provider.complete(&request(), &ignore_events).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Status(500));
}

#[tokio::test]
async fn connections_that_fail() {
    let server = Server::start([]).await;
    let (address, provider) = (server.address, server.provider(|_| ()));
    drop(server);
    let error = provider.complete(&request(), &ignore_events).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.message().starts_with(&format!("cannot connect to {address}: ")), "{error}");
    for step in [Step::Close, Step::Reset] {
        let error = fails(vec![step], ErrorKind::Connect).await;
        assert!(error.is_retryable() && error.message().contains("broke before an answer began"), "{error}");
    }
    let error =
        fails(vec![Step::Send(b"SSH-2.0-OpenSSH\r\n".to_vec()), Step::Close], ErrorKind::Connect).await;
    assert!(error.message().contains("invalid http"), "{error}");
}

#[tokio::test]
async fn tls_to_a_server_that_speaks_none() {
    let server = Server::start([]).await;
    let url = format!("https://{}/v1", server.address);
    let provider = server.provider(|options| {
        options.base_url = url;
        options.transport.connect = Duration::from_millis(50);
    });
    let error = provider.complete(&request(), &ignore_events).await.unwrap_err();
    // The listener waits for a request line that never comes: connecting runs out of time.
    assert_eq!(error.kind(), ErrorKind::Timeout(Timeout::Connect), "{error}");
}

#[tokio::test]
async fn dropping_the_call_closes_the_connection() {
    let server = Server::start([vec![stream_head(), text_event("Buy "), Step::Stall]]).await;
    let provider = server.provider(|_| ());
    let seen = tokio::sync::Notify::new();
    let note = |event: StreamEvent<'_>| {
        if matches!(event, StreamEvent::Delta(_)) {
            seen.notify_one();
        }
    };
    let request = request();
    tokio::select! {
        _ = provider.complete(&request, &note) => panic!("the server stalls"),
        () = seen.notified() => {}
    }
    server.wait_for_left(1).await;
}

#[tokio::test]
async fn an_answer_that_broke_off_in_good_order_is_an_error() {
    let broke = ErrorKind::Malformed(Malformed::ErrorInBody);
    for reason in ["error", "insufficient_system_resource"] {
        let script =
            vec![stream_head(), text_event("Buy "), finish_event(reason), event("[DONE]"), stream_end()];
        assert!(fails(script, broke).await.is_retryable());
    }
    let silent = answers(vec![stream_head(), text_event("Hold"), event("[DONE]"), stream_end()]).await;
    assert_eq!(
        (silent.finish, silent.warnings),
        (Finish::Stop, vec!["the endpoint never said why the answer ended".to_owned()])
    );
}

#[tokio::test]
async fn an_endpoint_that_refuses_to_report_usage_is_not_asked_for_it() {
    let refused = answer(422, "", r#"{"detail":"stream_options: extra fields not permitted"}"#);
    let server = Server::start([refused, good_stream("ok"), good_stream("ok")]).await;
    let provider = server.provider(|_| ());
    for _ in 0..2 {
        assert_eq!(provider.complete(&request(), &ignore_events).await.unwrap().text, "ok");
    }
    let asked: Vec<_> = server.received().iter().map(|r| r.json().get("stream_options").is_some()).collect();
    assert_eq!(asked, [true, false, false]);
}
