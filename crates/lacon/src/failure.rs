//! An error that ends the program: its message and exit code.

use lacon_agents::RunError;
use lacon_llm::ErrorKind;

/// Ran, but a gate said no.
pub const GATE: u8 = 1;
/// Usage, configuration or input.
pub const INPUT: u8 = 2;
/// Upstream or network.
pub const UPSTREAM: u8 = 3;
/// Authentication.
pub const AUTH: u8 = 4;
/// Waits for a person's leave; the run can be gone on with.
pub const APPROVAL: u8 = 5;
/// Stopped by the user.
pub const INTERRUPTED: u8 = 130;

/// What to say and how to exit.
#[derive(Debug)]
pub struct Failure {
    /// The message: lower case, with its hint on a line of its own.
    pub message: String,
    /// The exit code.
    pub code: u8,
}

impl Failure {
    /// Something about the user's input.
    pub fn input(message: impl ToString) -> Self {
        Self { message: message.to_string(), code: INPUT }
    }

    /// Something about a model call.
    pub fn model(message: impl ToString, kind: ErrorKind) -> Self {
        Self { message: message.to_string(), code: code_of(kind) }
    }
}

/// The exit code of a failed model call.
pub fn code_of(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Auth => AUTH,
        ErrorKind::InvalidRequest | ErrorKind::TapeMiss | ErrorKind::Io => INPUT,
        ErrorKind::Cancelled => GATE,
        _ => UPSTREAM,
    }
}

/// The exit code of a run of agents that gave no result.
pub fn code_of_run(error: &RunError) -> u8 {
    match error {
        RunError::Model { kind, .. } => code_of(*kind),
        RunError::Agent(_) => code_of(ErrorKind::Connect),
        RunError::NeedsApproval(_) => APPROVAL,
        RunError::Interrupted => INTERRUPTED,
        RunError::Deadline(_) | RunError::NoDecision { .. } | RunError::NoResult { .. } => GATE,
        _ => INPUT,
    }
}

impl From<lacon_files::Refusal> for Failure {
    fn from(refusal: lacon_files::Refusal) -> Self {
        Self::input(refusal)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::input(format!("{error:#}"))
    }
}
