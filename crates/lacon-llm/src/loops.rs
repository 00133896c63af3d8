//! Ends an answer that repeats itself for good, and one that nothing else bounds.
//!
//! Small models fall into loops and models without a stop token write until their context is full. Every further token
//! costs time and says nothing.

/// Bytes that are looked at.
const TAIL: usize = 8 * 1024;
/// Bytes between two looks.
const STEP: usize = 128;
/// Fewest bytes that repeat, and fewest times; tables and rows of figures repeat less.
const MIN_BYTES: usize = 1200;
const MIN_TIMES: usize = 6;
/// Most bytes of an answer for which no limit was set and whose model is not known.
const UNBOUNDED: usize = 64 * 1024;

/// How an answer was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It repeats its last part this many times.
    Loop(usize),
    /// It is longer than any answer should be.
    TooLong,
}

/// Watches an answer grow.
#[derive(Debug, Default)]
pub(crate) struct Loops {
    text: String,
    looked: usize,
    is_bounded: bool,
}

impl Loops {
    /// `is_bounded` says that the request or the model limits the answer.
    pub(crate) fn new(is_bounded: bool) -> Self {
        Self { is_bounded, ..Self::default() }
    }

    /// Takes in more of the answer; says how it ends where it must.
    pub(crate) fn push(&mut self, delta: &str) -> Option<Ended> {
        self.text.push_str(delta);
        if self.text.len() < self.looked + STEP {
            return None;
        }
        self.looked = self.text.len();
        if let Some((period, bytes)) =
            repetition(&self.text.as_bytes()[self.text.len().saturating_sub(TAIL)..])
        {
            // The part stays once.
            let mut end = self.text.len() - bytes;
            while !self.text.is_char_boundary(end) {
                end -= 1;
            }
            self.text.truncate(end);
            return Some(Ended::Loop(bytes / period + 1));
        }
        (!self.is_bounded && self.text.len() > UNBOUNDED).then_some(Ended::TooLong)
    }

    /// The answer without its repetitions.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

/// Returns the shortest period of the end of a text, and how many bytes repeat what stands one period before them.
fn repetition(tail: &[u8]) -> Option<(usize, usize)> {
    (1..=tail.len() / MIN_TIMES).find_map(|period| {
        let same = tail.iter().rev().zip(tail.iter().rev().skip(period)).take_while(|(a, b)| a == b).count();
        (same >= MIN_BYTES.max(period * MIN_TIMES)).then_some((period, same))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(text: &str, is_bounded: bool) -> (Option<Ended>, String) {
        let mut loops = Loops::new(is_bounded);
        let mut ended = None;
        for part in text.as_bytes().chunks(7) {
            ended = loops.push(&String::from_utf8_lossy(part));
            if ended.is_some() {
                break;
            }
        }
        (ended, loops.into_text())
    }

    #[test]
    fn a_loop_is_cut_behind_its_first_turn() {
        let line = "The answer is 42, as the report says.\n";
        let (ended, text) = watch(&format!("Revenue grew 12 %.\n{}", line.repeat(400)), true);
        assert!(matches!(ended, Some(Ended::Loop(n)) if n > 30), "{ended:?}");
        assert!(text.starts_with("Revenue grew 12 %.\nThe answer is 42") && text.len() < 120, "{text}");
        assert!(matches!(watch(&" \t".repeat(2000), true).0, Some(Ended::Loop(_))));
    }

    #[test]
    fn tables_and_long_answers_pass() {
        let table: String =
            (0..400).map(|n| format!("| 2025-01-{n:02} | {} | 0.00 |\n", n * 37 % 101)).collect();
        assert_eq!(watch(&table, true).0, None);
        let rules = format!("{}\n\n{}", "-".repeat(200), "0, 0, 0, 0\n".repeat(60));
        assert_eq!(watch(&rules, true).0, None);
    }

    #[test]
    fn what_nothing_bounds_is_bounded_here() {
        let text: String = (0..40_000).map(|n| format!("{n} ")).collect();
        assert_eq!(watch(&text, false).0, Some(Ended::TooLong));
        assert_eq!(watch(&text, true).0, None);
    }
}
