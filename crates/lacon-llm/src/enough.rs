//! Ends an answer that is long enough: its stream is closed at the end of a sentence or row behind the stated limit.
//!
//! `max_tokens` cannot do this. It cuts inside sentences and figures, and a row of figures has many tokens a word.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::form;

/// How far past its limit, in words, an answer may go before the next end of a sentence or row closes it.
const SLACK: f64 = 1.05;
/// How far an answer may go that still lacks required parts.
const PATIENCE: f64 = 1.5;
/// A text that is heavy for its words (rows of figures, scripts without spaces) ends at this many times the limit.
const HEAVY: f64 = 1.6;

/// The length at which an answer's stream is closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enough {
    /// The limit that the prompt states, in words.
    pub words: u32,
    /// Required parts. Each is a list of words of which one must occur, in any case.
    pub needs: Vec<Vec<String>>,
}

impl Enough {
    /// The answer as it stands when its stream is closed; `None` where it ends before.
    ///
    /// An answer that has to fit a JSON `schema` is closed only where its last text can end and the whole still fits.
    pub fn close(&self, answer: &str, schema: Option<&Value>) -> Option<String> {
        let mut watcher = Watcher::new(self, schema);
        watcher.push(answer).then(|| watcher.into_text())
    }
}

/// Watches an answer grow. Each character is looked at once, so the cost is linear in the answer.
#[derive(Debug)]
pub(crate) struct Watcher<'r> {
    enough: &'r Enough,
    /// The schema that the answer has to fit, and the answer as it came. Bytes of `text` and of it lie side by side.
    form: Option<(&'r Value, String)>,
    text: String,
    /// Bytes of `text` that were looked at.
    seen: usize,
    words: f64,
    weight: f64,
    word_begin: usize,
    line_begin: usize,
    fenced: bool,
}

impl<'r> Watcher<'r> {
    pub(crate) fn new(enough: &'r Enough, schema: Option<&'r Value>) -> Self {
        Self {
            enough,
            form: schema.map(|schema| (schema, String::new())),
            text: String::new(),
            seen: 0,
            words: 0.0,
            weight: 0.0,
            word_begin: 0,
            line_begin: 0,
            fenced: false,
        }
    }

    /// Takes in more of the answer; true once the answer is long enough. [`Watcher::into_text`] then gives it.
    pub(crate) fn push(&mut self, delta: &str) -> bool {
        match &mut self.form {
            None => self.text.push_str(delta),
            Some((_, raw)) => {
                raw.push_str(delta);
                read_escapes(raw, &mut self.text);
            }
        }
        let stops = |c: char| c.is_whitespace() || matches!(c, '。' | '！' | '？');
        while let Some((found, c)) = self.text[self.seen..].char_indices().find(|(_, c)| stops(*c)) {
            let at = self.seen + found;
            let after = at + c.len_utf8();
            let (end, ends) = if c.is_whitespace() {
                self.word(at);
                let ends = if c == '\n' {
                    self.ends_row(at)
                } else {
                    ends_sentence(&self.text[self.line_begin..at])
                };
                (at, ends)
            } else {
                self.word(after);
                (after, true)
            };
            (self.seen, self.word_begin) = (after, after);
            if c == '\n' {
                self.line_begin = after;
            }
            if ends && !self.fenced && self.is_enough(end) && self.ends_at(end) {
                return true;
            }
        }
        false
    }

    /// Ends the answer here; false where a form does not hold its parts yet.
    fn ends_at(&mut self, end: usize) -> bool {
        match &self.form {
            None => self.text.truncate(end),
            Some((schema, raw)) => match form::closed(schema, &raw[..end]) {
                Some(closed) => self.text = closed,
                None => return false,
            },
        }
        true
    }

    /// The answer up to its end, without white space behind it.
    pub(crate) fn into_text(mut self) -> String {
        self.text.truncate(self.text.trim_end().len());
        self.text
    }

    fn word(&mut self, end: usize) {
        let word = &self.text[self.word_begin..end];
        if word.is_empty() {
            return;
        }
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        self.words += 1.0;
        self.weight += match word.len() {
            0..=16 => 1.0,
            n if digits >= 8 => n as f64 / 4.0,
            _ if !word.is_ascii() => word.chars().count() as f64 / 2.0,
            n => n as f64 / 16.0,
        };
    }

    /// Whether the line that ends here is whole by itself: no heading, no label before what follows, no fence.
    fn ends_row(&mut self, end: usize) -> bool {
        let line = self.text[self.line_begin..end].trim();
        if line.starts_with("```") || line.starts_with("~~~") {
            self.fenced = !self.fenced;
            return false;
        }
        is_whole_row(line) || (!opens(line) && self.is_overdue())
    }

    fn is_overdue(&self) -> bool {
        let limit = f64::from(self.enough.words);
        self.words >= limit * PATIENCE || self.weight >= limit * (HEAVY + PATIENCE - 1.0)
    }

    fn is_enough(&self, end: usize) -> bool {
        let limit = f64::from(self.enough.words);
        if self.words < limit * SLACK && self.weight < limit * HEAVY {
            return false;
        }
        if self.is_overdue() {
            return true;
        }
        let lower = self.text[..end].to_lowercase();
        self.enough.needs.iter().all(|any| any.iter().any(|word| lower.contains(&word.to_lowercase())))
    }
}

/// Appends what is new in a JSON text, with its escaped line ends and quotes as such and with every byte at its place.
pub(crate) fn read_escapes(raw: &str, text: &mut String) {
    let mut rest = &raw[text.len()..];
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let Some(escaped) = rest[at + 1..].chars().next() else { return };
        let end = at + 1 + escaped.len_utf8();
        text.push_str(match escaped {
            'n' | 'r' => " \n",
            't' => "  ",
            '"' => "''",
            _ => &rest[at..end],
        });
        rest = &rest[end..];
    }
    text.push_str(rest);
}

/// Whether a line belongs to what follows it: nothing, a heading, a label.
fn opens(line: &str) -> bool {
    let bare = line.trim_end_matches(['*', '_', '`', ' ']);
    line.is_empty()
        || line.starts_with('#')
        || bare.ends_with([':', ',', ';', '：'])
        || (line.starts_with("**") && line.ends_with("**"))
}

/// Whether a line is whole by itself: a sentence, an item of a list, a row of figures. A heading, a label before what follows and the
/// head of a table are not.
fn is_whole_row(line: &str) -> bool {
    if opens(line) {
        return false;
    }
    let is_item = line.starts_with(['-', '•', '–', '+']) || line.starts_with("* ");
    let has_figures = line.bytes().filter(u8::is_ascii_digit).count() >= 3;
    ends_sentence(line)
        || line.ends_with(['。', '！', '？'])
        || is_item && line.split_whitespace().count() > 3
        || has_figures
}

/// Whether a text that white space follows ends in a sentence's end. Abbreviations and numbered items are none.
fn ends_sentence(text: &str) -> bool {
    let bare = text.trim_end_matches(['"', '\'', ')', ']', '*', '_', '”', '’', '»']);
    if bare.ends_with(['!', '?']) {
        return true;
    }
    let Some(before) = bare.strip_suffix('.') else { return false };
    let word = before.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    const SHORT: [&str; 18] = [
        "vs", "approx", "e.g", "i.e", "etc", "no", "fig", "inc", "corp", "co", "ltd", "mr", "ms", "dr", "st",
        "est", "avg", "u.s",
    ];
    let is_number_of_item =
        before.trim_start().len() == word.len() && word.bytes().all(|b| b.is_ascii_digit());
    let is_initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    !word.is_empty() && !is_number_of_item && !is_initial && !SHORT.contains(&word.to_lowercase().as_str())
}

/// The longest beginning of a text that ends with a sentence or a row; all of it where it holds no such end.
///
/// A token limit cuts inside words and figures, and half a figure is a wrong one.
pub fn whole_sentences(text: &str) -> &str {
    let text = text.trim_end();
    if ends_sentence(text) || text.ends_with(['。', '！', '？']) {
        return text;
    }
    let mut end = 0;
    let mut line_begin = 0;
    for (at, c) in text.char_indices() {
        let ends = match c {
            '\n' => {
                let ends = is_whole_row(text[line_begin..at].trim());
                line_begin = at + 1;
                ends
            }
            '。' | '！' | '？' => {
                end = at + c.len_utf8();
                false
            }
            c if c.is_whitespace() => ends_sentence(&text[line_begin..at]),
            _ => false,
        };
        if ends {
            end = at;
        }
    }
    if end == 0 { text } else { text[..end].trim_end() }
}

/// The first sentence of a line, and what follows it.
pub fn first_sentence(line: &str) -> (&str, &str) {
    let end = line.char_indices().find_map(|(at, c)| match c {
        '。' | '！' | '？' => Some(at + c.len_utf8()),
        c if c.is_whitespace() && ends_sentence(&line[..at]) => Some(at),
        _ => None,
    });
    line.split_at(end.unwrap_or(line.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stopped(words: u32, needs: &[&str], text: &str, step: usize) -> Option<String> {
        let needs = needs.iter().map(|n| n.split('|').map(str::to_owned).collect()).collect();
        let enough = Enough { words, needs };
        let mut watcher = Watcher::new(&enough, None);
        let chars: Vec<char> = text.chars().collect();
        for part in chars.chunks(step) {
            if watcher.push(&part.iter().collect::<String>()) {
                return Some(watcher.into_text());
            }
        }
        None
    }

    #[test]
    fn ends_at_the_first_sentence_behind_the_limit() {
        let text = "One two three four. The close was 181.64 vs. 200.10 in the U.S. market on Friday. It fell. More follows here.";
        for step in [1, 3, 7, 200] {
            assert_eq!(
                stopped(5, &[], text, step).unwrap(),
                text.split(" It fell").next().unwrap(),
                "{step}"
            );
        }
        assert_eq!(stopped(40, &[], text, 3), None);
    }

    #[test]
    fn waits_for_required_parts_but_not_for_ever() {
        let text = "alpha beta gamma delta one two three four. The risk is high. ".to_owned()
            + &"More words here. ".repeat(20);
        assert!(stopped(8, &["risk|stop"], &text, 5).unwrap().ends_with("The risk is high."));
        assert_eq!(stopped(8, &["nowhere"], &text, 5).unwrap().split_whitespace().count(), 12);
    }

    #[test]
    fn rows_of_figures_are_heavy_and_headings_do_not_end() {
        let row = "2025-07-29,181.64,183.20,179.01,182.55,12345678\n";
        let text = format!("# Prices\n{}", row.repeat(40));
        let end = stopped(30, &[], &text, 11).unwrap();
        assert!(end.ends_with("12345678") && end.lines().count() < 8, "{end}");
        for head in ["a b c d e:\n## Heading\n", "d. Cash flow - Score 7\n", "Scenario | Price | Return\n"] {
            let text = format!("{head}The text goes on.\nMore.\n");
            assert_eq!(stopped(6, &[], &text, 4).unwrap(), format!("{head}The text goes on."));
        }
    }

    #[test]
    fn what_a_token_limit_cut_ends_at_its_last_sentence() {
        assert_eq!(whole_sentences("The close was 181.64. The target is 19"), "The close was 181.64.");
        assert_eq!(
            whole_sentences("- one of the three\n- two of them all\n- thr"),
            "- one of the three\n- two of them all"
        );
        assert_eq!(whole_sentences("It ends."), "It ends.");
        assert_eq!(whole_sentences("nothing ends he"), "nothing ends he");
    }

    /// The JSON answer of a role that decides, and the schema it has to fit.
    fn form(report: &str) -> (String, Value) {
        let schema = serde_json::json!({"type": "object", "required": ["decision", "report"], "additionalProperties": false,
            "properties": {"decision": {"type": "string", "enum": ["BUY", "SELL"]}, "report": {"type": "string"}}});
        (serde_json::json!({"decision": "BUY", "report": report}).to_string(), schema)
    }

    #[test]
    fn a_form_is_closed_where_its_last_text_can_end() {
        let (answer, schema) =
            form("One \"two\" three\\four.\nThe close was 181.64 on Friday. It fell.\nMore follows here.");
        let enough = Enough { words: 6, needs: Vec::new() };
        for step in [1, 3, 500] {
            let mut watcher = Watcher::new(&enough, Some(&schema));
            let chars: Vec<char> = answer.chars().collect();
            assert!(chars.chunks(step).any(|part| watcher.push(&part.iter().collect::<String>())));
            let closed: Value = serde_json::from_str(&watcher.into_text()).unwrap();
            assert_eq!(
                closed["report"], "One \"two\" three\\four.\nThe close was 181.64 on Friday.",
                "{step}"
            );
            assert_eq!(closed["decision"], "BUY");
        }
        // A field that is still to come keeps the stream open.
        let late = r#"{"report": "One two three. Four five six seven. Eight nine. Ten.", "decision": "BUY"}"#;
        assert_eq!(enough.close(late, Some(&schema)), None);
    }

    proptest! {
        /// What a form is closed to fits its schema and holds a beginning of the text.
        #[test]
        fn a_closed_form_is_whole(report in "([a-z]{1,9}|[\\\\\"é]|\\n|\\t|[.!?]| |\\{|\\}){0,80}", words in 0u32..12) {
            let (answer, schema) = form(&report);
            let enough = Enough { words, needs: Vec::new() };
            if let Some(closed) = enough.close(&answer, Some(&schema)) {
                let closed: Value = serde_json::from_str(&closed).unwrap();
                prop_assert!(report.starts_with(closed["report"].as_str().unwrap()));
            }
        }

        /// The end is the same however the answer was cut into parts, and it is a beginning of the answer.
        #[test]
        fn parts_do_not_matter(text in "([a-z]{1,9}|[0-9.]{1,6}|。|\\n|#|:|[.!?]| ){0,120}", words in 0u32..20) {
            let whole = stopped(words, &["a"], &text, 1_000);
            for step in [1, 2, 5] {
                let parts = stopped(words, &["a"], &text, step);
                if let (Some(whole), Some(parts)) = (&whole, &parts) {
                    prop_assert!(text.starts_with(parts.as_str()) && text.starts_with(whole.as_str()));
                    prop_assert_eq!(whole, parts);
                }
            }
            prop_assert!(text.starts_with(whole_sentences(&text)));
        }
    }
}
