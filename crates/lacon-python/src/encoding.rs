//! `Encoding`, with the names and manners of tiktoken's class, and how to get one.

use std::borrow::Cow;

use lacon_tokens::{EncodingName, Error, Exactness, SpecialSet, for_model};
use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyList, PySet, PyString};

use crate::convert::{self, lenient};
use crate::errors::{disallowed, inexact, of_tokens};
use crate::tokens::side;
use crate::work;

/// An encoding: text to token ids and back, with the ids of tiktoken. Get one by `get_encoding` or `encoding_for_model`.
///
/// Its methods take lone surrogates as tiktoken does (U+FFFD). It may be used from many threads at once.
#[pyclass(frozen, module = "lacon")]
pub struct Encoding {
    inner: &'static lacon_tokens::Encoding,
}

/// The encoding of this name; one object per name and process. Unknown names raise UnknownEncodingError, a ValueError.
#[pyfunction]
pub fn get_encoding(py: Python<'_>, encoding_name: &str) -> PyResult<Py<Encoding>> {
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
    ALL[at]
        .get_or_try_init(py, || {
            let inner = work::run(py, usize::MAX, || lacon_tokens::encoding(name))?;
            Py::new(py, Encoding { inner })
        })
        .map(|object| object.clone_ref(py))
}

/// The encoding whose counts are the model's own.
pub fn exact_for(model: &str) -> PyResult<&'static lacon_tokens::Encoding> {
    let found = for_model(model);
    match found.how {
        Exactness::Exact => Ok(found.encoding),
        _ => Err(inexact(model, found.warning.as_deref().unwrap_or("the model is not known"))),
    }
}

/// The encoding of one of two arguments, `o200k_base` of none.
pub fn chosen(encoding: Option<&str>, model: Option<&str>) -> PyResult<&'static lacon_tokens::Encoding> {
    match (encoding, model) {
        (Some(_), Some(_)) => Err(PyTypeError::new_err("both encoding and model are given, one is enough")),
        (None, Some(model)) => exact_for(model),
        (Some(name), None) => Ok(lacon_tokens::encoding(name.parse().map_err(of_tokens)?)),
        (None, None) => Ok(lacon_tokens::encoding(EncodingName::O200kBase)),
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
    /// The published name, such as "o200k_base".
    #[getter]
    fn name(&self) -> &str {
        self.inner.name()
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
        text: Vec<Bound<'py, PyString>>,
        num_threads: usize,
        allowed_special: Option<&Bound<'_, PyAny>>,
        disallowed_special: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
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
        text: Vec<Bound<'py, PyString>>,
        num_threads: usize,
    ) -> PyResult<Bound<'py, PyList>> {
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
    fn decode<'py>(&self, py: Python<'py>, tokens: Vec<u32>, errors: &str) -> PyResult<Bound<'py, PyAny>> {
        self.decode_bytes(py, tokens)?.call_method1("decode", ("utf-8", errors))
    }

    /// The bytes of ids; a token can end inside a character.
    fn decode_bytes<'py>(&self, py: Python<'py>, tokens: Vec<u32>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = work::attempt(py, tokens.len() * 4, || self.inner.decode_bytes(&tokens), of_tokens)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// `decode` of many lists, in their order.
    #[pyo3(signature = (batch, *, errors="replace", num_threads=8))]
    fn decode_batch<'py>(
        &self,
        py: Python<'py>,
        batch: Vec<Vec<u32>>,
        errors: &str,
        num_threads: usize,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        work::threads(Some(num_threads))?;
        batch.into_iter().map(|tokens| self.decode(py, tokens, errors)).collect()
    }

    /// `decode_bytes` of many lists, in their order.
    #[pyo3(signature = (batch, *, num_threads=8))]
    fn decode_bytes_batch<'py>(
        &self,
        py: Python<'py>,
        batch: Vec<Vec<u32>>,
        num_threads: usize,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        work::threads(Some(num_threads))?;
        batch.into_iter().map(|tokens| self.decode_bytes(py, tokens)).collect()
    }

    /// The bytes of one token.
    fn decode_single_token_bytes<'py>(&self, py: Python<'py>, token: u32) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.inner.token_bytes(token).map_err(of_tokens)?))
    }

    /// The bytes of each token.
    fn decode_tokens_bytes<'py>(
        &self,
        py: Python<'py>,
        tokens: Vec<u32>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        tokens.into_iter().map(|token| self.decode_single_token_bytes(py, token)).collect()
    }

    /// The text of ids with the character that each token begins at, or that it goes on with. Raises UnicodeDecodeError where
    /// the bytes are no UTF-8.
    fn decode_with_offsets<'py>(
        &self,
        py: Python<'py>,
        tokens: Vec<u32>,
    ) -> PyResult<(Bound<'py, PyAny>, Vec<usize>)> {
        let goes_on = |byte: &u8| (0x80..0xc0).contains(byte);
        let mut n_chars = 0usize;
        let mut offsets = Vec::with_capacity(tokens.len());
        for token in &tokens {
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
        texts: Vec<Bound<'_, PyString>>,
        num_threads: Option<usize>,
    ) -> PyResult<Vec<usize>> {
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
        format!("<Encoding '{}'>", self.inner.name())
    }

    /// Pickles by name.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (&str,))> {
        Ok((py.import("lacon")?.getattr("get_encoding")?, (self.inner.name(),)))
    }
}
