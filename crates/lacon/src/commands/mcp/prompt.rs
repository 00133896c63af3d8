//! The prompt tools: `lacon compress`, `expand`, `retrieve` and `count`, with the same functions.
//!
//! A call's arguments become the command's flags, so names, defaults and messages are those of the command line. The
//! store belongs to the server: no argument names a file.

use std::{sync::Arc, time::Instant};

use clap::Parser;
use lacon_prompt::{
    compress::Options,
    offload::Store,
    receipt::PassReport,
    request::{Edit, Request, RequestOptions, splice},
};
use rmcp::model::{CallToolResult, ContentBlock, JsonObject, MetaObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

use crate::{
    args::{
        Cli, Command,
        prompt::{CompressArgs, Policy, StoreArgs},
    },
    commands::{
        compress::{compressed, counts_with, pass_set},
        count::count_text,
        expand::expanded,
        prompt_input::{self, MAX_INPUT},
        retrieve::retrieved,
    },
    failure::Failure,
};

/// Names of the tools.
pub const NAMES: [&str; 4] = ["compress", "expand", "retrieve", "count"];

/// Arguments of `compress` that are flags of the command too.
const COMPRESS_FLAGS: [&str; 8] =
    ["policy", "ratio", "query", "disable", "enable", "encoding", "once", "exact"];

/// The tools as they are listed.
pub fn tools() -> [Tool; 4] {
    let word = |what: &str| json!({"type": "string", "description": what});
    let text = word("the text");
    let messages = json!({"type": "array", "items": {"type": "object"},
        "description": "instead of a text: messages as chat, responses or messages requests hold them"});
    let encoding = word("encoding to count with [default: o200k_base]");
    let tool = |name: &'static str, about: &'static str, schema: Value| {
        let Value::Object(schema) = schema else { unreachable!("an object was written") };
        // Only compress may write: what it moves out of view goes to the store.
        let reads = ToolAnnotations::new()
            .open_world(false)
            .idempotent(true)
            .destructive(false)
            .read_only(name != "compress");
        Tool::new(name, about, Arc::new(schema)).annotate(reads)
    };
    [
        tool(
            NAMES[0],
            "Writes a text, or the material in messages, in fewer tokens so that expand gives it back. Tells tokens before \
             and after, what was moved out of view and the handles under which retrieve gives it.",
            json!({"type": "object", "properties": {
                "text": text, "messages": messages,
                "policy": {"type": "string", "enum": ["lossless", "safe", "lossy"],
                    "description": "lossless: exact forms only; safe (default): blobs go to the store; lossy: an extract of a text for the query"},
                "ratio": {"type": "number", "description": "with lossy: share of the tokens to keep"},
                "query": word("with lossy: the question"),
                "disable": word("passes to switch off, separated by commas"),
                "enable": word("passes that run only on request, separated by commas: outline"),
                "once": {"type": "boolean", "description": "leave text that is already compressed as it is"},
                "exact": {"type": "boolean", "description": "restore every byte: leave hand-formatted JSON as it is"},
                "user_texts": {"type": "boolean", "description": "with messages: compress user messages too, not only tool results"},
                "encoding": encoding,
            }}),
        ),
        tool(
            NAMES[1],
            "Restores the input of compress.",
            json!({"type": "object", "properties": {
                "text": text, "messages": messages,
                "changed": {"type": "array", "items": {"type": "string"}, "description": "with messages: the list `changed` of compress"},
            }}),
        ),
        tool(
            NAMES[2],
            "Returns the exact content behind a marker [blob …, ref=…].",
            json!({"type": "object", "required": ["handle"], "properties": {
                "handle": word("the hex digits after ref=, or the whole marker, which is then checked"),
            }}),
        ),
        tool(
            NAMES[3],
            "Counts the tokens of a text, exactly if the vocabulary is public.",
            json!({"type": "object", "required": ["text"], "properties": {
                "text": text,
                "model": json!({"type": "array", "items": {"type": "string"}, "description": "models to count for"}),
                "encoding": json!({"type": "array", "items": {"type": "string"}, "description": "encodings to count with"}),
            }}),
        ),
    ]
}

/// Calls a tool, on a thread that may be busy for a while.
pub async fn call(
    name: String,
    mut arguments: JsonObject,
    store: StoreArgs,
) -> Result<CallToolResult, String> {
    let work = move || match name.as_str() {
        "compress" => compress(&mut arguments, &store),
        "expand" => expand(&mut arguments, &store),
        "retrieve" => retrieve(&mut arguments, &store),
        _ => count(&mut arguments),
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| format!("the call failed: {e}"))?.map_err(|failure| failure.message)
}

fn compress(arguments: &mut JsonObject, store: &StoreArgs) -> Result<CallToolResult, Failure> {
    let source = source("compress", arguments)?;
    let user_texts = matches!(arguments.remove("user_texts"), Some(Value::Bool(true)));
    let mut flags = store_flags(store);
    for name in COMPRESS_FLAGS {
        match arguments.remove(name) {
            None | Some(Value::Null | Value::Bool(false)) => {}
            Some(Value::Bool(true)) => flags.push(format!("--{name}")),
            // One word each: a value that looks like a flag stays a value.
            Some(Value::String(value)) => flags.push(format!("--{name}={value}")),
            Some(value) => flags.push(format!("--{name}={value}")),
        }
    }
    // The client has `retrieve`, so what goes to the store is within its reach.
    if !flags.iter().any(|flag| flag.starts_with("--policy=")) {
        flags.push("--policy=safe".to_owned());
    }
    none_left("compress", arguments, &COMPRESS_FLAGS)?;
    let Command::Compress(args) = parsed("compress", &flags)? else { unreachable!("compress was named") };
    match source {
        Source::Text(text) => Ok(plain(compressed(&text, &args)?.to_json())),
        Source::Messages(json) => {
            Ok(CallToolResult::structured(compressed_messages(&json, &args, user_texts)?))
        }
    }
}

/// The compressed text as it is, then a line of facts. Inside of JSON it would be escaped, which costs what was saved.
/// The whole record is metadata, which clients show no model.
fn plain(mut facts: Value) -> CallToolResult {
    let text = facts.as_object_mut().and_then(|facts| facts.remove("text")).unwrap_or_default();
    let handles: Vec<&str> =
        facts["handles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut line = format!("{} tokens before, {} after", facts["tokens_before"], facts["tokens_after"]);
    if !handles.is_empty() {
        line.push_str(&format!("; handles: {}", handles.join(", ")));
    }
    let text = text.as_str().unwrap_or_default().to_owned();
    let mut result = CallToolResult::success(vec![ContentBlock::text(text), ContentBlock::text(line)]);
    result.meta = Some(MetaObject(JsonObject::from_iter([("lacon/compress".to_owned(), facts)])));
    result
}

fn compressed_messages(json: &str, args: &CompressArgs, user_texts: bool) -> Result<Value, Failure> {
    if args.policy == Policy::Lossy {
        return Err(Failure::input(
            "messages are not compressed with loss\nhint: policy lossless or safe; lossy takes a text",
        ));
    }
    let started = Instant::now();
    let request = request(json)?;
    let passes = pass_set(args.disable.as_deref(), args.enable.as_deref())?;
    let compress = Options { passes, audit: false, once: args.once, exact: true };
    let options =
        RequestOptions { compress, keep_user: !user_texts, keep_quotable: true, ..RequestOptions::default() };
    let mut lazy = prompt_input::store(&args.store);
    let store = (args.policy == Policy::Safe).then_some(&mut lazy as &mut dyn Store);
    let shrunk = request.shrink(&options, store, counts_with(args)?).map_err(Failure::input)?;
    lazy.commit().map_err(Failure::input)?;
    Ok(json!({
        "schema_version": 1,
        "messages": messages(json, &shrunk.edits)?,
        "tokens_before": shrunk.tokens_before,
        "tokens_after": shrunk.tokens_after,
        "elapsed_us": u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        "exact": true,
        "changed": shrunk.edits.iter().map(|edit| &edit.pointer).collect::<Vec<_>>(),
        "handles": shrunk.handles().iter().map(|handle| handle.as_str()).collect::<Vec<_>>(),
        "passes": shrunk.passes.iter().map(PassReport::to_json).collect::<Vec<_>>(),
    }))
}

fn expand(arguments: &mut JsonObject, store: &StoreArgs) -> Result<CallToolResult, Failure> {
    let source = source("expand", arguments)?;
    let changed = list(arguments, "changed")?;
    none_left("expand", arguments, &["changed"])?;
    match source {
        Source::Text(text) => {
            Ok(CallToolResult::success(vec![ContentBlock::text(expanded(&text, store, None)?)]))
        }
        Source::Messages(json) => {
            let store = prompt_input::store(store);
            let edits = request(&json)?.restore(&changed, Some(&store)).map_err(Failure::input)?;
            let messages = messages(&json, &edits)?;
            Ok(CallToolResult::structured(json!({"schema_version": 1, "messages": messages})))
        }
    }
}

fn retrieve(arguments: &mut JsonObject, store: &StoreArgs) -> Result<CallToolResult, Failure> {
    let handle = string("retrieve", arguments, "handle", "give the hex digits after ref= of a marker")?;
    none_left("retrieve", arguments, &["handle"])?;
    let mut flags = store_flags(store);
    flags.extend(["--".to_owned(), handle]);
    let Command::Retrieve(args) = parsed("retrieve", &flags)? else { unreachable!("retrieve was named") };
    Ok(CallToolResult::success(vec![ContentBlock::text(retrieved(&args)?.1)]))
}

fn count(arguments: &mut JsonObject) -> Result<CallToolResult, Failure> {
    let text = string("count", arguments, "text", "add \"text\": \"…\"")?;
    let mut flags = Vec::new();
    for name in ["model", "encoding"] {
        flags.extend(list(arguments, name)?.iter().map(|value| format!("--{name}={value}")));
    }
    none_left("count", arguments, &["text", "model", "encoding"])?;
    let Command::Count(args) = parsed("count", &flags)? else { unreachable!("count was named") };
    Ok(CallToolResult::structured(count_text(&args, &text)?))
}

enum Source {
    Text(String),
    /// An array as JSON.
    Messages(String),
}

fn source(tool: &str, arguments: &mut JsonObject) -> Result<Source, Failure> {
    let source = match (arguments.remove("text"), arguments.remove("messages")) {
        (Some(Value::String(text)), None) => Source::Text(text),
        (None, Some(Value::Array(messages))) => Source::Messages(Value::Array(messages).to_string()),
        _ => {
            return Err(Failure::input(format!(
                "{tool} needs either a text or messages\nhint: add \"text\": \"…\" or \"messages\": [{{\"role\": …}}]"
            )));
        }
    };
    let (Source::Text(held) | Source::Messages(held)) = &source;
    if held.len() as u64 > MAX_INPUT {
        return Err(Failure::input(format!("the input has {} bytes, the limit is {MAX_INPUT}", held.len())));
    }
    Ok(source)
}

fn request(json: &str) -> Result<Request<'_>, Failure> {
    Request::parse(json).ok_or_else(|| {
        Failure::input("the messages are not a list\nhint: give an array of objects with role and content")
    })
}

fn messages(json: &str, edits: &[Edit]) -> Result<Value, Failure> {
    serde_json::from_str(&splice(json, edits)).map_err(Failure::input)
}

fn string(tool: &str, arguments: &mut JsonObject, name: &str, hint: &str) -> Result<String, Failure> {
    match arguments.remove(name) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(Failure::input(format!("{tool} needs a {name}\nhint: {hint}"))),
    }
}

fn list(arguments: &mut JsonObject, name: &str) -> Result<Vec<String>, Failure> {
    let wrong = |value: &Value| Failure::input(format!("{name} is {value}\nhint: give a list of strings"));
    match arguments.remove(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one]),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong(item))).collect()
        }
        Some(other) => Err(wrong(&other)),
    }
}

fn none_left(tool: &str, arguments: &JsonObject, takes: &[&str]) -> Result<(), Failure> {
    match arguments.keys().next() {
        None => Ok(()),
        Some(extra) => Err(Failure::input(format!(
            "{tool} has no argument {extra:?}\nhint: it also takes {}",
            takes.join(", ")
        ))),
    }
}

fn store_flags(store: &StoreArgs) -> Vec<String> {
    vec![format!("--store={}", store.store.display()), format!("--session={}", store.session)]
}

fn parsed(command: &str, flags: &[String]) -> Result<Command, Failure> {
    let line = ["lacon", command].into_iter().chain(flags.iter().map(String::as_str));
    let cli = Cli::try_parse_from(line);
    Ok(cli.map_err(|e| Failure::input(e.render().to_string().trim_end().to_owned()))?.command)
}
