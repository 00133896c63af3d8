//! `lacon retrieve`: the content behind one marker.

use std::process::ExitCode;

use lacon_prompt::offload::{HANDLE_LEN, Handle, Store};
use serde_json::json;

use super::prompt_input::{self as input, LazyStore};
use crate::{args::prompt::RetrieveArgs, failure::Failure, text};

/// Runs the subcommand.
pub fn run(args: &RetrieveArgs) -> Result<ExitCode, Failure> {
    let handle = Handle::parse(&args.handle).ok_or_else(|| {
        Failure::input(format!(
            "{:?} is no handle\nhint: a handle is the {HANDLE_LEN} hex digits after ref= in a marker",
            args.handle
        ))
    })?;
    let content = LazyStore::new(&args.store).get(&handle).map_err(Failure::input)?.ok_or_else(|| {
        Failure::input(format!(
            "session {:?} of {} holds nothing as {handle}\nhint: use the --store and --session of the compression",
            args.store.session,
            args.store.store.display()
        ))
    })?;
    if args.json {
        text::out(&json!({"schema_version": 1, "handle": handle.as_str(), "content": content}).to_string());
    } else {
        input::write_raw(content.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}
