//! MCP servers as tools of a team. Nothing is started or called that the user did not allow.
//!
//! A server is connected before the run's first call, so that a missing tool or a wrong schema costs nothing. What a
//! server sends is bounded before it is read as JSON: a longer message ends the connection. A server that ended is
//! started again for the next call, a few times.

mod http;
mod pipe;

pub use pipe::write_line;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use lacon_agents::{
    Settings, Team,
    team::{Mcp, Tool},
};
use lacon_llm::BoxFuture;
use lacon_runtime::{ToolError, ToolRequest, ToolSource, ToolText, config::nearest};
use rmcp::{
    RoleClient, ServiceExt,
    model::{CallToolRequestParams, ContentBlock, PaginatedRequestParams, ResourceContents, Tool as McpTool},
    service::{RunningService, ServiceError},
};
use serde_json::{Map, Value};

use crate::failure::Failure;

/// How often a server is started in one run.
const MAX_STARTS: u32 = 3;
/// Most tools, and pages of them, that a server may list.
const MAX_TOOLS: usize = 2_000;
const MAX_PAGES: usize = 50;
/// Most bytes of a tool's schema, and characters of its description.
const MAX_SCHEMA: usize = 64 << 10;
const MAX_ABOUT: usize = 1_024;
/// Most characters of a server's own error.
const MAX_ERROR: usize = 500;
/// Room of a message beside its text, and for escapes in it.
const FRAME: usize = 1 << 20;
const ESCAPES: usize = 8;

/// What the user allows: tools by name on the command line, whole command lines or URLs in the settings.
pub struct Allowed<'a> {
    pub names: &'a [String],
    pub servers: &'a [&'a str],
}

impl Allowed<'_> {
    fn has(&self, tool: &Tool, mcp: &Mcp) -> bool {
        let server = mcp.server();
        self.names.iter().any(|name| *name == tool.name || *name == server)
            || self.servers.contains(&server.as_str())
    }
}

/// Why a connection ended, where the connection knows better than the library.
#[derive(Clone, Debug, Default)]
struct Fault(Arc<Mutex<Option<String>>>);

impl Fault {
    fn set(&self, why: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }

    fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Connects the MCP servers that a team's tools name, and checks their tools. A team without such tools is left as it is.
///
/// # Errors
/// Every tool whose server is not allowed; nothing is started then. Every server that cannot be started, does not list
/// the tool, or tells a schema that cannot be right.
pub async fn connect(mut settings: Settings, allowed: &Allowed<'_>) -> Result<Settings, Failure> {
    let named = |tool: &&Tool| tool.mcp.is_some() && !settings.tools.has(&tool.name);
    let tools: Vec<Tool> = settings.team.tools.iter().filter(named).cloned().collect();
    unknown_names(&settings.team, allowed)?;
    refuse(&tools, allowed)?;
    let mut servers: BTreeMap<String, Arc<Server>> = BTreeMap::new();
    for (tool, mcp) in with_server(&tools) {
        let known = servers.remove(&mcp.server());
        let known = known.and_then(Arc::into_inner).unwrap_or_else(|| Server::new(mcp));
        let server = known.widened(tool.max_bytes(), tool.limit_s());
        servers.insert(mcp.server(), Arc::new(server));
    }
    let listed =
        join_all(servers.iter().map(|(name, server)| async move { (name, server.tools().await) })).await;
    let listed: BTreeMap<&String, Result<Vec<McpTool>, String>> = listed.into_iter().collect();
    let mut problems = Vec::new();
    let mut team = Team::clone(&settings.team);
    for (tool, mcp) in with_server(&tools) {
        let name = mcp.server();
        let told = match &listed[&name] {
            Ok(told) => declared(&settings.team, tool, mcp, told),
            Err(error) => Err(error.clone()),
        };
        match told {
            Err(problem) => problems.push(format!("tool {:?}, MCP server {name:?}: {problem}", tool.name)),
            Ok((schema, about)) => {
                if let Some(own) = team.tools.iter_mut().find(|own| own.name == tool.name) {
                    own.schema = Some(schema);
                    own.about = about;
                }
                let source = Called { server: Arc::clone(&servers[&name]), tool: mcp.tool.clone() };
                settings.tools = settings.tools.with_source(&tool.name, Arc::new(source));
            }
        }
    }
    if !problems.is_empty() {
        return Err(Failure { message: problems.join("\n"), code: crate::failure::UPSTREAM });
    }
    settings.team = Arc::new(team);
    Ok(settings)
}

fn with_server(tools: &[Tool]) -> impl Iterator<Item = (&Tool, &Mcp)> {
    tools.iter().filter_map(|tool| Some((tool, tool.mcp.as_ref()?)))
}

/// A name that allows nothing is a slip.
fn unknown_names(team: &Team, allowed: &Allowed<'_>) -> Result<(), Failure> {
    let known: Vec<String> =
        with_server(&team.tools).flat_map(|(tool, mcp)| [tool.name.clone(), mcp.server()]).collect();
    match allowed.names.iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let hint = match nearest(name, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near:?}?"),
                None if known.is_empty() => "the team has no tool of an MCP server".into(),
                None => format!("there are: {}", known.join(", ")),
            };
            Err(Failure::input(format!("--allow-mcp {name:?} names no tool\nhint: {hint}")))
        }
    }
}

fn refuse(tools: &[Tool], allowed: &Allowed<'_>) -> Result<(), Failure> {
    let refused = with_server(tools).filter(|(tool, mcp)| !allowed.has(tool, mcp));
    let problem = |(tool, mcp): (&Tool, &Mcp)| {
        let does = if mcp.url.is_empty() { "start" } else { "call" };
        let given = if mcp.env.is_empty() { String::new() } else { format!(" with {}", mcp.env.join(", ")) };
        format!(
            "tool {:?} would {does} MCP server {:?}{given}, which is not allowed\nhint: --allow-mcp {}",
            tool.name,
            mcp.server(),
            tool.name
        )
    };
    let problems: Vec<String> = refused.map(problem).collect();
    if problems.is_empty() { Ok(()) } else { Err(Failure::input(problems.join("\n"))) }
}

/// The schema and the description of a tool for the model, from what its server lists.
fn declared(team: &Team, tool: &Tool, mcp: &Mcp, listed: &[McpTool]) -> Result<(Value, String), String> {
    let names = || listed.iter().map(|listed| listed.name.as_ref());
    let Some(told) = listed.iter().find(|listed| listed.name == mcp.tool) else {
        let hint = match nearest(&mcp.tool, names()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("it has: {}", names().take(30).collect::<Vec<_>>().join(", ")),
        };
        return Err(format!("it has no tool {:?}\nhint: {hint}", mcp.tool));
    };
    let schema = Value::Object(told.input_schema.as_ref().clone());
    let size = schema.to_string().len();
    if size > MAX_SCHEMA {
        return Err(format!("the schema of {:?} has {size} bytes, at most {MAX_SCHEMA} are sent", mcp.tool));
    }
    if schema.get("type").is_some_and(|kind| kind != "object") {
        return Err(format!("the schema of {:?} is no object: type is {}", mcp.tool, schema["type"]));
    }
    let empty = Map::new();
    let properties = match schema.get("properties") {
        None => &empty,
        Some(Value::Object(properties)) => properties,
        Some(_) => return Err(format!("the properties of {:?} are no object", mcp.tool)),
    };
    let required: Vec<&str> = match schema.get("required") {
        None => Vec::new(),
        Some(Value::Array(names)) if names.iter().all(Value::is_string) => {
            names.iter().filter_map(Value::as_str).collect()
        }
        Some(_) => return Err(format!("what {:?} requires is no list of names", mcp.tool)),
    };
    if let Some(name) = required.iter().find(|name| !properties.contains_key(**name)) {
        return Err(format!("{:?} requires {name:?}, which its schema does not have", mcp.tool));
    }
    // What is known before the run has to fit now: the file's own arguments, and calls that no model makes.
    let known = team.agents.iter().filter_map(|agent| agent.prefetch.get(&tool.name)).flatten();
    let known = known.map(std::collections::BTreeMap::keys);
    let own = Some(tool.arguments.keys()).filter(|_| !tool.arguments.is_empty());
    for given in known.chain(own) {
        let given: Vec<&str> = given.map(String::as_str).collect();
        let takes = || properties.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        if let Some(name) = given.iter().find(|name| !properties.contains_key(**name)) {
            return Err(format!("{:?} has no argument {name:?}\nhint: it takes: {}", mcp.tool, takes()));
        }
        if let Some(name) = required.iter().find(|name| !given.contains(name)) {
            return Err(format!("{:?} requires {name:?}, which the team does not give", mcp.tool));
        }
    }
    let about = match &told.description {
        Some(description) if tool.about.is_empty() => description.chars().take(MAX_ABOUT).collect(),
        _ => tool.about.clone(),
    };
    // The words of the file go before those of the server.
    let schema =
        if tool.arguments.is_empty() { sorted(schema) } else { lacon_agents::tools::spec(tool).parameters };
    Ok((schema, about))
}

/// The same with the keys of every object in order: a server may list them differently each time.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let map: BTreeMap<String, Value> =
                map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(map.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// One server, however many tools of the team it answers.
struct Server {
    mcp: Mcp,
    most: usize,
    limit_s: f64,
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    starts: u32,
    running: Option<Arc<Running>>,
}

struct Running {
    service: RunningService<RoleClient, ()>,
    fault: Fault,
}

impl Server {
    fn new(mcp: &Mcp) -> Self {
        Self { mcp: mcp.clone(), most: 0, limit_s: 0.0, state: tokio::sync::Mutex::default() }
    }

    /// With room and time for one more tool.
    fn widened(self, max_bytes: usize, limit_s: f64) -> Self {
        let most = self.most.max(max_bytes.saturating_mul(ESCAPES).saturating_add(FRAME));
        Self { most, limit_s: self.limit_s.max(limit_s), ..self }
    }

    /// The connection, made where there is none any more.
    async fn running(&self) -> Result<Arc<Running>, String> {
        let mut state = self.state.lock().await;
        if let Some(running) = state.running.as_ref().filter(|running| !running.service.is_transport_closed())
        {
            return Ok(Arc::clone(running));
        }
        if state.starts >= MAX_STARTS {
            let why = state.running.as_ref().and_then(|running| running.fault.get()).unwrap_or_default();
            return Err(format!("it ended {MAX_STARTS} times and is not started again: {why}"));
        }
        state.starts += 1;
        let running = Arc::new(self.start().await?);
        state.running = Some(Arc::clone(&running));
        Ok(running)
    }

    async fn start(&self) -> Result<Running, String> {
        let fault = Fault::default();
        let limit = Duration::from_secs_f64(self.limit_s);
        let begun = async {
            if self.mcp.url.is_empty() {
                let pipe = pipe::Pipe::start(&self.mcp, self.most, fault.clone())?;
                ().serve(pipe).await.map_err(|error| error.to_string())
            } else {
                let http = http::Http::new(&self.mcp.url, self.most)?;
                ().serve(http).await.map_err(|error| error.to_string())
            }
        };
        match tokio::time::timeout(limit, begun).await {
            Err(_) => Err(format!("it did not answer within {} s", self.limit_s)),
            Ok(Err(error)) => Err(shortened(&fault.get().unwrap_or(error))),
            Ok(Ok(service)) => Ok(Running { service, fault }),
        }
    }

    /// The tools that the server lists.
    async fn tools(&self) -> Result<Vec<McpTool>, String> {
        let running = self.running().await?;
        let list = async {
            let mut tools = Vec::new();
            let mut cursor: Option<String> = None;
            for _ in 0..MAX_PAGES {
                let params =
                    cursor.take().map(|cursor| PaginatedRequestParams::default().with_cursor(Some(cursor)));
                let page = running.service.list_tools(params).await.map_err(|error| running.why(&error))?;
                tools.extend(page.tools);
                if tools.len() > MAX_TOOLS {
                    return Err(format!("it lists more than {MAX_TOOLS} tools"));
                }
                match page.next_cursor {
                    None => return Ok(tools),
                    next => cursor = next,
                }
            }
            Err(format!("its list of tools has more than {MAX_PAGES} pages"))
        };
        match tokio::time::timeout(Duration::from_secs_f64(self.limit_s), list).await {
            Err(_) => Err(format!("it did not list its tools within {} s", self.limit_s)),
            Ok(listed) => listed,
        }
    }
}

impl Running {
    fn why(&self, error: &ServiceError) -> String {
        let told = match error {
            ServiceError::McpError(error) => error.message.to_string(),
            ServiceError::UnexpectedResponse => "its answer is none of a tool".into(),
            error => self.fault.get().unwrap_or_else(|| error.to_string()),
        };
        shortened(&told)
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_ERROR).collect()
}

/// One tool of a server.
struct Called {
    server: Arc<Server>,
    tool: String,
}

impl ToolSource for Called {
    fn call<'a>(&'a self, request: &'a ToolRequest) -> BoxFuture<'a, Result<ToolText, ToolError>> {
        Box::pin(async move {
            let failed = |why: String| ToolError::Failed(format!("{}: {why}", request.name));
            let running = self.server.running().await.map_err(failed)?;
            let params =
                CallToolRequestParams::new(self.tool.clone()).with_arguments(request.arguments.clone());
            let result = running.service.call_tool(params).await;
            let result = result.map_err(|error| failed(running.why(&error)))?;
            let mut text = text_of(&result.content);
            if text.trim().is_empty()
                && let Some(structured) = &result.structured_content
            {
                text = structured.to_string();
            }
            // What went wrong is for the model: it may ask otherwise.
            if result.is_error == Some(true) {
                return Err(ToolError::BadRequest(shortened(&text)));
            }
            Ok(ToolText { no_data: text.trim().is_empty(), text })
        })
    }

    fn describe(&self) -> String {
        format!("MCP server {}", self.server.mcp.server())
    }

    fn simulated(&self) -> bool {
        false
    }
}

/// The texts of an answer; what is none is named.
fn text_of(content: &[ContentBlock]) -> String {
    let text = |block: &ContentBlock| match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(_) => "(an image, left out)".into(),
        ContentBlock::Audio(_) => "(a sound, left out)".into(),
        ContentBlock::ResourceLink(link) => format!("(a link to {})", link.uri),
        ContentBlock::Resource(resource) => match &resource.resource {
            ResourceContents::TextResourceContents { text, .. } => text.clone(),
            _ => "(a file, left out)".into(),
        },
        _ => "(something of another kind, left out)".into(),
    };
    content.iter().map(text).collect::<Vec<_>>().join("\n")
}

/// A message of a server. An answer that cannot be read becomes the error of its request, so that nobody waits for it.
fn message(bytes: &[u8]) -> Option<rmcp::service::RxJsonRpcMessage<RoleClient>> {
    let value: Value = serde_json::from_slice(bytes.trim_ascii()).ok()?;
    let id = value.get("id").cloned().filter(|_| value.get("method").is_none());
    match serde_json::from_value(value) {
        Ok(message) => Some(message),
        Err(error) => {
            let why = format!("its answer is none: {error}");
            let id = serde_json::from_value(id?).ok()?;
            let error = rmcp::ErrorData::internal_error(why, None);
            Some(rmcp::model::JsonRpcMessage::error(error, Some(id)))
        }
    }
}
