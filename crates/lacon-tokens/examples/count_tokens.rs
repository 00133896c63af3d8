//! Tokens of a text for some models: `cargo run -p lacon-tokens --example count_tokens [TEXT]`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use lacon_tokens::{ChatMessage, Request, Side, count_request, for_model};

fn main() {
    let text = std::env::args().nth(1).unwrap_or_else(|| "Net margin fell from 12.4 % to 11.9 %.".into());
    for model in ["gpt-4", "gpt-4o-mini", "claude-sonnet-4-5", "a-model-of-mine"] {
        let rule = for_model(model);
        let count = rule.count(&text);
        match count.range {
            None => println!("{model}: {} tokens ({})", count.tokens, count.how.as_str()),
            Some((low, high)) => println!("{model}: about {} tokens, {low} to {high}", count.tokens),
        }
    }
    let model = for_model("gpt-4o-mini");
    println!("first four tokens: {:?}", model.encoding.truncate(&text, 4, Side::Back));
    let messages = [ChatMessage { role: "user", content: &text, name: None, tool_calls: &[] }];
    let request = count_request(&model, &Request { messages: &messages, ..Request::default() });
    println!("as a request: {} tokens, {} of them framing", request.total, request.framing);
}
