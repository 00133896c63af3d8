//! The slow, obvious form of every fast path, as the oracle of the tests.
//!
//! Pieces come from the plain automaton, one after another. A piece is merged as the reference describes it: of all
//! neighbors whose joined bytes are a token, those with the lowest rank are joined, the leftmost first, until there are
//! none. There is no cache and no merge table. The cost is quadratic in the length of a piece.

use crate::encoding::Encoding;
use crate::pretokenize::piece_end;
use crate::vocabulary::Vocabulary;

/// Encodes `text` as ordinary text.
pub fn encode(encoding: &Encoding, text: &str) -> Vec<u32> {
    let text = encoding.normal(text);
    let bytes = text.as_bytes();
    let mut ids = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let end = piece_end(encoding.pattern(), bytes, at);
        encode_piece(encoding.vocabulary(), &bytes[at..end], &mut ids);
        at = end;
    }
    ids.into_iter().map(|token| encoding.id_of(token)).collect()
}

fn encode_piece(vocabulary: &Vocabulary, piece: &[u8], tokens: &mut Vec<u32>) {
    if let Some(token) = vocabulary.token(piece) {
        tokens.push(token);
        return;
    }
    let mut borders: Vec<usize> = (0..=piece.len()).collect();
    let joined = |borders: &[usize], i: usize| vocabulary.token(&piece[borders[i]..borders[i + 2]]);
    while let Some((_, i)) =
        (0..borders.len().saturating_sub(2)).filter_map(|i| Some((joined(&borders, i)?, i))).min()
    {
        borders.remove(i + 1);
    }
    tokens.extend(
        borders.windows(2).map(|pair| {
            vocabulary.token(&piece[pair[0]..pair[1]]).expect("single bytes and merges are tokens")
        }),
    );
}
