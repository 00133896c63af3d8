//! `lacon trim`: fits messages or a text into a number of tokens.

use std::process::ExitCode;

use lacon_prompt::{
    compress::{Options, compress},
    offload::Store,
    trim::{TrimOptions, trim_with_store},
};
use lacon_tokens::{Encoding, Side};
use serde_json::{Value, json};

use super::prompt_input::{self as input, LazyStore};
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
    let mut lazy = LazyStore::new(&args.store);
    let store = args.offload.then_some(&mut lazy as &mut dyn Store);
    let trimmed = trim_with_store(&messages, &options, store, encoding).map_err(Failure::input)?;
    lazy.finish()?;
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
    let before = encoding.count(source);
    let short = compress(source, Options::default(), None, encoding).map_err(Failure::input)?;
    let (result, left_out) = if before <= args.tokens {
        (source.to_owned(), 0)
    } else if short.tokens_after <= args.tokens {
        (short.text, 0)
    } else {
        cut(source, args.tokens, encoding)?
    };
    let after = encoding.count(&result);
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

/// The start and the end of a text, whole lines of both, and between them a line that says what is missing.
fn cut(source: &str, tokens: usize, encoding: &Encoding) -> Result<(String, usize), Failure> {
    let before = encoding.count(source);
    let mark = |n: usize| format!("[… {n} tokens left out …]\n");
    // Seams may cost a token or two more than their sides; the loop takes them off again.
    let mut room = tokens.saturating_sub(encoding.count(&mark(before)) + 1);
    loop {
        if room < 2 {
            let least = encoding.count(&mark(before)) + 3;
            return Err(Failure::input(format!(
                "text needs at least {least} tokens to be cut, the budget is {tokens}\nhint: raise --tokens"
            )));
        }
        let head = encoding.truncate(source, room * 7 / 10, Side::Back);
        let tail = encoding.truncate(source, room - room * 7 / 10, Side::Front);
        let head = head.rfind('\n').filter(|i| i * 2 > head.len()).map_or(&*head, |i| &head[..=i]);
        let tail = tail.find('\n').filter(|i| i * 2 < tail.len()).map_or(&*tail, |i| &tail[i + 1..]);
        let left_out = before.saturating_sub(encoding.count(head) + encoding.count(tail));
        let seam = if head.ends_with('\n') { "" } else { "\n" };
        let result = format!("{head}{seam}{}{tail}", mark(left_out));
        if encoding.count(&result) <= tokens {
            return Ok((result, left_out));
        }
        room -= 1;
    }
}
