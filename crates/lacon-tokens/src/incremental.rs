//! A count that follows a growing text without counting it again.

use crate::encoding::Encoding;

/// The exact count of a text that grows at its end.
///
/// Appended text can change how the end of the text splits, and nothing before. The counter keeps the text from the
/// last border that no appended text can move, and counts that part again. A text without such a border, one endless
/// word, is kept whole.
#[derive(Clone, Debug)]
pub struct Counter<'e> {
    encoding: &'e Encoding,
    /// Tokens before `open`.
    settled: usize,
    /// The end of the text, which later text can still change.
    open: String,
    /// Tokens of `open`.
    open_tokens: usize,
}

/// Growth of the open end after which it is searched for a border.
const STEP: usize = 4096;

impl<'e> Counter<'e> {
    /// Creates a counter of the empty text.
    pub fn new(encoding: &'e Encoding) -> Self {
        Self { encoding, settled: 0, open: String::new(), open_tokens: 0 }
    }

    /// Appends `text` and returns the number of tokens of the whole text.
    pub fn push(&mut self, text: &str) -> usize {
        self.open.push_str(text);
        if self.open.len() > STEP
            && self.encoding.is_of_bytes()
            && let Some(border) = last_settled_border(&self.open)
        {
            self.settled += self.encoding.count(&self.open[..border]);
            self.open.drain(..border);
        }
        self.open_tokens = self.encoding.count(&self.open);
        self.n_tokens()
    }

    /// Returns the number of tokens of all text so far.
    pub fn n_tokens(&self) -> usize {
        self.settled + self.open_tokens
    }
}

/// Returns the last place in `text` where every pattern has a border in any context.
///
/// That is between an ASCII letter or digit and the space or line feed after it: no piece with a letter or digit
/// continues over white space, and a piece depends only on its start. The character after that must be present, and
/// must not be white space or a mark that a normal form could join. At most half of the text stays open, so that
/// searching costs no more than counting.
pub(crate) fn last_settled_border(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (1..bytes.len().saturating_sub(1)).rev().find(|at| {
        bytes[at - 1].is_ascii_alphanumeric()
            && matches!(bytes[*at], b' ' | b'\n')
            && bytes[at + 1].is_ascii_graphic()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pretokenize::{Pattern, piece_end};

    #[test]
    fn a_settled_border_is_one_of_every_pattern() {
        const PARTS: [&str; 20] = [
            "a", "Z", "9", "42", " ", " ", "\n", "\r", "\t", "|", ",", "'s", "é", "中", "か", "\u{301}", "/",
            "-", "  ", "\n\n",
        ];
        const PATTERNS: [Pattern; 7] = [
            Pattern::O200k,
            Pattern::Cl100k,
            Pattern::Llama3,
            Pattern::Qwen2,
            Pattern::Tekken,
            Pattern::Gpt2,
            Pattern::DeepSeek3,
        ];
        let mut seed = 7_u64;
        let mut found = 0;
        for round in 0..20_000 {
            let mut text = String::new();
            for _ in 0..2 + round % 23 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push_str(PARTS[(seed >> 33) as usize % PARTS.len()]);
            }
            let Some(border) = last_settled_border(&text) else { continue };
            found += 1;
            for pattern in PATTERNS {
                let mut at = 0;
                while at < border {
                    at = piece_end(pattern, text.as_bytes(), at);
                }
                assert_eq!(at, border, "{pattern:?} of {text:?}");
            }
        }
        assert!(found > 3_000, "{found}");
    }

    #[test]
    fn tables_have_settled_borders() {
        for row in ["1,2.5\n", "| 17 | 4 |\n", "2025-07-30 181.64\n"] {
            let table = row.repeat(100);
            assert!(last_settled_border(&table).is_some_and(|at| at + row.len() >= table.len() - row.len()));
        }
    }
}
