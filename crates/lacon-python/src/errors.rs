//! What can go wrong, as exceptions; their classes are written in `python/lacon/errors.py`.

use std::any::Any;

use lacon_prompt::offload::StoreError as Offload;
use pyo3::PyErr;
use pyo3::exceptions::PyValueError;

/// The classes of `lacon.errors`, imported when the first one is raised.
mod classes {
    use pyo3::import_exception;

    import_exception!(lacon.errors, LaconError);
    import_exception!(lacon.errors, UnknownEncodingError);
    import_exception!(lacon.errors, UnknownTokenError);
    import_exception!(lacon.errors, ModelError);
    import_exception!(lacon.errors, BudgetError);
    import_exception!(lacon.errors, MessageError);
    import_exception!(lacon.errors, DamagedError);
    import_exception!(lacon.errors, MissingError);
    import_exception!(lacon.errors, StoreError);
    import_exception!(lacon.errors, StoreFullError);
    import_exception!(lacon.errors, InternalError);
}

/// A panic, which is a bug of ours.
pub fn bug(panic: &(dyn Any + Send)) -> PyErr {
    let said = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    classes::InternalError::new_err(format!("a bug ended the work: {said}"))
}

/// An error of `lacon-tokens`.
pub fn of_tokens(error: lacon_tokens::Error) -> PyErr {
    use lacon_tokens::Error;
    let message = error.to_string();
    match error {
        Error::UnknownEncoding { .. } => classes::UnknownEncodingError::new_err(message),
        Error::UnknownToken { id, .. } => classes::UnknownTokenError::new_err((message, id)),
        _ => PyValueError::new_err(message),
    }
}

/// An error of `lacon-prompt`.
pub fn of_prompt(error: lacon_prompt::Error) -> PyErr {
    use lacon_prompt::Error;
    let message = error.to_string();
    match error {
        Error::Damaged { at, .. } => classes::DamagedError::new_err((message, at)),
        Error::Changed { .. } => classes::DamagedError::new_err(message),
        Error::Missing { handle } => classes::MissingError::new_err((message, handle.to_string())),
        Error::Store(Offload::Full { .. }) => classes::StoreFullError::new_err(message),
        Error::Store(_) => classes::StoreError::new_err(message),
        Error::OverBudget { minimum, budget, .. } | Error::Uncuttable { minimum, budget } => {
            classes::BudgetError::new_err((message, minimum, budget))
        }
        Error::TooLong { tokens, budget } => classes::BudgetError::new_err((message, tokens, budget)),
        Error::BadMessage { index, .. } => classes::MessageError::new_err((message, index)),
        Error::BadShare { .. }
        | Error::UnknownPass { .. }
        | Error::NoHandle { .. }
        | Error::NoText { .. } => PyValueError::new_err(message),
        _ => classes::LaconError::new_err(message),
    }
}

/// A model whose counts would be no exact ones.
pub fn inexact(model: &str, why: &str) -> PyErr {
    let why = why.lines().next().unwrap_or_default();
    classes::ModelError::new_err((
        format!("{why}\nhint: lacon.estimate(text, {model:?}) gives a marked estimate; or name the encoding"),
        model.to_owned(),
    ))
}

/// A literal of a special token that was not allowed, as tiktoken's `ValueError`.
pub fn disallowed(token: &str, at: usize) -> PyErr {
    PyValueError::new_err(format!(
        "text holds the disallowed special token {token:?} at character {at}\nhint: allowed_special={{{token:?}}} encodes it as \
         its id, disallowed_special=() as ordinary text"
    ))
}
