//! Columns of texts: a record batch in, one out. `python/lacon/arrow.py` types what users call.

mod capsule;

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use arrow_array::ffi_stream::RecordBatchStreamReader;
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use lacon_prompt::arrow::{Error, Task, Work};
use lacon_tokens::for_model;
use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};

use crate::encoding::chosen;
use crate::prompt::Settings;
use crate::tokens::side;
use crate::work;
use capsule::{Given, Made};

/// Something to be done to each text of a column.
#[pyclass(frozen, module = "lacon._native")]
pub struct ArrowWork(Work);

#[pymethods]
impl ArrowWork {
    #[staticmethod]
    fn count(encoding: Option<&str>, model: Option<&str>) -> PyResult<Self> {
        Ok(Self(Work::Count(chosen(encoding, model)?)))
    }

    #[staticmethod]
    fn count_messages(model: &str) -> Self {
        Self(Work::CountMessages(for_model(model)))
    }

    #[staticmethod]
    fn encode(encoding: Option<&str>, model: Option<&str>) -> PyResult<Self> {
        Ok(Self(Work::Encode(chosen(encoding, model)?)))
    }

    #[staticmethod]
    fn truncate(most: usize, side: &str, encoding: Option<&str>, model: Option<&str>) -> PyResult<Self> {
        Ok(Self(Work::Truncate(chosen(encoding, model)?, most, self::side(side)?)))
    }

    #[staticmethod]
    fn chunk(most: usize, encoding: Option<&str>, model: Option<&str>) -> PyResult<Self> {
        Ok(Self(Work::Chunk(chosen(encoding, model)?, most)))
    }

    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn compress(
        policy: &str,
        budget: Option<usize>,
        query: String,
        ratio: Option<f64>,
        disable: Vec<String>,
        enable: Vec<String>,
        encoding: Option<&str>,
        model: Option<&str>,
    ) -> PyResult<Self> {
        let no_store = Settings::read(
            Some(policy),
            budget,
            false,
            query,
            ratio,
            &disable,
            &enable,
            false,
            false,
            Vec::new(),
            false,
            false,
            encoding,
            model,
        )?;
        Ok(Self(no_store.column()))
    }

    #[staticmethod]
    fn expand() -> Self {
        Self(Work::Expand)
    }

    #[staticmethod]
    fn trim(most: usize, messages: bool, encoding: Option<&str>, model: Option<&str>) -> PyResult<Self> {
        Ok(Self(Work::Trim { encoding: chosen(encoding, model)?, max_tokens: most, messages }))
    }

    /// The batch or the batches of a source with one more column. `lazy` leaves the batches of a stream to whoever reads them.
    #[expect(clippy::too_many_arguments, reason = "the keyword arguments of functions in Python")]
    fn apply<'py>(
        &self,
        py: Python<'py>,
        source: &Bound<'py, PyAny>,
        column: String,
        out: String,
        errors: Option<String>,
        num_threads: Option<usize>,
        lazy: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let task = Task { work: self.0.clone(), column, out, errors };
        let threads = work::threads(num_threads)?;
        match capsule::take(source)? {
            Given::Batch(batch) => {
                let done = work::attempt(
                    py,
                    batch.get_array_memory_size(),
                    || task.apply(&batch, threads),
                    of_arrow,
                )?;
                Ok(Py::new(py, ArrowBatch(done))?.into_bound(py).into_any())
            }
            Given::Stream(stream) => {
                let schema = task.schema(&stream.schema()).map_err(of_arrow)?;
                let batches = Working { stream, task, threads, schema };
                let made: Box<dyn RecordBatchReader + Send> = match lazy {
                    true => Box::new(batches),
                    false => {
                        let schema = batches.schema();
                        let all =
                            work::attempt(py, usize::MAX, || batches.collect::<Result<Vec<_>, _>>(), inner)?;
                        Box::new(Made { schema, batches: all.into_iter() })
                    }
                };
                let stream = ArrowStream { schema: made.schema(), batches: Mutex::new(Some(made)) };
                Ok(Py::new(py, stream)?.into_bound(py).into_any())
            }
        }
    }
}

/// The batches of a stream, each worked on when it is asked for.
struct Working {
    stream: RecordBatchStreamReader,
    task: Task,
    threads: NonZeroUsize,
    schema: SchemaRef,
}

impl Iterator for Working {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.stream.next()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        // The caller may be a function of C, which no panic may pass.
        let done = catch_unwind(AssertUnwindSafe(|| self.task.apply(&batch, self.threads)));
        let bug = || ArrowError::ComputeError("a bug ended the work".to_owned());
        Some(
            done.map_err(|_| bug())
                .and_then(|done| done.map_err(|error| ArrowError::ExternalError(Box::new(error)))),
        )
    }
}

impl RecordBatchReader for Working {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

fn of_arrow(error: Error) -> PyErr {
    let said = error.to_string();
    match error {
        Error::Column { .. } => PyKeyError::new_err(said),
        Error::NotText { .. } => PyTypeError::new_err(said),
        _ => PyValueError::new_err(said),
    }
}

/// The error of a batch in a stream: ours, or the producer's.
fn inner(error: ArrowError) -> PyErr {
    match error {
        ArrowError::ExternalError(error) => match error.downcast::<Error>() {
            Ok(error) => of_arrow(*error),
            Err(error) => PyValueError::new_err(error.to_string()),
        },
        error => capsule::wrong(error),
    }
}

/// A record batch for any library that reads Arrow's capsules.
#[pyclass(frozen, module = "lacon._native")]
pub struct ArrowBatch(RecordBatch);

#[pymethods]
impl ArrowBatch {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        // Another type is a wish that a producer may leave to the consumer.
        let _ = requested_schema;
        capsule::of_batch(py, &self.0)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        capsule::of_schema(py, self.0.schema_ref())
    }

    fn __len__(&self) -> usize {
        self.0.num_rows()
    }
}

/// Record batches for any library that reads Arrow's capsules, once.
#[pyclass(frozen, module = "lacon._native")]
pub struct ArrowStream {
    schema: SchemaRef,
    batches: Mutex<Option<Box<dyn RecordBatchReader + Send>>>,
}

#[pymethods]
impl ArrowStream {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema;
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner).take();
        capsule::of_stream(py, batches.ok_or_else(|| PyValueError::new_err("the stream was read already"))?)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        capsule::of_schema(py, &self.schema)
    }
}
