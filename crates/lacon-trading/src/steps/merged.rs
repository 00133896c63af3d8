//! What becomes of an answer for plan and judge, and what happens if a part is missing.

use lacon_agents::answer::uncovered;
use lacon_graph::StepError;
use lacon_llm::{Error, ErrorKind, Finish, Malformed, Request, count_prompt};
use lacon_runtime::{Answer, Ask, agent};

use super::{finish, settle};
use crate::{
    Role,
    context::RunContext,
    merged::{OPTIMIZATION, Part, split},
    requests,
    state::{Shares, Text, TradeState, TradeUpdate},
};

/// Tokens of the call for both, and of the two calls that it stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    merged: i64,
    plan: i64,
    judge: i64,
}

/// Counts while the answer is under way.
pub(super) fn sizes(context: &RunContext, state: &TradeState, visit: u32, sent: &Request) -> Sizes {
    let encoding = context.run.options.counter.get();
    let count = |request: &Request| count_prompt(request, encoding) as i64;
    Sizes {
        merged: count(sent),
        plan: count(&requests::alone(context, Role::Plan, state, visit).request),
        judge: count(&requests::reader(context, Role::Judge, state, visit).request),
    }
}

/// Makes the texts of both roles of an answer. A plan that is missing is asked for here, because everybody waits for it;
/// a judgment that is missing by the judge's own step, beside the risk roles.
pub(super) async fn both(
    context: &RunContext,
    state: &TradeState,
    visit: u32,
    answered: Result<Answer, Error>,
    read: Shares,
    sizes: Sizes,
) -> Result<TradeUpdate, StepError> {
    let answer = match answered {
        Ok(answer) => Some(answer),
        // An empty answer lacks both parts.
        Err(error) if error.kind() == ErrorKind::Malformed(Malformed::Empty) => None,
        Err(error) => return Ok(TradeUpdate::default().says(Role::Plan, visit, settle(Role::Plan, error)?)),
    };
    let mut parts = answer.as_ref().map(|answer| split(&answer.text)).unwrap_or_default();
    let file = context.cast.file(Role::Plan);
    let is_plan = |text: &str| uncovered(text, &file.covers).len() * 2 <= file.covers.len();
    // Words before a judgment that are no plan belong to it.
    if let (false, Some(judgement)) = (parts.titled, &parts.judgement)
        && let Some(opening) = parts.plan.take_if(|plan| !is_plan(plan))
    {
        parts.judgement = Some(format!("{opening}\n\n{judgement}"));
    }
    let cut = answer.as_ref().is_some_and(|answer| answer.finish == Finish::Length);
    let saved = sizes.plan - sizes.merged + if parts.judgement.is_some() { sizes.judge } else { 0 };
    let ledger = &context.run.ledger;
    ledger.saving(Role::Plan.name(), OPTIMIZATION, saved);
    ledger.receipt(serde_json::json!({
        "node": Role::Plan.name(), "pass": OPTIMIZATION, "roles": [Role::Plan.name(), Role::Judge.name()],
        "tokens_before": sizes.plan + sizes.judge, "tokens_after": sizes.plan + sizes.judge - saved,
        "missing": { "plan": parts.plan.is_none(), "judge": parts.judgement.is_none() },
    }));
    let mut update = TradeUpdate::default();
    if let Some(text) = parts.judgement
        // A run that is gone on with may have one already.
        && state.text(Role::Judge).is_none()
    {
        let reads = context.cast.reads(Role::Judge, &context.optimizations);
        let read = read.iter().filter(|(of, _)| reads.iter().any(|r| r.name() == of)).cloned().collect();
        let text = Text {
            cut: cut && parts.last == Some(Part::Judgement),
            missing: uncovered(&text, &context.cast.file(Role::Judge).covers),
            text,
            ..Text::default()
        };
        update = update.says(Role::Judge, visit, text).read(Role::Judge, read);
    }
    let finished = match parts.plan {
        Some(text) => {
            let request = requests::alone(context, Role::Plan, state, visit).request;
            let cut = cut && parts.last == Some(Part::Plan);
            let answer = Answer {
                text,
                finish: if cut { Finish::Length } else { Finish::Stop },
                messages: request.messages.clone(),
                open_calls: Vec::new(),
            };
            finish(context, Role::Plan, &request, answer, visit + 1).await
        }
        None => {
            let request = requests::alone(context, Role::Plan, state, visit).booked(context, Role::Plan);
            let ask = Ask {
                role: Role::Plan.name().into(),
                request: request.clone(),
                tool_rounds: 0,
                first_turn: visit + 1,
            };
            match agent::ask(&context.run, ask).await {
                Ok(answer) => finish(context, Role::Plan, &request, answer, visit + 2).await,
                Err(error) => Err(error),
            }
        }
    };
    let text = match finished {
        Ok(text) => text,
        Err(error) => settle(Role::Plan, error)?,
    };
    Ok(update.says(Role::Plan, visit, text).read(Role::Plan, read))
}
