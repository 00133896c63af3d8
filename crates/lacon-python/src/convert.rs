//! Text and JSON between Python and Rust, without loss: what has no counterpart is refused.

use std::borrow::Cow;

use pyo3::exceptions::{PyTypeError, PyUnicodeEncodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
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

/// A Python value as JSON.
pub fn json(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    read(value, 0)
}

/// A list of values as JSON; a text is not taken for a list.
pub fn json_list(value: &Bound<'_, PyAny>, what: &str) -> PyResult<Vec<Value>> {
    match json(value)? {
        Value::Array(items) => Ok(items),
        _ => {
            let kind = value.get_type().name()?;
            Err(PyTypeError::new_err(format!("{what} is a {kind}, a list is needed")))
        }
    }
}

fn read(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    if depth > MAX_DEPTH {
        return Err(PyValueError::new_err(format!(
            "a value is nested deeper than {MAX_DEPTH} levels\nhint: does it hold itself?"
        )));
    }
    if value.is_none() {
        Ok(Value::Null)
    } else if let Ok(text) = value.cast::<PyString>() {
        Ok(Value::String(text.to_str()?.to_owned()))
    } else if let Ok(truth) = value.cast::<PyBool>() {
        Ok(Value::Bool(truth.is_true()))
    } else if value.is_instance_of::<PyInt>() {
        let signed = value.extract::<i64>().map(Number::from);
        let number = signed.or_else(|_| value.extract::<u64>().map(Number::from));
        number.map(Value::Number).map_err(|_| {
            PyValueError::new_err("a whole number does not fit 64 bits\nhint: write it as a string")
        })
    } else if let Ok(number) = value.cast::<PyFloat>() {
        let number = number.value();
        Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| PyValueError::new_err(format!("{number} is no number of JSON")))
    } else if let Ok(object) = value.cast::<PyDict>() {
        let mut members = Map::new();
        for (key, value) in object {
            let key = key
                .cast::<PyString>()
                .map_err(|_| PyTypeError::new_err("a key of an object is no str, as JSON's must be"))?;
            members.insert(key.to_str()?.to_owned(), read(&value, depth + 1)?);
        }
        Ok(Value::Object(members))
    } else if let Ok(items) = value.cast::<PyList>() {
        items.iter().map(|item| read(&item, depth + 1)).collect::<PyResult<_>>().map(Value::Array)
    } else if let Ok(items) = value.cast::<PyTuple>() {
        items.iter().map(|item| read(&item, depth + 1)).collect::<PyResult<_>>().map(Value::Array)
    } else {
        let kind = value.get_type().name()?;
        Err(PyTypeError::new_err(format!(
            "a value of type {kind} is no JSON\nhint: pass dict, list, str, int, float, bool and None"
        )))
    }
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
        if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
            return Ok(Source::Messages(json_list(value, "source")?));
        }
        let kind = value.get_type().name()?;
        Err(PyTypeError::new_err(format!("source is a {kind}, a str or a list of messages is needed")))
    }
}
