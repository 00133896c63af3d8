//! Sessions of Claude Code: one JSON line an event. A message of the model is told in several lines, one a block, and each
//! repeats its usage; tools begin with a block of a message and end with a result in a later line.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    Answer, Kind, SpanTokens,
    batch::{Batch, Outer},
    json,
    settle::Raw,
    usage, when,
};

/// Whether a value is a line of a session.
pub fn is_line(value: &Value) -> bool {
    let kind = json::get(value, "type").and_then(Value::as_str).unwrap_or_default();
    let session = json::get(value, "sessionId").is_some() || json::get(value, "session_id").is_some();
    session
        && matches!(kind, "user" | "assistant" | "system" | "result" | "progress" | "attachment")
        && (json::get(value, "uuid").is_some() || json::get(value, "message").is_some() || kind == "result")
        && json::get(value, "traceId").is_none()
}

/// Who speaks in one row: the session itself, or an agent that a tool started.
#[derive(Default)]
struct Chain {
    /// When the model could begin: the last prompt or tool result.
    ready: Option<f64>,
    /// The span that the chain's calls lie in.
    parent: Option<String>,
}

struct Tool {
    raw: Raw,
    prompt: Option<String>,
}

#[derive(Default)]
struct Session {
    id: String,
    first: Option<f64>,
    last: Option<f64>,
    turns: Vec<Raw>,
    calls: Vec<Raw>,
    call_of: HashMap<String, usize>,
    tools: Vec<Tool>,
    tool_of: HashMap<String, usize>,
    chains: HashMap<String, Chain>,
    cost_usd: Option<f64>,
    took_s: Option<f64>,
}

/// Reads the lines of a file; sessions are told apart by their identifiers.
pub fn session(lines: &[Value], batch: &mut Batch) {
    let mut sessions: Vec<Session> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for line in lines {
        let text = |keys: &[&str]| keys.iter().find_map(|k| json::get(line, k)).and_then(json::text);
        let Some(id) = text(&["sessionId", "session_id"]) else { continue };
        let place = *places.entry(id).or_insert_with_key(|id| {
            sessions.push(Session { id: id.clone(), ..Session::default() });
            sessions.len() - 1
        });
        sessions[place].line(line);
    }
    for session in sessions {
        session.finish(batch);
    }
}

impl Session {
    fn line(&mut self, line: &Value) {
        let at = json::get(line, "timestamp").and_then(when::unix);
        if let Some(at) = at {
            self.first = Some(self.first.map_or(at, |t| t.min(at)));
            self.last = Some(self.last.map_or(at, |t| t.max(at)));
        }
        match json::get(line, "type").and_then(Value::as_str) {
            Some("user") => self.user(line, at),
            Some("assistant") => self.assistant(line, at),
            Some("result") => {
                self.cost_usd = json::get(line, "total_cost_usd").and_then(Value::as_f64).or(self.cost_usd);
                let ms = json::get(line, "duration_ms").and_then(Value::as_f64);
                self.took_s = ms.map(|ms| ms / 1e3).filter(|s| s.is_finite() && *s >= 0.0);
            }
            _ => {}
        }
        if let (Some(turn), Some(at)) = (self.turns.last_mut(), at) {
            turn.end = Some(turn.end.map_or(at, |end| end.max(at)));
        }
    }

    /// The chain that a line belongs to: empty for the session itself.
    fn chain(&mut self, line: &Value) -> String {
        let text = |key: &str| json::get(line, key).and_then(json::text).filter(|t| !t.is_empty());
        let started_by = text("parent_tool_use_id").or_else(|| text("parentToolUseID"));
        let is_side = json::get(line, "isSidechain").and_then(Value::as_bool) == Some(true);
        if !is_side && started_by.is_none() {
            return String::new();
        }
        let name = text("agentId").or_else(|| started_by.clone()).unwrap_or_else(|| "side".into());
        if !self.chains.contains_key(&name) {
            let prompt = json::first(line, &["message.content"]).and_then(Value::as_str);
            let open = |t: &&Tool| t.raw.end.is_none() && t.prompt.is_some();
            let by_prompt = self.tools.iter().rev().filter(open).find(|t| t.prompt.as_deref() == prompt);
            let by_id = started_by.as_deref().and_then(|id| self.tools.iter().find(|t| t.raw.span.id == id));
            let found = by_id.or(by_prompt).or_else(|| self.tools.iter().rev().find(open));
            let parent = found.map(|t| t.raw.span.id.clone());
            self.chains.entry(name.clone()).or_default().parent = parent;
        }
        name
    }

    fn user(&mut self, line: &Value, at: Option<f64>) {
        let chain = self.chain(line);
        let content = json::first(line, &["message.content"]);
        let blocks = content.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut is_result = false;
        for block in
            blocks.iter().filter(|b| json::get(b, "type").and_then(Value::as_str) == Some("tool_result"))
        {
            is_result = true;
            let id = json::get(block, "tool_use_id").and_then(Value::as_str).unwrap_or_default();
            let Some(tool) = self.tool_of.get(id).and_then(|i| self.tools.get_mut(*i)) else { continue };
            tool.raw.end = tool.raw.end.or(at);
            let result = json::get(block, "content");
            let bytes = result.map_or(0, super::attributes::size);
            tool.raw.span.attributes.insert("result_bytes".into(), bytes.into());
            if json::get(block, "is_error").and_then(Value::as_bool) == Some(true) {
                let why = result.and_then(json::text).unwrap_or_else(|| "failed".into());
                tool.raw.span.error = Some(why.chars().take(200).collect());
            }
        }
        let is_meta = json::get(line, "isMeta").and_then(Value::as_bool) == Some(true);
        if chain.is_empty() && !is_result && !is_meta {
            self.turn(at);
        }
        let chain = self.chains.entry(chain).or_default();
        chain.ready = at.or(chain.ready);
    }

    fn turn(&mut self, at: Option<f64>) {
        let n = self.turns.len() + 1;
        let mut raw = Raw { start: at, end: at, parent: Some(self.id.clone()), ..Raw::default() };
        raw.span.id = format!("{}/turn {n}", self.id);
        raw.span.name = format!("turn {n}");
        raw.span.kind = Kind::Node;
        self.turns.push(raw);
    }

    fn assistant(&mut self, line: &Value, at: Option<f64>) {
        let model = json::first(line, &["message.model"]).and_then(json::text);
        // Messages of the program itself, such as an interruption, asked no model.
        if model.as_deref() == Some("<synthetic>") {
            return;
        }
        let chain = self.chain(line);
        if self.turns.is_empty() {
            self.turn(at);
        }
        let turn = self.turns.last().map(|t| t.span.id.clone());
        let text = |path: &str| json::first(line, &[path]).and_then(json::text);
        let key =
            text("message.id").or_else(|| text("requestId")).or_else(|| text("uuid")).unwrap_or_default();
        let place = match self.call_of.get(&key) {
            Some(place) => *place,
            None => {
                let of = self.chains.entry(chain.clone()).or_default();
                let mut raw = Raw { start: of.ready.or(at), end: at, ..Raw::default() };
                raw.parent = of.parent.clone().filter(|_| !chain.is_empty()).or_else(|| turn.clone());
                raw.span.id = if key.is_empty() {
                    format!("{}/call {}", self.id, self.calls.len())
                } else {
                    key.clone()
                };
                raw.span.name = model.clone().map_or_else(|| "call".into(), |m| format!("chat {m}"));
                raw.span.kind = Kind::Model;
                raw.span.model = model;
                raw.span.scope = Some("claude-code".into());
                self.call_of.insert(key, self.calls.len());
                self.calls.push(raw);
                self.calls.len() - 1
            }
        };
        let Some(call) = self.calls.get_mut(place) else { return };
        call.end = match (call.end, at) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        if let Some(found) = json::first(line, &["message.usage"]) {
            // Lines of one message repeat its usage, the last one with the whole answer.
            let found = usage::of(found);
            call.span.tokens = call.span.tokens.most(SpanTokens { total: None, ..found });
        }
        if let Some(cost) = json::get(line, "costUSD").and_then(Value::as_f64).filter(|c| c.is_finite()) {
            call.span.cost_usd = Some(cost);
        }
        if let Some(reason) = json::first(line, &["message.stop_reason"]).filter(|r| !r.is_null()) {
            call.span.attributes.insert("stop_reason".into(), reason.clone());
        }
        let content = json::first(line, &["message.content"]);
        if let Some(Value::String(text)) = content {
            call.span.answer = if text.is_empty() { Answer::Empty } else { Answer::Text };
        }
        let (owner, parent) = (call.span.id.clone(), call.parent.clone());
        let mut asked = 0;
        for block in content.and_then(Value::as_array).into_iter().flatten() {
            match json::get(block, "type").and_then(Value::as_str) {
                Some("text") => call.span.answer = Answer::Text,
                Some("tool_use" | "server_tool_use") => {
                    asked += 1;
                    if call.span.answer != Answer::Text {
                        call.span.answer = Answer::Tools;
                    }
                    let text = |key: &str| json::get(block, key).and_then(json::text);
                    let id = text("id").unwrap_or_else(|| format!("{owner}/tool {}", self.tools.len()));
                    if self.tool_of.contains_key(&id) {
                        continue;
                    }
                    let mut raw = Raw { start: at, parent: parent.clone(), ..Raw::default() };
                    raw.span.id.clone_from(&id);
                    raw.span.name = text("name").unwrap_or_else(|| "tool".into());
                    raw.span.kind = Kind::Tool;
                    let prompt = json::first(block, &["input.prompt"]).and_then(json::text);
                    let starts_agent = matches!(raw.span.name.as_str(), "Task" | "Agent");
                    self.tool_of.insert(id, self.tools.len());
                    self.tools.push(Tool { raw, prompt: prompt.or_else(|| starts_agent.then(String::new)) });
                }
                _ => {}
            }
        }
        call.span.asks_tools += asked;
    }

    fn finish(self, batch: &mut Batch) {
        let mut root = Raw { start: self.first, end: self.last, ..Raw::default() };
        if self.first.is_none() {
            super::note(&mut batch.problems, "no_times", "the session does not say when its messages came");
            (root.start, root.end) = (Some(0.0), Some(self.took_s.unwrap_or(0.0)));
        }
        root.span.id.clone_from(&self.id);
        root.span.name = "session".into();
        root.span.cost_usd = self.cost_usd;
        let timed = self.first.is_some();
        let tools = self.tools.into_iter().map(|t| t.raw);
        for mut raw in std::iter::once(root).chain(self.turns).chain(self.calls).chain(tools) {
            raw.trace = Some(self.id.clone());
            if !timed {
                raw.start = raw.start.or(Some(0.0));
                raw.end = raw.end.or(raw.start);
            }
            batch.raws.push(raw);
        }
        batch.outer.push(Outer { id: self.id, name: "session".into(), ..Outer::default() });
    }
}
