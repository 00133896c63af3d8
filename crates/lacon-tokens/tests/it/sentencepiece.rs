//! SentencePiece vocabularies from GGUF files, beside the slow way to merge.

use lacon_tokens::SentencePiece;
use proptest::prelude::*;

const SPACE: char = '\u{2581}';

/// A GGUF file with these tokens, scores and kinds.
fn gguf(tokens: &[(String, f32, i32)], model: &str) -> Vec<u8> {
    let text = |text: &str| [(text.len() as u64).to_le_bytes().as_slice(), text.as_bytes()].concat();
    let array = |name: &str, of: u32, items: Vec<Vec<u8>>| {
        let head = [9u32.to_le_bytes(), of.to_le_bytes()].concat();
        [text(name), head, (items.len() as u64).to_le_bytes().to_vec(), items.concat()].concat()
    };
    let mut file = b"GGUF".to_vec();
    file.extend(3u32.to_le_bytes());
    file.extend(0u64.to_le_bytes());
    file.extend(6u64.to_le_bytes());
    file.extend([text("general.name"), 8u32.to_le_bytes().to_vec(), text("tiny")].concat());
    file.extend([text("tokenizer.ggml.model"), 8u32.to_le_bytes().to_vec(), text(model)].concat());
    file.extend([text("tokenizer.ggml.add_space_prefix"), 7u32.to_le_bytes().to_vec(), vec![0]].concat());
    file.extend(array("tokenizer.ggml.tokens", 8, tokens.iter().map(|(token, ..)| text(token)).collect()));
    file.extend(array(
        "tokenizer.ggml.scores",
        6,
        tokens.iter().map(|t| t.1.to_le_bytes().to_vec()).collect(),
    ));
    file.extend(array(
        "tokenizer.ggml.token_type",
        5,
        tokens.iter().map(|t| t.2.to_le_bytes().to_vec()).collect(),
    ));
    file
}

fn tokens() -> Vec<(String, f32, i32)> {
    let mut all = vec![("<unk>".to_owned(), 0.0, 2), ("<s>".to_owned(), 0.0, 3), ("\n\n".to_owned(), 0.0, 4)];
    all.extend((0..=255).map(|byte| (format!("<0x{byte:02X}>"), 0.0, 6)));
    let words = [
        "ab",
        "bc",
        "abc",
        "cab",
        "aa",
        "aaaa",
        "\u{2581}a",
        "\u{2581}ab",
        "c\u{2581}",
        "é",
        "bé",
        "a",
        "b",
        "c",
        "\u{2581}",
    ];
    all.extend(words.iter().enumerate().map(|(n, word)| ((*word).to_owned(), -((n % 7) as f32), 1)));
    all
}

/// Merges the best pair of all, the first of equals, until none is left.
fn slowly(text: &str) -> Vec<u32> {
    let all = tokens();
    let find =
        |piece: &str| all.iter().position(|(token, _, kind)| token == piece && matches!(kind, 1 | 4 | 6));
    let mut ids = Vec::new();
    for (n, between) in text.split("\n\n").enumerate() {
        if n > 0 {
            ids.push(2);
        }
        let mut parts: Vec<String> =
            between.replace(' ', &SPACE.to_string()).chars().map(String::from).collect();
        loop {
            let mut best: Option<(f32, usize)> = None;
            for at in 1..parts.len() {
                if let Some(id) = find(&format!("{}{}", parts[at - 1], parts[at]))
                    && best.is_none_or(|(score, _)| all[id].1 > score)
                {
                    best = Some((all[id].1, at));
                }
            }
            let Some((_, at)) = best else { break };
            let right = parts.remove(at);
            parts[at - 1].push_str(&right);
        }
        for part in parts {
            match find(&part) {
                Some(id) => ids.push(id as u32),
                None => ids.extend(part.bytes().map(|byte| 3 + u32::from(byte))),
            }
        }
    }
    ids
}

proptest! {
    #[test]
    fn the_heap_merges_as_the_slow_way_does(text in "[abc é日\n]{0,60}") {
        let pieces = SentencePiece::from_gguf(&gguf(&tokens(), "llama")[..]).expect("a good file");
        prop_assert_eq!(pieces.encode(&text), slowly(&text));
        prop_assert_eq!(pieces.count(&text), slowly(&text).len());
    }

    #[test]
    fn a_damaged_file_is_an_error_or_a_vocabulary(at in 0usize..6000, byte in any::<u8>(), cut in 0usize..6000) {
        let mut file = gguf(&tokens(), "llama");
        let at = at % file.len();
        file[at] = byte;
        if let Ok(pieces) = SentencePiece::from_gguf(&file[..]) {
            let _ = pieces.count("abc é 日\n\n");
        }
        prop_assert!(SentencePiece::from_gguf(&gguf(&tokens(), "llama")[..cut % 4000]).is_err());
    }
}

#[test]
fn files_that_cannot_be_used() {
    for (file, said) in [
        (b"GGML".to_vec(), "does not begin with GGUF"),
        (b"GG".to_vec(), "ends in its head"),
        (gguf(&tokens(), "gpt2"), "of the kind \"gpt2\""),
        ([b"GGUF".as_slice(), &9u32.to_le_bytes()].concat(), "version 9"),
        ([b"GGUF".as_slice(), &3u32.to_le_bytes(), &[255; 16]].concat(), "keys, at most"),
    ] {
        let error = SentencePiece::from_gguf(&file[..]).expect_err("a bad file").to_string();
        assert!(error.contains(said), "{error}");
    }
    // A control token in a text is text.
    let pieces = SentencePiece::from_gguf(&gguf(&tokens(), "llama")[..]).expect("a good file");
    assert_eq!(pieces.count("<s>"), 3);
}
