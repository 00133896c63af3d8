//! One encoding: a vocabulary, a splitting pattern and special tokens, with the operations on text.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::error::Error;
use crate::pieces::Pieces;
use crate::pretokenize::Pattern;
use crate::simd::Vectors;
use crate::special::{SpecialSet, Specials};
use crate::vocabulary::Vocabulary;

/// A byte-pair encoding: exact counts, ids and back.
///
/// All methods may be called from many threads at once. Text is ordinary text: a literal such as `<|endoftext|>`
/// in it is counted and encoded as the characters that it is written with, except in
/// [`encode_with_special`](Self::encode_with_special).
pub struct Encoding {
    name: String,
    pattern: Pattern,
    vocabulary: Arc<Vocabulary>,
    specials: Specials,
    pieces: Pieces,
}

/// Where a text is cut to make it shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The beginning is cut, the end is kept.
    Front,
    /// The middle is cut, both ends are kept in equal shares.
    Middle,
    /// The end is cut, the beginning is kept.
    Back,
}

impl Encoding {
    pub(crate) fn new(
        name: &str,
        pattern: Pattern,
        vocabulary: Arc<Vocabulary>,
        specials: Vec<(String, u32)>,
    ) -> Self {
        let pieces = Pieces::new(pattern, Vectors::detect(), &vocabulary);
        Self { name: name.to_owned(), pattern, vocabulary, specials: Specials::new(specials), pieces }
    }

    /// The published name, such as `o200k_base`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The splitting pattern.
    pub fn pattern(&self) -> Pattern {
        self.pattern
    }

    /// Bytes that the tables of this encoding occupy (encodings with equal vocabularies share them).
    pub fn resident_bytes(&self) -> usize {
        self.vocabulary.resident_bytes()
    }

    /// Largest id plus one.
    pub fn id_limit(&self) -> u32 {
        let ordinary = u32::try_from(self.vocabulary.n_tokens()).expect("token numbers fit 21 bits");
        self.specials.max_id().map_or(ordinary, |id| ordinary.max(id + 1))
    }

    /// Literals of the special tokens with their ids, by id.
    pub fn special_tokens(&self) -> Vec<(&str, u32)> {
        let mut all: Vec<_> = self.specials.iter().collect();
        all.sort_unstable_by_key(|(literal, id)| (*id, *literal));
        all
    }

    /// Id of the special token with this literal.
    pub fn special_id(&self, literal: &str) -> Option<u32> {
        self.specials.id(literal)
    }

    pub(crate) fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The same encoding by narrower vectors, sharing the vocabulary; equal in every result. Wider ones than the
    /// processor has are not chosen.
    pub fn with_vectors(&self, vectors: Vectors) -> Self {
        let vectors = vectors.min(Vectors::detect());
        let specials = self.specials.iter().map(|(literal, id)| (literal.to_owned(), id)).collect();
        Self {
            name: self.name.clone(),
            pattern: self.pattern,
            pieces: Pieces::new(self.pattern, vectors, &self.vocabulary),
            vocabulary: Arc::clone(&self.vocabulary),
            specials: Specials::new(specials),
        }
    }

    /// Number of tokens of `text` as ordinary text.
    pub fn count(&self, text: &str) -> usize {
        self.pieces.count(&self.vocabulary, text.as_bytes(), usize::MAX)
    }

    /// Whether `text` has more than `limit` tokens; stops as soon as that is known.
    pub fn exceeds(&self, text: &str, limit: usize) -> bool {
        text.len() > limit && self.pieces.count(&self.vocabulary, text.as_bytes(), limit) > limit
    }

    /// Token ids of `text` as ordinary text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 4 + 1);
        self.encode_into(text, &mut ids);
        ids
    }

    /// Appends the token ids of `text` as ordinary text to `ids`.
    pub fn encode_into(&self, text: &str, ids: &mut Vec<u32>) {
        self.pieces.encode(&self.vocabulary, text.as_bytes(), ids);
    }

    /// Token ids of `text` in which the literals of `allowed` special tokens stand for themselves.
    ///
    /// A literal of `disallowed` that is not allowed is an error, as in tiktoken, whose defaults are `None` and
    /// `All`; all other literals are ordinary text.
    pub fn encode_with_special(
        &self,
        text: &str,
        allowed: SpecialSet<'_>,
        disallowed: SpecialSet<'_>,
    ) -> Result<Vec<u32>, Error> {
        let mut from = 0;
        while let Some((start, end, id)) = self.specials.find(text, from, disallowed) {
            let literal = &text[start..end];
            if self.specials.find(literal, 0, allowed) != Some((0, literal.len(), id)) {
                return Err(Error::DisallowedSpecial { token: literal.to_owned(), at: start });
            }
            from = end;
        }
        let mut ids = Vec::with_capacity(text.len() / 4 + 1);
        let mut at = 0;
        while let Some((start, end, id)) = self.specials.find(text, at, allowed) {
            self.encode_into(&text[at..start], &mut ids);
            ids.push(id);
            at = end;
        }
        self.encode_into(&text[at..], &mut ids);
        Ok(ids)
    }

    /// The bytes that `ids` stand for; a token can end inside a character.
    pub fn decode_bytes(&self, ids: &[u32]) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for id in ids {
            bytes.extend_from_slice(self.token_bytes(*id)?);
        }
        Ok(bytes)
    }

    /// The text that `ids` stand for.
    pub fn decode(&self, ids: &[u32]) -> Result<String, Error> {
        String::from_utf8(self.decode_bytes(ids)?)
            .map_err(|e| Error::NotUtf8 { valid_up_to: e.utf8_error().valid_up_to() })
    }

    /// The text that `ids` stand for, with U+FFFD for what is not UTF-8.
    pub fn decode_lossy(&self, ids: &[u32]) -> Result<String, Error> {
        Ok(match String::from_utf8(self.decode_bytes(ids)?) {
            Ok(text) => text,
            Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
        })
    }

    /// The bytes of one token, special or not.
    pub fn token_bytes(&self, id: u32) -> Result<&[u8], Error> {
        if (id as usize) < self.vocabulary.n_tokens() {
            let bytes = self.vocabulary.string(id);
            if !bytes.is_empty() {
                return Ok(bytes);
            }
        }
        self.specials.literal(id).map(str::as_bytes).ok_or_else(|| Error::UnknownToken {
            id,
            encoding: self.name.clone(),
            max: self.id_limit() - 1,
        })
    }

    /// Token ids with the byte range of `text` that each stands for; a range can begin or end inside a character.
    pub fn offsets(&self, text: &str) -> Vec<(u32, Range<usize>)> {
        let mut at = 0;
        self.encode(text)
            .into_iter()
            .map(|id| {
                let start = at;
                at += self.vocabulary.string(id).len();
                (id, start..at)
            })
            .collect()
    }

    /// `text` cut to at most `limit` tokens, at borders of tokens and characters.
    ///
    /// The kept text is counted again by itself, because what is cut off can change how its last piece splits:
    /// the result never has more than `limit` tokens.
    pub fn truncate<'t>(&self, text: &'t str, limit: usize, side: Side) -> Cow<'t, str> {
        if !self.exceeds(text, limit) {
            return Cow::Borrowed(text);
        }
        let ends = self.token_ends(text);
        match side {
            Side::Back => Cow::Borrowed(&text[..self.longest_prefix(text, &ends, limit)]),
            Side::Front => Cow::Borrowed(&text[self.longest_suffix(text, &ends, limit)..]),
            Side::Middle => {
                let mut keep = limit;
                loop {
                    let head = &text[..self.longest_prefix(text, &ends, keep.div_ceil(2))];
                    let rest = &text[self.longest_suffix(text, &ends, keep / 2).max(head.len())..];
                    let joined = [head, rest].concat();
                    if keep == 0 || !self.exceeds(&joined, limit) {
                        return Cow::Owned(joined);
                    }
                    keep -= 1;
                }
            }
        }
    }

    /// `text` cut into consecutive parts of at most `limit` tokens each; empty for an empty text.
    ///
    /// A single character that alone has more than `limit` tokens is a part of its own; `limit` 0 counts as 1.
    pub fn chunks<'t>(&self, text: &'t str, limit: usize) -> Vec<&'t str> {
        let limit = limit.max(1);
        let ends = self.token_ends(text);
        let mut chunks = Vec::new();
        let mut start = 0;
        while start < text.len() {
            let from = ends.partition_point(|end| *end <= start);
            let rest = &text[start..];
            let relative: Vec<usize> =
                ends[from..ends.len().min(from + limit)].iter().map(|end| end - start).collect();
            let mut len = self.longest_prefix(rest, &relative, limit);
            if len == 0 {
                len = rest.chars().next().map_or(rest.len(), char::len_utf8);
            }
            chunks.push(&rest[..len]);
            start += len;
        }
        chunks
    }

    /// Byte length of the longest prefix of at most `limit` tokens that ends at one of the token `ends`.
    fn longest_prefix(&self, text: &str, ends: &[usize], limit: usize) -> usize {
        for end in ends[..limit.min(ends.len())].iter().rev() {
            let end = floor_char_boundary(text, *end);
            if !self.exceeds(&text[..end], limit) {
                return end;
            }
        }
        0
    }

    /// Where the longest suffix of at most `limit` tokens begins, at one of the token `ends`.
    fn longest_suffix(&self, text: &str, ends: &[usize], limit: usize) -> usize {
        for end in &ends[ends.len().saturating_sub(limit + 1)..] {
            let start = text.len() - floor_char_boundary_reversed(text, text.len() - *end);
            if !self.exceeds(&text[start..], limit) {
                return start;
            }
        }
        text.len()
    }

    fn token_ends(&self, text: &str) -> Vec<usize> {
        self.offsets(text).into_iter().map(|(_, range)| range.end).collect()
    }
}

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoding").field("name", &self.name).finish_non_exhaustive()
    }
}

fn floor_char_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The longest length, at most `len`, of a suffix that begins at a character border.
fn floor_char_boundary_reversed(text: &str, mut len: usize) -> usize {
    while !text.is_char_boundary(text.len() - len) {
        len -= 1;
    }
    len
}
