//! Turns the state and facts of a run into its record.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Instant,
};

use lacon_agents::RunError;
use lacon_llm::Echoes;
use lacon_monitor::{
    Books, content_grade, critical,
    grade::Content,
    ledger::{self, Facts},
    origin_grade,
    record::{
        DataInfo, Decision, Environment, Grade, Labels, LlmInfo, Optimization, Plan, Read, Report, RunRecord,
        SCHEMA_VERSION, View,
    },
};
use lacon_tokens::{Encoding, Exactness, ModelEncoding};

use crate::{
    Cast, Optimizations, Role,
    optimizations::OPTIMIZATIONS,
    reasons, signal,
    sources::Sources,
    state::{How, TradeState, Verdict},
};

/// The labels of a run's record.
pub const LABELS: [(&str, &str); 2] =
    [("ticker", "The ticker."), ("date", "The date that the run decides for, `yyyy-mm-dd`.")];

/// What is known of a run besides its state and facts.
#[derive(Clone, Debug)]
pub struct About {
    /// The run's name.
    pub run_id: String,
    /// The ticker.
    pub ticker: String,
    /// The date.
    pub date: String,
    /// The profile.
    pub profile: String,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// How it ended.
    pub status: &'static str,
    /// Who answered.
    pub llm: LlmInfo,
    /// Where the data came from.
    pub data: DataInfo,
    /// Which optimizations were on.
    pub optimizations: Optimizations,
    /// When it began.
    pub began: Instant,
    /// Who took part.
    pub cast: Arc<Cast>,
    /// Seconds from the start of the process to the start of the run.
    pub before_s: f64,
    /// Version of the program.
    pub version: String,
    /// Why the data does not fit the date, where it does not.
    pub data_gap: Option<String>,
    /// Seed of every random source.
    pub seed: u64,
    /// Wall seconds per simulated second.
    pub time_scale: f64,
}

/// Words and tokens of what was said, by role and round.
struct Lengths(BTreeMap<(Role, usize), Length>);

#[derive(Debug)]
struct Length {
    words: u64,
    tokens: u64,
}

impl Lengths {
    fn new(roles: &[Role], state: &TradeState, encoding: &Encoding) -> Self {
        let texts = roles.iter().flat_map(|role| {
            let rounds = state.texts(*role).into_iter().enumerate();
            rounds.map(move |(round, text)| ((*role, round), text))
        });
        let lengths = texts.map(|(place, text)| {
            let words = text.text.split_whitespace().count() as u64;
            (place, Length { words, tokens: encoding.count(&text.text) as u64 })
        });
        Self(lengths.collect())
    }
}

/// Puts the record together; `model` is how the deep model's tokens are counted. Memory and the books are entered last.
pub fn record(
    about: About,
    state: &TradeState,
    facts: &Facts,
    sources: &Sources,
    model: &ModelEncoding,
) -> RunRecord {
    let counts_are_exact = !about.llm.simulated && model.how != Exactness::Heuristic;
    let wall_s = about.began.elapsed().as_secs_f64();
    let tokens = ledger::total(&facts.calls);
    let mut model_s = critical::model_seconds(facts);
    if matches!(about.status, "interrupted" | "deadline") {
        // A call was in flight when the run was stopped: the wait for it is the model's time.
        let ends = facts.calls.iter().map(|c| c.call.end_s).chain(facts.tools.iter().map(|t| t.tool.end_s));
        model_s += (wall_s - ends.fold(0.0, f64::max)).max(0.0);
    }
    let first_request = facts
        .calls
        .iter()
        .map(|c| c.call.start_s)
        .chain(facts.tools.iter().map(|t| t.tool.start_s))
        .min_by(f64::total_cmp);
    // A call that the provider reported nothing of has nothing to compare with.
    let reported = facts.calls.iter().filter_map(|c| c.call.prompt.zip(c.call.prompt_counted));
    let (sent, planned) = reported.fold((0, 0), |(sent, planned), (s, p)| (sent + s, planned + p));
    let mut calls: Vec<_> = facts.calls.iter().map(|c| c.call.clone()).collect();
    calls.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
    let mut tools: Vec<_> = facts.tools.iter().map(|t| t.tool.clone()).collect();
    tools.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));

    let mut warnings = facts.warnings.clone();
    if counts_are_exact && sent > 0 && planned.abs_diff(sent) * 50 > sent {
        warnings.push(format!("our count of the prompts is {planned} tokens, the provider reports {sent}"));
    }
    let roles = about.cast.roles();
    for role in roles.iter().copied() {
        if let Some(failure) = state.text(role).and_then(|t| t.failure.as_ref()) {
            warnings.push(format!("{role} gave no answer: {failure}"));
        }
    }
    let lengths = Lengths::new(&roles, state, model.encoding);
    let verdicts = verdicts(state);
    let decision = decide(state, &about.cast, &verdicts, about.status == "done", &mut warnings);
    let views = verdicts
        .iter()
        .map(|(role, verdict)| View {
            role: role.name().into(),
            action: verdict.action.as_str().into(),
            confidence: verdict.confidence,
            how: verdict.how.name().into(),
        })
        .collect();
    let mut run = RunRecord {
        schema_version: SCHEMA_VERSION,
        run_id: about.run_id,
        labels: Labels(
            LABELS.map(|(name, _)| name.to_owned()).into_iter().zip([about.ticker, about.date]).collect(),
        ),
        profile: about.profile,
        started_at: about.started_at,
        status: about.status.into(),
        llm: about.llm,
        data: about.data,
        decision,
        views,
        wall_s,
        model_s,
        own_ms: (wall_s - model_s).max(0.0) * 1e3,
        first_request_ms: first_request.map(|s| (s + about.before_s) * 1e3),
        peak_rss_mb: None,
        tokens,
        cost_usd: ledger::cost_usd(&facts.calls),
        calls,
        tools,
        reports: reports(&roles, state, &lengths),
        critical_path: critical::path(&facts.nodes),
        books: Books::default(),
        reads: reads(&roles, state, &lengths),
        optimizations: optimizations(&about.optimizations, &about.cast, facts),
        plan: Plan { tokens_planned: planned, tokens_sent: sent, ..Plan::default() },
        degraded: Vec::new(),
        grade: Grade::default(),
        warnings,
        environment: Environment {
            version: about.version,
            host_cpus: cpus(),
            seed: about.seed,
            time_scale: about.time_scale,
        },
    };
    let gap = about.data_gap;
    run.grade = grades(&run, &about.cast, (state, &verdicts), facts, sources, gap);
    run
}

/// Processors that this process may use; asking the system takes longer than a prompt.
fn cpus() -> usize {
    static CPUS: OnceLock<usize> = OnceLock::new();
    *CPUS.get_or_init(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

/// Which texts stood in whose prompts. A text that is there in part counts as long as most of its numbers are.
fn reads(roles: &[Role], state: &TradeState, lengths: &Lengths) -> Vec<Read> {
    let tokens = |name: &str| {
        let role: Role = name.parse().ok()?;
        let last = state.texts(role).len().checked_sub(1)?;
        Some(lengths.0.get(&(role, last))?.tokens)
    };
    roles
        .iter()
        .copied()
        .flat_map(|reader| state.shares_read(reader).iter().map(move |(of, share)| (reader, of, *share)))
        .filter(|(_, _, share)| *share >= 0.5)
        .map(|(reader, of, share)| Read {
            reader: reader.name().into(),
            text: of.clone(),
            share,
            tokens: tokens(of).unwrap_or(0),
        })
        .collect()
}

fn reports(roles: &[Role], state: &TradeState, lengths: &Lengths) -> Vec<Report> {
    roles
        .iter()
        .copied()
        .filter_map(|role| {
            let texts = state.texts(role);
            let last = texts.last()?;
            let (mut words, mut tokens) = (0, 0);
            for length in (0..texts.len()).filter_map(|round| lengths.0.get(&(role, round))) {
                (words, tokens) = (words + length.words, tokens + length.tokens);
            }
            Some(Report {
                role: role.name().into(),
                path: role.path(),
                words,
                tokens,
                complete: last.failure.is_none() && !last.cut && last.missing.is_empty() && words > 0,
                missing_sections: last.missing.clone(),
            })
        })
        .collect()
}

/// The roles whose word may stand for the decision, the one that decides first.
const DECIDERS: [Role; 3] = [Role::RiskManager, Role::Trader, Role::Plan];

/// What the roles that state an action state, the one that decides first.
pub fn verdicts(state: &TradeState) -> Vec<(Role, Verdict)> {
    let by = |role: Role| state.text(role).and_then(Verdict::of);
    DECIDERS
        .into_iter()
        .filter_map(|role| {
            // Where a call extracts the decision from the risk manager's text, its word is the risk manager's.
            let signal = || by(Role::Signal).filter(|_| role == Role::RiskManager);
            Some((role, by(role).or_else(signal)?))
        })
        .collect()
}

/// The failure of a run in which none of them states an action.
pub fn nobody_decides(cast: &Cast) -> RunError {
    let values = cast.decision().map(|decision| decision.values.join(", ")).unwrap_or_default();
    RunError::NoDecision { agent: Role::RiskManager.name().into(), values }
}

/// The risk manager decides. Where a whole run's risk manager states nothing, the trader stands in, then the plan, and
/// the record names it. A run that did not come to its end has no stand-in.
fn decide(
    state: &TradeState,
    cast: &Cast,
    verdicts: &[(Role, Verdict)],
    is_whole: bool,
    warnings: &mut Vec<String>,
) -> Decision {
    let Some((role, verdict)) = verdicts.first().filter(|(role, _)| is_whole || *role == Role::RiskManager)
    else {
        return Decision::default();
    };
    let stands_in = *role != Role::RiskManager;
    if stands_in {
        warnings.push(format!(
            "{role} stands in for {}, which states no decision, also when asked for it",
            Role::RiskManager
        ));
    }
    if verdict.how == How::Prose {
        warnings.push(format!("the decision of {role} was read from its prose: it has no decision line"));
    }
    // Where the trader speaks before the risk debate its word is a proposal, not an order.
    if let Some((_, trader)) = verdicts.iter().find(|(r, _)| *r == Role::Trader)
        && cast.at_once()
        && trader.action != verdict.action
    {
        warnings.push(format!(
            "the trader proposes {}, the {role} decided {}: the decision stands",
            trader.action.as_str(),
            verdict.action.as_str()
        ));
    }
    let text = state.text(*role).map(|t| t.text.as_str()).unwrap_or_default();
    // What the instruction says is no reason of the model's.
    let instruction = Echoes::of(&cast.file(*role).prompt);
    let reasons = reasons::reasons(text).into_iter().filter(|reason| !instruction.holds(reason)).collect();
    Decision {
        action: Some(verdict.action.as_str().into()),
        rating: signal::rating(text).map(ToOwned::to_owned),
        confidence: verdict.confidence,
        parsed: true,
        source: Some(role.name().into()),
        how: Some(verdict.how.name().into()),
        stands_in_for: stands_in.then(|| Role::RiskManager.name().into()),
        reasons,
    }
}

fn optimizations(
    optimizations: &Optimizations,
    cast: &Cast,
    facts: &Facts,
) -> BTreeMap<String, Optimization> {
    let span = |name: &str| {
        let node =
            facts.nodes.iter().filter(|n| n.node == name).max_by(|a, b| a.end_s.total_cmp(&b.end_s))?;
        Some((node.start_s, node.end_s))
    };
    let length = |name: &str| span(name).map(|(start, end)| end - start);
    // With a barrier every report would begin after the slowest tools.
    let barrier = || {
        let longest = |suffix: &str| {
            cast.analysts().iter().filter_map(|r| length(&format!("{r}{suffix}"))).max_by(f64::total_cmp)
        };
        let with = longest("_tools")? + longest("")?;
        let begin = cast
            .analysts()
            .iter()
            .filter_map(|r| span(&format!("{r}_tools")))
            .map(|s| s.0)
            .min_by(f64::total_cmp)?;
        let end =
            cast.analysts().iter().filter_map(|r| span(r.name())).map(|s| s.1).max_by(f64::total_cmp)?;
        Some((with - (end - begin)).max(0.0))
    };
    OPTIMIZATIONS
        .iter()
        .map(|optimization| {
            let on = optimizations.has(optimization.name);
            let saved: Vec<i64> = facts
                .savings
                .iter()
                .filter(|s| s.optimization == optimization.name)
                .map(|s| s.tokens)
                .collect();
            let saved_s = match optimization.name {
                "no_barrier" if on => barrier(),
                "parallel_judge" if cast.judge_beside_plan(optimizations) => {
                    length("judge").zip(length("plan")).map(|(a, b)| a.min(b))
                }
                _ => None,
            };
            let row = Optimization {
                on,
                saved_tokens: (!saved.is_empty()).then(|| saved.iter().sum()),
                saved_s,
                note: optimization.about.into(),
            };
            (optimization.name.to_owned(), row)
        })
        .collect()
}

fn grades(
    run: &RunRecord,
    cast: &Cast,
    (state, verdicts): (&TradeState, &[(Role, Verdict)]),
    facts: &Facts,
    sources: &Sources,
    data_gap: Option<String>,
) -> Grade {
    let failed = facts.nodes.iter().filter(|n| n.error.is_some()).count();
    let (_, origin) = origin_grade(facts.nodes.len(), failed, facts.nodes.len());
    let mut content = Content {
        expected_roles: cast.roles().iter().map(|r| r.name().into()).collect(),
        gatherers: cast.analysts().iter().map(|r| r.name().into()).collect(),
        data_gap,
        ..Content::default()
    };
    for role in cast.roles() {
        let Some(text) = state.text(role) else { continue };
        if Echoes::of(&cast.file(role).prompt).fill(&text.text) {
            content.echoes.push(role.name().into());
        }
        let read = state.shares_read(role).iter();
        content.read.extend(read.map(|(of, share)| (role.name().to_owned(), of.clone(), *share)));
        if role.is_analyst() && !sources.rows.is_empty() {
            content.figures.push((role.name().into(), sources.counted(role.name(), &text.text)));
        }
        // What was proposed before the risk debate may well be decided otherwise.
        let states = role == Role::RiskManager || cast.at_once() && !cast.file(role).states.is_empty();
        if states && let Some((_, verdict)) = verdicts.iter().find(|(by, _)| *by == role) {
            content.actions.push((role.name().into(), verdict.action.as_str()));
        }
    }
    let (points, letter, reasons) = content_grade(run, &content);
    Grade { origin: origin.into(), content: letter.into(), content_points: points, reasons }
}
