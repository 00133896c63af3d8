//! Compresses a whole prompt: every segment that may change, each checked by its inverse.

use crate::codec::edits::Above;
use crate::compress::{self, Options};
use crate::error::{Error, Result};
use crate::offload::Store;
use crate::passes::Pass;
use crate::prompt::{Prompt, Segment};
use crate::receipt::{Outcome, PassReport};
use lacon_tokens::Encoding;
use std::collections::HashMap;
use std::time::Instant;

/// What [`optimize`] did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Optimized {
    /// The prompt to send.
    pub prompt: Prompt,
    /// Tokens of the prompt it was given, framing and tools included.
    pub tokens_before: usize,
    /// Tokens of the new prompt.
    pub tokens_after: usize,
    /// Tokens above the budget that remain; trimming or a larger budget must take care of them.
    pub over_budget: usize,
    /// What each pass did to each segment.
    pub passes: Vec<PassReport>,
}

/// A duplicate is worth its line from this many bytes on.
const MIN_DUPLICATE: usize = 240;
/// Fewest bytes of a first line that tell a text from others.
const MIN_OPENING: usize = 12;
/// Most bytes of a text that are looked at: the opening that a line quotes ends with the character that reaches 60.
const MAX_OPENING: usize = 64;
const SAME: &str = "@same text as the one above that begins ";

/// Shortens the segments that may change: data and history that are not pinned. Facts, order and number of messages
/// and segments stay; [`restore`] undoes it.
///
/// The prompt is never cut to the budget here, because cutting loses facts: `over_budget` says how much is left over.
///
/// # Errors
/// When the store's medium fails.
pub fn optimize(
    prompt: &Prompt,
    budget: Option<usize>,
    options: Options,
    store: Option<&mut dyn Store>,
    encoding: &'static Encoding,
) -> Result<Optimized> {
    let tokens_before = prompt.count(encoding);
    let mut store = store;
    let mut shorter = prompt.clone();
    let mut passes = Vec::new();
    let mut replaced = Vec::new();
    if options.passes.has(Pass::Duplicates) {
        replaced = duplicates(&mut shorter, encoding, &mut passes);
    }
    // What its reader has read word for word: later versions of it are written as their changes.
    let mut above = Above::default();
    for (i, segment) in changeable(&mut shorter).into_iter().enumerate() {
        if replaced.contains(&i) {
            continue;
        }
        let short = compress::compress_below(
            &above,
            &segment.text,
            options,
            // Reborrowed per segment; the closure form moves the store into the first iteration.
            match &mut store {
                Some(store) => Some(&mut **store),
                None => None,
            },
            encoding,
            None,
        )?;
        passes.extend(
            short.passes.into_iter().map(|report| PassReport { segment: segment.name.clone(), ..report }),
        );
        if short.text == segment.text {
            above.push(&segment.text);
        }
        segment.text = short.text;
    }
    let shared = store.as_deref().map(|store| store as &dyn Store);
    if !options.audit
        && restore(&shorter, shared).as_ref().ok() != Some(prompt)
        && !same_values(&shorter, prompt, shared)
    {
        shorter = prompt.clone();
        for report in &mut passes {
            report.outcome = Outcome::RolledBack("the prompt could not be restored");
        }
    }
    let result = if options.audit { prompt.clone() } else { shorter };
    let tokens_after = result.count(encoding);
    let over_budget = budget.map_or(0, |budget| tokens_after.saturating_sub(budget));
    Ok(Optimized { prompt: result, tokens_before, tokens_after, over_budget, passes })
}

/// Undoes [`optimize`].
///
/// # Errors
/// When a segment was edited since, or a marker's content is not in the store.
pub fn restore(prompt: &Prompt, store: Option<&dyn Store>) -> Result<Prompt> {
    let mut whole = prompt.clone();
    let mut seen = Openings::default();
    let mut above = Above::default();
    for segment in changeable(&mut whole) {
        let text = match seen.follow_same(&segment.text)? {
            Some(text) => text.to_owned(),
            None => compress::expand_below(&above, &segment.text, store)?,
        };
        if text == segment.text {
            above.push(&text);
        }
        segment.text = text;
        seen.push(segment.text.clone());
    }
    Ok(whole)
}

/// Whether each segment holds the same text or, where only a JSON layout was given up, the same value.
fn same_values(shorter: &Prompt, prompt: &Prompt, store: Option<&dyn Store>) -> bool {
    let Ok(mut back) = restore(shorter, store) else { return false };
    let mut original = prompt.clone();
    let pairs = changeable(&mut back).into_iter().zip(changeable(&mut original));
    for (a, b) in pairs {
        if a.text != b.text && !compress::same_json(&a.text, &b.text) {
            return false;
        }
        a.text.clone_from(&b.text);
    }
    back == original
}

fn changeable(prompt: &mut Prompt) -> Vec<&mut Segment> {
    prompt
        .messages
        .iter_mut()
        .flat_map(|message| message.segments.iter_mut())
        .filter(|segment| segment.kind.may_change() && !segment.pinned)
        .collect()
}

/// Replaces segments whose text stands earlier in the prompt by a line that quotes its first words; says which.
fn duplicates(prompt: &mut Prompt, encoding: &Encoding, passes: &mut Vec<PassReport>) -> Vec<usize> {
    let mut replaced = Vec::new();
    let started = Instant::now();
    let mut seen = Openings::default();
    for (i, segment) in changeable(prompt).into_iter().enumerate() {
        match seen.same_line(&segment.text) {
            Some((line, _)) => {
                let mut report = PassReport::new(Pass::Duplicates);
                report.segment.clone_from(&segment.name);
                report.spans = 1;
                report.tokens_before = encoding.count(&segment.text);
                report.tokens_after = encoding.count(&line);
                report.elapsed = started.elapsed();
                if report.tokens_after < report.tokens_before {
                    segment.text = line;
                    replaced.push(i);
                    passes.push(report);
                }
            }
            None => seen.push(segment.text.clone()),
        }
    }
    replaced
}

/// Texts by what they begin with, so that the first that begins so is found in one step.
#[derive(Debug, Default)]
pub(crate) struct Openings {
    texts: Vec<String>,
    /// The first text of each beginning, by its hash.
    first: HashMap<u64, usize>,
}

impl Openings {
    pub(crate) fn push(&mut self, text: String) {
        let mut h = 0;
        for (i, c) in text.char_indices().take_while(|(i, _)| *i < MAX_OPENING) {
            h = hash(h, c);
            if i + c.len_utf8() >= MIN_OPENING {
                self.first.entry(h).or_insert(self.texts.len());
            }
        }
        self.texts.push(text);
    }

    /// The first text that begins so.
    fn begins(&self, start: &str) -> Option<usize> {
        let known = *self.first.get(&start.chars().fold(0, hash))?;
        self.texts[known].starts_with(start).then_some(known)
    }

    /// The line that stands for a text which is among those above, and its number; `None` where it is not, or no line can say which.
    pub(crate) fn same_line(&self, text: &str) -> Option<(String, usize)> {
        let start = opening(text)?;
        // The quoted words must lead to this text and no other one.
        let first = self.begins(start)?;
        (self.texts[first] == text).then(|| (format!("{SAME}\"{start}\""), first))
    }

    /// The text that such a line stands for; `None` for any other line.
    pub(crate) fn follow_same(&self, line: &str) -> Result<Option<&str>> {
        let Some(quoted) = line.strip_prefix(SAME) else { return Ok(None) };
        let start = quoted.strip_prefix('"').and_then(|quoted| quoted.strip_suffix('"'));
        let found = start.and_then(|start| self.begins(start)).map(|first| self.texts[first].as_str());
        found.map(Some).ok_or(Error::Damaged { at: 0, what: "no text above begins so" })
    }

    pub(crate) fn get(&self, i: usize) -> &str {
        &self.texts[i]
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }
}

fn hash(h: u64, c: char) -> u64 {
    (h.rotate_left(23) ^ u64::from(u32::from(c) + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The first words of a long text, on one line.
fn opening(text: &str) -> Option<&str> {
    if text.len() < MIN_DUPLICATE {
        return None;
    }
    let end = text.char_indices().find(|(i, c)| *i >= 60 || *c == '\n')?.0;
    let start = &text[..end];
    (!start.contains('"') && start.trim().len() >= MIN_OPENING).then_some(start)
}
