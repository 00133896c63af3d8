//! State shared by threads. Under `--cfg shuttle` a scheduler decides who runs next, so that tests try rare thread
//! orders (`cargo xtask shuttle`).

#[cfg(not(shuttle))]
pub(crate) use std::sync::{OnceLock, atomic};

#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic;
#[cfg(shuttle)]
pub(crate) use shuttled::OnceLock;

#[cfg(shuttle)]
mod shuttled {
    /// The standard's cell, with a change of threads before each use: shuttle has none of its own. An initialiser
    /// must not change threads.
    #[derive(Debug)]
    pub(crate) struct OnceLock<T>(std::sync::OnceLock<T>);

    impl<T> OnceLock<T> {
        pub(crate) const fn new() -> Self {
            Self(std::sync::OnceLock::new())
        }

        pub(crate) fn get(&self) -> Option<&T> {
            shuttle::thread::yield_now();
            self.0.get()
        }

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            shuttle::thread::yield_now();
            self.0.set(value)
        }

        pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
            shuttle::thread::yield_now();
            self.0.get_or_init(make)
        }
    }
}
