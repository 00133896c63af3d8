//! Span and attribute names, spelled once, after the OpenTelemetry GenAI conventions v1.41.1.

/// What kind of operation a span is: `invoke_workflow`, `invoke_agent`, `chat`, `execute_tool`.
pub const OPERATION: &str = "gen_ai.operation.name";
/// The provider.
pub const PROVIDER: &str = "gen_ai.provider.name";
/// The model asked for.
pub const REQUEST_MODEL: &str = "gen_ai.request.model";
/// The model that answered.
pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
/// Why the model stopped.
pub const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
/// Prompt tokens.
pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// Cached prompt tokens.
pub const CACHED_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
/// Prompt tokens written to the provider's cache, by the published release ([`Conventions::cache_write`]).
pub const CACHE_WRITE_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
/// Of these, what the cache keeps for an hour, which some bill higher; the conventions have no name for it.
pub const CACHE_WRITE_1H_TOKENS: &str = "lacon.cache_write_1h";
/// Completion tokens.
pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// The agent.
pub const AGENT: &str = "gen_ai.agent.name";
/// The tool.
pub const TOOL: &str = "gen_ai.tool.name";
/// The conversation: here the run.
pub const CONVERSATION: &str = "gen_ai.conversation.id";
/// What went wrong.
pub const ERROR_TYPE: &str = "error.type";

/// The graph.
pub const WORKFLOW: &str = "gen_ai.workflow.name";
/// Reasoning tokens.
pub const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
/// Seconds to the first chunk.
pub const FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
/// Whether the answer was streamed.
pub const STREAM: &str = "gen_ai.request.stream";
/// The kind of a tool.
pub const TOOL_TYPE: &str = "gen_ai.tool.type";
/// Input or output, on metrics.
pub const TOKEN_TYPE: &str = "gen_ai.token.type";
/// What tokens stand for, on counters: providers do not say it of a text's.
pub const TOKEN_MODALITY: &str = "gen_ai.token.modality";
/// What a span is where the conventions have no word: `phase` of a call, `own` work.
pub const KIND: &str = "lacon.kind";
/// Whose names are written where two releases of the conventions differ: those of metrics, of a workflow, of tokens written to a
/// cache, and the schema's address. The other span attributes that Lacon writes are the same in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conventions {
    /// v1.41.1, the last release within the core conventions.
    #[default]
    Published,
    /// semantic-conventions-genai v0.1.0, in a repository of its own; everything in it is still in development.
    Latest,
}

impl Conventions {
    /// By the value of `OTEL_SEMCONV_STABILITY_OPT_IN`, a list divided by commas.
    pub fn opted_in(list: &str) -> Self {
        let latest = list.split(',').any(|word| word.trim() == "gen_ai_latest_experimental");
        if latest { Self::Latest } else { Self::Published }
    }

    /// The address of the schema. That of v0.1.0 follows the rule of its repository: the release's number behind `gen-ai/`.
    pub fn schema_url(self) -> &'static str {
        match self {
            Self::Published => "https://opentelemetry.io/schemas/1.41.1",
            Self::Latest => "https://opentelemetry.io/schemas/gen-ai/0.1.0",
        }
    }

    /// The attribute of prompt tokens that were written to the provider's cache.
    pub fn cache_write(self) -> &'static str {
        match self {
            Self::Published => CACHE_WRITE_TOKENS,
            Self::Latest => "gen_ai.usage.cache_write.input_tokens",
        }
    }

    /// The attribute that names a workflow.
    pub fn workflow(self) -> &'static str {
        match self {
            Self::Published => WORKFLOW,
            Self::Latest => AGENT,
        }
    }

    /// Histogram of model calls in seconds.
    pub fn call_duration(self) -> &'static str {
        match self {
            Self::Published => "gen_ai.client.operation.duration",
            Self::Latest => "gen_ai.client.inference.duration",
        }
    }

    /// Histogram of tool calls in seconds.
    pub fn tool_duration(self) -> &'static str {
        match self {
            Self::Published => "gen_ai.client.operation.duration",
            Self::Latest => "gen_ai.execute_tool.duration",
        }
    }

    /// Histogram of seconds to the first chunk.
    pub fn first_chunk(self) -> &'static str {
        match self {
            Self::Published => "gen_ai.client.operation.time_to_first_chunk",
            Self::Latest => "gen_ai.client.inference.time_to_first_chunk",
        }
    }

    /// Histograms of a call's prompt and answer tokens; one name for both is told apart by [`TOKEN_TYPE`].
    pub fn tokens(self) -> (&'static str, &'static str) {
        match self {
            Self::Published => ("gen_ai.client.token.usage", "gen_ai.client.token.usage"),
            Self::Latest => (
                "gen_ai.client.inference.operation.input_tokens",
                "gen_ai.client.inference.operation.output_tokens",
            ),
        }
    }

    /// Counters of prompt, answer, cached, written and reasoning tokens; there are none in the published release.
    pub fn token_counters(self) -> Option<[&'static str; 5]> {
        (self == Self::Latest).then_some([
            "gen_ai.client.inference.usage.input_tokens",
            "gen_ai.client.inference.usage.output_tokens",
            "gen_ai.client.inference.usage.cache_read.input_tokens",
            "gen_ai.client.inference.usage.cache_write.input_tokens",
            "gen_ai.client.inference.usage.reasoning.output_tokens",
        ])
    }
}
/// Prompt and answer tokens of a call whose provider reported none, as a list of two.
pub const ESTIMATED_TOKENS: &str = "lacon.estimated_tokens";
