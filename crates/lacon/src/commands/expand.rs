//! `lacon expand`: restores the input of `lacon compress`.

use std::process::ExitCode;

use lacon_prompt::compress::{Budget, expand_within};
use serde_json::json;

use super::prompt_input::{self as input, Input};
use crate::{
    args::prompt::{ExpandArgs, StoreArgs},
    failure::Failure,
    text,
};

/// Runs the subcommand.
pub fn run(args: &ExpandArgs) -> Result<ExitCode, Failure> {
    let source = match input::read(args.file.as_deref())? {
        Input::Text(source) => source,
        Input::Other { head, rest, why } => {
            input::pass_through(&head, rest, &why)?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let text = expanded(&source, &args.store, args.max_size)?;
    if args.json {
        text::out(&json!({"schema_version": 1, "text": text}).to_string());
    } else {
        input::write_raw(text.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a compressed text was made from, in so many bytes at most; prints nothing.
pub(in crate::commands) fn expanded(
    source: &str,
    store: &StoreArgs,
    most: Option<usize>,
) -> Result<String, Failure> {
    let budget = most.map_or_else(|| Budget::untrusted(source.len()), Budget::of_size);
    expand_within(source, Some(&input::store(store)), budget).map_err(Failure::input)
}
