//! Trimming by each provider's rules: random requests of OpenAI (chat, Responses), Anthropic and Gemini, and a validator for each.

use lacon_prompt::Error;
use lacon_prompt::meter;
use lacon_prompt::offload::{Handle, MemoryStore, Store};
use lacon_prompt::trim::{TrimOptions, is_request, trim_request};
use lacon_tokens::{Encoding, EncodingName, for_model};
use proptest::prelude::*;
use serde_json::{Value, json};

fn o200k() -> &'static Encoding {
    lacon_tokens::encoding(EncodingName::O200kBase)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Provider {
    Chat,
    Responses,
    Anthropic,
    Gemini,
}

/// One exchange: what a user asks, rounds of calls with their results, and whether an answer follows.
#[derive(Debug, Clone)]
struct Exchange {
    ask: String,
    rounds: Vec<(usize, String, bool)>,
    answer: String,
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z ]{1,40}",
        Just("{\"id\": \"A_1\", \"n\": 22.5} ".repeat(12)),
        Just("line of a long result, nothing much in it\n".repeat(30)),
        "\\PC{1,30}"
    ]
}

fn exchanges() -> impl Strategy<Value = Vec<Exchange>> {
    let round = (1usize..4, words(), any::<bool>());
    let exchange = (words(), prop::collection::vec(round, 0..4), words())
        .prop_map(|(ask, rounds, answer)| Exchange { ask, rounds, answer });
    prop::collection::vec(exchange, 1..6)
}

fn provider() -> impl Strategy<Value = Provider> {
    prop_oneof![
        Just(Provider::Chat),
        Just(Provider::Responses),
        Just(Provider::Anthropic),
        Just(Provider::Gemini)
    ]
}

fn request(provider: Provider, exchanges: &[Exchange], ends_open: bool) -> Value {
    let mut list = Vec::new();
    let last = exchanges.len() - 1;
    for (e, Exchange { ask, rounds, answer }) in exchanges.iter().enumerate() {
        list.push(match provider {
            Provider::Gemini => json!({"role": "user", "parts": [{"text": ask}]}),
            Provider::Anthropic => json!({"role": "user", "content": [{"type": "text", "text": ask}]}),
            _ => json!({"role": "user", "content": ask}),
        });
        for (r, (calls, result, thinks)) in rounds.iter().enumerate() {
            let ids: Vec<String> = (0..*calls).map(|c| format!("call_{e}_{r}_{c}")).collect();
            let each = |make: &dyn Fn(&String) -> Value| ids.iter().map(make).collect::<Vec<Value>>();
            match provider {
                Provider::Chat => {
                    list.push(json!({"role": "assistant", "content": null, "tool_calls": each(&|id| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}))}));
                    list.extend(each(&|id| json!({"role": "tool", "tool_call_id": id, "content": result})));
                }
                Provider::Responses => {
                    if *thinks {
                        list.push(json!({"type": "reasoning", "id": format!("rs_{e}_{r}"), "summary": [], "encrypted_content": "gAAA"}));
                    }
                    list.extend(each(
                        &|id| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"}),
                    ));
                    list.extend(each(
                        &|id| json!({"type": "function_call_output", "call_id": id, "output": result}),
                    ));
                }
                Provider::Anthropic => {
                    let mut content = Vec::new();
                    if *thinks {
                        content.push(json!({"type": "thinking", "thinking": "so be it", "signature": format!("sig_{e}_{r}")}));
                    }
                    content.extend(each(
                        &|id| json!({"type": "tool_use", "id": id, "name": "f", "input": {"n": 1}}),
                    ));
                    list.push(json!({"role": "assistant", "content": content}));
                    list.push(json!({"role": "user", "content": each(&|id| json!({"type": "tool_result", "tool_use_id": id, "content": [{"type": "text", "text": result}]}))}));
                }
                Provider::Gemini => {
                    list.push(json!({"role": "model", "parts": each(&|_| json!({"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "sig"}))}));
                    list.push(json!({"role": "user", "parts": each(&|_| json!({"functionResponse": {"name": "f", "response": {"output": result}}}))}));
                }
            }
        }
        if e < last || !ends_open {
            list.push(match provider {
                Provider::Gemini => json!({"role": "model", "parts": [{"text": answer}]}),
                Provider::Anthropic => {
                    json!({"role": "assistant", "content": [{"type": "text", "text": answer}]})
                }
                _ => json!({"role": "assistant", "content": answer}),
            });
        }
    }
    match provider {
        Provider::Chat => {
            list.insert(0, json!({"role": "system", "content": "Never sell."}));
            json!({"model": "gpt-4o", "messages": list})
        }
        Provider::Responses => json!({"model": "gpt-5", "instructions": "Never sell.", "input": list}),
        Provider::Anthropic => json!({"model": "claude", "system": "Never sell.", "messages": list}),
        Provider::Gemini => {
            json!({"systemInstruction": {"parts": [{"text": "Never sell."}]}, "contents": list})
        }
    }
}

fn list_of(provider: Provider, request: &Value) -> &Vec<Value> {
    let key = match provider {
        Provider::Responses => "input",
        Provider::Gemini => "contents",
        _ => "messages",
    };
    request[key].as_array().expect("a list")
}

fn parts(item: &Value) -> Vec<Value> {
    ["content", "parts"].iter().find_map(|key| item[*key].as_array().cloned()).unwrap_or_default()
}

/// Calls and results of an item.
fn calls(item: &Value) -> (Vec<String>, Vec<String>) {
    let id = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let (mut made, mut answered) = (Vec::new(), Vec::new());
    made.extend(item["tool_calls"].as_array().into_iter().flatten().map(|call| id(&call["id"])));
    if item["role"] == "tool" {
        answered.push(id(&item["tool_call_id"]));
    }
    match item["type"].as_str() {
        Some("function_call") => made.push(id(&item["call_id"])),
        Some("function_call_output") => answered.push(id(&item["call_id"])),
        _ => {}
    }
    for part in parts(item) {
        match part["type"].as_str() {
            Some("tool_use") => made.push(id(&part["id"])),
            Some("tool_result") => answered.push(id(&part["tool_use_id"])),
            _ => {
                made.extend(part["functionCall"]["name"].as_str().map(str::to_owned));
                answered.extend(part["functionResponse"]["name"].as_str().map(str::to_owned));
            }
        }
    }
    (made, answered)
}

/// What a provider asks of a list: pairs at once and whole, order, a user first, turns where they are needed, reasoning in front of
/// what it led to.
fn is_valid(provider: Provider, list: &[Value]) -> Result<(), String> {
    let mut open: Vec<String> = Vec::new();
    let mut before = "";
    for (i, item) in list.iter().enumerate() {
        let (made, answered) = calls(item);
        for id in &answered {
            let at = open.iter().position(|known| known == id).ok_or(format!("orphan {id} at {i}"))?;
            open.remove(at);
        }
        let goes_on = item["type"] == "function_call" && !made.is_empty() && answered.is_empty();
        if answered.is_empty() && !open.is_empty() && !goes_on {
            return Err(format!("unanswered {open:?} before {i}"));
        }
        open.extend(made);
        if item["type"] == "reasoning" && list.get(i + 1).is_none_or(|next| next["type"] != "function_call") {
            return Err(format!("reasoning at {i} leads to nothing"));
        }
        let role = item["role"].as_str().unwrap_or("");
        if matches!(provider, Provider::Anthropic | Provider::Gemini) {
            if role == before {
                return Err(format!("two turns of {role} at {i}"));
            }
            before = role;
        }
    }
    let first = list.iter().find(|item| item["role"] != "system" && item["role"] != "developer");
    match first {
        Some(item) if item["role"] == "user" && calls(item).1.is_empty() => Ok(()),
        other => Err(format!("begins with {other:?}")),
    }
}

fn is_note(item: &Value) -> bool {
    item["content"].as_str().is_some_and(|text| text.contains("earlier messages were left out"))
}

/// A message with the texts of its results taken out.
fn without_results(item: &Value) -> Value {
    let mut item = item.clone();
    if item["role"] == "tool" {
        item["content"] = Value::Null;
    }
    if item["type"] == "function_call_output" {
        item["output"] = Value::Null;
    }
    for key in ["content", "parts"] {
        for part in item.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
            if part["type"] == "tool_result" {
                part["content"] = Value::Null;
            }
            if let Some(response) = part.get_mut("functionResponse") {
                response["response"] = Value::Null;
            }
        }
    }
    item
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::option_env!("RUN_SLOW_TESTS").is_some() { 20_000 } else { 400 }))]
    #[test]
    fn trimmed_requests_keep_the_rules_of_their_provider(
        provider in provider(), exchanges in exchanges(), ends_open in any::<bool>(), drop_first in any::<bool>(),
        share in 5usize..105, stride in 0usize..4, offload in any::<bool>(), loose in any::<bool>(),
    ) {
        let request = request(provider, &exchanges, ends_open);
        let json = if loose { format!("{request:#}") } else { request.to_string() };
        let whole = meter::count(&json, &for_model("gpt-4o")).expect("is a request").total;
        let budget = whole * share / 100;
        let options = TrimOptions { stride, drop_first, ..TrimOptions::new(budget) };
        let mut store = MemoryStore::new([1; 32], 1 << 24);
        let store = offload.then_some(&mut store as &mut dyn Store);
        is_valid(provider, list_of(provider, &request)).map_err(TestCaseError::fail)?;
        match trim_request(&json, &options, store, o200k()) {
            Ok(trimmed) => {
                prop_assert_eq!(trimmed.tokens_before, whole);
                if share >= 100 {
                    prop_assert_eq!(&trimmed.json, &json);
                }
                let after = meter::count(&trimmed.json, &for_model("gpt-4o")).expect("is a request").total;
                prop_assert!(after <= budget, "{} of {}", after, budget);
                prop_assert!(after.abs_diff(trimmed.tokens_after) <= 3, "{} {}", after, trimmed.tokens_after);
                let value: Value = serde_json::from_str(&trimmed.json).expect("is JSON");
                let list = list_of(provider, &value);
                is_valid(provider, list).map_err(TestCaseError::fail)?;
                let said: Vec<Value> = list.iter().filter(|item| !is_note(item)).map(without_results).collect();
                let kept: Vec<Value> = list_of(provider, &request)
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| !trimmed.dropped.contains(i))
                    .map(|(_, item)| without_results(item))
                    .collect();
                // Signatures, thoughts and calls are whole, in place and in order.
                prop_assert_eq!(said, kept);
                prop_assert!(list.iter().filter(|item| is_note(item)).all(|item| item["role"] != "user"));
            }
            Err(Error::OverBudget { minimum, .. }) => {
                prop_assert!(minimum > budget);
                let again = TrimOptions { budget: minimum, ..options };
                prop_assert!(trim_request(&json, &again, None, o200k()).is_ok() || offload);
            }
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
    }
}

fn fit(json: &str, budget: usize) -> lacon_prompt::Result<String> {
    trim_request(json, &TrimOptions::new(budget), None, o200k()).map(|done| done.json)
}

#[test]
fn numbers_and_doubled_members_stay_as_they_are_written() {
    let json = r#"[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"get","input":{"order":12345678901234567890123,"price":1.10,"z":-0.0,"exp":1E5,"a":1,"a":2}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"ok"}]}]"#;
    assert_eq!(fit(json, 500).expect("fits"), json);
    let long = json.replace("\"ok\"", &format!("\"{}\"", "none of it matters ".repeat(60)));
    let cut = fit(&long, 120).expect("the last result shrinks before a refusal");
    assert!(
        cut.contains(r#"{"order":12345678901234567890123,"price":1.10,"z":-0.0,"exp":1E5,"a":1,"a":2}"#),
        "{cut}"
    );
    assert!(cut.contains("left out"), "{cut}");
}

#[test]
fn what_begins_as_a_request_is_never_cut_as_prose() {
    for json in [
        r#"[{"role":"user","content":NaN}]"#,
        r#"{"messages":[{"role":"user","content":"cut off"#,
        "[{'role': 'user', 'content': 'python'}]",
        "\u{feff}{\"contents\": [1]}",
        r#"{"role":"user","content":"one message alone"}"#,
    ] {
        assert!(is_request(json), "{json}");
        let refused = fit(json, 3).expect_err("is refused");
        assert!(refused.to_string().contains("\nhint: "), "{refused}");
    }
    for text in ["[INFO] role: user", "{\"rows\": [1, 2]}", "[1, 2]", "a text about \"messages\": []"] {
        assert!(!is_request(text), "{text}");
    }
    let half = r#"[{"role":"user","content":"cut emoji \ud83d here"},{"role":"assistant","content":"fine"},{"role":"user","content":"go on"}]"#;
    assert_eq!(fit(half, 100).expect("fits"), half);
    let marked = format!("\u{feff}{half}");
    assert_eq!(fit(&marked, 100).expect("fits"), half);
    let deep = format!(r#"[{{"role":"user","content":"hi","x":{}1{}}}]"#, "[".repeat(5000), "]".repeat(5000));
    assert_eq!(fit(&deep, 100_000).expect("fits"), deep);
}

#[test]
fn results_given_as_parts_are_stored_whole() {
    let long = "a day like any other in a week of trade, nothing to see\n".repeat(40);
    let json = json!([{"role": "user", "content": "list"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": long}]},
        {"role": "user", "content": "next"}])
    .to_string();
    let mut store = MemoryStore::new([1; 32], 1 << 20);
    let done = trim_request(&json, &TrimOptions::new(90), Some(&mut store), o200k()).expect("fits");
    let handle = done.json.split("ref=").nth(1).and_then(|rest| rest.get(..16)).and_then(Handle::parse);
    assert_eq!(store.get(&handle.expect("a handle")).expect("memory").as_deref(), Some(long.as_str()));
}

/// A PNG's head says its size.
fn png(width: u32, height: u32) -> String {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    bytes.extend([8, 2, 0, 0, 0]);
    bytes.resize(30_000, 7);
    let sign = |six: u32| {
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[six as usize & 63])
    };
    bytes
        .chunks(3)
        .flat_map(|three| {
            let bits = three.iter().fold(0, |bits, b| bits << 8 | u32::from(*b));
            [18, 12, 6, 0].map(|shift| sign(bits >> shift))
        })
        .collect()
}

#[test]
fn a_request_is_metered_whole() {
    let count = |json: &Value| meter::count(&json.to_string(), &for_model("gpt-4o")).expect("is a request");
    assert_eq!(count(&json!([{"role": "user", "content": "hello"}])).total, 8);
    let picture = |detail: &str, url: String| {
        count(&json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url, "detail": detail}}]}])).images
    };
    let data = |w, h| format!("data:image/png;base64,{}", png(w, h));
    assert_eq!(picture("low", data(1024, 1024)), 85);
    assert_eq!(picture("auto", data(1024, 1024)), 765);
    assert_eq!(picture("high", data(512, 512)), 255);
    assert_eq!(picture("low", "https://example.com/a.png".to_owned()), 85);
    let claude = json!({"model": "claude", "messages": [{"role": "user", "content": [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png(300, 250)}}]}]});
    assert_eq!(count(&claude).images, 100);
    // Each part counts: leaving it out makes less.
    let whole = json!({"model": "gpt-4o", "instructions": "be brief and exact",
        "tools": [{"type": "function", "name": "save", "parameters": {"type": "object", "properties": {"address": {"type": "object", "properties": {"street": {"type": "string", "description": "as on the letter"}}}}}}],
        "text": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {"answer": {"type": "string"}}}}},
        "input": [{"role": "user", "content": "go"},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "think about it"}]},
            {"type": "function_call", "call_id": "c", "name": "save", "arguments": "{\"a\": 1}"},
            {"type": "function_call_output", "call_id": "c", "output": "saved it"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "I will not do that"}]}]});
    let total = count(&whole).total;
    for pointer in [
        "/instructions",
        "/tools/0/parameters/properties/address/properties/street/description",
        "/text/format/schema/properties/answer/type",
        "/input/1/summary/0/text",
        "/input/2/arguments",
        "/input/3/output",
        "/input/4/content/0/refusal",
    ] {
        let mut less = whole.clone();
        *less.pointer_mut(pointer).expect("is there") = json!("");
        assert!(count(&less).total < total, "{pointer} is not counted");
    }
    for (schema, list) in [("parameters", "functions"), ("input_schema", "tools"), ("parameters", "tools")] {
        let properties = json!({"type": "object", "properties": {"line": {"type": "string", "description": "of the address"}}});
        let request = json!({"messages": [{"role": "user", "content": "go"}], list: [{"name": "f", schema: properties}]});
        assert!(count(&request).tools > 30, "{list} {schema}");
    }
}

#[test]
fn nested_schemas_count_in_full() {
    let Ok(json) = std::fs::read_to_string("../../../shared/cases/nested_tools.json") else {
        println!("skipped: ../shared/cases/nested_tools.json is not here");
        return;
    };
    let tools = meter::count(&json, &for_model("gpt-4o")).expect("is a request").tools;
    assert!((1_500..1_550).contains(&tools), "{tools}");
}
