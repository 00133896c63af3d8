//! The two models of SentencePiece: pairs that are merged in an order, and the likeliest row of pieces.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// Merges in order of rank, as `tokenizer.json` lists them.
#[derive(Debug, Default)]
pub(super) struct Merges {
    pub(super) ids: HashMap<String, u32>,
    /// Two neighbors with the rank of their merge and the token that it makes.
    pub(super) pairs: HashMap<(u32, u32), (u32, u32)>,
    pub(super) unknown: Option<u32>,
    /// Whether unknown characters in a row are one token.
    pub(super) fuses: bool,
    pub(super) bytes: Bytes,
    /// Whether a word that is a token is that token, whatever the merges make of it.
    pub(super) whole_words: bool,
}

/// Tokens of single bytes; all of a character's are needed to spell it.
#[derive(Debug, Default)]
pub(super) struct Bytes(pub(super) Vec<Option<u32>>);

impl Bytes {
    /// The tokens `<0x00>` to `<0xFF>`.
    pub(super) fn of(ids: &HashMap<String, u32>) -> Self {
        Self((0..=255_u8).map(|byte| ids.get(&format!("<{byte:#04X}>")).copied()).collect())
    }

    fn spell(&self, text: &str) -> Option<Vec<u32>> {
        text.bytes().map(|byte| *self.0.get(usize::from(byte))?).collect()
    }
}

/// A token on its way, linked to its neighbors; one that was merged into another is gone.
#[derive(Clone, Copy)]
struct Symbol {
    id: u32,
    before: Option<usize>,
    after: Option<usize>,
    is_gone: bool,
}

impl Merges {
    pub(super) fn encode(&self, word: &str, out: &mut Vec<u32>) {
        if self.whole_words
            && let Some(id) = self.ids.get(word)
        {
            out.push(*id);
            return;
        }
        let mut symbols = self.symbols(word);
        let last = symbols.len().saturating_sub(1);
        for (n, symbol) in symbols.iter_mut().enumerate() {
            (symbol.before, symbol.after) = (n.checked_sub(1), (n < last).then_some(n + 1));
        }
        let find = |symbols: &[Symbol], left: usize, right: usize| {
            let (rank, made) = *self.pairs.get(&(symbols[left].id, symbols[right].id))?;
            Some(Reverse((rank, left, made)))
        };
        let mut queue: BinaryHeap<_> = (0..last).filter_map(|left| find(&symbols, left, left + 1)).collect();
        while let Some(Reverse((_, left, made))) = queue.pop() {
            let Some(right) = symbols[left].after.filter(|_| !symbols[left].is_gone) else { continue };
            // One of them has become another token since.
            let pair = self.pairs.get(&(symbols[left].id, symbols[right].id));
            if pair.is_none_or(|(_, now)| *now != made) {
                continue;
            }
            let after = symbols[right].after;
            symbols[left] = Symbol { id: made, after, ..symbols[left] };
            symbols[right].is_gone = true;
            if let Some(after) = after {
                symbols[after].before = Some(left);
                queue.extend(find(&symbols, left, after));
            }
            if let Some(before) = symbols[left].before {
                queue.extend(find(&symbols, before, left));
            }
        }
        out.extend(symbols.iter().filter(|symbol| !symbol.is_gone).map(|symbol| symbol.id));
    }

    /// The characters as tokens; what is no token becomes bytes, else the unknown token.
    fn symbols(&self, word: &str) -> Vec<Symbol> {
        let mut symbols = Vec::with_capacity(word.len());
        let mut push = |id| symbols.push(Symbol { id, before: None, after: None, is_gone: false });
        let mut unknown = None;
        for (at, c) in word.char_indices() {
            let own = &word[at..at + c.len_utf8()];
            if let Some(id) = self.ids.get(own) {
                unknown.take().into_iter().for_each(&mut push);
                push(*id);
            } else if let Some(bytes) = self.bytes.spell(own) {
                bytes.into_iter().for_each(&mut push);
            } else if let Some(id) = self.unknown {
                unknown.replace(id).filter(|_| !self.fuses).into_iter().for_each(&mut push);
            }
        }
        unknown.into_iter().for_each(&mut push);
        symbols
    }
}

/// How much less likely than the least likely piece an unknown character is.
const UNKNOWN_PENALTY: f64 = 10.0;

/// Pieces with the logarithm of how likely they are.
#[derive(Debug, Default)]
pub(super) struct Unigram {
    /// All pieces in the order of their bytes, with score and id.
    pub(super) pieces: Vec<(String, f64, u32)>,
    pub(super) unknown: Option<u32>,
    pub(super) least: f64,
    pub(super) bytes: Bytes,
}

/// The best way to a place of the text.
#[derive(Clone, Copy, Default)]
struct Best {
    score: f64,
    id: u32,
    begin: Option<usize>,
}

impl Unigram {
    /// Calls back with the end, score and id of each piece that a text begins with at a place, the shortest first.
    fn prefixes(&self, text: &[u8], at: usize, mut found: impl FnMut(usize, f64, u32)) {
        let mut range = self.pieces.as_slice();
        for (depth, byte) in text[at..].iter().enumerate() {
            // Pieces that end here come first; the others are in the order of their next byte.
            let next = |piece: &(String, f64, u32)| piece.0.as_bytes().get(depth).copied();
            let begin = range.partition_point(|piece| next(piece) < Some(*byte));
            let end = range.partition_point(|piece| next(piece) <= Some(*byte));
            range = &range[begin..end];
            match range.first() {
                None => return,
                Some((piece, score, id)) if piece.len() == depth + 1 => found(at + depth + 1, *score, *id),
                Some(_) => {}
            }
        }
    }

    fn id(&self, piece: &str) -> Option<u32> {
        let at = self.pieces.binary_search_by(|(known, ..)| known.as_str().cmp(piece)).ok()?;
        Some(self.pieces[at].2)
    }

    pub(super) fn encode(&self, word: &str, out: &mut Vec<u32>) {
        let mut best = vec![Best::default(); word.len() + 1];
        for (begin, c) in word.char_indices() {
            let till_here = best[begin].score;
            let char_end = begin + c.len_utf8();
            let mut is_known = false;
            let mut offer = |end: usize, score: f64, id: u32| {
                let place: &mut Best = &mut best[end];
                let score = score + till_here;
                if place.begin.is_none() || score > place.score {
                    *place = Best { score, id, begin: Some(begin) };
                }
            };
            self.prefixes(word.as_bytes(), begin, |end, score, id| {
                is_known |= end == char_end;
                offer(end, score, id);
            });
            if !is_known {
                offer(char_end, self.least - UNKNOWN_PENALTY, self.unknown.unwrap_or(u32::MAX));
            }
        }
        // Unknown pieces in a row are one.
        let mut pieces: Vec<(usize, usize)> = Vec::new();
        let mut end = word.len();
        let mut was_unknown = false;
        while let Some(begin) = best[end].begin.filter(|_| end > 0) {
            let is_unknown = Some(best[end].id) == self.unknown.or(Some(u32::MAX));
            match pieces.last_mut() {
                Some(last) if is_unknown && was_unknown => last.0 = begin,
                _ => pieces.push((begin, end)),
            }
            (was_unknown, end) = (is_unknown, begin);
        }
        for (begin, end) in pieces.into_iter().rev() {
            let piece = &word[begin..end];
            match self.id(piece) {
                Some(id) => out.push(id),
                None => match self.bytes.spell(piece) {
                    Some(bytes) => out.extend(bytes),
                    None => out.extend(self.unknown),
                },
            }
        }
    }
}
