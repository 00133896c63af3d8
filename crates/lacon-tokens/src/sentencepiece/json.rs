//! SentencePiece vocabularies from a `tokenizer.json`: merges without byte-level words (Gemma, Llama 2, Mistral), and
//! Unigram (T5, XLM-R). A part that is not known is refused by name, never approximated.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use super::model::{Bytes, Merges, Unigram};
use super::normalize::{Cut, Step};
use super::{Model, SentencePiece, Whole};
use crate::error::Error;

pub(super) fn unsupported(what: impl Into<String>) -> Error {
    Error::TokenizerJson { what: what.into() }
}

/// What a `tokenizer.json` does beside its model.
#[derive(Debug)]
pub(super) struct Around {
    steps: Vec<Step>,
    cuts: Vec<Cut>,
    /// Tokens that stand for themselves in a text as it came, and in its normalized form.
    raw: Whole,
    normalized: Whole,
}

impl SentencePiece {
    /// Reads the vocabulary of a `tokenizer.json`.
    ///
    /// # Errors
    /// When the file is none, or holds a part that is not known.
    pub fn from_tokenizer_json(file: &[u8]) -> Result<Self, Error> {
        Self::of_json(
            &serde_json::from_slice(file).map_err(|error| unsupported(format!("it is not JSON: {error}")))?,
        )
    }

    pub(crate) fn of_json(json: &Value) -> Result<Self, Error> {
        let model = match json["model"]["type"].as_str() {
            Some("Unigram") => Model::Unigram(unigram(&json["model"])?),
            // Files of older versions name no type.
            Some("BPE") | None => Model::Merges(merges(&json["model"])?),
            Some(other) => return Err(unsupported(format!("its model {other} is not known"))),
        };
        let (mut steps, mut cuts) = (Vec::new(), Vec::new());
        Step::read(&json["normalizer"], &mut steps)?;
        Cut::read(&json["pre_tokenizer"], &steps, &mut cuts)?;
        let mut around = Around { steps, cuts, raw: Whole::default(), normalized: Whole::default() };
        for token in json["added_tokens"].as_array().into_iter().flatten() {
            let content = token["content"].as_str().unwrap_or_default();
            let id = id_of(&token["id"]).ok_or_else(|| unsupported(format!("{content:?} has no id")))?;
            let is = |key: &str| token[key].as_bool() == Some(true);
            // A text may not hold what only a template may write: there it is text.
            let id = (!is("special")).then_some(id);
            if id.is_some() && (is("lstrip") || is("rstrip") || is("single_word")) {
                return Err(unsupported(format!("its token {content:?} depends on what stands beside it")));
            }
            if is("normalized") {
                let content = around.normalize(content).into_owned();
                around.normalized.add(&content, id);
            } else {
                around.raw.add(content, id);
            }
        }
        around.raw = std::mem::take(&mut around.raw).sorted();
        around.normalized = std::mem::take(&mut around.normalized).sorted();
        Ok(Self { model, around: Some(around) })
    }

    pub(super) fn encode_around(&self, around: &Around, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        around.raw.split(text, &mut |begin, part| match part {
            Ok(id) => ids.push(id),
            Err(part) => {
                let part = around.normalize(part);
                around.normalized.split(&part, &mut |inner, part| match part {
                    Ok(id) => ids.push(id),
                    Err(part) => self.words(around, part, begin + inner == 0, &mut ids),
                });
            }
        });
        ids
    }

    fn words(&self, around: &Around, text: &str, begins: bool, ids: &mut Vec<u32>) {
        let words = vec![text.to_owned()];
        let words = around.cuts.iter().fold(words, |words, cut| cut.apply(words, begins));
        for word in words.iter().filter(|word| !word.is_empty()) {
            match &self.model {
                Model::Merges(model) => model.encode(word, ids),
                Model::Unigram(model) => model.encode(word, ids),
                Model::Scores(model) => model.encode(word, ids),
            }
        }
    }
}

impl Around {
    fn normalize<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.steps.iter().fold(Cow::Borrowed(text), |text, step| step.apply(text))
    }
}

fn id_of(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

fn merges(model: &Value) -> Result<Merges, Error> {
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
        if model[key].as_str().is_some_and(|text| !text.is_empty()) {
            return Err(unsupported(format!("its model has a {key}")));
        }
    }
    if model["dropout"].as_f64().is_some_and(|share| share > 0.0) {
        return Err(unsupported("its merges are left out by chance"));
    }
    let vocabulary = model["vocab"].as_object().ok_or_else(|| unsupported("its model has no vocab"))?;
    let mut ids = HashMap::with_capacity(vocabulary.len());
    for (word, id) in vocabulary {
        let id = id_of(id).ok_or_else(|| unsupported(format!("the id of {word:?} is not a number")))?;
        ids.insert(word.clone(), id);
    }
    let mut pairs = HashMap::new();
    let listed = model["merges"].as_array().ok_or_else(|| unsupported("its model has no merges"))?;
    for (rank, merge) in (0..).zip(listed) {
        let pair = match merge {
            Value::String(text) => text.split_once(' '),
            Value::Array(halves) if halves.len() == 2 => halves[0].as_str().zip(halves[1].as_str()),
            _ => None,
        };
        let (left, right) = pair.ok_or_else(|| unsupported(format!("a merge is not two words: {merge}")))?;
        let id = |word: &str| {
            ids.get(word).copied().ok_or_else(|| unsupported(format!("{word:?} of a merge has no id")))
        };
        pairs.insert((id(left)?, id(right)?), (rank, id(&format!("{left}{right}"))?));
    }
    let unknown = model["unk_token"].as_str().map(|token| {
        ids.get(token).copied().ok_or_else(|| unsupported(format!("its unknown token {token:?} has no id")))
    });
    let is = |key: &str| model[key].as_bool() == Some(true);
    Ok(Merges {
        bytes: if is("byte_fallback") { Bytes::of(&ids) } else { Bytes::default() },
        unknown: unknown.transpose()?,
        fuses: is("fuse_unk"),
        whole_words: is("ignore_merges"),
        ids,
        pairs,
    })
}

fn unigram(model: &Value) -> Result<Unigram, Error> {
    let listed = model["vocab"].as_array().ok_or_else(|| unsupported("its model has no vocab"))?;
    let mut pieces = Vec::with_capacity(listed.len());
    for (id, row) in (0_u32..).zip(listed) {
        let row = row[0].as_str().zip(row[1].as_f64()).filter(|(_, score)| score.is_finite());
        let (piece, score) = row.ok_or_else(|| unsupported(format!("piece {id} has no text and score")))?;
        pieces.push((piece.to_owned(), score, id));
    }
    let ids: HashMap<String, u32> = pieces.iter().map(|(piece, _, id)| (piece.clone(), *id)).collect();
    // Of equal pieces the last one counts.
    pieces.retain(|(piece, _, id)| ids[piece] == *id && !piece.is_empty());
    pieces.sort_by(|a, b| a.0.cmp(&b.0));
    let unknown =
        match &model["unk_id"] {
            Value::Null => None,
            id => Some(id_of(id).filter(|id| (*id as usize) < listed.len()).ok_or_else(|| {
                unsupported(format!("its unknown piece is {id}, there are {}", listed.len()))
            })?),
        };
    let bytes = match model["byte_fallback"].as_bool() {
        Some(true) => Bytes::of(&ids),
        _ => Bytes::default(),
    };
    if unknown.is_none() && bytes.0.iter().all(Option::is_none) {
        return Err(unsupported("its model has neither an unknown piece nor bytes"));
    }
    let least = pieces.iter().map(|(_, score, _)| *score).fold(f64::INFINITY, f64::min);
    Ok(Unigram { pieces, unknown, least, bytes })
}
