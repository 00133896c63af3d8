//! A run of the original system's graph made from a plan, as LangSmith exports it; and the recorded files where they are.

use lacon_monitor::{
    analyze::Analysis,
    compare::Comparison,
    trace::{Trace, read},
};
use serde_json::{Value, json};

/// The folder of recorded data beside the checkout.
pub fn workload() -> Option<std::path::PathBuf> {
    shared("shared/workload")
}

/// A folder of data beside the checkout, if it is there.
pub fn shared(name: &str) -> Option<std::path::PathBuf> {
    let mut folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).to_owned();
    for _ in 0..4 {
        folder.pop();
        let found = folder.join(name);
        if found.is_dir() {
            return Some(found);
        }
    }
    eprintln!("skipped: no {name} beside the checkout");
    None
}

/// What is different about a run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub ticker: &'static str,
    pub model: &'static str,
    /// Seconds per token of every answer.
    pub s_per_token: f64,
    pub first_token_s: f64,
    /// Factor on the lengths of all answers.
    pub length: f64,
    /// Seconds of each tool node.
    pub tool_s: f64,
    /// Tokens of each first prompt.
    pub template: u64,
    /// Whether the market report is there.
    pub market_report: bool,
    /// Seconds of our own work in each deciding node.
    pub local_s: f64,
    /// Seconds between nodes.
    pub gap_s: f64,
    /// Seconds that calls wait for a place.
    pub queue_s: f64,
    /// Whether steps wait for each other.
    pub barrier: bool,
    /// Whether there is a judge before the plan.
    pub judge: bool,
    /// Added to the length of every call, to make repeated runs differ.
    pub jitter: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            ticker: "ACME",
            model: "gpt-4o-2024-08-06",
            s_per_token: 0.02,
            first_token_s: 1.0,
            length: 1.0,
            tool_s: 5.0,
            template: 600,
            market_report: true,
            local_s: 0.0,
            gap_s: 0.005,
            queue_s: 0.0,
            barrier: true,
            judge: true,
            jitter: 0,
        }
    }
}

struct Maker {
    plan: Plan,
    runs: Vec<Value>,
    n: usize,
}

impl Maker {
    fn id(&mut self) -> String {
        self.n += 1;
        format!("00000000-0000-4000-8000-{:012}", self.n)
    }

    fn stamp(at: f64) -> String {
        let seconds = at as u64;
        format!(
            "2025-08-01T10:{:02}:{:02}.{:06}",
            seconds / 60,
            seconds % 60,
            ((at - seconds as f64) * 1e6).round() as u64
        )
    }

    /// A node with one call; gives its end.
    fn call(
        &mut self,
        name: &str,
        start: f64,
        prompt: u64,
        tokens: u64,
        writes: Option<(&str, &str)>,
        local_s: f64,
    ) -> f64 {
        let plan = self.plan.clone();
        let tokens = (tokens as f64 * plan.length) as u64 + plan.jitter;
        let begins = start + local_s;
        let first = begins + plan.queue_s + plan.first_token_s;
        let end = first + tokens as f64 * plan.s_per_token;
        let node = self.id();
        let outputs = match writes {
            Some((key, text)) => json!({key: text}),
            None => json!({format!("{name}_messages"): [{"type": "ai", "content": "", "tool_calls": [
                {"name": "get_data", "args": {"symbol": plan.ticker, "call": start}}]}]}),
        };
        self.push(&node, "root", name, "chain", start, end, json!({}), outputs);
        let call = self.id();
        self.push(&call, &node, "ChatOpenAI", "llm", begins, end, json!({"messages": []}), json!({
            "usage_metadata": {"input_tokens": prompt, "output_tokens": tokens, "total_tokens": prompt + tokens,
                "output_token_details": {"reasoning": 0}}}));
        let run = self.runs.last_mut().unwrap();
        run["first_token_time"] = json!(Self::stamp(first));
        run["extra"] = json!({"metadata": {"ls_model_name": plan.model, "langgraph_node": name}});
        end
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a run")]
    fn push(
        &mut self,
        id: &str,
        parent: &str,
        name: &str,
        kind: &str,
        start: f64,
        end: f64,
        inputs: Value,
        outputs: Value,
    ) {
        self.runs.push(json!({
            "id": id, "trace_id": "root", "parent_run_id": parent, "name": name, "run_type": kind,
            "start_time": Self::stamp(start), "end_time": Self::stamp(end), "status": "success", "error": null,
            "inputs": inputs, "outputs": outputs,
        }));
    }
}

/// A text of about this many tokens.
fn text(title: &str, tokens: u64) -> String {
    format!(
        "{title} report. {}",
        "The price rose by 3.25 percent on volume. ".repeat((tokens / 10).max(1) as usize)
    )
}

/// The runs of a plan as a list.
pub fn runs(plan: &Plan) -> Vec<Value> {
    let mut m = Maker { plan: plan.clone(), runs: Vec::new(), n: 0 };
    let families = [("market", 180, 850), ("news", 60, 1000), ("social", 60, 700), ("fundamentals", 40, 900)];
    let gap = plan.gap_s;
    let asked: Vec<f64> = families
        .iter()
        .map(|(f, n, _)| m.call(&format!("{f}_analyst"), gap, plan.template, *n, None, 0.0))
        .collect();
    let latest = |ends: &[f64]| ends.iter().copied().fold(0.0, f64::max);
    let join = |ends: &[f64], i: usize| if plan.barrier { latest(ends) } else { ends[i] } + gap;
    let mut fetched = Vec::new();
    for (i, (family, ..)) in families.iter().enumerate() {
        let start = join(&asked, i);
        let end = start + plan.tool_s + i as f64 * 0.2;
        let id = m.id();
        m.push(&id, "root", &format!("{family}_tools"), "chain", start, end, json!({}),
            json!({format!("{family}_messages"): [{"type": "tool", "name": "get_data", "content": "2025-07-30: 181.64, volume 9,534,800"}]}));
        fetched.push(end);
    }
    let mut reported = Vec::new();
    let mut size = 0;
    let mut outputs = serde_json::Map::new();
    for (i, (family, _, tokens)) in families.iter().enumerate() {
        let start = join(&fetched, i);
        let key = format!("{family}_report");
        let gone = *family == "market" && !plan.market_report;
        let body = if gone { String::new() } else { text(family, *tokens) };
        let n = if gone { 30 } else { *tokens };
        if !gone {
            size += (tokens / 10).max(1) * 10;
        }
        reported.push(m.call(
            &format!("{family}_analyst"),
            start,
            plan.template + 400,
            n,
            Some((&key, &body)),
            0.0,
        ));
        outputs.insert(key, json!(body));
    }
    let mut at = latest(&reported) + gap;
    let (bull, bear) = (text("Bull", 900), text("Bear", 900));
    let pair = [
        m.call("bull_researcher", at, size + 200, 900, Some(("bull_history", &bull)), plan.local_s),
        m.call("bear_researcher", at, size + 200, 850, Some(("bear_history", &bear)), plan.local_s),
    ];
    at = latest(&pair) + gap;
    if plan.judge {
        at = m.call(
            "judge",
            at,
            2000,
            300,
            Some(("judge_decision", "No consensus on the price of 181.64 so far, go on.")),
            plan.local_s,
        ) + gap;
    }
    at = m.call(
        "research_manager",
        at,
        size + 2000,
        600,
        Some(("investment_plan", &format!("Recommendation: HOLD\n{}", text("Plan", 500)))),
        plan.local_s,
    ) + gap;
    at = m.call(
        "risk_manager",
        at,
        size + 900,
        400,
        Some(("risk_decision", &format!("FINAL DECISION: HOLD\n{}", text("Risk", 300)))),
        plan.local_s,
    ) + gap;
    at = m.call(
        "trader",
        at,
        900,
        120,
        Some(("final_trade_decision", "FINAL DECISION: HOLD, the price may fall first.")),
        plan.local_s,
    );
    outputs.insert("final_trade_decision".into(), json!("FINAL DECISION: HOLD, the price may fall first."));
    outputs.insert("company_of_interest".into(), json!(plan.ticker));
    let root = json!({
        "id": "root", "trace_id": "root", "parent_run_id": null, "name": "trading", "run_type": "chain",
        "start_time": Maker::stamp(0.0), "end_time": Maker::stamp(at), "status": "success", "error": null,
        "inputs": {"company_of_interest": plan.ticker, "trade_date": "2025-07-30"}, "outputs": outputs,
    });
    m.runs.insert(0, root);
    m.runs
}

/// The trace of a plan.
pub fn twin(plan: &Plan) -> Trace {
    let bytes = serde_json::to_vec(&runs(plan)).unwrap();
    read(&bytes).unwrap().remove(0)
}

/// Analyzed as the command does it: runs of the trading graph have their scorer.
pub fn analyze(trace: &Trace) -> Analysis {
    lacon_monitor::analyze::analyze(trace, lacon_trading::traces::SCORERS)
}

/// Compared as the command does it.
pub fn compare(a: &[Trace], b: &[Trace]) -> Result<Comparison, String> {
    lacon_monitor::compare::compare(a, b, lacon_trading::traces::SCORERS)
}
