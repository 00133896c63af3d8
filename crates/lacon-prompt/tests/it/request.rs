//! Requests as they go over the wire: what changes, what must not, and how it comes back.

use lacon_prompt::batch::ProcessedCache;
use lacon_prompt::offload::{MemoryStore, Store};
use lacon_prompt::request::{Request, RequestOptions, Shrunk, splice};
use lacon_tokens::{Encoding, EncodingName};
use proptest::prelude::*;
use serde_json::{Value, json};

fn o200k() -> &'static Encoding {
    lacon_tokens::encoding(EncodingName::O200kBase)
}

fn rows(n: usize) -> String {
    let rows: Vec<Value> =
        (0..n).map(|i| json!({"ticker": format!("T{i}"), "price": i * 3, "venue": "XNAS"})).collect();
    Value::Array(rows).to_string()
}

fn code(changed: usize) -> String {
    (0..60)
        .map(|i| format!("    let value_{i} = compute({});\n", if i == changed { 999 } else { i }))
        .collect()
}

fn blob() -> String {
    (0..600u32)
        .map(|i| char::from(b"aB3xYz9QkL+/mN7p0RtUvW2CdEfGh"[(i * i % 29 + i % 3) as usize % 29]))
        .collect()
}

fn shrink(json: &str) -> Shrunk {
    let request = Request::parse(json).expect("a request");
    request.shrink(&RequestOptions::default(), None, o200k()).expect("memory does not fail")
}

/// The changed places; what stands there afterwards comes back, and every other byte stays.
fn changed(json: &str) -> Vec<String> {
    let shrunk = shrink(json);
    let after = splice(json, &shrunk.edits);
    assert!(shrunk.tokens_after <= shrunk.tokens_before, "{json}");
    let pointers: Vec<String> = shrunk.edits.iter().map(|edit| edit.pointer.clone()).collect();
    let request = Request::parse(&after).expect("still a request");
    let back = request.restore(&pointers, None).expect("what was shortened comes back");
    let value = |json: &str| serde_json::from_str::<Value>(json).expect("still JSON");
    assert_eq!(value(&splice(&after, &back)), value(json));
    let mut rest = json.to_owned();
    let mut rest_after = after.clone();
    for (edit, made) in shrunk.edits.iter().zip(&back).rev() {
        rest.replace_range(edit.range.clone(), "");
        rest_after.replace_range(made.range.clone(), "");
    }
    assert_eq!(rest, rest_after);
    pointers
}

#[test]
fn material_changes_and_nothing_else() {
    let rows = rows(20);
    let chat = json!({"model": "m", "unknown": {"b": 1.0, "a": [rows]}, "messages": [
        {"role": "system", "content": rows},
        {"role": "developer", "content": rows},
        {"role": "user", "content": [{"type": "text", "text": format!("Which is dearest?\n{rows}")}, {"type": "image_url"}]},
        {"role": "assistant", "content": rows, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "quotes", "arguments": rows}},
            {"id": "c2", "type": "function", "function": {"name": "lacon_retrieve", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": format!("{rows}\n")},
        {"role": "tool", "tool_call_id": "c2", "content": format!("{rows}\n\n")},
        {"role": "strange", "content": rows},
    ]});
    assert_eq!(changed(&chat.to_string()), ["/messages/2/content/0/text", "/messages/4/content"]);

    let responses = json!({"instructions": rows, "input": [
        {"role": "developer", "content": rows},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": rows}]},
        {"type": "function_call", "call_id": "c1", "name": "quotes", "arguments": rows},
        {"type": "function_call_output", "call_id": "c1", "output": format!("{rows}\n")},
        {"type": "reasoning", "encrypted_content": rows},
    ]});
    assert_eq!(changed(&responses.to_string()), ["/input/1/content/0/text", "/input/3/output"]);
    assert_eq!(changed(&json!({"input": rows}).to_string()), ["/input"]);

    let messages = json!({"system": rows, "messages": [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "mcp__lacon__retrieve", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": rows},
            {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": rows, "cache_control": {"type": "ephemeral"}}]},
            {"type": "text", "text": format!(" {rows}"), "citations": []},
            {"type": "document", "source": {"type": "text", "data": rows}},
        ]},
    ]});
    assert_eq!(changed(&messages.to_string()), ["/messages/1/content/1/content/0/text"]);
    assert_eq!(changed(&json!([{"role": "user", "content": rows}]).to_string()), ["/0/content"]);
    for other in
        ["", "{}", "7", "[", "{\"messages\": 7}", "not json", "{\"messages\": [{\"role\": \"user\"}]"]
    {
        assert!(Request::parse(other).is_none(), "{other}");
    }
}

#[test]
fn whoever_is_protected_keeps_his_texts() {
    let rows = rows(20);
    let json = json!({"messages": [
        {"role": "user", "content": rows},
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "quotes"}}]},
        {"role": "tool", "tool_call_id": "c", "content": format!("{rows}\n")},
        {"role": "tool", "content": format!("{rows}\n\n")},
    ]})
    .to_string();
    for (protect, expected) in [
        ("user", vec!["/messages/2/content", "/messages/3/content"]),
        ("tool", vec!["/messages/0/content"]),
        ("quotes", vec!["/messages/0/content", "/messages/3/content"]),
    ] {
        let protect = [protect.to_owned()];
        let options = RequestOptions { protect: &protect, ..RequestOptions::default() };
        let shrunk = Request::parse(&json).unwrap().shrink(&options, None, o200k()).unwrap();
        let pointers: Vec<&str> = shrunk.edits.iter().map(|edit| edit.pointer.as_str()).collect();
        assert_eq!(pointers, expected, "{protect:?}");
    }
}

#[test]
fn a_model_retrieves_only_what_its_request_lets_it() {
    let check = |body: Value, expected: bool| {
        let json = body.to_string();
        assert_eq!(Request::parse(&json).unwrap().can_retrieve(), expected, "{json}");
    };
    let chat = json!([{"type": "function", "function": {"name": "lacon_retrieve"}}]);
    check(json!({"messages": []}), false);
    check(json!({"messages": [{"role": "user", "content": "lacon_retrieve"}]}), false);
    check(json!({"messages": [], "tools": chat}), true);
    check(json!({"messages": [], "tools": chat, "tool_choice": "auto"}), true);
    check(json!({"messages": [], "tools": chat, "tool_choice": {"type": "any"}}), true);
    check(json!({"messages": [], "tools": chat, "tool_choice": "none"}), false);
    check(json!({"messages": [], "tools": chat, "tool_choice": {"type": "tool", "name": "x"}}), false);
    check(json!({"messages": [], "tools": [{"name": "mcp__lacon__retrieve"}]}), true);
    check(json!({"input": "", "tools": [{"type": "function", "name": "lacon_retrieve"}]}), true);
}

#[test]
fn what_is_offloaded_is_named_and_comes_back() {
    let json = json!({"messages": [{"role": "tool", "content": format!("key: {}", blob())}]}).to_string();
    let request = Request::parse(&json).unwrap();
    assert!(request.shrink(&RequestOptions::default(), None, o200k()).unwrap().edits.is_empty());
    let mut store = MemoryStore::new([7; 32], 1 << 20);
    let shrunk = request.shrink(&RequestOptions::default(), Some(&mut store), o200k()).unwrap();
    let [handle] = &shrunk.handles()[..] else { panic!("{shrunk:?}") };
    assert_eq!(store.get(handle).unwrap(), Some(blob()));
    let after = splice(&json, &shrunk.edits);
    let back = Request::parse(&after).unwrap();
    let pointers = ["/messages/0/content".to_owned()];
    assert_eq!(splice(&after, &back.restore(&pointers, Some(&store)).unwrap()), json);
    let missing = back.restore(&pointers, None).unwrap_err().to_string();
    assert!(missing.contains("no stored content"), "{missing}");
    let wrong = back.restore(&["/messages/7/content".to_owned()], Some(&store)).unwrap_err().to_string();
    assert!(wrong.contains("/messages/7/content"), "{wrong}");
}

#[test]
fn a_second_reading_leans_on_the_first_unless_the_provider_cuts_there() {
    let message = |text: String| json!({"role": "tool", "content": text});
    let messages = json!([message(code(99)), message(code(30)), message(code(99))]);
    let texts = |body: Value| -> Vec<String> {
        shrink(&body.to_string()).edits.into_iter().map(|edit| edit.text).collect()
    };
    let leaning = texts(json!({"messages": messages}));
    assert!(leaning.len() == 2 && leaning[0].starts_with("@edit "), "{leaning:?}");
    assert_eq!(leaning[1], "@same text as the one above that begins \"    let value_0 = compute(0);\"");
    for cuts in [
        json!({"messages": messages, "context_management": {}}),
        json!({"input": messages, "truncation": "auto"}),
    ] {
        assert!(
            texts(cuts.clone()).iter().all(|text| !text.contains("@edit") && !text.contains("@same")),
            "{cuts}"
        );
    }
}

#[test]
fn a_copy_of_what_comes_back_in_another_layout_is_no_duplicate() {
    let odd = format!("[ {} ]", (0..90).map(|i| format!("{i},   {i}  ")).collect::<Vec<_>>().join(","));
    let json =
        json!({"messages": [{"role": "tool", "content": odd}, {"role": "tool", "content": odd}]}).to_string();
    let shrunk = shrink(&json);
    assert!(shrunk.edits.len() == 2 && !shrunk.edits[1].text.starts_with("@same"), "{shrunk:?}");
    let after = splice(&json, &shrunk.edits);
    let pointers: Vec<String> = shrunk.edits.iter().map(|edit| edit.pointer.clone()).collect();
    let back = Request::parse(&after).unwrap().restore(&pointers, None).unwrap();
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert!(back.iter().all(|edit| value(&edit.text) == value(&odd)), "{back:?}");
}

#[test]
fn half_a_surrogate_and_unknown_escapes_stay() {
    let json = r#"{"messages": [{"role": "user", "content": "\ud800 half"}, {"role":"user","content":"\u0041\/b"}], "x" : 1e400}"#;
    assert!(shrink(json).edits.is_empty());
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        (1usize..40).prop_map(rows),
        (0usize..60).prop_map(code),
        "[ -~\n]{0,200}",
        "\\PC{0,80}",
        (1usize..30).prop_map(|n| (0..n)
            .map(|i| format!("2026-01-02 10:00:{i:02} INFO Received block blk_{i} of size {}\n", i * 7))
            .collect()),
        Just("@same text as the one above that begins \"x\"".to_owned()),
        Just(format!("see {}", blob())),
    ]
}

fn conversations() -> impl Strategy<Value = Vec<Value>> {
    let message = (0usize..5, texts()).prop_map(|(who, text)| match who {
        0 => json!({"role": "system", "content": text}),
        1 => json!({"role": "user", "content": text, "extra": 1.50}),
        2 => json!({"role": "assistant", "content": text}),
        3 => json!({"role": "user", "content": [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": "data:"}}]}),
        _ => json!({"role": "tool", "tool_call_id": "c", "content": text}),
    });
    prop::collection::vec(message, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_conversation_comes_back(messages in conversations()) {
        changed(&json!({"model": "m", "messages": messages, "temperature": 0.70}).to_string());
    }

    #[test]
    fn a_growing_conversation_keeps_its_beginning(messages in conversations(), stored: bool) {
        let cache = ProcessedCache::new(1 << 20);
        let mut store = MemoryStore::new([7; 32], 1 << 20);
        let mut earlier = String::new();
        for n in 1..=messages.len() {
            // An array that is not closed: what a longer one begins with.
            let json = json!({"messages": messages[..n]}).to_string();
            let request = Request::parse(&json).unwrap();
            let mut sent = |cache| {
                let options = RequestOptions { cache, ..RequestOptions::default() };
                let store = stored.then_some(&mut store as &mut dyn Store);
                splice(&json, &request.shrink(&options, store, o200k()).unwrap().edits)
            };
            let (fresh, cached) = (sent(None), sent(Some(&cache)));
            prop_assert_eq!(&fresh, &cached);
            let open = fresh.strip_suffix("]}").unwrap().to_owned();
            prop_assert!(open.starts_with(&earlier), "{}\n{}", earlier, open);
            earlier = open;
        }
    }
}

/// One line above the first form tells how to read them all; it is counted, and it goes again.
#[test]
fn a_legend_stands_once_above_the_first_form() {
    use lacon_prompt::compress::{LEGEND, Options, compress, expand};
    let rows = |n: usize, seed: usize| {
        let rows: Vec<Value> = (0..n).map(|i| json!({"id": i, "venue": "XNAS", "value": i * seed})).collect();
        json!({"role": "tool", "tool_call_id": "a", "content": serde_json::to_string(&rows).unwrap()})
    };
    // The first result saves less than the legend costs.
    let json = json!({"model": "m", "messages": [rows(3, 7), rows(60, 7), rows(60, 9)]}).to_string();
    let request = Request::parse(&json).unwrap();
    let options = RequestOptions { legend: true, ..RequestOptions::default() };
    let shrunk = request.shrink(&options, None, o200k()).unwrap();
    let plain = request.shrink(&RequestOptions::default(), None, o200k()).unwrap();
    let texts: Vec<&str> = shrunk.edits.iter().map(|edit| edit.text.as_str()).collect();
    assert_eq!(shrunk.edits.first().unwrap().pointer, "/messages/1/content");
    assert!(texts[0].starts_with(LEGEND) && texts[1..].iter().all(|text| !text.contains("@legend")));
    assert!(shrunk.tokens_after > plain.tokens_after && shrunk.tokens_after < shrunk.tokens_before);
    let short = splice(&json, &shrunk.edits);
    let changed: Vec<String> = shrunk.edits.iter().map(|edit| edit.pointer.clone()).collect();
    let back = Request::parse(&short).unwrap().restore(&changed, None).unwrap();
    assert_eq!(splice(&short, &back), json);
    // A text that says the same by itself comes back as it is.
    for own in [LEGEND.to_owned(), format!("{LEGEND}\nMore of it."), "@legend of the sea".to_owned()] {
        let done = compress(&own, Options::default(), None, o200k()).unwrap();
        assert_eq!(expand(&done.text, None).unwrap(), own);
    }
}
