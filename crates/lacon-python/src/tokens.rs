//! Counting, encoding and cutting text, and what chat requests are metered at.

use std::num::NonZeroUsize;

use lacon_tokens::{Encoding, Side, for_model};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBytes, PyList};

use crate::convert;
use crate::encoding::chosen;
use crate::errors::{of_prompt, of_tokens};
use crate::work;

/// Number of tokens of a text; literals of special tokens count as text. `model` must be one whose vocabulary is known (else
/// ModelError, a KeyError); `estimate` is for the others.
#[pyfunction]
#[pyo3(signature = (text, *, encoding=None, model=None))]
pub fn count(py: Python<'_>, text: &str, encoding: Option<&str>, model: Option<&str>) -> PyResult<usize> {
    let encoding = chosen(encoding, model)?;
    work::run(py, text.len(), || encoding.count(text))
}

/// Stops a count that another thread makes by `count_cancellable`.
#[pyclass(frozen, module = "lacon._native")]
pub struct Cancel {
    inner: lacon_tokens::Cancel,
}

#[pymethods]
impl Cancel {
    #[new]
    fn new() -> Self {
        Self { inner: lacon_tokens::Cancel::new() }
    }

    /// Stops the count within the time that 64 KiB of text take.
    fn cancel(&self) {
        self.inner.cancel();
    }
}

/// As `count`; None where it was canceled.
#[pyfunction]
#[pyo3(signature = (text, cancel, *, encoding=None, model=None))]
pub fn count_cancellable(
    py: Python<'_>,
    text: &str,
    cancel: &Bound<'_, Cancel>,
    encoding: Option<&str>,
    model: Option<&str>,
) -> PyResult<Option<usize>> {
    let encoding = chosen(encoding, model)?;
    let cancel = &cancel.get().inner;
    work::run(py, usize::MAX, || encoding.count_cancellable(text, cancel))
}

/// Number of tokens of each text, over at most `num_threads` threads (one per processor when not given), in their order.
#[pyfunction]
#[pyo3(signature = (texts, *, encoding=None, model=None, num_threads=None))]
pub fn count_batch(
    py: Python<'_>,
    texts: &Bound<'_, PyAny>,
    encoding: Option<&str>,
    model: Option<&str>,
    num_threads: Option<usize>,
) -> PyResult<Vec<usize>> {
    batch(py, &convert::texts(texts, "texts")?, encoding, model, num_threads, Encoding::count_batch)
}

/// Work of an encoding on many texts at once.
fn batch<T: Send>(
    py: Python<'_>,
    texts: &[PyBackedStr],
    encoding: Option<&str>,
    model: Option<&str>,
    num_threads: Option<usize>,
    on_all: impl FnOnce(&Encoding, &[&str], NonZeroUsize) -> Vec<T> + Send,
) -> PyResult<Vec<T>> {
    let (encoding, threads) = (chosen(encoding, model)?, work::threads(num_threads)?);
    let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
    work::run(py, usize::MAX, || on_all(encoding, &texts, threads))
}

/// Token ids of a text; literals of special tokens are text.
#[pyfunction]
#[pyo3(signature = (text, *, encoding=None, model=None))]
pub fn encode<'py>(
    py: Python<'py>,
    text: &str,
    encoding: Option<&str>,
    model: Option<&str>,
) -> PyResult<Bound<'py, PyList>> {
    let encoding = chosen(encoding, model)?;
    convert::ids(py, &work::run(py, text.len(), || encoding.encode(text))?)
}

/// Token ids of each text, over at most `num_threads` threads (one per processor when not given), in their order.
#[pyfunction]
#[pyo3(signature = (texts, *, encoding=None, model=None, num_threads=None))]
pub fn encode_batch<'py>(
    py: Python<'py>,
    texts: &Bound<'_, PyAny>,
    encoding: Option<&str>,
    model: Option<&str>,
    num_threads: Option<usize>,
) -> PyResult<Bound<'py, PyList>> {
    convert::lists_of_ids(
        py,
        &batch(py, &convert::texts(texts, "texts")?, encoding, model, num_threads, Encoding::encode_batch)?,
    )
}

/// The text of ids. Bytes that are no UTF-8 raise UnicodeDecodeError unless `errors` says otherwise, as in bytes.decode; an id
/// that is none raises UnknownTokenError, a KeyError.
#[pyfunction]
#[pyo3(signature = (tokens, *, encoding=None, model=None, errors="strict"))]
pub fn decode<'py>(
    py: Python<'py>,
    tokens: &Bound<'_, PyAny>,
    encoding: Option<&str>,
    model: Option<&str>,
    errors: &str,
) -> PyResult<Bound<'py, PyAny>> {
    decode_bytes(py, tokens, encoding, model)?.call_method1("decode", ("utf-8", errors))
}

/// The bytes of ids; a token can end inside a character.
#[pyfunction]
#[pyo3(signature = (tokens, *, encoding=None, model=None))]
pub fn decode_bytes<'py>(
    py: Python<'py>,
    tokens: &Bound<'_, PyAny>,
    encoding: Option<&str>,
    model: Option<&str>,
) -> PyResult<Bound<'py, PyBytes>> {
    let encoding = chosen(encoding, model)?;
    let tokens = convert::token_ids(tokens, "tokens")?;
    let bytes = work::attempt(py, tokens.len() * 4, || encoding.decode_bytes(&tokens), of_tokens)?;
    Ok(PyBytes::new(py, &bytes))
}

/// Where a text is cut, by its word.
pub fn side(word: &str) -> PyResult<Side> {
    match word {
        "back" => Ok(Side::Back),
        "front" => Ok(Side::Front),
        "middle" => Ok(Side::Middle),
        _ => Err(PyValueError::new_err(format!(
            "unknown side {word:?}\nhint: \"back\" cuts the end, \"front\" the beginning, \"middle\" between them"
        ))),
    }
}

/// The text cut to at most `max_tokens`, at borders of characters. `side` says what is cut: "back", "front" or "middle".
#[pyfunction]
#[pyo3(signature = (text, max_tokens, side="back", *, encoding=None, model=None))]
pub fn truncate(
    py: Python<'_>,
    text: &str,
    max_tokens: usize,
    side: &str,
    encoding: Option<&str>,
    model: Option<&str>,
) -> PyResult<String> {
    let (encoding, side) = (chosen(encoding, model)?, self::side(side)?);
    work::run(py, text.len(), || encoding.truncate(text, max_tokens, side).into_owned())
}

/// The text in consecutive parts of at most `max_tokens` each, none for an empty text. 0 counts as 1; a character that alone has
/// more is a part of its own.
#[pyfunction]
#[pyo3(signature = (text, max_tokens, *, encoding=None, model=None))]
pub fn split(
    py: Python<'_>,
    text: &str,
    max_tokens: usize,
    encoding: Option<&str>,
    model: Option<&str>,
) -> PyResult<Vec<String>> {
    let encoding = chosen(encoding, model)?;
    let cut = || encoding.chunks(text, max_tokens).into_iter().map(str::to_owned).collect();
    work::run(py, text.len(), cut)
}

/// Whether a text has more than `limit` tokens; stops as soon as that is known.
#[pyfunction]
#[pyo3(signature = (text, limit, *, encoding=None, model=None))]
pub fn exceeds(
    py: Python<'_>,
    text: &str,
    limit: usize,
    encoding: Option<&str>,
    model: Option<&str>,
) -> PyResult<bool> {
    let encoding = chosen(encoding, model)?;
    work::run(py, text.len(), || encoding.exceeds(text, limit))
}

/// Tokens of a text for any model, with what the figure is worth.
#[pyclass(frozen, get_all, module = "lacon")]
pub struct Estimate {
    /// The count, or the most likely one.
    tokens: usize,
    /// "exact", "calibrated" or "heuristic".
    kind: String,
    /// Lower end of the range that the truth is expected in, where it is known.
    low: Option<usize>,
    /// Its upper end.
    high: Option<usize>,
    /// The encoding that counted.
    encoding: String,
    /// Why the figure is not exact, where it is not.
    warning: Option<String>,
}

#[pymethods]
impl Estimate {
    #[new]
    #[pyo3(signature = (tokens, kind, low, high, encoding, warning))]
    fn new(
        tokens: usize,
        kind: String,
        low: Option<usize>,
        high: Option<usize>,
        encoding: String,
        warning: Option<String>,
    ) -> Self {
        Self { tokens, kind, low, high, encoding, warning }
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let this = slf.get();
        let warning = &this.warning;
        let fields = (this.tokens, &this.kind, this.low, this.high, &this.encoding, warning);
        (slf.get_type(), fields).into_bound_py_any(slf.py())
    }

    fn __repr__(&self) -> String {
        let side = |side: Option<usize>| side.map_or_else(|| "None".to_owned(), |side| side.to_string());
        format!(
            "Estimate(tokens={}, kind={:?}, low={}, high={})",
            self.tokens,
            self.kind,
            side(self.low),
            side(self.high)
        )
    }
}

/// Tokens of a text for any model: exact where its vocabulary is known, else an estimate that says so.
#[pyfunction]
pub fn estimate(py: Python<'_>, text: &str, model: &str) -> PyResult<Estimate> {
    let found = for_model(model);
    let counted = work::run(py, text.len(), || found.count(text))?;
    Ok(Estimate {
        tokens: counted.tokens,
        kind: counted.how.as_str().to_owned(),
        low: counted.range.map(|(low, _)| low),
        high: counted.range.map(|(_, high)| high),
        encoding: found.encoding.name().to_owned(),
        warning: found.warning,
    })
}

/// Prompt tokens of a chat request, part by part, with what the figure is worth.
#[pyclass(frozen, get_all, module = "lacon")]
pub struct RequestCount {
    /// All prompt tokens: the sum of the parts, or the estimate that follows from it.
    total: usize,
    /// Roles, texts, names and calls.
    messages: usize,
    /// What the chat format adds.
    framing: usize,
    /// Declared tools and the response's schema.
    tools: usize,
    /// Pictures.
    images: usize,
    /// "framed" (own vocabulary, measured framing), "calibrated" or "heuristic".
    kind: String,
    /// Lower end of the range that the truth is expected in, where it is an estimate with a known error.
    low: Option<usize>,
    /// Its upper end.
    high: Option<usize>,
    /// Why the figure is an estimate, where it is one.
    warning: Option<String>,
}

#[pymethods]
impl RequestCount {
    #[new]
    #[pyo3(signature = (total, messages, framing, tools, images, kind, low, high, warning))]
    #[expect(clippy::too_many_arguments, reason = "one for each field")]
    fn new(
        total: usize,
        messages: usize,
        framing: usize,
        tools: usize,
        images: usize,
        kind: String,
        low: Option<usize>,
        high: Option<usize>,
        warning: Option<String>,
    ) -> Self {
        Self { total, messages, framing, tools, images, kind, low, high, warning }
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let this = slf.get();
        let parts = (this.total, this.messages, this.framing, this.tools, this.images);
        let worth = (&this.kind, this.low, this.high, &this.warning);
        let fields = (parts.0, parts.1, parts.2, parts.3, parts.4, worth.0, worth.1, worth.2, worth.3);
        (slf.get_type(), fields).into_bound_py_any(slf.py())
    }

    fn __repr__(&self) -> String {
        format!(
            "RequestCount(total={}, messages={}, framing={}, tools={}, images={}, kind={:?})",
            self.total, self.messages, self.framing, self.tools, self.images, self.kind
        )
    }

    /// The total.
    fn __int__(&self) -> usize {
        self.total
    }
}

/// Prompt tokens of a chat request as a provider meters them: messages, framing, calls, declared tools, schema, pictures.
///
/// Never refuses a model: `kind` says what the figure is worth. Raises MessageError for a list that holds no messages.
#[pyfunction]
#[pyo3(signature = (messages, model="gpt-4o", *, tools=None, response_schema=None))]
pub fn count_messages(
    py: Python<'_>,
    messages: &Bound<'_, PyAny>,
    model: &str,
    tools: Option<&Bound<'_, PyAny>>,
    response_schema: Option<&Bound<'_, PyAny>>,
) -> PyResult<RequestCount> {
    let messages = convert::json_list(messages, "messages")?;
    let tools = tools.map(|tools| convert::json_list(tools, "tools")).transpose()?.unwrap_or_default();
    let schema = response_schema.map(|schema| convert::json(schema, "response_schema")).transpose()?;
    let found = for_model(model);
    let counted = work::attempt(
        py,
        usize::MAX,
        || lacon_prompt::chat::count(&messages, &tools, schema.as_ref(), &found),
        of_prompt,
    )?;
    let range = found.estimator.as_ref().map(|estimator| {
        let total = counted.total as f64;
        (
            (total * (1.0 - estimator.error)).floor() as usize,
            (total * (1.0 + estimator.error)).ceil() as usize,
        )
    });
    Ok(RequestCount {
        total: counted.total,
        messages: counted.messages,
        framing: counted.framing,
        tools: counted.tools,
        images: counted.images,
        kind: counted.how.as_str().to_owned(),
        low: range.map(|(low, _)| low),
        high: range.map(|(_, high)| high),
        warning: found.warning,
    })
}
