//! Sessions of Codex: one JSON line an event. Tokens come after each answer, as the last request's and as the sum so far.

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
    matches!(kind, "session_meta" | "turn_context" | "response_item" | "event_msg" | "compacted")
        && json::get(value, "payload").is_some()
}

#[derive(Default)]
struct Session {
    id: String,
    model: Option<String>,
    first: Option<f64>,
    last: Option<f64>,
    turns: Vec<Raw>,
    calls: Vec<Raw>,
    tools: Vec<Raw>,
    tool_of: HashMap<String, usize>,
    /// When the model could begin.
    ready: Option<f64>,
    /// The answer that is being given: its first and its last moment.
    open: Option<Open>,
    /// Whether the last answer still waits for its tokens.
    owed: bool,
    total: SpanTokens,
}

struct Open {
    last: Option<f64>,
    asks: u32,
    says: bool,
}

/// Reads the lines of a file, which is one session.
pub fn session(lines: &[Value], batch: &mut Batch) {
    if lines.is_empty() {
        return;
    }
    let mut session = Session { id: "session".into(), ..Session::default() };
    lines.iter().for_each(|line| session.line(line));
    session.finish(batch);
}

impl Session {
    fn line(&mut self, line: &Value) {
        let at = json::get(line, "timestamp").and_then(when::unix);
        if let Some(at) = at {
            self.first = Some(self.first.map_or(at, |t| t.min(at)));
            self.last = Some(self.last.map_or(at, |t| t.max(at)));
        }
        let Some(payload) = json::get(line, "payload") else { return };
        let kind = json::get(payload, "type").and_then(Value::as_str).unwrap_or_default();
        match (json::get(line, "type").and_then(Value::as_str).unwrap_or_default(), kind) {
            ("session_meta", _) => {
                if let Some(id) = json::first(payload, &["id", "session_id"]).and_then(json::text) {
                    self.id = id;
                }
            }
            ("turn_context", _) => {
                self.model = json::get(payload, "model").and_then(json::text).or(self.model.take());
                self.ready = at.or(self.ready);
            }
            ("event_msg", "task_started" | "user_message") => self.begin(kind, at),
            ("event_msg", "token_count") => self.tokens(payload, at),
            ("response_item", "message") => match json::get(payload, "role").and_then(Value::as_str) {
                Some("assistant") => self.said(at, 0, true),
                _ => self.ready = at.or(self.ready),
            },
            ("response_item", "reasoning") => self.said(at, 0, false),
            (
                "response_item",
                "function_call" | "custom_tool_call" | "local_shell_call" | "web_search_call",
            ) => {
                self.said(at, 1, false);
                self.tool(payload, kind, at);
            }
            (
                "response_item",
                "function_call_output" | "custom_tool_call_output" | "local_shell_call_output",
            ) => {
                self.close();
                self.result(payload, at);
                self.ready = at.or(self.ready);
            }
            _ => {}
        }
        if let (Some(turn), Some(at)) = (self.turns.last_mut(), at) {
            turn.end = Some(turn.end.map_or(at, |end| end.max(at)));
        }
    }

    fn begin(&mut self, kind: &str, at: Option<f64>) {
        self.close();
        self.ready = at.or(self.ready);
        // The task and the message that it was started with are one turn.
        let fresh = self.turns.last().is_some_and(|t| t.span.attributes.contains_key("fresh"));
        if kind == "user_message" && fresh {
            return;
        }
        let n = self.turns.len() + 1;
        let mut raw = Raw { start: at, end: at, parent: Some(self.id.clone()), ..Raw::default() };
        raw.span.id = format!("turn {n}");
        raw.span.name = format!("turn {n}");
        raw.span.kind = Kind::Node;
        raw.span.attributes.insert("fresh".into(), true.into());
        self.turns.push(raw);
    }

    fn said(&mut self, at: Option<f64>, asks: u32, says: bool) {
        let open = self.open.get_or_insert(Open { last: at, asks: 0, says: false });
        open.last = at.or(open.last);
        open.asks += asks;
        open.says |= says;
    }

    /// Ends the answer that is being given.
    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        if self.turns.is_empty() {
            let at = self.ready.or(open.last);
            self.begin("", at);
        }
        let turn = self.turns.last_mut();
        let mut raw = Raw { start: self.ready.or(open.last), end: open.last, ..Raw::default() };
        if let Some(turn) = turn {
            turn.span.attributes.remove("fresh");
            raw.parent = Some(turn.span.id.clone());
        }
        raw.span.id = format!("call {}", self.calls.len() + 1);
        raw.span.name = self.model.as_ref().map_or_else(|| "call".into(), |m| format!("chat {m}"));
        raw.span.kind = Kind::Model;
        raw.span.model.clone_from(&self.model);
        raw.span.scope = Some("codex".into());
        raw.span.asks_tools = open.asks;
        raw.span.answer = match (open.says, open.asks) {
            (true, _) => Answer::Text,
            (false, 0) => Answer::NotRecorded,
            (false, _) => Answer::Tools,
        };
        self.ready = open.last.or(self.ready);
        self.calls.push(raw);
        self.owed = true;
    }

    fn tokens(&mut self, payload: &Value, at: Option<f64>) {
        let Some(info) = json::get(payload, "info").filter(|i| !i.is_null()) else { return };
        let total = json::get(info, "total_token_usage").map(usage::of);
        // The same sum again is a repetition.
        if total.is_some_and(|t| t == self.total) {
            return;
        }
        let last = json::get(info, "last_token_usage").map(usage::of).filter(|t| t.sum().is_some());
        let before = std::mem::replace(&mut self.total, total.unwrap_or_default());
        let tokens = last.or_else(|| Some(less(&total?, &before)));
        if self.open.is_none() && !self.owed {
            self.open = Some(Open { last: at, asks: 0, says: false });
        }
        self.close();
        if let (Some(call), Some(tokens)) = (self.calls.last_mut(), tokens) {
            call.span.tokens = tokens;
        }
        self.owed = false;
    }

    fn tool(&mut self, payload: &Value, kind: &str, at: Option<f64>) {
        let text = |key: &str| json::get(payload, key).and_then(json::text);
        let id = text("call_id")
            .or_else(|| text("id"))
            .unwrap_or_else(|| format!("tool {}", self.tools.len() + 1));
        let mut raw = Raw { start: at, ..Raw::default() };
        raw.parent = self.turns.last().map(|t| t.span.id.clone());
        raw.span.id.clone_from(&id);
        raw.span.name = text("name").unwrap_or_else(|| kind.trim_end_matches("_call").into());
        raw.span.kind = Kind::Tool;
        // A search of the provider's runs inside of the answer and has no result of its own.
        if kind == "web_search_call" {
            raw.end = at;
        }
        self.tool_of.insert(id, self.tools.len());
        self.tools.push(raw);
    }

    fn result(&mut self, payload: &Value, at: Option<f64>) {
        let id = json::get(payload, "call_id").and_then(json::text).unwrap_or_default();
        let Some(tool) = self.tool_of.get(&id).and_then(|i| self.tools.get_mut(*i)) else { return };
        tool.end = at.or(tool.end);
        let bytes = json::get(payload, "output").map_or(0, super::attributes::size);
        tool.span.attributes.insert("result_bytes".into(), bytes.into());
    }

    fn finish(mut self, batch: &mut Batch) {
        self.close();
        let mut root = Raw { start: self.first, end: self.last, ..Raw::default() };
        root.span.id.clone_from(&self.id);
        root.span.name = "session".into();
        for turn in &mut self.turns {
            turn.parent = Some(self.id.clone());
            turn.span.attributes.remove("fresh");
        }
        for mut raw in std::iter::once(root).chain(self.turns).chain(self.calls).chain(self.tools) {
            raw.trace = Some(self.id.clone());
            batch.raws.push(raw);
        }
        batch.outer.push(Outer { id: self.id, name: "session".into(), ..Outer::default() });
    }
}

fn less(a: &SpanTokens, b: &SpanTokens) -> SpanTokens {
    a.zip(*b, |x, y| x.map(|x| x.saturating_sub(y.unwrap_or(0))))
}
