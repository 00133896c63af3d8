//! Flags of `lacon eval`, and of the commands that use its verdicts.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Flags of `lacon eval`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct EvalArgs {
    /// What else to test
    #[command(subcommand)]
    pub what: Option<EvalWhat>,
    /// Your own texts: JSON, JSON Lines, CSV, tables, logs, diffs or documents
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// The model to ask [default: the quick model of the settings]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Forms to compare with the original, separated by commas [default: all]
    #[arg(long, value_name = "FORM,...")]
    pub forms: Option<String>,
    /// Also ask with the line that explains our forms
    #[arg(long)]
    pub legend: bool,
    /// Most questions [default: as many as a verdict needs]
    #[arg(long, value_name = "N")]
    pub questions: Option<usize>,
    /// Loss of accuracy that is allowed, in points of a hundred
    #[arg(long, value_name = "POINTS", default_value_t = 2.0)]
    pub margin: f64,
    /// Most tokens of one text in a prompt; longer texts are asked about in parts
    #[arg(long, value_name = "TOKENS", default_value_t = 2000)]
    pub window: usize,
    /// Most tokens of prompts and answers together
    #[arg(long, value_name = "TOKENS")]
    pub budget_tokens: Option<u64>,
    /// Most calls at once
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub at_once: usize,
    /// Say what the test takes and what it costs, and ask nothing
    #[arg(long)]
    pub plan: bool,
    /// Provider: auto, sim, openai, openai-responses, anthropic, gemini or ollama
    #[arg(long, value_name = "PROVIDER")]
    pub llm: Option<String>,
    /// OpenAI-compatible endpoint
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Tape of recorded calls to answer from
    #[arg(long, value_name = "FILE")]
    pub tape: Option<String>,
    /// Record the calls on the tape instead; a tape that was begun is gone on with
    #[arg(long, requires = "tape")]
    pub record: bool,
    /// Seed of the questions
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Simulated reader only: a form's control word and the share that it misreads, such as @json=0.2
    #[arg(long, value_name = "WORD=SHARE")]
    pub misreads: Option<String>,
    /// Folder of results [default: results]
    #[arg(long, value_name = "DIR")]
    pub out: Option<String>,
    /// Also write the result as a page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// The tests beside the reading test.
#[derive(Debug, Subcommand)]
pub enum EvalWhat {
    /// Run a team with and without optimizations on the same cases, and compare the results
    Run(Box<EvalRunArgs>),
    /// Compare the arms of the proxy's receipts (`lacon serve --holdout`)
    Receipts(EvalReceiptsArgs),
}

/// Flags of `lacon eval receipts`.
#[derive(Debug, Args)]
pub struct EvalReceiptsArgs {
    /// What `lacon serve --receipts` wrote
    pub file: PathBuf,
    /// What came of requests, a JSON object a line: {"id": "a7", "good": true}
    #[arg(long, value_name = "FILE")]
    pub outcomes: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon eval run`.
#[derive(Debug, Args)]
pub struct EvalRunArgs {
    /// A team's file, the name of a shipped team, or trading
    pub team: String,
    /// Folder with one JSON file a case: what the team is given, and facts that the result has to hold
    #[arg(long, value_name = "DIR")]
    pub cases: PathBuf,
    /// Server of a team's tool: NAME=URL, or @FILE.json with all of them; may be given again
    #[arg(long, value_name = "NAME=URL")]
    pub tool: Vec<String>,
    /// The two arms: baseline (no optimization) and lacon (all of them)
    #[arg(long, value_name = "ARM,ARM", default_value = "baseline,lacon", conflicts_with = "ablate")]
    pub compare: String,
    /// Compare all optimizations with all but this one
    #[arg(long, value_name = "NAME")]
    pub ablate: Option<String>,
    /// Model that judges the two results, in both orders
    #[arg(long, value_name = "MODEL")]
    pub judge: Option<String>,
    /// Most US dollars of all calls, the judge's included
    #[arg(long, value_name = "USD")]
    pub budget_usd: Option<f64>,
    /// Most tokens of prompts and answers together
    #[arg(long, value_name = "TOKENS")]
    pub budget_tokens: Option<u64>,
    /// Tape of recorded calls to answer from
    #[arg(long, value_name = "FILE")]
    pub tape: Option<String>,
    /// Record the calls on the tape instead; a tape that was begun is gone on with
    #[arg(long, requires = "tape")]
    pub record: bool,
    /// Stop early when the share of equal decisions is surely above or below this
    #[arg(long, value_name = "SHARE", default_value_t = 0.9)]
    pub least_agreement: f64,
    /// Provider: auto, sim, openai, openai-responses, anthropic, gemini or ollama
    #[arg(long, value_name = "PROVIDER")]
    pub llm: Option<String>,
    /// OpenAI-compatible endpoint
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Model of the class quick
    #[arg(long, value_name = "MODEL")]
    pub quick_model: Option<String>,
    /// Model of the class deep
    #[arg(long, value_name = "MODEL")]
    pub deep_model: Option<String>,
    /// Seed of the simulator
    #[arg(long, value_name = "N")]
    pub seed: Option<String>,
    /// Time scale of the simulator; 0 does not wait
    #[arg(long, value_name = "FACTOR")]
    pub time_scale: Option<String>,
    /// Folder of results [default: results]
    #[arg(long, value_name = "DIR")]
    pub out: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Which forms may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Forms {
    /// Every form
    All,
    /// Forms that `lacon eval` has proven for the model
    Proven,
}

impl Forms {
    /// The value of the setting.
    pub fn word(self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Proven => "proven".to_owned(),
        }
    }
}

/// Flags of the commands that write forms.
#[derive(Clone, Debug, Default, Args)]
pub struct FormsArgs {
    /// Which forms may be used: all, or those that `lacon eval` has proven for --for-model
    #[arg(long, value_enum, ignore_case = true)]
    pub forms: Option<Forms>,
    /// The model that reads the text
    #[arg(long, value_name = "MODEL")]
    pub for_model: Option<String>,
}
