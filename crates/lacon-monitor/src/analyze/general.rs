//! The content grade of a run of any kind: failures, cut and empty answers. It knows nothing of what the run was for, and
//! says what it could not judge.

use super::{
    content::{Sheet, reasons_in_secret},
    summary::calls,
};
use crate::{
    grade::points,
    trace::{Answer, Span, Trace},
};

/// Most faults of one kind that cost points.
const MOST: usize = 4;

/// Judges a run; whether there was anything to judge.
pub(super) fn judge(trace: &Trace, sheet: &mut Sheet) -> bool {
    let failed: Vec<&Span> = trace.spans.iter().filter(|s| s.is_work() && s.error.is_some()).collect();
    for span in failed.iter().take(MOST) {
        let why = span.error.as_deref().unwrap_or_default();
        sheet.lose("span_failed", points::SPAN_FAILED, format!("{}: {why}", span.label()));
    }
    let finished = matches!(trace.status.to_lowercase().as_str(), "success" | "done" | "ok" | "completed");
    if !finished {
        sheet.lose("not_finished", points::NOT_FINISHED, format!("the run ended as {:?}", trace.status));
    }
    let cut: Vec<&Span> = calls(trace).map(|(_, s)| s).filter(|s| is_cut(s)).collect();
    for span in cut.iter().take(MOST) {
        sheet.lose("answer_cut", points::ANSWER_CUT, format!("{}: cut by the token limit", span.label()));
    }
    let asked = calls(trace).count();
    if asked > 0 && calls(trace).all(|(_, s)| s.error.is_some()) {
        sheet.lose("answer_missing", points::ANSWER_EMPTY, format!("all {asked} model calls failed"));
    }
    let found = answers(trace, sheet);
    found || !failed.is_empty() || !finished || !cut.is_empty()
}

/// Whether a call says that the token limit ended its answer.
fn is_cut(span: &Span) -> bool {
    [
        "gen_ai.response.finish_reasons",
        "ai.response.finishReason",
        "llm.finish_reason",
        "finish_reason",
        "stop_reason",
    ]
    .iter()
    .filter_map(|key| span.attributes.get(*key))
    .any(|reason| {
        let reason = reason.to_string().to_lowercase();
        reason.contains("length") || reason.contains("max_tokens") || reason.contains("max_output_tokens")
    })
}

fn answers(trace: &Trace, sheet: &mut Sheet) -> bool {
    let (mut judged, mut unknown, mut absent, mut lost, mut secret) = (0, 0, 0, 0, 0);
    let mut empty: Vec<String> = Vec::new();
    let n_calls = calls(trace).count();
    for (_, call) in calls(trace) {
        let t = &call.tokens;
        match call.answer {
            Answer::NotRecorded => absent += 1,
            Answer::NotUnderstood => unknown += 1,
            Answer::Text | Answer::Tools => judged += 1,
            Answer::Empty if call.error.is_some() || call.asks_tools > 0 => judged += 1,
            // Tokens were written and no text was kept: the trace is poorer than the answer was.
            Answer::Empty if t.completion.is_some_and(|c| c > t.reasoning.unwrap_or(0).saturating_add(8)) => {
                lost += 1
            }
            Answer::Empty => {
                judged += 1;
                let tokens = t.completion.map_or(String::new(), |c| format!(" of {c} tokens"));
                empty.push(format!("{}: its answer{tokens} says nothing", call.label()));
            }
        }
        let silent = call.model.as_deref().is_some_and(reasons_in_secret);
        secret += usize::from(silent && t.reasoning.is_none() && trace.tokens.reasoning.is_none());
    }
    empty.into_iter().take(MOST).for_each(|what| sheet.lose("answer_empty", points::ANSWER_EMPTY, what));
    for (n, what) in [
        (absent, "not recorded"),
        (unknown, "recorded in a form that is not understood"),
        (lost, "recorded empty, though they took tokens"),
    ] {
        if n > 0 {
            sheet.not_judged.push(format!("answers, {n} of {n_calls}: {what}"));
        }
    }
    if secret > 0 {
        sheet.not_judged.push(format!(
            "reasoning, {secret} of {n_calls}: the model thinks unseen, and no tokens of it are reported"
        ));
    }
    let run_said = !matches!(trace.answer, Answer::NotRecorded | Answer::NotUnderstood);
    if calls(trace).next().is_none() {
        sheet.not_judged.push("answers: no model call is recorded".into());
    }
    judged > 0 || run_said
}
