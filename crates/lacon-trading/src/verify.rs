//! Whether the prompts were sent as planned: each is built again from plan and state, and its digest compared.

use lacon_monitor::ledger::Facts;

use crate::{Role, context::RunContext, requests, state::TradeState};

/// How many first prompts of roles were sent as the plan says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Prompts that were compared.
    pub compared: u64,
    /// Those whose digest on the wire is the plan's.
    pub equal: u64,
    /// Prompt tokens of them that begin like a prompt whose answer had begun before.
    pub cached_predicted: u64,
}

struct Prompt {
    digest: String,
    text: String,
}

/// Builds a role's first prompt from the plan and the state; nothing for one that the plan does not know before its call.
fn rebuild(context: &RunContext, role: Role, state: &TradeState) -> Option<Prompt> {
    let planned = if !role.is_analyst() {
        requests::reader(context, role, state, 1).request
    } else if context.optimizations.has("prefetch") {
        requests::analyst(context, role, state).request
    } else {
        return None;
    };
    let text = planned.messages.iter().map(|m| format!("{:?}\n{}\n", m.role, m.content)).collect();
    Some(Prompt { digest: planned.digest(), text })
}

/// Builds every role's first prompt again from the plan and the final state, and compares it with what was sent.
///
/// Who speaks in several rounds is left out when a later round was asked for shorter: its first prompt is then another.
pub fn verify(context: &RunContext, state: &TradeState, facts: &Facts) -> Verified {
    let mut sent = Vec::new();
    let mut equal = 0;
    for role in context.cast.roles() {
        if state.texts(role).len() > 1 && context.ladder.has_stepped(role.name()) {
            continue;
        }
        let calls = facts.calls.iter().map(|fact| &fact.call).filter(|call| call.role == role.name());
        let Some(call) = calls.min_by(|a, b| a.start_s.total_cmp(&b.start_s)) else { continue };
        let Some(prompt) = rebuild(context, role, state) else { continue };
        equal += u64::from(prompt.digest == call.prompt_digest);
        sent.push(Sent {
            text: prompt.text,
            start_s: call.start_s,
            answered_s: call.first_token_s.unwrap_or(call.end_s),
        });
    }
    let encoding = context.run.options.counter.get().encoding;
    Verified { compared: sent.len() as u64, equal, cached_predicted: predicted(&sent, encoding) }
}

/// A first prompt with the seconds of the run when it was sent and when its answer began.
struct Sent {
    text: String,
    start_s: f64,
    answered_s: f64,
}

/// Cached tokens by the rule of the providers that cache by themselves: prefixes of every prompt whose answer had begun when
/// the next one was sent.
fn predicted(sent: &[Sent], encoding: &lacon_tokens::Encoding) -> u64 {
    let Some(rule) = lacon_models::cache_rule("openai-5.5") else { return 0 };
    let (least, step) = (rule.least as usize, rule.step as usize);
    let of = |prompt: &Sent| {
        let earlier = sent.iter().filter(|earlier| earlier.answered_s <= prompt.start_s);
        let longest = earlier.map(|earlier| shared(prompt.text.as_bytes(), earlier.text.as_bytes())).max();
        // A token has at least a byte: most pairs end here, uncounted.
        let longest = longest.filter(|longest| *longest >= least)?;
        let tokens = encoding.count(&prompt.text[..prompt.text.floor_char_boundary(longest)]);
        (tokens >= least).then_some((tokens - tokens % step) as u64)
    };
    sent.iter().filter_map(of).sum()
}

/// Bytes that two texts begin with alike.
fn shared(a: &[u8], b: &[u8]) -> usize {
    const STEP: usize = 64;
    let steps = a.chunks_exact(STEP).zip(b.chunks_exact(STEP)).take_while(|(a, b)| a == b).count() * STEP;
    steps + a[steps..].iter().zip(&b[steps..]).take_while(|(a, b)| a == b).count()
}

/// The digest of a plan: every choice and every text that is known before the run.
pub fn digest(context: &RunContext) -> String {
    let mut parts: Vec<String> = vec![context.cast.rules().into_owned(), context.identity().to_owned()];
    for role in context.plan.words.keys() {
        let file = context.cast.file(*role);
        parts.push(format!("{role} {} {}", context.model(file), requests::instruction(context, *role)));
    }
    parts.extend(
        context
            .plan
            .forms
            .iter()
            .map(|((reader, source), form)| format!("{reader} {source} {}", form.name())),
    );
    lacon_runtime::run::digest(&parts.iter().map(String::as_str).collect::<Vec<_>>())
}
