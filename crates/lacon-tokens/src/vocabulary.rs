//! Vocabularies: the compact stored form, and the tables that merging and decoding read.
//!
//! A vocabulary is stored as its merges (two token numbers per token), not as its byte strings: that is the
//! smaller form, and a string is its two halves put together, so that one pass of copying restores them all.
//! Only the canonical pair of each token is kept: when merging reaches a token's bytes with both outer borders
//! intact, what happened inside is what happens to the token's bytes alone, so no other pair can ever meet.

use std::borrow::Cow;
use std::collections::HashMap;

pub use crate::classes::CharClass;
use crate::error::Error;
use crate::slots::prefetch;
use crate::tables::{BytePairs, NumberTable, hash, hash_pair};

const MAGIC: &[u8; 8] = b"LACONBPE";
/// Bytes before the halves of the first token.
const HEAD: usize = MAGIC.len() + 4;
const GAP: u32 = 0xFF_FFFE;
const LITERAL: u32 = 0xFF_FFFF;
const TOKEN_BITS: u32 = 21;
/// Token numbers are packed into 21 bits.
pub(crate) const MAX_TOKENS: usize = (1 << TOKEN_BITS) - 2;

/// How one token comes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// No token has this number.
    Gap,
    /// A single byte, or bytes that merging never produces.
    Literal(Vec<u8>),
    /// Two lower tokens, joined.
    Merge(u32, u32),
}

/// The merges of a vocabulary in order of priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeTable {
    /// One entry per token number.
    pub entries: Vec<Entry>,
}

impl MergeTable {
    /// Longest token in bytes.
    pub const LONGEST: usize = 1024;

    /// Finds the canonical merge of every token of a rank list (`(bytes, rank)`).
    pub fn from_ranks(ranks: &[(Vec<u8>, u32)]) -> Result<Self, Error> {
        let size = ranks.iter().map(|(_, rank)| *rank as usize + 1).max().unwrap_or(0);
        if size > MAX_TOKENS {
            return Err(Error::TooManyTokens { n_tokens: size, limit: MAX_TOKENS });
        }
        let mut by_bytes: HashMap<&[u8], u32> = HashMap::with_capacity(ranks.len());
        for (bytes, rank) in ranks {
            if let Some(earlier) = by_bytes.insert(bytes, *rank) {
                return Err(Error::PieceTwice { ranks: (earlier, *rank) });
            }
        }
        let mut entries = vec![Entry::Gap; size];
        for (bytes, rank) in ranks {
            if bytes.len() > Self::LONGEST {
                return Err(Error::BadVocabulary { what: "a token is longer than 1,024 bytes" });
            }
            if entries[*rank as usize] != Entry::Gap {
                return Err(Error::RankTwice { rank: *rank });
            }
            entries[*rank as usize] = match canonical_pair(bytes, &by_bytes) {
                Some((left, right)) if left < *rank && right < *rank => Entry::Merge(left, right),
                Some((left, right)) => return Err(Error::RankOrder { token: *rank, halves: (left, right) }),
                None if bytes.len() < 256 => Entry::Literal(bytes.clone()),
                None => {
                    return Err(Error::BadVocabulary {
                        what: "a token that no merge makes is longer than 255 bytes",
                    });
                }
            };
        }
        Ok(Self { entries })
    }

    /// The stored form: magic, number of tokens, three bytes per half, literal strings.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let mut literals = Vec::new();
        out.extend_from_slice(&u32_of(self.entries.len()).to_le_bytes());
        for entry in &self.entries {
            let (left, right) = match entry {
                Entry::Gap => (GAP, 0),
                Entry::Merge(left, right) => (*left, *right),
                Entry::Literal(bytes) => {
                    let at = u32_of(literals.len());
                    literals.push(u8::try_from(bytes.len()).expect("a literal token is short"));
                    literals.extend_from_slice(bytes);
                    (LITERAL, at)
                }
            };
            out.extend_from_slice(&left.to_le_bytes()[..3]);
            out.extend_from_slice(&right.to_le_bytes()[..3]);
        }
        out.extend_from_slice(&literals);
        out
    }

    /// Reads the stored form.
    pub fn from_bytes(data: &[u8]) -> Result<Self, Error> {
        let stored = Stored::open(data)?;
        let entries = (0..stored.n_tokens)
            .map(|token| {
                Ok(match stored.halves(token) {
                    (GAP, _) => Entry::Gap,
                    (LITERAL, at) => Entry::Literal(stored.literal(at as usize)?.to_vec()),
                    (left, right) if left < u32_of(token) && right < u32_of(token) => {
                        Entry::Merge(left, right)
                    }
                    halves => return Err(Error::RankOrder { token: u32_of(token), halves }),
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self { entries })
    }
}

/// Reads lines of `base64 rank`, the format of `.tiktoken` files.
pub fn parse_ranks(file: &[u8]) -> Result<Vec<(Vec<u8>, u32)>, Error> {
    let mut ranks = Vec::new();
    for (index, line) in file.split(|b| *b == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let bad = || Error::RankLine { line: index + 1 };
        let space = line.iter().position(|b| *b == b' ').ok_or_else(bad)?;
        let bytes = decode_base64(&line[..space]).ok_or_else(bad)?;
        let rank: u32 = std::str::from_utf8(&line[space + 1..])
            .ok()
            .and_then(|t| t.trim().parse().ok())
            .ok_or_else(bad)?;
        if bytes.is_empty() || rank as usize >= MAX_TOKENS {
            return Err(bad());
        }
        ranks.push((bytes, rank));
    }
    Ok(ranks)
}

/// Tokens of up to this many bits, but for the one of all ones, are made by the first phase of merging.
pub(crate) const LOW_BITS: u32 = 14;

/// The tables of a vocabulary as the build script wrote them.
pub(crate) struct Prebuilt {
    pub(crate) strings: &'static [u8],
    pub(crate) starts: &'static [u8],
    pub(crate) by_pair: &'static [u8],
    pub(crate) by_string: &'static [u8],
    pub(crate) low_by_pair: &'static [u8],
    pub(crate) byte_pairs: &'static [u8],
    pub(crate) of_byte: &'static [u8],
}

/// A vocabulary ready for use: token strings, look-up by string, look-up by pair.
pub(crate) struct Vocabulary {
    /// The stored form, of which the halves of tokens are read.
    stored: Cow<'static, [u8]>,
    strings: Cow<'static, [u8]>,
    /// Where each token's string begins, little-endian; one more at the end. A gap has an empty string.
    starts: Cow<'static, [[u8; 4]]>,
    by_pair: NumberTable<TOKEN_BITS>,
    by_string: NumberTable<TOKEN_BITS>,
    low_by_pair: NumberTable<LOW_BITS>,
    pub(crate) byte_pairs: BytePairs,
    pub(crate) of_byte: [u32; 256],
}

/// Stands for "no token".
pub(crate) const NO_TOKEN: u32 = u32::MAX;

/// Strings are copied in steps of this many bytes, and as many are free behind the last.
const STEP: usize = 16;

impl Vocabulary {
    /// Builds the tables of the first `limit` tokens of the stored form.
    pub(crate) fn load(data: Cow<'static, [u8]>, limit: usize) -> Result<Self, Error> {
        let stored = Stored::open(&data)?;
        let n = stored.n_tokens.min(limit);
        let (starts, of_byte) = layout(&stored, n)?;
        let mut strings = vec![0; starts[n] as usize + STEP];
        for token in 0..n {
            let (start, end) = (starts[token] as usize, starts[token + 1] as usize);
            match stored.halves(token) {
                (GAP, _) => continue,
                (LITERAL, at) => strings[start..end].copy_from_slice(stored.literal(at as usize)?),
                (left, right) => {
                    let mut to = start;
                    for half in [left, right] {
                        let (from, to_end) =
                            (starts[half as usize] as usize, starts[half as usize + 1] as usize);
                        // Copies a little too much, which the next copy overwrites: cheaper than exact lengths.
                        for step in (0..to_end - from).step_by(STEP) {
                            strings.copy_within(from + step..from + step + STEP, to + step);
                        }
                        to += to_end - from;
                    }
                }
            }
        }
        // One table after the other: their cache misses overlap where nothing else is in the loop.
        let mut by_pair = NumberTable::with_capacity(n);
        for token in 0..n {
            let (left, right) = stored.halves(token);
            if left < GAP {
                by_pair.insert(hash_pair(left, right), token as u32);
            }
        }
        let mut by_string = NumberTable::with_capacity(n);
        for (token, ends) in starts.windows(2).enumerate() {
            let string = &strings[ends[0] as usize..ends[1] as usize];
            if !string.is_empty() {
                by_string.insert(hash(string), token as u32);
            }
        }
        let low = || {
            (0..n.min((1 << LOW_BITS) - 1)).filter_map(|token| match stored.halves(token) {
                (GAP | LITERAL, _) => None,
                (left, right) => Some((left, right, token as u32)),
            })
        };
        let mut low_by_pair = NumberTable::with_capacity(n.min(1 << LOW_BITS));
        for (left, right, token) in low() {
            low_by_pair.insert(hash_pair(left, right), token);
        }
        let byte_pairs = BytePairs::new(low(), &of_byte);
        let starts = starts.into_iter().map(u32::to_le_bytes).collect::<Vec<_>>().into();
        let strings = strings.into();
        Ok(Self { stored: data, strings, starts, by_pair, by_string, low_by_pair, byte_pairs, of_byte })
    }

    /// The vocabulary of a stored form whose tables were built before: nothing is computed.
    pub(crate) fn prebuilt(stored: &'static [u8], tables: &Prebuilt) -> Self {
        let (of_byte, _) = tables.of_byte.as_chunks();
        Self {
            stored: Cow::Borrowed(stored),
            strings: Cow::Borrowed(tables.strings),
            starts: Cow::Borrowed(tables.starts.as_chunks().0),
            by_pair: NumberTable::from_bytes(tables.by_pair),
            by_string: NumberTable::from_bytes(tables.by_string),
            low_by_pair: NumberTable::from_bytes(tables.low_by_pair),
            byte_pairs: BytePairs::from_bytes(tables.byte_pairs),
            of_byte: std::array::from_fn(|byte| u32::from_le_bytes(of_byte[byte])),
        }
    }

    /// The tables in the order of the fields of [`Prebuilt`], with the names of their files.
    pub(crate) fn tables(&self) -> [(&'static str, Cow<'_, [u8]>); 7] {
        let of_byte: Vec<u8> = self.of_byte.iter().flat_map(|token| token.to_le_bytes()).collect();
        [
            ("strings", Cow::Borrowed(&*self.strings)),
            ("starts", Cow::Borrowed(self.starts.as_flattened())),
            ("by_pair", Cow::Borrowed(self.by_pair.bytes())),
            ("by_string", Cow::Borrowed(self.by_string.bytes())),
            ("low_by_pair", Cow::Borrowed(self.low_by_pair.bytes())),
            ("byte_pairs", Cow::Borrowed(self.byte_pairs.bytes())),
            ("of_byte", Cow::Owned(of_byte)),
        ]
    }

    pub(crate) fn n_tokens(&self) -> usize {
        self.starts.len() - 1
    }

    /// The token's bytes; empty for a gap.
    #[inline(always)]
    pub(crate) fn string(&self, token: u32) -> &[u8] {
        let start = |token: usize| u32::from_le_bytes(self.starts[token]) as usize;
        &self.strings[start(token as usize)..start(token as usize + 1)]
    }

    /// The token whose bytes are exactly `bytes`.
    #[inline(always)]
    pub(crate) fn token(&self, bytes: &[u8]) -> Option<u32> {
        let token = self.by_string.find(hash(bytes), |token| self.string(token) == bytes);
        (token != NO_TOKEN).then_some(token)
    }

    /// Asks for the memory that [`Self::token`] reads of these pieces, for all at once: the three places of each depend on
    /// one another, those of different pieces do not.
    #[inline(always)]
    pub(crate) fn prefetch_tokens<'t>(&self, pieces: impl Iterator<Item = &'t [u8]> + Clone) {
        for piece in pieces.clone() {
            self.by_string.prefetch(hash(piece));
        }
        let guesses = pieces.map(|piece| self.by_string.guess(hash(piece)));
        for start in guesses.clone().filter_map(|token| self.starts.get(token as usize)) {
            prefetch(start);
        }
        for start in guesses.filter_map(|token| self.starts.get(token as usize)) {
            if let Some(string) = self.strings.get(u32::from_le_bytes(*start) as usize) {
                prefetch(string);
            }
        }
    }

    /// The token that two tokens merge to, or [`NO_TOKEN`].
    #[inline(always)]
    pub(crate) fn merged(&self, left: u32, right: u32) -> u32 {
        self.by_pair.find(hash_pair(left, right), |token| self.halves(token) == (left, right))
    }

    /// [`Self::merged`], or rarely a token made of others, which [`Self::halves`] tells; of the tokens below
    /// 2^[`LOW_BITS`] alone if `LOW`.
    #[inline(always)]
    pub(crate) fn guess_merged<const LOW: bool>(&self, left: u32, right: u32) -> u32 {
        let hash = hash_pair(left, right);
        if LOW { self.low_by_pair.guess(hash) } else { self.by_pair.guess(hash) }
    }

    /// [`Self::merged`], of the tokens below 2^[`LOW_BITS`] alone if `LOW`.
    #[cold]
    pub(crate) fn merged_after_wrong_guess<const LOW: bool>(&self, left: u32, right: u32) -> u32 {
        let is_it = |token| self.halves(token) == (left, right);
        let hash = hash_pair(left, right);
        if LOW { self.low_by_pair.find(hash, is_it) } else { self.by_pair.find(hash, is_it) }
    }

    /// What a token that [`Self::guess_merged`] gave is made of.
    #[inline(always)]
    pub(crate) fn halves(&self, token: u32) -> (u32, u32) {
        let at = HEAD + token as usize * 6;
        let b = &self.stored[at..at + 6];
        (u32::from_le_bytes([b[0], b[1], b[2], 0]), u32::from_le_bytes([b[3], b[4], b[5], 0]))
    }

    /// The halves of a token that a merge makes.
    pub(crate) fn merge_of(&self, token: u32) -> Option<(u32, u32)> {
        if token as usize >= self.n_tokens() {
            return None;
        }
        let halves = self.halves(token);
        (halves.0 < GAP).then_some(halves)
    }

    /// Bytes held in memory, those of the binary included.
    pub(crate) fn resident_bytes(&self) -> usize {
        self.stored.len() + self.tables().iter().map(|(_, table)| table.len()).sum::<usize>()
    }
}

/// Where each token's string begins, and the token of each byte; checks that halves come before their merge.
fn layout(stored: &Stored<'_>, n: usize) -> Result<(Vec<u32>, [u32; 256]), Error> {
    let mut starts = Vec::with_capacity(n + 1);
    let mut of_byte = [NO_TOKEN; 256];
    let mut at = 0_u64;
    starts.push(0);
    for token in 0..n {
        let number = u32_of(token);
        at += match stored.halves(token) {
            (GAP, _) => 0,
            (LITERAL, literal) => {
                let string = stored.literal(literal as usize)?;
                if let [byte] = string {
                    of_byte[*byte as usize] = number;
                }
                if string.is_empty() {
                    return Err(Error::BadVocabulary { what: "a literal string is empty" });
                }
                string.len() as u64
            }
            (left, right) if left < number && right < number => {
                let len = |t: u32| u64::from(starts[t as usize + 1]) - u64::from(starts[t as usize]);
                if len(left) == 0 || len(right) == 0 {
                    return Err(Error::BadVocabulary { what: "a token is a merge of a gap" });
                }
                len(left) + len(right)
            }
            halves => return Err(Error::RankOrder { token: number, halves }),
        };
        if at > 1 << 31 {
            return Err(Error::BadVocabulary { what: "its strings are larger than 2 GB" });
        }
        starts.push(at as u32);
    }
    if of_byte.contains(&NO_TOKEN) {
        return Err(Error::BadVocabulary { what: "some single byte is not a token" });
    }
    Ok((starts, of_byte))
}

/// A checked view of the stored form.
struct Stored<'a> {
    n_tokens: usize,
    halves: &'a [u8],
    literals: &'a [u8],
}

impl<'a> Stored<'a> {
    fn open(data: &'a [u8]) -> Result<Self, Error> {
        let bad = || Error::BadVocabulary { what: "its head is cut off or of another format" };
        let rest = data.strip_prefix(MAGIC).ok_or_else(bad)?;
        let (head, rest) = rest.split_first_chunk::<4>().ok_or_else(bad)?;
        let n_tokens = u32::from_le_bytes(*head) as usize;
        if n_tokens > MAX_TOKENS || rest.len() < n_tokens * 6 {
            return Err(bad());
        }
        let (halves, literals) = rest.split_at(n_tokens * 6);
        Ok(Self { n_tokens, halves, literals })
    }

    fn halves(&self, token: usize) -> (u32, u32) {
        let b = &self.halves[token * 6..token * 6 + 6];
        (u32::from_le_bytes([b[0], b[1], b[2], 0]), u32::from_le_bytes([b[3], b[4], b[5], 0]))
    }

    fn literal(&self, at: usize) -> Result<&'a [u8], Error> {
        let len = self.literals.get(at).map(|len| *len as usize);
        len.and_then(|len| self.literals.get(at + 1..at + 1 + len))
            .ok_or(Error::BadVocabulary { what: "a literal string is out of bounds" })
    }
}

/// The two tokens whose merge gives `bytes` when it is encoded alone; none for a byte or an unreachable token.
pub(crate) fn canonical_pair(bytes: &[u8], ranks: &HashMap<&[u8], u32>) -> Option<(u32, u32)> {
    let mut borders: Vec<usize> = (0..=bytes.len()).collect();
    while borders.len() > 3 {
        let best = (0..borders.len() - 2)
            .filter_map(|i| Some((*ranks.get(&bytes[borders[i]..borders[i + 2]])?, i)))
            .min()?;
        borders.remove(best.1 + 1);
    }
    let middle = *borders.get(1)?;
    (bytes.len() > 1).then(|| Some((*ranks.get(&bytes[..middle])?, *ranks.get(&bytes[middle..])?)))?
}

pub(crate) fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    for chunk in text.chunks(4) {
        let mut bits = 0_u32;
        for byte in chunk {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        match chunk.len() {
            4 => out.extend_from_slice(&bits.to_be_bytes()[1..]),
            3 => out.extend_from_slice(&[(bits >> 10) as u8, (bits >> 2) as u8]),
            2 => out.push((bits >> 4) as u8),
            _ => return None,
        }
    }
    Some(out)
}

fn u32_of(n: usize) -> u32 {
    u32::try_from(n).expect("token numbers and string offsets are checked to fit 32 bits")
}
