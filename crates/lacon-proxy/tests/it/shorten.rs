//! Requests that are understood: what changes on the way, and what never does.

use lacon_prompt::request::{Request, splice};
use lacon_proxy::Policy;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{World, blob, ok, rows};

const TOOL: &str = r#"[{"type": "function", "function": {"name": "lacon_retrieve", "parameters": {}}}]"#;

#[tokio::test]
async fn texts_change_and_every_other_byte_stays() {
    let world = World::new(ok(), Policy::Lossless).await;
    let rows = rows(30);
    let quoted = Value::String(rows.clone()).to_string();
    for (path, body, expected) in [
        (
            "/v1/chat/completions",
            format!(
                r#" {{"model":"gpt-5-mini" , "temperature": 0.70, "unknown": [{quoted}, null, 1e5],
                "messages" :[ {{"role":"system","content":{quoted}}}, {{"content":{quoted} , "role" : "tool", "x": {{}}}} ] }} "#
            ),
            vec!["/messages/1/content"],
        ),
        (
            "/v1/responses",
            format!(
                r#"{{"instructions": {quoted}, "input": [{{"type":"function_call_output","call_id":"c","output":{quoted}}}], "store":false}}"#
            ),
            vec!["/input/0/output"],
        ),
        (
            "/v1/messages",
            format!(
                r#"{{"system": {quoted}, "max_tokens": 5, "messages": [{{"role":"user","content":[
                {{"type":"tool_result","tool_use_id":"t","content":{quoted}}},{{"type":"text","text":"Which is dearest?"}}]}}]}}"#
            ),
            vec!["/messages/0/content/0/content"],
        ),
    ] {
        let got = world.post(path, &body).await;
        assert_eq!(got.status, 200, "{path}");
        let sent = world.last();
        assert!(sent.len() < body.len(), "{path}: {sent}");
        // Giving each text back where it stands gives the bytes that the client sent.
        let changed: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        let back = Request::parse(&sent).unwrap().restore(&changed, None).unwrap();
        assert_eq!(splice(&sent, &back), body, "{path}");
    }
}

#[tokio::test]
async fn runs_are_offloaded_only_where_the_request_can_have_them_back() {
    let world = World::new(ok(), Policy::Safe).await;
    let text = format!("Attached: {}\n", blob());
    let body = |more: &str| {
        format!(r#"{{"messages": [{{"role": "tool", "content": {}}}]{more}}}"#, Value::String(text.clone()))
    };
    let cases = [
        ("", String::new(), false),
        ("", format!(r#", "tools": {TOOL}"#), true),
        ("", format!(r#", "tools": {TOOL}, "tool_choice": "none""#), false),
        ("x-lacon-retrieve: 1\r\n", String::new(), true),
        ("x-lacon-retrieve: 1\r\nx-lacon-policy: lossless\r\n", String::new(), false),
    ];
    for (headers, more, expected) in cases {
        world.send("POST", "/v1/chat/completions", headers, body(&more).as_bytes()).await;
        let sent = world.last();
        assert_eq!(sent.contains("ref="), expected, "{headers} {more}: {sent}");
        if expected {
            let handle = sent.split("ref=").nth(1).unwrap()[..16].to_owned();
            let got = world.send("GET", &format!("/v1/retrieve/{handle}"), "", b"").await;
            assert_eq!(got.json(), json!({"hash": handle, "original_content": blob()}));
        } else {
            assert_eq!(sent, body(&more));
        }
    }
    for (handle, status, code, message) in [
        ("0123456789abcdef", 404, "unknown_handle", "nothing is stored as 0123456789abcdef"),
        ("0123456789ABCDEF", 400, "bad_handle", "is no handle"),
        ("..%2F..%2Fetc", 400, "bad_handle", "16 hex digits"),
    ] {
        let got = world.send("GET", &format!("/v1/retrieve/{handle}"), "", b"").await;
        got.refused(status, code, message);
    }
    // What the model asked for in full is not taken from it again.
    let asked = format!(
        r#"{{"tools": {TOOL}, "messages": [
            {{"role": "assistant", "tool_calls": [{{"id": "c", "type": "function", "function": {{"name": "lacon_retrieve", "arguments": "{{}}"}}}}]}},
            {{"role": "tool", "tool_call_id": "c", "content": {}}}]}}"#,
        Value::String(text.clone())
    );
    world.post("/v1/chat/completions", &asked).await;
    assert_eq!(world.last(), asked);
}

fn messages() -> impl Strategy<Value = Vec<Value>> {
    let text = prop_oneof![
        (1usize..40).prop_map(rows),
        "[ -~\n]{0,200}",
        (1usize..4).prop_map(|n| format!("{}\n{}", blob(), "see above ".repeat(n))),
        (20usize..40).prop_map(|n| (0..n).map(|i| format!("    let value_{i} = compute({n});\n")).collect()),
    ];
    let message = (prop::sample::select(vec!["system", "user", "assistant", "tool"]), text)
        .prop_map(|(role, text)| json!({"role": role, "content": text}));
    prop::collection::vec(message, 1..7)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_growing_conversation_keeps_its_beginning(messages in messages()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new(ok(), Policy::Safe).await;
            let tools: Value = serde_json::from_str(TOOL).unwrap();
            let mut earlier = String::new();
            for n in 1..=messages.len() {
                let body = json!({"model": "m", "tools": tools, "messages": messages[..n]}).to_string();
                world.post("/v1/chat/completions", &body).await;
                let sent = world.last();
                let open = sent.strip_suffix("]}").unwrap();
                assert!(open.starts_with(&earlier), "{earlier}\n{open}");
                earlier = open.to_owned();
            }
        });
    }
}

/// Arm and outcome of a request.
type Told = (Option<&'static str>, Option<String>);

#[tokio::test]
async fn a_conversation_that_is_held_out_passes_as_it_came_and_says_so() {
    let told: std::sync::Arc<std::sync::Mutex<Vec<Told>>> = std::sync::Arc::default();
    let body = json!({"model": "gpt-5", "messages": [{"role": "user", "content": "q"}, {"role": "tool", "content": rows(30)}]});
    let body = body.to_string();
    for (holdout, arm) in [(1000, "control"), (1, "treated"), (0, "")] {
        let heard = std::sync::Arc::clone(&told);
        let world = World::with(ok(), Policy::Lossless, |options| {
            options.holdout = holdout;
            options.on_served = Some(std::sync::Arc::new(move |served| {
                heard
                    .lock()
                    .unwrap()
                    .push((served.arm.map(lacon_proxy::Arm::as_str), served.outcome.clone()));
            }));
        })
        .await;
        let got = world
            .send("POST", "/v1/chat/completions", "x-lacon-outcome: ticket-7\r\n", body.as_bytes())
            .await;
        assert_eq!(got.header("x-lacon-arm").unwrap_or_default(), arm);
        assert_eq!(world.last() == body, arm == "control");
        assert_eq!(
            got.header("x-lacon-tokens-after") == got.header("x-lacon-tokens-before"),
            arm == "control"
        );
        assert!(world.seen.lock().unwrap().iter().all(|sent| sent.header("x-lacon-outcome").is_none()));
    }
    let name = || Some("ticket-7".to_owned());
    assert_eq!(*told.lock().unwrap(), [(Some("control"), name()), (Some("treated"), name()), (None, name())]);
}
