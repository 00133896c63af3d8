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
