//! Streams: nothing is held back, nothing is changed, a cut stays a cut, and who leaves takes the call along.

use std::sync::Arc;

use lacon_proxy::Policy;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
    time::timeout,
};

use crate::support::{Act, Got, LIMIT, World, answer, dechunk};

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

fn request() -> Vec<u8> {
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "stream": true}).to_string();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

const EVENTS: [&str; 4] = [
    "data: {\"choices\":[{\"delta\":{\"content\":\"h\u{e9}\"}}]}\n\n",
    ": ping\n\nevent: strange\r\ndata: not json\r\n\r\nda",
    "ta: {\"x\": 1.0}\n\n",
    "data: [DONE]\n\n",
];

#[tokio::test]
async fn events_pass_as_they_are() {
    let mut acts = answer(HEAD);
    acts.extend(EVENTS.iter().map(|event| Act::Write(chunk(event))));
    acts.push(Act::Write(b"0\r\n\r\n".to_vec()));
    let world = World::new(acts, Policy::Lossless).await;
    let got = Got::parse(&world.raw(&request()).await);
    assert_eq!(got.header("content-type"), Some("text/event-stream"));
    assert_eq!(dechunk(got.body()), (EVENTS.concat().into_bytes(), true));
}

#[tokio::test]
async fn the_first_event_is_not_held_back() {
    let gate = Arc::new(Notify::new());
    let acts = vec![
        Act::Write([HEAD, &chunk(EVENTS[0])].concat()),
        Act::Gate(Arc::clone(&gate)),
        Act::Write([chunk(EVENTS[3]), b"0\r\n\r\n".to_vec()].concat()),
    ];
    let world = World::new(acts, Policy::Lossless).await;
    let mut socket = world.connect().await;
    socket.write_all(&request()).await.unwrap();
    let mut got = Vec::new();
    let first = async {
        while !got.ends_with(&chunk(EVENTS[0])) {
            assert_ne!(socket.read_buf(&mut got).await.unwrap(), 0);
        }
    };
    timeout(LIMIT, first).await.expect("the first event comes while the rest is not written");
    gate.notify_one();
    timeout(LIMIT, socket.read_to_end(&mut got)).await.unwrap().unwrap();
    assert_eq!(dechunk(Got::parse(&got).body()), ([EVENTS[0], EVENTS[3]].concat().into_bytes(), true));
}

#[tokio::test]
async fn a_cut_stays_a_cut() {
    // The connection ends between two chunks, within one, and before the length that was promised.
    let within = [&chunk(EVENTS[0])[..], b"40\r\nda"].concat();
    for (rest, expected) in [(chunk(EVENTS[0]), EVENTS[0].to_owned()), (within, format!("{}da", EVENTS[0]))] {
        let world = World::new(answer(&[HEAD, &rest].concat()), Policy::Lossless).await;
        let got = Got::parse(&world.raw(&request()).await);
        assert_eq!(dechunk(got.body()), (expected.into_bytes(), false));
        let metrics = world.send("GET", "/metrics", "", b"").await;
        assert!(metrics.text().contains("lacon_proxy_cut_total 1"), "{}", metrics.text());
    }
    let short = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half\":";
    let world = World::new(answer(short), Policy::Lossless).await;
    let got = Got::parse(&world.raw(&request()).await);
    assert_eq!((got.header("content-length"), got.text()), (Some("100"), "{\"half\":"));
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_call_along() {
    for begun in [false, true] {
        let gone = Arc::new(Notify::new());
        let mut acts = if begun { vec![Act::Write([HEAD, &chunk(EVENTS[0])].concat())] } else { Vec::new() };
        acts.push(Act::Gone(Arc::clone(&gone)));
        let world = World::new(acts, Policy::Lossless).await;
        let mut socket = world.connect().await;
        socket.write_all(&request()).await.unwrap();
        if begun {
            assert_ne!(socket.read(&mut [0; 512]).await.unwrap(), 0);
        } else {
            // The call must be under way before the client leaves.
            timeout(LIMIT, async {
                while world.seen.lock().unwrap().is_empty() {
                    tokio::task::yield_now().await;
                }
            })
            .await
            .unwrap();
        }
        drop(socket);
        timeout(LIMIT, gone.notified()).await.expect("the upstream sees the client go");
    }
}
