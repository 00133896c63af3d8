//! What is compressed expands to what it was.
#![no_main]

use lacon_prompt::compress::{Options, compress, expand};
use lacon_prompt::offload::MemoryStore;
use lacon_prompt::span;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    assert_eq!(span::print(text, &span::parse(text)), text);
    let encoding = lacon_tokens::encoding(lacon_tokens::EncodingName::O200kBase);
    let mut store = MemoryStore::new([7; 32], 1 << 26);
    let short = compress(text, Options::default(), Some(&mut store), encoding).expect("memory does not fail");
    let back = expand(&short.text, Some(&store)).expect("what was compressed expands");
    if short.exact {
        assert_eq!(back, text);
    } else {
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        assert_eq!(value(&back), value(text));
    }
});
