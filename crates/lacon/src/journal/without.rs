//! The build without a journal for many machines: naming one is an error that says what to build.

use std::sync::Arc;

use lacon_runtime::{Config, Keep};
use serde_json::Value;

use crate::failure::Failure;

/// What a claim finds.
#[expect(dead_code, reason = "nothing is ever claimed")]
pub enum Claimed {
    Ours(Held),
    Ended(String),
}

/// A run that is ours.
pub struct Held {
    pub lines: String,
    none: std::convert::Infallible,
}

impl Held {
    pub fn keep(&self) -> Arc<dyn Keep> {
        match self.none {}
    }

    pub fn lost(&self) -> std::future::Ready<()> {
        match self.none {}
    }

    pub fn end(self, _: Option<&Value>) -> Result<(), Failure> {
        match self.none {}
    }
}

/// Refuses a journal that the settings name.
pub fn claim(config: &Config, _: &str, _: bool) -> Result<Option<Claimed>, Failure> {
    if config.text("run.journal_at").is_empty() {
        return Ok(None);
    }
    Err(Failure::input(
        "--journal: this build of lacon keeps journals in folders alone\nhint: build it with --features postgres or --features stores",
    ))
}
