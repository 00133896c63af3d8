//! The store that offloaded content is kept in: in memory, or a session of an SQLite file.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use lacon_prompt::marker::retrieve;
use lacon_prompt::offload::sqlite::LazyStore;
use lacon_prompt::offload::{Handle, MemoryStore, Store as Offload, StoreError};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::errors::of_prompt;
use crate::work;

/// Bytes that a store holds when nothing is said.
const LIMIT: u64 = 512 << 20;

enum Kind {
    Memory(Tracked),
    File(LazyStore),
}

/// A store in memory that can be pickled: its key, and the handles of what it holds in their order.
struct Tracked {
    store: MemoryStore,
    key: [u8; 32],
    handles: Vec<Handle>,
}

impl Tracked {
    fn new(key: [u8; 32], limit: u64) -> Self {
        Self { store: MemoryStore::new(key, limit), key, handles: Vec::new() }
    }
}

impl Offload for Tracked {
    fn put(&mut self, content: &str) -> Result<Handle, StoreError> {
        let n_before = self.store.len();
        let handle = self.store.put(content)?;
        if self.store.len() > n_before {
            self.handles.push(handle.clone());
        }
        Ok(handle)
    }

    fn get(&self, handle: &Handle) -> Result<Option<String>, StoreError> {
        self.store.get(handle)
    }
}

/// Keeps what compression moves out of a text, and gives it back.
///
/// Without a path it lives in memory, for as long as the object does. With one it is a session of an SQLite file, which is made by
/// the first thing put into it; `lacon retrieve` and `lacon expand` read the same file. A handle means nothing in another session.
/// One object may be used from many threads; after a fork, make a new one.
#[pyclass(frozen, module = "lacon")]
pub struct Store {
    inner: Mutex<Kind>,
    path: Option<PathBuf>,
    session: String,
    limit_bytes: u64,
}

#[pymethods]
impl Store {
    #[new]
    #[pyo3(signature = (path=None, *, session="default", limit_bytes=LIMIT))]
    fn new(path: Option<PathBuf>, session: &str, limit_bytes: u64) -> PyResult<Self> {
        let kind = match &path {
            Some(path) => Kind::File(LazyStore::new(path, session, limit_bytes)),
            None => {
                let mut key = [0; 32];
                getrandom::fill(&mut key)
                    .map_err(|e| PyOSError::new_err(format!("no random numbers for the store's key: {e}")))?;
                Kind::Memory(Tracked::new(key, limit_bytes))
            }
        };
        Ok(Self { inner: Mutex::new(kind), path, session: session.to_owned(), limit_bytes })
    }

    /// The file, or None for a store in memory.
    #[getter]
    fn path(&self) -> Option<PathBuf> {
        self.path.clone()
    }

    /// The session's name.
    #[getter]
    fn session(&self) -> &str {
        &self.session
    }

    /// Stores a text and gives its handle, 16 hex digits. Equal texts have one handle.
    ///
    /// Raises StoreFullError where the limit would be passed, StoreError where the file cannot be written.
    fn put(&self, py: Python<'_>, text: &str) -> PyResult<String> {
        let put = || self.with(|store| store.put(text).map_err(Into::into));
        let handle = work::attempt(py, usize::MAX, put, of_prompt)?;
        Ok(handle.to_string())
    }

    /// The text behind a handle, or behind a whole marker as it stands in a compressed text; what the marker says is checked.
    ///
    /// Raises MissingError (a KeyError) where the session holds nothing so named, ValueError where it is neither handle nor
    /// marker, DamagedError where the marker was edited.
    fn retrieve(&self, py: Python<'_>, handle: &str) -> PyResult<String> {
        let find = || self.with(|store| retrieve(store, handle));
        work::attempt(py, usize::MAX, find, of_prompt).map(|(_, content)| content)
    }

    /// A store on disk pickles as its path, one in memory with all that it holds.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let options = PyDict::new(py);
        options.set_item("session", &this.session)?;
        options.set_item("limit_bytes", this.limit_bytes)?;
        let make = py.import("copyreg")?.getattr("__newobj_ex__")?;
        let arguments = (slf.get_type(), (&this.path,), options);
        let inner = this.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Kind::Memory(memory) = &*inner else { return (make, arguments).into_bound_py_any(py) };
        let texts = memory.handles.iter().map(|handle| memory.get(handle));
        let texts: Vec<String> = texts.filter_map(|text| text.ok().flatten()).collect();
        (make, arguments, (PyBytes::new(py, &memory.key), texts)).into_bound_py_any(py)
    }

    fn __setstate__(&self, state: (Vec<u8>, Vec<String>)) -> PyResult<()> {
        let (key, texts) = state;
        let key = key.try_into().map_err(|_| PyValueError::new_err("a store's key has 32 bytes"))?;
        let mut memory = Tracked::new(key, self.limit_bytes);
        for text in texts {
            memory.put(&text).map_err(|error| of_prompt(error.into()))?;
        }
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = Kind::Memory(memory);
        Ok(())
    }

    fn __repr__(&self) -> String {
        match &self.path {
            Some(path) => format!("Store({:?}, session={:?})", path.display().to_string(), self.session),
            None => "Store()".to_owned(),
        }
    }
}

impl Store {
    /// Runs one operation and makes what it put durable, also where it failed half-way: other writers wait meanwhile.
    fn with<T>(
        &self,
        work: impl FnOnce(&mut dyn Offload) -> lacon_prompt::Result<T>,
    ) -> lacon_prompt::Result<T> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *inner {
            Kind::Memory(store) => work(store),
            Kind::File(store) => {
                let done = work(store);
                store.commit()?;
                done
            }
        }
    }
}

/// A store for one of several threads: each call is an operation of its own.
pub struct Shared<'s>(pub &'s Store);

impl Offload for Shared<'_> {
    fn put(&mut self, content: &str) -> Result<Handle, StoreError> {
        self.0.with(|store| store.put(content).map_err(Into::into)).map_err(medium)
    }

    fn get(&self, handle: &Handle) -> Result<Option<String>, StoreError> {
        self.0.with(|store| store.get(handle).map_err(Into::into)).map_err(medium)
    }
}

/// The store's own error back.
fn medium(error: lacon_prompt::Error) -> StoreError {
    match error {
        lacon_prompt::Error::Store(error) => error,
        other => StoreError::Medium(Box::new(other)),
    }
}
