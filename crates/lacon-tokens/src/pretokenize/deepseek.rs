//! The splitting of DeepSeek 3, which its `tokenizer.json` does in three steps: groups of digits, runs of kana and
//! Chinese characters, then words, punctuation and white space between them.
//!
//! To the third step, each part between them is a text of its own: white space before a digit ends its text. Characters
//! that no alternative matches, such as controls, form a piece up to the next match.

use super::{ALPHA, WHITE, up_to, white_run};
use crate::classes::{DIGIT, MARK, NEWLINE, OTHER, SPACE, class_at, decode, is_symbol};

pub(super) fn piece_end(text: &[u8], start: usize) -> usize {
    let (class, len) = class_at(text, start);
    if class & DIGIT != 0 {
        return up_to(text, start, DIGIT, 3);
    }
    if is_ideograph(text, start) {
        return while_in(text, start, is_ideograph);
    }
    if let Some(end) = between(text, start) {
        return end;
    }
    let mut at = start + len;
    while at < text.len() {
        let (class, len) = class_at(text, at);
        if class & DIGIT != 0 || is_ideograph(text, at) || between(text, at).is_some() {
            break;
        }
        at += len;
    }
    at
}

/// End of what the third step matches at `start`, where neither a digit nor an ideograph is.
fn between(text: &[u8], start: usize) -> Option<usize> {
    let (class, len) = class_at(text, start);
    let symbol = symbol_at(text, start);
    if symbol && text[start].is_ascii() {
        let letters = text[start + 1..].iter().take_while(|b| b.is_ascii_alphabetic()).count();
        if letters > 0 {
            return Some(start + 1 + letters);
        }
    }
    if class & (NEWLINE | ALPHA) == 0 && !symbol {
        let end = while_in(text, start + len, is_word);
        if end > start + len {
            return Some(end);
        }
    }
    if class & (ALPHA | MARK) != 0 {
        return Some(while_in(text, start, is_word));
    }
    let body = if class & SPACE != 0 { start + len } else { start };
    let end = while_in(text, body, |text, at| symbol_at(text, at) && !is_ideograph(text, at));
    if end > body {
        return Some(end + text[end..].iter().take_while(|b| matches!(b, b'\r' | b'\n')).count());
    }
    if class & WHITE == 0 {
        return None;
    }
    let white = white_run(text, start);
    let at_end =
        white.end == text.len() || class_at(text, white.end).0 & DIGIT != 0 || is_ideograph(text, white.end);
    Some(match white.after_newline {
        Some(end) => end,
        None if at_end => white.end,
        None => white.before_last(),
    })
}

fn while_in(text: &[u8], mut at: usize, is_in: impl Fn(&[u8], usize) -> bool) -> usize {
    while at < text.len() && is_in(text, at) {
        at += class_at(text, at).1;
    }
    at
}

fn is_word(text: &[u8], at: usize) -> bool {
    class_at(text, at).0 & (ALPHA | MARK) != 0 && !is_ideograph(text, at)
}

/// Whether the character is one of `[一-龥\u{3040}-\u{309F}\u{30A0}-\u{30FF}]`.
fn is_ideograph(text: &[u8], at: usize) -> bool {
    text[at] >= 0xE3 && matches!(decode(text, at).0, 0x3040..=0x30FF | 0x4E00..=0x9FA5)
}

/// Whether the character is of a category P or S.
fn symbol_at(text: &[u8], at: usize) -> bool {
    if class_at(text, at).0 & OTHER == 0 {
        return false;
    }
    match text[at] {
        ascii @ 0..=0x7F => ascii.is_ascii_punctuation(),
        _ => is_symbol(decode(text, at).0),
    }
}
