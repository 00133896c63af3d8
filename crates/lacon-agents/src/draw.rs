//! A team as a picture: text for the terminal, Mermaid, DOT.

use std::fmt::Write;

use crate::{
    stages::{Kind, Stages},
    team::{Agent, Read, Team},
};

/// The stages of a team, one level a block: what stands in one block may run at once.
pub fn text(team: &Team, stages: &Stages) -> String {
    let mut out = format!("{}: {}\n", team.name, if team.about.is_empty() { "a team" } else { &team.about });
    let levels = stages.list.iter().map(|stage| stage.level + 1).max().unwrap_or(0);
    for level in 0..levels {
        let _ = writeln!(out, "step {}", level + 1);
        for stage in stages.list.iter().filter(|stage| stage.level == level) {
            if let Some(rounds) = Stages::rounds(team, stage) {
                let kind = if stage.kind == Kind::Loop { "loop" } else { "group" };
                let until = rounds
                    .until
                    .as_ref()
                    .map(|until| format!(", until {} says {}", until.agent, until.says.join(" or ")));
                let until = until.unwrap_or_default();
                let _ = writeln!(out, "  {kind} {}: at most {} rounds{until}", stage.name, rounds.most());
            }
            let indent = if stage.kind == Kind::Single { "  " } else { "    " };
            for member in &stage.members {
                let _ = writeln!(out, "{indent}{}", line(&team.agents[*member]));
            }
        }
    }
    out
}

fn line(agent: &Agent) -> String {
    let mut parts = vec![agent.name.clone()];
    if !agent.each.is_empty() {
        parts.push(format!("for each of {} ({} at once)", agent.each, agent.at_once()));
    }
    if let Some(when) = &agent.when {
        parts.push(format!("when {} says {}", when.agent, when.says.join(" or ")));
    }
    if !agent.reads.is_empty() {
        parts.push(format!("reads {}", agent.reads.join(", ")));
    }
    if !agent.tools.is_empty() {
        parts.push(format!("tools {}", agent.tools.join(", ")));
    }
    if let Some((list, most)) = agent.list() {
        parts.push(format!("fills {list} (at most {most})"));
    }
    if agent.words > 0 {
        parts.push(format!("{} words", agent.words));
    }
    if agent.approve {
        parts.push("needs approval".into());
    }
    parts.join(" | ")
}

/// An edge: from, to, its label.
fn edges(team: &Team) -> Vec<(String, String, String)> {
    let mut edges = Vec::new();
    for agent in &team.agents {
        for read in agent.read() {
            match read {
                Read::Whole(from) => edges.push((from.to_owned(), agent.name.clone(), String::new())),
                Read::Digest(from) => edges.push((from.to_owned(), agent.name.clone(), "digest".into())),
                Read::Input(_) => {}
            }
        }
        if let Some(lister) = team.lister(&agent.each) {
            edges.push((lister.name.clone(), agent.name.clone(), format!("each of {}", agent.each)));
        }
        if let Some(when) = &agent.when {
            edges.push((when.agent.clone(), agent.name.clone(), when.says.join(" or ")));
        }
    }
    for rounds in team.loops.values().chain(team.groups.values()) {
        for pair in rounds.agents.windows(2) {
            edges.push((pair[0].clone(), pair[1].clone(), "hears".into()));
        }
        if let [first, .., last] = rounds.agents.as_slice() {
            edges.push((last.clone(), first.clone(), format!("at most {} rounds", rounds.most())));
        }
    }
    edges
}

/// Mermaid.
pub fn mermaid(team: &Team) -> String {
    let position = |name: &str| team.agents.iter().position(|agent| agent.name == name).unwrap_or(0);
    let mut out = String::from("flowchart LR\n");
    for (i, agent) in team.agents.iter().enumerate() {
        let _ = writeln!(out, "  a{i}[\"{}\"]", agent.name);
    }
    for (from, to, label) in edges(team) {
        let label = if label.is_empty() { String::new() } else { format!("|\"{label}\"|") };
        let _ = writeln!(out, "  a{} -->{label} a{}", position(&from), position(&to));
    }
    out
}

/// Graphviz.
pub fn dot(team: &Team) -> String {
    let mut out = String::from("digraph team {\n  rankdir=LR;\n  node [shape=box];\n");
    for agent in &team.agents {
        let _ = writeln!(out, "  {:?};", agent.name);
    }
    for (from, to, label) in edges(team) {
        let label = if label.is_empty() { String::new() } else { format!(" [label={label:?}]") };
        let _ = writeln!(out, "  {from:?} -> {to:?}{label};");
    }
    out.push_str("}\n");
    out
}
