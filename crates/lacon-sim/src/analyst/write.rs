//! Puts sentences into the parts and the length that a prompt asks for. No sentence is cut; fewer are written.

use super::wish::Wish;

/// What is to be said: the most important sentence of each part first.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Lines that always open the answer.
    pub head: Vec<String>,
    /// Heading and sentences. An item of a list begins with "- " or a number.
    pub parts: Vec<(String, Vec<String>)>,
    /// Further true sentences, for answers without a limit.
    pub more: Vec<String>,
    /// Lines that always close the answer.
    pub tail: Vec<String>,
}

pub fn count_words(text: &str) -> usize {
    text.split_whitespace().count()
}

fn is_item(sentence: &str) -> bool {
    sentence.starts_with("- ")
        || sentence.starts_with(|c: char| c.is_ascii_digit()) && sentence[1..].starts_with(". ")
}

impl Draft {
    pub fn part(mut self, heading: &str, sentences: Vec<String>) -> Self {
        self.parts.push((heading.to_owned(), sentences));
        self
    }

    /// The answer, within the words that are wished for.
    pub fn compose(self, wish: &Wish) -> String {
        let parts = arrange(self.parts, &wish.sections);
        let headed = parts.len() > 1;
        let heading = |name: &str| if headed { format!("### {name}") } else { String::new() };
        let fixed = self.head.iter().chain(&self.tail).map(|l| count_words(l)).sum::<usize>()
            + parts.iter().map(|(name, _)| count_words(&heading(name))).sum::<usize>();
        let mut left = wish.max_words.unwrap_or(usize::MAX).saturating_sub(fixed);
        let mut chosen: Vec<Vec<&String>> = vec![Vec::new(); parts.len()];
        let longest = parts.iter().map(|(_, all)| all.len()).max().unwrap_or(0);
        for turn in 0..longest {
            for ((_, all), taken) in parts.iter().zip(&mut chosen) {
                // What follows from a sentence that did not fit is left out too.
                let Some(sentence) = all.get(turn).filter(|_| taken.len() == turn) else { continue };
                let words = count_words(sentence);
                if words <= left {
                    left -= words;
                    taken.push(sentence);
                }
            }
        }
        let mut blocks: Vec<String> = Vec::new();
        blocks.extend((!self.head.is_empty()).then(|| self.head.join("\n")));
        for ((name, _), sentences) in parts.iter().zip(&chosen) {
            if sentences.is_empty() && !wish.sections.contains(name) {
                continue;
            }
            let mut block = heading(name);
            for sentence in sentences {
                let new_line = is_item(sentence)
                    || block.lines().last().is_none_or(|l| l.starts_with('#') || is_item(l));
                block.push_str(if block.is_empty() {
                    ""
                } else if new_line {
                    "\n"
                } else {
                    " "
                });
                block.push_str(sentence);
            }
            blocks.push(block);
        }
        if wish.max_words.is_none() && !self.more.is_empty() {
            let more: Vec<String> = self.more.iter().map(|s| format!("- {s}")).collect();
            blocks.push(format!("{}{}", if headed { "### Further data\n" } else { "" }, more.join("\n")));
        }
        blocks.extend((!self.tail.is_empty()).then(|| self.tail.join("\n")));
        blocks.retain(|block| !block.is_empty());
        blocks.join("\n\n")
    }
}

/// The parts that are asked for, each with what was prepared under its name; what fits no name goes to the one at its place,
/// or to the last.
fn arrange(prepared: Vec<(String, Vec<String>)>, asked: &[String]) -> Vec<(String, Vec<String>)> {
    if asked.is_empty() {
        return prepared;
    }
    let mut parts: Vec<(String, Vec<String>)> = asked.iter().map(|name| (name.clone(), Vec::new())).collect();
    for (i, (name, sentences)) in prepared.into_iter().enumerate() {
        let named = parts.iter().position(|(asked, _)| asked.eq_ignore_ascii_case(&name));
        let at = named.unwrap_or(i.min(parts.len() - 1));
        parts[at].1.extend(sentences);
    }
    for (_, sentences) in parts.iter_mut().filter(|(_, all)| all.is_empty()) {
        sentences.push("The material says nothing on this.".into());
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_sentences_are_written_and_none_is_cut() {
        let sentences = |n: i32| (0..n).map(|i| format!("This is sentence {i} of them.")).collect();
        let draft = Draft { tail: vec!["Signal: HOLD, score 0 of 0.".into()], ..Draft::default() }
            .part("Trend", sentences(9))
            .part("Risk", sentences(2));
        for limit in [20, 33, 50, 90] {
            let wish = Wish { max_words: Some(limit), ..Wish::default() };
            let text = draft.clone().compose(&wish);
            assert!(count_words(&text) <= limit, "{limit}: {text}");
            assert!(text.lines().all(|l| l.is_empty() || l.starts_with('#') || l.ends_with('.')), "{text}");
        }
    }
}
