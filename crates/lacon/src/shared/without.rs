//! The build in which runs share nothing: naming a server is an error that says what to build.

use std::sync::Arc;

use lacon_agents::Team;
use lacon_market::vendor;
use lacon_runtime::{Config, Elsewhere, ToolSource};
use lacon_tokens::Learned;

use crate::failure::Failure;

type Shared = Result<Option<Arc<dyn Elsewhere>>, Failure>;

fn none(config: &Config) -> Result<(), Failure> {
    match config.text("run.shared") {
        "" => Ok(()),
        _ => Err(Failure::input(
            "run.shared: this build of lacon shares nothing\nhint: build it with --features shared",
        )),
    }
}

pub fn of_team(config: &Config, _: &Team) -> Shared {
    none(config).map(|()| None)
}

pub fn of_source(config: &Config, _: &dyn ToolSource, _: Vec<String>) -> Shared {
    none(config).map(|()| None)
}

pub fn of_vendors(config: &Config) -> Result<Option<Arc<dyn vendor::Elsewhere>>, Failure> {
    none(config).map(|()| None)
}

pub fn learned(_: &Config) -> Option<Vec<Learned>> {
    None
}

pub fn learn(_: &Config) -> Option<Vec<Learned>> {
    None
}

pub fn forget(config: &Config) -> Result<(), Failure> {
    none(config)
}
