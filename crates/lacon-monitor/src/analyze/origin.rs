//! The figures and the grade of the original system's analyzer, reproduced so that recorded reports can be compared.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    grade::origin_letter,
    trace::{Kind, Trace},
};

const TARGET_TOKENS: f64 = 40_000.0;
const TARGET_S: f64 = 120.0;
const BOTTLENECK_S: f64 = 10.0;

/// What the original system's analyzer prints.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Origin {
    /// Whether the run is one of the graph that the figures were made for.
    #[serde(skip)]
    pub applies: bool,
    /// The run's name.
    pub name: String,
    /// Its status.
    pub status: String,
    /// Child runs.
    pub total_runs: usize,
    /// Seconds.
    pub duration_seconds: f64,
    /// Errors among the runs.
    pub error_count: usize,
    /// All tokens.
    pub total_tokens: u64,
    /// Prompt tokens.
    pub prompt_tokens: u64,
    /// Completion tokens.
    pub completion_tokens: u64,
    /// Completion by prompt.
    pub token_efficiency: f64,
    /// Runs that succeeded, the run itself included.
    pub successful_runs: usize,
    /// Runs that failed.
    pub failed_runs: usize,
    /// Percent of runs that succeeded.
    pub success_rate: f64,
    /// Mean seconds of a child run.
    pub avg_run_duration: f64,
    /// Shortest.
    pub min_run_duration: f64,
    /// Longest.
    pub max_run_duration: f64,
    /// Seconds of all child runs.
    pub total_run_time: f64,
    /// Errors by category.
    pub error_categories: BTreeMap<&'static str, usize>,
    /// Whether one of them is critical: time-out, API, system.
    pub has_critical_errors: bool,
    /// Calls by tool.
    pub tool_calls: BTreeMap<String, usize>,
    /// Percent of tool calls that succeeded.
    pub tool_success_rate: f64,
    /// Seconds by run type.
    pub timing_by_type: BTreeMap<&'static str, Timing>,
    /// Run types whose mean exceeds ten seconds.
    pub bottlenecks: Vec<&'static str>,
    /// Tokens a second.
    pub tokens_per_second: f64,
    /// Percent of 40,000 tokens.
    pub total_tokens_vs_target: f64,
    /// Percent of 120 seconds.
    pub runtime_vs_target: f64,
    /// Excellent, Good, Fair, Needs Improvement.
    pub efficiency_rating: &'static str,
    /// Percent.
    pub error_rate: f64,
    /// Percent of runs that ended.
    pub completeness_rate: f64,
    /// 0 to 100.
    pub quality_score: f64,
    /// A+ to D.
    pub quality_grade: &'static str,
    /// Advice by priority.
    pub recommendations: Vec<Recommendation>,
}

/// Seconds of one run type.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Timing {
    /// Runs.
    pub count: usize,
    /// Seconds in all.
    pub total_time: f64,
    /// Mean.
    pub avg_time: f64,
    /// Longest.
    pub max_time: f64,
    /// Shortest.
    pub min_time: f64,
}

/// One piece of advice.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recommendation {
    /// High, Medium.
    pub priority: &'static str,
    /// What is wrong.
    pub issue: String,
    /// What to do.
    pub recommendation: &'static str,
    /// How far off.
    pub details: String,
}

impl Origin {
    /// Whether the figures say nothing about the run: their targets are those of another graph.
    pub fn is_foreign(&self) -> bool {
        !self.applies
    }
}

/// Computes the original system's figures.
pub fn origin(trace: &Trace, applies: bool) -> Origin {
    // Tries of a call and our own work are no runs in the original system's sense.
    let runs: Vec<_> = trace.spans.iter().filter(|s| s.is_work()).collect();
    let ended = runs.iter().filter(|s| s.ended).count();
    let failed = runs.iter().filter(|s| s.error.is_some()).count();
    let own_failed =
        usize::from(trace.error.is_some() || matches!(trace.status.as_str(), "error" | "failed"));
    let own_done = usize::from(matches!(trace.status.as_str(), "success" | "done"));
    let n = runs.len() + 1;
    let good = runs.iter().filter(|s| s.ended && s.error.is_none()).count() + own_done;
    let own_ended = usize::from(trace.status != "pending");
    let percent = |part: usize| 100.0 * part as f64 / n as f64;
    let seconds: Vec<f64> = runs.iter().map(|s| s.seconds()).collect();
    let total_run_time: f64 = seconds.iter().sum();
    let tokens = &trace.tokens;
    let total = tokens.sum().unwrap_or(0);
    let (prompt, completion) = (tokens.prompt.unwrap_or(0), tokens.completion.unwrap_or(0));
    let by = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
    let score =
        0.5 * percent(good) + 0.3 * (100.0 - percent(failed + own_failed)) + 0.2 * percent(ended + own_ended);
    let mut origin = Origin {
        applies,
        name: trace.name.clone(),
        status: trace.status.clone(),
        total_runs: runs.len(),
        duration_seconds: trace.wall_s,
        error_count: failed + own_failed,
        total_tokens: total,
        prompt_tokens: prompt,
        completion_tokens: completion,
        token_efficiency: by(completion as f64, prompt as f64),
        successful_runs: good,
        failed_runs: failed + own_failed,
        success_rate: percent(good),
        avg_run_duration: by(total_run_time, seconds.len() as f64),
        min_run_duration: seconds.iter().copied().reduce(f64::min).unwrap_or(0.0),
        max_run_duration: seconds.iter().copied().fold(0.0, f64::max),
        total_run_time,
        tool_success_rate: 100.0,
        tokens_per_second: by(total as f64, trace.wall_s),
        total_tokens_vs_target: 100.0 * total as f64 / TARGET_TOKENS,
        runtime_vs_target: 100.0 * trace.wall_s / TARGET_S,
        efficiency_rating: rating(total as f64, trace.wall_s),
        error_rate: percent(failed + own_failed),
        completeness_rate: percent(ended + own_ended),
        quality_score: score,
        quality_grade: origin_letter(score),
        ..Origin::default()
    };
    let (mut n_tools, mut n_tools_failed) = (0, 0);
    for span in &runs {
        let kind = match span.kind {
            Kind::Model => "llm",
            Kind::Tool => "tool",
            _ => "chain",
        };
        let timing = origin
            .timing_by_type
            .entry(kind)
            .or_insert_with(|| Timing { min_time: f64::INFINITY, ..Timing::default() });
        timing.count += 1;
        timing.total_time += span.seconds();
        timing.max_time = timing.max_time.max(span.seconds());
        timing.min_time = timing.min_time.min(span.seconds());
        if span.kind == Kind::Tool {
            n_tools += 1;
            n_tools_failed += usize::from(span.error.is_some());
            *origin.tool_calls.entry(span.name.clone()).or_default() += 1;
        }
        if let Some(error) = &span.error {
            *origin.error_categories.entry(category(error)).or_default() += 1;
        }
    }
    if let Some(error) = &trace.error {
        *origin.error_categories.entry(category(error)).or_default() += 1;
    }
    origin.has_critical_errors =
        ["timeout", "api", "system"].iter().any(|c| origin.error_categories.contains_key(c));
    if n_tools > 0 {
        origin.tool_success_rate = 100.0 * f64::from(n_tools - n_tools_failed as i32) / f64::from(n_tools);
    }
    for (kind, timing) in &mut origin.timing_by_type {
        timing.avg_time = by(timing.total_time, timing.count as f64);
        if timing.avg_time > BOTTLENECK_S {
            origin.bottlenecks.push(kind);
        }
    }
    origin.recommendations = recommendations(&origin);
    origin
}

/// The mean of how far below both targets the run is.
fn rating(tokens: f64, seconds: f64) -> &'static str {
    let share = |target: f64, value: f64| if value > 0.0 { target / value } else { 0.0 };
    match (share(TARGET_TOKENS, tokens) + share(TARGET_S, seconds)) / 2.0 {
        m if m >= 1.2 => "Excellent",
        m if m >= 1.0 => "Good",
        m if m >= 0.8 => "Fair",
        _ => "Needs Improvement",
    }
}

fn category(error: &str) -> &'static str {
    let lower = error.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    match () {
        () if has(&["timeout", "timed out", "deadline"]) => "timeout",
        () if has(&["api", "rate limit", "429", "quota", "unauthorized", "auth"]) => "api",
        () if has(&["connection", "network", "dns", "socket", "http", "connect"]) => "network",
        () if has(&["validation", "invalid", "schema", "parse", "malformed"]) => "validation",
        () if has(&["memory", "disk", "system", "os error", "permission"]) => "system",
        () => "application",
    }
}

fn recommendations(o: &Origin) -> Vec<Recommendation> {
    let mut list = Vec::new();
    let mut add = |priority, issue, recommendation, details| {
        list.push(Recommendation { priority, issue, recommendation, details });
    };
    if o.runtime_vs_target > 100.0 {
        add(
            "High",
            "Runtime exceeds 120s target".to_owned(),
            "Optimize execution speed and parallel processing",
            format!("Runtime is {:.1}% of target", o.runtime_vs_target),
        );
    }
    if o.error_count > 0 {
        add(
            "High",
            format!("{} runs failed", o.error_count),
            "Look at the errors by category",
            format!("Error rate is {:.1}%", o.error_rate),
        );
    }
    if o.total_tokens_vs_target > 100.0 {
        add(
            "Medium",
            format!("Token usage ({}) exceeds target (40K)", thousands(o.total_tokens)),
            "Optimize prompts and reduce token consumption",
            format!("Current usage is {:.1}% of target", o.total_tokens_vs_target),
        );
    }
    for kind in &o.bottlenecks {
        add(
            "Medium",
            format!("Performance bottleneck detected in {kind} operations"),
            "Optimize slow operations or implement parallel processing",
            format!("Average duration: {:.2}s", o.timing_by_type[kind].avg_time),
        );
    }
    list
}

/// A whole number with thousands separators.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
