//! The texts that a role reads: other roles' texts under headings, in one canonical order, whole or as digests.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use lacon_agents::prompt::laid_out;
use lacon_llm::{Request, Reuse};
use lacon_prompt::digest::Digest;
use lacon_tokens::Encoding;

use crate::{
    Action, Role,
    sections::Form,
    signal::{self, Signal},
    state::TradeState,
};

/// What was made of texts, by the place where each stands.
pub(crate) type Cached<K, V> = BTreeMap<K, (String, V)>;

/// What was made of the text at a place; it is made now where none stood there before, or another one.
pub(crate) fn cached<'k, K: Ord, V>(
    kept: &'k mut Cached<K, V>,
    place: K,
    text: &str,
    make: impl Fn() -> V,
) -> &'k V {
    let made = || (text.to_owned(), make());
    let found = kept.entry(place).or_insert_with(made);
    if found.0 != text {
        *found = made();
    }
    &found.1
}

/// The shortened texts of a run: each text is shortened once in each form, however many roles read it and however
/// often their prompts are built.
#[derive(Debug, Default)]
pub struct ShortForms(Mutex<Cached<(Role, usize, Form), Arc<ShortForm>>>);

#[derive(Debug)]
struct ShortForm {
    text: String,
    /// Tokens that the form saves.
    saved: i64,
}

impl ShortForms {
    /// What a role said in its `round`th round, from 0, in a form that is not the full one.
    fn of(
        &self,
        (role, round): (Role, usize),
        form: Form,
        text: &str,
        encoding: &Encoding,
    ) -> Arc<ShortForm> {
        let mut forms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let short = cached(&mut forms, (role, round, form), text, || {
            let short = match form {
                Form::Full => text.trim().to_owned(),
                Form::Digest => digest(text, encoding),
                Form::Figures => SHORT.figures(text),
                Form::Pointer => "(taken up in the investment plan)".to_owned(),
            };
            let saved = encoding.count(text) as i64 - encoding.count(&short) as i64;
            Arc::new(ShortForm { text: short, saved })
        });
        Arc::clone(short)
    }

    /// Shortens everything that was said so far to the form in which a later prompt holds it.
    pub fn ahead(&self, state: &TradeState, forms: impl Iterator<Item = (Role, Form)>, encoding: &Encoding) {
        for (role, form) in forms.filter(|(_, form)| *form != Form::Full) {
            for (round, text) in state.texts(role).into_iter().enumerate() {
                if text.failure.is_none() {
                    self.of((role, round), form, &text.text, encoding);
                }
            }
        }
    }
}

/// What the texts of a run state, each read once, however many prompts say whether they agree and however often the
/// record is made.
#[derive(Debug, Default)]
pub struct StatedActions(Mutex<Cached<Role, Option<Signal>>>);

impl StatedActions {
    /// What a role's text states.
    pub fn by(&self, role: Role, text: &str) -> Option<Signal> {
        let mut stated = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *cached(&mut stated, role, text, || signal::parse(text))
    }
}

/// What a role said in its first `rounds` rounds, under its title, in a form, and the tokens that the form saved. A role
/// without an answer is named, with the reason.
pub fn block(
    state: &TradeState,
    role: Role,
    form: Form,
    short_forms: &ShortForms,
    encoding: &Encoding,
    rounds: usize,
) -> (String, i64) {
    let title = role.title();
    let mut texts = state.texts(role);
    texts.truncate(rounds);
    let Some(last) = texts.last() else { return (format!("## {title}\n(no answer)\n"), 0) };
    if let Some(failure) = &last.failure {
        return (format!("## {title}\n(no answer: {failure})\n"), 0);
    }
    let mut saved = 0;
    let body: Vec<String> = texts
        .iter()
        .enumerate()
        .map(|(i, text)| {
            let round = if texts.len() > 1 { format!("(round {})\n", i + 1) } else { String::new() };
            if form == Form::Full {
                return format!("{round}{}", text.text.trim());
            }
            let short = short_forms.of((role, i), form, &text.text, encoding);
            saved += short.saved;
            format!("{round}{}", short.text)
        })
        .collect();
    let mark = if form == Form::Full { String::new() } else { format!(", {}", form.name()) };
    (format!("## {title}{mark}\n{}\n", body.join("\n\n")), saved)
}

/// One paragraph on what the reports leave open: which of them state different actions, which are missing or cut.
/// Empty when they agree and all are there. The same text for every reader.
pub fn contradictions(state: &TradeState, analysts: &[Role], read: &StatedActions) -> String {
    let mut stated: Vec<(Action, Vec<&str>)> = Vec::new();
    let mut gaps = Vec::new();
    for role in analysts.iter().copied() {
        let Some(text) = state.text(role).filter(|t| t.failure.is_none() && !t.text.trim().is_empty()) else {
            gaps.push(format!("no {role} report"));
            continue;
        };
        if text.cut {
            gaps.push(format!("the {role} report is cut off"));
        }
        let Some(signal) = read.by(role, &text.text) else { continue };
        match stated.iter_mut().find(|(action, _)| *action == signal.action) {
            Some((_, roles)) => roles.push(role.name()),
            None => stated.push((signal.action, vec![role.name()])),
        }
    }
    let mut parts = Vec::new();
    if stated.len() > 1 {
        let sides: Vec<String> = stated
            .iter()
            .map(|(action, roles)| format!("{} by {}", action.as_str(), roles.join(" and ")))
            .collect();
        parts.push(format!("The reports disagree: {}.", sides.join("; ")));
    }
    if !gaps.is_empty() {
        parts.push(format!("Missing: {}.", gaps.join(", ")));
    }
    if parts.is_empty() { String::new() } else { format!("{}\n", parts.join(" ")) }
}

const SHORT: Digest = Digest {
    concludes: &["recommend", "decision", "signal:", "conclusion", "overall"],
    headings: false,
    // A period between digits or after a single capital is no sentence end.
    sentence: |text| {
        let mut ends = text.match_indices(". ").map(|(i, _)| i + 1);
        ends.find(|end| *end > 40 && !text[..*end - 1].ends_with(|c: char| c.is_ascii_uppercase()))
    },
};

/// The figures and conclusions of a text: its first unit, every unit with a digit that is no list number, every unit that states a
/// decision, its last unit; as they stand and in their order. The whole text when that saves less than a fifth.
pub fn digest(text: &str, encoding: &Encoding) -> String {
    SHORT.of(text, encoding)
}

/// Puts a request together, as [`laid_out`] says.
pub fn request(rules: &str, shared: &str, own: &str, instruction: &str, layout: bool) -> Request {
    let reuse = if layout { Reuse::Alone } else { Reuse::Unknown };
    Request { messages: laid_out(rules, shared, own, instruction, layout), reuse, ..Request::default() }
}

#[cfg(test)]
mod tests {
    use lacon_tokens::{EncodingName, encoding};

    use lacon_runtime::facts;

    use super::*;

    #[test]
    fn a_digest_keeps_every_number_and_the_conclusion() {
        let filler = "This sentence says much and holds no figure at all, it goes on and on. ".repeat(12);
        let text = format!(
            "Opening line.\n{filler}\nThe close was $181.64, down 22.7 % from $235.08.\n{filler}\nOverall the trend is down.\nRecommendation: HOLD"
        );
        let short = digest(&text, encoding(EncodingName::O200kBase));
        assert!(short.len() * 2 < text.len(), "{short}");
        assert_eq!(facts::numbers(&text), facts::numbers(&short));
        assert!(
            short.contains("Opening line.")
                && short.ends_with("Recommendation: HOLD")
                && short.contains("Overall")
        );
    }

    #[test]
    fn siblings_share_their_prefix() {
        let a = request("m", "shared", "", "Role: a", true);
        let b = request("m", "shared", "", "Role: b", true);
        assert_eq!(a.messages[..2], b.messages[..2]);
        assert_ne!(a.messages[2], b.messages[2]);
    }
}
