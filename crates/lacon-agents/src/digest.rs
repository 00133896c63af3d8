//! The short form of a text: what states a figure or a conclusion, as it stands and in its order.

use lacon_tokens::Encoding;

/// Words by which a text concludes.
const CONCLUDES: [&str; 7] = ["conclu", "recommend", "overall", "therefore", "in short", "must ", "source"];

/// The units of a text that are its first or last, a heading, hold a figure, or conclude; the whole text when that saves less
/// than a fifth of its tokens.
///
/// Units are lines, and the sentences of long lines. Nothing is rewritten.
pub fn digest(text: &str, encoding: &Encoding) -> String {
    let units = units(text);
    let n = units.len();
    let keeps = |i: usize, unit: &str| {
        let lower = unit.to_lowercase();
        i == 0
            || i + 1 == n
            || unit.starts_with('#')
            || has_figure(unit)
            || CONCLUDES.iter().any(|word| lower.contains(word))
    };
    let kept: Vec<&str> = units.iter().enumerate().filter(|(i, u)| keeps(*i, u)).map(|(_, u)| *u).collect();
    let short = kept.join("\n");
    if encoding.count(&short) * 5 > encoding.count(text) * 4 { text.trim().to_owned() } else { short }
}

/// Whether a unit holds a digit that does not only count the items of a list.
fn has_figure(unit: &str) -> bool {
    let text = unit.trim_start_matches(|c: char| !c.is_alphanumeric());
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let counts_items = (1..=2).contains(&(text.len() - rest.len())) && rest.starts_with(['.', ')']);
    let own = if counts_items { rest } else { text };
    own.bytes().any(|b| b.is_ascii_digit())
}

/// Lines, and within long lines sentences.
fn units(text: &str) -> Vec<&str> {
    const LONG: usize = 160;
    let mut units = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut rest = line;
        while rest.len() > LONG {
            let (sentence, behind) = lacon_llm::first_sentence(rest);
            if behind.trim().is_empty() {
                break;
            }
            units.push(sentence.trim());
            rest = behind.trim_start();
        }
        units.push(rest);
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_conclusions_are_kept() {
        let encoding = lacon_tokens::for_model("gpt-4o").encoding;
        let filler = "This sentence is about nothing in particular and goes on for a while. ".repeat(6);
        let text = format!(
            "The question is wide.\n{filler}\nThe share is 41.5 %.\n{filler}\nOverall it holds.\n{filler}"
        );
        let short = digest(&text, encoding);
        assert!(short.contains("41.5") && short.contains("Overall") && short.starts_with("The question"));
        assert!(encoding.count(&short) * 2 < encoding.count(&text), "{short}");
        assert_eq!(digest("All 12 of 12.", encoding), "All 12 of 12.");
    }
}
