//! The short form of a text that a reader allows: figures, headings and conclusions.

use lacon_prompt::digest::Digest;
use lacon_tokens::Encoding;

const SHORT: Digest = Digest {
    concludes: &["conclu", "recommend", "overall", "therefore", "in short", "must ", "source"],
    headings: true,
    sentence: |text| {
        let (sentence, behind) = lacon_llm::first_sentence(text);
        (!behind.trim().is_empty()).then_some(sentence.len())
    },
};

/// The units of a text that are its first or last, a heading, hold a figure, or conclude; the whole text when that saves less
/// than a fifth of its tokens.
pub fn digest(text: &str, encoding: &Encoding) -> String {
    SHORT.of(text, encoding)
}

/// The units of a text with a figure, and its last one.
pub fn figures(text: &str) -> String {
    SHORT.figures(text)
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
