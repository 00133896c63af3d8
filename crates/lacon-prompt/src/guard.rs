//! Checks that an edit loses, adds or reverses nothing: values, names, and words that limit a statement.
//!
//! The checks are symbolic on purpose. Embeddings rate "must never sell unless" and "must sell when" as 0.97 alike; a
//! set of operators does not. Exact encodings need none of this, because their inverse is the proof. The guards are for
//! edits that leave something out.

use std::collections::BTreeSet;

/// The facts that a text states, as written but without digit grouping.
#[must_use]
pub fn values(text: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for word in words(text) {
        if is_value(word) {
            out.insert(normal(word));
            // `id=7`, `a/b`, `k:v`: the parts are facts of their own.
            for part in word.split(['=', '/', ':', ',', ';', '|']).filter(|part| is_value(part)) {
                out.insert(normal(part));
            }
        }
    }
    out
}

/// Whether a script is written without spaces between words: Chinese, Japanese, Thai, Lao, Khmer, Burmese.
pub(crate) fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Pieces of a text between blanks, quotes and brackets, without the punctuation around them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| {
        c.is_whitespace()
            || is_unspaced(c)
            || matches!(
                c,
                '。' | '，' | '、' | '；' | '：' | '！' | '？' | '（' | '）' | '「' | '」' | '『' | '』'
            )
            || matches!(c, '"' | '\'' | '(' | ')' | '[' | ']' | '<' | '>' | '|' | '`' | '«' | '»')
    })
    .map(|word| {
        word.trim_matches(|c: char| {
            matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '*' | '#' | '-' | '—' | '–' | '\\')
        })
    })
    .filter(|word| !word.is_empty())
}

/// Whether a word is a number, date, id, short name in capitals, address or placeholder.
fn is_value(word: &str) -> bool {
    let bytes = word.as_bytes();
    if bytes.is_empty() {
        return false;
    }
    let digit = bytes.iter().any(u8::is_ascii_digit);
    let upper = bytes.iter().filter(|b| b.is_ascii_uppercase()).count();
    let lower = bytes.iter().any(u8::is_ascii_lowercase);
    let capitals = (2..=5).contains(&word.len()) && upper == word.len();
    let placeholder = word.len() > 2 && bytes[0] == b'{' && bytes.ends_with(b"}");
    let joined = word.chars().skip(1).any(|c| c == '_' || c == '@') || word.contains("://");
    let camel = lower
        && upper > 0
        && bytes.windows(2).any(|w| w[0].is_ascii_lowercase() && w[1].is_ascii_uppercase());
    digit || capitals || placeholder || joined || camel
}

fn normal(word: &str) -> String {
    // 1,577.00 and 1577.00 are one value; other commas only end words.
    word.replace(',', "")
}

/// Words that turn a statement around or bound it.
const OPERATORS: [&str; 40] = [
    "not",
    "no",
    "never",
    "none",
    "nor",
    "without",
    "avoid",
    "cannot",
    "neither",
    "exclude",
    "excludes",
    "excluded",
    "omit",
    "only",
    "solely",
    "exclusively",
    "just",
    "must",
    "shall",
    "required",
    "requires",
    "always",
    "least",
    "most",
    "maximum",
    "minimum",
    "max",
    "min",
    "exactly",
    "within",
    "under",
    "over",
    "below",
    "above",
    "unless",
    "except",
    "until",
    "before",
    "after",
    "if",
];

/// The operators of a text in their order.
#[must_use]
pub fn operators(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for word in text.split(|c: char| !(c.is_alphanumeric() || c == '\'' || c == '’')) {
        let lower = word.to_lowercase();
        if lower.ends_with("n't") || lower.ends_with("n’t") {
            out.push("not".to_owned());
        } else if OPERATORS.contains(&lower.as_str()) {
            out.push(lower);
        }
    }
    out.extend(text.chars().filter(|c| matches!(c, '<' | '>' | '≤' | '≥' | '≠')).map(String::from));
    out
}

/// How a text differs from what it came from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// Values that are gone.
    pub lost: Vec<String>,
    /// Values that were not there.
    pub invented: Vec<String>,
    /// Lines that are no line of the original and no part of one, so that an operator may have changed sides.
    pub rewritten: Vec<String>,
}

impl Comparison {
    /// Whether everything that is said was said before: nothing invented, nothing rewritten.
    #[must_use]
    pub fn is_selection(&self) -> bool {
        self.invented.is_empty() && self.rewritten.is_empty()
    }
}

/// Values of a text that the text it came from does not have.
#[must_use]
pub fn invented(before: &str, after: &str) -> Vec<String> {
    values(after).difference(&values(before)).cloned().collect()
}

/// Compares a text with what was made of it.
#[must_use]
pub fn compare(before: &str, after: &str) -> Comparison {
    let (old, new) = (values(before), values(after));
    let rewritten = after
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !before.contains(line) && !operators(line).is_empty())
        .filter(|line| {
            // A line of kept sentences with marked gaps is no rewriting as long as each of them is there.
            let mut parts = line.split('…').flat_map(sentences);
            parts.any(|part| !before.contains(part.trim()))
        })
        .map(str::to_owned)
        .collect();
    Comparison {
        lost: old.difference(&new).cloned().collect(),
        invented: new.difference(&old).cloned().collect(),
        rewritten,
    }
}

/// Splits a line after `.`, `!` and `?` that end a sentence; the pieces make up the line.
#[must_use]
pub fn sentences(text: &str) -> Vec<&str> {
    const SHORT: [&str; 14] =
        ["mr", "mrs", "ms", "dr", "inc", "corp", "ltd", "co", "vs", "no", "e.g", "i.e", "u.s", "approx"];
    let mut out = Vec::new();
    let bytes = text.as_bytes();
    let mut start = 0;
    for (i, b) in bytes.iter().enumerate() {
        if !matches!(b, b'.' | b'!' | b'?') || !bytes.get(i + 1).is_some_and(u8::is_ascii_whitespace) {
            continue;
        }
        let rest = text[i + 1..].trim_start();
        let opens = rest.starts_with(|c: char| !c.is_lowercase());
        let word = text[start..i].rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or("");
        let short = *b == b'.' && (SHORT.contains(&word.to_lowercase().as_str()) || word.len() == 1);
        if opens && !short {
            let end = text.len() - rest.len();
            out.push(&text[start..end]);
            start = end;
        }
    }
    if start < text.len() {
        out.push(&text[start..]);
    }
    out
}
