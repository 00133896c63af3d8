//! The team of a run: which agents take part, in which order they speak, and who reads whom.
//!
//! All of it stands in the team's file ([`crate::team`]); a profile is a variant. Which analysts take part, users' own among
//! them, is chosen per run. Everything about a prompt that is known before the run is here, so that it can be built again.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::{ToSpan, civil::Date};
use lacon_agents::{
    Agent, Team,
    stages::stages,
    team::{Decision, Read, Rounds, Speaking},
    template,
};
use lacon_market::{Asset, answer, catalog};
use lacon_runtime::config::nearest;
use serde_json::{Map, Value};

use crate::{Optimizations, Role, agents::Agents, sections::Section, team};

/// What a cast is made of.
#[derive(Clone, Debug, Default)]
pub struct CastOptions {
    /// The profile's name.
    pub profile: String,
    /// The analysts, built-in or own; empty for all that fit the asset.
    pub analysts: Vec<String>,
    /// Own analysts, tools and changes of built-in roles.
    pub agents: Agents,
    /// The language of the answers; empty for English.
    pub language: String,
    /// What the ticker names.
    pub asset: Option<Asset>,
    /// Rounds of the research debate; 0 counts as 1.
    pub research_rounds: u32,
    /// Rounds of the risk debate; 0 counts as 1.
    pub risk_rounds: u32,
}

/// The roles of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Cast {
    /// The team where the plan does without the judge's words.
    unjudged: Variant,
    /// The team where the plan waits for them.
    judged: Variant,
    analysts: Vec<Role>,
    agents: Agents,
    language: String,
    asset: Asset,
}

/// A variant of the team, with its reads taken apart. A run that changes nothing of the team borrows it: many run at once.
#[derive(Clone, Debug, PartialEq)]
struct Variant {
    team: Cow<'static, Team>,
    sections: BTreeMap<Role, Vec<Section>>,
}

/// The research debate, by its name in the team's file.
const RESEARCH: &str = "research";
/// The risk debate.
const RISK: &str = "risk";

impl Cast {
    /// Puts a cast together.
    ///
    /// # Errors
    /// For an analyst that does not exist or does not fit the asset, an own agent that reads as nobody, rounds of a risk
    /// debate in a profile that has none.
    pub fn new(options: CastOptions) -> Result<Self, String> {
        let asset = options.asset.unwrap_or(Asset::Equity);
        let profiles = if options.profile == "upstream" { ["upstream"; 2] } else { ["lacon", "baseline"] };
        if options.risk_rounds > 1 && !team::of_profile(profiles[0]).groups.contains_key(RISK) {
            return Err(format!(
                "run.risk_rounds is {}, the limit of profile {} is 1: its three views are given at once\nhint: use --profile upstream",
                options.risk_rounds, options.profile
            ));
        }
        for name in options.agents.roles.keys().chain(options.agents.agents.iter().flat_map(|a| &a.readers)) {
            name.parse::<Role>()?;
        }
        let own = options.agents.agents.iter().map(|agent| Role::own(&agent.name, &agent.title));
        let all: Vec<Role> = Role::ANALYSTS.into_iter().filter(|r| fits(*r, asset)).chain(own).collect();
        let mut analysts = all.clone();
        if !options.analysts.is_empty() {
            for name in &options.analysts {
                check_analyst(name, &all, asset)?;
            }
            analysts.retain(|role| options.analysts.iter().any(|name| name == role.name()));
        }
        let [unjudged, judged] =
            profiles.map(|profile| Variant::new(team::of_profile(profile), &options, &analysts));
        Ok(Self { unjudged, judged, analysts, agents: options.agents, language: options.language, asset })
    }

    /// The team without what depends on optimizations.
    fn team(&self) -> &Team {
        &self.unjudged.team
    }

    /// Who decides, and what may be decided.
    pub fn decision(&self) -> Option<&Decision> {
        self.team().decision.as_ref()
    }

    /// Whether the research debate is spoken at once, and judged.
    pub fn at_once(&self) -> bool {
        self.team().groups.get(RESEARCH).is_some_and(|group| group.at == Speaking::Once)
    }

    /// Agents that start together with a common prefix, by name.
    pub fn siblings(&self) -> Vec<Vec<&str>> {
        let team = self.team();
        let groups = stages(team).map(|stages| stages.siblings(team)).unwrap_or_default();
        let name = |agent: usize| team.agents[agent].name.as_str();
        groups.into_iter().map(|group| group.into_iter().map(name).collect()).collect()
    }

    /// The analysts: built-in ones first, then own ones.
    pub fn analysts(&self) -> &[Role] {
        &self.analysts
    }

    /// Rounds of the research debate.
    pub fn research_rounds(&self) -> u32 {
        self.team().groups.get(RESEARCH).map_or(1, Rounds::most)
    }

    /// Rounds of the risk debate.
    pub fn risk_rounds(&self) -> u32 {
        self.team().groups.get(RISK).map_or(1, Rounds::most)
    }

    /// What the ticker names.
    pub fn asset(&self) -> Asset {
        self.asset
    }

    /// Own analysts and tools.
    pub fn agents(&self) -> &Agents {
        &self.agents
    }

    /// The roles behind the analysts, in the order of the report.
    pub fn later_roles(&self) -> Vec<Role> {
        let roles = self.team().agents.iter().filter_map(|agent| agent.name.parse::<Role>().ok());
        roles.filter(|role| !role.is_analyst() && *role != Role::Signal).collect()
    }

    /// All roles that answer, in the order of the report.
    pub fn roles(&self) -> Vec<Role> {
        self.analysts.iter().copied().chain(self.later_roles()).collect()
    }

    /// A role's agent.
    pub fn file(&self, role: Role) -> &Agent {
        self.team().agent(role.name()).unwrap_or_else(|| team::agent(role))
    }

    /// The debate that a role takes part in or ends, with its place in a round.
    fn place(&self, role: Role) -> Option<(&Rounds, usize)> {
        self.team().groups.values().find_map(|group| {
            let at = group.agents.iter().position(|member| member == role.name());
            let place = match (at, group.at) {
                (Some(_), Speaking::Once) => 0,
                (Some(at), Speaking::Turns) => at,
                (None, _) => (closer(group)? == role).then_some(1)?,
            };
            Some((group, place))
        })
    }

    /// The rounds of the debate that the role's words end, if it ends one.
    pub fn ends_round(&self, role: Role) -> Option<u32> {
        self.place(role).filter(|(group, _)| closer(group) == Some(role)).map(|(group, _)| group.most())
    }

    /// The debate whose rounds a role ends, by name, and who speaks first in a round.
    pub fn debate(&self, ends: Role) -> Option<(&str, Vec<Role>)> {
        let (name, group) = self.team().groups.iter().find(|(_, group)| closer(group) == Some(ends))?;
        let members = group.agents.iter().filter_map(|member| member.parse().ok());
        let first = if group.at == Speaking::Once { group.agents.len() } else { 1 };
        Some((name, members.take(first).collect()))
    }

    /// Whether judge and plan run beside each other: the plan does without the judge's words.
    pub fn judge_beside_plan(&self, optimizations: &Optimizations) -> bool {
        self.at_once() && optimizations.has("parallel_judge") && self.research_rounds() == 1
    }

    /// The texts in a role's prompt, in their order. The canonical order is: reports, plan, order, debate, risk views.
    pub fn sections(&self, role: Role, optimizations: &Optimizations) -> Vec<Section> {
        let variant = if self.judge_beside_plan(optimizations) { &self.unjudged } else { &self.judged };
        match variant.sections.get(&role) {
            Some(sections) => sections.clone(),
            None => sections(team::agent(role), &variant.team, &self.analysts),
        }
    }

    /// Roles whose prompts share what they read, so that one choice serves all of them; the role alone where none does.
    pub(crate) fn stage(&self, role: Role) -> Vec<Role> {
        let alike: Vec<Role> =
            self.team().alike(role.name()).iter().filter_map(|name| name.parse().ok()).collect();
        if alike.is_empty() { vec![role] } else { alike }
    }

    /// The texts of others that the role must read.
    pub fn reads(&self, role: Role, optimizations: &Optimizations) -> Vec<Role> {
        self.sections(role, optimizations).into_iter().filter(|p| p.required).map(|p| p.source).collect()
    }

    /// How many rounds of `source` a reader has heard when it speaks for the `round`-th time.
    pub fn rounds_read(&self, reader: Role, source: Role, round: u32) -> usize {
        match (self.place(reader), self.place(source)) {
            (Some((a, mine)), Some((b, theirs))) if std::ptr::eq(a, b) => {
                (if theirs < mine { round } else { round - 1 }) as usize
            }
            _ => usize::MAX,
        }
    }

    /// Those whose earlier words a role hears again when it speaks for the second time and later, in their order, without those
    /// that stand in its first prompt anyway.
    pub fn reads_again(&self, role: Role) -> Vec<Role> {
        let Some((group, _)) = self.place(role) else { return Vec::new() };
        if !group.agents.iter().any(|member| member == role.name()) {
            return Vec::new();
        }
        let members = group.agents.iter().filter_map(|member| member.parse::<Role>().ok());
        match group.at {
            Speaking::Once => members.filter(|member| *member != role).chain(closer(group)).collect(),
            Speaking::Turns => {
                let file = self.file(role);
                members
                    .filter(|member| !file.read().any(|read| read.agent() == Some(member.name())))
                    .collect()
            }
        }
    }

    /// The calls of an analyst's tools whose arguments are known before a model is asked.
    pub fn calls(
        &self,
        role: Role,
        ticker: &str,
        company: &str,
        date: Date,
    ) -> Vec<(String, Map<String, Value>)> {
        let agent = self.file(role);
        if let Role::Own(_) = role {
            return self.agents.calls(&agent.tools, ticker, company, date);
        }
        let (day, before) = (date.to_string(), date.checked_sub(30.days()).unwrap_or(Date::MIN).to_string());
        let given = |name: &str| match name {
            "ticker" => Some(ticker),
            "company" => Some(company),
            "date" => Some(day.as_str()),
            "month_before" => Some(before.as_str()),
            _ => None,
        };
        // In the order in which the tool names its arguments, as a model gives them.
        let filled = |tool: &str, known: &BTreeMap<String, String>| {
            let arguments = catalog::find(tool).into_iter().flat_map(|tool| tool.arguments);
            let known = arguments.filter_map(|argument| Some((argument.name, known.get(argument.name)?)));
            known.map(|(name, text)| (name.to_owned(), template::fill(text, given).into())).collect()
        };
        let mut calls: Vec<(String, Map<String, Value>)> = Vec::new();
        for (tool, known) in &agent.prefetch {
            calls.extend(known.iter().map(|arguments| (tool.clone(), filled(tool, arguments))));
        }
        if role == Role::News {
            calls.extend(answer::macro_calls(self.asset, date));
        }
        let own: Vec<String> =
            agent.tools.iter().filter(|tool| self.agents.tool(tool).is_some()).cloned().collect();
        calls.extend(self.agents.calls(&own, ticker, company, date));
        calls
    }

    /// What the shared rules say of the thing that is decided on.
    pub fn rules(&self) -> Cow<'_, str> {
        let extra = match self.asset {
            Asset::Equity => return Cow::Borrowed(self.team().rules()),
            Asset::Crypto => {
                "The asset is a coin: it trades every day around the clock, has no company, statements or dividends, and its volume is that of the venues that report."
            }
            Asset::Forex => {
                "The asset is a pair of currencies: its price is the second currency for one of the first, it trades around the clock from Monday to Friday, it has no company and no volume that is known as a whole, and what moves it is rates, inflation and central banks."
            }
            Asset::Index => {
                "The asset is an index: it has no statements of its own and is traded through funds and futures."
            }
            Asset::Future => {
                "The asset is a future: it has no company and no statements, its contracts expire, and a change of contract moves the price."
            }
        };
        Cow::Owned(format!("{}\n{extra}", self.team().rules().replace("one stock", self.thing())))
    }

    /// The asset as a phrase.
    fn thing(&self) -> &'static str {
        match self.asset {
            Asset::Equity => "one stock",
            Asset::Crypto => "one coin",
            Asset::Forex => "one pair of currencies",
            Asset::Index => "one index",
            Asset::Future => "one future",
        }
    }

    /// The word that stands before the ticker.
    pub fn label(&self) -> &'static str {
        match self.asset {
            Asset::Equity => "Stock",
            Asset::Crypto => "Coin",
            Asset::Forex => "Currency pair",
            Asset::Index => "Index",
            Asset::Future => "Future",
        }
    }

    /// What an instruction says of the language of the answer; empty for English, which is the language of the prompts.
    pub fn language_rule(&self, file: &Agent) -> String {
        let language = self.language.trim();
        if language.is_empty() || language.eq_ignore_ascii_case("english") {
            return String::new();
        }
        let mut kept = vec!["numbers, dates and tickers as they are"];
        if file.covers.len() > 1 {
            kept.push("the names of the parts above as headings in English");
        }
        if !file.states.is_empty() {
            kept.push("the label, the tag and the word of the decision as they are");
        }
        format!("\nWrite in {language}. Keep {}.", kept.join(", "))
    }
}

/// The longest name of a language.
pub const MOST_LANGUAGE: usize = 40;

/// Checks the name of a language, which stands in every prompt.
///
/// # Errors
/// When it is longer than a name or holds anything but letters, blanks, hyphens and brackets.
pub fn check_language(text: &str) -> Result<(), String> {
    let fits = |c: char| c.is_alphabetic() || " -()".contains(c);
    if text.chars().count() > MOST_LANGUAGE {
        return Err(format!(
            "trading.language has {} characters, the limit is {MOST_LANGUAGE}\nhint: give a name such as German or Português (Brasil)",
            text.chars().count()
        ));
    }
    match text.chars().find(|c| !fits(*c)) {
        Some(c) => Err(format!(
            "trading.language is {text:?}: {c:?} is no letter\nhint: give a name such as German or Português (Brasil)"
        )),
        None => Ok(()),
    }
}

/// Whether a built-in analyst has anything to say of an asset.
fn fits(role: Role, asset: Asset) -> bool {
    role != Role::Fundamentals || asset == Asset::Equity
}

fn check_analyst(name: &str, all: &[Role], asset: Asset) -> Result<(), String> {
    if all.iter().any(|role| role.name() == name) {
        return Ok(());
    }
    if Role::ANALYSTS.iter().any(|role| role.name() == name) {
        return Err(format!(
            "analyst {name:?} has nothing to say of a {}\nhint: choose among {}",
            asset.as_str(),
            names(all)
        ));
    }
    let near = nearest(name, all.iter().map(|role| role.name()));
    let hint = near.map_or_else(|| format!("choose among {}", names(all)), |n| format!("did you mean {n}?"));
    Err(format!("unknown analyst {name:?}\nhint: {hint}"))
}

fn names(roles: &[Role]) -> String {
    roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ")
}

impl Variant {
    /// The team with own analysts, changes of roles and rounds, and without the analysts that take no part.
    fn new(team: &'static Team, options: &CastOptions, analysts: &[Role]) -> Self {
        let mut team = Cow::Borrowed(team);
        for (name, rounds) in [(RESEARCH, options.research_rounds), (RISK, options.risk_rounds)] {
            if team.groups.get(name).is_some_and(|group| group.most() != rounds.max(1))
                && let Some(group) = team.to_mut().groups.get_mut(name)
            {
                group.rounds = rounds;
            }
        }
        for (name, change) in &options.agents.roles {
            if let Some(agent) = team.to_mut().agents.iter_mut().find(|agent| agent.name == *name) {
                change.apply(agent);
            }
        }
        let takes_part = |name: &str| analysts.iter().any(|role| role.name() == name);
        // Whoever all of a stage read stands with its reports, any other one behind what it shares.
        let mut own: Vec<_> = options.agents.agents.iter().filter(|agent| takes_part(&agent.name)).collect();
        for shared in [true, false] {
            if !shared {
                own.sort_by(|a, b| (&a.name, &a.title).cmp(&(&b.name, &b.title)));
            }
            for agent in &own {
                let read_by = |name: &String| agent.readers.contains(name);
                for at in 0..team.agents.len() {
                    let name = &team.agents[at].name;
                    let alike = team.alike(name);
                    let all = !alike.is_empty() && alike.iter().all(read_by);
                    if !read_by(name) || all != shared {
                        continue;
                    }
                    let reads = &mut team.to_mut().agents[at].reads;
                    let is_report = |read: &String| {
                        Read::of(read).agent().and_then(|of| of.parse().ok()).is_some_and(Role::is_analyst)
                    };
                    let place = reads.iter().rposition(is_report).map_or(0, |last| last + 1);
                    reads.insert(if shared { place } else { reads.len() }, agent.name.clone());
                }
            }
        }
        let gone = |name: &str| name.parse().is_ok_and(Role::is_analyst) && !takes_part(name);
        if Role::ANALYSTS.iter().any(|role| gone(role.name())) {
            let agents = &mut team.to_mut().agents;
            agents.retain(|agent| !gone(&agent.name));
            for agent in agents {
                agent.reads.retain(|read| !Read::of(read).agent().is_some_and(gone));
            }
        }
        if !own.is_empty() {
            let own = options.agents.agents.iter().filter(|agent| takes_part(&agent.name));
            team.to_mut().agents.extend(own.map(crate::agents::Agent::file));
        }
        let of = |agent: &Agent| Some((role(&agent.name, analysts)?, sections(agent, &team, analysts)));
        let sections = team.agents.iter().filter_map(of).collect();
        Self { team, sections }
    }
}

/// What an agent reads: what all of its stage read stands in the part that they share.
fn sections(agent: &Agent, team: &Team, analysts: &[Role]) -> Vec<Section> {
    let alike = team.alike(&agent.name);
    let reads = |name: &String, source: &str| {
        team.agent(name).is_none_or(|other| other.read().any(|read| read.agent() == Some(source)))
    };
    let section = |read: Read<'_>| {
        let source = read.agent()?;
        let shared = !alike.is_empty() && alike.iter().all(|name| reads(name, source));
        Some(Section { source: role(source, analysts)?, shared, required: matches!(read, Read::Whole(_)) })
    };
    agent.read().filter_map(section).collect()
}

/// The role of that name: one of the run's own before one of another run.
fn role(name: &str, analysts: &[Role]) -> Option<Role> {
    analysts.iter().copied().find(|role| role.name() == name).or_else(|| name.parse().ok())
}

/// Who ends a round: the judge of those who speak at once, the last of those who speak in turns.
fn closer(group: &Rounds) -> Option<Role> {
    match group.at {
        Speaking::Once => Some(Role::Judge),
        Speaking::Turns => group.agents.last()?.parse().ok(),
    }
}
