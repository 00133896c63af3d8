//! `Tokenizer`: the vocabulary of a model's own file.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use lacon_tokens::VocabularyFile;
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
pub struct Tokenizer(VocabularyFile);

#[pymethods]
impl Tokenizer {
    /// Reads a `tokenizer.json`, or the head of a GGUF file.
    #[staticmethod]
    fn from_file(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let file = File::open(&path)?;
        let name = path.display().to_string();
        work::attempt(py, usize::MAX, || VocabularyFile::read(&name, BufReader::new(file)), of_tokens)
            .map(Self)
    }

    /// `bytes` for merges of bytes, `pieces` for SentencePiece.
    #[getter]
    fn kind(&self) -> &'static str {
        match self.0 {
            VocabularyFile::Bytes(_) => "bytes",
            VocabularyFile::Pieces(_) => "pieces",
        }
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
        let VocabularyFile::Bytes(encoding) = &self.0 else {
            return Err(PyValueError::new_err(
                "a SentencePiece vocabulary changes the text before it splits it, so ids do not give it back\nhint: keep the text; \
                 count and encode are exact",
            ));
        };
        let tokens = convert::token_ids(tokens, "tokens")?;
        work::attempt(py, tokens.len() * 4, || encoding.decode_lossy(&tokens), of_tokens)
    }
}
