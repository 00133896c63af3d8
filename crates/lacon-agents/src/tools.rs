//! The tools of a run: closures, servers and folders behind one source, each call bounded in time and size.

mod folder;

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use lacon_llm::{BoxFuture, ToolSpec};
use lacon_runtime::{
    ToolError, ToolRequest, ToolSource, ToolText,
    http_tools::{HttpLimits, HttpTools},
};
use serde_json::{Map, Value, json};

use crate::{
    answer::bounded,
    team::{Team, Tool},
};

/// Who answers the tools of a team, by name.
#[derive(Clone, Default)]
pub struct Tools {
    own: BTreeMap<String, Arc<dyn ToolSource>>,
}

impl std::fmt::Debug for Tools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.own.keys()).finish()
    }
}

impl Tools {
    /// No tools.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers a tool by an async closure. Its error is told to the model, which may ask otherwise.
    #[must_use]
    pub fn with<F, R>(self, name: &str, answer: F) -> Self
    where
        F: Fn(Map<String, Value>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, String>> + Send + 'static,
    {
        self.with_source(name, Arc::new(Closure(answer)))
    }

    /// Answers a tool by a source.
    #[must_use]
    pub fn with_source(mut self, name: &str, source: Arc<dyn ToolSource>) -> Self {
        self.own.insert(name.into(), source);
        self
    }

    /// Whether somebody answers a tool already.
    pub fn has(&self, name: &str) -> bool {
        self.own.contains_key(name)
    }

    /// Adds the servers and folders that the team names and nobody answers yet.
    ///
    /// Servers are not connected to before their first call.
    ///
    /// # Errors
    /// Every tool that nobody can answer: one without its closure, a server of the Model Context Protocol, a simulated tool without a simulator, a folder that is not there.
    pub fn connect(mut self, team: &Team, run_id: &str) -> Result<Self, String> {
        let mut problems = Vec::new();
        for tool in team.tools.iter().filter(|tool| !self.own.contains_key(&tool.name)).collect::<Vec<_>>() {
            match server(tool, run_id) {
                Ok(source) => drop(self.own.insert(tool.name.clone(), source)),
                Err(problem) => problems.push(format!("tool {:?} {problem}", tool.name)),
            }
        }
        if problems.is_empty() { Ok(self) } else { Err(problems.join("\n")) }
    }

    /// One source of all tools that keeps the limits of the team.
    pub(crate) fn bounded(self, team: &Team) -> Arc<dyn ToolSource> {
        let limits = team.tools.iter().map(|tool| {
            let limit = Duration::from_secs_f64(tool.limit_s());
            (tool.name.clone(), (limit, tool.max_bytes()))
        });
        Arc::new(Bounded { limits: limits.collect(), own: self.own })
    }
}

fn server(tool: &Tool, run_id: &str) -> Result<Arc<dyn ToolSource>, String> {
    if !tool.http.is_empty() {
        let limits = HttpLimits {
            whole: Duration::from_secs_f64(tool.limit_s()),
            // What is longer than the limit is cut here, and told; far beyond it the answer is refused.
            max_body: tool.max_bytes().saturating_mul(8),
            ..HttpLimits::default()
        };
        let base = tool.http.trim_end_matches('/');
        let base = base.strip_suffix(&tool.name).and_then(|b| b.strip_suffix('/')).unwrap_or(base);
        let tools = HttpTools::new(base, run_id, &[], false, limits);
        return Ok(Arc::new(tools.map_err(|error| format!("cannot be reached: {error}"))?));
    }
    if !tool.folder.is_empty() {
        return Ok(Arc::new(folder::Folder::new(&tool.folder, tool.max_bytes())?));
    }
    Err(if tool.mcp.is_some() {
        "is a server of the Model Context Protocol, and nothing has connected it\nhint: lacon run --allow-mcp NAME does; in Rust give its answers by Tools::with_source".into()
    } else if tool.simulated {
        "is simulated, and no simulator answers it\nhint: name a server: --tool NAME=http://…, or leave out --llm".into()
    } else {
        "has no code that answers it\nhint: Tools::new().with(\"NAME\", |arguments| async move { … })".into()
    })
}

/// What a model is told of a tool.
pub fn spec(tool: &Tool) -> ToolSpec {
    if let Some(schema) = &tool.schema {
        return ToolSpec::new(tool.name.clone(), tool.about.clone(), schema.clone());
    }
    let properties: Map<String, Value> = tool
        .arguments
        .iter()
        .map(|(name, about)| (name.clone(), json!({"type": "string", "description": about})))
        .collect();
    let required: Vec<&String> = tool.arguments.keys().collect();
    let parameters = json!({"type": "object", "properties": properties, "required": required});
    ToolSpec::new(tool.name.clone(), tool.about.clone(), parameters)
}

struct Closure<F>(F);

impl<F, R> ToolSource for Closure<F>
where
    F: Fn(Map<String, Value>) -> R + Send + Sync,
    R: Future<Output = Result<String, String>> + Send + 'static,
{
    fn call<'a>(&'a self, request: &'a ToolRequest) -> BoxFuture<'a, Result<ToolText, ToolError>> {
        let answer = (self.0)(request.arguments.clone());
        Box::pin(async move {
            let text = answer.await.map_err(ToolError::Failed)?;
            Ok(ToolText { no_data: text.trim().is_empty(), text })
        })
    }

    fn describe(&self) -> String {
        "code".into()
    }

    fn simulated(&self) -> bool {
        false
    }
}

/// All tools of a run, each within its limits.
struct Bounded {
    own: BTreeMap<String, Arc<dyn ToolSource>>,
    limits: BTreeMap<String, (Duration, usize)>,
}

impl ToolSource for Bounded {
    fn call<'a>(&'a self, request: &'a ToolRequest) -> BoxFuture<'a, Result<ToolText, ToolError>> {
        Box::pin(async move {
            let name = &request.name;
            let (Some(source), Some((limit, most))) = (self.own.get(name), self.limits.get(name)) else {
                let known: Vec<&str> = self.own.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "there is none".into() } else { known.join(", ") };
                return Err(ToolError::BadRequest(format!("there is no tool {name:?}; tools: {known}")));
            };
            let late = |_| ToolError::TimedOut { name: name.clone(), limit_s: limit.as_secs_f64() };
            let mut answer = tokio::time::timeout(*limit, source.call(request)).await.map_err(late)??;
            if answer.text.len() > *most {
                let whole = answer.text.len();
                answer.text.truncate(bounded(&answer.text, *most).len());
                answer.text.push_str(&format!("\n(cut: {most} of {whole} bytes)"));
            }
            Ok(answer)
        })
    }

    fn describe(&self) -> String {
        "tools of the team".into()
    }

    fn simulated(&self) -> bool {
        self.own.values().any(|source| source.simulated())
    }
}
