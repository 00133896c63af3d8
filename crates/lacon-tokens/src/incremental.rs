//! A count that follows a growing text without counting it again.

use crate::encoding::Encoding;

/// Exact count of a text that is appended to.
///
/// What is appended can change how the end of the text splits, and nothing before: the counter keeps the text from
/// the last border that no appended text can move, and counts that part again. A text that has no such border,
/// one endless word, is kept whole.
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

/// The open end is searched for a border when it has grown by this much.
const STEP: usize = 4096;

impl<'e> Counter<'e> {
    /// A counter of the empty text.
    pub fn new(encoding: &'e Encoding) -> Self {
        Self { encoding, settled: 0, open: String::new(), open_tokens: 0 }
    }

    /// Appends `text` and returns the number of tokens of the whole.
    pub fn push(&mut self, text: &str) -> usize {
        self.open.push_str(text);
        if self.open.len() > STEP
            && let Some(border) = last_settled_border(&self.open)
        {
            self.settled += self.encoding.count(&self.open[..border]);
            self.open.drain(..border);
        }
        self.open_tokens = self.encoding.count(&self.open);
        self.n_tokens()
    }

    /// Number of tokens of all text so far.
    pub fn n_tokens(&self) -> usize {
        self.settled + self.open_tokens
    }
}

/// The last place in `text` where every pattern has a border, whatever the text before and after is.
///
/// That is between an ASCII letter and the single line feed or space behind it, if an ASCII letter follows: the
/// letter ends its word, and white space before a letter never joins the word before it. Half of the text is kept
/// open at most, so that searching costs no more than counting.
pub(crate) fn last_settled_border(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (1..bytes.len().saturating_sub(1)).rev().find(|at| {
        bytes[at - 1].is_ascii_alphabetic()
            && matches!(bytes[*at], b' ' | b'\n')
            && bytes[at + 1].is_ascii_alphabetic()
    })
}
