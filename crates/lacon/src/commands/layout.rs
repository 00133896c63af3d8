//! `lacon layout`: where requests differ, what a provider's cache reuses, and what a shared prefix would save.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use lacon_prompt::{
    layout::{
        CacheProfile, Predicted, first_difference, net_saving, predict, refer, shared_first, volatile_last,
    },
    prompt::{Message, Prompt, Role, Segment, ToolCall},
};
use lacon_tokens::Encoding;
use serde_json::{Value, json};

use super::prompt_input as input;
use crate::{
    args::prompt::{CacheRules, LayoutArgs},
    failure::Failure,
    text,
};

/// Runs the subcommand.
pub fn run(args: &LayoutArgs) -> Result<ExitCode, Failure> {
    let encoding = input::encoding(&args.encoding)?;
    let mut requests: Vec<(String, Prompt)> = Vec::new();
    let mut sources: Vec<String> = Vec::new();
    for file in &args.files {
        let source = input::read_text(Some(file))?;
        let name = file.display().to_string();
        if file == Path::new("-") || file.extension().is_some_and(|e| e == "jsonl") {
            for (i, line) in source.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                let name = format!("{name}:{}", i + 1);
                requests.push((name.clone(), prompt_of(&name, line)?));
                sources.push(line.to_owned());
            }
        } else {
            requests.push((name.clone(), prompt_of(&name, &source)?));
            sources.push(source);
        }
    }
    let profile = match args.provider {
        CacheRules::Openai => CacheProfile::OPENAI,
        CacheRules::Anthropic => CacheProfile::ANTHROPIC,
    };
    let prompts: Vec<Prompt> = requests.iter().map(|(_, prompt)| prompt.clone()).collect();
    let now = predict(&prompts, profile, encoding);
    let laid_out = lay_out(args, &prompts, encoding)?;
    let moved = predict(&laid_out.prompts, profile, encoding);
    if let Some(folder) = &args.out {
        write_all(folder, &laid_out.prompts, &sources, &args.files)?;
    }
    let parts: Vec<_> = prompts.windows(2).map(|pair| first_difference(&pair[0], &pair[1])).collect();
    let saving = net_saving(&now, &moved);
    if args.json {
        let list = |predicted: &[Predicted]| -> Vec<Value> {
            predicted
                .iter()
                .map(|p| json!({"prompt": p.prompt, "cached": p.cached, "cost_tokens": p.cost_permille as f64 / 1e3}))
                .collect()
        };
        let parts: Vec<Value> = parts
            .iter()
            .map(|part| match part {
                Some(d) => json!({"byte": d.byte, "owner": d.owner, "message": d.message, "left": d.left, "right": d.right}),
                None => Value::Null,
            })
            .collect();
        let names: Vec<&str> = requests.iter().map(|(name, _)| name.as_str()).collect();
        text::out(
            &json!({
                "schema_version": 1,
                "requests": names,
                "first_difference": parts,
                "as_sent": list(&now),
                "shared_first": list(&moved),
                "net_saving_tokens": saving as f64 / 1e3,
                "volatile_lines": laid_out.volatile,
                "referred_tokens": laid_out.referred,
            })
            .to_string(),
        );
        return Ok(ExitCode::SUCCESS);
    }
    for (i, (name, _)) in requests.iter().enumerate() {
        text::out(&format!(
            "{name}: {} tokens, {} from the cache; shared material first: {} from the cache",
            now[i].prompt, now[i].cached, moved[i].cached
        ));
        if let Some(part) = parts.get(i) {
            text::out(&match part {
                Some(d) => format!(
                    "  differs from the next at byte {}, in {}: {:?} | {:?}",
                    d.byte, d.owner, d.left, d.right
                ),
                None => "  one starts with all of the other".to_owned(),
            });
        }
    }
    for line in &laid_out.volatile {
        text::out(&format!("  moved to the end: {line}"));
    }
    if laid_out.referred > 0 {
        text::out(&format!("  {} tokens of an earlier request became markers", laid_out.referred));
    }
    let cost = |list: &[Predicted]| list.iter().map(|p| p.cost_permille).sum::<u64>() as f64 / 1e3;
    text::out(&format!(
        "effective input: {:.0} tokens as sent, {:.0} with shared material first ({:+.1} %)",
        cost(&now),
        cost(&moved),
        -100.0 * (saving as f64 / 1e3) / cost(&now).max(1.0)
    ));
    Ok(ExitCode::SUCCESS)
}

/// The requests in their new order, and what was done beyond it.
struct LaidOut {
    prompts: Vec<Prompt>,
    volatile: Vec<String>,
    referred: usize,
}

fn lay_out(args: &LayoutArgs, prompts: &[Prompt], encoding: &Encoding) -> Result<LaidOut, Failure> {
    let mut volatile = Vec::new();
    let mut prompts = prompts.to_vec();
    if args.volatile_last {
        for prompt in &mut prompts {
            let (moved, lines) = volatile_last(prompt);
            *prompt = moved;
            volatile.extend(lines.into_iter().map(|moved| moved.line.trim().to_owned()));
        }
    }
    prompts = shared_first(&prompts);
    let mut referred = 0;
    if let Some(far) = args.refer.iter().find(|i| **i >= prompts.len()) {
        return Err(Failure::input(format!(
            "--refer names request {far}, there are {}\nhint: requests are counted from 0",
            prompts.len()
        )));
    }
    if !args.refer.is_empty() {
        let can: Vec<bool> = (0..prompts.len()).map(|i| args.refer.contains(&i)).collect();
        let mut store = input::store(&args.store);
        let (short, references) = refer(&prompts, &can, &mut store, encoding).map_err(Failure::input)?;
        store.commit().map_err(Failure::input)?;
        referred = references.iter().map(|reference| reference.saved).sum();
        prompts = short;
    }
    Ok(LaidOut { prompts, volatile, referred })
}

/// Writes each request as it came, with its messages and tools in the new layout.
fn write_all(
    folder: &Path,
    prompts: &[Prompt],
    sources: &[String],
    inputs: &[PathBuf],
) -> Result<(), Failure> {
    let inputs = || inputs.iter().map(PathBuf::as_path);
    let path = |i: usize| folder.join(format!("{i:03}.json"));
    // All are checked before the first is written.
    (0..prompts.len()).try_for_each(|i| lacon_files::check(&path(i), inputs()))?;
    for (i, (prompt, source)) in prompts.iter().zip(sources).enumerate() {
        let request: Value = serde_json::from_str(source).map_err(Failure::input)?;
        lacon_files::write(
            &path(i),
            request_of(request, prompt).to_string().as_bytes(),
            inputs(),
            lacon_files::Flush::Now,
        )?;
    }
    Ok(())
}

/// A request with a prompt's messages and tools. One with calls, names or anything but text in it keeps its messages.
fn request_of(request: Value, prompt: &Prompt) -> Value {
    let is_text = |message: &Value| {
        let parts = |parts: &Vec<Value>| parts.iter().all(|part| part["type"] == "text");
        let content = &message["content"];
        message.as_object().is_some_and(|members| members.len() == 2)
            && (content.is_string() || content.as_array().is_some_and(parts))
    };
    let old = if request.is_array() { &request } else { &request["messages"] };
    let plain = old.as_array().is_some_and(|list| list.iter().all(is_text));
    let developer =
        old.as_array().is_some_and(|list| list.iter().any(|message| message["role"] == "developer"));
    let role = |role: Role| if role == Role::System && developer { "developer" } else { role.as_str() };
    let messages = if plain {
        prompt.messages.iter().map(|m| json!({"role": role(m.role), "content": m.content()})).collect()
    } else {
        old.clone()
    };
    match request {
        Value::Object(mut request) => {
            request.insert("messages".to_owned(), messages);
            if !prompt.tools.is_empty() {
                request.insert("tools".to_owned(), Value::Array(prompt.tools.clone()));
            }
            Value::Object(request)
        }
        _ => messages,
    }
}

fn prompt_of(name: &str, source: &str) -> Result<Prompt, Failure> {
    let bad = |what: &str| {
        Failure::input(format!(
            "{name}: {what}\nhint: pass requests with a list of messages, as sent to a chat endpoint"
        ))
    };
    let value: Value = serde_json::from_str(source).map_err(|e| bad(&format!("no JSON: {e}")))?;
    let (messages, tools) = match &value {
        Value::Array(messages) => (messages, Vec::new()),
        Value::Object(request) => {
            let messages =
                request.get("messages").and_then(Value::as_array).ok_or_else(|| bad("has no messages"))?;
            (messages, request.get("tools").and_then(Value::as_array).cloned().unwrap_or_default())
        }
        _ => return Err(bad("is neither a request nor a list of messages")),
    };
    let messages: Result<Vec<Message>, Failure> = messages
        .iter()
        .enumerate()
        .map(|(i, message)| {
            message_of(i, message).ok_or_else(|| bad(&format!("message {i} has no known role")))
        })
        .collect();
    Ok(Prompt { messages: messages?, tools })
}

fn message_of(index: usize, message: &Value) -> Option<Message> {
    let text = |key: &str| message.get(key).and_then(Value::as_str).map(str::to_owned);
    let role = match text("role")?.as_str() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => return None,
    };
    let segment = |i: usize, text: String| {
        let name = format!("message {index} part {i}");
        if role == Role::System { Segment::instruction(name, text) } else { Segment::data(name, text) }
    };
    let segments = match message.get("content") {
        Some(Value::String(content)) => vec![segment(0, content.clone())],
        Some(Value::Array(parts)) => {
            let texts = parts.iter().map(|part| match part.get("text").and_then(Value::as_str) {
                Some(text) => text.to_owned(),
                None => part.to_string(),
            });
            texts.enumerate().map(|(i, text)| segment(i, text)).collect()
        }
        _ => Vec::new(),
    };
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    let tool_calls = calls
        .map(|call| {
            let of = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("").to_owned();
            let function = call.get("function");
            ToolCall {
                id: of(call.get("id")),
                name: of(function.and_then(|f| f.get("name"))),
                arguments: of(function.and_then(|f| f.get("arguments"))),
            }
        })
        .collect();
    Some(Message { role, segments, name: text("name"), tool_calls, tool_call_id: text("tool_call_id") })
}
