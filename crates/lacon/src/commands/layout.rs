//! `lacon layout`: where requests differ, what a provider's cache reuses, and what a shared prefix would save.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use lacon_llm::{Request, Usage};
use lacon_models::{CacheRow, cache_of, cache_rule, cache_rules, plain_name};
use lacon_prompt::{
    layout::{
        CacheMarks, Predicted, Sent, first_difference, marks_for, net_saving, predict, refer, shared_first,
        volatile_last,
    },
    prompt::{Message, Prompt, Role, Segment, ToolCall},
};
use lacon_tokens::Encoding;
use serde_json::{Value, json};

use super::prompt_input as input;
use crate::{args::prompt::LayoutArgs, failure::Failure, text};

/// One request, with what is known of how it was sent.
struct Loaded {
    name: String,
    /// As it was read.
    source: String,
    prompt: Prompt,
    marks: CacheMarks,
    model: String,
    at_s: f64,
    ready_s: f64,
    /// What the provider billed, on a tape.
    billed: Option<Usage>,
}

/// Runs the subcommand.
pub fn run(args: &LayoutArgs) -> Result<ExitCode, Failure> {
    let encoding = input::encoding(&args.encoding)?;
    let requests = load(&args.files)?;
    let rule = rule(&args.provider, &requests)?;
    let prompts: Vec<Prompt> = requests.iter().map(|request| request.prompt.clone()).collect();
    let sent = |prompts: &'_ [Prompt], marks: &mut dyn FnMut(usize) -> CacheMarks| {
        let sent = prompts.iter().zip(&requests).enumerate().map(|(i, (prompt, request))| Sent {
            prompt,
            marks: marks(i),
            scope: &request.model,
            at_s: request.at_s,
            ready_s: request.ready_s,
        });
        predict(&sent.collect::<Vec<_>>(), rule, encoding)
    };
    let now = sent(&prompts, &mut |i| requests[i].marks.clone());
    let laid_out = lay_out(args, &prompts, encoding)?;
    let shapes = marks_for(&laid_out.prompts, rule, encoding);
    let moved = sent(&laid_out.prompts, &mut |i| shapes[i].1.clone());
    if let Some(folder) = &args.out {
        let sources: Vec<&str> = requests.iter().map(|request| request.source.as_str()).collect();
        write_all(folder, &laid_out.prompts, &sources, &args.files)?;
    }
    let parts: Vec<_> = prompts.windows(2).map(|pair| first_difference(&pair[0], &pair[1])).collect();
    let saving = net_saving(&now, &moved);
    let billed = billed(&requests, &now, rule);
    if args.json {
        let list = |predicted: &[Predicted]| -> Vec<Value> {
            predicted
                .iter()
                .map(|p| {
                    json!({"prompt": p.prompt, "cached": p.cached, "written": p.written,
                        "cost_tokens": p.cost_permille as f64 / 1e3})
                })
                .collect()
        };
        let parts: Vec<Value> = parts
            .iter()
            .map(|part| match part {
                Some(d) => json!({"byte": d.byte, "owner": d.owner, "message": d.message, "left": d.left, "right": d.right}),
                None => Value::Null,
            })
            .collect();
        let names: Vec<&str> = requests.iter().map(|request| request.name.as_str()).collect();
        text::out(
            &json!({
                "schema_version": 1,
                "rule": rule.rule,
                "rule_source": rule.source.name,
                "rule_date": rule.source.checked.map(|day| day.to_string()),
                "requests": names,
                "first_difference": parts,
                "as_sent": list(&now),
                "shared_first": list(&moved),
                "shapes": shapes.iter().map(|(shape, _)| shape.as_str()).collect::<Vec<_>>(),
                "net_saving_tokens": saving as f64 / 1e3,
                "volatile_lines": laid_out.volatile,
                "referred_tokens": laid_out.referred,
                "billed": billed.as_ref().map(Billed::to_json),
            })
            .to_string(),
        );
        return Ok(ExitCode::SUCCESS);
    }
    for (i, request) in requests.iter().enumerate() {
        let of = |p: &Predicted| match p.written {
            0 => format!("{} from the cache", p.cached),
            written => format!("{} from the cache, {written} written to it", p.cached),
        };
        text::out(&format!(
            "{}: {} tokens, {}; shared material first: {}",
            request.name,
            now[i].prompt,
            of(&now[i]),
            of(&moved[i])
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
        "effective input: {:.0} tokens as sent, {:.0} with shared material first ({:+.1} %), by rule {}",
        cost(&now),
        cost(&moved),
        -100.0 * (saving as f64 / 1e3) / cost(&now).max(1.0),
        rule.rule
    ));
    if let Some(billed) = &billed {
        text::out(&billed.line());
    }
    Ok(ExitCode::SUCCESS)
}

/// Predicted and billed input of the requests on a tape, in uncached tokens.
struct Billed {
    predicted: f64,
    billed: f64,
    cached: (u64, u64),
    written: (u64, u64),
}

fn billed(requests: &[Loaded], now: &[Predicted], rule: &CacheRow) -> Option<Billed> {
    let mut sum = Billed { predicted: 0.0, billed: 0.0, cached: (0, 0), written: (0, 0) };
    let known = requests.iter().zip(now).filter_map(|(request, p)| Some((request.billed?, p)));
    let mut any = false;
    for (usage, p) in known {
        any = true;
        let (cached, written) = (usage.cached.unwrap_or(0), usage.cache_write.unwrap_or(0));
        let hour = usage.cache_write_1h.unwrap_or(0);
        let hour_permille = rule.write_1h_permille.unwrap_or(rule.write_permille);
        sum.predicted += p.cost_permille as f64 / 1e3;
        sum.billed += (usage.input.unwrap_or(0) as f64 * 1e3
            + cached as f64 * rule.read_permille as f64
            + written as f64 * rule.write_permille as f64
            + hour as f64 * hour_permille as f64)
            / 1e3;
        sum.cached = (sum.cached.0 + p.cached as u64, sum.cached.1.saturating_add(cached));
        sum.written =
            (sum.written.0 + p.written as u64, sum.written.1.saturating_add(written).saturating_add(hour));
    }
    any.then_some(sum)
}

impl Billed {
    fn error(&self) -> f64 {
        (self.predicted - self.billed) / self.billed.max(1.0)
    }

    fn to_json(&self) -> Value {
        json!({"predicted_tokens": self.predicted, "billed_tokens": self.billed, "error": self.error(),
            "cached": {"predicted": self.cached.0, "billed": self.cached.1},
            "written": {"predicted": self.written.0, "billed": self.written.1}})
    }

    fn line(&self) -> String {
        format!(
            "billed: {:.0} tokens, predicted {:.0} ({:+.2} %); cached {} and {}, written {} and {}",
            self.billed,
            self.predicted,
            100.0 * self.error(),
            self.cached.1,
            self.cached.0,
            self.written.1,
            self.written.0
        )
    }
}

/// The cache rule that was asked for; of the first request's model without one.
fn rule(name: &str, requests: &[Loaded]) -> Result<&'static CacheRow, Failure> {
    let of_model = || requests.first().and_then(|request| cache_of(&plain_name(&request.model)));
    let lower = name.to_ascii_lowercase();
    let found = match lower.as_str() {
        "auto" => of_model().or_else(|| cache_rule("openai-5.5")),
        "openai" => {
            of_model().filter(|rule| rule.rule.starts_with("openai")).or_else(|| cache_rule("openai-5.5"))
        }
        name => cache_rule(name),
    };
    found.ok_or_else(|| {
        let known: Vec<&str> = cache_rules().iter().map(|rule| rule.rule.as_str()).collect();
        Failure::input(format!("no cache rule {name:?}\nhint: auto, openai, {}", known.join(", ")))
    })
}

fn load(files: &[PathBuf]) -> Result<Vec<Loaded>, Failure> {
    let mut requests = Vec::new();
    for file in files {
        let source = input::read_text(Some(file))?;
        let name = file.display().to_string();
        let lines = file == Path::new("-") || file.extension().is_some_and(|e| e == "jsonl" || e == "tape");
        if !lines {
            requests.push(loaded(name, &source)?);
            continue;
        }
        for (i, line) in source.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let name = format!("{name}:{}", i + 1);
            match serde_json::from_str::<Value>(line) {
                // Of a tape, the model calls.
                Ok(row) if row["kind"] == "llm" => requests.push(recorded(name, &row)?),
                Ok(row) if row["kind"] == "tape" || row["kind"] == "tool" => {}
                _ => requests.push(loaded(name, line)?),
            }
        }
    }
    if requests.is_empty() {
        return Err(Failure::input("no request in these files"));
    }
    Ok(requests)
}

fn loaded(name: String, source: &str) -> Result<Loaded, Failure> {
    let prompt = prompt_of(&name, source)?;
    let value: Value = serde_json::from_str(source).unwrap_or_default();
    let model = value["model"].as_str().unwrap_or_default().to_owned();
    let (marks, source) = (marks_of(&value), source.to_owned());
    Ok(Loaded { name, source, prompt, marks, model, at_s: 0.0, ready_s: 0.0, billed: None })
}

/// A call on a tape, with the marks that it was sent with.
fn recorded(name: String, row: &Value) -> Result<Loaded, Failure> {
    let bad = |error: serde_json::Error| Failure::input(format!("{name}: no recorded call: {error}"));
    let request: Request = serde_json::from_value(row["request"].clone()).map_err(bad)?;
    let messages = request.messages.iter().map(|message| {
        let calls = message
            .tool_calls
            .iter()
            .map(|call| json!({"id": call.id, "function": {"name": call.name, "arguments": call.arguments}}));
        // The name of a tool's result is not sent.
        let name = message.name.as_ref().filter(|_| message.tool_call_id.is_none());
        json!({"role": message.role.as_str(), "content": message.content, "name": name,
            "tool_calls": calls.collect::<Vec<_>>(), "tool_call_id": message.tool_call_id})
    });
    let tools = request.tools.iter().map(|tool| {
        json!({"type": "function", "function": {"name": tool.name, "description": tool.description,
            "parameters": tool.parameters}})
    });
    let mut body = json!({"model": request.model, "messages": messages.collect::<Vec<_>>()});
    if !request.tools.is_empty() {
        body["tools"] = tools.collect();
    }
    let number = |key: &str| row["answer"][key].as_f64();
    let at_s = row["at_ms"].as_f64().unwrap_or(0.0) / 1e3;
    let took_ms = number("first_token_ms").or(number("elapsed_ms")).unwrap_or(0.0);
    let mut loaded = loaded(name, &body.to_string())?;
    loaded.marks = sent_marks(&request);
    (loaded.at_s, loaded.ready_s) = (at_s, at_s + took_ms / 1e3);
    loaded.billed = serde_json::from_value(row["answer"]["usage"].clone()).ok();
    Ok(loaded)
}

/// What a client of Lacon says about the cache for a request.
fn sent_marks(request: &Request) -> CacheMarks {
    let marks = cache_of(&plain_name(&request.model)).and_then(|rule| request.cache_marks(rule));
    let Some(marks) = marks else { return CacheMarks::default() };
    CacheMarks { after: marks.cuts.iter().map(|cut| (cut.message, cut.byte)).collect(), only: marks.only }
}

/// The marks that a request on the wire has.
fn marks_of(request: &Value) -> CacheMarks {
    let mut after = Vec::new();
    for (i, message) in request["messages"].as_array().into_iter().flatten().enumerate() {
        let mut byte = 0;
        for part in message["content"].as_array().into_iter().flatten() {
            byte += part["text"].as_str().map_or_else(|| part.to_string().len(), str::len);
            if part["prompt_cache_breakpoint"].is_object() || part["cache_control"].is_object() {
                after.push((i, byte));
            }
        }
    }
    CacheMarks { after, only: request["prompt_cache_options"]["mode"] == "explicit" }
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
fn write_all(folder: &Path, prompts: &[Prompt], sources: &[&str], inputs: &[PathBuf]) -> Result<(), Failure> {
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
