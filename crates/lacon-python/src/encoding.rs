//! `Encoding`, with the names and manners of tiktoken's class, and how to get one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use lacon_tokens::{EncodingName, Error, Exactness, Pattern, SpecialSet, for_model};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PySet, PyString};

use crate::convert::{self, lenient};
use crate::errors::{disallowed, inexact, of_tokens};
use crate::tokens::side;
use crate::work;

/// An encoding: text to token ids and back, with the ids of tiktoken. Get one by `get_encoding` or `encoding_for_model`.
///
/// Its methods take lone surrogates as tiktoken does (U+FFFD). It may be used from many threads at once.
#[pyclass(frozen, module = "lacon")]
pub struct Encoding {
    inner: Held,
    name: String,
}

/// One of the package's encodings, which live as long as the process, or one that a caller made.
enum Held {
    Published(&'static lacon_tokens::Encoding),
    Custom(Box<Custom>),
}

struct Custom {
    encoding: lacon_tokens::Encoding,
    ranks: Py<PyAny>,
}

impl std::ops::Deref for Held {
    type Target = lacon_tokens::Encoding;

    fn deref(&self) -> &Self::Target {
        match self {
            Held::Published(encoding) => encoding,
            Held::Custom(custom) => &custom.encoding,
        }
    }
}

/// The name that tiktoken has for GPT-2's ranks, which are those of `r50k_base`.
const GPT2: &str = "gpt2";

/// The splitting patterns that a custom encoding can have, by the text of their expression.
const PATTERNS: [Pattern; 7] = [
    Pattern::O200k,
    Pattern::Cl100k,
    Pattern::Gpt2,
    Pattern::Llama3,
    Pattern::Qwen2,
    Pattern::Tekken,
    Pattern::DeepSeek3,
];

/// GPT-2's expression as its older encodings write it; the same pieces.
const OLD_GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// A rank file of tiktoken from a dict of bytes and ranks.
fn rank_file(ranks: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let ranks = ranks
        .cast::<PyDict>()
        .map_err(|_| PyTypeError::new_err("mergeable_ranks is no dict of bytes and ranks"))?;
    let mut file = Vec::with_capacity(ranks.len() * 16);
    for (token, rank) in ranks {
        let bytes: Vec<u8> = match token.cast::<PyBytes>() {
            Ok(bytes) => bytes.as_bytes().to_vec(),
            Err(_) => {
                let kind = token.get_type().name()?;
                return Err(PyTypeError::new_err(format!(
                    "mergeable_ranks: the key {token:?} is of type {kind}, bytes are needed"
                )));
            }
        };
        let rank: u32 = rank.extract().map_err(|_| {
            PyTypeError::new_err(format!("mergeable_ranks[{token:?}] is no whole number below 2**32"))
        })?;
        for group in bytes.chunks(3) {
            let word =
                group.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
            for place in 0..4 {
                let digit = DIGITS[(word >> (18 - 6 * place)) as usize & 63];
                file.push(if place > group.len() { b'=' } else { digit });
            }
        }
        file.extend_from_slice(format!(" {rank}\n").as_bytes());
    }
    Ok(file)
}

/// The encoding of this name; one object per name and process. Unknown names raise UnknownEncodingError, a ValueError.
#[pyfunction]
pub fn get_encoding(py: Python<'_>, encoding_name: &str) -> PyResult<Py<Encoding>> {
    if encoding_name == GPT2 {
        static OBJECT: PyOnceLock<Py<Encoding>> = PyOnceLock::new();
        let made = OBJECT.get_or_try_init(py, || published(py, EncodingName::R50kBase, GPT2));
        return made.map(|object| object.clone_ref(py));
    }
    object(py, encoding_name.parse().map_err(of_tokens)?)
}

/// The encoding that counts exactly for this model. Others raise ModelError, a KeyError.
#[pyfunction]
pub fn encoding_for_model(py: Python<'_>, model_name: &str) -> PyResult<Py<Encoding>> {
    let name = exact_for(model_name)?.name();
    object(py, name.parse().map_err(of_tokens)?)
}

/// Names of all encodings, the most recent first.
#[pyfunction]
pub fn list_encoding_names() -> Vec<&'static str> {
    EncodingName::ALL.map(EncodingName::as_str).to_vec()
}

fn object(py: Python<'_>, name: EncodingName) -> PyResult<Py<Encoding>> {
    static ALL: [PyOnceLock<Py<Encoding>>; EncodingName::ALL.len()] =
        [const { PyOnceLock::new() }; EncodingName::ALL.len()];
    let at = EncodingName::ALL.iter().position(|known| *known == name).unwrap_or_default();
    ALL[at].get_or_try_init(py, || published(py, name, name.as_str())).map(|object| object.clone_ref(py))
}

fn published(py: Python<'_>, name: EncodingName, called: &str) -> PyResult<Py<Encoding>> {
    let inner = work::run(py, usize::MAX, || lacon_tokens::encoding(name))?;
    Py::new(py, Encoding { inner: Held::Published(inner), name: called.to_owned() })
}

/// How often each encoding was asked for, in the order of `EncodingName::ALL`.
static ASKED: [AtomicU64; EncodingName::ALL.len()] = [const { AtomicU64::new(0) }; EncodingName::ALL.len()];

fn load(name: EncodingName) -> &'static lacon_tokens::Encoding {
    let at = EncodingName::ALL.iter().position(|known| *known == name).unwrap_or_default();
    ASKED[at].fetch_add(1, Ordering::Relaxed);
    lacon_tokens::encoding(name)
}

/// Of each encoding that this process has loaded: name, bytes, seconds that loading took, and how often functions of the package
/// asked for it. `clear` sets the last to 0 first.
#[pyfunction]
#[pyo3(signature = (*, clear=false))]
pub fn loaded_encodings(clear: bool) -> Vec<(&'static str, usize, f64, u64)> {
    if clear {
        ASKED.iter().for_each(|n| n.store(0, Ordering::Relaxed));
    }
    let row = |load: lacon_tokens::LoadRecord| {
        let at = EncodingName::ALL.iter().position(|known| *known == load.encoding).unwrap_or_default();
        let asked = ASKED[at].load(Ordering::Relaxed);
        (load.encoding.as_str(), load.bytes, load.took.as_secs_f64(), asked)
    };
    lacon_tokens::loads().into_iter().map(row).collect()
}

/// The encoding whose counts are the model's own.
pub fn exact_for(model: &str) -> PyResult<&'static lacon_tokens::Encoding> {
    let found = for_model(model);
    match found.how {
        Exactness::Exact => Ok(found.encoding),
        Exactness::Calibrated => Err(inexact(model, found.warning.as_deref().unwrap_or_default())),
        // The warning of an estimate says what counted it; nothing is counted here.
        _ if lacon_models::encoding_of(&lacon_models::plain_name(model)).is_some() => Err(inexact(
            model,
            &format!("{model:?} has a vocabulary of its own, which is not in this package"),
        )),
        _ => Err(inexact(model, &format!("the model {model:?} is not known"))),
    }
}

/// The encoding of one of two arguments, `o200k_base` of none.
pub fn chosen(encoding: Option<&str>, model: Option<&str>) -> PyResult<&'static lacon_tokens::Encoding> {
    match (encoding, model) {
        (Some(_), Some(_)) => Err(PyTypeError::new_err("both encoding and model are given, one is enough")),
        (None, Some(model)) => exact_for(model),
        (Some(name), None) => Ok(load(name.parse().map_err(of_tokens)?)),
        (None, None) => Ok(load(EncodingName::O200kBase)),
    }
}

/// Literals of special tokens as a caller names them: `"all"`, or a collection.
enum Specials {
    All,
    These(Vec<String>),
}

impl Specials {
    fn read(value: Option<&Bound<'_, PyAny>>, default: Specials) -> PyResult<Self> {
        let Some(value) = value else { return Ok(default) };
        if let Ok(word) = value.cast::<PyString>() {
            return match word.to_str()? {
                "all" => Ok(Specials::All),
                other => Err(PyValueError::new_err(format!(
                    "special tokens are {other:?}\nhint: pass \"all\" or a collection of literals"
                ))),
            };
        }
        let literals: PyResult<Vec<String>> = value.try_iter()?.map(|item| item?.extract()).collect();
        literals.map(Specials::These)
    }
}

impl Encoding {
    /// Refuses a text with a literal that is not allowed, as tiktoken does: a collection is refused whatever is allowed.
    fn check(&self, text: &str, allowed: SpecialSet<'_>, refused: &Specials) -> PyResult<()> {
        let at = |byte: usize| text[..byte].chars().count();
        match refused {
            Specials::These(literals) => {
                let found = literals.iter().filter(|literal| !literal.is_empty());
                let found = found.filter_map(|literal| Some((text.find(literal)?, literal)));
                found.min().map_or(Ok(()), |(byte, literal)| Err(disallowed(literal, at(byte))))
            }
            Specials::All if allowed == SpecialSet::All => Ok(()),
            // All literals of all encodings begin so; most texts hold none.
            Specials::All if !text.contains("<|") => Ok(()),
            Specials::All => match self.inner.encode_with_special(text, allowed, SpecialSet::All) {
                Err(Error::DisallowedSpecial { token, at: byte }) => Err(disallowed(&token, at(byte))),
                _ => Ok(()),
            },
        }
    }

    /// The id of a token by its bytes, in a millisecond or two: there is no need for an index.
    fn id_of(&self, bytes: &[u8]) -> Option<u32> {
        (0..self.inner.id_limit()).find(|id| self.inner.token_bytes(*id).is_ok_and(|token| token == bytes))
    }

    /// Ids and bytes of all tokens that are not special.
    fn ordinary(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let special: Vec<u32> = self.inner.special_tokens().iter().map(|(_, id)| *id).collect();
        let ids = (0..self.inner.id_limit()).filter(move |id| !special.contains(id));
        ids.filter_map(|id| Some((id, self.inner.token_bytes(id).ok()?)))
    }

    fn ids(
        &self,
        texts: &[&str],
        allowed: &Specials,
        refused: &Specials,
        threads: usize,
    ) -> PyResult<Vec<Vec<u32>>> {
        let literals: Vec<&str> = match allowed {
            Specials::These(literals) => literals.iter().map(String::as_str).collect(),
            Specials::All => Vec::new(),
        };
        let allowed = match allowed {
            Specials::All => SpecialSet::All,
            Specials::These(_) if literals.is_empty() => SpecialSet::None,
            Specials::These(_) => SpecialSet::Only(&literals),
        };
        for text in texts {
            self.check(text, allowed, refused)?;
        }
        if allowed == SpecialSet::None {
            return Ok(self.inner.encode_batch(texts, work::threads(Some(threads))?));
        }
        let encode = |text: &&str| self.inner.encode_with_special(text, allowed, SpecialSet::None);
        texts.iter().map(encode).collect::<Result<_, _>>().map_err(of_tokens)
    }
}

#[pymethods]
impl Encoding {
    /// An encoding of one's own, as in tiktoken. `pat_str` must be a splitting expression that the package has an automaton for:
    /// those of the published encodings, Llama 3, Qwen 2, Tekken and DeepSeek 3. Any other raises ValueError.
    #[new]
    #[pyo3(signature = (name, *, pat_str, mergeable_ranks, special_tokens, explicit_n_vocab=None))]
    fn new(
        py: Python<'_>,
        name: String,
        pat_str: &str,
        mergeable_ranks: Py<PyAny>,
        special_tokens: BTreeMap<String, u32>,
        explicit_n_vocab: Option<usize>,
    ) -> PyResult<Self> {
        let known = PATTERNS.into_iter().find(|pattern| pattern.regex() == pat_str);
        let Some(pattern) = known.or((pat_str == OLD_GPT2).then_some(Pattern::Gpt2)) else {
            return Err(PyValueError::new_err(format!(
                "pat_str is an expression that no automaton is known for: {pat_str:?}\nhint: those of o200k_base, cl100k_base, \
                 r50k_base, Llama 3, Qwen 2, Tekken and DeepSeek 3 are"
            )));
        };
        let file = rank_file(mergeable_ranks.bind(py))?;
        let n_ranks = mergeable_ranks.bind(py).len()?;
        if let Some(n_vocab) = explicit_n_vocab
            && n_ranks + special_tokens.len() != n_vocab
        {
            return Err(PyValueError::new_err(format!(
                "explicit_n_vocab is {n_vocab}, there are {n_ranks} ranks and {} special tokens",
                special_tokens.len()
            )));
        }
        let specials: Vec<(String, u32)> = special_tokens.into_iter().collect();
        let make = || lacon_tokens::Encoding::from_tiktoken(&name, &file, pattern, specials);
        let encoding = work::attempt(py, usize::MAX, make, of_tokens)?;
        Ok(Self { inner: Held::Custom(Box::new(Custom { encoding, ranks: mergeable_ranks })), name })
    }

    /// The published name, such as "o200k_base".
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// The splitting expression.
    #[getter]
    fn _pat_str(&self) -> &'static str {
        self.inner.pattern().regex()
    }

    /// Bytes and rank of each ordinary token.
    #[getter]
    fn _mergeable_ranks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Held::Custom(custom) = &self.inner {
            return Ok(custom.ranks.bind(py).clone());
        }
        let ranks = PyDict::new(py);
        for (id, bytes) in self.ordinary() {
            ranks.set_item(PyBytes::new(py, bytes), id)?;
        }
        Ok(ranks.into_any())
    }

    /// Literal and id of each special token.
    #[getter]
    fn _special_tokens(&self) -> BTreeMap<String, u32> {
        let all = self.inner.special_tokens().into_iter();
        all.map(|(literal, id)| (literal.to_owned(), id)).collect()
    }

    /// The bytes of all ordinary tokens, in the order of their ids.
    fn token_byte_values<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.ordinary().map(|(_, bytes)| PyBytes::new(py, bytes)).collect()
    }

    /// `encode` as an array of numpy, which must be installed.
    #[pyo3(signature = (text, *, allowed_special=None, disallowed_special=None))]
    fn encode_to_numpy<'py>(
        &self,
        py: Python<'py>,
        text: &Bound<'py, PyString>,
        allowed_special: Option<&Bound<'py, PyAny>>,
        disallowed_special: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let ids = self.encode(py, text, allowed_special, disallowed_special)?;
        py.import("numpy")?.call_method1("array", (ids, "uint32"))
    }

    /// The largest id and one.
    #[getter]
    fn n_vocab(&self) -> u32 {
        self.inner.id_limit()
    }

    /// The largest id.
    #[getter]
    fn max_token_value(&self) -> u32 {
        self.inner.id_limit().saturating_sub(1)
    }

    /// The id of `<|endoftext|>`.
    #[getter]
    fn eot_token(&self) -> PyResult<u32> {
        let id = self.inner.special_id("<|endoftext|>");
        id.ok_or_else(|| PyKeyError::new_err("the encoding has no <|endoftext|>"))
    }

    /// The literals of all special tokens.
    #[getter]
    fn special_tokens_set<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        PySet::new(py, self.inner.special_tokens().into_iter().map(|(literal, _)| literal))
    }

    /// Whether an id is that of a special token.
    fn is_special_token(&self, token: u32) -> bool {
        self.inner.special_tokens().iter().any(|(_, id)| *id == token)
    }

    /// Token ids; literals of `allowed_special` become their ids, others of `disallowed_special` raise ValueError.
    #[pyo3(signature = (text, *, allowed_special=None, disallowed_special=None))]
    fn encode<'py>(
        &self,
        py: Python<'py>,
        text: &Bound<'_, PyString>,
        allowed_special: Option<&Bound<'_, PyAny>>,
        disallowed_special: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let text = lenient(text)?;
        let allowed = Specials::read(allowed_special, Specials::These(Vec::new()))?;
        let refused = Specials::read(disallowed_special, Specials::All)?;
        let mut ids = work::run(py, text.len(), || self.ids(&[&text], &allowed, &refused, 1))??;
        convert::ids(py, &ids.pop().unwrap_or_default())
    }

    /// Token ids of a text in which no literal is special.
    fn encode_ordinary<'py>(
        &self,
        py: Python<'py>,
        text: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyList>> {
        let text = lenient(text)?;
        convert::ids(py, &work::run(py, text.len(), || self.inner.encode(&text))?)
    }

    /// `encode` of many texts over threads, in their order.
    #[pyo3(signature = (text, *, num_threads=8, allowed_special=None, disallowed_special=None))]
    fn encode_batch<'py>(
        &self,
        py: Python<'py>,
        text: &Bound<'py, PyAny>,
        num_threads: usize,
        allowed_special: Option<&Bound<'_, PyAny>>,
        disallowed_special: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let text = convert::strings(text, "text")?;
        let texts: Vec<Cow<'_, str>> = text.iter().map(lenient).collect::<PyResult<_>>()?;
        let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
        let allowed = Specials::read(allowed_special, Specials::These(Vec::new()))?;
        let refused = Specials::read(disallowed_special, Specials::All)?;
        let encoded = work::run(py, usize::MAX, || self.ids(&texts, &allowed, &refused, num_threads))??;
        convert::lists_of_ids(py, &encoded)
    }

    /// `encode_ordinary` of many texts over threads, in their order.
    #[pyo3(signature = (text, *, num_threads=8))]
    fn encode_ordinary_batch<'py>(
        &self,
        py: Python<'py>,
        text: &Bound<'py, PyAny>,
        num_threads: usize,
    ) -> PyResult<Bound<'py, PyList>> {
        let text = convert::strings(text, "text")?;
        let texts: Vec<Cow<'_, str>> = text.iter().map(lenient).collect::<PyResult<_>>()?;
        let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
        let threads = work::threads(Some(num_threads))?;
        convert::lists_of_ids(py, &work::run(py, usize::MAX, || self.inner.encode_batch(&texts, threads))?)
    }

    /// The id of one token, given as its text or bytes; a special token by its literal. Raises KeyError where there is none.
    fn encode_single_token(&self, text_or_bytes: &Bound<'_, PyAny>) -> PyResult<u32> {
        let bytes: Vec<u8> = match text_or_bytes.cast::<PyString>() {
            Ok(text) => text.to_str()?.as_bytes().to_vec(),
            Err(_) => text_or_bytes.extract::<&[u8]>()?.to_vec(),
        };
        let special = std::str::from_utf8(&bytes).ok().and_then(|text| self.inner.special_id(text));
        special
            .or_else(|| self.id_of(&bytes))
            .ok_or_else(|| PyKeyError::new_err(PyBytes::new(text_or_bytes.py(), &bytes).unbind()))
    }

    /// The text of ids; what is not UTF-8 is handled as bytes.decode does by `errors`. An id that is none raises
    /// UnknownTokenError, a KeyError.
    #[pyo3(signature = (tokens, errors="replace"))]
    fn decode<'py>(
        &self,
        py: Python<'py>,
        tokens: &Bound<'py, PyAny>,
        errors: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.decode_bytes(py, tokens)?.call_method1("decode", ("utf-8", errors))
    }

    /// The bytes of ids; a token can end inside a character.
    fn decode_bytes<'py>(
        &self,
        py: Python<'py>,
        tokens: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let tokens = convert::token_ids(tokens, "tokens")?;
        let bytes = work::attempt(py, tokens.len() * 4, || self.inner.decode_bytes(&tokens), of_tokens)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// `decode` of many lists, in their order.
    #[pyo3(signature = (batch, *, errors="replace", num_threads=8))]
    fn decode_batch<'py>(
        &self,
        py: Python<'py>,
        batch: &Bound<'py, PyAny>,
        errors: &str,
        num_threads: usize,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        work::threads(Some(num_threads))?;
        convert::items(batch, "batch")?.iter().map(|tokens| self.decode(py, tokens, errors)).collect()
    }

    /// `decode_bytes` of many lists, in their order.
    #[pyo3(signature = (batch, *, num_threads=8))]
    fn decode_bytes_batch<'py>(
        &self,
        py: Python<'py>,
        batch: &Bound<'py, PyAny>,
        num_threads: usize,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        work::threads(Some(num_threads))?;
        convert::items(batch, "batch")?.iter().map(|tokens| self.decode_bytes(py, tokens)).collect()
    }

    /// The bytes of one token.
    fn decode_single_token_bytes<'py>(&self, py: Python<'py>, token: u32) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.inner.token_bytes(token).map_err(of_tokens)?))
    }

    /// The bytes of each token.
    fn decode_tokens_bytes<'py>(
        &self,
        py: Python<'py>,
        tokens: &Bound<'py, PyAny>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let tokens = convert::token_ids(tokens, "tokens")?;
        tokens.into_iter().map(|token| self.decode_single_token_bytes(py, token)).collect()
    }

    /// The text of ids with the character that each token begins at, or that it goes on with. Raises UnicodeDecodeError where
    /// the bytes are no UTF-8.
    fn decode_with_offsets<'py>(
        &self,
        py: Python<'py>,
        tokens: &Bound<'py, PyAny>,
    ) -> PyResult<(Bound<'py, PyAny>, Vec<usize>)> {
        let goes_on = |byte: &u8| (0x80..0xc0).contains(byte);
        let mut n_chars = 0usize;
        let mut offsets = Vec::new();
        for token in &convert::token_ids(tokens, "tokens")? {
            let bytes = self.inner.token_bytes(*token).map_err(of_tokens)?;
            offsets.push(n_chars.saturating_sub(usize::from(bytes.first().is_some_and(goes_on))));
            n_chars += bytes.iter().filter(|byte| !goes_on(byte)).count();
        }
        Ok((self.decode(py, tokens, "strict")?, offsets))
    }

    /// Number of tokens of a text in which no literal is special; never more than `len(encode_ordinary(text))`, nor less.
    fn count(&self, py: Python<'_>, text: &Bound<'_, PyString>) -> PyResult<usize> {
        let text = lenient(text)?;
        work::run(py, text.len(), || self.inner.count(&text))
    }

    /// `count` of many texts over threads, in their order.
    #[pyo3(signature = (texts, *, num_threads=None))]
    fn count_batch(
        &self,
        py: Python<'_>,
        texts: &Bound<'_, PyAny>,
        num_threads: Option<usize>,
    ) -> PyResult<Vec<usize>> {
        let texts = convert::strings(texts, "texts")?;
        let texts: Vec<Cow<'_, str>> = texts.iter().map(lenient).collect::<PyResult<_>>()?;
        let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
        let threads = work::threads(num_threads)?;
        work::run(py, usize::MAX, || self.inner.count_batch(&texts, threads))
    }

    /// Whether a text has more than `limit` tokens; stops as soon as that is known.
    fn exceeds(&self, py: Python<'_>, text: PyBackedStr, limit: usize) -> PyResult<bool> {
        work::run(py, text.len(), || self.inner.exceeds(&text, limit))
    }

    /// The text cut to at most `max_tokens`, at the "back", the "front" or in the "middle".
    #[pyo3(signature = (text, max_tokens, side="back"))]
    fn truncate(&self, py: Python<'_>, text: PyBackedStr, max_tokens: usize, side: &str) -> PyResult<String> {
        let side = self::side(side)?;
        work::run(py, text.len(), || self.inner.truncate(&text, max_tokens, side).into_owned())
    }

    /// The text in consecutive parts of at most `max_tokens` each.
    fn split(&self, py: Python<'_>, text: PyBackedStr, max_tokens: usize) -> PyResult<Vec<String>> {
        let cut = || self.inner.chunks(&text, max_tokens).into_iter().map(str::to_owned).collect();
        work::run(py, text.len(), cut)
    }

    fn __repr__(&self) -> String {
        format!("<Encoding '{}'>", self.name)
    }

    /// Pickles by name, a custom one with its ranks.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let Held::Custom(custom) = &this.inner else {
            return (py.import("lacon")?.getattr("get_encoding")?, (&this.name,)).into_bound_py_any(py);
        };
        let options = PyDict::new(py);
        options.set_item("pat_str", this._pat_str())?;
        options.set_item("mergeable_ranks", &custom.ranks)?;
        options.set_item("special_tokens", this._special_tokens())?;
        let make = py.import("copyreg")?.getattr("__newobj_ex__")?;
        (make, (slf.get_type(), (&this.name,), options)).into_bound_py_any(py)
    }
}
