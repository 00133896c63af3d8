//! Optimizations of one's own: what they change in a request, and what that saves.

use std::sync::Arc;

use lacon_llm::{Request, count_prompt};

use crate::{
    Optimization,
    context::Context,
    team::{Agent, Team},
};

/// An optimization that a caller adds to those of [`Optimization`].
///
/// It sees what an agent is about to be sent and may change it: shorten a text, ask another model, bound the answer. Those
/// given in [`Settings`](crate::Settings) are on; each has its row in the record, with the tokens that it saved. What it
/// changes has to follow from its arguments alone, or a run that is gone on with asks anew.
pub trait OwnOptimization: Send + Sync {
    /// Its name in the record; none of those that [`Optimization`] has.
    fn name(&self) -> &str;

    /// Whether it has something to do for an agent of this team. It sees no requests of other agents.
    fn acts_on(&self, team: &Team, agent: &Agent) -> bool;

    /// Changes the first request of a turn; tool rounds and repairs go on from what it left. There are several agents where
    /// [`Optimization::Merged`] has one call answer for all of them.
    fn change(&self, agents: &[&Agent], request: &mut Request);
}

/// Why a run cannot have these optimizations, where that is so.
pub(crate) fn refused(own: &[Arc<dyn OwnOptimization>]) -> Option<String> {
    let built_in = |name: &str| Optimization::ALL.iter().any(|known| known.name() == name);
    own.iter().enumerate().find_map(|(i, one)| {
        let name = one.name();
        let taken = built_in(name) || own[..i].iter().any(|other| other.name() == name);
        (taken || name.is_empty()).then(|| {
            format!("an own optimization is named {name:?}, which is taken or empty\nhint: rename it")
        })
    })
}

/// Has each optimization change the request of agents, of several where one call answers for all of them, and enters what it
/// saved under the name that the call has in the ledger.
pub(crate) async fn apply(context: &Context, agents: &[&Agent], role: &str, request: &mut Request) {
    let acts = |own: &dyn OwnOptimization| agents.iter().all(|agent| own.acts_on(&context.team, agent));
    for own in context.own.iter().filter(|own| acts(&***own)) {
        let model = context.run.options.counter.ready().await;
        let before = count_prompt(request, model) as i64;
        own.change(agents, request);
        let saved = before - count_prompt(request, model) as i64;
        context.run.ledger.saving(role, own.name().to_owned(), saved);
    }
}
