//! Work without the interpreter's lock, and never a panic beyond this crate.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors;

/// Below so many bytes, giving the lock back costs more than others gain by it.
const WORTH_RELEASE: usize = 4 << 10;

/// Runs work on so many bytes, without the interpreter's lock where they are many. A panic becomes an `InternalError`, which
/// `except Exception` catches, unlike PyO3's own.
pub fn run<T: Send>(py: Python<'_>, n_bytes: usize, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    let guarded = move || catch_unwind(AssertUnwindSafe(work));
    let done = if n_bytes < WORTH_RELEASE { guarded() } else { py.detach(guarded) };
    done.map_err(|panic| errors::bug(&*panic))
}

/// As [`run`], and its error becomes an exception.
pub fn attempt<T: Send, E: Send>(
    py: Python<'_>,
    n_bytes: usize,
    work: impl FnOnce() -> Result<T, E> + Send,
    exception: impl FnOnce(E) -> PyErr,
) -> PyResult<T> {
    run(py, n_bytes, work)?.map_err(exception)
}

/// Threads as the caller wants them; one per processor when it does not say.
pub fn threads(wanted: Option<usize>) -> PyResult<NonZeroUsize> {
    match wanted {
        Some(n) => NonZeroUsize::new(n).ok_or_else(|| {
            PyValueError::new_err(
                "num_threads is 0, at least 1 is needed\nhint: leave it out for one per processor",
            )
        }),
        None => Ok(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
    }
}
