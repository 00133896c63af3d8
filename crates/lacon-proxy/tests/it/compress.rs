//! `POST /v1/compress`, as gateways call it.

use lacon_proxy::Policy;
use serde_json::{Value, json};

use crate::support::{World, blob, ok, rows};

#[tokio::test]
async fn messages_come_back_shorter_with_their_hashes() {
    let world = World::new(ok(), Policy::Safe).await;
    let messages = json!([
        {"role": "system", "content": rows(30)},
        {"role": "user", "content": "Which is dearest?", "extra": 1.5},
        {"role": "tool", "tool_call_id": "c", "content": format!("{}\n", rows(30))},
        {"role": "tool", "tool_call_id": "d", "content": format!("Attached: {}\n", blob())},
    ]);
    // A gateway that says nothing of retrieving gets exact forms alone.
    let plain = world
        .post("/v1/compress", &json!({"messages": messages, "model": "gpt-4o"}).to_string())
        .await
        .json();
    assert_eq!((&plain["ccr_hashes"], &plain["changed"]), (&json!([]), &json!(["/messages/2/content"])));
    assert_eq!(
        (&plain["messages"][0], &plain["messages"][1], &plain["messages"][3]),
        (&messages[0], &messages[1], &messages[3])
    );
    let (before, after) = (plain["tokens_before"].as_u64().unwrap(), plain["tokens_after"].as_u64().unwrap());
    assert!(after < before && plain["tokens_saved"] == before - after, "{plain}");
    assert_eq!(plain["transforms_applied"], json!(["json"]));

    let ccr = json!({"messages": messages, "config": {"mode": "ccr"}}).to_string();
    let ccr = world.post("/v1/compress", &ccr).await.json();
    let [Value::String(hash)] = &ccr["ccr_hashes"].as_array().unwrap()[..] else { panic!("{ccr}") };
    assert!(ccr["messages"][3]["content"].as_str().unwrap().contains(&format!("ref={hash}]")), "{ccr}");
    let got = world.send("GET", &format!("/v1/retrieve/{hash}"), "", b"").await;
    assert_eq!(got.json()["original_content"], blob());
    assert!(world.seen.lock().unwrap().is_empty(), "nothing is sent on");
}

#[tokio::test]
async fn what_is_no_list_of_messages_is_refused() {
    let world = World::new(ok(), Policy::Lossless).await;
    for body in ["", "{}", "nonsense", "{\"messages\": 7}", "{\"input\": \"text\"}"] {
        world.post("/v1/compress", body).await.refused(400, "bad_messages", "hint: send {\"messages\"");
    }
    let json = "content-type: application/json\r\n";
    world.send("POST", "/v1/compress", json, b"\xff").await.refused(400, "bad_messages", "no UTF-8");
    world.send("GET", "/v1/compress", "", b"").await.refused(405, "method", "POST it");
}
