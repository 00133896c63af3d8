//! Prompts made shorter and back: texts, lists of chat messages, and many of either.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};

use lacon_prompt::batch::{BatchOptions, Done, run as run_batch};
use lacon_prompt::chat;
use lacon_prompt::compress::Options;
use lacon_prompt::offload::Store as Offload;
use lacon_prompt::passes::PassSet;
use lacon_prompt::receipt::PassReport;
use lacon_prompt::request::RequestOptions;
use lacon_prompt::shorten::{Policy, ShortenOptions, shorten};
use lacon_prompt::trim::{TrimOptions, trim_text, trim_with_store};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use serde_json::Value;

use crate::convert::{self, Source};
use crate::encoding::chosen;
use crate::errors::{bug, of_prompt};
use crate::store::{Shared, Store};
use crate::work;

/// What compression made of a text or a list of messages.
#[pyclass(frozen, module = "lacon")]
pub struct Compressed {
    /// The text to send; None for messages.
    #[pyo3(get)]
    text: Option<String>,
    /// The messages to send; None for a text.
    #[pyo3(get)]
    messages: Option<Py<PyList>>,
    /// Tokens of the input; of messages with their framing.
    #[pyo3(get)]
    tokens_before: usize,
    /// Tokens of the result; in an audit, of what it would be.
    #[pyo3(get)]
    tokens_after: usize,
    /// Whether `expand` gives back every byte of every text.
    #[pyo3(get)]
    exact: bool,
    /// What was done, one dict a pass and text: pass, segment, spans, tokens_before, tokens_after, outcome and others.
    #[pyo3(get)]
    receipt: Py<PyList>,
    /// Whether the store was too full to keep what an extract leaves out.
    #[pyo3(get)]
    unkept: bool,
    /// Of messages: the places of the texts that changed, as JSON pointers. `expand` needs them.
    #[pyo3(get)]
    changed: Vec<String>,
    policy: Policy,
    store: Option<Py<Store>>,
}

#[pymethods]
impl Compressed {
    #[new]
    #[pyo3(signature = (text, messages, tokens_before, tokens_after, exact, receipt, unkept, changed, policy, store))]
    #[expect(clippy::too_many_arguments, reason = "one for each field")]
    fn new(
        text: Option<String>,
        messages: Option<Py<PyList>>,
        tokens_before: usize,
        tokens_after: usize,
        exact: bool,
        receipt: Py<PyList>,
        unkept: bool,
        changed: Vec<String>,
        policy: &str,
        store: Option<Py<Store>>,
    ) -> PyResult<Self> {
        let policy = self::policy(policy)?;
        Ok(Self {
            text,
            messages,
            tokens_before,
            tokens_after,
            exact,
            receipt,
            unkept,
            changed,
            policy,
            store,
        })
    }

    /// Pickles with its store, if it has one.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let fields = (
            &this.text,
            &this.messages,
            this.tokens_before,
            this.tokens_after,
            this.exact,
            &this.receipt,
            this.unkept,
            &this.changed,
            this.policy.name(),
            &this.store,
        );
        (slf.get_type(), fields).into_bound_py_any(py)
    }

    /// The policy that was followed: "lossless", "safe" or "lossy".
    #[getter]
    fn policy(&self) -> &'static str {
        self.policy.name()
    }

    /// Tokens that were saved.
    #[getter]
    fn saved(&self) -> usize {
        self.tokens_before.saturating_sub(self.tokens_after)
    }

    /// What it was made from: the text, or the list of messages. An extract raises ValueError: what is left out of it is in the
    /// store, if one was given, under the handle at its end.
    fn expand<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if self.policy == Policy::Lossy {
            return Err(PyValueError::new_err(
                "an extract cannot be expanded\nhint: its last line names what the store retrieves the full text by",
            ));
        }
        let source: Bound<'_, PyAny> = match (&self.messages, &self.text) {
            (Some(messages), _) => messages.bind(py).clone().into_any(),
            (None, text) => PyString::new(py, text.as_deref().unwrap_or_default()).into_any(),
        };
        undo(py, &source, self.store.as_ref(), &self.changed)
    }

    fn __repr__(&self) -> String {
        let what = if self.text.is_some() { "text" } else { "messages" };
        format!(
            "Compressed({what}, tokens_before={}, tokens_after={}, exact={})",
            self.tokens_before,
            self.tokens_after,
            if self.exact { "True" } else { "False" }
        )
    }
}

fn policy(word: &str) -> PyResult<Policy> {
    Policy::named(word).ok_or_else(|| {
        let known = Policy::ALL.map(Policy::name).join(", ");
        PyValueError::new_err(format!("unknown policy {word:?}\nhint: the policies are {known}"))
    })
}

/// How to compress, read once for one input or many.
pub(crate) struct Settings {
    policy: Policy,
    exact: Options,
    query: String,
    share: Option<f64>,
    budget: Option<usize>,
    protect: Vec<String>,
    keep_quotable: bool,
    encoding: &'static lacon_tokens::Encoding,
}

/// What came of one input, not yet Python's.
struct Outcome {
    text: Option<String>,
    messages: Vec<Value>,
    tokens_before: usize,
    tokens_after: usize,
    exact: bool,
    receipt: Vec<Value>,
    unkept: bool,
    changed: Vec<String>,
}

impl Settings {
    #[expect(clippy::too_many_arguments, reason = "the keyword arguments of two functions, in one place")]
    pub(crate) fn read(
        policy: Option<&str>,
        budget: Option<usize>,
        has_store: bool,
        query: String,
        ratio: Option<f64>,
        disable: &[String],
        enable: &[String],
        once: bool,
        audit: bool,
        mut protect: Vec<String>,
        shorten_user: bool,
        shorten_quotable: bool,
        encoding: Option<&str>,
        model: Option<&str>,
    ) -> PyResult<Self> {
        if !shorten_user {
            protect.push("user".to_owned());
        }
        let policy = match policy {
            None if has_store => Policy::Safe,
            None => Policy::Lossless,
            Some(word) => self::policy(word)?,
        };
        if policy == Policy::Safe && !has_store {
            return Err(PyValueError::new_err(
                "policy \"safe\" moves parts to a store, and none is given\nhint: pass store=lacon.Store(), or policy=\"lossless\"",
            ));
        }
        if ratio.is_some() && policy != Policy::Lossy {
            return Err(PyValueError::new_err(
                "ratio is the share that policy \"lossy\" keeps\nhint: pass policy=\"lossy\", or leave ratio out",
            ));
        }
        let words = |list: &[String]| list.iter().map(|word| word.trim().to_owned()).collect::<Vec<_>>();
        let (disable, enable) = (words(disable), words(enable));
        let passes = PassSet::usual(disable.iter().map(String::as_str), enable.iter().map(String::as_str));
        Ok(Self {
            policy,
            exact: Options { passes: passes.map_err(of_prompt)?, audit, once, exact: false },
            query,
            share: ratio,
            budget,
            protect,
            keep_quotable: !shorten_quotable,
            encoding: chosen(encoding, model)?,
        })
    }

    /// The same for a column of texts, which has no store.
    pub(crate) fn column(self) -> lacon_prompt::arrow::Work {
        let options = ShortenOptions {
            policy: self.policy,
            exact: self.exact,
            query: "",
            share: self.share,
            budget: self.budget,
        };
        lacon_prompt::arrow::Work::Compress(self.encoding, options, self.query)
    }

    fn source(&self, value: &Bound<'_, PyAny>) -> PyResult<Source> {
        let source = Source::read(value)?;
        if self.policy == Policy::Lossy && matches!(source, Source::Messages(_)) {
            return Err(PyValueError::new_err(
                "messages are not compressed with loss\nhint: lacon.trim fits them into a budget; policy \"lossy\" takes a text",
            ));
        }
        Ok(source)
    }

    fn compress(&self, source: &Source, store: Option<&Store>) -> lacon_prompt::Result<Outcome> {
        let mut shared = store.map(Shared);
        let store = shared.as_mut().map(|store| store as &mut dyn Offload);
        let options = ShortenOptions {
            policy: self.policy,
            exact: self.exact,
            query: &self.query,
            share: self.share,
            budget: self.budget,
        };
        Ok(match source {
            Source::Text(text) => {
                let done = shorten(text, &options, store, self.encoding)?;
                Outcome {
                    text: Some(done.text),
                    messages: Vec::new(),
                    tokens_before: done.tokens_before,
                    tokens_after: done.tokens_after,
                    exact: done.exact,
                    receipt: done.receipt,
                    unkept: done.unkept,
                    changed: Vec::new(),
                }
            }
            Source::Messages(messages) => {
                let options = RequestOptions {
                    compress: self.exact,
                    protect: &self.protect,
                    keep_quotable: self.keep_quotable,
                    ..RequestOptions::default()
                };
                let store = store.filter(|_| self.policy == Policy::Safe);
                let done = chat::compress(messages, &options, self.budget, store, self.encoding)?;
                Outcome {
                    text: None,
                    messages: done.messages,
                    tokens_before: done.tokens_before,
                    tokens_after: done.tokens_after,
                    exact: done.exact,
                    receipt: done.passes.iter().map(PassReport::to_json).collect(),
                    unkept: false,
                    changed: done.changed,
                }
            }
        })
    }

    fn python(&self, py: Python<'_>, done: Outcome, store: Option<&Py<Store>>) -> PyResult<Compressed> {
        let messages = match &done.text {
            Some(_) => None,
            None => Some(convert::list(py, &done.messages)?.unbind()),
        };
        Ok(Compressed {
            messages,
            text: done.text,
            tokens_before: done.tokens_before,
            tokens_after: done.tokens_after,
            exact: done.exact,
            receipt: convert::list(py, &done.receipt)?.unbind(),
            unkept: done.unkept,
            changed: done.changed,
            policy: self.policy,
            store: store.map(|store| store.clone_ref(py)),
        })
    }
}

/// Shortens a text, or the texts of a list of chat messages, so that `expand` gives them back.
///
/// `policy`: "lossless" (exact forms alone; the default without a store), "safe" (exact forms, and opaque runs moved to the store;
/// the default with one) or "lossy" (an extract for `query` that keeps the share `ratio`, half of the tokens when not given).
/// `budget`: most tokens of the result, else BudgetError; a lossy policy selects so much of a text.
/// Of messages, results of tools may change, and with `shorten_user` what users say; what a file reader returned stays, because a later edit may quote
/// it, unless `shorten_quotable` is true; `protect` names whose texts stay: "tool", or
/// a tool by its name.
/// `disable`, `enable`: names of passes. `once`: leave a text that this made as it is. `audit`: only say what would be saved.
#[pyfunction]
#[pyo3(signature = (source, *, policy=None, budget=None, store=None, query=String::new(), ratio=None, disable=Vec::new(), enable=Vec::new(), once=false, audit=false, protect=Vec::new(), shorten_user=false, shorten_quotable=false, encoding=None, model=None))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
pub fn compress(
    py: Python<'_>,
    source: &Bound<'_, PyAny>,
    policy: Option<&str>,
    budget: Option<usize>,
    store: Option<Py<Store>>,
    query: String,
    ratio: Option<f64>,
    disable: Vec<String>,
    enable: Vec<String>,
    once: bool,
    audit: bool,
    protect: Vec<String>,
    shorten_user: bool,
    shorten_quotable: bool,
    encoding: Option<&str>,
    model: Option<&str>,
) -> PyResult<Compressed> {
    let settings = Settings::read(
        policy,
        budget,
        store.is_some(),
        query,
        ratio,
        &disable,
        &enable,
        once,
        audit,
        protect,
        shorten_user,
        shorten_quotable,
        encoding,
        model,
    )?;
    let source = settings.source(source)?;
    let inner = store.as_ref().map(Py::get);
    let done = work::attempt(py, usize::MAX, || settings.compress(&source, inner), of_prompt)?;
    settings.python(py, done, store.as_ref())
}

/// `compress` of many texts or lists, over at most `num_threads` threads (one per processor when not given), in their order.
///
/// What fails stays one failure: at its place in the result is its exception, which is not raised.
#[pyfunction]
#[pyo3(signature = (sources, *, num_threads=None, policy=None, budget=None, store=None, query=String::new(), ratio=None, disable=Vec::new(), enable=Vec::new(), once=false, audit=false, protect=Vec::new(), shorten_user=false, shorten_quotable=false, encoding=None, model=None))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
pub fn compress_batch<'py>(
    py: Python<'py>,
    sources: &Bound<'py, PyAny>,
    num_threads: Option<usize>,
    policy: Option<&str>,
    budget: Option<usize>,
    store: Option<Py<Store>>,
    query: String,
    ratio: Option<f64>,
    disable: Vec<String>,
    enable: Vec<String>,
    once: bool,
    audit: bool,
    protect: Vec<String>,
    shorten_user: bool,
    shorten_quotable: bool,
    encoding: Option<&str>,
    model: Option<&str>,
) -> PyResult<Bound<'py, PyList>> {
    let settings = Settings::read(
        policy,
        budget,
        store.is_some(),
        query,
        ratio,
        &disable,
        &enable,
        once,
        audit,
        protect,
        shorten_user,
        shorten_quotable,
        encoding,
        model,
    )?;
    let options = BatchOptions::jobs(work::threads(num_threads)?.get());
    let sources = convert::items(sources, "sources")?;
    let read: Vec<PyResult<Source>> = sources.iter().map(|source| settings.source(source)).collect();
    let inner = store.as_ref().map(Py::get);
    let stop = AtomicBool::new(false);
    let mut interrupted = Ok(());
    let mut done = Vec::with_capacity(read.len());
    let (done, interrupted) = work::run(py, usize::MAX, || {
        let good = read.iter().filter_map(|source| source.as_ref().ok());
        let summary = run_batch(
            good,
            options,
            &stop,
            |source| settings.compress(source, inner),
            |index, item| {
                done.push(match item {
                    Done::Ok(outcome) => Some(Ok(outcome)),
                    Done::Failed(_, error) => Some(Err(error)),
                    Done::Panicked(_) => None,
                });
                // Ctrl-C ends a long batch; those under way are finished.
                if index % 64 == 63 && interrupted.is_ok() {
                    interrupted = Python::attach(|py| py.check_signals());
                    stop.store(interrupted.is_err(), Ordering::Relaxed);
                }
                Ok::<(), Infallible>(())
            },
        );
        let Ok(_) = summary;
        (done, interrupted)
    })?;
    interrupted?;
    let mut done = done.into_iter();
    let results = PyList::empty(py);
    for source in read {
        let result = match source {
            Err(error) => Err(error),
            Ok(_) => match done.next().flatten() {
                Some(Ok(outcome)) => settings.python(py, outcome, store.as_ref()),
                Some(Err(error)) => Err(of_prompt(error)),
                None => Err(bug(&"the work on this item panicked")),
            },
        };
        match result {
            Ok(compressed) => results.append(Py::new(py, compressed)?)?,
            Err(error) => results.append(error.into_value(py))?,
        }
    }
    Ok(results)
}

/// What `compress` was given: of a text the text, of messages the list, where `changed` is what the compression says it changed.
///
/// Raises DamagedError (a ValueError) for a text that was edited since, MissingError (a KeyError) where the store does not hold
/// what a marker names.
#[pyfunction]
#[pyo3(signature = (source, *, store=None, changed=Vec::new()))]
pub fn expand<'py>(
    py: Python<'py>,
    source: &Bound<'py, PyAny>,
    store: Option<Py<Store>>,
    changed: Vec<String>,
) -> PyResult<Bound<'py, PyAny>> {
    undo(py, source, store.as_ref(), &changed)
}

fn undo<'py>(
    py: Python<'py>,
    source: &Bound<'py, PyAny>,
    store: Option<&Py<Store>>,
    changed: &[String],
) -> PyResult<Bound<'py, PyAny>> {
    let inner = store.map(Py::get);
    match Source::read(source)? {
        Source::Text(text) => {
            let expand = || {
                let shared = inner.map(Shared);
                lacon_prompt::compress::expand(&text, shared.as_ref().map(|store| store as &dyn Offload))
            };
            let whole = work::attempt(py, usize::MAX, expand, of_prompt)?;
            Ok(PyString::new(py, &whole).into_any())
        }
        Source::Messages(messages) => {
            let expand = || {
                let shared = inner.map(Shared);
                chat::expand(&messages, changed, shared.as_ref().map(|store| store as &dyn Offload))
            };
            let whole = work::attempt(py, usize::MAX, expand, of_prompt)?;
            Ok(convert::list(py, &whole)?.into_any())
        }
    }
}

/// A text or a list of messages that fits.
#[pyclass(frozen, get_all, module = "lacon")]
pub struct Trimmed {
    /// The text; None for messages.
    text: Option<String>,
    /// The messages; None for a text.
    messages: Option<Py<PyList>>,
    /// Tokens before; of messages counted on the cautious side.
    tokens_before: usize,
    /// Tokens after.
    tokens_after: usize,
    /// Of a text: tokens that were left out of its middle.
    left_out_tokens: usize,
    /// Positions of messages in another, exact form.
    reformed: Vec<usize>,
    /// Positions of tool results of which only the values are left.
    digested: Vec<usize>,
    /// Positions of messages that are gone.
    dropped: Vec<usize>,
}

#[pymethods]
impl Trimmed {
    #[new]
    #[pyo3(signature = (text, messages, tokens_before, tokens_after, left_out_tokens, reformed, digested, dropped))]
    #[expect(clippy::too_many_arguments, reason = "one for each field")]
    fn new(
        text: Option<String>,
        messages: Option<Py<PyList>>,
        tokens_before: usize,
        tokens_after: usize,
        left_out_tokens: usize,
        reformed: Vec<usize>,
        digested: Vec<usize>,
        dropped: Vec<usize>,
    ) -> Self {
        Self { text, messages, tokens_before, tokens_after, left_out_tokens, reformed, digested, dropped }
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let this = slf.get();
        let tokens = (this.tokens_before, this.tokens_after, this.left_out_tokens);
        let places = (&this.reformed, &this.digested, &this.dropped);
        let fields = (&this.text, &this.messages, tokens.0, tokens.1, tokens.2, places.0, places.1, places.2);
        (slf.get_type(), fields).into_bound_py_any(slf.py())
    }

    fn __repr__(&self) -> String {
        let what = if self.text.is_some() { "text" } else { "messages" };
        format!(
            "Trimmed({what}, tokens_before={}, tokens_after={}, dropped={:?})",
            self.tokens_before, self.tokens_after, self.dropped
        )
    }
}

/// Fits a text or a list of chat messages into `max_tokens`, and leaves messages a list that can be sent.
///
/// A call and its results stay or go together; the system's messages, the first user turn, the last group and positions in `pin`
/// stay. `tools` are counted in. `stride`: leave out the oldest, so many groups at a time. `drop_first`: the first user turn may
/// go too. `store`: keep what is left out of tool results, under a handle in its place. Raises BudgetError with the least budget
/// that can be met, MessageError for a list that cannot be sent.
#[pyfunction]
#[pyo3(signature = (source, max_tokens, *, pin=Vec::new(), tools=None, stride=0, drop_first=false, store=None, encoding=None, model=None))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
pub fn trim(
    py: Python<'_>,
    source: &Bound<'_, PyAny>,
    max_tokens: usize,
    pin: Vec<usize>,
    tools: Option<&Bound<'_, PyAny>>,
    stride: usize,
    drop_first: bool,
    store: Option<Py<Store>>,
    encoding: Option<&str>,
    model: Option<&str>,
) -> PyResult<Trimmed> {
    let encoding = chosen(encoding, model)?;
    let tools = tools.map(|tools| convert::json_list(tools, "tools")).transpose()?;
    match Source::read(source)? {
        Source::Text(text) => {
            if tools.is_some() || !pin.is_empty() || stride > 0 || drop_first || store.is_some() {
                return Err(PyTypeError::new_err(
                    "pin, tools, stride, drop_first and store are about messages, source is a text",
                ));
            }
            let done = work::attempt(py, usize::MAX, || trim_text(&text, max_tokens, encoding), of_prompt)?;
            Ok(Trimmed {
                text: Some(done.text),
                messages: None,
                tokens_before: done.tokens_before,
                tokens_after: done.tokens_after,
                left_out_tokens: done.left_out,
                reformed: Vec::new(),
                digested: Vec::new(),
                dropped: Vec::new(),
            })
        }
        Source::Messages(messages) => {
            let mut options = TrimOptions::new(max_tokens);
            options.pinned = pin;
            options.stride = stride;
            options.drop_first = drop_first;
            let inner = store.as_ref().map(Py::get);
            let role = |message: &Value| {
                message.get("role").and_then(Value::as_str).is_some_and(lacon_tokens::is_system)
            };
            let has_system = messages.iter().any(role);
            let trimming = || {
                options.tool_tokens =
                    tools.map_or(0, |tools| lacon_tokens::count_tools(encoding, &tools, has_system));
                let mut shared = inner.map(Shared);
                let store = shared.as_mut().map(|store| store as &mut dyn Offload);
                trim_with_store(&messages, &options, store, encoding)
            };
            let done = work::attempt(py, usize::MAX, trimming, of_prompt)?;
            Ok(Trimmed {
                text: None,
                messages: Some(convert::list(py, &done.messages)?.unbind()),
                tokens_before: done.tokens_before,
                tokens_after: done.tokens_after,
                left_out_tokens: 0,
                reformed: done.reformed,
                digested: done.digested,
                dropped: done.dropped,
            })
        }
    }
}
