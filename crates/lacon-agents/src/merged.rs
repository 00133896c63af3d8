//! One call for several agents: who can share one, its request, the division of its answer.
//!
//! Every part begins with a line that carries the tag of its agent, which no text that is read can know. A part that is
//! missing, or lacks a section, is asked for by a call of its own. Nothing is dropped but the lines between the parts.

use std::collections::BTreeMap;

use lacon_llm::{Enough, Error, ErrorKind, Finish, Request, whole_sentences};
use lacon_runtime::{Ask, agent as runtime};

use crate::{
    Optimization, answer,
    context::Context,
    prompt::{self, Material, Turn},
    record::AND,
    state::Text,
    team::Agent,
};

/// What the call for several agents holds of this one; none where it has no such call, or has to be asked alone.
///
/// # Errors
/// When the call failed, for each of its agents.
pub(crate) async fn part(
    context: &Context,
    agent: &Agent,
    material: &Material,
) -> Result<Option<Text>, Error> {
    if !context.has(Optimization::Merged) {
        return Ok(None);
    }
    let is_member = |member: &usize| context.team.agents[*member].name == agent.name;
    let Some(merge) = context.merges.iter().find(|merge| merge.members.iter().any(is_member)) else {
        return Ok(None);
    };
    match merge.parts.get_or_init(|| asked(context, &merge.members, material)).await {
        Ok(parts) => Ok(parts.get(&agent.name).cloned()),
        Err((kind, message)) => Err(Error::new(*kind, message.clone())),
    }
}

async fn asked(
    context: &Context,
    members: &[usize],
    material: &Material,
) -> Result<BTreeMap<String, Text>, (ErrorKind, String)> {
    let agents: Vec<&Agent> = members.iter().map(|member| &context.team.agents[*member]).collect();
    let names: Vec<&str> = agents.iter().map(|agent| agent.name.as_str()).collect();
    let role = names.join(&AND.to_string());
    let mut request = request(context, &agents, material);
    crate::own::apply(context, &agents, &role, &mut request).await;
    let encoding = context.run.options.counter.ready().await.encoding;
    let shared = encoding.count(&material.shared) + encoding.count(&material.own);
    let ask = Ask { role: role.clone(), request, tool_rounds: 0, first_turn: 1 };
    let answer = runtime::ask(&context.run, ask).await;
    let answer = answer.map_err(|error| (error.kind(), error.message().to_owned()))?;
    context.run.ledger.saving(&role, Optimization::Merged.name(), (shared * (agents.len() - 1)) as i64);
    let cut = answer.finish == Finish::Length;
    let tags: Vec<String> = agents.iter().map(|agent| context.tag(&agent.name)).collect();
    let mut parts = BTreeMap::new();
    let divided = divide(&answer.text, &tags);
    for (i, text) in divided.iter().enumerate().filter_map(|(i, text)| Some((i, text.as_ref()?))) {
        // Only what was written last can have been cut.
        let is_cut = cut && answer.text.trim_end().ends_with(text.as_str());
        let text = if is_cut { whole_sentences(text).to_owned() } else { text.clone() };
        if answer::missing(&text, agents[i]).is_empty() && !text.trim().is_empty() {
            parts.insert(agents[i].name.clone(), Text { text, cut: is_cut, ..Text::default() });
        }
    }
    Ok(parts)
}

/// The request of several agents: what they read once, their instructions one after another.
fn request(context: &Context, agents: &[&Agent], material: &Material) -> Request {
    let names: Vec<&str> = agents.iter().map(|agent| agent.name.as_str()).collect();
    let mut lines = vec![
        format!("You are several agents: {}.", names.join(", ")),
        "Answer for each of them alone, as if there were no other. Begin each answer with its line as it stands here:"
            .into(),
    ];
    let (mut all_words, mut needs) = (0, Vec::new());
    for agent in agents {
        let words = prompt::room::limit(context, agent, material, "", "");
        let own = prompt::instruction(context, agent, Turn { item: None, round: 1 }, words);
        let tag = context.tag(&agent.name);
        // Without its own first line, which says who it is.
        let own = own.split_once('\n').map_or(own.as_str(), |(_, own)| own);
        lines.push(format!("# {} [{tag}]\n{own}", agent.name));
        needs.push(vec![format!("[{tag}]")]);
        needs.extend(agent.needs());
        all_words += words;
    }
    let mut request = prompt::assembled(context, material, "", &lines.join("\n"));
    prompt::limit(context, agents[0], all_words, &mut request);
    // Where one of them has no limit, nothing bounds the whole.
    let bounded = agents.iter().all(|agent| agent.words > 0) && context.has(Optimization::WordLimits);
    request.enough = bounded.then_some(Enough { words: all_words, needs });
    request.max_tokens = request.max_tokens.filter(|_| bounded);
    prompt::settle(&mut request);
    request
}

/// The text behind each tag, up to the line of the next one; none where a tag does not occur.
fn divide(text: &str, tags: &[String]) -> Vec<Option<String>> {
    let mut parts: Vec<Option<String>> = vec![None; tags.len()];
    let mut current = None;
    for line in text.lines() {
        if let Some(found) = tags.iter().position(|tag| line.contains(&format!("[{tag}]"))) {
            // A tag that comes twice goes on where it was.
            current = Some(found);
            parts[found].get_or_insert_default();
        } else if let Some(part) = current.and_then(|at: usize| parts[at].as_mut()) {
            part.push_str(line);
            part.push('\n');
        }
    }
    parts.into_iter().map(|part| part.map(|part| part.trim().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_divided_by_its_tags_alone() {
        let tags = ["aaaaaa".to_owned(), "bbbbbb".to_owned(), "cccccc".to_owned()];
        let text = "Here it is:\n# one [aaaaaa]\nFirst.\n# two\nNo tag.\n**two [bbbbbb]**\nSecond: 41.\n";
        let parts = divide(text, &tags);
        assert_eq!(parts, [Some("First.\n# two\nNo tag.".into()), Some("Second: 41.".into()), None]);
        assert_eq!(divide("nothing", &tags), [None, None, None]);
    }
}
