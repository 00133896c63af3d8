//! The native half of the Python package `lacon`: converts, releases the interpreter, calls the library, converts back.
//!
//! What the package offers is listed in `python/lacon/__init__.py`; `_native.pyi` beside it types what is here.

mod arrow;
mod convert;
mod encoding;
mod errors;
mod prompt;
mod store;
mod tokenizer;
mod tokens;
mod work;

use pyo3::prelude::*;

/// The native half of `lacon`; use the names of the package.
#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use crate::arrow::{ArrowBatch, ArrowStream, ArrowWork};
    #[pymodule_export]
    use crate::encoding::{
        Encoding, encoding_for_model, get_encoding, list_encoding_names, loaded_encodings,
    };
    #[pymodule_export]
    use crate::prompt::{Compressed, Trimmed, compress, compress_batch, expand, trim};
    #[pymodule_export]
    use crate::store::Store;
    #[pymodule_export]
    use crate::tokenizer::{Tokenizer, add_models};
    #[pymodule_export]
    use crate::tokens::{
        Cancel, Estimate, RequestCount, count, count_batch, count_cancellable, count_messages, decode,
        decode_bytes, encode, encode_batch, estimate, exceeds, split, truncate,
    };

    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
