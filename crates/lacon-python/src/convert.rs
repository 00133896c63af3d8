//! Text and JSON between Python and Rust, without loss: what has no counterpart is refused.

use std::borrow::Cow;

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyUnicodeEncodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Number, Value};

/// Deeper nesting is refused; it would be a cycle or an attack.
const MAX_DEPTH: usize = 128;

/// A text as tiktoken reads it: halves of surrogate pairs that stand together are joined, lone ones become U+FFFD.
pub fn lenient<'t>(text: &'t Bound<'_, PyString>) -> PyResult<Cow<'t, str>> {
    match text.to_str() {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(error) if error.is_instance_of::<PyUnicodeEncodeError>(text.py()) => {
            let bytes = text.call_method1("encode", ("utf-16-le", "surrogatepass"))?;
            let whole = bytes.call_method1("decode", ("utf-16-le", "replace"))?;
            Ok(Cow::Owned(whole.extract::<String>()?))
        }
        Err(error) => Err(error),
    }
}

/// Where a value stands in what the caller gave, for errors.
struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
    depth: usize,
}

enum Step<'a> {
    Root(&'a str),
    Item(usize),
    Member(&'a str),
}

impl<'a> At<'a> {
    fn root(what: &'a str) -> Self {
        Self { parent: None, step: Step::Root(what), depth: 0 }
    }

    fn inside(&'a self, step: Step<'a>) -> Self {
        Self { parent: Some(self), step, depth: self.depth + 1 }
    }
}

impl std::fmt::Display for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root(what) => f.write_str(what),
            Step::Item(index) => write!(f, "[{index}]"),
            Step::Member(name) => write!(f, ".{name}"),
        }
    }
}

/// A Python value as JSON; errors name the place in `what`.
pub fn json(value: &Bound<'_, PyAny>, what: &str) -> PyResult<Value> {
    read(value, &At::root(what))
}

/// A list of values as JSON; a text is not taken for a list.
pub fn json_list(value: &Bound<'_, PyAny>, what: &str) -> PyResult<Vec<Value>> {
    match json(value, what)? {
        Value::Array(items) => Ok(items),
        _ => {
            let kind = value.get_type().name()?;
            Err(PyTypeError::new_err(format!("{what} is a {kind}, a list is needed")))
        }
    }
}

/// A str as UTF-8; a lone surrogate names its place.
fn text<'t>(value: &'t Bound<'_, PyString>, at: &At<'_>) -> PyResult<&'t str> {
    value.to_str().inspect_err(|error| {
        let py = value.py();
        let place = format!("surrogates not allowed, at {at}");
        // The reason is all of the message that can be set; the exception is raised whether it could be or not.
        drop(error.value(py).setattr("reason", place));
    })
}

fn read(value: &Bound<'_, PyAny>, at: &At<'_>) -> PyResult<Value> {
    if at.depth > MAX_DEPTH {
        return Err(PyValueError::new_err(format!(
            "a value is nested deeper than {MAX_DEPTH} levels\nhint: does it hold itself?"
        )));
    }
    if value.is_none() {
        Ok(Value::Null)
    } else if let Ok(text) = value.cast::<PyString>() {
        Ok(Value::String(self::text(text, at)?.to_owned()))
    } else if let Ok(truth) = value.cast::<PyBool>() {
        Ok(Value::Bool(truth.is_true()))
    } else if value.is_instance_of::<PyInt>() {
        let signed = value.extract::<i64>().map(Number::from);
        let number = signed.or_else(|_| value.extract::<u64>().map(Number::from));
        number.map(Value::Number).map_err(|_| {
            PyValueError::new_err(format!(
                "{at}: a whole number does not fit 64 bits\nhint: write it as a string"
            ))
        })
    } else if let Ok(number) = value.cast::<PyFloat>() {
        let number = number.value();
        Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| PyValueError::new_err(format!("{at}: {number} is no number of JSON")))
    } else if let Ok(object) = value.cast::<PyDict>() {
        let mut members = Map::new();
        for (key, value) in object {
            let key = key.cast::<PyString>().map_err(|_| {
                PyTypeError::new_err(format!("{at}: a key of an object is no str, as JSON's must be"))
            })?;
            let key = text(key, at)?;
            members.insert(key.to_owned(), read(&value, &at.inside(Step::Member(key)))?);
        }
        Ok(Value::Object(members))
    } else if let Ok(items) = value.cast::<PyList>() {
        array(items.iter(), at)
    } else if let Ok(items) = value.cast::<PyTuple>() {
        array(items.iter(), at)
    } else {
        // Objects of SDKs, mappings and iterables; one file of Python knows them.
        let plain = value.py().import("lacon._objects")?.call_method1("plain", (value,))?;
        if plain.is(value.py().NotImplemented()) {
            let kind = value.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "{at}: a value of type {kind} is no JSON\nhint: pass dict, list, str, int, float, bool and None, or a message of \
                 an SDK"
            )));
        }
        read(&plain, &At { parent: at.parent, step: Step::copy(&at.step), depth: at.depth + 1 })
    }
}

impl<'a> Step<'a> {
    fn copy(&self) -> Step<'a> {
        match *self {
            Step::Root(what) => Step::Root(what),
            Step::Item(index) => Step::Item(index),
            Step::Member(name) => Step::Member(name),
        }
    }
}

fn array<'py>(items: impl Iterator<Item = Bound<'py, PyAny>>, at: &At<'_>) -> PyResult<Value> {
    let items = items.enumerate().map(|(index, item)| read(&item, &at.inside(Step::Item(index))));
    items.collect::<PyResult<_>>().map(Value::Array)
}

/// The items of a list, tuple, generator, column of Arrow, pandas or polars, or other iterable; never the letters of a text.
pub fn items<'py>(value: &Bound<'py, PyAny>, what: &str) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let refused = || {
        let kind = value.get_type().name().map_or_else(|_| "value".to_owned(), |kind| kind.to_string());
        PyTypeError::new_err(format!("{what} is a {kind}, a list or another iterable is needed"))
    };
    if value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyDict>()
    {
        return Err(refused());
    }
    // An Arrow column gives scalars of its own when iterated.
    let value = if value.hasattr("to_pylist")? { value.call_method0("to_pylist")? } else { value.clone() };
    let Ok(iterator) = value.try_iter() else { return Err(refused()) };
    iterator.collect()
}

/// The texts of an iterable; the first item that is no text is named.
pub fn strings<'py>(value: &Bound<'py, PyAny>, what: &str) -> PyResult<Vec<Bound<'py, PyString>>> {
    let items = items(value, what)?.into_iter().enumerate();
    items
        .map(|(index, item)| {
            item.cast_into::<PyString>().map_err(|error| {
                let kind = error.into_inner().get_type().name().map(|kind| kind.to_string());
                let kind = kind.unwrap_or_else(|_| "value".to_owned());
                PyTypeError::new_err(format!("{what}[{index}] is of type {kind}, a str is needed"))
            })
        })
        .collect()
}

/// As [`strings`], held so that work without the interpreter can read them.
pub fn texts(value: &Bound<'_, PyAny>, what: &str) -> PyResult<Vec<PyBackedStr>> {
    let root = At::root(what);
    let strings = strings(value, what)?.into_iter().enumerate();
    strings
        .map(|(index, item)| {
            text(&item, &root.inside(Step::Item(index)))?;
            PyBackedStr::try_from(item)
        })
        .collect()
}

/// Token ids of an iterable; the first that is none is named.
pub fn token_ids(value: &Bound<'_, PyAny>, what: &str) -> PyResult<Vec<u32>> {
    if let Ok(ids) = value.extract::<Vec<u32>>() {
        return Ok(ids);
    }
    let items = items(value, what)?.into_iter().enumerate();
    items
        .map(|(index, item)| {
            item.extract::<u32>().map_err(|error| {
                let said =
                    format!("{what}[{index}]: {item} is no token id, a whole number below 2**32 is needed");
                match error.is_instance_of::<PyTypeError>(value.py()) {
                    true => PyTypeError::new_err(said),
                    false => PyOverflowError::new_err(said),
                }
            })
        })
        .collect()
}

/// A JSON value as Python's.
pub fn python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(truth) => PyBool::new(py, *truth).to_owned().into_any(),
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into_pyobject(py)?.into_any(),
            (_, Some(number)) => number.into_pyobject(py)?.into_any(),
            _ => PyFloat::new(py, number.as_f64().unwrap_or(f64::NAN)).into_any(),
        },
        Value::Array(items) => list(py, items)?.into_any(),
        Value::Object(members) => {
            let object = PyDict::new(py);
            for (key, value) in members {
                object.set_item(key, python(py, value)?)?;
            }
            object.into_any()
        }
    })
}

/// Ids of a list that are made before others may run.
const IDS_AT_ONCE: usize = 16 << 10;

/// Token ids as a Python list. A million of them take tens of milliseconds with the interpreter's lock; whoever waits for it gets it
/// in between.
pub fn ids<'py>(py: Python<'py>, ids: &[u32]) -> PyResult<Bound<'py, PyList>> {
    if ids.len() <= IDS_AT_ONCE {
        return PyList::new(py, ids);
    }
    let out = PyList::empty(py);
    for part in ids.chunks(IDS_AT_ONCE) {
        out.call_method1("extend", (PyList::new(py, part)?,))?;
        py.detach(std::thread::yield_now);
    }
    Ok(out)
}

/// The ids of many texts as lists in a list, on the same terms.
pub fn lists_of_ids<'py>(py: Python<'py>, lists: &[Vec<u32>]) -> PyResult<Bound<'py, PyList>> {
    let out = PyList::empty(py);
    let mut n = 0;
    for list in lists {
        out.append(ids(py, list)?)?;
        n += list.len();
        if n >= IDS_AT_ONCE {
            n = 0;
            py.detach(std::thread::yield_now);
        }
    }
    Ok(out)
}

/// Values as a Python list.
pub fn list<'py>(py: Python<'py>, values: &[Value]) -> PyResult<Bound<'py, PyList>> {
    let out = PyList::empty(py);
    for value in values {
        out.append(python(py, value)?)?;
    }
    Ok(out)
}

/// What prompts are made shorter of: a text, or a list of chat messages.
pub enum Source {
    /// One text.
    Text(PyBackedStr),
    /// Messages.
    Messages(Vec<Value>),
}

impl Source {
    /// Reads a text or a list.
    pub fn read(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        if value.is_instance_of::<PyString>() {
            return Ok(Source::Text(value.extract()?));
        }
        let is_one = value.is_instance_of::<PyDict>() || value.is_instance_of::<PyBytes>();
        if !is_one && value.try_iter().is_ok() {
            return Ok(Source::Messages(json_list(value, "source")?));
        }
        let kind = value.get_type().name()?;
        Err(PyTypeError::new_err(format!("source is a {kind}, a str or a list of messages is needed")))
    }
}
