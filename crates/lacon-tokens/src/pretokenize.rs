//! Splitting before byte-pair merging: a hand-written automaton per pattern finds the end of a piece.
//!
//! Each pattern is a function of the text after a piece's start and of nothing before it. So any piece border is a
//! place to resume from, and `scan.rs` and the parallel forms rely on that. These functions are the plain form. Tests
//! compare them with the published regular expressions on every scalar value and on random mixes.

mod deepseek;

use crate::classes::{BLANK, DIGIT, LETTER, LOWER, MARK, NEWLINE, OTHER, SPACE, UPPER, class_at};

const WHITE: u16 = NEWLINE | SPACE | BLANK;
const ALPHA: u16 = LOWER | UPPER | LETTER;

/// A splitting pattern, named after the encoding that introduced it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pattern {
    /// Cased words with marks and contractions, digits by three, punctuation with line ends and slashes.
    O200k,
    /// Words without marks, contractions apart, digits by three, punctuation with line ends.
    Cl100k,
    /// As [`Cl100k`](Self::Cl100k), but line ends that end the text stay apart from spaces behind them.
    Llama3,
    /// As [`Llama3`](Self::Llama3), each digit apart.
    Qwen2,
    /// As [`O200k`](Self::O200k), without contractions, each digit apart.
    Tekken,
    /// Words, numbers and punctuation, each with one leading space; contractions apart.
    Gpt2,
    /// Digits by three, then runs of kana and Chinese characters, then words and punctuation between them.
    DeepSeek3,
}

/// The splitting of DeepSeek 3 as one expression: its three steps in order, what no step matches last.
macro_rules! deepseek_regex {
    () => {
        concat!(
            r"\p{N}{1,3}|[一-龥\u{3040}-\u{309F}\u{30A0}-\u{30FF}]+",
            r"|[!-/:-@\[-`{-~][A-Za-z]+",
            r"|[^\r\n\p{L}\p{P}\p{S}\p{N}]?(?:(?![一-龥\u{3040}-\u{309F}\u{30A0}-\u{30FF}])[\p{L}\p{M}])+",
            r"| ?(?:(?![一-龥\u{3040}-\u{309F}\u{30A0}-\u{30FF}])[\p{P}\p{S}])+[\r\n]*",
            r"|\s*[\r\n]+|\s+(?=[\p{N}一-龥\u{3040}-\u{309F}\u{30A0}-\u{30FF}])|\s+(?!\S)|\s+",
        )
    };
}

impl Pattern {
    /// A regular expression equal to the automaton: the published one if there is one.
    pub fn regex(self) -> &'static str {
        match self {
            Self::O200k => concat!(
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            ),
            Self::Cl100k => concat!(
                r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+",
                r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
            ),
            Self::Llama3 => concat!(
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*",
                r"|\s*[\r\n]+|\s+(?!\S)|\s+",
            ),
            Self::Qwen2 => concat!(
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*",
                r"|\s*[\r\n]+|\s+(?!\S)|\s+",
            ),
            Self::Tekken => concat!(
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
                r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
                r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            ),
            Self::DeepSeek3 => concat!(deepseek_regex!(), "|(?s:(?!", deepseek_regex!(), ").)+"),
            Self::Gpt2 => r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
        }
    }
}

/// Returns the end of the piece that starts at `start`, which must be a piece border before the end of `text`.
pub(crate) fn piece_end(pattern: Pattern, text: &[u8], start: usize) -> usize {
    match pattern {
        Pattern::O200k => cased(text, start, 3, true),
        Pattern::Tekken => cased(text, start, 1, false),
        Pattern::Cl100k => uncased(text, start, 3, true),
        Pattern::Llama3 => uncased(text, start, 3, false),
        Pattern::Qwen2 => uncased(text, start, 1, false),
        Pattern::Gpt2 => gpt2(text, start),
        Pattern::DeepSeek3 => deepseek::piece_end(text, start),
    }
}

/// `digits` is the size of a group of digits; `contractions` belong to the word before them, if they are known.
fn cased(text: &[u8], start: usize, digits: usize, contractions: bool) -> usize {
    let with_contraction = |end| match contraction_end(text, end) {
        Some(longer) if contractions => longer,
        _ => end,
    };
    let (class, len) = class_at(text, start);
    if class & (OTHER | SPACE | BLANK) != 0 {
        if let Some(end) = cased_word(text, start + len).or_else(|| upper_word(text, start + len)) {
            return with_contraction(end);
        }
    } else if class & ALPHA != 0 {
        let end = cased_word(text, start).or_else(|| upper_word(text, start)).expect("starts with a letter");
        return with_contraction(end);
    } else if class & MARK != 0 {
        // A mark is both a possible prefix and a possible first letter: the pattern tries it as prefix first.
        let end = cased_word(text, start + len)
            .or_else(|| cased_word(text, start))
            .or_else(|| upper_word(text, start + len))
            .or_else(|| upper_word(text, start))
            .expect("a mark alone is a word");
        return with_contraction(end);
    } else if class & DIGIT != 0 {
        return up_to(text, start, DIGIT, digits);
    }
    if let Some(end) = punctuation(text, start, class, len) {
        return end + text[end..].iter().take_while(|b| matches!(b, b'\r' | b'\n' | b'/')).count();
    }
    let white = white_run(text, start);
    white.after_newline.unwrap_or_else(|| white.before_last())
}

/// `digits` is the size of a group of digits; with `to_end`, white space that ends the text is one piece.
fn uncased(text: &[u8], start: usize, digits: usize, to_end: bool) -> usize {
    let (class, len) = class_at(text, start);
    if text[start] == b'\''
        && let Some(end) = contraction_end(text, start)
    {
        return end;
    }
    if class & ALPHA != 0 {
        return run(text, start, ALPHA);
    }
    if class & DIGIT != 0 {
        return up_to(text, start, DIGIT, digits);
    }
    if class & NEWLINE == 0 {
        let end = run(text, start + len, ALPHA);
        if end > start + len {
            return end;
        }
    }
    if let Some(end) = punctuation(text, start, class, len) {
        return end + text[end..].iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    }
    let white = white_run(text, start);
    if to_end && white.end == text.len() {
        return white.end;
    }
    white.after_newline.unwrap_or_else(|| white.before_last())
}

fn gpt2(text: &[u8], start: usize) -> usize {
    let rest = &text[start..];
    if rest[0] == b'\'' {
        match rest.get(1) {
            Some(b's' | b'd' | b'm' | b't') => return start + 2,
            Some(b'l') if rest.get(2) == Some(&b'l') => return start + 3,
            Some(b'v' | b'r') if rest.get(2) == Some(&b'e') => return start + 3,
            _ => {}
        }
    }
    let (class, len) = class_at(text, start);
    let (body, first) = if class & SPACE != 0 && start + 1 < text.len() {
        (start + 1, class_at(text, start + 1).0)
    } else {
        (start, class)
    };
    for set in [ALPHA, DIGIT, OTHER | MARK] {
        if first & set != 0 {
            return run(text, body, set);
        }
    }
    debug_assert!(class & WHITE != 0 && len > 0);
    white_run(text, start).before_last()
}

/// End of `[Lu Lt Lm Lo M]*[Ll Lm Lo M]+` from `start`.
fn cased_word(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    let mut after_caseless = None;
    while at < text.len() {
        let (class, len) = class_at(text, at);
        if class & LOWER != 0 {
            return Some(run(text, at, LOWER | LETTER | MARK));
        }
        if class & (UPPER | LETTER | MARK) == 0 {
            break;
        }
        at += len;
        if class & (LETTER | MARK) != 0 {
            after_caseless = Some(at);
        }
    }
    // No lower-case letter ends the first part: the pattern gives back until a caseless one can be the second.
    after_caseless
}

/// End of `[Lu Lt Lm Lo M]+` from `start`, where no lower-case letter follows.
fn upper_word(text: &[u8], start: usize) -> Option<usize> {
    let end = run(text, start, UPPER | LETTER | MARK);
    (end > start).then_some(end)
}

/// End of `'s 't 're 've 'm 'll 'd` in any case at `at`.
fn contraction_end(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    if *rest.first()? != b'\'' {
        return None;
    }
    let second = rest.get(2).map(|b| b | 0x20);
    match rest.get(1)? | 0x20 {
        b's' | b'd' | b'm' | b't' => Some(at + 2),
        b'l' if second == Some(b'l') => Some(at + 3),
        b'v' | b'r' if second == Some(b'e') => Some(at + 3),
        // U+017F, the long s, is an s to a case-insensitive match.
        _ if rest[1..].starts_with("\u{17F}".as_bytes()) => Some(at + 3),
        _ => None,
    }
}

/// End of ` ?[^\s\p{L}\p{N}]+` from `start`, whose character is of `class` and `len`.
fn punctuation(text: &[u8], start: usize, class: u16, len: usize) -> Option<usize> {
    let body = if class & SPACE != 0 { start + len } else { start };
    let end = run(text, body, OTHER | MARK);
    (end > body).then_some(end)
}

fn run(text: &[u8], start: usize, set: u16) -> usize {
    up_to(text, start, set, usize::MAX)
}

fn up_to(text: &[u8], start: usize, set: u16, limit: usize) -> usize {
    let mut at = start;
    let mut n = 0;
    while at < text.len() && n < limit {
        let (class, len) = class_at(text, at);
        if class & set == 0 {
            break;
        }
        at += len;
        n += 1;
    }
    at
}

struct WhiteRun {
    start: usize,
    end: usize,
    last: usize,
    after_newline: Option<usize>,
    to_text_end: bool,
}

impl WhiteRun {
    /// End of `\s+(?!\S)|\s`: all but the last character, unless the text or the run leaves no choice.
    fn before_last(&self) -> usize {
        if self.to_text_end || self.last == self.start { self.end } else { self.last }
    }
}

fn white_run(text: &[u8], start: usize) -> WhiteRun {
    let mut white = WhiteRun { start, end: start, last: start, after_newline: None, to_text_end: true };
    while white.end < text.len() {
        let (class, len) = class_at(text, white.end);
        if class & WHITE == 0 {
            white.to_text_end = false;
            break;
        }
        white.last = white.end;
        white.end += len;
        if class & NEWLINE != 0 {
            white.after_newline = Some(white.end);
        }
    }
    white
}
