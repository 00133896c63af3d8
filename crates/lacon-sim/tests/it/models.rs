//! The model's endpoints, asked by the real providers in five protocols.

use std::time::Duration;

use lacon_llm::{
    Client, Effort, ErrorKind, Finish, Message, Protocol, Provider, ProviderOptions, Request, Response,
    Secret, Tags, ToolSpec, ignore_events,
};
use lacon_sim::server::Background;
use serde_json::json;

use crate::vendors::start;

const PROTOCOLS: [(Protocol, &str); 5] = [
    (Protocol::Chat, "/v1"),
    (Protocol::Responses, "/v1"),
    (Protocol::Messages, "/v1"),
    (Protocol::Gemini, "/v1beta"),
    (Protocol::Ollama, ""),
];

fn provider(base: &str, protocol: Protocol, path: &str, stream: bool, patience: Duration) -> Provider {
    let options = ProviderOptions {
        base_url: format!("{base}{path}"),
        key: Secret::new("any-key-at-all"),
        stream,
        first_token: patience,
        idle: Duration::from_millis(400),
        ..ProviderOptions::default()
    };
    Provider::new(protocol, options).unwrap()
}

fn request(model: &str) -> Request {
    let long = "On 2025-07-29 the close was 181.64 and the volume 9534800 shares.\n".repeat(60);
    Request {
        messages: vec![
            Message::system("Answer from the data."),
            Message::user(format!("{long}Write at most 80 words.")),
        ],
        tags: Tags {
            run: "r".into(),
            role: "bull".into(),
            labels: [("ticker".to_owned(), "CRCL".to_owned())].into(),
        },
        max_tokens: Some(400),
        ..Request::new(model)
    }
}

fn model(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Messages => "claude-opus-4-5",
        Protocol::Gemini => "gemini-3-flash",
        Protocol::Ollama => "llama3",
        _ => "gpt-5",
    }
}

async fn ask(
    server: &Background,
    protocol: Protocol,
    path: &str,
    stream: bool,
    request: &Request,
) -> Response {
    let provider = provider(&server.url(), protocol, path, stream, Duration::from_secs(20));
    let answer = provider.complete(request, &ignore_events).await;
    answer.unwrap_or_else(|e| panic!("{protocol:?} stream {stream}: {e}"))
}

#[tokio::test]
async fn five_protocols_streamed_and_whole_say_the_same() {
    for (protocol, path) in PROTOCOLS {
        let mut texts = Vec::new();
        for stream in [false, true] {
            let server = start("");
            let request = request(model(protocol));
            let first = ask(&server, protocol, path, stream, &request).await;
            assert!(first.text.contains("181.64") && first.finish == Finish::Stop, "{protocol:?}: {first:?}");
            let usage = first.usage.unwrap_or_else(|| panic!("{protocol:?}: no usage"));
            assert!(
                usage.prompt_total().unwrap() > 1_000 && usage.completion_total().unwrap() > 20,
                "{usage:?}"
            );
            let second = ask(&server, protocol, path, stream, &request).await;
            if protocol != Protocol::Ollama {
                let cached = second.usage.unwrap().cached;
                assert!(
                    cached.is_some_and(|c| c >= 1024),
                    "{protocol:?}: the second call reads the cache: {cached:?}"
                );
            }
            texts.push(first.text);
        }
        assert_eq!(texts[0], texts[1], "{protocol:?}");
    }
}

#[tokio::test]
async fn tool_calls_come_back_and_their_answers_are_read() {
    let schema = json!({"type": "object", "properties": {"ticker": {"type": "string"}, "curr_date": {"type": "string"}}, "required": ["ticker", "curr_date"]});
    for (protocol, path) in PROTOCOLS {
        for stream in [false, true] {
            let server = start("");
            let mut request = request(model(protocol));
            request.tools = vec![
                ToolSpec::new("get_stock_news_openai", "news", schema.clone()),
                ToolSpec::new("get_fundamentals_openai", "figures", schema.clone()),
            ];
            let first = ask(&server, protocol, path, stream, &request).await;
            assert_eq!(
                (first.finish.clone(), first.tool_calls.len()),
                (Finish::ToolCalls, 2),
                "{protocol:?} {first:?}"
            );
            let arguments: serde_json::Value = serde_json::from_str(&first.tool_calls[0].arguments).unwrap();
            assert_eq!(arguments, json!({"ticker": "CRCL", "curr_date": "2025-07-29"}));
            request.messages.push(first.message());
            for call in &first.tool_calls {
                request.messages.push(Message::tool(
                    call.id.clone(),
                    call.name.clone(),
                    "Revenue was 658.50 million.",
                ));
            }
            let second = ask(&server, protocol, path, stream, &request).await;
            assert!(second.tool_calls.is_empty() && !second.text.is_empty(), "{protocol:?} {second:?}");
        }
    }
}

#[tokio::test]
async fn reasoning_grows_with_effort_and_is_reported() {
    for (protocol, path) in
        [(Protocol::Chat, "/v1"), (Protocol::Responses, "/v1"), (Protocol::Gemini, "/v1beta")]
    {
        let server = start("");
        let mut all = Vec::new();
        for effort in [Effort::Low, Effort::High] {
            let request = Request { effort: Some(effort), ..request(model(protocol)) };
            all.push(ask(&server, protocol, path, true, &request).await.usage.unwrap().reasoning.unwrap());
        }
        assert!(all[0] > 0 && all[1] > all[0], "{protocol:?} {all:?}");
    }
}

#[tokio::test]
async fn every_fault_reaches_the_provider_as_its_kind() {
    let server = start("");
    for (protocol, path) in PROTOCOLS {
        for (fault, kinds) in [
            ("429:3", &["rate_limited"][..]),
            ("500", &["status"]),
            ("401", &["auth"]),
            ("drop", &["connect"]),
            ("cut", &["malformed"]),
            ("stall", &["timeout"]),
            ("html", &["malformed"]),
            ("badjson", &["malformed"]),
        ] {
            for stream in [false, true] {
                let base = format!("{}/fault/{fault}", server.url());
                // Only a stalled answer waits for the limit.
                let patience = Duration::from_millis(if fault == "stall" { 300 } else { 20_000 });
                let provider = provider(&base, protocol, path, stream, patience);
                let limit = Duration::from_secs(60);
                let request = request(model(protocol));
                let done = tokio::time::timeout(limit, provider.complete(&request, &ignore_events)).await;
                let error = done.unwrap_or_else(|_| panic!("{protocol:?} hangs with {fault}")).unwrap_err();
                let name = error.kind().as_str();
                let fits = kinds.iter().any(|k| name.starts_with(k));
                assert!(fits, "{protocol:?} {fault} stream {stream}: {:?} {error}", error.kind());
                if fault == "429:3" {
                    assert_eq!(error.kind(), ErrorKind::RateLimited);
                    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
                }
            }
        }
    }
}

#[tokio::test]
async fn nonsense_is_refused_and_named() {
    let server = start("");
    let fetch = lacon_market::vendor::http::HttpFetch::new(Duration::from_secs(2)).unwrap();
    use lacon_market::vendor::{Fetch, HttpRequest, Method};
    let ask = |path: &str, body: &str| HttpRequest {
        method: Method::Post,
        url: format!("{}{path}", server.url()),
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
        timeout: Duration::from_secs(20),
        max_bytes: 1 << 20,
    };
    for (path, body, status, says) in [
        ("/v1/chat/completions", "{", 400, "not JSON"),
        ("/v1/messages", "{}", 400, "no messages"),
        ("/fault/teapot/v1/models", "", 400, "unknown fault"),
        ("/nowhere", "", 404, "nothing stands at /nowhere"),
        ("/sim/tools/get_YFin_data", "[]", 400, "no JSON object"),
        ("/sim/tools/get_volume_analysis", r#"{"ticker": "MSFT"}"#, 200, "Volume of MSFT"),
        ("/v1/models", "", 200, "simulated"),
    ] {
        let answer = fetch.fetch(&ask(path, body)).await.unwrap();
        let text = String::from_utf8(answer.body).unwrap();
        assert!(answer.status == status && text.contains(says), "{path}: {} {text}", answer.status);
    }
}
