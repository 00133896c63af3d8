//! Checks a team as a whole and lists every fault at once, before anything is sent.

mod agents;
mod tools;

use std::fmt;

use lacon_runtime::config::nearest;
use serde_json::Value;

use crate::{
    optimization::Optimization,
    stages,
    team::{InputKind, Output, Rounds, Says, Team},
    template::{self, is_name},
};

/// Most bytes of a team file.
pub const MAX_FILE_BYTES: usize = 1 << 20;
/// Most agents of a team.
pub const MAX_AGENTS: usize = 64;
/// Most tools of a team.
pub const MAX_TOOLS: usize = 64;
/// Most bytes of an agent's instruction.
pub const MAX_PROMPT_BYTES: usize = 256 << 10;
/// Most rounds of a group or a loop.
pub const MAX_ROUNDS: u32 = 20;
/// Most items of a list.
pub const MAX_ITEMS: usize = 50_000;
/// Most calls at once in a fan-out.
pub const MAX_IN_FLIGHT: usize = 256;
/// The placeholder of a fan-out's item.
pub const ITEM: &str = "item";

/// One thing that is wrong with a team.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// The file; empty for a team that was written in Rust.
    pub file: String,
    /// The line, from 1.
    pub line: Option<usize>,
    /// Where it stands: keys and positions, with dots between.
    pub path: String,
    /// What is wrong, with the value.
    pub problem: String,
    /// How to mend it.
    pub hint: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_str(), self.line) {
            ("", _) => {}
            (file, None) => write!(f, "{file}: ")?,
            (file, Some(line)) => write!(f, "{file}:{line}: ")?,
        }
        write!(f, "{}\nhint: {}", self.problem, self.hint)
    }
}

/// Everything that is wrong with a team; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Collects faults about one team.
struct Checker<'t> {
    team: &'t Team,
    faults: Vec<Fault>,
}

impl Checker<'_> {
    fn fault(&mut self, path: impl Into<String>, problem: impl Into<String>, hint: impl Into<String>) {
        self.faults.push(Fault {
            path: path.into(),
            problem: problem.into(),
            hint: hint.into(),
            ..Fault::default()
        });
    }

    /// A fault about a name that is none of the known ones.
    fn unknown<'n>(
        &mut self,
        path: impl Into<String>,
        problem: String,
        name: &str,
        known: impl Iterator<Item = &'n str> + Clone,
    ) {
        let hint = match nearest(name, known.clone()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => {
                let known: Vec<&str> = known.take(12).collect();
                if known.is_empty() {
                    "there is none".into()
                } else {
                    format!("there are: {}", known.join(", "))
                }
            }
        };
        self.fault(path, problem, hint);
    }

    fn name(&mut self, path: impl Into<String>, what: &str, name: &str) {
        if !is_name(name) {
            let problem = format!("{what} name {name:?} cannot be used");
            self.fault(path, problem, "1 to 64 letters of any script, digits, '_' or '-'");
        }
    }

    /// A template whose names are all filled: by inputs, and in a fan-out by the item.
    fn template(&mut self, path: &str, what: &str, text: &str, fans_out: bool) {
        if let Err(error) = template::parse(text) {
            self.fault(path, format!("{what}: {error}"), "write {{ and }} where you mean braces");
            return;
        }
        for name in template::names(text) {
            if name == ITEM && fans_out || self.team.inputs.contains_key(&name) {
                continue;
            }
            let problem = format!("{what}: nobody fills the placeholder {{{name}}}");
            if name == ITEM {
                self.fault(path, problem, "add each = \"LIST\" to the agent, or another name");
            } else if self.team.agents.iter().any(|agent| agent.name == name) {
                let hint = format!("texts of agents are not placed in prompts: add reads = [{name:?}]");
                self.fault(path, problem, hint);
            } else if self.team.inputs.is_empty() {
                let hint = format!(
                    "add inputs = {{ {name} = \"text\" }} to [team], or write {{{{{name}}}}} for braces"
                );
                self.fault(path, problem, hint);
            } else {
                let team = self.team;
                self.unknown(path, problem, &name, team.inputs.keys().map(String::as_str));
            }
        }
    }

    /// That an agent says one of some phrases: both have to be possible.
    fn says(&mut self, path: &str, what: &str, says: &Says) {
        self.chooser(&format!("{path}.agent"), what, &says.agent);
        self.phrases(&format!("{path}.says"), what, &says.says, 1);
    }

    /// An agent whose first line is a choice: it writes one text that is no list and no JSON.
    fn chooser(&mut self, path: &str, what: &str, name: &str) {
        let team = self.team;
        let Some(agent) = team.agent(name) else {
            let known = team.agents.iter().map(|agent| agent.name.as_str());
            self.unknown(path, format!("{what}: {name:?} is no agent"), name, known);
            return;
        };
        let in_field = matches!(agent.output, Some(Output::Json { .. })) && !agent.states.is_empty();
        if !agent.each.is_empty() || agent.output.is_some() && !in_field {
            let problem =
                format!("{what}: agent {name:?} cannot choose: it fans out, or its output is no text");
            self.fault(path, problem, "let an agent choose that reads it");
        }
    }

    fn phrases(&mut self, path: &str, what: &str, phrases: &[String], least: usize) {
        if !(least..=24).contains(&phrases.len()) {
            let problem = format!("{what}: {} values, {least} to 24 are needed", phrases.len());
            self.fault(path, problem, "list what may be chosen");
        }
        for (i, phrase) in phrases.iter().enumerate() {
            let fits = (1..=60).contains(&phrase.trim().chars().count())
                && !phrase.contains(['"', ',', ':', '[', ']'])
                && !phrase.contains(char::is_control);
            if !fits {
                let problem = format!("{what}: value {phrase:?} cannot be chosen");
                self.fault(
                    format!("{path}.{i}"),
                    problem,
                    "1 to 60 characters on one line without \" , : [ ]",
                );
            } else if phrases[..i].iter().any(|other| other.trim().eq_ignore_ascii_case(phrase.trim())) {
                let problem = format!("{what}: value {phrase:?} stands there twice");
                self.fault(format!("{path}.{i}"), problem, "remove one");
            }
        }
    }

    fn head(&mut self) {
        let team = self.team;
        self.name("team.name", "team", &team.name);
        let n = team.agents.len();
        if !(1..=MAX_AGENTS).contains(&n) {
            let hint = "for many equal agents use one with each = \"LIST\"";
            self.fault("agent", format!("the team has {n} agents, 1 to {MAX_AGENTS} are possible"), hint);
        }
        if !team.result.is_empty() && team.agent(&team.result).is_none() {
            let problem = format!("result {:?} is no agent", team.result);
            self.unknown("team.result", problem, &team.result, team.agents.iter().map(|a| a.name.as_str()));
        }
        for (i, name) in team.attach.iter().enumerate() {
            let path = format!("team.attach.{i}");
            if team.agent(name).is_none() {
                let problem = format!("attach: {name:?} is no agent");
                self.unknown(path, problem, name, team.agents.iter().map(|a| a.name.as_str()));
            } else if team.result_agent().is_some_and(|agent| agent.name == *name) {
                self.fault(path, format!("attach: {name:?} writes the result itself"), "name whom it reads");
            }
        }
        for (class, model) in &team.models {
            if model.trim().is_empty() {
                self.fault(
                    format!("team.models.{class}"),
                    format!("model {class:?} is empty"),
                    "name a model",
                );
            }
        }
        if let Some(decision) = &team.decision {
            self.chooser("team.decision.agent", "the decision", &decision.agent);
            self.phrases("team.decision.values", "the decision", &decision.values, 2);
            self.reachable_ends(&decision.agent, &decision.values);
            for (i, name) in decision.stand_ins.iter().enumerate() {
                let path = format!("team.decision.stand_ins.{i}");
                match team.agent(name) {
                    None => {
                        let known = team.agents.iter().map(|agent| agent.name.as_str());
                        self.unknown(path, format!("stand_ins: {name:?} is no agent"), name, known);
                    }
                    Some(agent) if agent.states.is_empty() => {
                        let problem = format!("stand_ins: agent {name:?} states no value");
                        self.fault(path, problem, "add states = \"LABEL\" to it");
                    }
                    Some(_) => {}
                }
            }
        }
        for (i, name) in
            team.prefixes.iter().enumerate().flat_map(|(i, list)| list.iter().map(move |n| (i, n)))
        {
            if team.agent(name).is_none() {
                let known = team.agents.iter().map(|agent| agent.name.as_str());
                self.unknown(
                    format!("team.prefixes.{i}"),
                    format!("prefixes: {name:?} is no agent"),
                    name,
                    known,
                );
            }
        }
        if team.rules.len() > MAX_PROMPT_BYTES {
            let problem =
                format!("rules have {} bytes, at most {MAX_PROMPT_BYTES} are possible", team.rules.len());
            self.fault("team.rules", problem, "give long texts as inputs");
        }
    }

    /// What routes and ends hang on must be among the values of an agent that decides.
    fn reachable_ends(&mut self, decider: &str, values: &[String]) {
        for choice in self.team.choices(decider) {
            if !values.iter().any(|value| value.eq_ignore_ascii_case(&choice)) {
                let problem =
                    format!("{decider:?} decides and can never say {choice:?}, which others wait for");
                self.fault("team.decision.values", problem, "add it to the values");
            }
        }
    }

    fn inputs(&mut self) {
        for (name, input) in &self.team.inputs {
            let path = format!("team.inputs.{name}");
            self.name(&path, "input", name);
            if name == ITEM {
                self.fault(
                    &path,
                    "input \"item\" cannot be used",
                    "{item} is the item of a fan-out: rename it",
                );
            }
            let fits = match (&input.default, input.kind) {
                (None, _) => true,
                (Some(Value::Array(items)), InputKind::List) => items.len() <= MAX_ITEMS,
                (Some(value), InputKind::Integer) => value.is_i64(),
                (Some(value), InputKind::Text) => value.is_string(),
                (Some(_), InputKind::List) => false,
            };
            if !fits {
                let problem = format!("the default of input {name:?} does not fit its kind");
                self.fault(format!("{path}.default"), problem, "kind is text, integer or list");
            }
        }
    }

    fn rounds(&mut self) {
        let team = self.team;
        let groups = team.groups.iter().map(|(name, rounds)| ("group", name, rounds));
        let all: Vec<(&str, &String, &Rounds)> =
            groups.chain(team.loops.iter().map(|(name, rounds)| ("loop", name, rounds))).collect();
        let mut taken: Vec<&str> = Vec::new();
        for (kind, name, rounds) in all {
            let path = format!("{kind}.{name}");
            let what = format!("{kind} {name:?}");
            self.name(&path, kind, name);
            if team.agent(name).is_some() || kind == "loop" && team.groups.contains_key(name) {
                self.fault(&path, format!("{what} has the name of something else"), "rename one of them");
            }
            if rounds.agents.is_empty() {
                self.fault(&path, format!("{what} has no agents"), "add agents = [\"NAME\", …]");
            }
            if rounds.rounds > MAX_ROUNDS {
                let problem =
                    format!("{what} has {} rounds, at most {MAX_ROUNDS} are possible", rounds.rounds);
                self.fault(format!("{path}.rounds"), problem, "a bound keeps a run from going on for ever");
            }
            for (i, member) in rounds.agents.iter().enumerate() {
                self.member(&format!("{path}.agents.{i}"), &what, member, &mut taken);
            }
            if let Some(until) = &rounds.until {
                self.says(&format!("{path}.until"), &what, until);
                if !rounds.agents.contains(&until.agent) && team.agent(&until.agent).is_some() {
                    let problem = format!("{what} ends by what {:?} says, who is not in it", until.agent);
                    let hint = format!("one of: {}", rounds.agents.join(", "));
                    self.fault(format!("{path}.until.agent"), problem, hint);
                }
            }
        }
    }

    fn member<'t>(&mut self, path: &str, what: &str, member: &'t str, taken: &mut Vec<&'t str>) {
        let team = self.team;
        let Some(agent) = team.agent(member) else {
            let known = team.agents.iter().map(|agent| agent.name.as_str());
            self.unknown(path, format!("{what}: {member:?} is no agent"), member, known);
            return;
        };
        if taken.contains(&member) {
            let problem = format!("{what}: agent {member:?} already takes part in a group or loop");
            self.fault(path, problem, "an agent takes part in one");
        }
        taken.push(member);
        if !agent.each.is_empty() || agent.when.is_some() {
            let problem = format!("{what}: agent {member:?} fans out or has a condition");
            self.fault(path, problem, "let an agent outside of the rounds do that");
        }
        if agent.list().is_some() {
            let problem = format!("{what}: agent {member:?} fills a list");
            self.fault(path, problem, "let an agent that reads it fill the list");
        }
    }

    fn profiles(&mut self) {
        for (name, profile) in &self.team.profiles {
            let path = |inner: &str| format!("profile.{name}.{inner}");
            match self.team.varied(profile) {
                Err((at, problem)) => {
                    let problem = format!("profile {name:?}: {problem}");
                    self.fault(path(&at), problem, "keys and values are those of [[agent]]");
                }
                // What is wrong with the team itself is told once.
                Ok(varied) if profile.varies() && self.faults.is_empty() => {
                    let faults = check(&varied).into_iter().map(|fault| Fault {
                        path: path(""),
                        problem: format!("profile {name:?}: {}", fault.problem),
                        ..fault
                    });
                    self.faults.extend(faults);
                }
                Ok(_) => {}
            }
            for (i, optimization) in profile.optimizations.iter().flatten().enumerate() {
                if let Err(error) = optimization.parse::<Optimization>() {
                    let (problem, hint) = error.split_once("\nhint: ").unwrap_or((&error, ""));
                    self.fault(format!("profile.{name}.optimizations.{i}"), problem, hint);
                }
            }
        }
    }

    fn cycles(&mut self) {
        let Err(cycle) = stages::stages(self.team) else { return };
        let first = cycle.first().cloned().unwrap_or_default();
        let path = match self.team.place(&first) {
            Some(i) => format!("agent.{i}.reads"),
            None if self.team.loops.contains_key(&first) => format!("loop.{first}"),
            None => format!("group.{first}"),
        };
        let problem = format!("agents wait for each other: {}", cycle.join(" -> "));
        self.fault(
            path,
            problem,
            "let one of them not read the other, or put them in a [loop.NAME] with rounds",
        );
    }
}

/// Lists what is wrong with a team; a team without faults finishes whatever its agents say.
pub fn check(team: &Team) -> Vec<Fault> {
    let mut checker = Checker { team, faults: Vec::new() };
    checker.head();
    checker.inputs();
    checker.agents();
    checker.rounds();
    checker.tools();
    checker.cycles();
    checker.profiles();
    checker.faults
}
