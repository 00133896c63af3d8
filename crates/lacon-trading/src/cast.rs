//! The team of a run: which agents take part, in which order they speak, and who reads whom.
//!
//! A profile fixes the order. Which analysts take part, users' own among them, is chosen per run. Everything about a
//! prompt that is known before the run is here, so that the prompt can be built again.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::civil::Date;
use lacon_market::{Asset, answer};
use lacon_runtime::config::nearest;
use serde_json::{Map, Value};

use crate::{
    Optimizations, Role,
    agents::Agents,
    prompts::{self, RoleFile},
    sections::Section,
};

/// The order in which the roles behind the analysts speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Bull and bear at once, a judge, the plan; three risk views at once; the risk manager; the trader.
    #[default]
    Lacon,
    /// Bull and bear in turns, the plan, the trader; three risk views in turns; the portfolio manager.
    Upstream,
}

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
    order: Order,
    analysts: Vec<Role>,
    files: BTreeMap<Role, RoleFile>,
    readers: BTreeMap<Role, Vec<Role>>,
    agents: Agents,
    language: String,
    asset: Asset,
    research_rounds: u32,
    risk_rounds: u32,
}

impl Cast {
    /// Puts a cast together.
    ///
    /// # Errors
    /// For an analyst that does not exist or does not fit the asset, an own agent that reads as nobody, rounds of a risk
    /// debate in a profile that has none.
    pub fn new(options: CastOptions) -> Result<Self, String> {
        let order = if options.profile == "upstream" { Order::Upstream } else { Order::Lacon };
        let asset = options.asset.unwrap_or(Asset::Equity);
        let risk_rounds = options.risk_rounds.max(1);
        if risk_rounds > 1 && order != Order::Upstream {
            return Err(format!(
                "run.risk_rounds is {risk_rounds}, the limit of profile {} is 1: its three views are given at once\nhint: use --profile upstream",
                options.profile
            ));
        }
        let agents = options.agents;
        // Read with the cast, not when the first prompt is made.
        base_file(Role::Market, order);
        let mut files = BTreeMap::new();
        for (name, change) in &agents.roles {
            let role: Role = name.parse()?;
            let mut file = base_file(role, order).clone();
            change.apply(&mut file);
            files.insert(role, file);
        }
        let mut readers = BTreeMap::new();
        let mut own = Vec::new();
        for agent in &agents.agents {
            let role = Role::own(&agent.name, &agent.title);
            files.insert(role, agent.file());
            let read_by = agent.readers.iter().map(|r| r.parse()).collect::<Result<Vec<Role>, _>>()?;
            readers.insert(role, read_by);
            own.push(role);
        }
        let all: Vec<Role> = Role::ANALYSTS.into_iter().filter(|r| fits(*r, asset)).chain(own).collect();
        let mut analysts = all.clone();
        if !options.analysts.is_empty() {
            for name in &options.analysts {
                check_analyst(name, &all, asset)?;
            }
            analysts.retain(|role| options.analysts.iter().any(|name| name == role.name()));
        }
        Ok(Self {
            order,
            analysts,
            files,
            readers,
            agents,
            language: options.language,
            asset,
            research_rounds: options.research_rounds.max(1),
            risk_rounds,
        })
    }

    /// The order of the roles.
    pub fn order(&self) -> Order {
        self.order
    }

    /// The analysts: built-in ones first, then own ones.
    pub fn analysts(&self) -> &[Role] {
        &self.analysts
    }

    /// Rounds of the research debate.
    pub fn research_rounds(&self) -> u32 {
        self.research_rounds
    }

    /// Rounds of the risk debate.
    pub fn risk_rounds(&self) -> u32 {
        self.risk_rounds
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
    pub fn later_roles(&self) -> &'static [Role] {
        use Role::{Bear, Bull, Judge, Neutral, Plan, RiskManager, Risky, Safe, Trader};
        match self.order {
            Order::Lacon => &[Bull, Bear, Judge, Plan, Risky, Safe, Neutral, RiskManager, Trader],
            Order::Upstream => &[Bull, Bear, Plan, Trader, Risky, Safe, Neutral, RiskManager],
        }
    }

    /// All roles that answer, in the order of the report.
    pub fn roles(&self) -> Vec<Role> {
        self.analysts.iter().chain(self.later_roles()).copied().collect()
    }

    /// A role's file.
    pub fn file(&self, role: Role) -> &RoleFile {
        self.files.get(&role).unwrap_or_else(|| base_file(role, self.order))
    }

    /// The rounds of the debate that the role's words end, if it ends one.
    pub fn ends_round(&self, role: Role) -> Option<u32> {
        match (role, self.order) {
            (Role::Judge, Order::Lacon) | (Role::Bear, Order::Upstream) => Some(self.research_rounds),
            (Role::Neutral, Order::Upstream) => Some(self.risk_rounds),
            _ => None,
        }
    }

    /// Whether one call answers for plan and judge.
    pub fn judge_in_plan(&self, optimizations: &Optimizations) -> bool {
        self.order == Order::Lacon && optimizations.has("merged_judge") && self.research_rounds == 1
    }

    /// Whether judge and plan run beside each other.
    pub fn judge_beside_plan(&self, optimizations: &Optimizations) -> bool {
        self.order == Order::Lacon
            && optimizations.has("parallel_judge")
            && self.research_rounds == 1
            && !self.judge_in_plan(optimizations)
    }

    /// Whether the plan does without the judge's words, so that a call to the judge alone is on nobody's way.
    pub fn plans_unjudged(&self, optimizations: &Optimizations) -> bool {
        self.judge_beside_plan(optimizations) || self.judge_in_plan(optimizations)
    }

    /// The texts in a role's prompt, in their order. The canonical order is: reports, plan, order, debate, risk views.
    pub fn sections(&self, role: Role, optimizations: &Optimizations) -> Vec<Section> {
        let must = |roles: &[Role], shared| {
            roles.iter().map(|r| Section { source: *r, shared, required: true }).collect::<Vec<_>>()
        };
        let unjudged = self.plans_unjudged(optimizations);
        let upstream = self.order == Order::Upstream;
        let mut all = match role {
            Role::Bull => self.reports(role, true),
            Role::Bear => {
                let mut all = self.reports(role, true);
                all.extend(if upstream { must(&[Role::Bull], false) } else { Vec::new() });
                all
            }
            Role::Judge => must(&[Role::Bull, Role::Bear], false),
            Role::Plan => {
                let mut all = self.reports(role, true);
                all.extend(must(&[Role::Bull, Role::Bear], false));
                if !upstream && !unjudged {
                    all.extend(must(&[Role::Judge], false));
                }
                all
            }
            Role::Risky | Role::Safe | Role::Neutral | Role::RiskManager => {
                let mut all = must(&[Role::Plan], true);
                all.extend(self.reports(role, false));
                if upstream {
                    all.extend(must(&[Role::Trader], true));
                }
                if role == Role::RiskManager && unjudged {
                    all.extend(must(&[Role::Judge], false));
                }
                let before: &[Role] = match role {
                    Role::RiskManager => &Role::RISK,
                    Role::Safe if upstream => &Role::RISK[..1],
                    Role::Neutral if upstream => &Role::RISK[..2],
                    _ => &[],
                };
                all.extend(must(before, false));
                all
            }
            Role::Trader if upstream => must(&[Role::Plan], false),
            Role::Trader => must(&[Role::Plan, Role::RiskManager], false),
            Role::Signal => must(&[Role::RiskManager], false),
            _ => Vec::new(),
        };
        // An own report that this stage does not share stands behind what it shares.
        let extra = self.readers.iter().filter(|(own, readers)| {
            self.analysts.contains(own) && readers.contains(&role) && !all.iter().any(|p| p.source == **own)
        });
        all.extend(
            extra.map(|(own, _)| Section { source: *own, shared: false, required: true }).collect::<Vec<_>>(),
        );
        all
    }

    /// The analysts' reports as a stage shares them: an own one only when all of the stage read it.
    fn reports(&self, role: Role, required: bool) -> Vec<Section> {
        let shared = |analyst: &Role| {
            self.readers
                .get(analyst)
                .is_none_or(|readers| stage(role).iter().all(|reader| readers.contains(reader)))
        };
        let piece = |source: &Role| {
            // Whoever asked for a reader wants the report read, not only seen.
            Section { source: *source, shared: true, required: required || matches!(source, Role::Own(_)) }
        };
        self.analysts.iter().filter(|a| shared(a)).map(piece).collect()
    }

    /// The texts of others that the role must read.
    pub fn reads(&self, role: Role, optimizations: &Optimizations) -> Vec<Role> {
        self.sections(role, optimizations).into_iter().filter(|p| p.required).map(|p| p.source).collect()
    }

    /// How many rounds of `source` a reader has heard when it speaks for the `round`-th time.
    pub fn rounds_read(&self, reader: Role, source: Role, round: u32) -> usize {
        let place = |role: Role| -> Option<(u8, u8)> {
            Some(match (role, self.order) {
                (Role::Bull, _) | (Role::Bear, Order::Lacon) => (0, 0),
                (Role::Bear, Order::Upstream) | (Role::Judge, _) => (0, 1),
                (Role::Risky, Order::Upstream) => (1, 0),
                (Role::Safe, Order::Upstream) => (1, 1),
                (Role::Neutral, Order::Upstream) => (1, 2),
                _ => return None,
            })
        };
        match (place(reader), place(source)) {
            (Some((a, mine)), Some((b, theirs))) if a == b => {
                (if theirs < mine { round } else { round - 1 }) as usize
            }
            _ => usize::MAX,
        }
    }

    /// Those whose earlier words a role hears again when it speaks for the second time and later, in their order, without those
    /// that stand in its first prompt anyway.
    pub fn reads_again(&self, role: Role) -> &'static [Role] {
        match (role, self.order) {
            (Role::Bull, Order::Lacon) => &[Role::Bear, Role::Judge],
            (Role::Bear, Order::Lacon) => &[Role::Bull, Role::Judge],
            (Role::Bull, Order::Upstream) => &[Role::Bull, Role::Bear],
            (Role::Bear, Order::Upstream) => &[Role::Bear],
            (Role::Risky, Order::Upstream) => &Role::RISK,
            (Role::Safe, Order::Upstream) => &[Role::Safe, Role::Neutral],
            (Role::Neutral, Order::Upstream) => &[Role::Neutral],
            _ => &[],
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
        match role {
            Role::Own(_) => self.agents.calls(&self.file(role).tools, ticker, company, date),
            built_in => {
                let mut calls: Vec<_> = answer::usual_calls(built_in.name(), ticker, company, date)
                    .into_iter()
                    .map(|(name, arguments)| (name.to_owned(), arguments))
                    .collect();
                if built_in == Role::News {
                    calls.extend(answer::macro_calls(self.asset, date));
                }
                let own = self.file(built_in).tools.iter().filter(|tool| self.agents.tool(tool).is_some());
                let own: Vec<String> = own.cloned().collect();
                calls.extend(self.agents.calls(&own, ticker, company, date));
                calls
            }
        }
    }

    /// What the shared rules say of the thing that is decided on.
    pub fn rules(&self) -> Cow<'static, str> {
        let extra = match self.asset {
            Asset::Equity => return Cow::Borrowed(prompts::shared()),
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
        Cow::Owned(format!("{}\n{extra}", prompts::shared().replace("one stock", self.thing())))
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
    pub fn language_rule(&self, file: &RoleFile) -> String {
        let language = self.language.trim();
        if language.is_empty() || language.eq_ignore_ascii_case("english") {
            return String::new();
        }
        let mut kept = vec!["numbers, dates and tickers as they are"];
        if file.sections.len() > 1 {
            kept.push("the names of the parts above as headings in English");
        }
        if file.decides.is_some() || file.form.is_some() {
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

/// The built-in file of a role.
fn base_file(role: Role, order: Order) -> &'static RoleFile {
    match order {
        Order::Lacon => prompts::role_file(role),
        Order::Upstream => prompts::upstream_file(role),
    }
}

/// Roles whose prompts share what they read, so that one choice serves all of them.
pub(crate) fn stage(role: Role) -> &'static [Role] {
    match role {
        Role::Bull | Role::Bear | Role::Plan => &[Role::Bull, Role::Bear, Role::Plan],
        Role::Risky | Role::Safe | Role::Neutral | Role::RiskManager => {
            &[Role::Risky, Role::Safe, Role::Neutral, Role::RiskManager]
        }
        Role::Judge => &[Role::Judge],
        Role::Trader => &[Role::Trader],
        _ => &[],
    }
}
