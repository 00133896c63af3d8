//! Finds an answer that gives the instruction's own words back: small models do that in place of an answer.

/// Fewest words of a part that is looked for: headings, labels and choices come from the instruction by right.
const MIN_WORDS: usize = 6;
/// Most bytes of an answer and of an instruction that are looked at.
const MOST_BYTES: usize = 64 * 1024;

fn head(text: &str) -> &str {
    let mut end = text.len().min(MOST_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// A text's words with one space around each, so that a row of words is found by its text.
fn spelled(text: &str) -> String {
    words(text).fold(" ".to_owned(), |mut all, word| {
        all.push_str(&word);
        all.push(' ');
        all
    })
}

/// An instruction whose words an answer should not give back.
#[derive(Debug)]
pub struct Echoes {
    instruction: String,
}

impl Echoes {
    /// Takes an instruction.
    pub fn of(instruction: &str) -> Self {
        Self { instruction: spelled(head(instruction)) }
    }

    /// Whether a sentence stands in the instruction, in any case and punctuation. Short ones never count.
    pub fn holds(&self, sentence: &str) -> bool {
        let sentence = head(sentence);
        words(sentence).nth(MIN_WORDS - 1).is_some() && self.instruction.contains(&spelled(sentence))
    }

    /// Whether half of an answer's words or more are sentences of the instruction.
    pub fn fill(&self, answer: &str) -> bool {
        let (mut all, mut echoed) = (0, 0);
        for line in head(answer).lines() {
            for sentence in line.split_inclusive(['.', '!', '?', ';', '。']) {
                let n = words(sentence).count();
                all += n;
                echoed += if self.holds(sentence) { n } else { 0 };
            }
        }
        all > 0 && echoed * 2 >= all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = "Role: risk manager. Take the plan and the three risk views and decide. Give the reasons with their figures, the size and the stop.\n\
                        End with FINAL DECISION: BUY, SELL or HOLD.";

    #[test]
    fn an_answer_of_the_instructions_words_is_an_echo() {
        let task = Echoes::of(TASK);
        for answer in [
            "- Take the plan and the three risk views and decide.",
            "**Give the reasons, with their figures, the size and the stop**\nFINAL DECISION: HOLD",
            "take the plan and the three risk views and decide. give the reasons with their figures, the size and the stop. I agree.",
        ] {
            assert!(task.fill(answer), "{answer}");
        }
        for answer in [
            "",
            "FINAL DECISION: HOLD",
            "Revenue grew 12 %, so the plan stands. The size is 3 % and the stop lies at 41.20. FINAL DECISION: BUY",
            "Take the plan and the three risk views and decide. The plan buys at 41.20; the safe view wants half, since the debt of 1.2 billion falls due in March.",
            "Role: risk manager.",
        ] {
            assert!(!task.fill(answer), "{answer}");
        }
        assert!(task.holds("Give the reasons with their figures, the size and the stop"));
        assert!(!task.holds("the reasons with their figures") && !Echoes::of("").holds("a b c d e f g"));
        assert!(!task.holds("view and decide give the reasons with their fig"));
    }
}
