//! What can go wrong with an answer, and how it is asked for.

use std::str::FromStr;

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
pub const NAMES: &str = "400, 401, 403, 404, 429, 429:SECONDS, 500, 502, 503, stall, cut, drop, badjson, html, error, length, slow:SECONDS, endless, nul, latin1";

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

/// Shares of answers that go wrong.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultPlan(Vec<(Fault, f64)>);

impl FaultPlan {
    /// Reads `429=0.05,500=0.02,slow:3=0.1`: a fault and the share of answers that it hits.
    ///
    /// # Errors
    /// An unknown fault, a share outside of 0 to 1, shares that are more than all.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut plan = Vec::new();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let (fault, share) = part.split_once('=').unwrap_or((part, "1"));
            let share: f64 = share.parse().ok().filter(|s| (0.0..=1.0).contains(s)).ok_or_else(|| {
                format!("fault {part:?}: the share is a number from 0 to 1\nhint: such as 429=0.05")
            })?;
            plan.push((fault.parse()?, share));
        }
        let total: f64 = plan.iter().map(|(_, s)| s).sum();
        if total > 1.0 + 1e-9 {
            return Err(format!("the faults' shares add up to {total:.2}, at most 1 can go wrong"));
        }
        Ok(Self(plan))
    }

    /// The fault for a draw in (0, 1).
    pub fn draw(&self, mut u: f64) -> Option<Fault> {
        for (fault, share) in &self.0 {
            if u < *share {
                return Some(*fault);
            }
            u -= share;
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
        assert_eq!(plan.draw(0.1), Some(Fault::Status(429, Some(7))));
        assert_eq!(plan.draw(0.3), Some(Fault::Cut));
        assert_eq!(plan.draw(0.6), Some(Fault::Slow(2.5)));
        assert_eq!(plan.draw(0.9), None);
        assert_eq!(FaultPlan::parse("html").unwrap().draw(0.99), Some(Fault::Html));
        for bad in ["teapot", "429=2", "cut=0.6,drop=0.6", "slow:x", "slow=0.1"] {
            assert!(FaultPlan::parse(bad).is_err(), "{bad}");
        }
    }
}
