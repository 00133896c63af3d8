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

/// The published conventions that these names are of.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.41.1";
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
/// What a span is where the conventions have no word: `phase` of a call, `own` work.
pub const KIND: &str = "lacon.kind";
/// Histogram of operations in seconds.
pub const METRIC_DURATION: &str = "gen_ai.client.operation.duration";
/// Histogram of seconds to the first chunk.
pub const METRIC_FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";
/// Histogram of tokens a call.
pub const METRIC_TOKENS: &str = "gen_ai.client.token.usage";
