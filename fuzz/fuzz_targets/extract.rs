//! An extract is made of pieces of its text.
#![no_main]

use lacon_prompt::extract::{ExtractOptions, extract};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, u8)| {
    let (text, query, share) = input;
    let encoding = lacon_tokens::encoding(lacon_tokens::EncodingName::O200kBase);
    let options = ExtractOptions { share: f64::from(share) / 255.0, min_tokens: 8 };
    let found = extract(text, query, options, encoding);
    assert!(found.tokens_after <= found.tokens_before);
});
