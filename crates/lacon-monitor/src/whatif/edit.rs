//! Edits as users write them: `KEY=VALUE`, in one list.

use lacon_llm::Usage;
use serde::Serialize;

use crate::prices;

/// One edit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Edit {
    /// As it was written.
    pub text: String,
    /// What is edited.
    pub what: What,
}

/// What can be edited.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Nodes wait for their own inputs alone.
    NoBarrier,
    /// Tools are called at the start; the calls that ask for them go.
    Prefetch,
    /// The first node's calls go: the second one does their work.
    Merge(String, String),
    /// The second node no longer waits for the first one.
    Parallel(String, String),
    /// A node goes; those that wait for it wait for its inputs.
    Remove(String),
    /// Length of the answers of a role, or of all.
    Answer(Option<String>, Size),
    /// Speed of the model of a role, or of all.
    Speed(Option<String>, f64),
    /// Another model's speed: a profile of the fitted model.
    Model(Option<String>, String),
    /// Another model's list price.
    Price(Option<String>, String),
    /// Cached contents are kept for so many hours, which some providers bill.
    Keep(f64),
    /// Duration of a tool, or of all.
    Tool(Option<String>, Size),
    /// Most model calls at once.
    Slots(usize),
    /// A second request beside a call that is slower than this quantile of its residuals.
    Hedge(f64),
}

/// A factor or an absolute value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// Times what it was.
    Times(f64),
    /// Exactly this; of answers at most this.
    To(f64),
}

impl Size {
    /// The edited value.
    pub fn of(self, value: f64) -> f64 {
        match self {
            Self::Times(factor) => value * factor,
            Self::To(to) => to,
        }
    }
}

/// Every key with what it does.
pub const KNOWN: &[(&str, &str)] = &[
    ("barrier=off", "nodes start when their own inputs are ready"),
    ("prefetch=on", "tools are called at the start, no model call asks for them"),
    ("merge=A+B", "one call for both: A's calls go, B stays"),
    ("parallel=A+B", "B no longer waits for A"),
    ("remove=A", "node A goes"),
    ("answer=0.5x, answer.ROLE=300", "length of answers: a factor, or at most so many tokens"),
    ("speed=2x, speed.ROLE=2x", "tokens and first tokens come so much faster"),
    ("model=PROFILE, model.ROLE=PROFILE", "another model's speed: fast, typical, slow"),
    ("price=MODEL, price.ROLE=MODEL", "another model's list price for the same tokens"),
    ("keep=HOURS", "cached contents are kept so long, where the provider bills storage"),
    ("tool=0.5x, tool.NAME=2s", "duration of tools: a factor, or so many seconds"),
    ("slots=N", "at most N model calls at once"),
    ("hedge=0.9", "a second request beside calls slower than this quantile"),
];

/// An edit that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditError(String);

impl std::fmt::Display for EditError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EditError {}

/// Reads `KEY=VALUE`.
///
/// # Errors
/// For an unknown key or a value that does not fit it, with what would.
pub fn parse(text: &str) -> Result<Edit, EditError> {
    let wrong = |why: &str| {
        let known: Vec<&str> = KNOWN.iter().map(|(k, _)| *k).collect();
        EditError(format!("edit {text:?}: {why}\nhint: known are {}", known.join(", ")))
    };
    let (key, value) = text.split_once('=').map_or((text.trim(), "on"), |(k, v)| (k.trim(), v.trim()));
    let (key, role) = match key.split_once('.') {
        Some((key, role)) if !role.is_empty() => (key, Some(role.to_owned())),
        _ => (key, None),
    };
    let on = || match value {
        "on" | "yes" | "true" | "1" => Ok(()),
        _ => Err(wrong("on is needed")),
    };
    let pair = || {
        let (a, b) = value
            .split_once('+')
            .filter(|(a, b)| !a.is_empty() && !b.is_empty())
            .ok_or_else(|| wrong("two nodes are needed, A+B"))?;
        Ok((a.trim().to_owned(), b.trim().to_owned()))
    };
    let number = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    let what = match key {
        "barrier" | "barriers" => match value {
            "off" | "no" | "false" | "0" => What::NoBarrier,
            _ => return Err(wrong("off is needed")),
        },
        "no_barrier" => on().map(|()| What::NoBarrier)?,
        "prefetch" => on().map(|()| What::Prefetch)?,
        "merge" => pair().map(|(a, b)| What::Merge(a, b))?,
        "parallel" => pair().map(|(a, b)| What::Parallel(a, b))?,
        "parallel_judge" => on().map(|()| What::Parallel("judge".into(), "plan".into()))?,
        "remove" if !value.is_empty() => What::Remove(value.to_owned()),
        "answer" | "length" => {
            let size = match value.strip_suffix(['x', '×']) {
                Some(factor) => number(factor).map(Size::Times),
                None => number(value).map(Size::To),
            };
            What::Answer(
                role,
                size.ok_or_else(|| wrong("a factor such as 0.5x or a number of tokens is needed"))?,
            )
        }
        "speed" => {
            let factor = number(value.strip_suffix(['x', '×']).unwrap_or(value)).filter(|f| *f > 0.0);
            What::Speed(role, factor.ok_or_else(|| wrong("a factor above zero such as 2x is needed"))?)
        }
        "model" if !value.is_empty() => What::Model(role, value.to_owned()),
        "price" => {
            if prices::cost(value, &Usage::default()).is_none() {
                return Err(wrong("this model has no known price"));
            }
            What::Price(role, value.to_owned())
        }
        "keep" => {
            let hours = number(value.strip_suffix('h').unwrap_or(value)).filter(|hours| *hours <= 87_600.0);
            What::Keep(hours.ok_or_else(|| wrong("a number of hours such as 2 is needed"))?)
        }
        "tool" | "tools" => {
            let size = match (value.strip_suffix(['x', '×']), value.strip_suffix('s')) {
                (Some(factor), _) => number(factor).map(Size::Times),
                (None, Some(seconds)) => number(seconds).map(Size::To),
                _ => number(value).map(Size::To),
            };
            What::Tool(
                role,
                size.ok_or_else(|| wrong("a factor such as 0.5x or seconds such as 2s are needed"))?,
            )
        }
        "slots" => What::Slots(
            value.parse().ok().filter(|n| *n > 0).ok_or_else(|| wrong("a number from 1 is needed"))?,
        ),
        "hedge" => {
            let quantile = number(value.strip_prefix('p').map_or(value, |v| v))
                .map(|q| if q > 1.0 { q / 100.0 } else { q });
            What::Hedge(
                quantile
                    .filter(|q| *q > 0.0 && *q < 1.0)
                    .ok_or_else(|| wrong("a quantile such as 0.9 is needed"))?,
            )
        }
        _ => return Err(wrong("unknown key or no value")),
    };
    Ok(Edit { text: text.to_owned(), what })
}

impl Edit {
    /// What it does, in words.
    pub fn does(&self) -> String {
        let of = |role: &Option<String>| role.as_ref().map_or("all roles".to_owned(), Clone::clone);
        match &self.what {
            What::NoBarrier => "nodes start when their own inputs are ready".into(),
            What::Prefetch => "tools are called at the start, no model call asks for them".into(),
            What::Merge(a, b) => format!("one call for {a} and {b}"),
            What::Parallel(a, b) => format!("{b} beside {a}"),
            What::Remove(a) => format!("without {a}"),
            What::Answer(role, Size::Times(f)) => format!("answers of {} {f} times as long", of(role)),
            What::Answer(role, Size::To(n)) => format!("answers of {} at most {n} tokens", of(role)),
            What::Speed(role, f) => format!("the model of {} {f} times as fast", of(role)),
            What::Model(role, name) => format!("{} at the speed of {name}", of(role)),
            What::Price(role, name) => format!("{} at the list price of {name}", of(role)),
            What::Keep(hours) => format!("cached contents are kept for {hours} h, each once"),
            What::Tool(name, Size::Times(f)) => {
                format!("{} take {f} times as long", name.as_deref().unwrap_or("tools"))
            }
            What::Tool(name, Size::To(s)) => format!("{} take {s} s", name.as_deref().unwrap_or("tools")),
            What::Slots(n) => format!("at most {n} model calls at once"),
            What::Hedge(q) => {
                format!("a second request beside calls beyond their {:.0} % quantile", q * 100.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_read_or_explained() {
        let check = |text: &str, expected: What| assert_eq!(parse(text).unwrap().what, expected);
        check("barrier=off", What::NoBarrier);
        check("no_barrier", What::NoBarrier);
        check("merge=judge+plan", What::Merge("judge".into(), "plan".into()));
        check("answer.bull=300", What::Answer(Some("bull".into()), Size::To(300.0)));
        check("answer=0.5x", What::Answer(None, Size::Times(0.5)));
        check("price.bull=gpt-5.6-luna", What::Price(Some("bull".into()), "gpt-5.6-luna".into()));
        check("hedge=p90", What::Hedge(0.9));
        check("keep=2h", What::Keep(2.0));
        check("tool.get_news=2s", What::Tool(Some("get_news".into()), Size::To(2.0)));
        for bad in [
            "",
            "slots=0",
            "speed=0x",
            "answer=long",
            "merge=a",
            "hedge=1.5x",
            "price=gpt-99",
            "keep=long",
            "warp=9",
        ] {
            assert!(parse(bad).unwrap_err().to_string().contains("hint:"), "{bad}");
        }
    }
}
