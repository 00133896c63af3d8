//! The encoding of each model, and how exact its counts are.
//!
//! Families match by the longest prefix of the model's name. [`FAMILIES`] is the list to edit, and [`add_models`] adds
//! to it at run time. OpenAI's names come from `model.py` of tiktoken 0.14.

use std::sync::{Mutex, OnceLock, PoisonError};

use crate::encoding::Encoding;
use crate::encodings::{EncodingName, encoding};
use crate::error::Error;
use crate::estimate::{ESTIMATORS, Estimator};

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

impl ModelEncoding {
    /// Counts `text` for the model.
    pub fn count(&self, text: &str) -> ModelCount {
        match self.encoding.estimator() {
            Some(estimator) => {
                let estimate = estimator.estimate(text);
                let range = Some((estimate.low, estimate.high));
                ModelCount { tokens: estimate.tokens, how: self.how, range }
            }
            None => ModelCount { tokens: self.encoding.count(text), how: self.how, range: None },
        }
    }
}

/// A family of models that share an encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Prefix of the model names, in lower case and without a provider's path.
    pub prefix: &'static str,
    /// How it is counted.
    pub encoding: EncodingName,
    /// How exact the count is.
    pub how: Exactness,
}

const fn exact(prefix: &'static str, encoding: EncodingName) -> Family {
    Family { prefix, encoding, how: Exactness::Exact }
}

const fn other(prefix: &'static str) -> Family {
    Family { prefix, encoding: EncodingName::O200kBase, how: Exactness::Heuristic }
}

/// The table to edit. The longest matching prefix wins, so its order is only for readers.
pub static FAMILIES: &[Family] = &[
    exact("gpt-5", EncodingName::O200kBase),
    exact("gpt-4.5", EncodingName::O200kBase),
    exact("gpt-4.1", EncodingName::O200kBase),
    exact("gpt-4o", EncodingName::O200kBase),
    exact("chatgpt-4o", EncodingName::O200kBase),
    exact("codex-mini", EncodingName::O200kBase),
    exact("computer-use-preview", EncodingName::O200kBase),
    exact("o1", EncodingName::O200kBase),
    exact("o3", EncodingName::O200kBase),
    exact("o4-mini", EncodingName::O200kBase),
    exact("gpt-oss", EncodingName::O200kHarmony),
    exact("gpt-4", EncodingName::Cl100kBase),
    exact("gpt-3.5", EncodingName::Cl100kBase),
    exact("gpt-35", EncodingName::Cl100kBase),
    exact("davinci-002", EncodingName::Cl100kBase),
    exact("babbage-002", EncodingName::Cl100kBase),
    exact("text-embedding-ada-002", EncodingName::Cl100kBase),
    exact("text-embedding-3", EncodingName::Cl100kBase),
    exact("text-davinci-003", EncodingName::P50kBase),
    exact("text-davinci-002", EncodingName::P50kBase),
    exact("code-davinci", EncodingName::P50kBase),
    exact("code-cushman", EncodingName::P50kBase),
    exact("davinci-codex", EncodingName::P50kBase),
    exact("cushman-codex", EncodingName::P50kBase),
    exact("text-davinci-edit", EncodingName::P50kEdit),
    exact("code-davinci-edit", EncodingName::P50kEdit),
    exact("text-davinci-001", EncodingName::R50kBase),
    exact("text-curie", EncodingName::R50kBase),
    exact("text-babbage", EncodingName::R50kBase),
    exact("text-ada", EncodingName::R50kBase),
    exact("text-similarity", EncodingName::R50kBase),
    exact("text-search", EncodingName::R50kBase),
    exact("code-search", EncodingName::R50kBase),
    exact("davinci", EncodingName::R50kBase),
    exact("curie", EncodingName::R50kBase),
    exact("babbage", EncodingName::R50kBase),
    exact("ada", EncodingName::R50kBase),
    exact("gpt2", EncodingName::R50kBase),
    exact("gpt-2", EncodingName::R50kBase),
    other("llama"),
    other("qwen"),
    other("mistral"),
    other("deepseek"),
];

/// Families added by the user: prefix and encoding.
static ADDED: Mutex<Vec<(String, EncodingName)>> = Mutex::new(Vec::new());

/// Adds families from lines `PREFIX = ENCODING`, for this process, and returns how many.
///
/// They take precedence over [`FAMILIES`] and the estimators, the longest prefix first, and count as exact. Empty lines
/// and lines that start with `#` are skipped. If a line is malformed, none is added.
pub fn add_models(table: &str) -> Result<usize, Error> {
    let mut added = Vec::new();
    for (index, text) in table.lines().enumerate() {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let bad = || Error::ModelLine { line: index + 1, text: text.to_owned() };
        let (prefix, name) = text.split_once('=').ok_or_else(bad)?;
        let plain = |part: &str| part.trim().trim_matches('"').to_owned();
        let (prefix, name) = (plain(prefix).to_ascii_lowercase(), plain(name));
        if prefix.is_empty() {
            return Err(bad());
        }
        added.push((prefix, name.parse()?));
    }
    let n = added.len();
    ADDED.lock().unwrap_or_else(PoisonError::into_inner).append(&mut added);
    Ok(n)
}

/// Returns the encoding that the user gave to a plain model name.
fn added(plain: &str) -> Option<EncodingName> {
    let added = ADDED.lock().unwrap_or_else(PoisonError::into_inner);
    let fits = added.iter().filter(|(prefix, _)| plain.starts_with(prefix.as_str()));
    fits.max_by_key(|(prefix, _)| prefix.len()).map(|(_, name)| *name)
}

/// Returns the encoding of a model: by family, else `o200k_base` with a warning.
///
/// A fine-tuned name (`ft:gpt-4o:org`) and a provider's path (`openai/gpt-4o`) count as the model they end with.
#[track_caller]
pub fn for_model(model: &str) -> ModelEncoding {
    let plain = plain_name(model);
    if let Some(name) = added(&plain) {
        return ModelEncoding { encoding: encoding(name), how: Exactness::Exact, warning: None };
    }
    let fallback = encoding(EncodingName::O200kBase);
    if let Some(estimator) = Estimator::for_model(&plain) {
        return ModelEncoding {
            encoding: stand_in(estimator),
            how: Exactness::Calibrated,
            warning: Some(format!(
                "the vocabulary of {model:?} is not public: tokens are estimated, within {:.0} % either way",
                estimator.error * 100.0
            )),
        };
    }
    let (encoding, how, warning) = match family(&plain) {
        Some(family) if family.how == Exactness::Exact => (encoding(family.encoding), family.how, None),
        Some(family) => {
            let warning = format!(
                "{model:?} has a vocabulary of its own: counted with {}, error unknown\n\
                 hint: load the model's tokenizer.json for exact counts",
                family.encoding
            );
            (encoding(family.encoding), family.how, Some(warning))
        }
        None => {
            let warning = format!(
                "unknown model {model:?}: counted with o200k_base\nhint: name the encoding if you know it"
            );
            (fallback, Exactness::Heuristic, Some(warning))
        }
    };
    ModelEncoding { encoding, how, warning }
}

/// Returns `o200k_base` with this estimator.
fn stand_in(estimator: &'static Estimator) -> &'static Encoding {
    static ALL: OnceLock<Vec<Encoding>> = OnceLock::new();
    let base = encoding(EncodingName::O200kBase);
    let all = ALL.get_or_init(|| ESTIMATORS.iter().map(|estimator| base.with_estimator(estimator)).collect());
    all.iter().find(|e| e.estimator().is_some_and(|e| e.prefix == estimator.prefix)).unwrap_or(base)
}

/// Returns the family of a plain model name.
pub(crate) fn family(plain: &str) -> Option<&'static Family> {
    FAMILIES.iter().filter(|family| plain.starts_with(family.prefix)).max_by_key(|family| family.prefix.len())
}

/// Returns the name in lower case, without `ft:`, a provider's path and a fine-tune's suffix.
pub(crate) fn plain_name(model: &str) -> String {
    let lower = model.trim().to_ascii_lowercase();
    let name = lower.strip_prefix("ft:").unwrap_or(&lower);
    let name = name.split(':').next().unwrap_or(name);
    name.rsplit('/').next().unwrap_or(name).to_owned()
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
        assert!(matches!(add_models("x = o200k_base\nwhat"), Err(Error::ModelLine { line: 2, .. })));
        assert!(matches!(add_models("x = o300k_base"), Err(Error::UnknownEncoding { .. })));
        check("x", "o200k_base", Exactness::Heuristic);
    }

    #[test]
    fn families_by_longest_prefix() {
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
    }
}
