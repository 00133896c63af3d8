//! State shared by threads. Under `--cfg shuttle` a scheduler decides who runs next, so that tests try rare thread
//! orders (`cargo xtask shuttle`).

#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic};
