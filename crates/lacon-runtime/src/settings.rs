//! Every setting, defined once: key, kind, default, environment name, who reads it. The reference page
//! `docs/settings.md` and the sample file are generated from this list, and tidy fails when they differ.

/// What a setting may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A text that is never shown.
    Secret,
    /// A whole number in these bounds.
    Integer(i64, i64),
    /// A number in these bounds.
    Number(f64, f64),
    /// `true` or `false`.
    Bool,
    /// One of these.
    Choice(&'static [&'static str]),
    /// Texts divided by commas; a list in a file.
    List,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its key in a file, `section.name`.
    pub key: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Its default as it would be written in a file without quotes; empty for none.
    pub default: &'static str,
    /// The environment variable that sets it.
    pub env: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
}

const fn setting(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    env: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { key, kind, default, env, doc }
}

/// All settings, by section, in the order in which they are shown.
pub const SETTINGS: &[Setting] = &[
    setting(
        "llm.provider",
        Kind::Choice(&["auto", "sim", "openai", "openai-responses", "anthropic", "gemini", "ollama"]),
        "auto",
        "LACON_LLM_PROVIDER",
        "who answers; auto takes openai when a base URL or a key is given, else the simulator",
    ),
    setting(
        "llm.base_url",
        Kind::Text,
        "",
        "LACON_LLM_BASE_URL",
        "endpoint of the provider; empty for its own address",
    ),
    setting(
        "llm.api_key",
        Kind::Secret,
        "",
        "OPENAI_API_KEY",
        "key of the provider; never shown, logged or written",
    ),
    setting(
        "llm.quick_model",
        Kind::Text,
        "gpt-4o-mini",
        "LACON_LLM_QUICK_MODEL",
        "model of the four analysts",
    ),
    setting("llm.deep_model", Kind::Text, "gpt-4o", "LACON_LLM_DEEP_MODEL", "model of all other roles"),
    setting(
        "llm.models",
        Kind::List,
        "",
        "LACON_LLM_MODELS",
        "models of single roles: role=model; they go before the quick and the deep one",
    ),
    setting(
        "llm.effort",
        Kind::List,
        "",
        "LACON_LLM_EFFORT",
        "reasoning effort by role: role=low|medium|high",
    ),
    setting(
        "llm.temperature",
        Kind::Text,
        "",
        "LACON_LLM_TEMPERATURE",
        "sampling temperature; empty leaves it to the provider",
    ),
    setting(
        "llm.max_attempts",
        Kind::Integer(1, 10),
        "4",
        "LACON_LLM_MAX_ATTEMPTS",
        "tries per call, the first one included",
    ),
    setting(
        "llm.connect_timeout_s",
        Kind::Number(0.1, 600.0),
        "10",
        "LACON_LLM_CONNECT_TIMEOUT_S",
        "longest wait for a connection in seconds",
    ),
    setting(
        "llm.first_token_timeout_s",
        Kind::Number(0.1, 3600.0),
        "120",
        "LACON_LLM_FIRST_TOKEN_TIMEOUT_S",
        "longest wait for the first token in seconds",
    ),
    setting(
        "llm.idle_timeout_s",
        Kind::Number(0.1, 3600.0),
        "30",
        "LACON_LLM_IDLE_TIMEOUT_S",
        "longest silence within an answer in seconds",
    ),
    setting(
        "llm.hedge_first_token_s",
        Kind::Number(0.1, 3600.0),
        "20",
        "LACON_LLM_HEDGE_FIRST_TOKEN_S",
        "wait for a first token in seconds before a second request goes out, while too little is known",
    ),
    setting(
        "llm.hedge_gap_s",
        Kind::Number(0.1, 3600.0),
        "8",
        "LACON_LLM_HEDGE_GAP_S",
        "silence within an answer in seconds before a second request goes out, while too little is known",
    ),
    setting(
        "llm.max_concurrent",
        Kind::Integer(1, 10_000),
        "64",
        "LACON_LLM_MAX_CONCURRENT",
        "model calls at once; fewer when the provider refuses for the rate",
    ),
    setting(
        "llm.time_scale",
        Kind::Number(0.001, 1.0),
        "1",
        "LACON_LLM_TIME_SCALE",
        "wall seconds per second of the endpoint, for a replay server that runs faster; scales every wait",
    ),
    setting(
        "llm.headers",
        Kind::Bool,
        "true",
        "LACON_LLM_HEADERS",
        "send X-Lacon-Run, X-Lacon-Role and X-Lacon-Ticker",
    ),
    setting("llm.stream", Kind::Bool, "true", "LACON_LLM_STREAM", "ask for answers as a stream"),
    setting(
        "run.profile",
        Kind::Choice(&["lacon", "seed"]),
        "lacon",
        "LACON_RUN_PROFILE",
        "graph profile: lacon, or the origin's order and calls",
    ),
    setting("run.out", Kind::Text, "results", "LACON_RUN_OUT", "folder for results"),
    setting(
        "run.deadline_s",
        Kind::Number(0.0, 86400.0),
        "900",
        "LACON_RUN_DEADLINE_S",
        "longest time of a whole run in seconds; 0 for none",
    ),
    setting(
        "run.research_rounds",
        Kind::Integer(1, 5),
        "1",
        "LACON_RUN_RESEARCH_ROUNDS",
        "rounds of the debate between bull and bear",
    ),
    setting(
        "run.tool_rounds",
        Kind::Integer(1, 8),
        "3",
        "LACON_RUN_TOOL_ROUNDS",
        "rounds of tool calls that an analyst may ask for",
    ),
    setting(
        "run.budget_tokens",
        Kind::Integer(0, i64::MAX),
        "0",
        "LACON_RUN_BUDGET_TOKENS",
        "tokens that a run may use; 0 for no limit",
    ),
    setting(
        "run.budget_usd",
        Kind::Number(0.0, 1e6),
        "0",
        "LACON_RUN_BUDGET_USD",
        "US dollars that a run may use, at the prices that are known; 0 for no limit",
    ),
    setting("run.tape", Kind::Text, "", "LACON_RUN_TAPE", "file of recorded model and tool calls"),
    setting(
        "run.tape_mode",
        Kind::Choice(&["off", "record", "replay", "lenient", "patch"]),
        "off",
        "LACON_RUN_TAPE_MODE",
        "record all calls, replay them strictly, or make the calls that are missing (patch also adds them)",
    ),
    setting(
        "run.parallel",
        Kind::Bool,
        "true",
        "LACON_RUN_PARALLEL",
        "let nodes run beside each other; off, one runs at a time with the same result",
    ),
    setting(
        "tokens.async",
        Kind::Bool,
        "true",
        "LACON_TOKENS_ASYNC",
        "load the vocabulary beside the first requests; off, before them",
    ),
    setting(
        "run.journal",
        Kind::Bool,
        "true",
        "LACON_RUN_JOURNAL",
        "keep finished calls and nodes in the run's folder, so that --resume goes on where it was cut off",
    ),
    setting("run.disable", Kind::List, "", "LACON_RUN_DISABLE", "levers to switch off, or all"),
    setting(
        "data.source",
        Kind::Text,
        "auto",
        "LACON_DATA_SOURCE",
        "auto or offline for the bundled packs, or a folder in the origin's layout",
    ),
    setting(
        "data.tools_url",
        Kind::Text,
        "",
        "LACON_DATA_TOOLS_URL",
        "send tool calls to URL/<tool> instead",
    ),
    setting(
        "data.semantics",
        Kind::Choice(&["standard", "compat"]),
        "standard",
        "LACON_DATA_SEMANTICS",
        "indicator definitions: the textbook's or stockstats'",
    ),
    setting(
        "data.timeout_s",
        Kind::Number(0.1, 3600.0),
        "120",
        "LACON_DATA_TIMEOUT_S",
        "longest time of one tool call in seconds",
    ),
    setting(
        "data.cache_mb",
        Kind::Integer(0, 4096),
        "16",
        "LACON_DATA_CACHE_MB",
        "memory for tool answers in MB; 0 switches the cache off",
    ),
    setting("sim.seed", Kind::Integer(0, i64::MAX), "1", "LACON_SIM_SEED", "seed of the simulator"),
    setting(
        "sim.profile",
        Kind::Choice(&["fast", "typical", "slow"]),
        "typical",
        "LACON_SIM_PROFILE",
        "whose recorded speed is simulated",
    ),
    setting(
        "sim.time_scale",
        Kind::Number(0.0, 1.0),
        "0.02",
        "LACON_SIM_TIME_SCALE",
        "wall seconds per simulated second",
    ),
    setting("sim.noise", Kind::Bool, "true", "LACON_SIM_NOISE", "scatter durations as recorded"),
    setting(
        "sim.faults",
        Kind::List,
        "",
        "LACON_SIM_FAULTS",
        "share of calls that fail: 429=0.08,500=0.04,drop=0.03,stall=0.02,badjson=0.02",
    ),
    setting(
        "log.level",
        Kind::Choice(&["error", "warn", "info"]),
        "warn",
        "LACON_LOG_LEVEL",
        "what is printed besides the result",
    ),
];
