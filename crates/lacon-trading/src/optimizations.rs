//! The optimizations: what profile `lacon` does and profile `baseline` does not. Each has a switch: `--disable` for
//! those that are on by default, `--enable` for the others.

use lacon_agents::switches::{Row, Switches};

/// All optimizations, in the order in which a run meets them.
pub const OPTIMIZATIONS: &[Row] = &[
    Row::usual("no_barrier", "a node starts when its own inputs are ready, not when a whole step is"),
    Row::usual("prefetch", "tools with known arguments are called at the start; no model call asks for them"),
    Row::usual("condense", "tool results reach the model without empty days, indicators as one table"),
    Row::usual("word_limits", "each role is told its word limit, and max_tokens follows from it"),
    Row::usual("parallel_judge", "judge and plan run beside each other when no further round can follow"),
    Row::usual("digests", "risk roles read each report as its figures and conclusions"),
    Row::usual(
        "contradictions",
        "who reads the reports is told where they state different actions, and which are missing or cut",
    ),
    Row::usual(
        "prefix_layout",
        "shared material first, the role's own last, so that prefixes repeat byte for byte",
    ),
    Row::usual(
        "stagger",
        "a sibling that ended well before the slowest one in nine of ten earlier runs waits for that one's first token, to read its cached prefix",
    ),
    Row::usual("repair", "one further call when most of an answer's required parts are missing"),
    Row::usual("local_signal", "the decision is read by a parser, not by a model call"),
    Row::usual("hedge", "a second request beside one that is slower than usual; the first valid answer wins"),
    Row::usual(
        "concise",
        "roles behind the analysts, the trader excepted, are held to three quarters of their usual words",
    ),
    Row::usual(
        "prompt_plan",
        "forms and lengths of all prompts are chosen together when tokens, money or time are limited",
    ),
    Row::usual("deadline_ladder", "when the deadline nears: shorter answers, then the quick model"),
    Row::usual(
        "slack_models",
        "the judge, which nobody waits for when it runs beside the plan, is asked with the quick model",
    ),
    Row::usual(
        "memory",
        "plan and risk manager read what came of earlier decisions, of this ticker and of like ones",
    ),
    Row::usual("shared_news", "market-wide news is fetched once for many runs"),
    Row::usual("tool_cache", "equal tool calls are made once"),
];

/// Which optimizations are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Optimizations(Switches);

impl Optimizations {
    /// The optimizations of a profile, less the disabled ones, and the enabled ones; `all` stands for every one.
    ///
    /// # Errors
    /// As [`Switches::switched`].
    pub fn new(profile: &str, disabled: &[&str], enabled: &[&str]) -> Result<Self, String> {
        let usual = Switches::usual(OPTIMIZATIONS);
        let on = match profile {
            // The original system had a tool cache and none of the others. `seed` is the profile's old name.
            "baseline" | "seed" => Switches::of(OPTIMIZATIONS, ["tool_cache"]),
            // Its debates go in turns: nobody has siblings, and nobody judges beside a plan.
            "upstream" => usual.without("parallel_judge").without("slack_models").without("stagger"),
            _ => usual,
        };
        on.switched(disabled, enabled).map(Self)
    }

    /// Whether an optimization is on.
    pub fn has(&self, name: &str) -> bool {
        self.0.has(name)
    }
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
        assert!(on("seed", &[], &["prefetch"], "prefetch") && on("seed", &[], &["all"], "stagger"));
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
            error(&[], &["paralel_judge"]),
            "unknown optimization \"paralel_judge\"\nhint: did you mean parallel_judge?"
        );
        assert!(
            error(&["hedge"], &["hedge"])
                .starts_with("optimization \"hedge\" is both disabled and enabled\nhint: ")
        );
    }
}
