//! What each family of models accepts; the rows are those of `lacon-models`, with patterns that cover future members.
//!
//! A parameter that a family refuses is left out, and the answer carries a warning. A model that no rule knows gets the
//! plainest request and a warning of its own.

use lacon_models::{capabilities_of, plain_name};

#[cfg(feature = "http")]
use crate::{client::ClientInfo, providers::Protocol};

/// How a family answers in a given form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StructuredSupport {
    /// The provider enforces a JSON Schema.
    Schema,
    /// The provider enforces JSON; the schema must be in the prompt.
    JsonObject,
    /// Only the prompt can ask for it.
    Prompt,
}

/// What a model accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Name of the rule that matched, `unknown` if none did.
    pub family: &'static str,
    /// Accepts a sampling temperature.
    pub temperature: bool,
    /// Accepts a reasoning effort.
    pub effort: bool,
    /// Wants `max_completion_tokens` instead of `max_tokens` in Chat Completions.
    pub max_completion_tokens: bool,
    /// Accepts a tool choice that forces a call.
    pub forced_tool: bool,
    /// How it answers in a given form.
    pub structured: StructuredSupport,
    /// Wants its reasoning back in the next turn of a tool loop.
    pub echo_reasoning: bool,
    /// Wants `reasoning_split: true`, or its thoughts land in the text.
    pub reasoning_split: bool,
}

const PLAIN: Capabilities = Capabilities {
    family: "unknown",
    temperature: true,
    effort: false,
    max_completion_tokens: false,
    forced_tool: true,
    structured: StructuredSupport::Schema,
    echo_reasoning: false,
    reasoning_split: false,
};
impl Capabilities {
    /// Room for a model's hidden reasoning, which counts against an answer's bound.
    pub fn reasoning_room(model: &str) -> u32 {
        if Self::of(model).reasons() { 8_192 } else { 0 }
    }

    /// Returns whether the model may spend tokens on hidden reasoning, which `max_tokens` bounds too.
    pub fn reasons(&self) -> bool {
        self.effort || self.echo_reasoning || self.reasoning_split || !self.temperature
    }

    /// Returns what `model` accepts, in any spelling of its name.
    pub fn of(model: &str) -> Self {
        let Some(row) = capabilities_of(&plain_name(model)) else { return PLAIN };
        let flag = |name: &str, plain: bool| row.flag(name).unwrap_or(plain);
        Self {
            family: &row.family,
            temperature: flag("temperature", PLAIN.temperature),
            effort: flag("effort", PLAIN.effort),
            max_completion_tokens: flag("max_completion_tokens", PLAIN.max_completion_tokens),
            forced_tool: flag("forced_tool", PLAIN.forced_tool),
            structured: match row.word("structured") {
                Some("json-object") => StructuredSupport::JsonObject,
                Some("prompt") => StructuredSupport::Prompt,
                _ => StructuredSupport::Schema,
            },
            echo_reasoning: flag("echo_reasoning", PLAIN.echo_reasoning),
            reasoning_split: flag("reasoning_split", PLAIN.reasoning_split),
        }
    }

    /// Says whether a JSON Schema sent to `endpoint` binds the answers of `model`: a model of the table at its
    /// provider's own address. Of any other server nothing is known before it was asked.
    #[cfg(feature = "http")]
    pub fn enforces_schema(endpoint: &ClientInfo, model: &str) -> bool {
        let base_url = endpoint.base_url.trim_end_matches('/');
        let capabilities = Self::of(model);
        let protocol = Protocol::ALL.iter().find(|protocol| protocol.default_base_url() == base_url);
        capabilities.is_known()
            && match protocol {
                None | Some(Protocol::Ollama) => false,
                // The form travels as a tool that has to be called.
                Some(Protocol::Messages) => capabilities.forced_tool,
                Some(_) => capabilities.structured == StructuredSupport::Schema,
            }
    }

    /// Says whether a rule knew the model.
    pub fn is_known(&self) -> bool {
        self.family != PLAIN.family
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "http")]
    fn a_schema_binds_known_models_at_their_own_address() {
        let at = |base_url: &str| ClientInfo {
            provider: "openai".into(),
            base_url: base_url.into(),
            simulated: false,
        };
        for (url, model, binds) in [
            ("https://api.openai.com/v1", "gpt-4.1", true),
            ("https://api.openai.com/v1/", "gpt-5-mini", true),
            ("https://api.anthropic.com/v1", "claude-sonnet-4-5", true),
            ("https://api.openai.com/v1", "gpt-3.5-turbo", false),
            ("https://api.openai.com/v1", "somebody-else", false),
            ("https://api.openai.com.example.org/v1", "gpt-4.1", false),
            ("http://127.0.0.1:11434", "gpt-4.1", false),
            ("http://127.0.0.1:8000/v1", "gpt-4.1", false),
            ("", "gpt-4.1", false),
        ] {
            assert_eq!(Capabilities::enforces_schema(&at(url), model), binds, "{url} {model}");
        }
    }

    fn check(model: &str, family: &str) -> Capabilities {
        let found = Capabilities::of(model);
        assert_eq!(found.family, family, "{model}");
        found
    }

    #[test]
    fn families() {
        check("gpt-4o-mini", "openai-chat");
        check("openai/gpt-4.1", "openai-chat");
        check("gpt-4-turbo", "openai-legacy");
        check("gpt-4", "openai-chat");
        assert!(check("o4-mini", "openai-reasoning").effort);
        assert!(!check("gpt-5", "openai-reasoning").temperature);
        check("gpt-7.3-pro", "openai-reasoning");
        check("gpt-5-chat-latest", "openai-chat");
        assert!(check("claude-opus-4-5", "claude").effort);
        assert!(!check("claude-haiku-4-5", "claude-haiku").effort);
        assert!(check("us.anthropic.claude-opus-6-20270101-v1:0", "claude").effort);
        assert!(
            Capabilities::of("claude-opus-4-5").temperature
                && !Capabilities::of("claude-opus-4-7").temperature
        );
        assert!(!check("claude-sonnet-5", "claude").temperature);
        check("claude-sonnet-4-20250514", "claude-4");
        check("claude-3-5-sonnet-latest", "claude-early");
        check("gemini-3-pro", "gemini-3");
        check("gemini-2.5-flash", "gemini-2.5");
        check("meta-llama/llama-4-scout", "llama");
        check("qwen3:8b", "qwen");
        assert!(!check("claude-fable-5-1", "claude").forced_tool);
        assert!(!check("bedrock/us.anthropic.claude-sonnet-5-5-v1:0", "claude").forced_tool);
        assert!(check("claude-opus-5", "claude").forced_tool);
        assert!(!check("claude-sonnet-4@20250514", "claude-4").effort);
    }

    #[test]
    fn future_members_inherit_their_family() {
        assert!(!check("deepseek-v5-flash", "deepseek-thinking").forced_tool);
        assert!(!check("deepseek-v12", "deepseek-thinking").forced_tool);
        assert!(check("deepseek-chat", "deepseek").forced_tool);
        assert!(check("deepseek-v3.2", "deepseek").forced_tool);
        assert!(check("MiniMax-M4-highspeed", "minimax").echo_reasoning);
        assert!(check("MiniMax-M2.7", "minimax").reasoning_split);
        assert!(!check("minimax-text-01", "minimax-text").reasoning_split);
    }

    #[test]
    fn unknown_models_are_marked() {
        assert!(!check("zephyr-9", "unknown").is_known());
        assert!(!check("", "unknown").is_known());
        assert!(!check("ollama", "unknown").is_known());
    }
}
