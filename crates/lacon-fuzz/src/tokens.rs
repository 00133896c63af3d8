//! Targets of `lacon-tokens`: every fast path against its oracle, vocabularies of others.

use std::sync::OnceLock;

use lacon_tokens::{Encoding, EncodingName, Pattern, Side, SpecialSet, Vectors, encoding, oracle};

/// Every fast path of the tokenizer against its oracle, on any text.
pub fn tokens(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    // Repetition makes the long pieces that a small input cannot.
    let times = [1, 1, 3, 20][(*choice >> 6) as usize];
    let text = String::from_utf8_lossy(rest).repeat(times);
    let name = EncodingName::ALL[*choice as usize % EncodingName::ALL.len()];
    let form = encoding(name);
    let expected = oracle::encode(form, &text);
    assert_eq!(form.encode(&text), expected);
    assert_eq!(form.count(&text), expected.len());
    // Made once: an encoding of its own has caches of its own.
    static PLAIN: [OnceLock<Encoding>; 6] = [const { OnceLock::new() }; 6];
    let plain = PLAIN[name as usize].get_or_init(|| form.with_vectors(Vectors::None));
    assert_eq!(plain.encode(&text), expected);
    assert_eq!(plain.count(&text), expected.len());
    assert_eq!(form.decode(&expected).as_deref(), Ok(text.as_str()));
    assert_eq!(form.exceeds(&text, expected.len() / 2), expected.len() / 2 < expected.len());
    let cut = form.truncate(&text, expected.len() / 2, Side::Middle);
    assert!(form.count(&cut) <= expected.len() / 2);
    let _ =
        form.encode_with_special(&text, SpecialSet::All, SpecialSet::None).expect("nothing is disallowed");
}

/// Vocabulary files of others: never a panic, and what loads encodes as its oracle does.
pub fn vocabularies(data: &[u8]) {
    let found = [
        Encoding::from_tiktoken("fuzz", data, Pattern::Cl100k, Vec::new()),
        Encoding::from_tokenizer_json("fuzz", data),
    ];
    for encoding in found.into_iter().flatten() {
        let head = String::from_utf8_lossy(&data[..data.len().min(200)]);
        for text in ["many things, 1,234 in few\n\n words' end", &head] {
            let expected = oracle::encode(&encoding, text);
            assert_eq!(encoding.encode(text), expected);
            assert_eq!(encoding.count(text), expected.len());
            // Not the text itself: a vocabulary may normalize.
            let back = encoding.decode(&expected).expect("whole characters");
            assert_eq!(encoding.encode(&back), expected);
        }
    }
    if let Ok(found) = Encoding::read("fuzz", data) {
        let head = String::from_utf8_lossy(&data[..data.len().min(200)]);
        for text in ["many  things, 1,234 \u{2581}in few\n\n words' end", &head] {
            let n_tokens = found.count(text);
            assert_eq!(found.encode(text).len(), n_tokens);
            for limit in [0, 1, n_tokens / 2] {
                for side in [Side::Front, Side::Middle, Side::Back] {
                    assert!(found.count(&found.truncate(text, limit, side)) <= limit);
                }
            }
            assert_eq!(found.chunks(text, 3).concat(), *text);
        }
    }
}
