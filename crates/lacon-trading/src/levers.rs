//! The levers: what the `lacon` profile does and the `seed` profile does not. Each has a switch.

use std::collections::BTreeSet;

/// A lever's name and what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeverInfo {
    /// The name in `--disable` and in `run.json`.
    pub name: &'static str,
    /// What it does.
    pub note: &'static str,
}

const fn lever(name: &'static str, note: &'static str) -> LeverInfo {
    LeverInfo { name, note }
}

/// All levers, in the order in which a run meets them.
pub const LEVERS: &[LeverInfo] = &[
    lever("no_barrier", "a node starts when its own inputs are ready, not when a whole step is"),
    lever("prefetch", "tools with known arguments are called at the start; no model call asks for them"),
    lever("condense", "tool results reach the model without empty days, indicators as one table"),
    lever("word_limits", "each role is told its word limit, and max_tokens follows from it"),
    lever("parallel_judge", "judge and plan run beside each other when no further round can follow"),
    lever("digests", "risk roles read each report as its figures and conclusions"),
    lever(
        "contradictions",
        "who reads the reports is told where they state different actions, and which are missing or cut",
    ),
    lever(
        "prefix_layout",
        "shared material first, the role's own last, so that prefixes repeat byte for byte",
    ),
    lever(
        "stagger",
        "a sibling that usually ends well before the slowest one waits for that one's first token, to read its cached prefix",
    ),
    lever("repair", "one further call when most of an answer's required parts are missing"),
    lever("local_signal", "the decision is read by a parser, not by a model call"),
    lever("hedge", "a second request beside one that is slower than usual; the first valid answer wins"),
    lever(
        "concise",
        "roles behind the analysts, the trader excepted, are held to three quarters of their usual words",
    ),
    lever(
        "prompt_plan",
        "forms and lengths of all prompts are chosen together when tokens, money or time are limited",
    ),
    lever(
        "deadline_ladder",
        "when the deadline nears: shorter answers, then the quick model, then the last good plan",
    ),
    lever(
        "slack_models",
        "the judge, which nobody waits for when it runs beside the plan, is asked with the quick model",
    ),
    lever(
        "memory",
        "plan and risk manager read what came of earlier decisions, of this ticker and of like ones",
    ),
    lever("shared_news", "market-wide news is fetched once for many runs"),
    lever("tool_cache", "equal tool calls are made once"),
];

/// Which levers are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levers {
    on: BTreeSet<&'static str>,
}

impl Levers {
    /// The levers of a profile, less the disabled ones; `all` disables every one.
    ///
    /// # Errors
    /// For a name that is no lever, with the nearest one.
    pub fn new(profile: &str, disabled: &[&str]) -> Result<Self, String> {
        let mut on: BTreeSet<&'static str> = match profile {
            // The origin had a tool cache; everything else is new here.
            "seed" => ["tool_cache"].into(),
            // Its debates go in turns: nobody has siblings, and nobody judges beside a plan.
            "upstream" => LEVERS
                .iter()
                .map(|l| l.name)
                .filter(|l| !["parallel_judge", "slack_models", "stagger"].contains(l))
                .collect(),
            _ => LEVERS.iter().map(|l| l.name).collect(),
        };
        for name in disabled {
            if *name == "all" {
                on.clear();
            } else if LEVERS.iter().any(|l| l.name == *name) {
                on.retain(|l| l != name);
            } else {
                let nearest = lacon_runtime::config::nearest(name, LEVERS.iter().map(|l| l.name));
                let known: Vec<&str> = LEVERS.iter().map(|l| l.name).collect();
                let hint = nearest.map_or_else(|| known.join(", "), |n| format!("did you mean {n}?"));
                return Err(format!("unknown lever {name:?}\nhint: {hint}"));
            }
        }
        Ok(Self { on })
    }

    /// Whether a lever is on.
    pub fn has(&self, name: &str) -> bool {
        debug_assert!(LEVERS.iter().any(|l| l.name == name), "{name} is no lever");
        self.on.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_and_switches() {
        assert!(Levers::new("lacon", &[]).unwrap().has("prefetch"));
        assert!(!Levers::new("lacon", &["prefetch"]).unwrap().has("prefetch"));
        assert!(!Levers::new("lacon", &["all"]).unwrap().has("tool_cache"));
        assert!(!Levers::new("seed", &[]).unwrap().has("no_barrier"));
        assert_eq!(
            Levers::new("lacon", &["prefech"]).unwrap_err(),
            "unknown lever \"prefech\"\nhint: did you mean prefetch?"
        );
    }
}
