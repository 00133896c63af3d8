//! Users' analysts and tools, and changes to roles, from a TOML file.
//!
//! Reading gives plain data; names become roles only in a [`crate::Cast`]. Every text has a limit, because all of it
//! ends in prompts.

use std::collections::BTreeMap;

use jiff::{ToSpan, civil::Date};
use lacon_llm::ToolSpec;
use lacon_market::catalog::{self, Kind};
use lacon_runtime::config::nearest;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Role;

/// Most bytes of a file.
pub const MOST_BYTES: usize = 256 << 10;
/// Most own analysts.
pub const MOST_AGENTS: usize = 16;
/// Most own tools.
pub const MOST_TOOLS: usize = 32;
/// Most characters of an instruction.
const MOST_PROMPT: usize = 8_000;
/// Most words that may be asked for.
const MOST_WORDS: u32 = 2_000;
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

fn limit(what: &str, found: usize, most: usize) -> Result<(), String> {
    if found > most {
        return Err(format!("{what} has {found}, the limit is {most}\nhint: shorten it"));
    }
    Ok(())
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

fn words(what: &str, value: u32) -> Result<(), String> {
    if (20..=MOST_WORDS).contains(&value) {
        return Ok(());
    }
    Err(format!("{what} is {value}, the limits are 20 and {MOST_WORDS}\nhint: a report has about 250 words"))
}

impl Agents {
    fn check(&self) -> Result<(), String> {
        limit("the list of [[agent]]", self.agents.len(), MOST_AGENTS)?;
        limit("the list of [[tool]]", self.tools.len(), MOST_TOOLS)?;
        let mut seen = Vec::new();
        for tool in &self.tools {
            tool.check()?;
            if seen.contains(&tool.name.as_str()) || catalog::find(&tool.name).is_some() {
                return Err(format!("tool {:?} exists already\nhint: choose another name", tool.name));
            }
            seen.push(&tool.name);
        }
        for agent in &self.agents {
            let at = format!("agent {:?}", agent.name);
            name("agent", &agent.name)?;
            let built_in = Role::ANSWERING.into_iter().chain([Role::Signal]).any(|r| r.name() == agent.name);
            if built_in || self.agents.iter().filter(|a| a.name == agent.name).count() > 1 {
                return Err(format!(
                    "{at} exists already\nhint: [role.{}] changes a built-in role",
                    agent.name
                ));
            }
            // Nodes of the graph are named after roles and their work.
            if ["_tools", "_call"].iter().any(|end| agent.name.ends_with(end))
                || ["dispatcher", "aggregator", "next_research", "next_risk", "situation"]
                    .contains(&agent.name.as_str())
            {
                return Err(format!(
                    "{at}: the name is taken by a step of the graph\nhint: choose another name"
                ));
            }
            let title = agent.title.chars().count();
            limit(&format!("{at}: title, in characters,"), title, 80)?;
            if title == 0 || agent.title.chars().any(char::is_control) {
                return Err(format!("{at}: title is {:?}\nhint: one line of text", agent.title));
            }
            self.check_file(&at, Some(&agent.prompt), &agent.model, agent.words, &agent.sections)?;
            self.check_tools(&at, agent.tools.iter().chain(&agent.more))?;
            if agent.readers.is_empty() {
                return Err(format!("{at} has no readers\nhint: {}", READERS.join(", ")));
            }
            agent.readers.iter().try_for_each(|r| choice(&format!("{at}: a reader"), r, &READERS))?;
        }
        for (role, change) in &self.roles {
            let at = format!("role {role:?}");
            let known: Vec<&str> = Role::ANSWERING.iter().map(|r| r.name()).collect();
            choice("[role] name", role, &known)?;
            let model = change.model.as_deref().unwrap_or("quick");
            let sections = change.sections.as_deref().unwrap_or_default();
            self.check_file(&at, change.prompt.as_deref(), model, change.words.unwrap_or(100), sections)?;
            if !change.tools.is_empty() && !Role::ANALYSTS.iter().any(|r| r.name() == role) {
                return Err(format!("{at} calls no tools\nhint: give them to an analyst"));
            }
            if let Some(tool) = change.tools.iter().find(|t| self.tool(t).is_none()) {
                return Err(format!("{at}: {tool:?} is no own tool\nhint: describe it as [[tool]]"));
            }
        }
        Ok(())
    }

    fn check_file(
        &self,
        at: &str,
        prompt: Option<&str>,
        model: &str,
        limit_words: u32,
        sections: &[String],
    ) -> Result<(), String> {
        if let Some(prompt) = prompt {
            limit(&format!("{at}: prompt, in characters,"), prompt.chars().count(), MOST_PROMPT)?;
            if prompt.trim().is_empty() || prompt.contains('\0') {
                return Err(format!(
                    "{at}: prompt is empty or holds a NUL\nhint: say what the role is to find"
                ));
            }
        }
        choice(&format!("{at}: model"), model, &["quick", "deep"])?;
        words(&format!("{at}: words"), limit_words)?;
        limit(&format!("{at}: sections, their number,"), sections.len(), 12)?;
        for section in sections {
            limit(&format!("{at}: a section, in characters,"), section.chars().count(), 200)?;
            if section.split('|').any(|word| word.trim().is_empty()) || section.contains(['\n', ';']) {
                return Err(format!(
                    "{at}: section {section:?}\nhint: words divided by |, such as Risk|downside"
                ));
            }
        }
        Ok(())
    }

    fn check_tools<'a>(&self, at: &str, tools: impl Iterator<Item = &'a String>) -> Result<(), String> {
        for tool in tools {
            if self.tool(tool).is_none() && catalog::find(tool).is_none() {
                let known = catalog::TOOLS.iter().map(|t| t.name).chain(self.tools.iter().map(|t| &*t.name));
                let hint = nearest(tool, known).map_or_else(
                    || "describe it as [[tool]]".to_owned(),
                    |near| format!("did you mean {near}?"),
                );
                return Err(format!("{at}: unknown tool {tool:?}\nhint: {hint}"));
            }
        }
        Ok(())
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
    fn check(&self) -> Result<(), String> {
        let at = format!("tool {:?}", self.name);
        name("tool", &self.name)?;
        limit(&format!("{at}: description, in characters,"), self.description.chars().count(), 400)?;
        limit(&format!("{at}: url, in characters,"), self.url.chars().count(), 500)?;
        if !["http://", "https://"].iter().any(|scheme| self.url.starts_with(scheme)) {
            return Err(format!(
                "{at}: url is {:?}\nhint: an address such as http://127.0.0.1:9000",
                self.url
            ));
        }
        if !(0.1..=120.0).contains(&self.timeout_s) {
            return Err(format!(
                "{at}: timeout_s is {}, the limits are 0.1 and 120\nhint: 10 is usual",
                self.timeout_s
            ));
        }
        if !(1..=4096).contains(&self.max_kb) {
            return Err(format!(
                "{at}: max_kb is {}, the limits are 1 and 4096\nhint: 256 is usual",
                self.max_kb
            ));
        }
        limit(&format!("{at}: arguments, their number,"), self.arguments.len(), 12)?;
        for argument in &self.arguments {
            name("argument", &argument.name)?;
            choice(&format!("{at}: kind of argument {:?}", argument.name), &argument.kind, &KINDS)?;
            if self.arguments.iter().filter(|a| a.name == argument.name).count() > 1 {
                return Err(format!(
                    "{at}: argument {:?} stands there twice\nhint: remove one",
                    argument.name
                ));
            }
        }
        Ok(())
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
            ("words = 180", "words = 9000", "agent \"supply\": words is 9000, the limits are 20 and 2000"),
            ("name = \"supply\"", "name = \"market\"", "agent \"market\" exists already"),
            ("name = \"supply\"", "name = \"../x\"", "agent \"../x\" is no name"),
            ("name = \"supply\"", "name = \"news_tools\"", "taken by a step of the graph"),
            ("\"get_google_news\"", "\"get_gogle_news\"", "did you mean get_google_news?"),
            ("\"risk_manager\"]", "\"risk_manger\"]", "did you mean risk_manager?"),
            (
                "url = \"http://127.0.0.1:9000\"",
                "url = \"file:///etc/passwd\"",
                "url is \"file:///etc/passwd\"",
            ),
            (
                "name = \"get_shipping\"",
                "name = \"get_reddit_news\"",
                "tool \"get_reddit_news\" exists already",
            ),
            ("kind = \"text\"", "kind = \"number\"", "kind of argument \"port\" is \"number\""),
            ("words = 180", "wordz = 180", "line 6: unknown field `wordz`"),
            ("[role.market]", "[role.markt]", "did you mean market?"),
            ("title = \"Supply chain analyst\"", "title = \"\"", "title is \"\""),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let error = parse(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.contains(expected) && error.contains("hint: "), "{from}: {error}");
        }
        assert!(parse(&" ".repeat(MOST_BYTES + 1)).unwrap_err().contains("the limit is 262144"));
    }
}
