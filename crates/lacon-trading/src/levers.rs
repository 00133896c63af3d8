//! The optimizations: what profile `lacon` does and profile `baseline` does not. Each has a switch: `--disable` for
//! those that are on by default, `--enable` for the others.

use std::collections::BTreeSet;

/// A lever's name and what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeverInfo {
    /// The name in `--disable`, `--enable` and `run.json`.
    pub name: &'static str,
    /// What it does.
    pub note: &'static str,
    /// Whether it is on where nobody asks for it.
    pub usual: bool,
}

const fn lever(name: &'static str, note: &'static str) -> LeverInfo {
    LeverInfo { name, note, usual: true }
}

/// A lever that is off until it is asked for: it gives up something that a run otherwise promises.
const fn on_demand(name: &'static str, note: &'static str) -> LeverInfo {
    LeverInfo { name, note, usual: false }
}

/// All levers, in the order in which a run meets them.
pub const LEVERS: &[LeverInfo] = &[
    lever("no_barrier", "a node starts when its own inputs are ready, not when a whole step is"),
    lever("prefetch", "tools with known arguments are called at the start; no model call asks for them"),
    lever("condense", "tool results reach the model without empty days, indicators as one table"),
    lever("word_limits", "each role is told its word limit, and max_tokens follows from it"),
    lever("parallel_judge", "judge and plan run beside each other when no further round can follow"),
    on_demand(
        "merged_judge",
        "one call answers for plan and judge when no further round can follow; an answer that lacks one has it asked for",
    ),
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
        "a sibling that ended well before the slowest one in nine of ten earlier runs waits for that one's first token, to read its cached prefix",
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
    lever("deadline_ladder", "when the deadline nears: shorter answers, then the quick model"),
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
    /// The levers of a profile, less the disabled ones, and the enabled ones; `all` disables every one that is not
    /// enabled by name.
    ///
    /// # Errors
    /// For a name that is no lever, with the nearest one; for a lever that is both disabled and enabled.
    pub fn new(profile: &str, disabled: &[&str], enabled: &[&str]) -> Result<Self, String> {
        let usual = LEVERS.iter().filter(|l| l.usual).map(|l| l.name);
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
            let lever = known(name)?;
            if disabled.contains(&lever) {
                return Err(format!(
                    "optimization {lever:?} is both disabled and enabled\nhint: name it once; --enable \"\" or --disable \"\" leaves out what a settings file says"
                ));
            }
            on.insert(lever);
        }
        Ok(Self { on })
    }

    /// Whether a lever is on.
    pub fn has(&self, name: &str) -> bool {
        debug_assert!(LEVERS.iter().any(|l| l.name == name), "{name} is no optimization");
        self.on.contains(name)
    }
}

/// The lever of that name.
fn known(name: &str) -> Result<&'static str, String> {
    let names = || LEVERS.iter().map(|l| l.name);
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
        let on = |profile, disabled: &[&str], enabled: &[&str], lever| {
            Levers::new(profile, disabled, enabled).unwrap().has(lever)
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
    fn what_no_lever_can_mean_is_said() {
        let error =
            |disabled: &[&str], enabled: &[&str]| Levers::new("lacon", disabled, enabled).unwrap_err();
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
