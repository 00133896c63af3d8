//! `lacon trim`: fits messages or a text into a number of tokens.

use std::process::ExitCode;

use lacon_prompt::{
    offload::Store,
    trim::{TrimOptions, TrimmedText, trim_text, trim_with_store},
};
use lacon_tokens::Encoding;
use serde_json::{Value, json};

use super::prompt_input as input;
use crate::{args::prompt::TrimArgs, failure::Failure, text};

/// Runs the subcommand.
pub fn run(args: &TrimArgs) -> Result<ExitCode, Failure> {
    let encoding = input::encoding(&args.encoding)?;
    let source = input::read_text(args.file.as_deref())?;
    match serde_json::from_str::<Value>(&source) {
        Ok(Value::Array(messages)) if looks_like_messages(&messages) => {
            messages_into(args, &source, messages, None, encoding)
        }
        Ok(Value::Object(mut request)) if matches!(request.get("messages"), Some(Value::Array(_))) => {
            let Some(Value::Array(messages)) = request.remove("messages") else {
                return Ok(ExitCode::SUCCESS);
            };
            messages_into(args, &source, messages, Some(request), encoding)
        }
        _ => text_into(args, &source, encoding),
    }
}

fn looks_like_messages(items: &[Value]) -> bool {
    !items.is_empty() && items.iter().any(|item| item.get("role").is_some())
}

fn messages_into(
    args: &TrimArgs,
    source: &str,
    messages: Vec<Value>,
    request: Option<serde_json::Map<String, Value>>,
    encoding: &'static Encoding,
) -> Result<ExitCode, Failure> {
    let mut options = TrimOptions::new(args.tokens);
    options.pinned.clone_from(&args.pin);
    options.stride = args.stride;
    options.drop_first = args.drop_first;
    let tools = request.as_ref().and_then(|request| request.get("tools")).and_then(Value::as_array);
    options.tool_tokens = tools.map_or(0, |tools| encoding.count(&lacon_tokens::tools_text(tools)));
    let mut lazy = input::store(&args.store);
    let store = args.offload.then_some(&mut lazy as &mut dyn Store);
    let trimmed = trim_with_store(&messages, &options, store, encoding).map_err(Failure::input)?;
    lazy.commit().map_err(Failure::input)?;
    if args.explain {
        text::note(&format!(
            "{} → {} tokens; other form: {:?}; only values left: {:?}; left out: {:?}",
            trimmed.tokens_before, trimmed.tokens_after, trimmed.reformed, trimmed.digested, trimmed.dropped
        ));
    }
    let result = match request {
        Some(mut request) => {
            request.insert("messages".to_owned(), Value::Array(trimmed.messages));
            Value::Object(request)
        }
        None => Value::Array(trimmed.messages),
    };
    if args.json {
        text::out(
            &json!({
                "schema_version": 1,
                "result": result,
                "tokens_before": trimmed.tokens_before,
                "tokens_after": trimmed.tokens_after,
                "reformed": trimmed.reformed,
                "digested": trimmed.digested,
                "dropped": trimmed.dropped,
            })
            .to_string(),
        );
    } else if args.diff {
        let lines = |text: &str| {
            serde_json::from_str::<Value>(text).map_or_else(|_| text.to_owned(), |v| format!("{v:#}"))
        };
        input::write_raw(input::diff(&lines(source), &format!("{result:#}")).as_bytes())?;
    } else {
        text::out(&result.to_string());
    }
    Ok(ExitCode::SUCCESS)
}

fn text_into(args: &TrimArgs, source: &str, encoding: &'static Encoding) -> Result<ExitCode, Failure> {
    let trimmed = trim_text(source, args.tokens, encoding).map_err(Failure::input)?;
    let TrimmedText { text: result, tokens_before: before, tokens_after: after, left_out, .. } = trimmed;
    if args.explain {
        text::note(&format!("{before} → {after} tokens; {left_out} tokens left out of the middle"));
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
