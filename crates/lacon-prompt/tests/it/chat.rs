use lacon_prompt::Error;
use lacon_prompt::chat::{compress, count, expand};
use lacon_prompt::offload::MemoryStore;
use lacon_prompt::request::RequestOptions;
use lacon_tokens::{Encoding, EncodingName, Exactness, for_model};
use serde_json::{Value, json};

fn o200k() -> &'static Encoding {
    lacon_tokens::encoding(EncodingName::O200kBase)
}

fn rows(n: usize) -> String {
    let rows: Vec<Value> =
        (0..n).map(|i| json!({"day": format!("2026-01-{i:02}"), "close": i * 7, "venue": "XNAS"})).collect();
    serde_json::to_string_pretty(&rows).expect("is JSON")
}

fn conversation() -> Vec<Value> {
    vec![
        json!({"role": "system", "content": rows(20)}),
        json!({"role": "user", "content": rows(20)}),
        json!({"role": "assistant", "content": null, "tool_calls": [{"id": "a", "type": "function", "function": {"name": "prices", "arguments": "{}"}}]}),
        json!({"role": "tool", "tool_call_id": "a", "content": rows(20), "unknown": [1.5, null]}),
        json!({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": rows(21)}]},
            {"type": "text", "text": rows(22)},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}),
        json!({"type": "function_call_output", "call_id": "c", "output": rows(23)}),
    ]
}

#[test]
fn material_changes_and_comes_back() {
    let messages = conversation();
    let options = RequestOptions::default();
    let short = compress(&messages, &options, None, None, o200k()).expect("no store can fail");
    assert!(short.exact && short.tokens_after < short.tokens_before, "{short:?}");
    assert_eq!([&short.messages[0], &short.messages[2]], [&messages[0], &messages[2]]);
    assert!(short.messages[3]["content"].as_str().is_some_and(|text| text.starts_with('@')));
    assert_eq!(short.messages[3]["unknown"], messages[3]["unknown"]);
    assert!(short.changed.contains(&"/5/output".to_owned()), "{:?}", short.changed);
    assert_eq!(expand(&short.messages, &short.changed, None).expect("is whole"), messages);
    assert_eq!(expand(&messages, &[], None).expect("is whole"), messages);
    let protect = ["user".to_owned()];
    let less = compress(&messages, &RequestOptions { protect: &protect, ..options }, None, None, o200k());
    let less = less.expect("no store can fail");
    assert_eq!(less.messages[1], messages[1]);
    assert_ne!(less.messages[3], messages[3]);
}

#[test]
fn a_budget_is_met_or_refused() {
    let messages = conversation();
    let within = |budget| compress(&messages, &RequestOptions::default(), Some(budget), None, o200k());
    let plain = within(100_000).expect("fits");
    assert!(
        matches!(within(100), Err(Error::TooLong { budget: 100, tokens }) if tokens == plain.tokens_after)
    );
}

#[test]
fn an_audit_gives_the_input_and_stores_nothing() {
    let mut messages = conversation();
    let blob: String = (0..900u32)
        .map(|i| char::from(b"aB3xYz9QkL+/mN7p0RtUvW2CdEfGh"[(i * i % 29 + i % 3) as usize % 29]))
        .collect();
    messages.push(
        json!({"role": "tool", "tool_call_id": "d", "content": format!("data:image/png;base64,{blob}")}),
    );
    let mut store = MemoryStore::new([7; 32], 1 << 20);
    let mut options = RequestOptions::default();
    options.compress.audit = true;
    let audited = compress(&messages, &options, None, Some(&mut store), o200k()).expect("works");
    assert_eq!(audited.messages, messages);
    assert!(store.is_empty() && audited.tokens_after < audited.tokens_before, "{audited:?}");
}

#[test]
fn what_is_no_message_is_refused_by_its_place() {
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    for bad in [json!("text"), json!({"content": "no role"}), json!(null), json!({"role": "user", "x": deep})]
    {
        let messages = [json!({"role": "user", "content": "hello"}), bad];
        let refused = compress(&messages, &RequestOptions::default(), None, None, o200k());
        assert!(matches!(refused, Err(Error::BadMessage { index: 1, .. })), "{refused:?}");
        assert!(matches!(
            count(&messages, &[], None, &for_model("gpt-4o")),
            Err(Error::BadMessage { index: 1, .. })
        ));
    }
}

#[test]
fn a_request_is_counted_with_its_calls_tools_and_pictures() {
    let counted =
        |messages: &[Value]| count(messages, &[], None, &for_model("gpt-4o")).expect("are messages");
    let hello = counted(&[json!({"role": "user", "content": "hello"})]);
    assert_eq!((hello.total, hello.framing, hello.how), (8, 6, Exactness::Framed));
    let parts = counted(&[json!({"role": "user", "content": [{"type": "text", "text": "hello"}]})]);
    assert_eq!(parts.total, hello.total);
    let call = json!({"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{\"a\":1}"}}]});
    let used = json!({"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {"a": 1}}]});
    assert_eq!(counted(&[call]).total, counted(&[used]).total);
    let pictured = counted(&[
        json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}),
    ]);
    assert_eq!((pictured.images, pictured.how), (85, Exactness::Heuristic));
    let tools = [json!({"type": "function", "function": {"name": "f", "description": "does it"}})];
    let with_tools =
        count(&[json!({"role": "user", "content": "hello"})], &tools, None, &for_model("gpt-4o"));
    assert!(with_tools.expect("are messages").tools > 0);
}
