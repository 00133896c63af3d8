//! The numbers of a text and how many of them another text holds. Used to check that what an agent must read has reached its
//! prompt. Where a figure comes from is [`crate::evidence`]'s.

use std::collections::{BTreeSet, HashSet};

/// Words that make a number before them a fact.
const UNITS: [&str; 15] = [
    "million",
    "billion",
    "trillion",
    "thousand",
    "percent",
    "percentage",
    "bps",
    "basis",
    "shares",
    "usd",
    "eur",
    "dollars",
    "mm",
    "bn",
    "tn",
];

/// The numbers of a text that carry a fact: with a decimal point, a thousands separator, a unit or a currency sign
/// beside them, or of at least three digits. Years and list numbers are not facts.
pub fn numbers(text: &str) -> BTreeSet<&str> {
    let bytes = text.as_bytes();
    let mut found = BTreeSet::new();
    let mut i = 0;
    while i < bytes.len() {
        if !bytes[i].is_ascii_digit()
            || (i > 0 && (bytes[i - 1].is_ascii_alphanumeric() || bytes[i - 1] == b'.'))
        {
            i += 1;
            continue;
        }
        let start = i;
        while i < bytes.len()
            && (bytes[i].is_ascii_digit()
                || (matches!(bytes[i], b'.' | b',') && bytes.get(i + 1).is_some_and(u8::is_ascii_digit)))
        {
            i += 1;
        }
        let number = &text[start..i];
        let before = text[..start].chars().next_back();
        let rest = text[i..].trim_start_matches(' ');
        let after = rest.chars().next();
        let word = rest.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
        let unit_word = UNITS.iter().any(|unit| word.eq_ignore_ascii_case(unit));
        let has_unit = unit_word
            || before.is_some_and(|c| "$€£¥".contains(c))
            || after.is_some_and(|c| "%$€£x×".contains(c));
        let digits = number.bytes().filter(u8::is_ascii_digit).count();
        let is_date = bytes.get(i) == Some(&b'-') || (start > 0 && bytes[start - 1] == b'-' && digits <= 2);
        let is_year = digits == 4 && (number.starts_with("19") || number.starts_with("20")) && !has_unit;
        if (has_unit || number.contains(['.', ',']) || digits >= 3) && !is_date && !is_year {
            found.insert(number);
        }
    }
    found
}

/// All numbers of a text as they are written, whatever they mean.
pub fn numerals(text: &str) -> impl Iterator<Item = &str> {
    let within = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',');
    text.split(move |c| !within(c)).map(|part| part.trim_matches(['.', ','])).filter(|part| !part.is_empty())
}

/// The share of the numbers of `text` that stand in one of `prompts`; 1 when the text has none.
pub fn share_held(text: &str, prompts: &[&str]) -> f64 {
    let all = numbers(text);
    if all.is_empty() {
        return 1.0;
    }
    // A "3" within "235" is no evidence: whole numbers are compared.
    let known: HashSet<&str> = prompts.iter().flat_map(|prompt| numerals(prompt)).collect();
    all.iter().filter(|number| known.contains(*number)).count() as f64 / all.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_numbers_with_a_meaning() {
        let text = "1. On 2025-07-30 the price was $181.64, up 3 %, volume 9,534,800; P/E 35x in 2025, step 2. RSI 58.";
        let found: Vec<&str> = numbers(text).into_iter().collect();
        assert_eq!(found, ["181.64", "3", "35", "9,534,800"]);
        assert_eq!(
            numbers("volume of 10 million, 5 basis points").into_iter().collect::<Vec<_>>(),
            ["10", "5"]
        );
        assert_eq!(share_held(text, &["181.64 and 3 %", "and 35x"]), 0.75);
        assert_eq!(share_held("none", &[]), 1.0);
        assert_eq!(share_held("up 3 %", &["235 and 13"]), 0.0);
    }
}
