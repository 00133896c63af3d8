//! Special tokens, decoding, truncation, chunks, offsets, early stop.

use lacon_tokens::{EncodingName, Error, Side, SpecialSet, encoding};

use crate::texts::{Seeded, soup};

#[test]
fn special_tokens_are_text_unless_allowed() {
    let cl100k = encoding(EncodingName::Cl100kBase);
    let text = "hello <|endoftext|> x";
    assert_eq!(
        cl100k.encode_with_special(text, SpecialSet::All, SpecialSet::All),
        Ok(vec![15339, 220, 100_257, 865])
    );
    assert_eq!(
        cl100k.encode_with_special(text, SpecialSet::None, SpecialSet::All),
        Err(Error::DisallowedSpecial { token: "<|endoftext|>".into(), at: 6 })
    );
    assert_eq!(cl100k.encode_with_special(text, SpecialSet::None, SpecialSet::None), Ok(cl100k.encode(text)));
    assert_eq!(
        cl100k.encode_with_special(text, SpecialSet::Only(&["<|fim_prefix|>"]), SpecialSet::None),
        Ok(cl100k.encode(text))
    );
    assert!(cl100k.count(text) > 4);
}

#[test]
fn decoding_says_what_is_not_text() {
    let o200k = encoding(EncodingName::O200kBase);
    let ids = o200k.encode("a\u{1F9EC}");
    let cut = &ids[..ids.len() - 1];
    assert!(matches!(o200k.decode(cut), Err(Error::NotUtf8 { .. })));
    assert!(o200k.decode_lossy(cut).is_ok_and(|text| text.ends_with('\u{fffd}')));
}

#[test]
fn truncation_fits_and_keeps_its_side() {
    let mut random = Seeded(3);
    for name in [EncodingName::O200kBase, EncodingName::Cl100kBase, EncodingName::R50kBase] {
        let encoding = encoding(name);
        for round in 0..400 {
            let text = soup(&mut random, 1 + round % 60);
            let n = encoding.count(&text);
            for limit in [0, 1, 2, n / 2, n.saturating_sub(1), n, n + 1] {
                let back = encoding.truncate(&text, limit, Side::Back);
                let front = encoding.truncate(&text, limit, Side::Front);
                let middle = encoding.truncate(&text, limit, Side::Middle);
                assert!(text.starts_with(&*back) && text.ends_with(&*front));
                for cut in [&back, &front, &middle] {
                    assert!(encoding.count(cut) <= limit, "{name} {limit} {text:?} {cut:?}");
                    assert_eq!(limit >= n, cut.len() == text.len());
                }
            }
        }
    }
}

#[test]
fn chunks_cover_the_text() {
    let mut random = Seeded(4);
    let o200k = encoding(EncodingName::O200kBase);
    for round in 0..300 {
        let text = soup(&mut random, round % 80);
        for limit in [1, 4, 17, 1000] {
            let chunks = o200k.chunks(&text, limit);
            assert_eq!(chunks.concat(), text);
            for chunk in chunks {
                assert!(o200k.count(chunk) <= limit || chunk.chars().count() == 1);
            }
        }
    }
}

#[test]
fn offsets_and_early_stop() {
    let o200k = encoding(EncodingName::O200kBase);
    let text = "Revenue rose 12.5% to $1,234 — naïve?";
    let offsets = o200k.offsets(text);
    assert_eq!(offsets.last().map(|(_, range)| range.end), Some(text.len()));
    for (id, range) in &offsets {
        assert_eq!(o200k.token_bytes(*id), Ok(&text.as_bytes()[range.clone()]));
    }
    let n = o200k.count(text);
    assert!(o200k.exceeds(text, n - 1) && !o200k.exceeds(text, n) && !o200k.exceeds("", 0));
}
