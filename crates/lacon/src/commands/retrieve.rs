//! `lacon retrieve`: the content behind one marker.

use std::process::ExitCode;

use lacon_prompt::{Error, marker::retrieve, offload::Handle};
use serde_json::json;

use super::prompt_input as input;
use crate::{args::prompt::RetrieveArgs, failure::Failure, text};

/// Runs the subcommand.
pub fn run(args: &RetrieveArgs) -> Result<ExitCode, Failure> {
    let (handle, content) = retrieved(args)?;
    if args.json {
        text::out(&json!({"schema_version": 1, "handle": handle.as_str(), "content": content}).to_string());
    } else {
        input::write_raw(content.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The handle and what the store holds behind it, checked against its marker; prints nothing.
pub(in crate::commands) fn retrieved(args: &RetrieveArgs) -> Result<(Handle, String), Failure> {
    retrieve(&input::store(&args.store), &args.handle).map_err(|error| match error {
        Error::Missing { handle } => Failure::input(format!(
            "session {:?} of {} has no content for {handle}\nhint: use the --store and --session of the compression",
            args.store.session,
            args.store.store.display()
        )),
        Error::Changed { .. } => {
            Failure::input(format!("{error}, or pass only the handle to get the content"))
        }
        error => Failure::input(error),
    })
}
