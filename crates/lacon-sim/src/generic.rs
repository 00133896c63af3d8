//! A simulated model for any prompt: it keeps the form that it is asked for and fills it from the material.
//!
//! It reads the last instruction (from a line `You are …` on, or the whole last message) for sections, lengths, lists and
//! lines to choose from, and the rest for sentences with figures and sources, which it repeats. The same prompt gives the
//! same answer. It knows nothing, and everything that shows its answers says that they are simulated.

mod fields;
mod tools;

pub use fields::fill as fill_schema;
use lacon_llm::{Message, Request, Role};
pub use tools::{arguments, passages};

use crate::client::draw;

/// Words of an answer without a limit: from the least to the most.
const FREE_WORDS: (f64, f64) = (260.0, 420.0);

/// What a prompt asks for.
#[derive(Clone, Debug, Default, PartialEq)]
struct Wish {
    /// The instruction itself.
    instruction: String,
    max_words: Option<usize>,
    max_lines: Option<usize>,
    sections: Vec<String>,
    /// The words before the colon of the line to begin with, and what may stand behind it.
    choice: Option<(String, Vec<String>)>,
    /// Whether that line is all that is wanted.
    line_alone: bool,
}

/// Writes the answer to a request.
pub fn write(request: &Request) -> String {
    let wish = wish(&request.messages);
    let material = material(&request.messages, &wish.instruction);
    if let Some(form) = &request.response_format {
        return fields::fill(&form.schema, &format!("{material}\n{}", wish.instruction)).to_string();
    }
    let parts = parts(&wish.instruction);
    if !parts.is_empty() {
        let written =
            parts.iter().map(|(line, own)| format!("{line}\n{}", prose(&wish_of(own.clone()), &material)));
        return written.collect::<Vec<_>>().join("\n\n");
    }
    let choice = wish
        .choice
        .as_ref()
        .map(|(label, values)| format!("{label}: {}", chosen(values, &wish.instruction, &material)));
    if wish.line_alone {
        return choice.unwrap_or_default();
    }
    if let Some(most) = wish.max_lines {
        return list(&wish.instruction, most);
    }
    let body = prose(&wish, &material);
    match choice {
        Some(line) => format!("{line}\n\n{body}"),
        None => body,
    }
}

/// The text that instructs, from its last line `You are` on.
fn instruction(messages: &[Message]) -> String {
    let from = |text: &str| {
        let lines: Vec<&str> = text.lines().collect();
        let at = lines.iter().rposition(|line| line.starts_with("You are "))?;
        Some(lines[at..].join("\n"))
    };
    let users = messages.iter().rev().filter(|m| m.role == Role::User);
    let systems = messages.iter().rev().filter(|m| m.role == Role::System);
    users
        .chain(systems)
        .find_map(|message| from(&message.content))
        .or_else(|| messages.iter().rfind(|m| m.role == Role::User).map(|m| m.content.clone()))
        .unwrap_or_default()
}

fn wish(messages: &[Message]) -> Wish {
    let last = messages.iter().rfind(|m| m.role == Role::User).map_or("", |m| m.content.as_str());
    const ALONE: &str = "Answer with the first line alone";
    if let Some((_, line)) = last.rsplit_once(ALONE) {
        return Wish { choice: choice(line), line_alone: true, ..Wish::default() };
    }
    wish_of(instruction(messages))
}

/// The lines that begin the parts of an answer, with the instruction of each; nothing where one answer is wanted.
fn parts(instruction: &str) -> Vec<(String, String)> {
    let mut parts: Vec<(String, String)> = Vec::new();
    if !instruction.starts_with("You are several agents: ") {
        return parts;
    }
    for line in instruction.lines() {
        if line.starts_with("# ") && line.ends_with(']') {
            let name = line[2..].split(' ').next().unwrap_or_default();
            parts.push((line.to_owned(), format!("You are {name}.")));
        } else if let Some((_, own)) = parts.last_mut() {
            own.push('\n');
            own.push_str(line);
        }
    }
    parts
}

fn wish_of(instruction: String) -> Wish {
    let mut wish = Wish {
        max_words: number(&instruction, "word"),
        max_lines: number(&instruction, "line"),
        ..Wish::default()
    };
    for line in instruction.lines() {
        if let Some((_, list)) = line.split_once("each under its heading: ") {
            let names = list.trim_end_matches('.').split(';').map(str::trim);
            wish.sections = names.filter(|name| !name.is_empty()).map(Into::into).collect();
        }
        if let Some((_, rest)) = line.split_once("Begin with the line ") {
            wish.choice = choice(rest);
        }
    }
    Wish { instruction, ..wish }
}

/// The smallest number in "at most N words" or "at most N lines".
fn number(text: &str, unit: &str) -> Option<usize> {
    let found = text.match_indices("at most ").filter_map(|(at, found)| {
        let rest = &text[at + found.len()..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let n = rest[..digits].parse().ok()?;
        rest[digits..].trim_start().starts_with(unit).then_some(n)
    });
    found.min()
}

/// A line `"LABEL [tag]: a, b or c"`, taken apart.
fn choice(text: &str) -> Option<(String, Vec<String>)> {
    let (_, quoted) = text.split_once('"')?;
    let (line, _) = quoted.split_once('"')?;
    let (label, listed) = line.split_once(": ")?;
    let values = listed.split(", ").flat_map(|part| part.split(" or ")).map(str::trim);
    Some((label.to_owned(), values.filter(|value| !value.is_empty()).map(Into::into).collect()))
}

/// What is chosen: the value that the material speaks of most; where it speaks of none one that the question draws. Whoever
/// may end a repetition ends it in a later round.
fn chosen(values: &[String], instruction: &str, material: &str) -> String {
    let go_on = values.iter().find(|value| value.as_str() == "go on");
    if let Some(go_on) = go_on {
        let later = instruction.contains("This is round ");
        return if later { values[0].clone() } else { go_on.clone() };
    }
    let text = material.to_lowercase();
    let mentions = |value: &String| {
        let stem: String = value.to_lowercase().chars().take(6).collect();
        if stem.chars().count() < 4 { 0 } else { text.matches(&stem).count() }
    };
    let best = values.iter().max_by_key(|value| mentions(value)).filter(|value| mentions(value) > 0);
    let fallback = || {
        let other = values.iter().find(|value| value.as_str() == "other");
        let at = (draw(0, instruction.lines().nth(1).unwrap_or_default()) * values.len() as f64) as usize;
        other.or(values.get(at)).cloned().unwrap_or_default()
    };
    best.cloned().unwrap_or_else(fallback)
}

/// What the instruction is about: behind its first colon, else its first sentence.
fn topic(instruction: &str) -> String {
    let line = instruction.lines().find(|line| !line.starts_with("You are ")).unwrap_or_default();
    let about = line.split_once(": ").map_or(line, |(_, about)| about);
    let words: Vec<&str> = about.split_whitespace().take(14).collect();
    words.join(" ").trim_end_matches(['?', '.', ':']).to_owned()
}

const ASPECTS: [&str; 12] = [
    "What is known about",
    "Which figures describe",
    "What has changed lately in",
    "Which risks come with",
    "What does it cost, in",
    "Which alternatives are there to",
    "What speaks against",
    "Who decides about",
    "How is success measured in",
    "Which sources disagree about",
    "What happens next in",
    "What is missing on",
];

/// So many lines as the instruction names, five where it names none.
fn list(instruction: &str, most: usize) -> String {
    let topic = topic(instruction);
    let numbers = instruction.lines().nth(1).unwrap_or_default().split(|c: char| !c.is_ascii_digit());
    let named = numbers.filter_map(|n| n.parse::<usize>().ok()).find(|n| (1..=most).contains(n));
    let n = named.unwrap_or(most.min(5));
    let line = |i: usize| match i / ASPECTS.len() {
        0 => format!("{} {topic}?", ASPECTS[i]),
        again => format!("{} {topic}, part {}?", ASPECTS[i % ASPECTS.len()], again + 1),
    };
    (0..n).map(line).collect::<Vec<_>>().join("\n")
}

/// What is read as data: everything but the instruction, the system's words and one's own.
fn material(messages: &[Message], instruction: &str) -> String {
    let read = messages.iter().filter(|m| matches!(m.role, Role::User | Role::Tool));
    let texts: Vec<String> = read.map(|m| m.content.replace(instruction, "")).collect();
    let text = texts.join("\n");
    match instruction.split_once("What stands under ").and_then(|(_, rest)| rest.split_once(" is put below"))
    {
        Some((names, _)) => without(&text, &names.split(", ").collect::<Vec<_>>()),
        None => text,
    }
}

/// A text without what stands under these headings: what an answer must not repeat.
fn without(text: &str, headings: &[&str]) -> String {
    let mut kept = Vec::new();
    let mut dropped = false;
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            dropped = headings.contains(&heading.trim());
        }
        if !dropped {
            kept.push(line);
        }
    }
    kept.join("\n")
}

/// Sentences of the material, those with figures first, each once.
fn facts(material: &str) -> Vec<&str> {
    let sentences = material.lines().map(str::trim).filter(|line| !line.starts_with('#')).flat_map(|line| {
        let mut sentences = Vec::new();
        let mut rest = line;
        while !rest.is_empty() {
            let (sentence, behind) = lacon_llm::first_sentence(rest);
            sentences.push(sentence.trim());
            rest = behind.trim_start();
        }
        sentences
    });
    let mut seen = std::collections::BTreeSet::new();
    // A row of a table has few words and many figures.
    let says = |s: &str| s.split_whitespace().count() > if has_figure(s) { 0 } else { 3 };
    let mut facts: Vec<&str> = sentences.filter(|s| says(s) && seen.insert(*s)).take(400).collect();
    facts.sort_by_key(|fact| !has_figure(fact));
    facts
}

fn has_figure(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit())
}

/// Prose under the asked headings, of about the asked length.
fn prose(wish: &Wish, material: &str) -> String {
    let u = draw(1, &wish.instruction);
    let words = match wish.max_words {
        Some(most) => most as f64 * (0.85 + 0.25 * u),
        None => FREE_WORDS.0 + (FREE_WORDS.1 - FREE_WORDS.0) * u,
    } as usize;
    let facts = facts(material);
    let topic = topic(&wish.instruction);
    let headings: Vec<Option<&str>> = match wish.sections.as_slice() {
        [] => vec![None],
        sections => sections.iter().map(|section| Some(section.as_str())).collect(),
    };
    let n = headings.len();
    let parts = headings.iter().enumerate().map(|(i, heading)| {
        let own = facts.iter().skip(i).step_by(n).copied();
        let text = sentences(own, &topic, words / n, i);
        match heading {
            Some(heading) => format!("## {heading}\n{text}"),
            None => text,
        }
    });
    parts.collect::<Vec<_>>().join("\n\n")
}

/// Facts until the words are spent, then sentences about the topic.
fn sentences<'f>(facts: impl Iterator<Item = &'f str>, topic: &str, words: usize, salt: usize) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut spent = 0;
    let mut add = |sentence: String, spent: &mut usize| {
        // Rows and links are long for their words.
        *spent += sentence.split_whitespace().count().max(sentence.len() / 8);
        out.push(sentence);
    };
    for fact in facts {
        if spent >= words {
            break;
        }
        let end = if fact.ends_with(['.', '!', '?']) { "" } else { "." };
        add(format!("{fact}{end}"), &mut spent);
    }
    let mut i = 0;
    while spent < words.max(8) {
        add(FILLERS[(i + salt) % FILLERS.len()].replace("{}", topic), &mut spent);
        i += 1;
    }
    out.join(" ")
}

const FILLERS: [&str; 6] = [
    "On {} the material says no more than this.",
    "What follows for {} depends on the points above.",
    "A reader of {} should check the sources that are named.",
    "For {} the order of the steps matters more than their number.",
    "The strongest objection concerns the limits of {}.",
    "None of this settles {} alone.",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str) -> String {
        write(&Request { messages: vec![Message::user(text)], ..Request::new("m") })
    }

    #[test]
    fn the_asked_form_is_kept() {
        let list = ask(
            "You are planner.\nList 3 questions about: trees\nWrite one item a line, at most 9 lines, and nothing else.",
        );
        assert_eq!(list.lines().count(), 3, "{list}");
        let text = ask(
            "## notes\nThe oak is 31.5 m high.\n\nYou are writer.\nWrite about: trees\nWrite these sections, each under \
             its heading: Answer; Sources.\nWrite at most 60 words.\nBegin with the line \"CHOICE [abc]: cut or keep\", with \
             one of them.",
        );
        assert!(text.starts_with("CHOICE [abc]: "), "{text}");
        assert!(
            text.contains("## Answer\n") && text.contains("## Sources\n") && text.contains("31.5"),
            "{text}"
        );
        assert!((40..90).contains(&text.split_whitespace().count()), "{text}");
        assert_eq!(
            ask(
                "<text>\nI would keep it.\n</text>\n\nAnswer with the first line alone, with one of them: \"CHOICE [abc]: cut or keep it\""
            ),
            "CHOICE [abc]: keep it"
        );
    }

    #[test]
    fn any_prompt_has_an_answer() {
        for text in
            ["", "hello", "You are", "Begin with the line \"", "at most 99999999999999999999 words", "\"\":"]
        {
            ask(text);
        }
    }
}
