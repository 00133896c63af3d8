//! One encoding: a vocabulary, a splitting pattern and special tokens, with the operations on text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::error::Error;
use crate::pieces::Pieces;
use crate::pretokenize::Pattern;
use crate::sentencepiece::SentencePiece;
use crate::simd::{Isa, Vectors};
use crate::special::{SpecialSet, Specials};
use crate::vocabulary::Vocabulary;

/// A byte-pair encoding: counts, encodes and decodes exactly. One of SentencePiece counts and encodes.
///
/// All methods can be called from many threads at once. A literal such as `<|endoftext|>` is ordinary text and is
/// encoded character by character, except in [`encode_with_special`](Self::encode_with_special).
#[derive(Clone)]
pub struct Encoding {
    name: String,
    pattern: Pattern,
    vocabulary: Arc<Vocabulary>,
    specials: Arc<Specials>,
    pieces: Pieces,
    /// Ids that differ from the vocabulary's own numbers.
    ids: Option<Arc<Ids>>,
    /// Whether text is normalized to Unicode form C first.
    nfc: bool,
    /// Pieces of text in the place of the vocabulary of bytes.
    text: Option<Arc<SentencePiece>>,
}

/// Ids of tokens whose numbers are priorities, not ids.
pub(crate) struct Ids {
    of_number: Vec<u32>,
    numbers: HashMap<u32, u32>,
}

impl Ids {
    pub(crate) fn new(of_number: Vec<u32>) -> Self {
        let numbers = of_number.iter().copied().zip(0..).collect();
        Self { of_number, numbers }
    }
}

/// Which part of a text is cut.
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
        let pieces = Pieces::new(pattern, Isa::detect(), &vocabulary);
        let specials = Arc::new(Specials::new(specials));
        Self {
            name: name.to_owned(),
            pattern,
            vocabulary,
            specials,
            pieces,
            ids: None,
            nfc: false,
            text: None,
        }
    }

    pub(crate) fn with_text(self, pieces: SentencePiece) -> Self {
        Self { text: Some(Arc::new(pieces)), ..self }
    }

    /// Returns whether tokens are bytes of the text, so that ids give it back. SentencePiece changes a text before it splits it.
    pub fn is_of_bytes(&self) -> bool {
        self.text.is_none()
    }

    pub(crate) fn with_ids(self, ids: Ids, nfc: bool) -> Self {
        Self { ids: Some(Arc::new(ids)), nfc, ..self }
    }

    /// Returns the text after normalization.
    pub(crate) fn normal<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.nfc && is_nfc_quick(text.chars()) != IsNormalized::Yes {
            Cow::Owned(text.nfc().collect())
        } else {
            Cow::Borrowed(text)
        }
    }

    /// Returns the id of a token number of the vocabulary.
    pub(crate) fn id_of(&self, number: u32) -> u32 {
        self.ids.as_ref().map_or(number, |ids| ids.of_number[number as usize])
    }

    fn number_of(&self, id: u32) -> Option<u32> {
        match &self.ids {
            Some(ids) => ids.numbers.get(&id).copied(),
            None => ((id as usize) < self.vocabulary.n_tokens()).then_some(id),
        }
    }

    /// Returns the published name, such as `o200k_base`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the splitting pattern.
    pub fn pattern(&self) -> Pattern {
        self.pattern
    }

    /// Returns the size of the tables in bytes; encodings with equal vocabularies share them.
    pub fn resident_bytes(&self) -> usize {
        self.vocabulary.resident_bytes()
    }

    /// Returns the largest id plus one.
    pub fn id_limit(&self) -> u32 {
        let ordinary = match &self.ids {
            Some(ids) => ids.of_number.iter().max().map_or(0, |id| id.saturating_add(1)),
            None => u32::try_from(self.vocabulary.n_tokens()).expect("token numbers fit 21 bits"),
        };
        self.specials.max_id().map_or(ordinary, |id| ordinary.max(id.saturating_add(1)))
    }

    /// Returns the literals of the special tokens with their ids, ordered by id.
    pub fn special_tokens(&self) -> Vec<(&str, u32)> {
        let mut all: Vec<_> = self.specials.iter().collect();
        all.sort_unstable_by_key(|(literal, id)| (*id, *literal));
        all
    }

    /// Returns the id of the special token with this literal.
    pub fn special_id(&self, literal: &str) -> Option<u32> {
        self.specials.id(literal)
    }

    /// Returns a number that distinguishes encodings with equal names.
    pub(crate) fn number(&self) -> u64 {
        self.pieces.number()
    }

    pub(crate) fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Returns the same encoding with narrower vectors and a shared vocabulary. All results are equal. Vectors that the
    /// processor lacks are not chosen.
    pub fn with_vectors(&self, vectors: Vectors) -> Self {
        let isa = Isa::at_most(vectors);
        Self { pieces: Pieces::new(self.pattern, isa, &self.vocabulary), ..self.clone() }
    }

    /// Counts the tokens of `text` as ordinary text.
    pub fn count(&self, text: &str) -> usize {
        if let Some(pieces) = &self.text {
            return pieces.count(text);
        }
        self.pieces.count(&self.vocabulary, self.normal(text).as_bytes(), usize::MAX)
    }

    /// Returns whether `text` has more than `limit` tokens; stops as soon as that is known.
    pub fn exceeds(&self, text: &str, limit: usize) -> bool {
        if let Some(pieces) = &self.text {
            return pieces.count(text) > limit;
        }
        let text = self.normal(text);
        text.len() > limit && self.pieces.count(&self.vocabulary, text.as_bytes(), limit) > limit
    }

    /// Encodes `text` as ordinary text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 4 + 1);
        self.encode_into(text, &mut ids);
        ids
    }

    /// Appends the token ids of `text` as ordinary text to `ids`.
    pub fn encode_into(&self, text: &str, ids: &mut Vec<u32>) {
        if let Some(pieces) = &self.text {
            return ids.extend(pieces.encode(text));
        }
        let from = ids.len();
        self.pieces.encode(&self.vocabulary, self.normal(text).as_bytes(), ids);
        if self.ids.is_some() {
            for id in &mut ids[from..] {
                *id = self.id_of(*id);
            }
        }
    }

    /// Encodes `text`, with the literals of `allowed` special tokens as those tokens.
    ///
    /// A literal of `disallowed` that is not allowed is an error, as in tiktoken, whose defaults are `None` and `All`.
    /// All other literals are ordinary text.
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

    /// Decodes `ids` to bytes; a token can end inside a character.
    pub fn decode_bytes(&self, ids: &[u32]) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for id in ids {
            bytes.extend_from_slice(self.token_bytes(*id)?);
        }
        Ok(bytes)
    }

    /// Decodes `ids` to text.
    pub fn decode(&self, ids: &[u32]) -> Result<String, Error> {
        String::from_utf8(self.decode_bytes(ids)?)
            .map_err(|e| Error::NotUtf8 { valid_up_to: e.utf8_error().valid_up_to() })
    }

    /// Decodes `ids` to text, with U+FFFD for invalid UTF-8.
    pub fn decode_lossy(&self, ids: &[u32]) -> Result<String, Error> {
        Ok(match String::from_utf8(self.decode_bytes(ids)?) {
            Ok(text) => text,
            Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
        })
    }

    /// Returns the bytes of one token, special or not.
    pub fn token_bytes(&self, id: u32) -> Result<&[u8], Error> {
        if !self.is_of_bytes() {
            return Err(Error::NotOfBytes { encoding: self.name.clone() });
        }
        if let Some(number) = self.number_of(id) {
            let bytes = self.vocabulary.string(number);
            if !bytes.is_empty() {
                return Ok(bytes);
            }
        }
        self.specials.literal(id).map(str::as_bytes).ok_or_else(|| Error::UnknownToken {
            id,
            encoding: self.name.clone(),
            max: self.id_limit().saturating_sub(1),
        })
    }

    /// Returns the two tokens that merge to this one; `None` for a byte or a special token.
    pub fn merge_of(&self, id: u32) -> Option<(u32, u32)> {
        let of_bytes = self.is_of_bytes().then_some(id)?;
        let (left, right) = self.vocabulary.merge_of(self.number_of(of_bytes)?)?;
        Some((self.id_of(left), self.id_of(right)))
    }

    /// Encodes `text` and returns each id with its byte range, which can start or end inside a character.
    ///
    /// If the encoding normalizes text, the ranges refer to the normalized text.
    pub fn offsets(&self, text: &str) -> Vec<(u32, Range<usize>)> {
        let mut at = 0;
        self.encode(text)
            .into_iter()
            .map(|id| {
                let start = at;
                at += self.token_bytes(id).map_or(0, <[u8]>::len);
                (id, start..at)
            })
            .collect()
    }

    /// Cuts `text` to at most `limit` tokens, at borders of tokens and characters.
    ///
    /// The kept text is counted again, because the cut can change how its last piece splits. The result never has more
    /// than `limit` tokens.
    pub fn truncate<'t>(&self, text: &'t str, limit: usize, side: Side) -> Cow<'t, str> {
        if !self.exceeds(text, limit) {
            return Cow::Borrowed(text);
        }
        if let Cow::Owned(normal) = self.normal(text) {
            return Cow::Owned(self.truncate(&normal, limit, side).into_owned());
        }
        let ends = self.is_of_bytes().then(|| self.token_ends(text));
        let prefix = |limit| match &ends {
            Some(ends) => self.longest_prefix(text, ends, limit),
            None => self.prefix_of_characters(text, limit),
        };
        let suffix = |limit| match &ends {
            Some(ends) => self.longest_suffix(text, ends, limit),
            None => self.suffix_of_characters(text, limit),
        };
        match side {
            Side::Back => Cow::Borrowed(&text[..prefix(limit)]),
            Side::Front => Cow::Borrowed(&text[suffix(limit)..]),
            Side::Middle => {
                let mut keep = limit;
                loop {
                    let head = &text[..prefix(keep.div_ceil(2))];
                    let rest = &text[suffix(keep / 2).max(head.len())..];
                    let joined = [head, rest].concat();
                    if keep == 0 || !self.exceeds(&joined, limit) {
                        return Cow::Owned(joined);
                    }
                    keep -= 1;
                }
            }
        }
    }

    /// Cuts `text` into consecutive parts of at most `limit` tokens; an empty text has none.
    ///
    /// A single character with more than `limit` tokens is a part of its own. A `limit` of 0 counts as 1.
    pub fn chunks<'t>(&self, text: &'t str, limit: usize) -> Vec<&'t str> {
        let limit = limit.max(1);
        if !self.is_of_bytes() {
            return self.chunks_of_characters(text, limit);
        }
        // Borders are of the text as given, also where it is normalized to be counted.
        let ends: Vec<usize> = match self.normal(text) {
            Cow::Borrowed(text) => self.token_ends(text),
            Cow::Owned(_) => text.char_indices().skip(1).map(|(at, _)| at).chain([text.len()]).collect(),
        };
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

    /// Returns the length in bytes of the longest prefix of at most `limit` tokens that ends at one of the token
    /// `ends`.
    fn longest_prefix(&self, text: &str, ends: &[usize], limit: usize) -> usize {
        for end in ends[..limit.min(ends.len())].iter().rev() {
            let end = floor_char_boundary(text, *end);
            if !self.exceeds(&text[..end], limit) {
                return end;
            }
        }
        0
    }

    /// Returns the start of the longest suffix of at most `limit` tokens, at one of the token `ends`.
    fn longest_suffix(&self, text: &str, ends: &[usize], limit: usize) -> usize {
        for end in &ends[ends.len().saturating_sub(limit + 1)..] {
            let start = text.len() - floor_char_boundary_reversed(text, text.len() - *end);
            if !self.exceeds(&text[start..], limit) {
                return start;
            }
        }
        text.len()
    }

    /// The same where tokens have no place in the text: at a border of characters.
    fn prefix_of_characters(&self, text: &str, limit: usize) -> usize {
        let mut most = limit.saturating_mul(8).saturating_add(64);
        while most < text.len() && !self.exceeds(&text[..floor_char_boundary(text, most)], limit) {
            most *= 2;
        }
        let ends: Vec<usize> =
            text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= most).collect();
        let fits = ends.partition_point(|end| !self.exceeds(&text[..*end], limit));
        fits.checked_sub(1).map_or(0, |last| ends[last])
    }

    fn suffix_of_characters(&self, text: &str, limit: usize) -> usize {
        let mut most = limit.saturating_mul(8).saturating_add(64);
        let start = |most: usize| text.len() - floor_char_boundary_reversed(text, most.min(text.len()));
        while most < text.len() && !self.exceeds(&text[start(most)..], limit) {
            most *= 2;
        }
        let from = start(most);
        let starts: Vec<usize> = text[from..].char_indices().map(|(at, _)| from + at).collect();
        let fits = starts.partition_point(|start| self.exceeds(&text[*start..], limit));
        starts.get(fits).copied().unwrap_or(text.len())
    }

    fn chunks_of_characters<'t>(&self, mut text: &'t str, limit: usize) -> Vec<&'t str> {
        let mut chunks = Vec::new();
        while let Some(first) = text.chars().next() {
            let (chunk, rest) = text.split_at(self.prefix_of_characters(text, limit).max(first.len_utf8()));
            chunks.push(chunk);
            text = rest;
        }
        chunks
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

/// Returns the longest length, at most `len`, of a suffix that starts at a character border.
fn floor_char_boundary_reversed(text: &str, mut len: usize) -> usize {
    while !text.is_char_boundary(text.len() - len) {
        len -= 1;
    }
    len
}
