use lacon_prompt::Error;
use lacon_prompt::offload::{Handle, MemoryStore, Store};
use lacon_prompt::trim::{TrimOptions, message_tokens, trim, trim_with_store};
use lacon_tokens::{Encoding, EncodingName};
use proptest::prelude::*;
use serde_json::{Value, json};

fn o200k() -> &'static Encoding {
    lacon_tokens::encoding(EncodingName::O200kBase)
}

fn tokens(messages: &[Value]) -> usize {
    // Three tokens open the answer.
    3 + messages.iter().map(|message| message_tokens(message, o200k())).sum::<usize>()
}

fn call(id: &str) -> Value {
    json!({"role": "assistant", "content": null, "tool_calls": [{"id": id, "type": "function", "function": {"name": "get_price", "arguments": "{\"ticker\":\"AAPL\"}"}}]})
}

fn result(id: &str, content: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "name": "get_price", "content": content})
}

fn say(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

fn history() -> Vec<Value> {
    let prices = "[{\"day\": \"2026-01-02\", \"price\": 101.5, \"note\": \"ok\"}, {\"day\": \"2026-01-03\", \"price\": 102.5, \"note\": \"ok\"}, {\"day\": \"2026-01-04\", \"price\": 103.5, \"note\": \"ok\"}]";
    vec![
        say("system", "You are a trader. Never sell below 100."),
        say("user", "What is AAPL worth?"),
        call("c1"),
        result("c1", prices),
        say(
            "assistant",
            "It closed at 103.5. I can look at more days whenever you wish, just tell me which ones you have in mind.",
        ),
        say("user", "And before?"),
        call("c2"),
        result("c2", &prices.replace("10", "9")),
        say("assistant", "It was near 93.5."),
        say("user", "Decide."),
    ]
}

/// What every provider asks of a list of messages.
fn is_valid(messages: &[Value]) -> Result<(), String> {
    let mut open: Vec<String> = Vec::new();
    for (i, message) in messages.iter().enumerate() {
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or("").to_owned();
            let at = open.iter().position(|known| *known == id).ok_or(format!("orphan at {i}"))?;
            open.remove(at);
            continue;
        }
        if !open.is_empty() {
            return Err(format!("unanswered call before {i}"));
        }
        open = message["tool_calls"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|c| c["id"].as_str().unwrap_or("").to_owned())
            .collect();
    }
    let first = messages.iter().find(|m| m["role"] != "system").map(|m| m["role"].clone());
    if first.is_some_and(|role| role != "user") {
        Err("does not start with a user".to_owned())
    } else {
        Ok(())
    }
}

#[test]
fn a_history_that_fits_stays() {
    let messages = history();
    let trimmed = trim(&messages, &TrimOptions::new(10_000), o200k()).expect("fits");
    assert_eq!(trimmed.messages, messages);
    assert!(trimmed.dropped.is_empty());
}

#[test]
fn exact_forms_come_before_losses() {
    let messages = history();
    let trimmed = trim(&messages, &TrimOptions::new(tokens(&messages) - 20), o200k()).expect("fits");
    assert_eq!(
        (trimmed.reformed.as_slice(), trimmed.digested.len(), trimmed.dropped.len()),
        ([3, 7].as_slice(), 0, 0)
    );
    assert!(trimmed.messages[3]["content"].as_str().is_some_and(|content| content.starts_with("@json p\n")));
}

#[test]
fn what_must_stay_stays() {
    let messages = history();
    let mut options = TrimOptions::new(96);
    options.pinned = vec![4];
    let trimmed = trim(&messages, &options, o200k()).expect("fits");
    assert!(tokens(&trimmed.messages) <= 96, "{}", tokens(&trimmed.messages));
    for kept in [0, 1, 4, 9] {
        assert!(trimmed.messages.contains(&messages[kept]), "{kept}");
    }
    is_valid(&trimmed.messages).expect("valid");
    let text = trimmed.messages.iter().map(|m| m["content"].to_string()).collect::<String>();
    assert!(text.contains("earlier messages were left out here"), "{text}");
}

#[test]
fn an_impossible_budget_names_the_minimum() {
    let error = trim(&history(), &TrimOptions::new(10), o200k()).expect_err("cannot fit");
    let Error::OverBudget { minimum, budget: 10, .. } = error else { panic!("{error}") };
    let trimmed = trim(&history(), &TrimOptions::new(minimum), o200k()).expect("the minimum fits");
    assert!(trimmed.tokens_after <= minimum);
    assert!(trim(&history(), &TrimOptions::new(minimum - 1), o200k()).is_err());
}

#[test]
fn faults_are_named() {
    let check = |messages: &[Value], expected: &str| {
        let error = trim(messages, &TrimOptions::new(100), o200k()).expect_err("is refused");
        assert_eq!(error.to_string().lines().next(), Some(expected));
    };
    check(&[result("c9", "x")], "message 0 is a tool result without a call before it");
    check(&[call("c1"), say("user", "hi")], "message 0 calls c1 without a result");
    check(&[json!("text")], "message 0 is no object");
    check(&[json!({"role": "robot"})], "message 0 has the unknown role \"robot\"");
    check(&[json!({"content": "x"})], "message 0 has no role");
}

#[test]
fn results_that_are_left_out_can_be_retrieved() {
    let prices: Vec<Value> = (0..40)
        .map(|i| json!({"note": format!("a day like any other in the {i} week of trade"), "price": 100}))
        .collect();
    let prices = Value::Array(prices).to_string();
    let messages = vec![say("user", "Prices?"), call("c1"), result("c1", &prices), say("user", "Decide.")];
    let mut store = MemoryStore::new([1; 32], 1 << 20);
    let trimmed =
        trim_with_store(&messages, &TrimOptions::new(250), Some(&mut store), o200k()).expect("fits");
    assert_eq!(trimmed.digested, [2]);
    let content = trimmed.messages[2]["content"].as_str().expect("text");
    let handle = content
        .split("ref=")
        .nth(1)
        .and_then(|rest| rest.get(..16))
        .and_then(Handle::parse)
        .expect("a handle");
    assert_eq!(store.get(&handle).expect("memory").as_deref(), Some(prices.as_str()));
}

#[test]
fn strides_cut_at_the_same_place() {
    let mut messages = history();
    let mut options = TrimOptions::new(150);
    options.stride = 2;
    let first = trim(&messages, &options, o200k()).expect("fits");
    messages.insert(9, say("assistant", "Wait."));
    messages.insert(9, say("user", "Quick?"));
    let second = trim(&messages, &options, o200k()).expect("fits");
    assert_eq!(first.dropped, second.dropped);
}

#[test]
fn the_first_turn_goes_only_where_it_may() {
    let messages = vec![
        say("system", "Rules: never sell."),
        say("user", &"I would like to talk about my booking. ".repeat(6)),
        say("assistant", "Which one?"),
        say("user", "A_1."),
    ];
    let least = tokens(&[messages[0].clone(), messages[3].clone()]);
    let mut options = TrimOptions::new(least);
    assert!(matches!(trim(&messages, &options, o200k()), Err(Error::OverBudget { .. })));
    options.drop_first = true;
    let trimmed = trim(&messages, &options, o200k()).expect("fits");
    assert_eq!(trimmed.messages, [messages[0].clone(), messages[3].clone()]);
    assert_eq!((trimmed.dropped, trimmed.tokens_before), (vec![1, 2], tokens(&messages)));
    options.budget -= 1;
    let refused = trim(&messages, &options, o200k()).expect_err("is too much");
    assert!(matches!(refused, Error::OverBudget { minimum, .. } if minimum == least), "{refused}");
    options.budget = tokens(&messages);
    assert_eq!(trim(&messages, &options, o200k()).expect("fits").messages, messages);
}

fn conversation() -> impl Strategy<Value = Vec<Value>> {
    let text = prop_oneof!["[a-z ]{0,40}", Just("{\"id\": \"A_1\", \"n\": 22.5}".repeat(4)), "\\PC{0,30}"];
    let step = (0usize..4, text, 1usize..4);
    (any::<bool>(), prop::collection::vec(step, 0..14), any::<bool>()).prop_map(|(system, steps, open)| {
        let mut messages = Vec::new();
        if system {
            messages.push(say("system", "Rules: never sell."));
        }
        messages.push(say("user", "Start."));
        let n = steps.len();
        for (i, (kind, text, calls)) in steps.into_iter().enumerate() {
            match kind {
                0 => messages.push(say("user", &text)),
                1 => messages.push(say("assistant", &text)),
                _ => {
                    let ids: Vec<String> = (0..calls).map(|k| format!("c{i}_{k}")).collect();
                    let list: Vec<Value> = ids.iter().map(|id| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}})).collect();
                    messages.push(json!({"role": "assistant", "content": null, "tool_calls": list}));
                    if i + 1 == n && open {
                        break;
                    }
                    messages.extend(ids.iter().rev().map(|id| result(id, &text)));
                }
            }
        }
        messages
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::option_env!("RUN_SLOW_TESTS").is_some() { 100_000 } else { 2_000 }))]
    #[test]
    fn trimmed_conversations_are_valid(messages in conversation(), share in 0usize..110, stride in 0usize..4) {
        let budget = tokens(&messages) * share / 100;
        let options = TrimOptions { stride, ..TrimOptions::new(budget) };
        match trim(&messages, &options, o200k()) {
            Ok(trimmed) => {
                prop_assert!(tokens(&trimmed.messages) <= budget);
                prop_assert_eq!(tokens(&trimmed.messages), trimmed.tokens_after);
                // A last result may be cut, rather than refused.
                let last = messages.len() - 1;
                if !trimmed.reformed.contains(&last) && !trimmed.digested.contains(&last) {
                    prop_assert_eq!(trimmed.messages.last(), messages.last());
                }
                prop_assert_eq!(trimmed.messages.first(), messages.first());
                is_valid(&trimmed.messages).map_err(TestCaseError::fail)?;
            }
            Err(Error::OverBudget { minimum, .. }) => {
                prop_assert!(minimum > budget);
                let again = trim(&messages, &TrimOptions { budget: minimum, ..options }, o200k());
                prop_assert!(again.is_ok());
            }
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
    }
}

/// The original's limiter gave an empty list when the last message alone was over its limit.
#[test]
fn defect_09_a_last_message_over_the_budget_is_an_error_with_the_least_one() {
    let messages =
        vec![say("system", "You are a trader."), say("user", &"Decide on the figures. ".repeat(500))];
    let error = trim(&messages, &TrimOptions::new(200), o200k()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("200"), "{text}");
    let needed = tokens(&messages);
    let kept = trim(&messages, &TrimOptions::new(needed + 8), o200k()).unwrap();
    assert_eq!(kept.messages, messages);
}
