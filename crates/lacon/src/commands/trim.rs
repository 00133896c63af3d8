//! `lacon trim`: trims messages or a text to a token budget.

use std::process::ExitCode;

use lacon_prompt::{
    offload::Store,
    trim::{TrimOptions, TrimmedText, is_request, trim_request, trim_text},
};
use lacon_tokens::Encoding;
use serde_json::{Value, json};

use super::prompt_input as input;
use crate::{args::prompt::TrimArgs, failure::Failure, text};

/// Runs the subcommand.
pub fn run(args: &TrimArgs) -> Result<ExitCode, Failure> {
    let encoding = input::encoding(&args.encoding)?;
    let source = input::read_text(args.file.as_deref())?;
    if is_request(&source) {
        return request_into(args, &source, encoding);
    }
    text_into(args, &source, encoding)
}

fn request_into(args: &TrimArgs, source: &str, encoding: &'static Encoding) -> Result<ExitCode, Failure> {
    let mut options = TrimOptions::new(args.tokens);
    options.pinned.clone_from(&args.pin);
    options.stride = args.stride;
    options.drop_first = args.drop_first;
    let mut lazy = input::store(&args.store);
    let store = args.offload.then_some(&mut lazy as &mut dyn Store);
    let trimmed = trim_request(source, &options, store, encoding).map_err(Failure::input)?;
    lazy.commit().map_err(Failure::input)?;
    if args.explain {
        text::note(&format!(
            "{} → {} tokens; rewritten: {:?}; cut: {:?}; dropped: {:?}",
            trimmed.tokens_before, trimmed.tokens_after, trimmed.reformed, trimmed.digested, trimmed.dropped
        ));
    }
    if args.json {
        // The request goes in as it is written, so that no number and no doubled member changes.
        let rest = json!({
            "tokens_before": trimmed.tokens_before,
            "tokens_after": trimmed.tokens_after,
            "reformed": trimmed.reformed,
            "digested": trimmed.digested,
            "dropped": trimmed.dropped,
        })
        .to_string();
        let request = trimmed.json.trim();
        // To the byte, as the request came.
        text::raw(format!("{{\"schema_version\":1,\"result\":{request},{}\n", &rest[1..]).as_bytes());
    } else if args.diff {
        let lines = |text: &str| {
            serde_json::from_str::<Value>(text).map_or_else(|_| text.to_owned(), |v| format!("{v:#}"))
        };
        input::write_raw(input::diff(&lines(source), &lines(&trimmed.json)).as_bytes())?;
    } else {
        input::write_raw(trimmed.json.as_bytes())?;
        if !trimmed.json.ends_with('\n') {
            input::write_raw(b"\n")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text_into(args: &TrimArgs, source: &str, encoding: &'static Encoding) -> Result<ExitCode, Failure> {
    let trimmed = trim_text(source, args.tokens, encoding).map_err(Failure::input)?;
    let TrimmedText { text: result, tokens_before: before, tokens_after: after, left_out, .. } = trimmed;
    if args.explain {
        text::note(&format!("{before} → {after} tokens; {left_out} tokens removed from the middle"));
    }
    if args.json {
        text::out(
            &json!({
                "schema_version": 1,
                "result": result,
                "tokens_before": before,
                "tokens_after": after,
                "left_out_tokens": left_out,
            })
            .to_string(),
        );
    } else if args.diff {
        input::write_raw(input::diff(source, &result).as_bytes())?;
    } else {
        input::write_raw(result.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}
