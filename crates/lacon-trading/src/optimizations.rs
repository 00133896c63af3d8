//! The optimizations: what profile `lacon` does and profile `baseline` does not. Each has a switch: `--disable` for
//! those that are on by default, `--enable` for the others.

use std::collections::BTreeSet;

/// An optimization's name and what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptimizationInfo {
    /// The name in `--disable`, `--enable` and `run.json`.
    pub name: &'static str,
    /// What it does.
    pub note: &'static str,
    /// Whether it is on where nobody asks for it.
    pub usual: bool,
}

const fn optimization(name: &'static str, note: &'static str) -> OptimizationInfo {
    OptimizationInfo { name, note, usual: true }
}

/// An optimization that is off until it is asked for: it gives up something that a run otherwise promises.
const fn on_demand(name: &'static str, note: &'static str) -> OptimizationInfo {
    OptimizationInfo { name, note, usual: false }
}

/// All optimizations, in the order in which a run meets them.
pub const OPTIMIZATIONS: &[OptimizationInfo] = &[
    optimization("no_barrier", "a node starts when its own inputs are ready, not when a whole step is"),
    optimization(
        "prefetch",
        "tools with known arguments are called at the start; no model call asks for them",
    ),
    optimization("condense", "tool results reach the model without empty days, indicators as one table"),
    optimization("word_limits", "each role is told its word limit, and max_tokens follows from it"),
    optimization("parallel_judge", "judge and plan run beside each other when no further round can follow"),
    on_demand(
        "merged_judge",
        "one call answers for plan and judge when no further round can follow; an answer that lacks one has it asked for",
    ),
    optimization("digests", "risk roles read each report as its figures and conclusions"),
    optimization(
        "contradictions",
        "who reads the reports is told where they state different actions, and which are missing or cut",
    ),
    optimization(
        "prefix_layout",
        "shared material first, the role's own last, so that prefixes repeat byte for byte",
    ),
    optimization(
        "stagger",
        "a sibling that ended well before the slowest one in nine of ten earlier runs waits for that one's first token, to read its cached prefix",
    ),
    optimization("repair", "one further call when most of an answer's required parts are missing"),
    optimization("local_signal", "the decision is read by a parser, not by a model call"),
    optimization(
        "hedge",
        "a second request beside one that is slower than usual; the first valid answer wins",
    ),
    optimization(
        "concise",
        "roles behind the analysts, the trader excepted, are held to three quarters of their usual words",
    ),
    optimization(
        "prompt_plan",
        "forms and lengths of all prompts are chosen together when tokens, money or time are limited",
    ),
    optimization("deadline_ladder", "when the deadline nears: shorter answers, then the quick model"),
    optimization(
        "slack_models",
        "the judge, which nobody waits for when it runs beside the plan, is asked with the quick model",
    ),
    optimization(
        "memory",
        "plan and risk manager read what came of earlier decisions, of this ticker and of like ones",
    ),
    optimization("shared_news", "market-wide news is fetched once for many runs"),
    optimization("tool_cache", "equal tool calls are made once"),
];

/// Which optimizations are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Optimizations {
    on: BTreeSet<&'static str>,
}

impl Optimizations {
    /// The optimizations of a profile, less the disabled ones, and the enabled ones; `all` disables every one that is not
    /// enabled by name.
    ///
    /// # Errors
    /// For a name that is no optimization, with the nearest one; for an optimization that is both disabled and enabled.
    pub fn new(profile: &str, disabled: &[&str], enabled: &[&str]) -> Result<Self, String> {
        let usual = OPTIMIZATIONS.iter().filter(|l| l.usual).map(|l| l.name);
        let mut on: BTreeSet<&'static str> = match profile {
            // The original system had a tool cache and none of the others. `seed` is the profile's old name.
            "baseline" | "seed" => ["tool_cache"].into(),
            // Its debates go in turns: nobody has siblings, and nobody judges beside a plan.
            "upstream" => {
                usual.filter(|l| !["parallel_judge", "slack_models", "stagger"].contains(l)).collect()
            }
            _ => usual.collect(),
        };
        for name in disabled {
            if *name == "all" {
                on.clear();
            } else {
                on.remove(known(name)?);
            }
        }
        for name in enabled {
            if *name == "all" {
                return Err(
                    "all optimizations cannot be enabled\nhint: name them; --disable all is the one for all"
                        .into(),
                );
            }
            let optimization = known(name)?;
            if disabled.contains(&optimization) {
                return Err(format!(
                    "optimization {optimization:?} is both disabled and enabled\nhint: name it once; --enable \"\" or --disable \"\" leaves out what a settings file says"
                ));
            }
            on.insert(optimization);
        }
        Ok(Self { on })
    }

    /// Whether an optimization is on.
    pub fn has(&self, name: &str) -> bool {
        debug_assert!(OPTIMIZATIONS.iter().any(|l| l.name == name), "{name} is no optimization");
        self.on.contains(name)
    }
}

/// The optimization of that name.
fn known(name: &str) -> Result<&'static str, String> {
    let names = || OPTIMIZATIONS.iter().map(|l| l.name);
    names().find(|known| *known == name).ok_or_else(|| {
        let nearest = lacon_runtime::config::nearest(name, names());
        let hint = nearest.map_or_else(
            || names().collect::<Vec<_>>().join(", "),
            |nearest| format!("did you mean {nearest}?"),
        );
        format!("unknown optimization {name:?}\nhint: {hint}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_and_switches() {
        let on = |profile, disabled: &[&str], enabled: &[&str], optimization| {
            Optimizations::new(profile, disabled, enabled).unwrap().has(optimization)
        };
        assert!(on("lacon", &[], &[], "prefetch"));
        assert!(!on("lacon", &["prefetch"], &[], "prefetch"));
        assert!(!on("lacon", &["all"], &[], "tool_cache"));
        assert!(!on("seed", &[], &[], "no_barrier"));
        for profile in ["lacon", "seed", "upstream"] {
            assert!(!on(profile, &[], &[], "merged_judge"), "{profile}");
        }
        assert!(on("lacon", &[], &["merged_judge"], "merged_judge"));
        assert!(on("seed", &[], &["prefetch"], "prefetch"));
        assert!(on("lacon", &["all"], &["hedge"], "hedge") && !on("lacon", &["all"], &["hedge"], "condense"));
    }

    #[test]
    fn what_no_optimization_can_mean_is_said() {
        let error =
            |disabled: &[&str], enabled: &[&str]| Optimizations::new("lacon", disabled, enabled).unwrap_err();
        assert_eq!(
            error(&["prefech"], &[]),
            "unknown optimization \"prefech\"\nhint: did you mean prefetch?"
        );
        assert_eq!(
            error(&[], &["merge_judge"]),
            "unknown optimization \"merge_judge\"\nhint: did you mean merged_judge?"
        );
        assert!(
            error(&["hedge"], &["hedge"])
                .starts_with("optimization \"hedge\" is both disabled and enabled\nhint: ")
        );
        assert!(error(&[], &["all"]).contains("hint: name them"));
    }
}
