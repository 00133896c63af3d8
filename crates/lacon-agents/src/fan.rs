//! A fan-out: one call per item of a list, so many at once.

use futures_util::{StreamExt, stream};
use lacon_graph::StepError;
use lacon_llm::BoxFuture;

use crate::{
    context::Context,
    prompt::{Material, Turn, material},
    state::{Said, TeamState, Text},
    step::speak,
    team::Agent,
};

/// The items that an agent fans out over.
pub(crate) fn items(context: &Context, agent: &Agent, state: &TeamState) -> Vec<String> {
    if let Some(items) = context.inputs.list(&agent.each) {
        return items.to_vec();
    }
    let lister = context.team.lister(&agent.each);
    let said = lister.and_then(|lister| Some((state.last(&lister.name)?, lister.list()?.1)));
    said.and_then(|(said, most)| Some(crate::answer::items(&said.texts.first()?.text, most)))
        .unwrap_or_default()
}

/// Asks an agent about every item. Only the calls under way hold a prompt; texts are kept in the order of the items.
///
/// # Errors
/// As [`speak`], and when no item at all has a text. With an empty list nothing is asked.
pub(crate) async fn fan_out(context: &Context, agent: &Agent, state: &TeamState) -> Result<Said, StepError> {
    let items = items(context, agent, state);
    if items.is_empty() {
        let texts = vec![Text::skipped(format!("list {:?} is empty", agent.each))];
        return Ok(Said { agent: agent.name.clone(), round: 1, items, texts });
    }
    let material = &material(context, agent, state);
    let asked = &items;
    let calls = (0..items.len()).map(|i| about(context, agent, material, asked, i));
    let mut texts: Vec<Text> = vec![Text::default(); items.len()];
    let mut failed = 0;
    {
        let mut under_way = stream::iter(calls).buffer_unordered(agent.at_once());
        while let Some(spoken) = under_way.next().await {
            let (i, text) = spoken?;
            failed += usize::from(!text.is_there());
            texts[i] = text;
        }
    }
    if failed == items.len() && !agent.optional {
        let reason = texts.iter().find_map(|text| text.failure.clone()).unwrap_or_default();
        return Err(StepError::new(format!("{}: none of {failed} items has a text: {reason}", agent.name)));
    }
    Ok(Said { agent: agent.name.clone(), round: 1, items, texts })
}

/// Asks about one item. Boxed, so that a call takes memory only while it is under way.
fn about<'a>(
    context: &'a Context,
    agent: &'a Agent,
    material: &'a Material,
    items: &'a [String],
    i: usize,
) -> BoxFuture<'a, Result<(usize, Text), StepError>> {
    let turn = Turn { item: Some(&items[i]), round: 1 };
    Box::pin(async move { speak(context, agent, material, turn).await.map(|text| (i, text)) })
}
