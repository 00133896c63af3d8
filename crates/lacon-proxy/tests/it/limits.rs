//! Limits, an upstream that is not there, and how the server ends.

use std::{sync::Arc, time::Duration};

use lacon_prompt::offload::MemoryStore;
use lacon_proxy::{Error, Policy, Proxy, ProxyOptions};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
    time::timeout,
};

use crate::support::{Act, Got, LIMIT, World, ok};

#[tokio::test]
async fn bodies_over_the_limit_are_refused() {
    let world = World::with(ok(), Policy::Lossless, |options| options.max_body = 100).await;
    let long = vec![b'a'; 101];
    for path in ["/v1/chat/completions", "/v1/embeddings", "/v1/compress"] {
        let got = world.send("POST", path, "content-type: application/json\r\n", &long).await;
        got.refused(413, "body_too_large", "body has 101 bytes, the limit is 100\nhint: raise --max-body");
        let chunked = format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n65\r\n{}\r\n0\r\n\r\n",
            "a".repeat(101)
        );
        Got::parse(&world.raw(chunked.as_bytes()).await).refused(
            413,
            "body_too_large",
            "more than 100 bytes",
        );
    }
    assert_eq!(world.send("POST", "/v1/chat/completions", "", &long[..100]).await.status, 200);
}

#[tokio::test]
async fn slow_heads_and_bodies_are_not_waited_for() {
    let moment = Duration::from_millis(50);
    let world = World::with(ok(), Policy::Lossless, |options| options.header_timeout = moment).await;
    let _ = world.raw(b"POST /v1/chat/completions HTTP/1.1\r\nhost:").await;
    assert!(world.seen.lock().unwrap().is_empty());
    let world = World::with(ok(), Policy::Lossless, |options| options.body_timeout = moment).await;
    let got = world
        .raw(b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9\r\n\r\n{")
        .await;
    Got::parse(&got).refused(408, "body_timeout", "--body-timeout");
    assert!(world.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_said_once() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let body = json!({"messages": []}).to_string();
    let world =
        World::with(ok(), Policy::Lossless, |options| options.upstream = format!("http://{closed}/v1")).await;
    world.post("/v1/chat/completions", &body).await.refused(
        502,
        "upstream_unreachable",
        "cannot connect to 127.0.0.1",
    );
    let metrics = world.send("GET", "/metrics", "", b"").await;
    assert!(metrics.text().contains("lacon_proxy_unreachable_total 1"), "{}", metrics.text());
    let silent = World::with(vec![Act::Gate(Arc::default())], Policy::Lossless, |options| {
        options.answer_timeout = Duration::from_millis(50);
    })
    .await;
    silent.post("/v1/chat/completions", &body).await.refused(504, "upstream_timeout", "within 0.05 s");
    assert!(silent.seen.lock().unwrap().len() <= 1, "nothing is tried again");
    // An upstream that closes without a word.
    let rude = World::new(Vec::new(), Policy::Lossless).await;
    rude.post("/v1/chat/completions", &body).await.refused(
        502,
        "upstream_unreachable",
        "broke before an answer began",
    );
    assert_eq!(rude.seen.lock().unwrap().len(), 1, "nothing is tried again");
}

#[tokio::test]
async fn connections_over_the_limit_wait() {
    let world = World::with(ok(), Policy::Lossless, |options| options.max_connections = 1).await;
    let first = world.connect().await;
    let second = world.send("GET", "/healthz", "", b"");
    let mut second = std::pin::pin!(second);
    assert!(timeout(Duration::from_millis(50), &mut second).await.is_err(), "there is one place");
    drop(first);
    assert_eq!(timeout(LIMIT, second).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_server_that_stops_lets_answers_end() {
    let gate = Arc::new(Notify::new());
    let acts = [vec![Act::Gate(Arc::clone(&gate))], ok()].concat();
    let mut world = World::new(acts, Policy::Lossless).await;
    let mut idle = world.connect().await;
    let mut socket = world.connect().await;
    socket.write_all(b"GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await.unwrap();
    timeout(LIMIT, async {
        while world.seen.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    world.stop.take().unwrap().send(()).unwrap();
    // What waits is closed, what is under way is answered.
    assert_eq!(timeout(LIMIT, idle.read(&mut [0; 8])).await.unwrap().unwrap(), 0);
    gate.notify_one();
    let mut got = Vec::new();
    timeout(LIMIT, socket.read_to_end(&mut got)).await.unwrap().unwrap();
    assert_eq!(Got::parse(&got).text(), "{}");
    timeout(LIMIT, world.tasks.join_next()).await.unwrap().unwrap().unwrap();
}

#[test]
fn wrong_addresses_are_refused_at_once() {
    let new = |url: &str| {
        Proxy::new(ProxyOptions::new(url, Policy::Off, Box::new(MemoryStore::new([7; 32], 1)))).err().unwrap()
    };
    assert!(matches!(new("ftp://h"), Error::Upstream(_)));
    let query = new("https://h/v1?key=secret");
    assert!(matches!(query, Error::Query { .. }) && !query.to_string().contains("secret"), "{query}");
}
