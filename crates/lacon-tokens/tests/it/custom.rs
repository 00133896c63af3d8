//! Vocabularies from files: equal to the built-in ones, other patterns equal to their regular expressions, and bad
//! files that are refused with words.

use lacon_tokens::{Encoding, EncodingName, Error, Pattern, encoding, oracle};
use serde_json::{Value, json};
use tiktoken_rs::CoreBPE;

use crate::texts::{Seeded, scalars, soup};

fn rank_file(encoding: &Encoding) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut file = Vec::new();
    for id in 0..50_256 {
        let bytes = encoding.token_bytes(id).expect("an ordinary token");
        for chunk in bytes.chunks(3) {
            let bits =
                chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (24 - chunk.len() * 8);
            for i in 0..4 {
                let digit = DIGITS[(bits >> (18 - i * 6) & 63) as usize];
                file.push(if i <= chunk.len() { digit } else { b'=' });
            }
        }
        file.extend_from_slice(format!(" {id}\n").as_bytes());
    }
    file
}

/// A `tokenizer.json` with the vocabulary of an encoding, ids moved by `shift`.
fn tokenizer_json(encoding: &Encoding, n: u32, regex: &str, shift: u32) -> Value {
    let mut next = 256;
    let letters: Vec<char> = (0..=255_u8)
        .map(|byte| match byte {
            33..=126 | 161..=172 | 174..=255 => char::from(byte),
            _ => {
                next += 1;
                char::from_u32(next - 1).expect("a letter")
            }
        })
        .collect();
    let spell = |id: u32| -> String {
        encoding.token_bytes(id).expect("a token").iter().map(|byte| letters[*byte as usize]).collect()
    };
    let vocabulary: serde_json::Map<String, Value> =
        (0..n).map(|id| (spell(id), json!(id + shift))).collect();
    let merges: Vec<Value> = (0..n)
        .filter_map(|id| encoding.merge_of(id))
        .map(|(left, right)| json!(format!("{} {}", spell(left), spell(right))))
        .collect();
    json!({
        "added_tokens": [{"id": 7, "content": "<|end|>", "special": true}],
        "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
    })
}

#[test]
fn a_rank_file_is_the_built_in_encoding() {
    let r50k = encoding(EncodingName::R50kBase);
    let ours = Encoding::from_tiktoken("mine", &rank_file(r50k), Pattern::Gpt2, vec![]).expect("a good file");
    let mut random = Seeded(31);
    for _ in 0..200 {
        let text = soup(&mut random, 60);
        assert_eq!(ours.encode(&text), r50k.encode(&text));
    }
}

#[test]
fn other_patterns_are_their_regular_expressions() {
    let r50k = encoding(EncodingName::R50kBase);
    for pattern in [Pattern::Llama3, Pattern::Qwen2, Pattern::Tekken] {
        let json = tokenizer_json(r50k, 20_000, pattern.regex(), 100);
        let ours = Encoding::from_tokenizer_json("mine", json.to_string().as_bytes()).expect("a good file");
        check_pattern(&ours, r50k);
    }
}

/// The encoding made by [`tokenizer_json`] with ids moved by 100 is that of its pattern's regular expression.
fn check_pattern(ours: &Encoding, base: &Encoding) {
    let pattern = ours.pattern();
    let ranks = (0..20_000).map(|id| (base.token_bytes(id).expect("a token").to_vec(), id)).collect();
    let rival = CoreBPE::new(ranks, Default::default(), pattern.regex()).expect("a good pattern");
    let check = |text: &str| {
        let expected: Vec<u32> = rival.encode_ordinary(text).into_iter().map(|id| id + 100).collect();
        assert_eq!(ours.encode(text), expected, "{pattern:?}: {text:?}");
        assert_eq!(ours.count(text), expected.len());
        assert_eq!(oracle::encode(ours, text), expected);
        assert_eq!(ours.decode(&expected).as_deref(), Ok(text));
    };
    let mut random = Seeded(32);
    for round in 0..1_000 {
        check(&soup(&mut random, 1 + round % 90));
    }
    for c in scalars().step_by(97) {
        check(&format!("{c}{c}a{c}B{c}b 1{c}2 {c} {c}{c}!{c}\n{c}\n\n{c}'s{c}'S\n {c}"));
    }
}

#[test]
fn deepseek_splits_in_three_steps() {
    let r50k = encoding(EncodingName::R50kBase);
    let mut json = tokenizer_json(r50k, 20_000, "", 100);
    let third = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;
    let split = |regex: &str| json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false});
    json["normalizer"] = json!({"type": "Sequence", "normalizers": []});
    json["pre_tokenizer"]["pretokenizers"] = json!([
        split(r"\p{N}{1,3}"),
        split("[一-龥\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+"),
        split(third),
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
    ]);
    let ours = Encoding::from_tokenizer_json("deepseek", json.to_string().as_bytes()).expect("a good file");
    assert_eq!(ours.pattern(), Pattern::DeepSeek3);
    check_pattern(&ours, r50k);
}

#[test]
fn text_is_normalized_where_the_file_says_so() {
    let r50k = encoding(EncodingName::R50kBase);
    let mut json = tokenizer_json(r50k, 20_000, Pattern::Qwen2.regex(), 0);
    json["normalizer"] = json!({"type": "NFC"});
    let ours = Encoding::from_tokenizer_json("mine", json.to_string().as_bytes()).expect("a good file");
    assert_eq!(ours.encode("cafe\u{301}s"), ours.encode("caf\u{e9}s"));
    assert_eq!(ours.chunks("cafe\u{301}s", 1).concat(), "cafe\u{301}s");
    assert_eq!(ours.special_id("<|end|>"), Some(7));
}

#[test]
fn bad_files_are_refused() {
    let refused = |file: &str, words: &str| {
        let error = Encoding::from_tokenizer_json("mine", file.as_bytes()).expect_err("a bad file");
        assert!(error.to_string().contains(words), "{error}");
    };
    refused("{", "it is not JSON");
    refused("{}", "it has no pre-tokenizer");
    refused(r#"{"pre_tokenizer": {"type": "Metaspace"}}"#, "Metaspace is not known");
    refused(
        r#"{"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "behavior": "Isolated", "pattern": {"Regex": "x+"}}]}}"#,
        "its splitting pattern is not known: x+",
    );
    let r50k = encoding(EncodingName::R50kBase);
    let mut json = tokenizer_json(r50k, 300, Pattern::Qwen2.regex(), 0);
    json["normalizer"] = json!({"type": "Lowercase"});
    refused(&json.to_string(), "Lowercase is not known");
    let tiktoken = |file: &str| Encoding::from_tiktoken("mine", file.as_bytes(), Pattern::Gpt2, vec![]);
    assert!(matches!(tiktoken("YQ== 0\nno rank\n"), Err(Error::RankLine { line: 2 })));
    assert!(matches!(tiktoken("YQ== 4000000000\n"), Err(Error::RankLine { line: 1 })));
    assert!(matches!(tiktoken("YQ== 0\n"), Err(Error::BadVocabulary { .. })));
    assert!(matches!(tiktoken("YQ== 7\nYg== 1\nYQ== 0\n"), Err(Error::PieceTwice { ranks: (7, 0) })));
    assert!(matches!(tiktoken("YQ== 0\nYg== 0\n"), Err(Error::RankTwice { rank: 0 })));
    assert!(matches!(tiktoken(""), Err(Error::BadVocabulary { .. })));
}
