//! `lacon graph`: the graph of a profile as a picture.

use std::{process::ExitCode, sync::Arc, time::Duration};

use jiff::civil::date;
use lacon_runtime::{Counter, Restored, Run, RunOptions, ToolCache};
use lacon_sim::{SimClient, SimOptions};
use lacon_trading::{
    context::RunContext,
    graph,
    plan::{self, PlanOptions},
    source::DatasetSource,
};

use super::Common;
use crate::{
    args::team::{GraphArgs, GraphFormat},
    failure::Failure,
    text,
};

/// Prints the graph.
pub fn run(common: &Common, args: &GraphArgs) -> Result<ExitCode, Failure> {
    if let Some(name) = &args.team {
        return team(name, args.cast.profile.as_deref(), args.format);
    }
    let mut flags = vec![("run.disable", args.disable.as_ref()), ("run.enable", args.enable.as_ref())];
    flags.extend(args.cast.flags());
    let config = common.settings(&flags)?;
    let optimizations = crate::world::optimizations(&config)?;
    let day = date(2025, 1, 1);
    // The graph's shape depends on optimizations and rounds alone; nothing here is ever called.
    let run = Run::new(RunOptions {
        run_id: String::new(),
        labels: Default::default(),
        client: Arc::new(SimClient::new(SimOptions::default())),
        tools: Arc::new(DatasetSource::new(Arc::default(), day, lacon_market::Semantics::Standard, None)),
        cache: Arc::new(ToolCache::new(0)),
        shared: None,
        tool_timeout: Duration::ZERO,
        budget_tokens: 0,
        budget_micro_usd: 0,
        counter: Counter::new("gpt-4o"),
        on_progress: Arc::new(|_| {}),
        monitor: false,
        journal: None,
        restored: Restored::default(),
        began: tokio::time::Instant::now(),
    });
    let cast = Arc::new(crate::world::cast(&config, lacon_market::Asset::Equity)?);
    let plan = plan::compiled(&PlanOptions {
        optimizations: optimizations.clone(),
        cast: Arc::clone(&cast),
        quick_model: String::new(),
        deep_model: String::new(),
        limits: lacon_prompt::plan::Limits::default(),
        time_scale: 1.0,
    })
    .map_err(Failure::input)?;
    let context = RunContext {
        keep_text: false,
        nonce: String::new(),
        stated_actions: Default::default(),
        identity: Default::default(),
        short_forms: lacon_trading::material::ShortForms::default(),
        run: Arc::new(run),
        models: Vec::new(),
        plan,
        ladder: Default::default(),
        recall: None,
        embedder: None,
        stagger: Default::default(),
        optimizations,
        ticker: String::new(),
        listing: String::new(),
        company: String::new(),
        date: day,
        quick_model: String::new(),
        deep_model: String::new(),
        effort: Vec::new(),
        temperature: None,
        tool_rounds: 1,
        cast,
    };
    let graph = graph::build(&Arc::new(context)).map_err(Failure::input)?;
    let picture = match args.format {
        GraphFormat::Text => graph.to_text(),
        GraphFormat::Mermaid => graph.to_mermaid(),
        GraphFormat::Dot => graph.to_dot(),
        GraphFormat::Svg => {
            return Err(Failure::input(
                "--format svg draws teams, not the trading graph\nhint: lacon graph TEAM --format svg, or --format dot",
            ));
        }
    };
    text::out(picture.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// Prints a team.
fn team(name: &str, profile: Option<&str>, format: GraphFormat) -> Result<ExitCode, Failure> {
    let mut team = super::team::load(name)?;
    super::team::profile(&mut team, profile)?;
    let stages = lacon_agents::stages::stages(&team).map_err(|cycle| Failure::input(cycle.join(" -> ")))?;
    let picture = match format {
        GraphFormat::Text => lacon_agents::draw::text(&team, &stages),
        GraphFormat::Mermaid => lacon_agents::draw::mermaid(&team),
        GraphFormat::Dot => lacon_agents::draw::dot(&team),
        GraphFormat::Svg => lacon_agents::draw::svg(&team, &stages),
    };
    text::out(picture.trim_end());
    Ok(ExitCode::SUCCESS)
}
