//! What each family of models accepts: one table, first match wins, with patterns that cover future members.
//!
//! A parameter that a family refuses is left out, and the answer carries a warning. A model that no rule knows gets the
//! plainest request and a warning of its own.

use crate::client::ClientInfo;
use crate::providers::Protocol;

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
const OPENAI_REASONING: Capabilities = Capabilities {
    family: "openai-reasoning",
    temperature: false,
    effort: true,
    max_completion_tokens: true,
    ..PLAIN
};
/// Members without a sampling temperature.
const CLAUDE_STEADY: Capabilities = Capabilities {
    family: "claude",
    temperature: false,
    effort: true,
    structured: StructuredSupport::Prompt,
    ..PLAIN
};
const DEEPSEEK_THINKING: Capabilities = Capabilities {
    family: "deepseek-thinking",
    temperature: false,
    forced_tool: false,
    structured: StructuredSupport::JsonObject,
    echo_reasoning: true,
    ..PLAIN
};
const MINIMAX: Capabilities = Capabilities {
    family: "minimax",
    forced_tool: false,
    reasoning_split: true,
    structured: StructuredSupport::Prompt,
    ..PLAIN
};

/// One rule: `*` stands for any text, `#` for a number that is at least the one given.
struct Rule(&'static str, u32, Capabilities);

/// Exact names stand before patterns, narrower patterns before wider ones.
const RULES: &[Rule] = &[
    Rule("gpt-5-chat*", 0, Capabilities { family: "openai-chat", max_completion_tokens: true, ..PLAIN }),
    Rule(
        "o1-mini*",
        0,
        Capabilities { effort: false, structured: StructuredSupport::Prompt, ..OPENAI_REASONING },
    ),
    Rule(
        "o1-preview*",
        0,
        Capabilities { effort: false, structured: StructuredSupport::Prompt, ..OPENAI_REASONING },
    ),
    Rule("o#*", 1, OPENAI_REASONING),
    Rule("gpt-oss*", 0, Capabilities { family: "gpt-oss", effort: true, ..PLAIN }),
    Rule(
        "gpt-4-*",
        0,
        Capabilities { family: "openai-legacy", structured: StructuredSupport::JsonObject, ..PLAIN },
    ),
    Rule(
        "gpt-3.5*",
        0,
        Capabilities { family: "openai-legacy", structured: StructuredSupport::JsonObject, ..PLAIN },
    ),
    Rule("gpt-4*", 0, Capabilities { family: "openai-chat", ..PLAIN }),
    Rule("chatgpt-*", 0, Capabilities { family: "openai-chat", ..PLAIN }),
    Rule("gpt-#*", 5, OPENAI_REASONING),
    Rule(
        "claude-#*",
        2,
        Capabilities { family: "claude-early", structured: StructuredSupport::Prompt, ..PLAIN },
    ),
    Rule(
        "claude-haiku*",
        0,
        Capabilities { family: "claude-haiku", structured: StructuredSupport::Prompt, ..PLAIN },
    ),
    Rule(
        "claude-opus-4-1*",
        0,
        Capabilities { family: "claude-4", structured: StructuredSupport::Prompt, ..PLAIN },
    ),
    Rule(
        "claude-opus-4-0*",
        0,
        Capabilities { family: "claude-4", structured: StructuredSupport::Prompt, ..PLAIN },
    ),
    Rule(
        "claude-opus-4-2*",
        0,
        Capabilities { family: "claude-4", structured: StructuredSupport::Prompt, ..PLAIN },
    ),
    Rule(
        "claude-sonnet-4-0*",
        0,
        Capabilities { family: "claude-4", structured: StructuredSupport::Prompt, ..PLAIN },
    ),
    Rule(
        "claude-sonnet-4-2*",
        0,
        Capabilities { family: "claude-4", structured: StructuredSupport::Prompt, ..PLAIN },
    ),
    Rule(
        "claude-sonnet-4-5*",
        0,
        Capabilities { family: "claude-4", structured: StructuredSupport::Prompt, ..PLAIN },
    ),
    Rule("claude-opus-4-#*", 7, CLAUDE_STEADY),
    Rule("claude-opus-#*", 5, CLAUDE_STEADY),
    Rule("claude-sonnet-#*", 5, CLAUDE_STEADY),
    Rule(
        "claude-*",
        0,
        Capabilities { family: "claude", effort: true, structured: StructuredSupport::Prompt, ..PLAIN },
    ),
    Rule("gemini-1*", 0, Capabilities { family: "gemini-1", ..PLAIN }),
    Rule("gemini-2.0*", 0, Capabilities { family: "gemini-2.0", ..PLAIN }),
    Rule("gemini-2.5*", 0, Capabilities { family: "gemini-2.5", effort: true, ..PLAIN }),
    Rule("gemini-#*", 3, Capabilities { family: "gemini-3", effort: true, ..PLAIN }),
    Rule("gemini-*", 0, Capabilities { family: "gemini-3", effort: true, ..PLAIN }),
    Rule("deepseek-reasoner*", 0, DEEPSEEK_THINKING),
    Rule("deepseek-v#*", 4, DEEPSEEK_THINKING),
    Rule("deepseek-r#*", 1, DEEPSEEK_THINKING),
    Rule(
        "deepseek-*",
        0,
        Capabilities { family: "deepseek", structured: StructuredSupport::JsonObject, ..PLAIN },
    ),
    Rule("minimax-m#*", 3, Capabilities { echo_reasoning: true, ..MINIMAX }),
    Rule("minimax-m#*", 2, MINIMAX),
    Rule(
        "minimax-*",
        0,
        Capabilities { family: "minimax-text", structured: StructuredSupport::Prompt, ..PLAIN },
    ),
    Rule("grok-3-mini*", 0, Capabilities { family: "grok-mini", effort: true, ..PLAIN }),
    Rule("grok-*", 0, Capabilities { family: "grok", ..PLAIN }),
    Rule("qwen*", 0, Capabilities { family: "qwen", structured: StructuredSupport::JsonObject, ..PLAIN }),
    Rule("qwq*", 0, Capabilities { family: "qwen", structured: StructuredSupport::JsonObject, ..PLAIN }),
    Rule(
        "glm-*",
        0,
        Capabilities {
            family: "glm",
            forced_tool: false,
            structured: StructuredSupport::JsonObject,
            ..PLAIN
        },
    ),
    Rule("kimi-*", 0, Capabilities { family: "kimi", structured: StructuredSupport::JsonObject, ..PLAIN }),
    Rule(
        "moonshot-*",
        0,
        Capabilities { family: "kimi", structured: StructuredSupport::JsonObject, ..PLAIN },
    ),
    Rule("mistral*", 0, Capabilities { family: "mistral", ..PLAIN }),
    Rule("ministral*", 0, Capabilities { family: "mistral", ..PLAIN }),
    Rule("magistral*", 0, Capabilities { family: "mistral", ..PLAIN }),
    Rule("codestral*", 0, Capabilities { family: "mistral", ..PLAIN }),
    Rule("llama*", 0, Capabilities { family: "llama", structured: StructuredSupport::JsonObject, ..PLAIN }),
    Rule(
        "gemma*",
        0,
        Capabilities {
            family: "gemma",
            forced_tool: false,
            structured: StructuredSupport::JsonObject,
            ..PLAIN
        },
    ),
    Rule(
        "phi*",
        0,
        Capabilities {
            family: "phi",
            forced_tool: false,
            structured: StructuredSupport::JsonObject,
            ..PLAIN
        },
    ),
];

impl Capabilities {
    /// Returns whether the model may spend tokens on hidden reasoning, which `max_tokens` bounds too.
    pub fn reasons(&self) -> bool {
        self.effort || self.echo_reasoning || self.reasoning_split || !self.temperature
    }

    /// Returns what `model` accepts; a vendor prefix such as `openai/` or `us.anthropic.` is skipped.
    pub fn of(model: &str) -> Self {
        let lower = model.to_lowercase();
        let name = lower.rsplit('/').next().unwrap_or(&lower);
        let name = name.find("claude-").map_or(name, |at| &name[at..]);
        RULES.iter().find(|rule| matches(rule.0, rule.1, name)).map_or(PLAIN, |rule| rule.2)
    }

    /// Says whether a JSON Schema sent to `endpoint` binds the answers of `model`: a model of the table at its
    /// provider's own address. Of any other server nothing is known before it was asked.
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

fn matches(pattern: &str, least: u32, name: &str) -> bool {
    let pattern = pattern.strip_suffix('*').unwrap_or(pattern);
    match pattern.split_once('#') {
        None => name.starts_with(pattern),
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            rest[..digits].parse::<u32>().is_ok_and(|number| number >= least)
                && rest[digits..].starts_with(after)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
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
