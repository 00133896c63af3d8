//! A conversation that no longer fits: `cargo run -p lacon-prompt --example fit_to_budget [TOKENS]`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use lacon_prompt::trim::{TrimOptions, trim_request};
use lacon_tokens::{EncodingName, encoding};
use serde_json::{Value, json};

fn main() -> Result<(), lacon_prompt::Error> {
    let budget = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(300);
    let mut messages = vec![json!({"role": "system", "content": "Answer in one sentence."})];
    for (i, city) in ["Oslo", "Bergen", "Tromsø", "Narvik"].iter().enumerate() {
        let rows: Vec<Value> =
            (1..=12).map(|m| json!({"city": city, "month": m, "rain_mm": 40 + m * 7 + i})).collect();
        messages.push(json!({"role": "user", "content": format!("How much does it rain in {city}?")}));
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": [{"id": format!("c{i}"), "type": "function",
            "function": {"name": "rain", "arguments": json!({"city": city}).to_string()}}]}));
        messages.push(json!({"role": "tool", "tool_call_id": format!("c{i}"), "content": Value::Array(rows).to_string()}));
        messages
            .push(json!({"role": "assistant", "content": format!("In {city} it rains most in December.")}));
    }
    messages.push(json!({"role": "user", "content": "Which of them is the wettest?"}));
    let request = json!({"model": "gpt-4o-mini", "messages": messages}).to_string();
    let fitted = trim_request(&request, &TrimOptions::new(budget), None, encoding(EncodingName::O200kBase))?;
    println!("{} tokens before, {} after, at most {budget}", fitted.tokens_before, fitted.tokens_after);
    println!("shorter form: messages {:?}", fitted.reformed);
    println!("results cut:  messages {:?}", fitted.digested);
    println!("left out:     messages {:?}", fitted.dropped);
    println!("{}", fitted.json);
    Ok(())
}
