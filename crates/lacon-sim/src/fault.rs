//! The faults of an answer, and how to request them.

use std::{
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// A fault of one answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// This status; 429 with the seconds to wait.
    Status(u16, Option<u64>),
    /// Half of the body, then silence.
    Stall,
    /// Half of the body, then the connection ends.
    Cut,
    /// The connection ends without an answer.
    Drop,
    /// JSON that ends in the middle.
    BadJson,
    /// A web page with status 200.
    Html,
    /// Status 200 with the vendor's own error inside.
    ErrorInside,
    /// No cookie before a page of consent is answered.
    Consent,
    /// A content length of half the body.
    Length,
    /// The answer comes this many simulated seconds later.
    Slow(f64),
    /// A body without end.
    Endless,
    /// NUL bytes in every text.
    Nul,
    /// Bytes that are no UTF-8.
    Latin1,
}

/// Every fault's name, for messages.
pub const NAMES: &str = "400, 401, 403, 404, 429, 429:SECONDS, 500, 502, 503, stall, cut, drop, badjson, html, error, consent, length, slow:SECONDS, endless, nul, latin1";

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').map_or((text, None), |(n, v)| (n, Some(v)));
        let unknown = || format!("unknown fault {text:?}\nhint: one of {NAMES}");
        Ok(match (name, value) {
            ("stall", None) => Self::Stall,
            ("cut", None) => Self::Cut,
            ("drop", None) => Self::Drop,
            ("badjson", None) => Self::BadJson,
            ("html", None) => Self::Html,
            ("error", None) => Self::ErrorInside,
            ("consent", None) => Self::Consent,
            ("length", None) => Self::Length,
            ("endless", None) => Self::Endless,
            ("nul", None) => Self::Nul,
            ("latin1", None) => Self::Latin1,
            ("slow", Some(seconds)) => {
                Self::Slow(seconds.parse().ok().filter(|s| (0.0..=3600.0).contains(s)).ok_or_else(unknown)?)
            }
            ("429", Some(seconds)) => Self::Status(429, Some(seconds.parse().map_err(|_| unknown())?)),
            ("429", None) => Self::Status(429, Some(1)),
            ("400" | "401" | "403" | "404" | "500" | "502" | "503", None) => {
                Self::Status(name.parse().map_err(|_| unknown())?, None)
            }
            _ => return Err(unknown()),
        })
    }
}

/// One rule of a plan.
#[derive(Clone, Debug)]
struct Rule {
    fault: Fault,
    /// The role or vendor whose answers it hits; all when none is named.
    at: Option<String>,
    /// How many answers it hits at most.
    times: Option<u32>,
    share: f64,
    /// How many it has hit.
    met: Arc<AtomicU32>,
}

/// Shares of answers that go wrong. Clones count their hits together.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan(Vec<Rule>);

impl FaultPlan {
    /// Reads `429=0.05,500=0.02,slow:3=0.1`: a fault and the share of answers that it hits; without a share, all.
    /// `cut@bear=0.5` hits the answers to one role, `html@yahoo` those of one vendor; `cut@bear*1` the first one only.
    ///
    /// # Errors
    /// An unknown fault, a share outside of 0 to 1, shares that are more than all.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut plan = Vec::new();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let (what, share) = part.split_once('=').unwrap_or((part, "1"));
            let share: f64 = share.parse().ok().filter(|s| (0.0..=1.0).contains(s)).ok_or_else(|| {
                format!("fault {part:?}: the share is a number from 0 to 1\nhint: such as 429=0.05")
            })?;
            let (what, times) = match what.split_once('*') {
                None => (what, None),
                Some((what, times)) => (
                    what,
                    Some(times.parse().map_err(|_| {
                        format!("fault {part:?}: {times:?} is no number of answers\nhint: such as cut@bear*1")
                    })?),
                ),
            };
            let (fault, at) = what.split_once('@').map_or((what, None), |(f, at)| (f, Some(at.to_owned())));
            plan.push(Rule { fault: fault.parse()?, at, times, share, met: Arc::default() });
        }
        // What hits one place only takes nothing from the others.
        for place in plan.iter().map(|r| &r.at) {
            let total: f64 = plan.iter().filter(|r| r.at.is_none() || r.at == *place).map(|r| r.share).sum();
            if total > 1.0 + 1e-9 {
                return Err(format!("the faults' shares add up to {total:.2}, at most 1 can go wrong"));
            }
        }
        Ok(Self(plan))
    }

    /// How many answers went wrong so far.
    pub fn met(&self) -> u32 {
        self.0.iter().map(|rule| rule.met.load(Ordering::Relaxed)).sum()
    }

    /// The fault for a draw in (0, 1) and an answer to this role or of this vendor; it is counted as a hit.
    pub fn draw(&self, mut u: f64, place: &str) -> Option<Fault> {
        for rule in &self.0 {
            if rule.at.as_ref().is_some_and(|at| at != place) {
                continue;
            }
            if u < rule.share {
                let most = rule.times.unwrap_or(u32::MAX);
                let counted = rule.met.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                    (n < most).then(|| n.saturating_add(1))
                });
                return counted.is_ok().then_some(rule.fault);
            }
            u -= rule.share;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read() {
        let plan = FaultPlan::parse("429:7=0.25, cut=0.25,slow:2.5=0.25").unwrap();
        assert_eq!(plan.draw(0.1, ""), Some(Fault::Status(429, Some(7))));
        assert_eq!(plan.draw(0.3, ""), Some(Fault::Cut));
        assert_eq!(plan.draw(0.6, ""), Some(Fault::Slow(2.5)));
        assert_eq!(plan.draw(0.9, ""), None);
        assert_eq!(plan.met(), 3);
        let all = FaultPlan::parse("html").unwrap();
        assert_eq!(all.draw(0.99, "bear"), Some(Fault::Html));
        for bad in [
            "teapot",
            "429=2",
            "cut=0.6,drop=0.6",
            "cut=0.6,drop@bear=0.6",
            "slow:x",
            "slow=0.1",
            "cut@bear*x",
        ] {
            assert!(FaultPlan::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_fault_can_be_bound_to_a_place_and_a_number_of_answers() {
        let plan = FaultPlan::parse("cut@bear*2,html@yahoo,500@bull=0.5").unwrap();
        let of = |place: &str| plan.draw(0.4, place);
        assert_eq!([of("bear"), of("bear"), of("bear")], [Some(Fault::Cut), Some(Fault::Cut), None]);
        assert_eq!([of("yahoo"), of("finnhub")], [Some(Fault::Html), None]);
        assert_eq!((of("bull"), plan.draw(0.6, "bull")), (Some(Fault::Status(500, None)), None));
        assert_eq!(plan.met(), 4);
    }
}
