//! `lacon expand`: gives back what `lacon compress` was given.

use std::process::ExitCode;

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
    let text = expanded(&source, &args.store)?;
    if args.json {
        text::out(&json!({"schema_version": 1, "text": text}).to_string());
    } else {
        input::write_raw(text.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a compressed text was made from; prints nothing.
pub(in crate::commands) fn expanded(source: &str, store: &StoreArgs) -> Result<String, Failure> {
    lacon_prompt::compress::expand(source, Some(&input::store(store))).map_err(Failure::input)
}
