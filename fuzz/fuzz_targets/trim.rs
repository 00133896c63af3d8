//! Any JSON list is trimmed into the budget or refused with an error.
#![no_main]

use lacon_prompt::trim::{TrimOptions, message_tokens, trim};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &str)| {
    let (budget, text) = input;
    let Ok(serde_json::Value::Array(messages)) = serde_json::from_str(text) else { return };
    let encoding = lacon_tokens::encoding(lacon_tokens::EncodingName::O200kBase);
    if let Ok(trimmed) = trim(&messages, &TrimOptions::new(usize::from(budget)), encoding) {
        let tokens: usize = trimmed.messages.iter().map(|message| message_tokens(message, encoding)).sum();
        assert!(tokens <= usize::from(budget));
    }
});
