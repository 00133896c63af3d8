//! `lacon check`: a team's faults, what each optimization will do for it, and what it will take; nothing is sent.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use lacon_agents::{
    Inputs, Optimizations, Plan, Team,
    plan::{AgentPlan, Limits, plan, within},
    stages::{self, Stages},
    team::InputKind,
};
use serde_json::{Value, json};

use super::{Common, micro_usd, team};
use crate::{
    args::{eval::Forms, team::CheckArgs},
    failure::Failure,
    text::{self, thousands},
};

/// Prints the plan of a team.
pub fn run(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let mut team = team::load(&args.team)?;
    let on = team::profile(&mut team, args.profile.as_deref())?;
    team::set_models(&mut team, args.quick_model.as_deref(), args.deep_model.as_deref());
    team::set_tools(&mut team, &args.given.tool)?;
    let off: Vec<&str> = args.disable.iter().flat_map(|list| list.split(',')).map(str::trim).collect();
    let on = on.switched(&off, &[]).map_err(Failure::input)?;
    let config = Common::default().settings(&[("models.forms", args.forms.map(Forms::word).as_ref())])?;
    let (on, unproven) = team::proven(&config, &team, on)?;
    let (inputs, made_up) = sampled(&team, team::given(&args.given.input)?)?;
    let stages = stages::stages(&team).map_err(|cycle| Failure::input(cycle.join(" -> ")))?;
    let model = team.agents.last().map_or(lacon_agents::team::DEFAULT_MODEL, |agent| team.model(agent));
    let encoding = lacon_tokens::for_model(model).encoding;
    let mut planned = within(&team, &stages, &inputs, &on, encoding, limits(args)?);
    planned.notes.extend(unproven);
    let none = plan(&team, &stages, &inputs, &Optimizations::none(), encoding);
    if args.json {
        let found = json!({ "schema_version": 1, "team": team.name, "made_up_inputs": made_up, "plan": planned,
            "without_optimizations": none.expected });
        text::out(&format!("{found:#}"));
        return Ok(ExitCode::SUCCESS);
    }
    print(&team, &stages, &planned, &none, &made_up);
    Ok(ExitCode::SUCCESS)
}

fn limits(args: &CheckArgs) -> Result<Limits, Failure> {
    let positive = |flag: &str, value: Option<f64>| match value {
        Some(value) if !(value.is_finite() && value > 0.0) => {
            Err(Failure::input(format!("{flag} is {value}\nhint: give a number above 0")))
        }
        value => Ok(value),
    };
    let usd = positive("--budget-usd", args.budget_usd)?;
    let seconds = positive("--deadline", args.deadline)?;
    Ok(Limits {
        tokens: args.budget_tokens,
        micro_usd: usd.map(micro_usd),
        time: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    })
}

/// Inputs for a plan: those that are given, and a sample in place of each that is missing.
fn sampled(team: &Team, mut given: BTreeMap<String, Value>) -> Result<(Inputs, Vec<String>), Failure> {
    let mut made_up = Vec::new();
    for (name, input) in &team.inputs {
        if given.contains_key(name) || input.default.is_some() {
            continue;
        }
        let sample = match input.kind {
            InputKind::Text => Value::from("a text of a few words for the plan"),
            InputKind::Integer => Value::from(5),
            InputKind::List => Value::from(vec!["an item of a few words for the plan"; 20]),
        };
        made_up.push(name.clone());
        given.insert(name.clone(), sample);
    }
    Inputs::new(team, &given).map(|inputs| (inputs, made_up)).map_err(Failure::input)
}

/// What a provider's cache is expected to do, with the rule that says so.
pub fn cache_line(rule: &str, cached: u64, written: u64) -> String {
    let dated = lacon_models::cache_rule(rule).and_then(|row| row.source.checked);
    let dated = dated.map(|day| format!(", checked {day}")).unwrap_or_default();
    format!(
        "caching    {} prompt tokens read, {} written (rule {rule}{dated})",
        thousands(cached),
        thousands(written)
    )
}

fn print(team: &Team, stages: &Stages, planned: &Plan, none: &Plan, made_up: &[String]) {
    text::out(&format!(
        "{}: no faults. {} agents in {} stages.",
        team.name,
        team.agents.len(),
        stages.list.len()
    ));
    if !made_up.is_empty() {
        text::out(&format!("planned with a short sample for: {}", made_up.join(", ")));
    }
    text::out(&format!(
        "\n{:<20} {:>4} {:<14} {:>6} {:>9} {:>7} {:>7}",
        "agent", "step", "model", "calls", "prompt", "answer", "s"
    ));
    for agent in &planned.agents {
        text::out(&format!(
            "{:<20} {:>4} {:<14} {:>6} {:>9} {:>7} {:>7.1}",
            agent.name,
            agent.level + 1,
            agent.model,
            agent.calls,
            thousands(agent.prompt),
            thousands(agent.answer),
            agent.seconds
        ));
    }
    text::out("\noptimization         tokens       s    USD  acts on");
    for effect in &planned.effects {
        let acts_on = if effect.acts_on.is_empty() {
            "nothing in this team".to_owned()
        } else {
            effect.acts_on.join(", ")
        };
        let acts_on = if effect.on { acts_on } else { format!("(off) {acts_on}") };
        text::out(&format!(
            "{:<18} {:>8} {:>7.1} {:>6.3}  {acts_on}",
            effect.optimization,
            -effect.tokens,
            0.0 - effect.seconds,
            0.0 - effect.micro_usd as f64 / 1e6
        ));
    }
    let of = |plan: &Plan| {
        let expected = &plan.expected;
        let usd = expected.micro_usd.map_or("unknown".into(), |micro| format!("{:.4}", micro as f64 / 1e6));
        format!(
            "{} calls, {} tokens, {usd} USD, {:.1} s",
            expected.calls,
            thousands(expected.tokens()),
            expected.seconds
        )
    };
    text::out(&format!("\nexpected   {}", of(planned)));
    text::out(&format!("without    {} (no optimization)", of(none)));
    let mut rules: Vec<(&str, u64, u64)> = Vec::new();
    for agent in &planned.agents {
        let Some(rule) = agent.cache_rule.as_deref() else { continue };
        let (cached, written) = (agent.calls * agent.cached, agent.calls * agent.written);
        match rules.iter_mut().find(|(known, ..)| *known == rule) {
            Some((_, all_cached, all_written)) => {
                *all_cached += cached;
                *all_written += written;
            }
            None => rules.push((rule, cached, written)),
        }
    }
    for (rule, cached, written) in rules {
        text::out(&cache_line(rule, cached, written));
    }
    let usual = |plan: &AgentPlan| team.agent(&plan.name).map_or(0, |agent| agent.words);
    for agent in planned.agents.iter().filter(|plan| plan.words < usual(plan)) {
        text::out(&format!("plan       {} is held to {} of {} words", agent.name, agent.words, usual(agent)));
    }
    for agent in &planned.agents {
        for (source, form) in &agent.forms {
            text::out(&format!("plan       {} reads {source} as {}", agent.name, form.name()));
        }
    }
    planned.over.iter().for_each(|over| text::out(&format!("plan       {over}")));
    planned.notes.iter().for_each(|note| text::out(&format!("note: {note}")));
}
