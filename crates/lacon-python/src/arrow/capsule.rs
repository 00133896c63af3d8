//! Arrow data between libraries of one process, by the PyCapsule interface: no byte of a column is copied.
//!
//! This is the only file of the crate with `unsafe`: a capsule holds a pointer to what another library made. Its name says of
//! what, and moving the content out leaves nothing behind that could be freed twice.

use arrow_array::ffi::{FFI_ArrowArray, from_ffi};
use arrow_array::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow_array::{Array, RecordBatch, RecordBatchOptions, RecordBatchReader, StructArray};
use arrow_schema::ffi::FFI_ArrowSchema;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};

/// What the caller gave.
pub enum Given {
    /// One batch.
    Batch(RecordBatch),
    /// Batches that are made when they are asked for.
    Stream(RecordBatchStreamReader),
}

pub fn wrong(error: ArrowError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// Takes a batch or a stream of batches out of any object that offers one.
pub fn take(source: &Bound<'_, PyAny>) -> PyResult<Given> {
    if source.hasattr("__arrow_c_array__")? {
        let pair = source.call_method0("__arrow_c_array__")?.cast_into::<PyTuple>()?;
        let (schema, array) = (pair.get_item(0)?.cast_into()?, pair.get_item(1)?.cast_into()?);
        return Ok(Given::Batch(batch(&schema, &array)?));
    }
    if source.hasattr("__arrow_c_stream__")? {
        let capsule = source.call_method0("__arrow_c_stream__")?.cast_into::<PyCapsule>()?;
        return Ok(Given::Stream(stream(&capsule)?));
    }
    let kind = source.get_type().name()?;
    Err(PyTypeError::new_err(format!(
        "source is a {kind}, a record batch is needed\nhint: pass what has __arrow_c_array__ or __arrow_c_stream__: tables of \
         pyarrow, polars, pandas, DataFusion"
    )))
}

#[expect(unsafe_code, reason = "the pointers of capsules whose names say what they point at")]
fn batch(schema: &Bound<'_, PyCapsule>, array: &Bound<'_, PyCapsule>) -> PyResult<RecordBatch> {
    let schema = schema.pointer_checked(Some(c"arrow_schema"))?.cast::<FFI_ArrowSchema>();
    let array = array.pointer_checked(Some(c"arrow_array"))?.cast::<FFI_ArrowArray>();
    // SAFETY: a capsule of this name holds a valid struct that is ours to move out of, once.
    let (schema, array) =
        unsafe { (FFI_ArrowSchema::from_raw(schema.as_ptr()), FFI_ArrowArray::from_raw(array.as_ptr())) };
    let field = Field::try_from(&schema).map_err(wrong)?;
    let DataType::Struct(fields) = field.data_type() else {
        let kind = field.data_type();
        return Err(PyTypeError::new_err(format!(
            "source is a column of {kind}, a record batch is needed\nhint: pyarrow.record_batch([column], names=[\"text\"])"
        )));
    };
    // SAFETY: the array agrees with the schema that the same call gave. Texts are checked before they are read as such.
    let data = unsafe { from_ffi(array, &schema) }.map_err(wrong)?;
    let rows = RecordBatchOptions::new().with_row_count(Some(data.len()));
    let schema = Schema::new_with_metadata(fields.clone(), field.metadata().clone());
    let columns = StructArray::from(data).into_parts().1;
    RecordBatch::try_new_with_options(schema.into(), columns, &rows).map_err(wrong)
}

#[expect(unsafe_code, reason = "the pointer of a capsule whose name says what it points at")]
fn stream(capsule: &Bound<'_, PyCapsule>) -> PyResult<RecordBatchStreamReader> {
    let stream = capsule.pointer_checked(Some(c"arrow_array_stream"))?.cast::<FFI_ArrowArrayStream>();
    // SAFETY: as above.
    unsafe { RecordBatchStreamReader::from_raw(stream.as_ptr()) }.map_err(wrong)
}

/// A schema as a capsule.
pub fn of_schema<'py>(py: Python<'py>, schema: &Schema) -> PyResult<Bound<'py, PyCapsule>> {
    let schema = FFI_ArrowSchema::try_from(schema).map_err(wrong)?;
    PyCapsule::new_with_value(py, schema, c"arrow_schema")
}

/// A batch as a pair of capsules.
pub fn of_batch<'py>(py: Python<'py>, batch: &RecordBatch) -> PyResult<Bound<'py, PyTuple>> {
    let schema = of_schema(py, batch.schema_ref())?;
    let array = FFI_ArrowArray::new(&StructArray::from(batch.clone()).to_data());
    (schema, PyCapsule::new_with_value(py, array, c"arrow_array")?).into_pyobject(py)
}

/// Batches as a capsule.
pub fn of_stream(
    py: Python<'_>,
    batches: Box<dyn RecordBatchReader + Send>,
) -> PyResult<Bound<'_, PyCapsule>> {
    PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(batches), c"arrow_array_stream")
}

/// Batches that were made already, as a reader.
pub struct Made {
    pub schema: SchemaRef,
    pub batches: std::vec::IntoIter<RecordBatch>,
}

impl Iterator for Made {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batches.next().map(Ok)
    }
}

impl RecordBatchReader for Made {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
