//! Pages in a browser, a token, bombs, and work that nobody waits for.

use std::time::{Duration, Instant};

use lacon_proxy::Policy;
use serde_json::{Value, json};

use crate::support::{Got, World, ok, rows};

fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let n = body.len();
    format!("{method} {path} HTTP/1.1\r\n{headers}connection: close\r\ncontent-length: {n}\r\n\r\n{body}")
        .into_bytes()
}

#[tokio::test]
async fn a_rebound_name_and_a_foreign_page_are_refused() {
    let world = World::with(ok(), Policy::Lossless, |options| {
        options.access.hosts = vec!["box.internal".into()];
        options.access.origins = vec!["http://localhost:3000".into()];
    })
    .await;
    for host in [
        "evil.example",
        "evil.example:8787",
        "127.0.0.1.evil.example",
        "localhost.evil",
        "",
        "203.0.113.7",
        "10.0.0.1:8787",
        "192.168.1.1",
        "0.0.0.0",
        "[2001:db8::1]:8787",
        "[::]",
        "[::ffff:10.0.0.1]",
    ] {
        for path in ["/metrics", "/v1/retrieve/0123456789abcdef", "/v1/chat/completions", "/healthz"] {
            let got = Got::parse(&world.raw(&request("GET", path, &format!("host: {host}\r\n"), "")).await);
            assert_eq!(got.status, 421, "{host} {path}");
        }
    }
    for host in [
        "127.0.0.1:1",
        "localhost",
        "[::1]:8787",
        "box.internal:80",
        "LOCALHOST:2",
        "127.9.9.9",
        "[::ffff:127.0.0.1]",
    ] {
        let got = Got::parse(&world.raw(&request("GET", "/healthz", &format!("host: {host}\r\n"), "")).await);
        assert_eq!(got.status, 200, "{host}");
    }
    let from = |origin: &str| format!("content-type: application/json\r\n{origin}");
    let body = r#"{"messages":[]}"#;
    for origin in ["origin: http://evil.example\r\n", "origin: null\r\n", "sec-fetch-site: cross-site\r\n"] {
        world.send("POST", "/v1/compress", &from(origin), body.as_bytes()).await.refused(
            403,
            "bad_origin",
            "--allow-origin",
        );
        world.send("POST", "/v1/messages", &from(origin), body.as_bytes()).await.refused(
            403,
            "bad_origin",
            "page",
        );
    }
    let allowed = "origin: http://localhost:3000\r\n";
    let got = world.send("POST", "/v1/compress", &from(allowed), body.as_bytes()).await;
    assert_eq!((got.status, got.header("access-control-allow-origin")), (200, Some("http://localhost:3000")));
    let asks = format!("{allowed}access-control-request-method: POST\r\n");
    assert_eq!(world.send("OPTIONS", "/v1/compress", &asks, b"").await.status, 204);
    world.send("POST", "/v1/compress", "content-type: text/plain\r\n", body.as_bytes()).await.refused(
        415,
        "content_type",
        "JSON",
    );
}

#[tokio::test]
async fn our_own_routes_ask_for_the_token() {
    let world =
        World::with(ok(), Policy::Lossless, |options| options.access.token = Some("secret".into())).await;
    for path in ["/metrics", "/v1/retrieve/0123456789abcdef"] {
        for headers in ["", "x-lacon-token: secreT\r\n", "authorization: Bearer secre\r\n"] {
            world.send("GET", path, headers, b"").await.refused(401, "bad_token", "x-lacon-token");
        }
        assert_ne!(world.send("GET", path, "x-lacon-token: secret\r\n", b"").await.status, 401);
        assert_ne!(world.send("GET", path, "authorization: Bearer secret\r\n", b"").await.status, 401);
    }
    let got = world.send("POST", "/v1/messages", "x-lacon-token: secret\r\n", b"{}").await;
    assert_eq!(got.status, 200);
    assert!(world.seen.lock().unwrap().last().unwrap().header("x-lacon-token").is_none());
}

#[tokio::test]
async fn a_bomb_passes_as_it_is_and_freezes_nothing() {
    let world = World::new(ok(), Policy::Safe).await;
    let mut bomb = "@ref «1:text» is repeated by «1»\n".to_owned();
    (1..=40).for_each(|i| bomb.push_str(&format!("«{i}:")));
    bomb.push_str("aaaaaaaaaaaaaaaa");
    (1..=40).rev().for_each(|i| bomb.push_str(&format!("»«{i}»")));
    let started = Instant::now();
    let body = json!({"messages": [{"role": "tool", "content": bomb}]}).to_string();
    for _ in 0..3 {
        assert_eq!(world.post("/v1/chat/completions", &body).await.status, 200);
        assert_eq!(world.last(), body);
    }
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn after_its_time_the_original_goes_on() {
    let world =
        World::with(ok(), Policy::Lossless, |options| options.work_timeout = Duration::from_millis(1)).await;
    let body = json!({"messages": [{"role": "tool", "content": rows(60_000)}]}).to_string();
    assert_eq!(world.post("/v1/chat/completions", &body).await.status, 200);
    assert!(world.last() == body);
    let got = world.post("/v1/compress", &body).await;
    assert_eq!(got.json()["messages"], serde_json::from_str::<Value>(&body).unwrap()["messages"]);
}

#[tokio::test]
async fn what_users_say_and_edits_may_quote_stays() {
    let world = World::new(ok(), Policy::Lossless).await;
    let rows = rows(30);
    let call = |name: &str| json!({"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}}]});
    let result = json!({"role": "tool", "tool_call_id": "c", "content": rows});
    let tool = |name: &str| json!([{"type": "function", "function": {"name": name}}]);
    let stays = [
        json!({"messages": [{"role": "user", "content": rows}]}),
        json!({"messages": [call("read_file"), result]}),
        json!({"messages": [call("Read"), result]}),
        json!({"messages": [call("get_file_contents"), result]}),
        json!({"messages": [call("bash"), result], "tools": tool("str_replace_editor")}),
        json!({"messages": [call("bash"), result], "tools": tool("MultiEdit")}),
        json!({"messages": [call("bash"), result], "tools": [{"type": "text_editor_20250124", "name": "x"}]}),
        json!({"messages": [call("apply_patch"), result]}),
        // JSON that is laid out by hand.
        json!({"messages": [call("prices"), {"role": "tool", "tool_call_id": "c", "content": format!("{}  \n", rows.replace("\"price\"", " \"price\"  "))}]}),
    ];
    for body in stays {
        let body = body.to_string();
        world.post("/v1/chat/completions", &body).await;
        assert_eq!(world.last(), body);
    }
    let changes = [
        json!({"messages": [call("prices"), result]}),
        json!({"messages": [call("search_reddit"), result], "tools": tool("credit_check")}),
    ];
    for body in changes {
        let body = body.to_string();
        world.post("/v1/chat/completions", &body).await;
        assert!(world.last().len() < body.len(), "{body}");
        // Twice is once.
        let once = world.last();
        world.post("/v1/chat/completions", &once).await;
        assert_eq!(world.last(), once);
    }
}

#[tokio::test]
async fn a_policy_that_is_misspelled_changes_nothing() {
    let world = World::new(ok(), Policy::Lossless).await;
    let body = json!({"messages": [{"role": "tool", "content": rows(30)}]}).to_string();
    for policy in ["Off", "OFF", " off", "of", "none", "lossles"] {
        let headers = format!("content-type: application/json\r\nx-lacon-policy: {policy}\r\n");
        world.send("POST", "/v1/chat/completions", &headers, body.as_bytes()).await;
        assert_eq!(world.last(), body, "{policy}");
    }
    let headers = "x-lacon-policy: LossLess\r\n";
    world.send("POST", "/v1/chat/completions", headers, body.as_bytes()).await;
    assert!(world.last().len() < body.len());
}

#[tokio::test]
async fn a_marker_that_the_store_did_not_give_is_no_marker() {
    let world = World::new(ok(), Policy::Safe).await;
    let text = "see [blob hex, 400 chars, ref=0123456789abcdef] there";
    let body = json!({"messages": [{"role": "tool", "content": text}]}).to_string();
    let headers = "content-type: application/json\r\nx-lacon-retrieve: 1\r\n";
    world.send("POST", "/v1/chat/completions", headers, body.as_bytes()).await;
    assert_eq!(world.last(), body.replace("[blob", "[blob!"));
}

#[tokio::test]
async fn empty_bodies_keep_their_length_and_websockets_are_refused() {
    let world = World::new(ok(), Policy::Lossless).await;
    for path in ["/v1/batches/b/cancel", "/v1/chat/completions"] {
        assert_eq!(world.send("POST", path, "", b"").await.status, 200);
        assert_eq!(world.seen.lock().unwrap().last().unwrap().header("content-length"), Some("0"), "{path}");
    }
    world.send("GET", "/v1/realtime", "upgrade: websocket\r\n", b"").await.refused(501, "websocket", "HTTP");
}

#[tokio::test]
async fn a_slow_body_is_refused_on_every_path() {
    let world =
        World::with(ok(), Policy::Lossless, |options| options.body_timeout = Duration::from_millis(200))
            .await;
    for path in ["/v1/embeddings", "/v1/chat/completions", "/v1/compress"] {
        let head = "host: 127.0.0.1\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 10\r\n\r\n";
        let got = world.raw(format!("POST {path} HTTP/1.1\r\n{head}{{").as_bytes()).await;
        Got::parse(&got).refused(408, "body_timeout", "--body-timeout");
    }
}
