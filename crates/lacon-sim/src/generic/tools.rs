//! Tools of a simulated team: the calls that the model makes, and made-up passages as their answers.

use lacon_llm::{Request, ToolSpec};
use serde_json::{Map, Value};

use crate::client::draw;

/// Arguments of a tool call: every required one is what the instruction is about.
pub fn arguments(request: &Request, tool: &ToolSpec) -> Map<String, Value> {
    let topic = super::topic(&super::instruction(&request.messages));
    let required = tool.parameters.get("required").and_then(Value::as_array);
    let names = required.into_iter().flatten().filter_map(Value::as_str);
    names.map(|name| (name.to_owned(), Value::from(topic.clone()))).collect()
}

const SAYS: [&str; 8] = [
    "reports a share of {} percent",
    "counts {} cases in its last survey",
    "names {} as the figure to watch",
    "found a change of {} percent within a year",
    "puts the cost at {} million",
    "measured {} points on its scale",
    "lists {} open questions",
    "compares {} sites over ten years",
];
const SOURCES: [&str; 6] = [
    "the annual survey",
    "a field report",
    "the agency's review",
    "a long study",
    "the trade journal",
    "an audit",
];

/// Six passages about the arguments of a call, each with a figure and a source; made up, and the same for the same call.
pub fn passages(seed: u64, tool: &str, arguments: &Map<String, Value>) -> String {
    let about: Vec<String> = arguments.values().map(|value| value.to_string()).collect();
    let about = about.join(" ");
    let short: Vec<&str> = about.trim_matches('"').split_whitespace().take(10).collect();
    let short = short.join(" ").trim_end_matches(['?', '.']).to_owned();
    let passage = |i: usize| {
        let u = |what: &str| draw(seed, &format!("{what}/{tool}/{about}/{i}"));
        let figure = format!("{:.1}", 1.0 + u("figure") * 98.0);
        let says = SAYS[(u("says") * SAYS.len() as f64) as usize % SAYS.len()].replace("{}", &figure);
        let source = SOURCES[(u("source") * SOURCES.len() as f64) as usize % SOURCES.len()];
        let year = 2019 + (u("year") * 6.0) as u32;
        let n = i + 1;
        format!("Passage {n}: on {short}, {source} of {year} {says} (https://example.org/{tool}/{n}-{year}).")
    };
    (0..6).map(passage).collect::<Vec<_>>().join("\n")
}
