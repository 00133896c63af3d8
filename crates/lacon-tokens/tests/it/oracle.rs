//! Every fast path against the slow one: ids, counts, vectors on and off, long pieces, growth by appending.

use std::num::NonZeroUsize;

use lacon_tokens::{Counter, Encoding, EncodingName, Vectors, encoding, oracle};
use proptest::prelude::*;

use crate::texts::{SCRAPS, Seeded, soup};

fn forms(name: EncodingName) -> Vec<Encoding> {
    Vectors::ALL.map(|v| encoding(name).with_vectors(v)).into()
}

fn check(forms: &[Encoding], text: &str) {
    let expected = oracle::encode(&forms[0], text);
    for form in forms {
        assert_eq!(form.count(text), expected.len(), "count of {} on {text:?}", form.name());
        assert_eq!(form.encode(text), expected, "encode of {} on {text:?}", form.name());
    }
    let n = expected.len();
    assert!(!forms[0].exceeds(text, n) && (n == 0 || forms[0].exceeds(text, n - 1)));
    assert_eq!(forms[0].decode(&expected).as_deref(), Ok(text));
}

#[test]
fn soups_in_all_forms() {
    let rounds = if option_env!("RUN_SLOW_TESTS").is_some() { 60_000 } else { 1_500 };
    for name in [EncodingName::O200kBase, EncodingName::Cl100kBase, EncodingName::R50kBase] {
        let forms = forms(name);
        let mut random = Seeded(11);
        for round in 0..rounds {
            check(&forms, &soup(&mut random, 1 + round % 120));
        }
    }
}

#[test]
fn every_length_around_the_window() {
    for name in [EncodingName::O200kBase, EncodingName::Cl100kBase, EncodingName::R50kBase] {
        let forms = forms(name);
        for scrap in SCRAPS {
            for n in (60..150).step_by(7) {
                let repeated = scrap.repeat(n / scrap.len() + 1);
                check(&forms, &repeated);
                check(&forms, &format!("{}{scrap} end's", "a b".repeat(n / 3)));
                check(&forms, &format!("{repeated}\n  \n{scrap}x"));
            }
        }
    }
}

#[test]
fn long_pieces() {
    let mut random = Seeded(5);
    for name in [EncodingName::O200kBase, EncodingName::Cl100kBase, EncodingName::R50kBase] {
        let forms = forms(name);
        let kinds: [&[&str]; 8] = [
            &["a"],
            &[" "],
            &["\n", "\r"],
            &["a", "b", "c", "d", "e", "t", "s", "n", "th"],
            &["中", "文", "的", "是"],
            &["\u{301}"],
            &["=", "-", "="],
            &["и", "е", "а", "Н", "ст"],
        ];
        for kind in kinds {
            for n in [65, 130, 700, 3000] {
                let text: String = (0..n).map(|_| kind[random.below(kind.len())]).collect();
                check(&forms, &text);
                check(&forms, &format!("x {text}1"));
            }
        }
    }
}

#[test]
fn more_ids_than_a_thread_keeps() {
    let encoding = encoding(EncodingName::O200kBase);
    let mut random = Seeded(31);
    // About 900,000 ids of pieces of eight and more; each part is small enough for tables of its own.
    let parts: Vec<String> = (0..6)
        .map(|_| {
            (0..20_000)
                .flat_map(|_| {
                    [' ']
                        .into_iter()
                        .chain((0..13).map(|_| (b'a' + random.below(26) as u8) as char))
                        .collect::<Vec<_>>()
                })
                .collect()
        })
        .collect();
    let expected: Vec<u32> =
        parts.iter().flat_map(|part| encoding.with_vectors(Vectors::detect()).encode(part)).collect();
    let whole = parts.concat();
    for _ in 0..2 {
        assert!(encoding.encode(&whole) == expected);
        assert_eq!(encoding.count(&whole), expected.len());
    }
    assert!(encoding.encode(&whole[..parts[0].len()]) == expected[..encoding.count(&parts[0])]);
}

#[test]
fn short_texts_of_more_ids_than_a_thread_keeps() {
    // None is long enough for tables of full size, and together they have too few pieces for them.
    let encoding = encoding(EncodingName::O200kBase).with_vectors(Vectors::detect());
    let mut random = Seeded(32);
    for _ in 0..60 {
        let words = (0..300).map(|_| {
            let word: String = (0..200).map(|_| (b'a' + random.below(26) as u8) as char).collect();
            word + " "
        });
        let text: String = words.collect();
        let ids = encoding.encode(&text);
        assert_eq!(encoding.count(&text), ids.len());
        assert_eq!(encoding.decode(&ids).as_deref(), Ok(&text[..]));
    }
}

#[test]
fn a_counter_follows_its_text() {
    let mut random = Seeded(9);
    for name in [EncodingName::O200kBase, EncodingName::Cl100kBase, EncodingName::R50kBase] {
        let encoding = encoding(name);
        let mut counter = Counter::new(encoding);
        let mut text = String::new();
        for round in 0..200 {
            let more =
                if round % 3 == 0 { " some plain words\nand more".into() } else { soup(&mut random, 9) };
            text.push_str(&more);
            assert_eq!(counter.push(&more), encoding.count(&text), "{name} after {round}");
        }
    }
}

#[test]
fn threads_give_the_same() {
    let mut random = Seeded(21);
    let threads = NonZeroUsize::new(3).expect("not zero");
    let texts: Vec<String> = (0..300).map(|i| soup(&mut random, 20 + i * 2) + " and words").collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let whole = texts.concat().repeat(4);
    let table: String = (0..40_000).map(|i| format!("{i},{}.5,|{}\n", i * 7, i % 13)).collect();
    for name in [EncodingName::O200kBase, EncodingName::Cl100kBase, EncodingName::R50kBase] {
        let encoding = encoding(name);
        let counts: Vec<usize> = texts.iter().map(|text| encoding.count(text)).collect();
        assert_eq!(encoding.count_batch(&texts, threads), counts);
        assert_eq!(encoding.encode_batch(&texts, threads).iter().map(Vec::len).collect::<Vec<_>>(), counts);
        for text in [&whole, &table] {
            assert_eq!(encoding.count_parallel(text, threads), encoding.count(text));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn any_text_over_threads(
        scraps in prop::collection::vec("\\PC{0,60}|[ -~\\n]{0,80}|(\\p{L}|\\p{M}|\\p{N}|\\s|'){0,40}|[0-9,.\\n]{0,60}", 1..40),
        seed in any::<u64>(),
        threads in 1_usize..5,
    ) {
        let threads = NonZeroUsize::new(threads).expect("from 1");
        let mut random = Seeded(seed);
        let mut texts = vec![String::new(); 12];
        for text in &mut texts {
            let len = [0, 10, 2_000, 70_000][random.below(4)];
            while text.len() < len {
                text.push_str(&scraps[random.below(scraps.len())]);
                text.push_str([" a", "\n", "b "][random.below(3)]);
            }
        }
        let whole = texts.concat();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for name in [EncodingName::O200kBase, EncodingName::Cl100kBase] {
            let encoding = encoding(name);
            let ids: Vec<Vec<u32>> = texts.iter().map(|text| encoding.encode(text)).collect();
            prop_assert_eq!(
                encoding.count_batch(&texts, threads),
                ids.iter().map(Vec::len).collect::<Vec<_>>()
            );
            prop_assert_eq!(encoding.encode_batch(&texts, threads), ids);
            prop_assert_eq!(encoding.count_parallel(&whole, threads), encoding.count(&whole));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text(text in "\\PC{0,200}|[ -~\\n]{0,400}|(\\p{L}|\\p{M}|\\p{N}|\\s|'){0,150}") {
        for name in [EncodingName::O200kBase, EncodingName::Cl100kBase, EncodingName::R50kBase] {
            check(&[encoding(name).with_vectors(Vectors::Avx512)], &text);
        }
    }
}
