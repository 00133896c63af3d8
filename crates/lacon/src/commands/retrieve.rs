//! `lacon retrieve`: the content behind one marker.

use std::process::ExitCode;

use lacon_prompt::{
    marker::Marker,
    offload::{HANDLE_LEN, Handle, Store},
};
use serde_json::json;

use super::prompt_input::{self as input, LazyStore};
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
    let marker = Marker::parse(&args.handle);
    let handle = marker.as_ref().map(|marker| marker.handle.clone()).or_else(|| Handle::parse(&args.handle));
    let handle = handle.ok_or_else(|| {
        Failure::input(format!(
            "{:?} is no handle\nhint: pass a marker, or the {HANDLE_LEN} hex digits after its ref=",
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
    if let Some(Err(what)) = marker.map(|marker| marker.check(&content)) {
        return Err(Failure::input(format!(
            "stored content of ref={handle} has {what} than its marker says\nhint: the marker was edited; pass the handle alone to have the content"
        )));
    }
    Ok((handle, content))
}
