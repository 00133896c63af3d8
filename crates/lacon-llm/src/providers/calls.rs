//! Tool calls that arrive in parts, and the check of every answer's calls.

use serde_json::Value;

use crate::error::{Error, ErrorKind, Malformed};
use crate::message::ToolCall;

/// Start of ids for calls that came without one.
const MADE_UP: &str = "call_";

/// Most calls of one answer. Every call is run, so that an answer with more would be a way to make work.
const MAX_CALLS: usize = 128;
/// Most bytes of names and arguments of one answer's calls: many times what the longest answer of any model holds.
const MAX_CALL_BYTES: usize = 8 << 20;

/// Tool calls that arrive in parts.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    calls: Vec<PartialCall>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct PartialCall {
    index: Option<u64>,
    id: Option<String>,
    name: String,
    arguments: String,
}

impl Calls {
    /// Adds a part; returns whether it began a call. More or larger calls than an answer may have are an error.
    ///
    /// A part belongs to the call with its index. Without an index it begins a call when it brings a new id or, with none at
    /// all, a name; otherwise it goes on with the last one.
    pub(crate) fn add(
        &mut self,
        index: Option<u64>,
        id: Option<String>,
        name: &str,
        arguments: &str,
    ) -> Result<bool, Error> {
        self.bytes += id.as_ref().map_or(0, String::len) + name.len() + arguments.len();
        if self.bytes > MAX_CALL_BYTES {
            return Err(too_large(format!("tool calls are larger than {MAX_CALL_BYTES} bytes")));
        }
        let id = id.filter(|id| !id.is_empty());
        let at = match (index, &id) {
            (Some(index), _) => self.calls.iter().rposition(|call| call.index == Some(index)),
            (None, Some(id)) => self.calls.iter().position(|call| call.id.as_ref() == Some(id)),
            (None, None) if name.is_empty() => self.calls.len().checked_sub(1),
            (None, None) => None,
        };
        // Some servers number every call 0: another id with another name is another call.
        let at = at.filter(|&at| {
            let call = &self.calls[at];
            !(id.is_some() && call.id.is_some() && call.id != id && !name.is_empty())
        });
        match at {
            Some(at) => {
                let call = &mut self.calls[at];
                call.arguments.push_str(arguments);
                if call.name.is_empty() {
                    call.name.push_str(name);
                }
                call.id = call.id.take().or(id);
                Ok(false)
            }
            None if self.calls.len() == MAX_CALLS => {
                Err(too_large(format!("answer has more than {MAX_CALLS} tool calls")))
            }
            None => {
                self.calls.push(PartialCall {
                    index,
                    id,
                    name: name.to_owned(),
                    arguments: arguments.to_owned(),
                });
                Ok(true)
            }
        }
    }

    /// Returns the name of the last call, or nothing.
    pub(crate) fn last_name(&self) -> &str {
        self.calls.last().map_or("", |call| &call.name)
    }

    /// Says whether an id was made up here because the provider gave none.
    pub(crate) fn is_made_up(id: &str) -> bool {
        id.strip_prefix(MADE_UP).is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
    }

    /// Says whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Returns the calls; their arguments must be JSON objects, and no arguments count as an empty object.
    pub(crate) fn finish(self, cut: bool) -> Result<Vec<ToolCall>, Error> {
        let mut calls = Vec::with_capacity(self.calls.len());
        for (n, call) in self.calls.into_iter().enumerate() {
            let broken = |what: String| {
                let error = Error::new(ErrorKind::Malformed(Malformed::ToolArguments), what);
                if cut { error.with_hint("the token limit cut the call; raise max_tokens") } else { error }
            };
            if call.name.is_empty() {
                return Err(broken(format!("tool call {} has no name", n + 1)));
            }
            let arguments = if call.arguments.trim().is_empty() { "{}".to_owned() } else { call.arguments };
            match serde_json::from_str::<Value>(&arguments) {
                Ok(Value::Object(_)) => {}
                Ok(_) => {
                    return Err(broken(format!("arguments of tool call {:?} are not an object", call.name)));
                }
                Err(error) => {
                    return Err(broken(format!(
                        "arguments of tool call {:?} are not valid json: {error}",
                        call.name
                    )));
                }
            }
            let id = call.id.unwrap_or_else(|| format!("{MADE_UP}{n}"));
            calls.push(ToolCall { id, name: call.name, arguments });
        }
        Ok(calls)
    }
}

fn too_large(what: String) -> Error {
    Error::new(ErrorKind::Malformed(Malformed::TooLarge), what)
}
