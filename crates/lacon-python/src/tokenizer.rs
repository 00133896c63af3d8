//! `Tokenizer`: the vocabulary of a model's own file.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use lacon_tokens::{Encoding, add_encoding, vocabulary_files};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyList;

use crate::convert;
use crate::errors::of_tokens;
use crate::work;

/// The vocabulary of a `tokenizer.json` or of a GGUF file. Special tokens in a text are text.
///
/// It may be used from many threads at once.
#[pyclass(frozen, module = "lacon")]
pub struct Tokenizer(Encoding);

#[pymethods]
impl Tokenizer {
    /// Reads a `tokenizer.json`, or the head of a GGUF file.
    #[staticmethod]
    fn from_file(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let file = File::open(&path)?;
        let name = path.display().to_string();
        work::attempt(py, usize::MAX, || Encoding::read(&name, BufReader::new(file)), of_tokens).map(Self)
    }

    /// `bytes` for merges of bytes, `pieces` for SentencePiece.
    #[getter]
    fn kind(&self) -> &'static str {
        if self.0.is_of_bytes() { "bytes" } else { "pieces" }
    }

    /// The number of tokens of a text.
    fn count(&self, py: Python<'_>, text: PyBackedStr) -> PyResult<usize> {
        work::run(py, text.len(), || self.0.count(&text))
    }

    /// `count` of many texts, in their order.
    fn count_batch(&self, py: Python<'_>, texts: &Bound<'_, PyAny>) -> PyResult<Vec<usize>> {
        let texts = convert::texts(texts, "texts")?;
        work::run(py, usize::MAX, || texts.iter().map(|text| self.0.count(text)).collect())
    }

    /// The tokens of a text, without those that a template adds.
    fn encode<'py>(&self, py: Python<'py>, text: PyBackedStr) -> PyResult<Bound<'py, PyList>> {
        let ids = work::run(py, text.len(), || self.0.encode(&text))?;
        convert::ids(py, &ids)
    }

    /// The text of ids, with U+FFFD for invalid UTF-8. Of merges of bytes alone: SentencePiece changes a text before it
    /// splits it, so its ids do not hold the text.
    fn decode(&self, py: Python<'_>, tokens: &Bound<'_, PyAny>) -> PyResult<String> {
        if !self.0.is_of_bytes() {
            let why = lacon_tokens::Error::NotOfBytes { encoding: self.0.name().to_owned() };
            return Err(PyValueError::new_err(why.to_string()));
        }
        let tokens = convert::token_ids(tokens, "tokens")?;
        work::attempt(py, tokens.len() * 4, || self.0.decode_lossy(&tokens), of_tokens)
    }
}

/// Adds the models of a file for the rest of the process, and returns how many: their encodings, context lengths and prices. A row may
/// name a vocabulary, a `tokenizer.json` or GGUF file beside it; functions that take `model=` then count that model with it.
#[pyfunction]
pub fn add_models(py: Python<'_>, path: PathBuf) -> PyResult<usize> {
    let table = std::fs::read_to_string(&path)?;
    for name in vocabulary_files(&table) {
        let beside = path.parent().unwrap_or(std::path::Path::new("")).join(&name);
        let file = File::open(&beside)?;
        add_encoding(work::attempt(
            py,
            usize::MAX,
            || Encoding::read(&name, BufReader::new(file)),
            of_tokens,
        )?);
    }
    lacon_tokens::add_models(&table).map_err(of_tokens)
}
