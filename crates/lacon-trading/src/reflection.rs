//! A review of a judged decision in a model's words, kept beside the computed lesson.
//!
//! It is asked for outside of runs, because a run waits for nothing of the past. The model sees what the decision
//! rested on and its outcome, nothing later. Its answer is bounded, because later prompts contain it.

use lacon_llm::{Message, Request, Tags};

use crate::memory::Logged;

/// The role's name on the wire, in tapes and in books.
pub const ROLE: &str = "reflection";
/// Most characters of the situation that are sent.
const MOST_SITUATION: usize = 8_000;
/// Most characters of a reflection that are kept.
pub const MOST_KEPT: usize = 600;

/// Asks what a decision teaches.
pub fn request(model: &str, logged: &Logged, situation: &str) -> Request {
    let rested: String = situation.chars().take(MOST_SITUATION).collect();
    let task = format!(
        "Role: reviewer of a closed decision. In two to four sentences, at most 80 words, say whether the reasoning held, which figure or \
         argument of the reports misled or carried it, and what to weigh otherwise in a like situation. Use nothing but the texts below: \
         nothing that you know of later days.\n\nOutcome: {}\n\nReports that it rested on:\n{rested}",
        logged.lesson.as_deref().unwrap_or_default(),
    );
    Request {
        messages: vec![Message::user(task)],
        max_tokens: Some(220),
        tags: Tags {
            run: logged.run_id.clone(),
            role: ROLE.into(),
            labels: [("ticker".to_owned(), logged.ticker.clone())].into(),
        },
        ..Request::new(model)
    }
}

/// An answer as it is kept: one line without unseen characters, cut at the end of a sentence; nothing where nothing was said.
pub fn kept(answer: &str) -> Option<String> {
    let words: Vec<&str> = answer.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    let line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MOST_KEPT {
        return (!line.is_empty()).then_some(line);
    }
    let cut: String = line.chars().take(MOST_KEPT).collect();
    let end = cut.rfind(". ").map_or(cut.len(), |at| at + 1);
    Some(cut[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_short_and_on_one_line() {
        assert_eq!(
            kept(" It held.\n\n- The close\u{0}of 181.64 carried it. "),
            Some("It held. - The close of 181.64 carried it.".into())
        );
        assert_eq!(kept(" \n "), None);
        let long = "A sentence of several words. ".repeat(60);
        let kept = kept(&long).unwrap();
        assert!(kept.chars().count() <= MOST_KEPT && kept.ends_with("words."), "{kept}");
    }
}
