//! Encodings from files: tiktoken's rank files and Hugging Face's `tokenizer.json`.
//!
//! A `tokenizer.json` names its splitting pattern as a regular expression. Patterns of the byte-level families are
//! known by their text ([`PATTERNS`]); any other is refused by name, never approximated.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use crate::encoding::{Encoding, Ids};
use crate::error::Error;
use crate::pretokenize::Pattern;
use crate::vocabulary::{Entry, MergeTable, Vocabulary, canonical_pair, parse_ranks};

/// Regular expressions in `tokenizer.json` files, each with its automaton.
const PATTERNS: [(&str, Pattern); 6] = [
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        Pattern::Llama3,
    ),
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        Pattern::Qwen2,
    ),
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        Pattern::Tekken,
    ),
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        Pattern::O200k,
    ),
    (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
        Pattern::Llama3,
    ),
    (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", Pattern::Gpt2),
];

/// The three steps of DeepSeek 3.
const DEEPSEEK: [&str; 3] = [
    r"\p{N}{1,3}",
    "[一-龥\u{3040}-ゟ゠-ヿ]+",
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
];

impl Encoding {
    /// Reads an encoding from a rank file of tiktoken (`base64 rank` per line).
    pub fn from_tiktoken(
        name: &str,
        file: &[u8],
        pattern: Pattern,
        specials: Vec<(String, u32)>,
    ) -> Result<Self, Error> {
        Self::from_ranks(name, &parse_ranks(file)?, pattern, specials)
    }

    pub(crate) fn from_ranks(
        name: &str,
        ranks: &[(Vec<u8>, u32)],
        pattern: Pattern,
        specials: Vec<(String, u32)>,
    ) -> Result<Self, Error> {
        let table = MergeTable::from_ranks(ranks)?;
        let vocabulary = Vocabulary::load(Cow::Owned(table.to_bytes()), usize::MAX)?;
        Ok(Self::new(name, pattern, Arc::new(vocabulary), specials))
    }

    /// Reads an encoding from a Hugging Face `tokenizer.json` with byte-level merges (Llama 3, Qwen, Mistral's Tekken,
    /// DeepSeek 3, GPT-2 and similar).
    pub fn from_tokenizer_json(name: &str, file: &[u8]) -> Result<Self, Error> {
        let json: Value = serde_json::from_slice(file)
            .map_err(|e| Error::TokenizerJson { what: format!("it is not JSON: {e}") })?;
        let pattern = pattern(&json["pre_tokenizer"])?;
        let nfc = normalizer(&json["normalizer"])?;
        let model = &json["model"];
        let (table, external) = merges(model)?;
        let vocabulary = Vocabulary::load(Cow::Owned(table.to_bytes()), usize::MAX)?;
        let specials = json["added_tokens"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|token| {
                Some((token["content"].as_str()?.to_owned(), u32::try_from(token["id"].as_u64()?).ok()?))
            })
            .collect();
        Ok(Self::new(name, pattern, Arc::new(vocabulary), specials).with_ids(Ids::new(external), nfc))
    }
}

fn unsupported(what: impl Into<String>) -> Error {
    Error::TokenizerJson { what: what.into() }
}

fn pattern(pre: &Value) -> Result<Pattern, Error> {
    let steps = match pre["type"].as_str() {
        Some("Sequence") => pre["pretokenizers"].as_array().map(Vec::as_slice).unwrap_or_default(),
        _ => std::slice::from_ref(pre),
    };
    let mut splits: Vec<&str> = Vec::new();
    let mut byte_level = false;
    let mut own_regex = false;
    for step in steps {
        match step["type"].as_str() {
            Some("ByteLevel") => {
                if step["add_prefix_space"].as_bool() == Some(true) {
                    return Err(unsupported("it adds a space before the text"));
                }
                byte_level = true;
                own_regex = step["use_regex"].as_bool() != Some(false);
            }
            Some("Split") => {
                if step["behavior"].as_str() != Some("Isolated") || step["invert"].as_bool() == Some(true) {
                    return Err(unsupported("it splits in another way than around matches"));
                }
                splits.push(step["pattern"]["Regex"].as_str().unwrap_or(""));
            }
            Some(other) => return Err(unsupported(format!("its pre-tokenizer {other} is not known"))),
            None => return Err(unsupported("it has no pre-tokenizer")),
        }
    }
    let not_known = |regex: &str| unsupported(format!("its splitting pattern is not known: {regex}"));
    let found = match splits[..] {
        [] if own_regex => Pattern::Gpt2,
        [] => return Err(unsupported("it does not split")),
        [regex] => {
            PATTERNS.iter().find(|(k, _)| *k == regex).map(|(_, p)| *p).ok_or_else(|| not_known(regex))?
        }
        _ if splits == DEEPSEEK => Pattern::DeepSeek3,
        _ => {
            let known = |regex: &&&str| !DEEPSEEK.contains(*regex);
            return Err(not_known(splits.iter().find(known).unwrap_or(&splits[0])));
        }
    };
    match byte_level {
        true => Ok(found),
        false => Err(unsupported("its merges are not of bytes")),
    }
}

fn normalizer(normalizer: &Value) -> Result<bool, Error> {
    match normalizer["type"].as_str() {
        None if normalizer.is_null() => Ok(false),
        Some("NFC") => Ok(true),
        Some("Sequence") => {
            let steps = normalizer["normalizers"].as_array().map(Vec::as_slice).unwrap_or_default();
            steps.iter().try_fold(false, |nfc, step| Ok(nfc | self::normalizer(step)?))
        }
        other => Err(unsupported(format!("its normalizer {} is not known", other.unwrap_or("?")))),
    }
}

/// Merges in order of priority, and the id of each token.
fn merges(model: &Value) -> Result<(MergeTable, Vec<u32>), Error> {
    if model["type"].as_str().is_some_and(|kind| kind != "BPE") {
        return Err(unsupported("its model is not BPE"));
    }
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
        if model[key].as_str().is_some_and(|text| !text.is_empty()) {
            return Err(unsupported(format!("its model has a {key}")));
        }
    }
    if model["byte_fallback"].as_bool() == Some(true) {
        return Err(unsupported("its model falls back to bytes: SentencePiece is not supported"));
    }
    let vocabulary = model["vocab"].as_object().ok_or_else(|| unsupported("its model has no vocab"))?;
    let bytes_of = bytes_of_letters();
    let spell = |word: &str| word.chars().map(|c| bytes_of.get(&c).copied()).collect::<Option<Vec<u8>>>();
    let id_of = |bytes: &Value| bytes.as_u64().and_then(|id| u32::try_from(id).ok());
    let mut ids: HashMap<Vec<u8>, u32> = HashMap::with_capacity(vocabulary.len());
    for (word, id) in vocabulary {
        let id = id_of(id).ok_or_else(|| unsupported(format!("the id of {word:?} is not a number")))?;
        if let Some(bytes) = spell(word).filter(|bytes| !bytes.is_empty()) {
            ids.insert(bytes, id);
        }
    }
    // Priority is the order of the merges; single bytes come before all.
    let mut words: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    let mut listed: HashSet<(Vec<u8>, usize)> = HashSet::new();
    let mut seen: HashSet<Vec<u8>> = words.iter().cloned().collect();
    for merge in model["merges"].as_array().ok_or_else(|| unsupported("its model has no merges"))? {
        let pair = match merge {
            Value::String(text) => text.split_once(' '),
            Value::Array(halves) if halves.len() == 2 => halves[0].as_str().zip(halves[1].as_str()),
            _ => None,
        };
        let (left, right) = pair
            .and_then(|(left, right)| Some((spell(left)?, spell(right)?)))
            .ok_or_else(|| unsupported(format!("a merge is not two words: {merge}")))?;
        let middle = left.len();
        let word = [left, right].concat();
        if word.len() > MergeTable::LONGEST {
            return Err(Error::BadVocabulary { what: "a token is longer than 1,024 bytes" });
        }
        listed.insert((word.clone(), middle));
        if seen.insert(word.clone()) {
            words.push(word);
        }
    }
    let n_merged = words.len();
    if model["ignore_merges"].as_bool() == Some(true) {
        // A whole piece that is in the vocabulary is that token, whether merges lead to it or not.
        let mut rest: Vec<(&u32, &Vec<u8>)> =
            ids.iter().filter(|(bytes, _)| !seen.contains(*bytes)).map(|(bytes, id)| (id, bytes)).collect();
        rest.sort_unstable();
        words.extend(rest.into_iter().filter(|(_, bytes)| bytes.len() < 256).map(|(_, bytes)| bytes.clone()));
    }
    let external = words
        .iter()
        .map(|word| {
            ids.get(word)
                .copied()
                .ok_or_else(|| unsupported(format!("{:?} has no id", String::from_utf8_lossy(word))))
        })
        .collect::<Result<Vec<u32>, Error>>()?;
    let mut given = HashSet::with_capacity(external.len());
    if let Some(rank) = external.iter().copied().find(|id| !given.insert(*id)) {
        return Err(Error::RankTwice { rank });
    }
    let ranks: HashMap<&[u8], u32> = words[..n_merged].iter().map(Vec::as_slice).zip(0..).collect();
    let mut entries = Vec::with_capacity(words.len());
    for (rank, word) in words.iter().enumerate() {
        let pair = if rank < 256 || rank >= n_merged { None } else { canonical_pair(word, &ranks) };
        entries.push(match pair {
            Some((left, right)) => {
                let middle = words[left as usize].len();
                if left as usize >= rank
                    || right as usize >= rank
                    || !listed.contains(&(word.clone(), middle))
                {
                    return Err(Error::RankOrder { token: rank as u32, halves: (left, right) });
                }
                Entry::Merge(left, right)
            }
            None if word.len() < 256 => Entry::Literal(word.clone()),
            None => {
                return Err(Error::BadVocabulary {
                    what: "a token that no merge makes is longer than 255 bytes",
                });
            }
        });
    }
    Ok((MergeTable { entries }, external))
}

/// Returns the byte that each printable character of a `tokenizer.json` stands for.
fn bytes_of_letters() -> HashMap<char, u8> {
    let mut next = 256;
    (0..=255_u8)
        .map(|byte| match byte {
            33..=126 | 161..=172 | 174..=255 => (char::from(byte), byte),
            _ => {
                next += 1;
                (char::from_u32(next - 1).unwrap_or('\u{fffd}'), byte)
            }
        })
        .collect()
}
