//! Texts of a conversation by how they begin: a second copy of one becomes a line that quotes its first words.

use std::collections::HashMap;

use crate::error::{Error, Result};

/// A duplicate is worth its line from this many bytes on.
const MIN_DUPLICATE: usize = 240;
/// Fewest bytes of a first line that tell a text from others.
const MIN_OPENING: usize = 12;
/// Most bytes of a text that are looked at: the opening that a line quotes ends with the character that reaches 60.
const MAX_OPENING: usize = 64;
const SAME: &str = "@same text as the one above that begins ";

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
