//! The signals that ask the program to stop: Ctrl-C, and SIGTERM, which service managers and containers send.

#[cfg(unix)]
use futures_util::future::{Either, select};

use crate::failure::INTERRUPTED;

/// Waits for a signal to stop. Without a handler the signal kills the process, which is then the right thing to happen.
pub async fn stop() {
    Signals::new().next().await;
}

/// Signals to stop, from the moment that this was made.
#[cfg(unix)]
pub struct Signals(Option<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)>);

#[cfg(unix)]
impl Signals {
    pub fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self(signal(SignalKind::terminate()).ok().zip(signal(SignalKind::interrupt()).ok()))
    }

    /// Waits for the next one and gives the exit code for it.
    pub async fn next(&mut self) -> u8 {
        let Some((terminate, interrupt)) = &mut self.0 else { return std::future::pending().await };
        let (terminate, interrupt) = (std::pin::pin!(terminate.recv()), std::pin::pin!(interrupt.recv()));
        match select(terminate, interrupt).await {
            Either::Left(_) => 0,
            Either::Right(_) => INTERRUPTED,
        }
    }
}

/// Signals to stop.
#[cfg(not(unix))]
pub struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub fn new() -> Self {
        Self
    }

    /// Waits for the next one and gives the exit code for it.
    pub async fn next(&mut self) -> u8 {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        INTERRUPTED
    }
}
