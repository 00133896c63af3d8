//! `lacon mcp`: the market tools, `run` and the prompt tools as an MCP server over stdin and stdout.
//!
//! Stdout belongs to the protocol: nothing else may be printed there. Each call has the settings of one run, made from
//! the flags behind `--` and the call's ticker and day, so the rules on dates hold for clients too.

mod lines;
mod prompt;

use std::{process::ExitCode, sync::Arc, time::Instant};

use lacon_market::{Kind, Tool as MarketTool, catalog};
use lacon_runtime::ToolRequest;
use lacon_trading::{decide, source::introduce};
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, JsonObject,
        ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
};
use serde_json::{Map, Value, json};

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
    let server = Server { common, flags: args.run_flags.clone(), store: args.store.clone(), started };
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
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("lacon", env!("CARGO_PKG_VERSION")))
            .with_instructions(
                "Market data as it was known on a day, and a decision by a graph of agents. Nothing dated after \"as_of\" is shown. Not advice. \
                 Texts and messages in fewer tokens, and back: what a marker [blob …, ref=…] stands for, \"retrieve\" gives.",
            )
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let market = catalog::TOOLS.iter().map(|tool| {
            let schema = schema(tool);
            Tool::new(tool.name, tool.description, Arc::new(schema))
        });
        Ok(ListToolsResult::with_all_items(market.chain([run_tool()]).chain(prompt::tools()).collect()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        if name == RUN {
            return Some(run_tool());
        }
        if let Some(tool) = prompt::tools().into_iter().find(|tool| tool.name == name) {
            return Some(tool);
        }
        catalog::find(name).map(|tool| Tool::new(tool.name, tool.description, Arc::new(schema(tool))))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let answered = match (request.name.as_ref(), catalog::find(&request.name)) {
            (RUN, _) => self.decide(&arguments, context).await,
            (name, _) if prompt::NAMES.contains(&name) => {
                prompt::call(name.to_owned(), arguments, self.store.clone()).await
            }
            (_, Some(tool)) => self.look_up(tool, arguments).await,
            (name, None) => {
                let known = catalog::TOOLS.iter().map(|t| t.name).chain([RUN]).chain(prompt::NAMES);
                let near = lacon_runtime::config::nearest(name, known);
                let hint = near.map(|n| format!(", did you mean {n}?")).unwrap_or_default();
                return Err(ErrorData::invalid_params(format!("unknown tool {name:?}{hint}"), None));
            }
        };
        // What the caller can mend is told as the tool's answer, so that a model sees it and asks again.
        Ok(answered.unwrap_or_else(|why| CallToolResult::error(vec![ContentBlock::text(why)])).into())
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
        let cancelled = context.ct.clone();
        settings.stop = Some(Box::pin(async move { cancelled.cancelled().await }));
        let _lock = RunLock::of(&settings).map_err(|failure| failure.message)?;
        let decided = decide(settings).await;
        let record = &decided.record;
        let complete = decided.folder.join("reports/complete.md");
        if let Some(failure) = &decided.failure {
            return Err(format!("{failure}\npartial results: {}", decided.folder.display()));
        }
        Ok(CallToolResult::structured(json!({
            "run_id": record.run_id, "ticker": record.label("ticker"), "date": record.date(), "profile": record.profile,
            "decision": record.decision, "simulated": {"llm": record.llm.simulated, "data": record.data.simulated},
            "tokens": record.tokens.total, "cost_usd": record.cost_usd, "wall_s": record.wall_s,
            "grade": record.grade.content, "warnings": record.warnings,
            "report": complete.display().to_string(), "text": std::fs::read_to_string(&complete).unwrap_or_default(),
        })))
    }

    fn settings(&self, own: &[&str]) -> Result<lacon_trading::Settings, String> {
        if let Some(ticker) = own.first().filter(|ticker| ticker.starts_with('-')) {
            return Err(format!("{ticker:?} is not a ticker\nhint: give a symbol such as AAPL"));
        }
        settings_of(&self.common, &self.flags, own, self.started).map_err(|failure| failure.message)
    }
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
        let what = "yyyy-mm-dd: nothing later is shown; the last day among the arguments when left out";
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
}
