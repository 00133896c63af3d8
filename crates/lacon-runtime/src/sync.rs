//! What threads share. Under `--cfg shuttle` a scheduler says who runs next, so that tests meet orders that seldom happen
//! (`cargo xtask shuttle`).

#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic};
