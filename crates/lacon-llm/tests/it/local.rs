//! What a local server says of itself is used, and nothing depends on it.

use std::sync::Arc;

use lacon_llm::{Client, ErrorKind, Message, Protocol, Request, Stack, StackOptions, ignore_events};
use serde_json::json;

use crate::server::{Server, Step, answer, good_stream};

fn request() -> Request {
    Request { messages: vec![Message::user("AAPL?")], ..Request::new("house-7b") }
}

const PROPS: &str =
    r#"{"total_slots":1,"default_generation_settings":{"n_ctx":2048},"chat_template":"{{ x }}"}"#;

#[tokio::test]
async fn a_server_with_one_slot_gets_one_call_from_the_start() {
    let answers = (0..4).map(|_| good_stream("Hold"));
    let server =
        Server::start(std::iter::once(answer(200, "server: llama.cpp\r\n", PROPS)).chain(answers)).await;
    let stack = Stack::new(Arc::new(server.provider(|o| o.ask_server = true)), StackOptions::full());
    let request = request();
    let call = || stack.client.complete(&request, &ignore_events);
    let (a, b, c, d) = tokio::join!(call(), call(), call(), call());
    for response in [a, b, c, d] {
        let response = response.unwrap();
        assert_eq!((response.text.as_str(), response.hedged, response.attempts.len()), ("Hold", false, 1));
    }
    assert_eq!(stack.limit.unwrap().concurrency(), 1);
    let received = server.received();
    let asked: Vec<&str> = received.iter().filter_map(|r| r.head.lines().next()).collect();
    assert!(asked[0].starts_with("GET /props "), "{asked:?}");
    assert!(asked[1..].iter().all(|line| line.starts_with("POST /v1/chat/completions ")), "{asked:?}");
    assert_eq!((asked.len(), server.connections()), (5, 1), "no call was sent beside another");
}

#[tokio::test]
async fn a_server_that_says_nothing_of_use_is_asked_once_and_used() {
    let huge = format!("[{}]", "0,".repeat(1 << 20));
    for said in [
        vec![answer(404, "", ""), answer(404, "", "{}"), answer(404, "", "")],
        vec![answer(200, "", "<html>"), answer(200, "", &huge), answer(301, "location: /x\r\n", "")],
        vec![answer(200, "", r#"{"total_slots":"many"}"#), answer(500, "", ""), vec![Step::Close]],
        vec![vec![Step::Stall]],
    ] {
        let calls = [good_stream("Hold"), good_stream("Hold")];
        let server = Server::start(said.into_iter().chain(calls)).await;
        let provider = server.provider(|o| o.ask_server = true);
        for _ in 0..2 {
            assert_eq!(provider.complete(&request(), &ignore_events).await.unwrap().text, "Hold");
        }
        assert_eq!(provider.traffic().unwrap().at_once(), None);
    }
    // Whoever is not to ask does not.
    let server = Server::start([good_stream("Hold")]).await;
    server.provider(|_| ()).complete(&request(), &ignore_events).await.unwrap();
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_context_is_named_where_it_is_too_small_and_kept_where_it_suffices() {
    let refusal = r#"{"error":{"code":"context_length_exceeded","message":"too long"}}"#;
    let server = Server::start([answer(200, "", PROPS), answer(400, "", refusal)]).await;
    let error =
        server.provider(|o| o.ask_server = true).complete(&request(), &ignore_events).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextTooLong);
    assert!(error.to_string().contains("the server holds 2048 tokens"), "{error}");
    let loaded = json!({"models": [{"name": "house-7b:latest", "context_length": 32768}]}).to_string();
    let server = Server::start([answer(200, "", &loaded), answer(500, "", "{}")]).await;
    let provider = server.provider_of(Protocol::Ollama, |o| {
        o.ask_server = true;
        o.base_url = o.base_url.trim_end_matches("/v1").to_owned();
    });
    provider.complete(&request(), &ignore_events).await.unwrap_err();
    let received = server.received();
    assert!(received[0].head.starts_with("GET /api/ps "), "{received:?}");
    assert_eq!(received[1].json()["options"]["num_ctx"], 32768, "another size would load the model again");
}

/// Servers close connections that idle. A call that meets one is asked again, and loses nothing but the wait.
#[tokio::test]
async fn a_connection_that_the_server_has_closed_costs_no_call() {
    let closed_after = || [good_stream("Hold"), vec![Step::Close]].concat();
    let server = Server::start([
        closed_after(),
        closed_after(),
        good_stream("Hold"),
        vec![Step::Close],
        good_stream("Hold"),
    ])
    .await;
    let stack = Stack::new(Arc::new(server.provider(|_| ())), StackOptions::full());
    for _ in 0..3 {
        assert_eq!(stack.client.complete(&request(), &ignore_events).await.unwrap().text, "Hold");
    }
    // It is closed while the request is on its way.
    let met = stack.client.complete(&request(), &ignore_events).await.unwrap();
    assert_eq!((met.text.as_str(), met.attempts.len(), server.received().len()), ("Hold", 2, 5));
}
