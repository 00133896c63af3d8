//! What an endpoint accepts, learned from what it refuses.
//!
//! Chat Completions is spoken by hundreds of servers, and many take less than the protocol says: chat templates that
//! insist on alternating roles or know no system message, servers without a JSON Schema, or without the usage of a
//! stream. A request that is refused as it is goes out once more in the next plainer way. What then works is kept for
//! the model.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use crate::capabilities::{Capabilities, StructuredSupport};
use crate::error::{Error, ErrorKind};
use crate::message::{Message, Role};
use crate::request::{Request, Reuse};

/// Most models that are remembered.
const MAX_MODELS: usize = 256;
/// Stands between two messages that were joined. It is always the same, so prompts that share their first messages
/// still share their first bytes.
const BETWEEN: &str = "\n\n";

/// Which order of roles is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Roles {
    #[default]
    Any,
    /// One system message at the start, then user and assistant in turns.
    InTurns,
    /// As before, without a system message.
    NoSystem,
}

/// How requests to one model are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Manner {
    roles: Roles,
    form: Option<StructuredSupport>,
    no_stream_usage: bool,
}

impl Manner {
    pub(super) fn stream_usage(self) -> bool {
        !self.no_stream_usage
    }

    /// Writes the request so; `None` for one that stays as it is.
    pub(super) fn request(self, request: &Request) -> Cow<'_, Request> {
        match joined(&request.messages, self.roles) {
            // Cache marks name messages by number.
            Some(messages) => Cow::Owned(Request { messages, reuse: Reuse::Unknown, ..request.clone() }),
            None => Cow::Borrowed(request),
        }
    }

    /// What the model accepts, no more than what was learned.
    pub(super) fn capabilities(self, capabilities: Capabilities) -> Capabilities {
        Capabilities { structured: self.form.unwrap_or(capabilities.structured), ..capabilities }
    }

    /// The next plainer way to ask after a refusal, with what is given up; `None` where plainness cannot help.
    pub(super) fn plainer(self, request: &Request, error: &Error) -> Option<(Self, &'static str)> {
        let told = error.message().to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| told.contains(word));
        // Servers that render the chat template late report its complaint as their own failure.
        let of_template = says(&["jinja", "template", "alternat"]);
        let refused = error.kind() == ErrorKind::InvalidRequest
            || (matches!(error.kind(), ErrorKind::Status(500)) && of_template);
        if !refused {
            return None;
        }
        if says(&["stream_options", "include_usage"]) && !self.no_stream_usage {
            return Some((Self { no_stream_usage: true, ..self }, "the usage of a stream is not asked for"));
        }
        let changes = |roles: Roles| {
            let now = joined(&request.messages, self.roles);
            let then = joined(&request.messages, roles);
            roles > self.roles && then.is_some() && then != now
        };
        let in_turns = || {
            changes(Roles::InTurns).then_some((
                Self { roles: Roles::InTurns, ..self },
                "neighboring messages of a role are joined",
            ))
        };
        let no_system = || {
            changes(Roles::NoSystem).then_some((
                Self { roles: Roles::NoSystem, ..self },
                "the system message stands at the start of the first user message",
            ))
        };
        let form = || {
            request.response_format.as_ref()?;
            match self.capabilities(Capabilities::of(&request.model)).structured {
                StructuredSupport::Schema => Some((
                    Self { form: Some(StructuredSupport::JsonObject), ..self },
                    "any JSON is asked for, with the schema in the prompt",
                )),
                StructuredSupport::JsonObject => Some((
                    Self { form: Some(StructuredSupport::Prompt), ..self },
                    "only the prompt asks for JSON",
                )),
                StructuredSupport::Prompt => None,
            }
        };
        if of_template || says(&["role", "consecutive", "system message", "system prompt"]) {
            let system_first = says(&["system"]) && !says(&["alternat", "consecutive"]);
            let roles =
                if system_first { no_system().or_else(in_turns) } else { in_turns().or_else(no_system) };
            return roles.or_else(form);
        }
        form()
    }
}

/// Joins neighbors of a role; `None` where nothing changes. Messages with calls or results of tools stay.
fn joined(messages: &[Message], roles: Roles) -> Option<Vec<Message>> {
    if roles == Roles::Any {
        return None;
    }
    let mut out: Vec<Message> = Vec::with_capacity(messages.len());
    for message in messages {
        let mut message = message.clone();
        let leads = out.iter().all(|before| before.role == Role::System);
        if message.role == Role::System && (!leads || roles == Roles::NoSystem) {
            message.role = Role::User;
        }
        match out.last_mut() {
            Some(last)
                if last.role == message.role
                    && matches!(message.role, Role::User | Role::System | Role::Assistant)
                    && last.tool_calls.is_empty()
                    && message.tool_calls.is_empty() =>
            {
                last.content.push_str(BETWEEN);
                last.content.push_str(&message.content);
            }
            _ => out.push(message),
        }
    }
    (out != messages).then_some(out)
}

/// What was learned of the models of an endpoint.
#[derive(Debug, Default)]
pub(super) struct Manners(Mutex<HashMap<String, Manner>>);

impl Manners {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Manner>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn of(&self, model: &str) -> Manner {
        self.lock().get(model).copied().unwrap_or_default()
    }

    /// Keeps a way of asking that worked.
    pub(super) fn keep(&self, model: &str, manner: Manner) {
        let mut known = self.lock();
        if known.len() < MAX_MODELS || known.contains_key(model) {
            known.insert(model.to_owned(), manner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(messages: &[Message], roles: Roles) -> Option<Vec<(Role, String)>> {
        joined(messages, roles).map(|all| all.into_iter().map(|m| (m.role, m.content)).collect())
    }

    #[test]
    fn joined_prompts_share_the_bytes_that_their_messages_share() {
        let (system, a, b) = (Message::system("rules"), Message::user("data"), Message::user("do it"));
        assert_eq!(joined(&[system.clone(), a.clone()], Roles::InTurns), None);
        let shared = texts(&[system.clone(), a.clone()], Roles::NoSystem).unwrap();
        assert_eq!(shared, [(Role::User, "rules\n\ndata".to_owned())]);
        let all = texts(&[system.clone(), a.clone(), b.clone()], Roles::NoSystem).unwrap();
        assert!(all[0].1.starts_with(&shared[0].1));
        let turns = texts(&[system.clone(), system.clone(), a, b, system], Roles::InTurns).unwrap();
        assert_eq!(
            turns,
            [(Role::System, "rules\n\nrules".to_owned()), (Role::User, "data\n\ndo it\n\nrules".to_owned())]
        );
    }
}
