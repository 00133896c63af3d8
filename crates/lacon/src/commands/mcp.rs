//! `lacon mcp`: the market tools, `run` and the prompt tools as an MCP server over stdin and stdout.
//!
//! Stdout belongs to the protocol: nothing else may be printed there. Each call has the settings of one run, made from
//! the flags behind `--` and the call's ticker and day, so the rules on dates hold for clients too.

mod lines;
mod prompt;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Instant};

use lacon_market::{Kind, Tool as MarketTool, catalog};
use lacon_runtime::{Progress, ToolRequest, config::Origin};
use lacon_trading::{decide, source::introduce};
use rmcp::{
    ErrorData, Peer, RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, JsonObject,
        ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, ProgressToken,
        ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
    },
    service::RequestContext,
};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::{Common, batch_run::settings_of, block_on};
use crate::{
    args::{mcp::McpArgs, prompt::StoreArgs},
    failure::Failure,
    lock::RunLock,
};

/// The tool that decides.
const RUN: &str = "run";

/// Serves until the client closes its end.
pub fn run(common: Common, args: &McpArgs, started: Instant) -> Result<ExitCode, Failure> {
    // A wrong flag must show before a client waits for an answer.
    settings_of(&common, &args.run_flags, &["CRCL"], started)?;
    let tools = offered(&args.tools)?;
    let mut flags = args.run_flags.clone();
    flags.extend(results(&common, &flags)?);
    let server = Server { common, flags, store: args.store.clone(), started, tools };
    block_on(async {
        let failed = |e: &dyn std::fmt::Display| Failure::input(format!("the client cannot be served: {e}"));
        let (read, write) = rmcp::transport::stdio();
        let service = server.serve(lines::Lines::new(read, write)).await.map_err(|e| failed(&e))?;
        service.waiting().await.map_err(|e| failed(&e))?;
        Ok(ExitCode::SUCCESS)
    })?
}

struct Server {
    common: Common,
    flags: Vec<String>,
    store: StoreArgs,
    started: Instant,
    /// Every definition costs tokens in every conversation of the client, so those that nobody wants are not offered.
    tools: Vec<Tool>,
}

/// Where results go unless somebody said so: the user's own data. The folder that a client starts its servers in is nobody's.
#[expect(clippy::disallowed_methods, reason = "where a user's data lies is no setting of Lacon")]
fn results(common: &Common, flags: &[String]) -> Result<Option<String>, Failure> {
    let is_said = flags.iter().any(|flag| flag == "--out" || flag.starts_with("--out="));
    if is_said || !matches!(common.settings(&[])?.origin("run.out"), Origin::Default) {
        return Ok(None);
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME")
        .or_else(|| absolute("LOCALAPPDATA"))
        .or_else(|| Some(absolute("HOME")?.join(".local/share")));
    Ok(data.map(|data| format!("--out={}", data.join("lacon/results").display())))
}

/// The tools that were asked for; all of them where none was.
fn offered(names: &[String]) -> Result<Vec<Tool>, Failure> {
    let market = || {
        catalog::TOOLS.iter().map(|tool| {
            Tool::new(tool.name, tool.description, Arc::new(schema(tool)))
                .annotate(looks_up().open_world(true))
        })
    };
    let all: Vec<Tool> = market().chain([run_tool()]).chain(prompt::tools()).collect();
    if names.is_empty() {
        return Ok(all);
    }
    let meant = |name: &str, tool: &Tool| match name {
        "market" => catalog::find(&tool.name).is_some(),
        "prompt" => prompt::NAMES.contains(&&*tool.name),
        name => tool.name == name,
    };
    for name in names.iter().map(|name| name.trim()) {
        if !all.iter().any(|tool| meant(name, tool)) {
            let known = all.iter().map(|tool| &*tool.name).chain(["market", "prompt"]);
            let near = lacon_runtime::config::nearest(name, known);
            let hint = near.map_or("market, run, prompt, or a tool's name".into(), |near| {
                format!("did you mean {near}?")
            });
            return Err(Failure::input(format!("--tools: {name:?} is no tool\nhint: {hint}")));
        }
    }
    Ok(all.into_iter().filter(|tool| names.iter().any(|name| meant(name.trim(), tool))).collect())
}

/// What a tool that changes nothing says of itself.
fn looks_up() -> ToolAnnotations {
    ToolAnnotations::new().read_only(true).open_world(false)
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("lacon", env!("CARGO_PKG_VERSION")))
            .with_instructions(
                "Market data as it was known on a day, and a decision by a graph of agents. Nothing dated after \"as_of\" is shown; without it \
                 the last day among the arguments counts. Not advice. Texts and messages in fewer tokens, and back: what a marker \
                 [blob …, ref=…] stands for, \"retrieve\" gives.",
            )
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.clone()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        if self.get_tool(&request.name).is_none() {
            let near =
                lacon_runtime::config::nearest(&request.name, self.tools.iter().map(|tool| &*tool.name));
            let hint = near.map(|n| format!(", did you mean {n}?")).unwrap_or_default();
            return Err(ErrorData::invalid_params(format!("unknown tool {:?}{hint}", request.name), None));
        }
        let answered = match (request.name.as_ref(), catalog::find(&request.name)) {
            (RUN, _) => self.decide(&arguments, context).await,
            (name, _) if prompt::NAMES.contains(&name) => {
                prompt::call(name.to_owned(), arguments, self.store.clone()).await
            }
            (_, Some(tool)) => self.look_up(tool, arguments).await,
            (name, None) => Err(format!("unknown tool {name:?}")),
        };
        // What the caller can mend is told as the tool's answer, so that a model sees it and asks again.
        let failed = |why: String| CallToolResult::error(vec![ContentBlock::text(without_flags(&why))]);
        Ok(answered.unwrap_or_else(failed).into())
    }
}

impl Server {
    async fn look_up(&self, tool: &MarketTool, mut arguments: JsonObject) -> Result<CallToolResult, String> {
        let known = |name: &str| tool.arguments.iter().any(|a| a.name == name);
        let extra =
            arguments.keys().find(|name| !known(name) && !["as_of", "ticker"].contains(&name.as_str()));
        if let Some(extra) = extra {
            let names: Vec<&str> = tool.arguments.iter().map(|a| a.name).collect();
            return Err(format!(
                "{} has no argument {extra:?}\nhint: it takes {}",
                tool.name,
                names.join(", ")
            ));
        }
        let ticker = ["ticker", "symbol"].iter().find_map(|name| text(&arguments, name));
        let ticker =
            ticker.ok_or_else(|| format!("{} needs a ticker\nhint: add \"ticker\": \"AAPL\"", tool.name))?;
        let last_day = tool.arguments.iter().rev().find(|a| a.kind == Kind::Date).map(|a| a.name);
        let as_of = text(&arguments, "as_of").or_else(|| last_day.and_then(|name| text(&arguments, name)));
        let mut own = vec![ticker.as_str()];
        own.extend(as_of.iter().flat_map(|day| ["--date", day]));
        let settings = self.settings(&own)?;
        arguments.remove("as_of");
        if !known("ticker") {
            arguments.remove("ticker");
        }
        let request = ToolRequest { name: tool.name.into(), arguments, role: "mcp".into() };
        let call = tokio::time::timeout(settings.tool_timeout, settings.tools.call(&request)).await;
        let limit = settings.tool_timeout.as_secs_f64();
        let answer = call.map_err(|_| format!("{} took longer than {limit} s", tool.name))?;
        let text = answer.map_err(|e| e.to_string())?.text;
        let source = settings.tools.describe();
        let head = format!("Source: {source}, as of {}.", settings.date);
        Ok(CallToolResult::success(vec![ContentBlock::text(head), ContentBlock::text(text)]))
    }

    async fn decide(
        &self,
        arguments: &JsonObject,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, String> {
        const FLAGS: [(&str, &str); 5] = [
            ("date", "--date"),
            ("profile", "--profile"),
            ("analysts", "--analysts"),
            ("language", "--language"),
            ("budget_tokens", "--budget-tokens"),
        ];
        if let Some(extra) =
            arguments.keys().find(|k| *k != "ticker" && !FLAGS.iter().any(|(name, _)| name == k))
        {
            let names: Vec<&str> = FLAGS.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "run has no argument {extra:?}\nhint: it takes ticker, {}",
                names.join(", ")
            ));
        }
        let ticker = text(arguments, "ticker").ok_or("run needs a ticker\nhint: add \"ticker\": \"AAPL\"")?;
        let given: Vec<(&str, String)> =
            FLAGS.iter().filter_map(|(name, flag)| Some((*flag, text(arguments, name)?))).collect();
        let mut own = vec![ticker.as_str()];
        // One word each: a value that looks like a flag stays a value.
        let given: Vec<String> = given.iter().map(|(flag, value)| format!("{flag}={value}")).collect();
        own.extend(given.iter().map(String::as_str));
        let mut settings = self.settings(&own)?;
        if !settings.tools.simulated() {
            let found = introduce(&*settings.tools).await;
            settings.company = found.company.unwrap_or(settings.company);
            settings.listing = found.listing;
        }
        let token = context.meta.get_progress_token();
        let (steps, heard) = mpsc::unbounded_channel();
        if token.is_some() {
            settings.on_progress = Arc::new(move |progress| {
                // Nobody hears it any more where the call was given up.
                let _ = step(progress).map(|said| steps.send(said));
            });
        }
        let cancelled = context.ct.clone();
        settings.stop = Some(Box::pin(async move { cancelled.cancelled().await }));
        let _lock = RunLock::of(&settings).map_err(|failure| failure.message)?;
        let decided = match token {
            None => decide(settings).await,
            Some(token) => tokio::select! {
                decided = decide(settings) => decided,
                () = tell(heard, token, context.peer.clone()) => unreachable!("it is never done"),
            },
        };
        let record = &decided.record;
        let complete = decided.folder.join("reports/complete.md");
        if let Some(failure) = &decided.failure {
            return Err(format!("{failure}\npartial results: {}", decided.folder.display()));
        }
        let facts = json!({
            "run_id": record.run_id, "ticker": record.label("ticker"), "date": record.date(), "profile": record.profile,
            "decision": record.decision, "simulated": {"llm": record.llm.simulated, "data": record.data.simulated},
            "tokens": record.tokens.total, "cost_usd": record.cost_usd, "wall_s": record.wall_s,
            "grade": record.grade.content, "warnings": record.warnings, "report": complete.display().to_string(),
        });
        // The report is a text of its own: inside of JSON its line ends and quotes would be escaped, which costs tokens.
        let report = std::fs::read_to_string(&complete).unwrap_or_default();
        Ok(with_facts(vec![ContentBlock::text(facts.to_string()), ContentBlock::text(report)], facts))
    }

    fn settings(&self, own: &[&str]) -> Result<lacon_trading::Settings, String> {
        if let Some(ticker) = own.first().filter(|ticker| ticker.starts_with('-')) {
            return Err(format!("{ticker:?} is not a ticker\nhint: give a symbol such as AAPL"));
        }
        settings_of(&self.common, &self.flags, own, self.started).map_err(|failure| failure.message)
    }
}

/// Texts for the model, with the same facts for a program.
fn with_facts(content: Vec<ContentBlock>, facts: Value) -> CallToolResult {
    let mut result = CallToolResult::success(content);
    result.structured_content = Some(facts);
    result
}

/// Tells the client how far a run is, by a notification for each step that ends; never done, since the run is.
async fn tell(mut steps: UnboundedReceiver<String>, token: ProgressToken, peer: Peer<RoleServer>) {
    let mut done = 0.0;
    while let Some(message) = steps.recv().await {
        done += 1.0;
        let param = ProgressNotificationParam::new(token.clone(), done).with_message(message);
        // A client that went away hears nothing more.
        if peer.notify_progress(param).await.is_err() {
            break;
        }
    }
    std::future::pending().await
}

/// What a step of a run says when it ends.
fn step(progress: Progress) -> Option<String> {
    let Progress::NodeFinished { node, error } = progress else { return None };
    Some(error.map_or_else(|| format!("{node} is done"), |error| format!("{node} failed: {error}")))
}

/// An error of the command line in the words of a call: arguments have no dashes, and there is no help to ask for.
fn without_flags(message: &str) -> String {
    let lines = message
        .lines()
        .filter(|line| !line.starts_with("For more information") && !line.starts_with("Usage:"));
    let mut said = String::new();
    for line in lines {
        let line = line.strip_prefix("error: ").unwrap_or(line);
        let mut before = ' ';
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            let named = rest.strip_prefix("--").filter(|name| {
                name.starts_with(|c: char| c.is_ascii_lowercase())
                    && (before.is_whitespace() || before == '\'' || before == '`')
            });
            if let Some(flag) = named {
                let end = flag.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(flag.len());
                said.push_str(&flag[..end].replace('-', "_"));
                rest = &flag[end..];
                // What the command line calls its value.
                if let Some(value) = rest.strip_prefix(" <").and_then(|value| value.split_once('>')) {
                    rest = value.1;
                }
                before = 'x';
                continue;
            }
            said.push(c);
            before = c;
            rest = &rest[c.len_utf8()..];
        }
        said.push('\n');
    }
    said.trim_end().to_owned()
}

/// An argument as text; numbers are taken as they are written.
fn text(arguments: &Map<String, Value>, name: &str) -> Option<String> {
    match arguments.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

/// A tool's own arguments, and what says of whom and of which day.
fn schema(tool: &MarketTool) -> JsonObject {
    let Value::Object(mut schema) = tool.schema() else { return JsonObject::new() };
    let names_ticker = tool.arguments.iter().any(|a| matches!(a.name, "ticker" | "symbol"));
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        if !names_ticker {
            properties.insert("ticker".into(), json!({"type": "string", "description": "the symbol"}));
        }
        let what = "yyyy-mm-dd: nothing later is shown";
        properties.insert("as_of".into(), json!({"type": "string", "description": what}));
    }
    if let (false, Some(Value::Array(required))) = (names_ticker, schema.get_mut("required")) {
        required.push("ticker".into());
    }
    schema
}

fn run_tool() -> Tool {
    let text = |what: &str| json!({"type": "string", "description": what});
    let schema = json!({
        "type": "object", "required": ["ticker"], "properties": {
            "ticker": text("the symbol, such as AAPL"),
            "date": text("the day to decide for, yyyy-mm-dd"),
            "profile": {"type": "string", "enum": ["lacon", "baseline", "upstream"]},
            "analysts": text("analysts that write reports, separated by commas"),
            "language": text("language of the answers"),
            "budget_tokens": {"type": "integer", "description": "token budget of the run"},
        },
    });
    let Value::Object(schema) = schema else { unreachable!("an object was written") };
    Tool::new(
        RUN,
        "Decides on a ticker with the whole agent graph; returns the decision and its report.",
        Arc::new(schema),
    )
    .annotate(ToolAnnotations::new().read_only(false).destructive(false).idempotent(false).open_world(true))
}
