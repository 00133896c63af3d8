//! Every fast path of the tokenizer against its oracle, on any text.
//!
//! `RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 …"` is what `cargo fuzz` sets; see
//! docs/tokens.md for the command.

#![no_main]

use lacon_tokens::{EncodingName, Side, SpecialSet, Vectors, encoding, oracle};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    // Repetition makes the long pieces that a small input cannot.
    let times = [1, 1, 3, 20][(*choice >> 6) as usize];
    let text = String::from_utf8_lossy(rest).repeat(times);
    let name = EncodingName::ALL[*choice as usize % EncodingName::ALL.len()];
    let form = encoding(name);
    let expected = oracle::encode(form, &text);
    assert_eq!(form.encode(&text), expected);
    assert_eq!(form.count(&text), expected.len());
    let plain = form.with_vectors(Vectors::None);
    assert_eq!(plain.encode(&text), expected);
    assert_eq!(plain.count(&text), expected.len());
    assert_eq!(form.decode(&expected).as_deref(), Ok(text.as_str()));
    assert_eq!(form.exceeds(&text, expected.len() / 2), expected.len() / 2 < expected.len());
    let cut = form.truncate(&text, expected.len() / 2, Side::Middle);
    assert!(form.count(&cut) <= expected.len() / 2);
    let _ = form.encode_with_special(&text, SpecialSet::All, SpecialSet::None).expect("nothing is disallowed");
});
