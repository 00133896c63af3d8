//! A team as a picture: text for the terminal, Mermaid, DOT, SVG.

use std::fmt::Write;

use lacon_monitor::html::escape;

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
    let position = |name: &str| team.place(name).unwrap_or(0);
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

/// Sizes of the SVG: a box, and the distance of boxes.
const BOX: (usize, usize) = (170, 44);
const STEP: (usize, usize) = (240, 66);
const MARGIN: usize = 20;
/// Most characters of a label.
const LABEL: usize = 24;

/// SVG, one column a step: what stands in one column may run at once. Light and dark.
pub fn svg(team: &Team, stages: &Stages) -> String {
    let mut places: Vec<(usize, usize)> = vec![(0, 0); team.agents.len()];
    let mut heights: Vec<usize> = Vec::new();
    for stage in &stages.list {
        heights.resize(heights.len().max(stage.level + 1), 0);
        for member in &stage.members {
            places[*member] = (MARGIN + stage.level * STEP.0, MARGIN + heights[stage.level] * STEP.1);
            heights[stage.level] += 1;
        }
    }
    let width = 2 * MARGIN + heights.len().saturating_sub(1) * STEP.0 + BOX.0;
    let height = 2 * MARGIN + heights.iter().max().map_or(0, |most| (most - 1) * STEP.1) + BOX.1;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">\n\
         <style>rect{{fill:#fff;stroke:#5d646d}}text{{font:12px system-ui,\"DejaVu Sans\",sans-serif;fill:#1c1e21}}.s{{fill:#5d646d;font-size:10px}}path{{fill:none;stroke:#9aa2ab}}\
         @media(prefers-color-scheme:dark){{rect{{fill:#1b1e24;stroke:#9aa3ae}}text{{fill:#e8eaed}}.s{{fill:#9aa3ae}}}}</style>\n\
         <defs><marker id=\"e\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8\"/></marker></defs>\n",
        escape(&team.name)
    );
    let position = |name: &str| team.place(name).unwrap_or(0);
    for (from, to, label) in edges(team) {
        let ((x1, y1), (x2, y2)) = (places[position(&from)], places[position(&to)]);
        let middle = BOX.1 / 2;
        // Within a column the line goes around, else from side to side.
        let line = if x1 == x2 {
            let side = x1 + BOX.0;
            format!("M{side} {0}C{2} {0} {2} {1} {side} {1}", y1 + middle, y2 + middle, side + 40)
        } else {
            let (a, b) = (x1 + BOX.0, x2);
            let half = a.midpoint(b);
            format!("M{a} {0}C{half} {0} {half} {1} {b} {1}", y1 + middle, y2 + middle)
        };
        let title = format!("{from} to {to}{}{label}", if label.is_empty() { "" } else { ": " });
        let _ = writeln!(
            out,
            "<path d=\"{line}\" marker-end=\"url(#e)\"><title>{}</title></path>",
            escape(&title)
        );
    }
    for (agent, (x, y)) in team.agents.iter().zip(places) {
        let short = |text: &str| {
            let kept: String = text.chars().take(LABEL).collect();
            escape(&if kept.len() < text.len() { format!("{kept}…") } else { kept })
        };
        let what = match (agent.each.is_empty(), &agent.when) {
            (false, _) => format!("each of {}", agent.each),
            (true, Some(when)) => format!("when {}", when.says.join(" or ")),
            (true, None) => team.model(agent).to_owned(),
        };
        let _ = writeln!(
            out,
            "<g><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"6\"/><text x=\"{tx}\" y=\"{}\">{}</text><text class=\"s\" x=\"{tx}\" y=\"{}\">{}</text></g>",
            escape(&line(agent)),
            BOX.0,
            BOX.1,
            y + 19,
            short(&agent.name),
            y + 34,
            short(&what),
            tx = x + 10,
        );
    }
    out.push_str("</svg>\n");
    out
}
