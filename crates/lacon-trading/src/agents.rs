//! Users' analysts and tools, and changes to roles, from a TOML file.
//!
//! Reading gives plain data; names become roles only in a [`crate::Cast`]. Every text has a limit, because all of it
//! ends in prompts.

use std::collections::BTreeMap;

use jiff::{ToSpan, civil::Date};
use lacon_agents::{
    Team,
    check::{Faults, check},
};
use lacon_llm::ToolSpec;
use lacon_market::catalog::{self, Kind};
use lacon_runtime::config::nearest;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Role, team};

/// Most bytes of a file.
pub const MOST_BYTES: usize = 256 << 10;
/// Most own analysts.
pub const MOST_AGENTS: usize = 16;
/// Most characters of a name.
const MOST_NAME: usize = 32;

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agents {
    /// Own analysts.
    #[serde(default, rename = "agent")]
    pub agents: Vec<Agent>,
    /// Own tools.
    #[serde(default, rename = "tool")]
    pub tools: Vec<Tool>,
    /// Changes of built-in roles, by name.
    #[serde(default, rename = "role")]
    pub roles: BTreeMap<String, RoleChange>,
}

/// An own analyst.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Its name on the wire and in files.
    pub name: String,
    /// Its title in reports.
    pub title: String,
    /// Its instruction.
    pub prompt: String,
    /// `quick` or `deep`.
    #[serde(default = "quick")]
    pub model: String,
    /// The most words of its report.
    #[serde(default = "usual_words")]
    pub words: u32,
    /// What the report must speak of: words of which one must occur, divided by `|`.
    #[serde(default)]
    pub sections: Vec<String>,
    /// Tools that are called before it is asked.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Tools that it may ask for.
    #[serde(default)]
    pub more: Vec<String>,
    /// Who must read its report.
    #[serde(default = "usual_readers")]
    pub readers: Vec<String>,
}

fn quick() -> String {
    "quick".into()
}

fn usual_words() -> u32 {
    250
}

fn usual_readers() -> Vec<String> {
    ["bull", "bear", "plan"].map(Into::into).into()
}

/// What is changed in a built-in role.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleChange {
    /// Another instruction.
    pub prompt: Option<String>,
    /// Another model class.
    pub model: Option<String>,
    /// Another word limit.
    pub words: Option<u32>,
    /// Other required parts.
    pub sections: Option<Vec<String>>,
    /// Own tools besides its own ones.
    #[serde(default)]
    pub tools: Vec<String>,
}

impl RoleChange {
    /// Makes the changes in a role's agent.
    pub fn apply(&self, file: &mut lacon_agents::Agent) {
        if let Some(prompt) = &self.prompt {
            file.prompt = prompt.trim().to_owned();
        }
        if let Some(model) = &self.model {
            file.model.clone_from(model);
        }
        file.words = self.words.unwrap_or(file.words);
        if let Some(sections) = &self.sections {
            file.covers.clone_from(sections);
        }
        file.tools.extend(self.tools.iter().cloned());
    }
}

/// An own tool: POST `url/<name>` with its arguments, answered by `{"name", "text"}` as with `--tools-url`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its name in calls.
    pub name: String,
    /// What it gives, for the model.
    pub description: String,
    /// The address before its name.
    pub url: String,
    /// The longest time of a call in seconds.
    #[serde(default = "usual_timeout")]
    pub timeout_s: f64,
    /// The longest answer in kB.
    #[serde(default = "usual_kb")]
    pub max_kb: u32,
    /// Its arguments.
    #[serde(default, rename = "argument")]
    pub arguments: Vec<Argument>,
}

fn usual_timeout() -> f64 {
    10.0
}

fn usual_kb() -> u32 {
    256
}

/// An argument of an own tool.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// What it is: `ticker`, `company`, `date`, `start` (30 days before), `text`.
    pub kind: String,
    /// What it is for, for the model.
    #[serde(default)]
    pub description: String,
    /// Its value when nobody gives one; a `text` without it is for the model to fill in.
    #[serde(default)]
    pub default: Option<String>,
}

const KINDS: [&str; 5] = ["ticker", "company", "date", "start", "text"];
const READERS: [&str; 9] =
    ["bull", "bear", "judge", "plan", "risky", "safe", "neutral", "risk_manager", "trader"];

/// Reads a file.
///
/// # Errors
/// One message with the place, the value, the limit and a hint.
pub fn parse(text: &str) -> Result<Agents, String> {
    if text.len() > MOST_BYTES {
        return Err(format!(
            "agents file has {} bytes, the limit is {MOST_BYTES}\nhint: keep data in tools, not in prompts",
            text.len()
        ));
    }
    let agents: Agents = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
        let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        format!("agents file, {place}{}\nhint: docs/agents.md lists the keys", error.message())
    })?;
    agents.check()?;
    Ok(agents)
}

fn name(what: &str, text: &str) -> Result<(), String> {
    let fits = (1..=MOST_NAME).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if fits {
        return Ok(());
    }
    Err(format!("{what} {text:?} is no name\nhint: 1 to {MOST_NAME} of a-z, 0-9 and _, a letter first"))
}

fn choice(what: &str, value: &str, known: &[&str]) -> Result<(), String> {
    if known.contains(&value) {
        return Ok(());
    }
    let near = nearest(value, known.iter().copied());
    let hint = near.map_or_else(|| known.join(", "), |n| format!("did you mean {n}?"));
    Err(format!("{what} is {value:?}\nhint: {hint}"))
}

impl Agents {
    /// Checks what is special about trading; the rest is checked as any team is.
    fn check(&self) -> Result<(), String> {
        if self.agents.len() > MOST_AGENTS {
            return Err(format!(
                "the list of [[agent]] has {}, the limit is {MOST_AGENTS}\nhint: shorten it",
                self.agents.len()
            ));
        }
        for agent in &self.agents {
            let at = format!("agent {:?}", agent.name);
            name("agent", &agent.name)?;
            // Nodes of the graph are named after roles and their work.
            let is_step =
                ["dispatcher", "aggregator", "next_research", "next_risk", "situation", Role::Signal.name()]
                    .contains(&agent.name.as_str());
            if is_step || ["_tools", "_call"].iter().any(|end| agent.name.ends_with(end)) {
                return Err(format!(
                    "{at}: the name is taken by a step of the graph\nhint: choose another name"
                ));
            }
            choice(&format!("{at}: model"), &agent.model, &["quick", "deep"])?;
            if agent.title.is_empty() || agent.readers.is_empty() {
                return Err(format!(
                    "{at} has no title or no readers\nhint: readers: {}",
                    READERS.join(", ")
                ));
            }
            agent.readers.iter().try_for_each(|r| choice(&format!("{at}: a reader"), r, &READERS))?;
        }
        for (role, change) in &self.roles {
            let at = format!("role {role:?}");
            let known: Vec<&str> = Role::ANSWERING.iter().map(|r| r.name()).collect();
            choice("[role] name", role, &known)?;
            choice(&format!("{at}: model"), change.model.as_deref().unwrap_or("quick"), &["quick", "deep"])?;
            if !change.tools.is_empty() && !Role::ANALYSTS.iter().any(|r| r.name() == role) {
                return Err(format!("{at} calls no tools\nhint: give them to an analyst"));
            }
            if let Some(tool) = change.tools.iter().find(|t| self.tool(t).is_none()) {
                return Err(format!("{at}: {tool:?} is no own tool\nhint: describe it as [[tool]]"));
            }
        }
        for tool in &self.tools {
            for (i, argument) in tool.arguments.iter().enumerate() {
                let at = format!("tool {:?}: argument {:?}", tool.name, argument.name);
                choice(&format!("{at}: kind"), &argument.kind, &KINDS)?;
                if tool.arguments[..i].iter().any(|other| other.name == argument.name) {
                    return Err(format!("{at} stands there twice\nhint: remove one"));
                }
            }
        }
        match check(&self.added(team::of_profile("lacon").clone())) {
            faults if faults.is_empty() => Ok(()),
            faults => Err(Faults(faults).to_string()),
        }
    }

    /// The team with everything in it, and with all tools that may be named.
    fn added(&self, mut team: Team) -> Team {
        let built_in = catalog::TOOLS.iter().map(|tool| lacon_agents::team::Tool {
            name: tool.name.into(),
            code: true,
            ..Default::default()
        });
        team.tools = built_in.chain(self.tools.iter().map(Tool::of_team)).collect();
        for agent in &mut team.agents {
            if let Some(change) = self.roles.get(&agent.name) {
                change.apply(agent);
            }
        }
        team.agents.extend(self.agents.iter().map(Agent::file));
        // Braces of these instructions are text.
        for agent in &mut team.agents {
            agent.prompt = agent.prompt.replace('{', "{{").replace('}', "}}");
        }
        team
    }

    /// The own tool of that name.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// What a model is told of a tool, own or built in.
    pub fn spec(&self, name: &str) -> Option<ToolSpec> {
        match self.tool(name) {
            Some(tool) => Some(ToolSpec::new(tool.name.clone(), tool.description.clone(), tool.schema())),
            None => catalog::find(name).map(|tool| ToolSpec::new(tool.name, tool.description, tool.schema())),
        }
    }

    /// The calls of tools all of whose arguments are known before the run.
    pub fn calls(
        &self,
        tools: &[String],
        ticker: &str,
        company: &str,
        date: Date,
    ) -> Vec<(String, Map<String, Value>)> {
        let known = |kind: &str| match kind {
            "ticker" => Some(ticker.to_owned()),
            "company" => Some(company.to_owned()),
            "date" => Some(date.to_string()),
            "start" => Some(date.checked_sub(30.days()).unwrap_or(Date::MIN).to_string()),
            _ => None,
        };
        let call = |name: &String| {
            let arguments = match self.tool(name) {
                Some(tool) => tool
                    .arguments
                    .iter()
                    .map(|a| Some((a.name.clone(), a.default.clone().or_else(|| known(&a.kind))?.into())))
                    .collect::<Option<Map<String, Value>>>()?,
                None => catalog::find(name)?
                    .arguments
                    .iter()
                    .filter(|a| a.default.is_none())
                    .map(|a| {
                        let kind = match (a.kind, a.name) {
                            (Kind::Date, "start_date") => "start",
                            (Kind::Date, _) => "date",
                            (_, "ticker" | "symbol") => "ticker",
                            (_, "query" | "topic") => "company",
                            (Kind::Choice(_), "freq") => {
                                return Some((a.name.to_owned(), "quarterly".into()));
                            }
                            _ => return None,
                        };
                        Some((a.name.to_owned(), known(kind)?.into()))
                    })
                    .collect::<Option<Map<String, Value>>>()?,
            };
            Some((name.clone(), arguments))
        };
        tools.iter().filter_map(call).collect()
    }
}

impl Agent {
    /// As an agent of the team.
    pub fn file(&self) -> lacon_agents::Agent {
        lacon_agents::Agent {
            title: self.title.clone(),
            model: self.model.clone(),
            words: self.words,
            covers: self.sections.clone(),
            tools: self.tools.clone(),
            more: self.more.clone(),
            optional: true,
            ..lacon_agents::Agent::new(&self.name, self.prompt.trim())
        }
    }
}

impl Tool {
    /// As a tool of the team.
    pub fn of_team(&self) -> lacon_agents::team::Tool {
        lacon_agents::team::Tool {
            name: self.name.clone(),
            about: self.description.clone(),
            arguments: self.arguments.iter().map(|a| (a.name.clone(), a.description.clone())).collect(),
            http: self.url.clone(),
            timeout_s: self.timeout_s,
            max_kb: self.max_kb,
            ..Default::default()
        }
    }

    /// The arguments as a JSON schema object.
    pub fn schema(&self) -> Value {
        let properties: Map<String, Value> = self
            .arguments
            .iter()
            .map(|a| (a.name.clone(), json!({"type": "string", "description": a.description})))
            .collect();
        let required: Vec<&str> =
            self.arguments.iter().filter(|a| a.default.is_none()).map(|a| a.name.as_str()).collect();
        json!({"type": "object", "properties": properties, "required": required})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [[agent]]
        name = "supply"
        title = "Supply chain analyst"
        prompt = "Role: supply chain analyst. Find what late parts do to sales."
        words = 180
        sections = ["Suppliers|parts", "Risk|delay"]
        tools = ["get_shipping", "get_global_news_openai"]
        more = ["get_google_news"]
        readers = ["bull", "bear", "plan", "risk_manager"]

        [[tool]]
        name = "get_shipping"
        description = "Ships under way."
        url = "http://127.0.0.1:9000"
        argument = [{ name = "ticker", kind = "ticker" }, { name = "port", kind = "text", default = "Rotterdam" }]

        [role.market]
        words = 200
    "#;

    #[test]
    fn a_file_is_read() {
        let agents = parse(GOOD).unwrap();
        assert_eq!(agents.agents[0].file().words, 180);
        let calls = agents.calls(&agents.agents[0].tools, "CRCL", "Circle", jiff::civil::date(2025, 7, 30));
        assert_eq!(calls[0].1["port"], "Rotterdam");
        assert_eq!(
            (calls[0].1["ticker"].as_str(), calls[1].1["curr_date"].as_str()),
            (Some("CRCL"), Some("2025-07-30"))
        );
    }

    #[test]
    fn faults_are_named_with_value_limit_and_hint() {
        for (from, to, expected) in [
            ("words = 180", "words = 90000", "agent \"supply\": words is 90000, at most 20000"),
            ("name = \"supply\"", "name = \"market\"", "agent \"market\" is declared twice"),
            ("name = \"supply\"", "name = \"../x\"", "agent \"../x\" is no name"),
            ("name = \"supply\"", "name = \"news_tools\"", "taken by a step of the graph"),
            ("\"get_google_news\"", "\"get_gogle_news\"", "did you mean \"get_google_news\"?"),
            ("\"risk_manager\"]", "\"risk_manger\"]", "did you mean risk_manager?"),
            (
                "url = \"http://127.0.0.1:9000\"",
                "url = \"file:///etc/passwd\"",
                "\"file:///etc/passwd\" is no URL",
            ),
            (
                "name = \"get_shipping\"",
                "name = \"get_reddit_news\"",
                "tool \"get_reddit_news\" is declared twice",
            ),
            ("kind = \"text\"", "kind = \"number\"", "argument \"port\": kind is \"number\""),
            ("words = 180", "wordz = 180", "line 6: unknown field `wordz`"),
            ("[role.market]", "[role.markt]", "did you mean market?"),
            ("title = \"Supply chain analyst\"", "title = \"\"", "has no title"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let error = parse(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.contains(expected) && error.contains("hint: "), "{from}: {error}");
        }
        assert!(parse(&" ".repeat(MOST_BYTES + 1)).unwrap_err().contains("the limit is 262144"));
    }
}
