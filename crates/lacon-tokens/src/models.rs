//! The encoding of each model, and how exact its counts are.
//!
//! The rows are those of `lacon-models`, or of the user's file ([`add_models`]).

use std::path::Path;
use std::sync::{PoisonError, RwLock};

use lacon_models::{EncodingRow, encoding_of, plain_name};

use crate::encoding::Encoding;
use crate::encodings::{EncodingName, encoding};
use crate::error::Error;
use crate::estimate::Estimator;

/// How exact a count is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exactness {
    /// The model's own vocabulary on plain text: equal to the provider's count.
    Exact,
    /// The model's own vocabulary inside a chat format with an overhead known from measured requests.
    Framed,
    /// Another vocabulary's count times a factor fitted on measured texts, with a stated error.
    Calibrated,
    /// Another vocabulary's count, error unknown.
    Heuristic,
}

impl Exactness {
    /// Returns the word used in output: `exact`, `framed`, `calibrated` or `heuristic`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Framed => "framed",
            Self::Calibrated => "calibrated",
            Self::Heuristic => "heuristic",
        }
    }
}

/// How to count for a model.
#[derive(Clone, Debug)]
pub struct ModelEncoding {
    /// The encoding to count with.
    pub encoding: &'static Encoding,
    /// How exact a count of plain text is.
    pub how: Exactness,
    /// What turns a count of the encoding into an estimate, for a model without a public vocabulary.
    pub estimator: Option<Estimator>,
    /// Why the count is not exact, if it is not.
    pub warning: Option<String>,
}

/// A count for a model with its exactness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelCount {
    /// The count, or the most likely one.
    pub tokens: usize,
    /// How exact it is.
    pub how: Exactness,
    /// The expected range of the true count, for an estimate.
    pub range: Option<(usize, usize)>,
}

impl From<&'static Encoding> for ModelEncoding {
    fn from(encoding: &'static Encoding) -> Self {
        Self { encoding, how: Exactness::Exact, estimator: None, warning: None }
    }
}

impl ModelEncoding {
    /// Counts `text` for the model.
    pub fn count(&self, text: &str) -> ModelCount {
        self.of(self.encoding.count(text))
    }

    /// Returns what a count of the encoding is worth for the model.
    pub fn of(&self, tokens: usize) -> ModelCount {
        let Some(estimator) = &self.estimator else {
            return ModelCount { tokens, how: self.how, range: None };
        };
        let estimate = estimator.estimate_from(tokens);
        ModelCount { tokens: estimate.tokens, how: self.how, range: Some((estimate.low, estimate.high)) }
    }
}

/// Encodings of users' files, by the name that a row of models has for them.
static OWN: RwLock<Vec<&'static Encoding>> = RwLock::new(Vec::new());

/// Adds an encoding for the rest of the process, which rows of [`add_models`] may name.
pub fn add_encoding(encoding: Encoding) {
    OWN.write().unwrap_or_else(PoisonError::into_inner).push(Box::leak(Box::new(encoding)));
}

fn own(name: &str) -> Option<&'static Encoding> {
    let own = OWN.read().unwrap_or_else(PoisonError::into_inner);
    own.iter().copied().find(|encoding| encoding.name() == name)
}

/// Files of vocabularies that the rows of a user's file name, each once: words with an extension. Faults of rows are told by
/// [`add_models`].
pub fn vocabulary_files(file: &str) -> Vec<String> {
    let rows = lacon_models::read_rows(file).unwrap_or_default();
    let mut names: Vec<String> = rows.into_iter().filter_map(|row| row.encoding).collect();
    names.retain(|name| Path::new(name).extension().is_some());
    names.sort();
    names.dedup();
    names
}

/// Adds models of a user's file for this process, and returns how many. They come before the table's, the longest name
/// first, and their counts are exact. If a line is malformed, none is added. [`lacon_models::read_rows`] has the format.
pub fn add_models(file: &str) -> Result<usize, Error> {
    let rows = lacon_models::read_rows(file).map_err(|fault| Error::ModelsFile {
        line: fault.line,
        text: fault.text,
        why: fault.why,
    })?;
    for name in rows.iter().filter_map(|row| row.encoding.as_deref()).filter(|name| own(name).is_none()) {
        name.parse::<EncodingName>()?;
    }
    let n = rows.len();
    lacon_models::add_rows(rows);
    Ok(n)
}

/// Returns the encoding of a model: by family, else `o200k_base` with a warning.
///
/// A fine-tuned name (`ft:gpt-4o:org`) and a provider's path (`openai/gpt-4o`) count as the model they end with.
#[track_caller]
pub fn for_model(model: &str) -> ModelEncoding {
    let user = lacon_models::user_row(model, |row| row.encoding.is_some());
    let named = |name: String| own(&name).or_else(|| name.parse().ok().map(encoding));
    if let Some(encoding) = user.and_then(|row| named(row.encoding?)) {
        return ModelEncoding { encoding, how: Exactness::Exact, estimator: None, warning: None };
    }
    let Some(row) = encoding_of(&plain_name(model)) else {
        let warning = format!(
            "unknown model {model:?}: counted with o200k_base\nhint: name the encoding if you know it"
        );
        return ModelEncoding {
            encoding: encoding(EncodingName::O200kBase),
            how: Exactness::Heuristic,
            estimator: None,
            warning: Some(warning),
        };
    };
    let encoding = encoding(row.encoding.parse().expect("rows name encodings that exist"));
    let (estimator, how) = match (row.worth, Estimator::of(row)) {
        (lacon_models::Worth::Exact, _) => (None, Exactness::Exact),
        (_, Some((estimator, how))) => (Some(estimator), how),
        (_, None) => (None, Exactness::Heuristic),
    };
    let warning = (how != Exactness::Exact).then(|| warning(model, row, estimator.as_ref(), how));
    ModelEncoding { encoding, how, estimator, warning }
}

fn warning(model: &str, row: &EncodingRow, estimator: Option<&Estimator>, how: Exactness) -> String {
    let within = estimator.map(|known| format!("{} %", (known.error * 1000.0).round() / 10.0));
    match (within, how, &row.note) {
        (Some(within), Exactness::Calibrated, _) => {
            format!(
                "the vocabulary of {model:?} is not public: tokens are estimated, within {within} either way"
            )
        }
        (Some(within), _, note) => {
            let note = note.as_deref().unwrap_or("not measured");
            format!("tokens of {model:?} are estimated, perhaps within {within}: {note}")
        }
        (None, _, note) => {
            let note = note.as_deref().unwrap_or("its vocabulary is not known");
            format!(
                "{model:?}: {note}; counted with {}, error unknown\n\
                 hint: load the model's tokenizer.json for exact counts",
                row.encoding
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(model: &str, name: &str, how: Exactness) {
        let found = for_model(model);
        assert_eq!((found.encoding.name(), found.how), (name, how), "{model}");
        assert_eq!(found.warning.is_some(), how >= Exactness::Calibrated, "{model}");
    }

    #[test]
    fn a_table_of_the_user_comes_first() {
        assert_eq!(add_models("# mine\nacme-large = cl100k_base\n\"acme\" = \"p50k_base\"\n"), Ok(2));
        check("acme-large-2", "cl100k_base", Exactness::Exact);
        check("acme/acme-small", "p50k_base", Exactness::Exact);
        assert!(matches!(add_models("x = o200k_base\nwhat"), Err(Error::ModelsFile { line: 2, .. })));
        assert!(matches!(add_models("x = o300k_base"), Err(Error::UnknownEncoding { .. })));
        check("x", "o200k_base", Exactness::Heuristic);
        let ranks = (0..=255u8).map(|byte| format!("{} {byte}\n", base64(byte))).collect::<String>();
        let made = Encoding::from_tiktoken("own.json", ranks.as_bytes(), crate::Pattern::Gpt2, Vec::new());
        add_encoding(made.expect("a good file"));
        assert_eq!(add_models("[own-model]\nencoding = own.json"), Ok(1));
        check("vllm/own-model-8b", "own.json", Exactness::Exact);
        assert_eq!(for_model("own-model").count("abcd").tokens, 4);
    }

    fn base64(byte: u8) -> String {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digit = |n: u8| char::from(DIGITS[usize::from(n)]);
        [digit(byte >> 2), digit((byte & 3) << 4), '=', '='].iter().collect()
    }

    #[test]
    fn counts_learn_from_usage_within_bounds() {
        use crate::estimate::{Learned, learn, learned, set_learned};
        let model = "gemini-9-test";
        let of = |n| for_model(model).of(n);
        assert_eq!((of(1000).tokens, of(1000).how), (1050, Exactness::Heuristic));
        for step in 0..100 {
            assert!(learn(model, 1000, 1230 + step % 3).is_some());
        }
        let now = of(1000);
        assert!((1230..=1232).contains(&now.tokens) && now.how == Exactness::Calibrated, "{now:?}");
        assert!(now.range.is_some_and(|(low, high)| low > 1220 && high < 1245), "{now:?}");
        assert!(learned().iter().all(|known| known.ratios.len() <= Learned::KEPT));
        // Not possible, too short, exact, unknown.
        for (model, counted, billed) in [
            (model, 1000, 0),
            (model, 1000, u64::MAX),
            (model, 10, 12),
            ("gpt-4o", 1000, 900),
            ("nobody", 1000, 1),
        ] {
            assert_eq!(learn(model, counted, billed), None);
        }
        set_learned(vec![Learned { family: "gemini-later".into(), ratios: vec![f64::NAN, -1.0, 9e9, 3.9] }]);
        assert_eq!(learned()[0].ratios, [3.9]);
        set_learned(vec![Learned { family: "gemini-later".into(), ratios: vec![3.9; 8] }]);
        assert_eq!(of(1000).tokens, 2100);
        set_learned(Vec::new());
        assert_eq!(of(1000).tokens, 1050);
    }

    #[test]
    fn families_end_at_boundaries() {
        check("gpt-4o-2024-08-06", "o200k_base", Exactness::Exact);
        check("gpt-4", "cl100k_base", Exactness::Exact);
        check("gpt-4.1-mini", "o200k_base", Exactness::Exact);
        check("ft:gpt-4o-mini:acme::x", "o200k_base", Exactness::Exact);
        check("openai/gpt-oss-120b", "o200k_harmony", Exactness::Exact);
        check("text-davinci-edit-001", "p50k_edit", Exactness::Exact);
        check("text-davinci-001", "r50k_base", Exactness::Exact);
        check("code-davinci-002", "p50k_base", Exactness::Exact);
        check("claude-sonnet-4-5", "o200k_base", Exactness::Calibrated);
        check("anthropic/claude-opus-5", "o200k_base", Exactness::Calibrated);
        check("meta/llama-3.1-8b", "o200k_base", Exactness::Heuristic);
        check("some-new-model", "o200k_base", Exactness::Heuristic);
        check("adagio-7b", "o200k_base", Exactness::Heuristic);
        check("ada", "r50k_base", Exactness::Exact);
        check("o1x", "o200k_base", Exactness::Heuristic);
        check("gpt-5.6-sol", "o200k_base", Exactness::Exact);
        check("gpt-6.1-sol", "o200k_base", Exactness::Heuristic);
        check("gpt-47", "o200k_base", Exactness::Heuristic);
        for claude in [
            "us.anthropic.claude-opus-4-7-20260101-v1:0",
            "claude-opus-4-7@20260101",
            "publishers/anthropic/models/claude-opus-4-7",
            "claude-fable-5-1",
        ] {
            check(claude, "o200k_base", Exactness::Calibrated);
            assert_eq!(for_model(claude).estimator.map(|known| known.factor), Some(1.53), "{claude}");
        }
        check("claude-opus-6", "o200k_base", Exactness::Heuristic);
    }
}
