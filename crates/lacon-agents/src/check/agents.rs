//! What may be wrong with an agent.

use super::{Checker, MAX_IN_FLIGHT, MAX_ITEMS, MAX_PROMPT_BYTES};
use crate::team::{Agent, InputKind, Output, Read};

/// Longest answer in words.
const MAX_WORDS: u32 = 20_000;
/// Most rounds of tool calls.
const MAX_TOOL_ROUNDS: u32 = 8;
/// Most calls that are made before an agent is asked.
const MAX_PREFETCH: u64 = 64;

impl Checker<'_> {
    pub(super) fn agents(&mut self) {
        let team = self.team;
        for (i, agent) in team.agents.iter().enumerate() {
            let path = format!("agent.{i}");
            self.name(format!("{path}.name"), "agent", &agent.name);
            if team.agents[..i].iter().any(|other| other.name == agent.name) {
                let problem = format!("agent {:?} is declared twice", agent.name);
                self.fault(format!("{path}.name"), problem, "rename one of them");
            }
            self.prompt(&path, agent);
            self.limits(&path, agent);
            self.reads(&path, agent);
            self.each(&path, agent);
            self.output(&path, i, agent);
            self.calls(&path, agent);
            if let Some(when) = &agent.when {
                let what = format!("agent {:?}, when", agent.name);
                self.says(&format!("{path}.when"), &what, when);
            }
        }
    }

    fn prompt(&mut self, path: &str, agent: &Agent) {
        let what = format!("prompt of agent {:?}", agent.name);
        let path = format!("{path}.prompt");
        let n = agent.prompt.len();
        if agent.prompt.trim().is_empty() && agent.by.is_empty() {
            self.fault(&path, format!("{what} is empty"), "say what the agent is to do");
        } else if n > MAX_PROMPT_BYTES {
            let problem = format!("{what} has {n} bytes, at most {MAX_PROMPT_BYTES} are possible");
            self.fault(&path, problem, "give long texts as inputs and read them: reads = [\"input:NAME\"]");
        } else {
            self.template(&path, &what, &agent.prompt, !agent.each.is_empty());
        }
    }

    fn limits(&mut self, path: &str, agent: &Agent) {
        let name = &agent.name;
        for (key, value, most) in [
            ("words", u64::from(agent.words), u64::from(MAX_WORDS)),
            ("in_flight", agent.in_flight as u64, MAX_IN_FLIGHT as u64),
            ("tool_rounds", u64::from(agent.tool_rounds), u64::from(MAX_TOOL_ROUNDS)),
            ("sections", agent.sections.len() as u64, 24),
            ("covers", agent.covers.len() as u64, 24),
            ("prefetch", agent.prefetch.values().map(Vec::len).sum::<usize>() as u64, MAX_PREFETCH),
        ] {
            if value > most {
                let problem = format!("agent {name:?}: {key} is {value}, at most {most} is possible");
                self.fault(format!("{path}.{key}"), problem, "lower it");
            }
        }
        for (i, words) in agent.covers.iter().enumerate() {
            let fits = words.chars().count() <= 200
                && !words.contains([';', '\n'])
                && words.split('|').all(|word| !word.trim().is_empty());
            if !fits {
                let problem = format!("agent {name:?}: covers {words:?} cannot be looked for");
                let hint = "words divided by |, such as Risk|downside, at most 200 characters";
                self.fault(format!("{path}.covers.{i}"), problem, hint);
            }
        }
        if agent.title.chars().count() > 80 || agent.title.contains(char::is_control) {
            let problem = format!("agent {name:?}: title {:?} is no heading", agent.title);
            self.fault(format!("{path}.title"), problem, "1 to 80 characters on one line");
        }
        let label = agent.states.trim();
        if label.chars().count() > 60
            || label.contains(['"', ':', '[', ']'])
            || label.contains(char::is_control)
        {
            let problem = format!("agent {name:?}: states {label:?} is no label");
            self.fault(format!("{path}.states"), problem, "1 to 60 characters on one line without \" : [ ]");
        }
        if !label.is_empty() && self.team.decision.is_none() {
            let problem = format!("agent {name:?} states a value, and the team decides nothing");
            self.fault(
                format!("{path}.states"),
                problem,
                "add decision = { agent = …, values = […] } to [team]",
            );
        }
        for (i, section) in agent.sections.iter().enumerate() {
            let fits = (1..=80).contains(&section.trim().chars().count())
                && !section.contains([';', '"'])
                && !section.contains(char::is_control);
            if !fits {
                let problem = format!("agent {name:?}: section {section:?} is no heading");
                self.fault(
                    format!("{path}.sections.{i}"),
                    problem,
                    "1 to 80 characters on one line without ; \"",
                );
            }
        }
    }

    fn reads(&mut self, path: &str, agent: &Agent) {
        let team = self.team;
        let mut seen: Vec<&str> = Vec::new();
        for (i, (text, read)) in agent.reads.iter().zip(agent.read()).enumerate() {
            let path = format!("{path}.reads.{i}");
            match read {
                Read::Input(name) => match team.inputs.get(name) {
                    None => {
                        let problem =
                            format!("agent {:?} reads input {name:?}, which is not declared", agent.name);
                        self.unknown(path, problem, name, team.inputs.keys().map(String::as_str));
                    }
                    Some(_) if agent.each == name => {
                        let problem =
                            format!("agent {:?} reads the whole list that it fans out over", agent.name);
                        self.fault(path, problem, "its item stands in the prompt as {item}");
                    }
                    Some(_) => {}
                },
                Read::Whole(name) | Read::Digest(name) => {
                    if team.agent(name).is_none() {
                        let problem = format!("agent {:?} reads {text:?}, which is no agent", agent.name);
                        let known = team.agents.iter().map(|agent| agent.name.as_str());
                        self.unknown(&path, problem, name, known);
                    }
                    if seen.contains(&name) {
                        let problem = format!("agent {:?} reads {name:?} twice", agent.name);
                        self.fault(path, problem, "name it once: whole, or as digest:NAME");
                    }
                    seen.push(name);
                }
            }
        }
    }

    fn each(&mut self, path: &str, agent: &Agent) {
        let team = self.team;
        let list = agent.each.as_str();
        if list.is_empty() {
            return;
        }
        let of_input = team.inputs.get(list).is_some_and(|input| input.kind == InputKind::List);
        if !of_input && team.lister(list).is_none() {
            let problem = format!("agent {:?} fans out over {list:?}, which is no list", agent.name);
            let inputs = team.inputs.iter().filter(|(_, input)| input.kind == InputKind::List);
            let inputs = inputs.map(|(name, _)| name.as_str());
            let lists = team.agents.iter().filter_map(|agent| agent.list().map(|(name, _)| name));
            let known: Vec<&str> = inputs.chain(lists).collect();
            self.unknown(format!("{path}.each"), problem, list, known.into_iter());
        }
    }

    fn output(&mut self, path: &str, i: usize, agent: &Agent) {
        let team = self.team;
        let path = format!("{path}.output");
        let Some(output) = &agent.output else { return };
        if !agent.sections.is_empty() {
            let problem = format!("agent {:?} has sections and an output that is no text", agent.name);
            self.fault(&path, problem, "remove one of them");
        }
        match output {
            Output::List { list, most } => {
                self.name(&path, "list", list);
                let others = team.agents[..i].iter().filter_map(Agent::list);
                let mut others = others.map(|(name, _)| name);
                if others.any(|name| name == list) || team.inputs.contains_key(list) {
                    self.fault(&path, format!("list {list:?} is filled twice"), "rename one of them");
                }
                if *most as usize > MAX_ITEMS {
                    let problem = format!("list {list:?} has most = {most}, at most {MAX_ITEMS} is possible");
                    self.fault(&path, problem, "lower it");
                }
                if !agent.each.is_empty() {
                    let problem = format!("agent {:?} fans out and fills a list", agent.name);
                    self.fault(&path, problem, "let an agent that reads it fill the list");
                }
            }
            Output::Json { .. } => {
                if agent.schema().is_none() {
                    let problem =
                        format!("agent {:?}: the schema of its output is no JSON object", agent.name);
                    self.fault(&path, problem, "write a JSON Schema as a table, or as JSON text");
                }
            }
        }
    }

    /// An agent that a tool answers has nothing that a model alone can keep to.
    fn by(&mut self, path: &str, agent: &Agent) {
        let (team, name) = (self.team, &agent.name);
        if agent.by.is_empty() {
            return;
        }
        if team.tool(&agent.by).is_none() {
            let problem = format!("agent {name:?} is answered by tool {:?}, which is not declared", agent.by);
            let known = team.tools.iter().map(|tool| tool.name.as_str());
            self.unknown(format!("{path}.by"), problem, &agent.by, known);
        }
        for (key, is_there) in [
            ("model", !agent.model.is_empty()),
            ("effort", agent.effort.is_some()),
            ("tools", !agent.tools.is_empty()),
            ("prefetch", !agent.prefetch.is_empty()),
            ("words", agent.words > 0),
            ("sections", !agent.sections.is_empty()),
            ("covers", !agent.covers.is_empty()),
            ("states", !agent.states.is_empty()),
        ] {
            if is_there {
                let problem = format!("agent {name:?} has {key}, and a tool answers it");
                self.fault(format!("{path}.{key}"), problem, "remove it, or by");
            }
        }
    }

    fn calls(&mut self, path: &str, agent: &Agent) {
        let team = self.team;
        let known = || team.tools.iter().map(|tool| tool.name.as_str());
        self.by(path, agent);
        for (key, names) in [("tools", &agent.tools), ("more", &agent.more)] {
            for (i, name) in names.iter().enumerate().filter(|(_, name)| team.tool(name).is_none()) {
                let problem = format!("agent {:?} uses tool {name:?}, which is not declared", agent.name);
                self.unknown(format!("{path}.{key}.{i}"), problem, name, known());
            }
        }
        let all = agent.prefetch.iter().flat_map(|(name, calls)| calls.iter().map(move |call| (name, call)));
        for (name, arguments) in all {
            let path = format!("{path}.prefetch.{name}");
            if !agent.tools.contains(name) {
                let problem =
                    format!("agent {:?} prefetches {name:?}, which is none of its tools", agent.name);
                self.unknown(&path, problem, name, agent.tools.iter().map(String::as_str));
            }
            for (argument, value) in arguments {
                let what = format!("prefetch of agent {:?}, {name}.{argument}", agent.name);
                let path = format!("{path}.{argument}");
                self.template(&path, &what, value, !agent.each.is_empty());
                // Arguments that the file leaves out are those that the tool's server or code tells.
                let declares = |tool: &&crate::team::Tool| {
                    (tool.mcp.is_none() && !tool.code) || !tool.arguments.is_empty()
                };
                let tool = team.tool(name).filter(declares);
                if let Some(tool) = tool.filter(|tool| !tool.arguments.contains_key(argument)) {
                    let problem = format!("{what}: the tool has no such argument");
                    self.unknown(&path, problem, argument, tool.arguments.keys().map(String::as_str));
                }
            }
        }
    }
}
