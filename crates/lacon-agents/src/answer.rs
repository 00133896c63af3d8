//! What an answer has to hold, and how it is read: sections, lists, JSON.

use serde_json::Value;

use crate::team::Agent;

/// Most bytes of an answer that are kept.
pub const MAX_ANSWER_BYTES: usize = 1 << 20;
/// Most characters of a list's item.
const MAX_ITEM_CHARS: usize = 2_000;

/// The sections that have no heading in a text: a line that begins with the section's name, in any case.
pub fn missing_sections(text: &str, sections: &[String]) -> Vec<String> {
    let heads: Vec<String> = text.lines().map(bare).filter(|line| !line.is_empty()).collect();
    let has = |section: &String| {
        let wanted = bare(section);
        heads.iter().any(|head| {
            head.strip_prefix(wanted.as_str())
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
        })
    };
    sections.iter().filter(|section| !has(section)).cloned().collect()
}

/// What a text does not speak of: the first word of each list, divided by `|`, of which no word occurs in any case.
pub fn uncovered(text: &str, covers: &[String]) -> Vec<String> {
    let lower = text.to_lowercase();
    let missing =
        covers.iter().filter(|words| !words.split('|').any(|word| lower.contains(&word.to_lowercase())));
    missing.map(|words| first(words).to_owned()).collect()
}

/// The word of a list divided by `|` that is asked for.
pub fn first(words: &str) -> &str {
    words.split('|').next().unwrap_or(words)
}

/// The sections that a text has not, and what it does not speak of.
pub(crate) fn missing(text: &str, agent: &Agent) -> Vec<String> {
    let mut missing = missing_sections(text, &agent.sections);
    missing.extend(uncovered(text, &agent.covers));
    missing
}

/// A line without signs of headings and lists, in lower case.
fn bare(line: &str) -> String {
    line.trim_matches(|c: char| c.is_whitespace() || "#*_`-:".contains(c)).to_lowercase()
}

/// The items of a list: its lines without bullets and numbers, at most so many. An opening line that ends with a colon is
/// none.
pub fn items(text: &str, most: usize) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with("```") || items.is_empty() && line.ends_with(':') {
            continue;
        }
        let item = without_mark(line);
        let item: String = item.chars().take(MAX_ITEM_CHARS).collect();
        if !item.is_empty() && items.len() < most {
            items.push(item);
        }
    }
    items
}

/// A line without the bullet or the number that begins it.
fn without_mark(line: &str) -> &str {
    if let Some(rest) = ["- ", "* ", "• ", "+ "].iter().find_map(|mark| line.strip_prefix(mark)) {
        return rest.trim();
    }
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = line.len() - rest.len();
    let numbered = (1..=4).contains(&digits) && (rest.starts_with(". ") || rest.starts_with(") "));
    if numbered { rest[2..].trim() } else { line }
}

/// The JSON of an answer, also where it stands in a fence.
pub fn json(text: &str) -> Option<Value> {
    let text = text.trim();
    let inner = text.strip_prefix("```json").or_else(|| text.strip_prefix("```"));
    let inner = inner.and_then(|inner| inner.trim_end().strip_suffix("```")).unwrap_or(text);
    serde_json::from_str(inner.trim()).ok()
}

/// The beginning of a text that has at most so many bytes, at a character's border.
pub fn bounded(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_in_any_dress_are_found() {
        let sections = ["Gaps".to_owned(), "Open points".to_owned(), "Sources".to_owned()];
        let text = "## Gaps\nNone.\n**Open points:** two\nThe sources are good.\n";
        assert_eq!(missing_sections(text, &sections), ["Sources"]);
        assert!(missing_sections("gaps: none\n- open points\nSOURCES\n", &sections).is_empty());
    }

    #[test]
    fn lists_come_in_many_forms() {
        let text = "Here they are:\n1. First?\n2) Second?\n- Third\n\n* Fourth\n2024 was a year\n";
        assert_eq!(items(text, 9), ["First?", "Second?", "Third", "Fourth", "2024 was a year"]);
        assert_eq!(items(text, 2).len(), 2);
    }

    #[test]
    fn json_in_a_fence_and_bounds_at_characters() {
        assert_eq!(json("```json\n{\"a\": 1}\n```").unwrap()["a"], 1);
        assert_eq!(json("no"), None);
        assert_eq!(bounded("aäb", 2), "a");
    }
}
