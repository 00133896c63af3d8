//! What a `tokenizer.json` does to a text before it is cut, and how it cuts it into words.

use std::borrow::Cow;

use serde_json::Value;
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use super::json::unsupported;
use crate::error::Error;
use crate::vocabulary::decode_base64;

/// One step of a normalizer.
#[derive(Debug)]
pub(super) enum Step {
    /// Puts a text before one that is not empty.
    Prepend(String),
    Replace(String, String),
    /// Replaces runs of two and more spaces.
    Spaces(String),
    Strip {
        left: bool,
        right: bool,
    },
    Lowercase,
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
    Map(CharsMap),
}

impl Step {
    /// Reads a normalizer into its steps.
    pub(super) fn read(value: &Value, into: &mut Vec<Self>) -> Result<(), Error> {
        if value.is_null() {
            return Ok(());
        }
        let text = |key: &str| {
            let text = value[key].as_str().map(str::to_owned);
            text.ok_or_else(|| unsupported(format!("its normalizer has no {key}")))
        };
        into.push(match value["type"].as_str().unwrap_or_default() {
            "Sequence" => {
                let steps = value["normalizers"].as_array().map(Vec::as_slice).unwrap_or_default();
                return steps.iter().try_for_each(|step| match step["type"].as_str() {
                    Some("Sequence") => Err(unsupported("its normalizer holds a sequence in a sequence")),
                    _ => Self::read(step, into),
                });
            }
            "Prepend" => Self::Prepend(text("prepend")?),
            "Replace" => match (value["pattern"]["String"].as_str(), value["pattern"]["Regex"].as_str()) {
                (Some(pattern), _) if !pattern.is_empty() => {
                    Self::Replace(pattern.to_owned(), text("content")?)
                }
                (_, Some(" {2,}")) => Self::Spaces(text("content")?),
                _ => return Err(unsupported(format!("its normalizer replaces {}", value["pattern"]))),
            },
            "Strip" => Self::Strip {
                left: value["strip_left"].as_bool().unwrap_or(false),
                right: value["strip_right"].as_bool().unwrap_or(false),
            },
            "Lowercase" => Self::Lowercase,
            "NFC" => Self::Nfc,
            "NFD" => Self::Nfd,
            "NFKC" => Self::Nfkc,
            "NFKD" => Self::Nfkd,
            "Precompiled" => Self::Map(CharsMap::read(&text("precompiled_charsmap")?)?),
            other => return Err(unsupported(format!("its normalizer {other} is not known"))),
        });
        Ok(())
    }

    pub(super) fn apply<'t>(&self, text: Cow<'t, str>) -> Cow<'t, str> {
        match self {
            Self::Prepend(before) if !text.is_empty() => Cow::Owned(format!("{before}{text}")),
            Self::Prepend(_) => text,
            Self::Replace(pattern, _) if !text.contains(pattern.as_str()) => text,
            Self::Replace(pattern, content) => Cow::Owned(text.replace(pattern.as_str(), content)),
            Self::Spaces(content) => Cow::Owned(spaces(&text, content)),
            Self::Strip { left, right } => {
                let cut = if *left { text.trim_start() } else { &text };
                Cow::Owned(if *right { cut.trim_end() } else { cut }.to_owned())
            }
            Self::Lowercase => Cow::Owned(text.chars().flat_map(char::to_lowercase).collect()),
            Self::Nfc => Cow::Owned(text.nfc().collect()),
            Self::Nfd => Cow::Owned(text.nfd().collect()),
            Self::Nfkc => Cow::Owned(text.nfkc().collect()),
            Self::Nfkd => Cow::Owned(text.nfkd().collect()),
            Self::Map(map) => Cow::Owned(map.apply(&text)),
        }
    }
}

fn spaces(text: &str, content: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("  ") {
        out.push_str(&rest[..at]);
        out.push_str(content);
        rest = rest[at..].trim_start_matches(' ');
    }
    out.push_str(rest);
    out
}

/// SentencePiece's table of replacements: a double array that ends in places of one string.
#[derive(Debug)]
pub(super) struct CharsMap {
    units: Vec<u32>,
    texts: String,
}

impl CharsMap {
    fn read(base64: &str) -> Result<Self, Error> {
        let bad = || unsupported("its precompiled_charsmap is damaged");
        let bytes = decode_base64(base64.as_bytes()).ok_or_else(bad)?;
        let (size, rest) = bytes.split_first_chunk::<4>().ok_or_else(bad)?;
        let size = u32::from_le_bytes(*size) as usize;
        let (units, texts) = rest.split_at_checked(size).ok_or_else(bad)?;
        let units = units.chunks_exact(4).filter_map(|unit| unit.try_into().ok().map(u32::from_le_bytes));
        let texts = String::from_utf8(texts.to_vec()).map_err(|_| bad())?;
        Ok(Self { units: units.collect(), texts })
    }

    /// What stands for the shortest beginning of a text that the table knows.
    fn find(&self, text: &str) -> Option<&str> {
        let offset = |unit: u32| ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize;
        let mut at = offset(*self.units.first()?);
        for byte in text.bytes() {
            if byte == 0 {
                return None;
            }
            at ^= usize::from(byte);
            let unit = *self.units.get(at)?;
            if unit & (1 << 31 | 0xff) != u32::from(byte) {
                return None;
            }
            at ^= offset(unit);
            if unit >> 8 & 1 == 1 {
                let begin = (*self.units.get(at)? & ((1 << 31) - 1)) as usize;
                let found = self.texts.get(begin..)?;
                return Some(found.split('\0').next().unwrap_or_default());
            }
        }
        None
    }

    /// Replaces graphemes where the table knows them, else their characters.
    fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for grapheme in text.graphemes(true) {
            if grapheme.len() < 6
                && let Some(new) = self.find(grapheme)
            {
                out.push_str(new);
                continue;
            }
            for (at, c) in grapheme.char_indices() {
                let own = &grapheme[at..at + c.len_utf8()];
                out.push_str(self.find(own).unwrap_or(own));
            }
        }
        out
    }
}

/// One step of cutting into words.
#[derive(Debug)]
pub(super) enum Cut {
    /// At white space, which goes.
    Whitespace,
    /// Writes spaces as marks, and may put one before the text and cut before each.
    Metaspace { mark: char, first: First, split: bool },
}

/// Where a mark is put before a text without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    Always,
    /// Only where the text begins.
    Begin,
    Never,
}

impl Cut {
    /// Reads a pre-tokenizer into its steps; a cut at spaces that a normalizer has replaced is none.
    pub(super) fn read(value: &Value, normalizer: &[Step], into: &mut Vec<Self>) -> Result<(), Error> {
        if value.is_null() {
            return Ok(());
        }
        match value["type"].as_str().unwrap_or_default() {
            "Sequence" => {
                let steps = value["pretokenizers"].as_array().map(Vec::as_slice).unwrap_or_default();
                return steps.iter().try_for_each(|step| match step["type"].as_str() {
                    Some("Sequence") => Err(unsupported("its pre-tokenizer holds a sequence in a sequence")),
                    _ => Self::read(step, normalizer, into),
                });
            }
            "WhitespaceSplit" => into.push(Self::Whitespace),
            "Metaspace" => {
                let mut mark = value["replacement"].as_str().unwrap_or_default().chars();
                let (Some(mark), None) = (mark.next(), mark.next()) else {
                    return Err(unsupported("its pre-tokenizer marks spaces with more than a character"));
                };
                let first = match (value["prepend_scheme"].as_str(), value["add_prefix_space"].as_bool()) {
                    (Some("first"), _) => First::Begin,
                    (Some("never"), _) | (None, Some(false)) => First::Never,
                    (Some("always") | None, _) => First::Always,
                    (Some(other), _) => return Err(unsupported(format!("it prepends {other:?}"))),
                };
                into.push(Self::Metaspace { mark, first, split: value["split"].as_bool().unwrap_or(true) });
            }
            "Split" if value["pattern"]["String"] == " " => {
                let replaced =
                    |step: &Step| matches!(step, Step::Replace(from, to) if from == " " && !to.contains(' '));
                if !normalizer.iter().any(replaced) {
                    return Err(unsupported("it splits at spaces"));
                }
            }
            other => return Err(unsupported(format!("its pre-tokenizer {other} is not known"))),
        }
        Ok(())
    }

    /// Cuts words; the first one begins the text where `begins` says so.
    pub(super) fn apply(&self, words: Vec<String>, begins: bool) -> Vec<String> {
        let mut out = Vec::new();
        for (n, word) in words.into_iter().enumerate() {
            match self {
                Self::Whitespace => {
                    out.extend(word.split(char::is_whitespace).filter(|w| !w.is_empty()).map(str::to_owned));
                }
                Self::Metaspace { mark, first, split } => {
                    let mut word = word.replace(' ', mark.encode_utf8(&mut [0; 4]));
                    let wanted = *first == First::Always || *first == First::Begin && begins && n == 0;
                    if wanted && !word.starts_with(*mark) {
                        word.insert(0, *mark);
                    }
                    if *split { before_marks(&word, *mark, &mut out) } else { out.push(word) }
                }
            }
        }
        out
    }
}

/// Cuts before each mark; one before another one, or at the end, stands alone.
fn before_marks(word: &str, mark: char, out: &mut Vec<String>) {
    let mut begin = 0;
    for (at, _) in word.match_indices(mark).filter(|(at, _)| *at > 0) {
        out.push(word[begin..at].to_owned());
        begin = at;
    }
    out.push(word[begin..].to_owned());
}
