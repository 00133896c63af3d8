//! What is not understood passes through, byte for byte, both ways.

use lacon_proxy::Policy;
use serde_json::json;

use crate::support::{World, answer, ok, rows};

#[tokio::test]
async fn other_paths_pass_as_they_are() {
    let reply = b"HTTP/1.1 418 I'm a teapot\r\nx-request-id: r1\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nconnection: x-gone\r\nx-gone: 1\r\ncontent-length: 6\r\n\r\n\x00\xffodd\n";
    let world = World::new(answer(reply), Policy::Safe).await;
    let body = b"{\"messages\": [ 1.0, \"\\u00e9\" ]  }\x00\xff";
    let headers = "authorization: Bearer sk-secret\r\nx-api-key: k\r\nkeep-alive: 1\r\nte: trailers\r\nx-own: A b\r\nx-lacon-role: bull\r\n";
    let got = world.send("POST", "/v1/embeddings?a=1&b=%20", headers, body).await;
    {
        let seen = world.seen.lock().unwrap();
        let sent = &seen[0];
        assert!(sent.head.starts_with("POST /v1/embeddings?a=1&b=%20 HTTP/1.1\r\n"), "{}", sent.head);
        assert_eq!(sent.body, body);
        for (name, value) in [
            ("authorization", Some("Bearer sk-secret")),
            ("x-api-key", Some("k")),
            ("x-own", Some("A b")),
            ("x-lacon-role", Some("bull")),
            ("keep-alive", None),
            ("te", None),
            ("content-length", Some("35")),
        ] {
            assert_eq!(sent.header(name), value, "{name}");
        }
        assert_ne!(sent.header("host"), Some("proxy"));
    }
    assert_eq!((got.status, got.body()), (418, &b"\x00\xffodd\n"[..]));
    assert_eq!((got.header("x-request-id"), got.header("x-gone")), (Some("r1"), None));
    assert!(got.header("x-lacon-overhead-us").is_some() && got.header("x-lacon-tokens-before").is_none());
    world.send("OPTIONS", "*", "", b"").await.refused(400, "bad_path", "is no path");
    let listed = world.send("GET", "/v1/models", "", b"").await;
    assert_eq!(listed.status, 418);
    let seen = world.seen.lock().unwrap();
    assert!(seen[1].head.starts_with("GET /v1/models ") && seen[1].body.is_empty());
}

#[tokio::test]
async fn what_cannot_be_read_or_is_not_to_change_passes_as_it_is() {
    let world = World::new(ok(), Policy::Lossless).await;
    let chat = json!({"messages": [{"role": "user", "content": rows(30)}]}).to_string();
    let broken = &chat[..chat.len() - 1];
    let encoded = "content-encoding: gzip\r\n";
    let cases: [(&str, &[u8]); 8] = [
        ("", broken.as_bytes()),
        ("", b"\xff\xfe not text"),
        ("", b""),
        ("", b"[]"),
        ("", b"{\"messages\": \"no list\"}"),
        ("", b"{\"model\": \"m\", \"messages\": [{\"role\": \"user\", \"content\": \"hello\"}],\n \"x\" : 1e400 }"),
        (encoded, chat.as_bytes()),
        ("x-lacon-policy: off\r\n", chat.as_bytes()),
    ];
    for (headers, body) in cases {
        let got = world.send("POST", "/v1/chat/completions", headers, body).await;
        assert_eq!(got.status, 200);
        let sent = world.seen.lock().unwrap().pop().unwrap();
        assert_eq!(sent.body, body, "{headers}");
        assert_eq!(sent.header("x-lacon-policy"), None);
    }
    let off = World::new(ok(), Policy::Off).await;
    off.post("/v1/chat/completions", &chat).await;
    assert_eq!(off.last(), chat);
    // No request may go further than the server lets it.
    off.send("POST", "/v1/chat/completions", "x-lacon-policy: safe\r\n", chat.as_bytes()).await;
    assert_eq!(off.last(), chat);
}

#[tokio::test]
async fn the_server_says_that_it_stands_and_what_it_did() {
    let world = World::new(ok(), Policy::Lossless).await;
    assert_eq!(world.send("GET", "/healthz", "", b"").await.json()["status"], "ok");
    let chat = json!({"messages": [{"role": "tool", "content": rows(30)}]}).to_string();
    let got = world.post("/v1/chat/completions", &chat).await;
    let number = |name: &str| got.header(name).unwrap().parse::<u64>().unwrap();
    let (before, after) = (number("x-lacon-tokens-before"), number("x-lacon-tokens-after"));
    assert!(after < before, "{after} {before}");
    let metrics = world.send("GET", "/metrics", "", b"").await;
    for line in [
        "lacon_proxy_requests_total{route=\"chat\"} 1".to_owned(),
        format!("lacon_proxy_tokens_before_total {before}"),
        format!("lacon_proxy_tokens_after_total {after}"),
    ] {
        assert!(metrics.text().contains(&line), "{line}\n{}", metrics.text());
    }
}
