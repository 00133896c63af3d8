//! Vocabulary files of others: never a panic, and what loads encodes as its oracle does.

#![no_main]

use lacon_tokens::{Encoding, Pattern, oracle};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let found = [
        Encoding::from_tiktoken("fuzz", data, Pattern::Cl100k, Vec::new()),
        Encoding::from_tokenizer_json("fuzz", data),
    ];
    for encoding in found.into_iter().flatten() {
        let text = "many things, 1,234 in few\n\n words' end";
        assert_eq!(encoding.encode(text), oracle::encode(&encoding, text));
    }
});
