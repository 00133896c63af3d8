//! `tokenizer.json` files with pieces of text, against ids that the package `tokenizers` gave for the same texts
//! (`benchmarks/tokenizers_check.py` trains them, and compares as many random texts as you want).

use lacon_tokens::{Counter, Encoding, SentencePiece, Side, add_encoding, add_models, for_model, future};
use proptest::prelude::*;
use serde_json::Value;

/// Gemma, Llama 2 and Mistral merge in an order, T5 and XLM-R find the likeliest row of pieces.
const FILES: [(&str, &str); 5] = [
    ("gemma", include_str!("../../../../testdata/tokenizers/gemma.json")),
    ("llama2", include_str!("../../../../testdata/tokenizers/llama2.json")),
    ("mistral", include_str!("../../../../testdata/tokenizers/mistral.json")),
    ("t5", include_str!("../../../../testdata/tokenizers/t5.json")),
    ("xlm", include_str!("../../../../testdata/tokenizers/xlm.json")),
];
const VECTORS: &str = include_str!("../../../../testdata/tokenizers/vectors.jsonl");

fn read(file: &str) -> SentencePiece {
    SentencePiece::from_tokenizer_json(file.as_bytes()).expect("a good file")
}

#[test]
fn ids_are_those_of_tokenizers() {
    let rows: Vec<Value> = VECTORS.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(rows.len() > 80);
    for (name, file) in FILES {
        let pieces = read(file);
        for row in &rows {
            let text = row["text"].as_str().expect("a text");
            let ids: Vec<u32> = serde_json::from_value(row[name].clone()).expect("ids");
            assert_eq!(pieces.encode(text), ids, "{name}: {text:?}");
            assert_eq!(pieces.count(text), ids.len());
        }
        let found = Encoding::read(name, file.as_bytes()).expect("a good file");
        assert!(!found.is_of_bytes(), "{name}");
    }
}

/// Finds the best row of pieces by trying all of them.
fn best(word: &[char], scores: &dyn Fn(&str) -> Option<f64>) -> f64 {
    let mut best = vec![f64::NEG_INFINITY; word.len() + 1];
    best[0] = 0.0;
    for end in 1..=word.len() {
        for begin in 0..end {
            let piece: String = word[begin..end].iter().collect();
            if let Some(score) = scores(&piece) {
                best[end] = best[end].max(best[begin] + score);
            }
        }
    }
    best[word.len()]
}

proptest! {
    /// No row of pieces is likelier than the one that is found.
    #[test]
    fn the_likeliest_row_is_found(word in "[a-m]{1,24}") {
        let json: Value = serde_json::from_str(FILES[3].1).expect("JSON");
        let listed = json["model"]["vocab"].as_array().expect("pieces");
        let score = |piece: &str| {
            listed.iter().find(|row| row[0] == piece).and_then(|row| row[1].as_f64())
        };
        let marked: Vec<char> = format!("\u{2581}{word}").chars().collect();
        let ids = read(FILES[3].1).encode(&word);
        // A row with an unknown piece has no score to compare.
        if ids.iter().all(|id| *id != 0) {
            let sum: f64 = ids.iter().filter_map(|id| listed[*id as usize][1].as_f64()).sum();
            prop_assert!((sum - best(&marked, &score)).abs() < 1e-9, "{ids:?}");
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_or_a_vocabulary(
        which in 0usize..5, at in any::<prop::sample::Index>(), byte in any::<u8>(), text in "[ a-e▁\\PC]{0,30}",
    ) {
        let mut file = FILES[which].1.as_bytes().to_vec();
        let at = at.index(file.len());
        file[at] = byte;
        if let Ok(found) = Encoding::read("damaged", &file[..]) {
            found.count(&text);
        }
        prop_assert!(Encoding::read("cut", &file[..at]).is_err());
    }
}

#[test]
fn parts_that_are_not_known_are_named() {
    let with = |pointer: &str, value: Value| {
        let mut json: Value = serde_json::from_str(FILES[1].1).expect("JSON");
        *json.pointer_mut(pointer).expect("a member") = value;
        let read = SentencePiece::from_tokenizer_json(json.to_string().as_bytes());
        read.expect_err("a part that is not known").to_string()
    };
    for (pointer, value, said) in [
        ("/normalizer", serde_json::json!({"type": "Nmt"}), "its normalizer Nmt is not known"),
        (
            "/normalizer",
            serde_json::json!({"type": "Precompiled", "precompiled_charsmap": "////"}),
            "is damaged",
        ),
        ("/pre_tokenizer", serde_json::json!({"type": "Digits"}), "its pre-tokenizer Digits is not known"),
        (
            "/pre_tokenizer",
            serde_json::json!({"type": "Metaspace", "replacement": "ab"}),
            "more than a character",
        ),
        ("/model/type", "WordPiece".into(), "its model WordPiece is not known"),
        ("/model/merges", serde_json::json!([["a", "nothing"]]), "of a merge has no id"),
        ("/model/unk_token", "none".into(), "its unknown token \"none\" has no id"),
        ("/added_tokens/0/id", "x".into(), "has no id"),
    ] {
        let found = with(pointer, value);
        assert!(found.contains(said), "{pointer}: {found}");
    }
    assert!(Encoding::read("x", &b"text"[..]).expect_err("no JSON").to_string().contains("not JSON"));
}

/// A model whose row names such a file counts texts and requests with it, in every way of counting.
#[test]
fn pieces_of_text_are_an_encoding_like_any_other() {
    for (name, file) in FILES {
        let pieces = read(file);
        let file_name = format!("{name}.json");
        add_encoding(Encoding::read(&file_name, file.as_bytes()).expect("a good file"));
        add_models(&format!("own-{name} = {file_name}\n")).expect("a good row");
        let model = for_model(&format!("vllm/own-{name}-7b"));
        let encoding = model.encoding;
        assert_eq!((encoding.name(), model.warning), (file_name.as_str(), None));
        let text = "The cat sat on 3 mats,  and\n\nthe other cab 12.5\n".repeat(900);
        let n_tokens = pieces.count(&text);
        assert_eq!(encoding.count(&text), n_tokens);
        assert_eq!(encoding.count_parallel(&text, 4.try_into().expect("not 0")), n_tokens);
        assert_eq!(block_on(future::count_async(encoding, text.as_str())), n_tokens);
        assert_eq!(block_on(future::encode_async(encoding, text.as_str())), pieces.encode(&text));
        let mut counter = Counter::new(encoding);
        let (head, tail) = text.split_at(text.len() / 2);
        counter.push(head);
        assert_eq!(counter.push(tail), n_tokens);
        assert!(encoding.exceeds(&text, n_tokens - 1) && !encoding.exceeds(&text, n_tokens));
        for side in [Side::Front, Side::Middle, Side::Back] {
            let cut = encoding.truncate(&text, 500, side);
            let kept = encoding.count(&cut);
            assert!((490..=500).contains(&kept), "{name} {side:?}: {kept}");
        }
        let chunks = encoding.chunks(&text, 200);
        assert!(chunks.iter().all(|chunk| encoding.count(chunk) <= 200) && chunks.concat() == text);
        assert!(encoding.decode(&[1]).is_err_and(|error| error.to_string().contains("do not give it back")));
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let waker = std::task::Waker::noop();
    loop {
        let polled = future.as_mut().poll(&mut std::task::Context::from_waker(waker));
        if let std::task::Poll::Ready(value) = polled {
            return value;
        }
        std::thread::yield_now();
    }
}
