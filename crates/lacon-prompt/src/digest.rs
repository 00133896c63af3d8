//! The short form of a text: what states a figure or a conclusion, as it stands and in its order. Nothing is rewritten.

use lacon_tokens::Encoding;

/// Lines up to this length are one unit.
const LONG: usize = 160;

/// What a short form keeps, and what its units are.
#[derive(Clone, Copy, Debug)]
pub struct Digest {
    /// Words, in lower case, by which a unit concludes.
    pub concludes: &'static [&'static str],
    /// Whether headings are kept.
    pub headings: bool,
    /// Where the first sentence of a text ends; `None` where nothing follows it.
    pub sentence: fn(&str) -> Option<usize>,
}

impl Digest {
    /// The first unit of a text, its last, and those with a figure or a conclusion; the whole text when that saves less
    /// than a fifth of its tokens.
    pub fn of(&self, text: &str, encoding: &Encoding) -> String {
        let units = self.units(text);
        let n = units.len();
        let keeps = |i: usize, unit: &str| {
            let lower = unit.to_lowercase();
            i == 0
                || i + 1 == n
                || (self.headings && unit.starts_with('#'))
                || has_figure(unit)
                || self.concludes.iter().any(|word| lower.contains(word))
        };
        let kept: Vec<&str> =
            units.iter().enumerate().filter(|(i, u)| keeps(*i, u)).map(|(_, u)| *u).collect();
        let short = kept.join("\n");
        if encoding.count(&short) * 5 > encoding.count(text) * 4 { text.trim().to_owned() } else { short }
    }

    /// The units of a text with a figure, and its last one.
    pub fn figures(&self, text: &str) -> String {
        let units = self.units(text);
        let n = units.len();
        let kept = units.iter().enumerate().filter(|(i, unit)| i + 1 == n || has_figure(unit));
        kept.map(|(_, unit)| *unit).collect::<Vec<_>>().join("\n")
    }

    /// Lines, and within long lines sentences.
    pub fn units<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let mut units = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut rest = line;
            while rest.len() > LONG {
                let Some(end) = (self.sentence)(rest) else { break };
                units.push(rest[..end].trim());
                rest = rest[end..].trim_start();
            }
            if !rest.is_empty() {
                units.push(rest);
            }
        }
        units
    }
}

/// Whether a unit holds a digit that does not only count the items of a list or the headings of a text.
fn has_figure(unit: &str) -> bool {
    let text = unit.trim_start_matches(|c: char| !c.is_alphanumeric());
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let rest = &text[digits..];
    let counts_items = (1..=2).contains(&digits) && (rest.starts_with(". ") || rest.starts_with(") "));
    let own = if counts_items { rest } else { text };
    own.bytes().any(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_conclusions_are_kept_and_numbers_of_lists_are_none() {
        let whole = |text: &str| (text.len() > LONG).then(|| text.find(". ").map(|i| i + 1)).flatten();
        let digest = Digest { concludes: &["overall"], headings: true, sentence: whole };
        let filler = "This sentence is about nothing in particular and goes on for a while. ".repeat(6);
        let text =
            format!("A.\n# B\n{filler}\n1. First\n2) The share is 41.5 %.\n{filler}\nOverall so.\nEnd.");
        let encoding = lacon_tokens::encoding(lacon_tokens::EncodingName::O200kBase);
        assert_eq!(digest.of(&text, encoding), "A.\n# B\n2) The share is 41.5 %.\nOverall so.\nEnd.");
        assert_eq!(digest.figures(&text), "2) The share is 41.5 %.\nEnd.");
        assert_eq!(digest.of("All 12 of 12.", encoding), "All 12 of 12.");
        assert!(digest.of("", encoding).is_empty());
    }
}
