//! Token and money budgets in a tree: run, agent, turn, tool.
//!
//! What is reserved counts against a scope and all scopes above it until it is committed or released, so two agents
//! that run at the same time cannot both spend the last thousand tokens. The ledger holds no lock and no clock; who
//! shares it between tasks wraps it.

use std::collections::HashMap;

/// Money in millionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct MicroUsd(pub u64);

/// An amount of tokens and money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Tokens.
    pub tokens: u64,
    /// Money.
    pub cost: MicroUsd,
}

impl Amount {
    /// An amount of tokens without a price.
    #[must_use]
    pub fn tokens(tokens: u64) -> Self {
        Amount { tokens, cost: MicroUsd(0) }
    }

    fn plus(self, other: Amount) -> Amount {
        Amount {
            tokens: self.tokens.saturating_add(other.tokens),
            cost: MicroUsd(self.cost.0.saturating_add(other.cost.0)),
        }
    }

    fn minus(self, other: Amount) -> Amount {
        Amount {
            tokens: self.tokens.saturating_sub(other.tokens),
            cost: MicroUsd(self.cost.0.saturating_sub(other.cost.0)),
        }
    }
}

/// The levels of the tree, from the outside in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// A whole run.
    Run,
    /// One agent of it.
    Agent,
    /// One model call of an agent, with its tools.
    Turn,
    /// One tool call.
    Tool,
}

/// What happens when a reservation does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnExceed {
    /// The call goes on; only the verdict says so.
    Warn,
    /// The caller is asked to shorten its prompt and to try again.
    Compress,
    /// A person is asked.
    Ask,
    /// The scope ends with what it has.
    #[default]
    Stop,
}

/// The limits of one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most tokens; none is no limit.
    pub tokens: Option<u64>,
    /// Most money; none is no limit.
    pub cost: Option<MicroUsd>,
    /// Share of a limit from which verdicts warn, in percent.
    pub warn_at: u8,
    /// What happens beyond.
    pub on_exceed: OnExceed,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { tokens: None, cost: None, warn_at: 80, on_exceed: OnExceed::Stop }
    }
}

impl Limits {
    /// A limit in tokens that stops.
    #[must_use]
    pub fn tokens(tokens: u64) -> Self {
        Limits { tokens: Some(tokens), ..Limits::default() }
    }
}

/// Names a scope of one ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScopeId(usize);

/// Names a reservation of one ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReservationId(usize);

/// The answer to a reservation that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// To be committed or released.
    pub id: ReservationId,
    /// Scopes that are near or beyond a limit that only warns.
    pub warnings: Vec<String>,
}

/// Why a reservation was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{scope} needs {needed} {unit}, budget is {limit}\nhint: raise the budget of {scope} or shorten its prompts"
)]
pub struct Exceeded {
    /// Path of the scope whose limit is in the way, such as `run/market`.
    pub scope: String,
    /// What it would hold with the reservation.
    pub needed: u64,
    /// Its limit.
    pub limit: u64,
    /// `tokens` or `micro-dollars`.
    pub unit: &'static str,
    /// What the scope wants done.
    pub action: OnExceed,
    /// How much the reservation would have to shrink.
    pub excess: u64,
}

#[derive(Debug)]
struct Scope {
    path: String,
    level: Level,
    parent: Option<ScopeId>,
    limits: Limits,
    spent: Amount,
    reserved: Amount,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Open,
    Committed,
    Released,
}

#[derive(Debug)]
struct Reservation {
    scope: ScopeId,
    amount: Amount,
    state: State,
}

/// Limits, spending and reservations of one run.
///
/// ```
/// use lacon_prompt::budget::{Amount, Level, Limits, Spending};
/// let mut spending = Spending::new(Limits::tokens(10_000));
/// let market = spending.open(spending.run(), Level::Agent, "market", Limits::tokens(2_500));
/// let granted = spending.reserve(market, Amount::tokens(2_000), "market/1").unwrap();
/// assert!(spending.reserve(market, Amount::tokens(600), "market/2").is_err());
/// spending.commit(granted.id, Amount::tokens(1_700));
/// assert_eq!(spending.spent(spending.run()).tokens, 1_700);
/// ```
#[derive(Debug)]
pub struct Spending {
    scopes: Vec<Scope>,
    reservations: Vec<Reservation>,
    keys: HashMap<(usize, String), ReservationId>,
}

impl Spending {
    /// A ledger with one scope, the run's.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let run = Scope {
            path: "run".to_owned(),
            level: Level::Run,
            parent: None,
            limits,
            spent: Amount::default(),
            reserved: Amount::default(),
        };
        Spending { scopes: vec![run], reservations: Vec::new(), keys: HashMap::new() }
    }

    /// The run's scope.
    #[must_use]
    pub fn run(&self) -> ScopeId {
        ScopeId(0)
    }

    /// The scope of this name below `parent`, opened if it is not there yet.
    pub fn open(&mut self, parent: ScopeId, level: Level, name: &str, limits: Limits) -> ScopeId {
        let path = format!("{}/{name}", self.scopes[parent.0].path);
        if let Some(i) = self.scopes.iter().position(|scope| scope.path == path) {
            return ScopeId(i);
        }
        self.scopes.push(Scope {
            path,
            level,
            parent: Some(parent),
            limits,
            spent: Amount::default(),
            reserved: Amount::default(),
        });
        ScopeId(self.scopes.len() - 1)
    }

    /// Sets an amount aside in a scope and all above it. The same key in the same scope gives the same reservation, so
    /// a retry does not pay twice.
    ///
    /// # Errors
    /// When a limit on the way up would be exceeded and does more than warn; nothing is set aside then.
    pub fn reserve(&mut self, scope: ScopeId, amount: Amount, key: &str) -> Result<Granted, Exceeded> {
        if let Some(id) = self.keys.get(&(scope.0, key.to_owned())).copied()
            && !matches!(self.reservations[id.0].state, State::Released)
        {
            return Ok(Granted { id, warnings: Vec::new() });
        }
        let mut warnings = Vec::new();
        for id in self.ancestors(scope) {
            let scope = &self.scopes[id.0];
            let held = scope.spent.plus(scope.reserved).plus(amount);
            let checks = [
                ("tokens", held.tokens, scope.limits.tokens),
                ("micro-dollars", held.cost.0, scope.limits.cost.map(|cost| cost.0)),
            ];
            for (unit, needed, limit) in checks {
                let Some(limit) = limit else { continue };
                if needed > limit && scope.limits.on_exceed != OnExceed::Warn {
                    return Err(Exceeded {
                        scope: scope.path.clone(),
                        needed,
                        limit,
                        unit,
                        action: scope.limits.on_exceed,
                        excess: needed - limit,
                    });
                }
                if u128::from(needed) * 100 > u128::from(limit) * u128::from(scope.limits.warn_at) {
                    warnings.push(format!("{} would hold {needed} of {limit} {unit}", scope.path));
                }
            }
        }
        for id in self.ancestors(scope) {
            let scope = &mut self.scopes[id.0];
            scope.reserved = scope.reserved.plus(amount);
        }
        let id = ReservationId(self.reservations.len());
        self.reservations.push(Reservation { scope, amount, state: State::Open });
        self.keys.insert((scope.0, key.to_owned()), id);
        Ok(Granted { id, warnings })
    }

    /// Turns a reservation into what was really spent, which may be more. A second commit changes nothing.
    pub fn commit(&mut self, id: ReservationId, used: Amount) {
        if self.close(id, State::Committed) {
            for scope in self.ancestors(self.reservations[id.0].scope) {
                let scope = &mut self.scopes[scope.0];
                scope.spent = scope.spent.plus(used);
            }
        }
    }

    /// Gives a reservation back, for a call that was not made. Nothing happens once it is committed.
    pub fn release(&mut self, id: ReservationId) {
        self.close(id, State::Released);
    }

    fn close(&mut self, id: ReservationId, state: State) -> bool {
        let reservation = &mut self.reservations[id.0];
        if !matches!(reservation.state, State::Open) {
            return false;
        }
        reservation.state = state;
        let (scope, amount) = (reservation.scope, reservation.amount);
        for scope in self.ancestors(scope) {
            let scope = &mut self.scopes[scope.0];
            scope.reserved = scope.reserved.minus(amount);
        }
        true
    }

    fn ancestors(&self, scope: ScopeId) -> Vec<ScopeId> {
        std::iter::successors(Some(scope), |id| self.scopes[id.0].parent).collect()
    }

    /// What a scope and the scopes below it have spent.
    #[must_use]
    pub fn spent(&self, scope: ScopeId) -> Amount {
        self.scopes[scope.0].spent
    }

    /// What is set aside in a scope and the scopes below it.
    #[must_use]
    pub fn reserved(&self, scope: ScopeId) -> Amount {
        self.scopes[scope.0].reserved
    }

    /// Tokens that a scope may still reserve, the limits above it included; none where nothing limits it.
    #[must_use]
    pub fn left(&self, scope: ScopeId) -> Option<u64> {
        self.ancestors(scope)
            .into_iter()
            .filter_map(|id| {
                let scope = &self.scopes[id.0];
                Some(scope.limits.tokens?.saturating_sub(scope.spent.plus(scope.reserved).tokens))
            })
            .min()
    }

    /// Path and level of every scope with what it spent, in the order they were opened.
    pub fn scopes(&self) -> impl Iterator<Item = (&str, Level, Amount)> {
        self.scopes.iter().map(|scope| (scope.path.as_str(), scope.level, scope.spent))
    }

    /// Tokens that the run will have spent when `calls` of its `planned` calls are done now; none before the first.
    #[must_use]
    pub fn projected(&self, calls: u64, planned: u64) -> Option<u64> {
        (calls > 0).then(|| {
            let spent = u128::from(self.scopes[0].spent.tokens);
            u64::try_from(spent * u128::from(planned.max(calls)) / u128::from(calls)).unwrap_or(u64::MAX)
        })
    }
}
