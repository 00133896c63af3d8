//! What a prompt asks for: length, parts, the deciding line.

use lacon_llm::{Message, Role};

/// What the prompt asks for, as far as the simulator reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wish {
    /// From "at most N words".
    pub max_words: Option<usize>,
    /// From a line "Cover: A; B; C".
    pub sections: Vec<String>,
    /// From "End with the line …:" the words before the colon.
    pub ending: Option<String>,
    /// From "Begin with the line …:" the words before the colon, the tag included.
    pub opening: Option<String>,
    /// From "Answer with the first line alone …" the same: nothing else is wanted.
    pub line_alone: bool,
}

/// The text that instructs: the system's where it names the role, else the last of the user's, each from its last line
/// `Role:` on or from behind a quoted text. All else is data, whatever it asks for.
fn instruction(messages: &[Message]) -> String {
    let own = |text: &str| {
        let text = text.rsplit_once("</text>").map_or(text, |(_, behind)| behind);
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.iter().rposition(|line| line.starts_with("Role: "));
        (lines[from.unwrap_or(0)..].join("\n"), from.is_some())
    };
    let system = messages.iter().filter(|m| m.role == Role::System).map(|m| own(&m.content));
    let last = || messages.iter().rfind(|m| m.role == Role::User).map(|m| own(&m.content).0);
    system.filter(|(_, named)| *named).map(|(text, _)| text).next_back().or_else(last).unwrap_or_default()
}

/// The name behind `Role:`, such as "risk manager".
pub fn role_named(messages: &[Message]) -> Option<String> {
    let text = instruction(messages);
    let rest = text.lines().next()?.strip_prefix("Role: ")?;
    Some(rest.split(['.', ',']).next()?.trim().to_lowercase())
}

/// Reads the wishes of all instructions; where several state a word limit the tightest counts.
pub fn read_wish(messages: &[Message]) -> Wish {
    let mut wish = Wish::default();
    let text = instruction(messages);
    let mut rest = text.as_str();
    while let Some(at) = rest.find("at most ") {
        rest = &rest[at + 8..];
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        if let Ok(n) = digits.parse::<usize>()
            && rest[digits.len()..].trim_start().starts_with("word")
        {
            wish.max_words = Some(wish.max_words.map_or(n, |m| m.min(n)));
        }
    }
    for line in text.lines() {
        if let Some(list) = line.trim().strip_prefix("Cover: ") {
            wish.sections = list
                .trim_end_matches('.')
                .split(';')
                .map(|s| s.trim().to_owned())
                .filter(|s| !s.is_empty())
                .collect();
        }
        let label =
            |before: &str| Some(line.split_once(before)?.1.split_once(": BUY, SELL or HOLD")?.0.to_owned());
        wish.ending = label("End with the line \"").or(wish.ending.take());
        wish.opening = label("Begin with the line \"").or(wish.opening.take());
        if line.starts_with("Answer with the first line alone") {
            wish.opening = label(": \"");
            wish.line_alone = wish.opening.is_some();
        }
    }
    wish
}
