//! Equality with tiktoken-rs, id by id.

use lacon_tokens::{EncodingName, encoding};
use tiktoken_rs::CoreBPE;

use crate::texts::{Seeded, scalars, soup};

fn rival(name: EncodingName) -> &'static CoreBPE {
    match name {
        EncodingName::O200kBase => tiktoken_rs::o200k_base_singleton(),
        EncodingName::O200kHarmony => tiktoken_rs::o200k_harmony_singleton(),
        EncodingName::Cl100kBase => tiktoken_rs::cl100k_base_singleton(),
        EncodingName::P50kBase => tiktoken_rs::p50k_base_singleton(),
        EncodingName::P50kEdit => tiktoken_rs::p50k_edit_singleton(),
        EncodingName::R50kBase => tiktoken_rs::r50k_base_singleton(),
    }
}

fn check(name: EncodingName, text: &str) {
    let expected: Vec<u32> = rival(name).encode_ordinary(text).into_iter().collect();
    let ours = encoding(name).encode(text);
    assert_eq!(ours, expected, "{name}: {text:?}");
    assert_eq!(encoding(name).count(text), expected.len(), "{name}: {text:?}");
}

#[test]
fn soups() {
    let rounds = if option_env!("RUN_SLOW_TESTS").is_some() { 100_000 } else { 3_000 };
    for name in EncodingName::ALL {
        let mut random = Seeded(7);
        for round in 0..rounds {
            check(name, &soup(&mut random, 1 + round % 40));
        }
    }
}

#[test]
fn every_scalar_in_context() {
    let step = if option_env!("RUN_SLOW_TESTS").is_some() { 1 } else { 29 };
    for name in [EncodingName::O200kBase, EncodingName::Cl100kBase, EncodingName::R50kBase] {
        for c in scalars().step_by(step).chain((0..0x600).filter_map(char::from_u32)) {
            check(name, &format!("{c}{c}a{c}B{c}b 1{c}2 {c} {c}{c}!{c}\n{c}\n\n{c}'s{c}'S"));
        }
    }
}
