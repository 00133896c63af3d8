//! Writes an answer from the figures in a prompt. Deterministic: the same prompt gives the same answer.

use lacon_llm::{Message, Role};
use serde_json::Value;

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

/// Words that a role's recorded answers had when nothing limited them.
pub fn usual_words(role: &str) -> usize {
    match role {
        "market" | "social" | "news" | "fundamentals" => 440,
        "bull" | "bear" => 850,
        "judge" => 320,
        "plan" => 540,
        "risky" | "safe" | "neutral" => 660,
        "risk_manager" => 290,
        "trader" => 120,
        _ => 200,
    }
}

/// Reads the wishes of all instructions; where several state a word limit the tightest counts.
pub fn read_wish(messages: &[Message]) -> Wish {
    let mut wish = Wish::default();
    for message in messages.iter().filter(|m| matches!(m.role, Role::System | Role::User)) {
        let mut rest = message.content.as_str();
        while let Some(at) = rest.find("at most ") {
            rest = &rest[at + 8..];
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            if let Ok(n) = digits.parse::<usize>()
                && rest[digits.len()..].trim_start().starts_with("word")
            {
                wish.max_words = Some(wish.max_words.map_or(n, |m| m.min(n)));
            }
        }
        for line in message.content.lines() {
            if let Some(list) = line.trim().strip_prefix("Cover: ") {
                wish.sections = list
                    .trim_end_matches('.')
                    .split(';')
                    .map(|s| s.trim().to_owned())
                    .filter(|s| !s.is_empty())
                    .collect();
            }
            let label = |before: &str| {
                Some(line.split_once(before)?.1.split_once(": BUY, SELL or HOLD")?.0.to_owned())
            };
            wish.ending = label("End with the line \"").or(wish.ending.take());
            wish.opening = label("Begin with the line \"").or(wish.opening.take());
            if line.starts_with("Answer with the first line alone") {
                wish.opening = label(": \"");
                wish.line_alone = wish.opening.is_some();
            }
        }
    }
    wish
}

/// The lines of the data in a prompt that carry a figure, each at most 30 words.
fn figures(messages: &[Message]) -> Vec<String> {
    let mut lines = Vec::new();
    for message in messages.iter().filter(|m| matches!(m.role, Role::User | Role::Tool)) {
        for line in message.content.lines() {
            let line = line.trim_start_matches(['#', '-', '*', '|', ' ']).trim_end_matches(['|', ' ']);
            let line = without_voice(line);
            let row = price_row(line);
            let line = row.as_deref().unwrap_or(line);
            let instruction =
                ["Cover:", "Tool result:", "Stock:", "no data"].iter().any(|head| line.starts_with(head))
                    || line.contains("at most ");
            let has_figure = line.bytes().any(|b| b.is_ascii_digit());
            if has_figure && !instruction && line.len() >= 8 {
                let words: Vec<&str> = line.split_whitespace().take(30).collect();
                lines.push(words.join(" ").trim_end_matches(['.', ';', ',']).to_owned());
            }
        }
    }
    lines.dedup();
    lines
}

/// A row of a price table as a phrase; long rows of numbers are no sentence.
fn price_row(line: &str) -> Option<String> {
    let cells: Vec<&str> = line.split(',').map(str::trim).collect();
    let dated = cells[0].len() == 10 && cells[0].as_bytes()[4] == b'-';
    (dated && cells.len() >= 6 && !cells[4].is_empty())
        .then(|| format!("on {} the close was {}", cells[0], cells[4]))
}

/// A line without the opening words that an earlier answer put before it.
fn without_voice(line: &str) -> &str {
    VOICES
        .iter()
        .flat_map(|voices| voices.iter())
        .find_map(|voice| line.strip_prefix(voice))
        .map_or(line, |rest| rest.trim_start())
}

/// BUY, SELL or HOLD: what the prompt's own decision lines say, else the drift of its prices, else HOLD.
pub fn lean(messages: &[Message]) -> &'static str {
    let text: String = messages.iter().map(|m| m.content.as_str()).collect::<Vec<_>>().join("\n");
    // The instruction that asks for such a line is none.
    let lines = || text.lines().filter(|l| !l.contains("BUY, SELL or HOLD"));
    let word = |l: &str| {
        const RATINGS: [(&str, &str); 4] =
            [(" Overweight", "BUY"), (" Underweight", "SELL"), (" Buy", "BUY"), (" Sell", "SELL")];
        let rated = RATINGS.iter().find(|(rating, _)| l.starts_with(rating)).map(|(_, action)| *action);
        let held = l.starts_with(" Hold").then_some("HOLD");
        rated.or(held).or_else(|| ["BUY", "SELL", "HOLD"].into_iter().find(|w| l.contains(w)))
    };
    let after = |label: &str| lines().filter_map(|l| word(l.split_once(label)?.1)).collect::<Vec<_>>();
    // Whoever decided last is followed; the analysts' signals are counted.
    for label in ["FINAL DECISION:", "FINAL TRANSACTION PROPOSAL:", "RECOMMENDATION:", "Recommendation:"] {
        if let Some(last) = after(label).last() {
            return last;
        }
    }
    let labelled = after("Signal:");
    if !labelled.is_empty() {
        let count = |w: &str| labelled.iter().filter(|l| **l == w).count();
        return match count("BUY").cmp(&count("SELL")) {
            std::cmp::Ordering::Greater => "BUY",
            std::cmp::Ordering::Less => "SELL",
            std::cmp::Ordering::Equal => "HOLD",
        };
    }
    let closes: Vec<f64> = text
        .lines()
        .filter_map(|l| {
            let cells: Vec<&str> = l.split([',', '|']).map(str::trim).collect();
            let dated = cells.first().is_some_and(|c| c.len() == 10 && c.as_bytes()[4] == b'-');
            (dated && cells.len() >= 6).then(|| cells[4].parse().ok()).flatten()
        })
        .collect();
    let Some(last) = closes.last() else { return "HOLD" };
    let mean = closes.iter().sum::<f64>() / closes.len() as f64;
    match last / mean {
        r if r > 1.03 => "BUY",
        r if r < 0.97 => "SELL",
        _ => "HOLD",
    }
}

/// Opening words for a figure, so that the two sides of a debate do not sound alike: for, against, between, plain.
const VOICES: [&[&str]; 4] = [
    &["Upside rests on this:", "In favor:", "The case gains from", "Strength shows in"],
    &["The danger lies in", "Against it:", "Capital is at risk from", "Weakness shows in"],
    &["Both sides must weigh", "Balanced against the rest:", "Open to either reading:"],
    &["The data shows", "On record:", "Of note:", "Measured:"],
];

fn voices(role: &str) -> &'static [&'static str] {
    match role {
        "bull" | "risky" => VOICES[0],
        "bear" | "safe" => VOICES[1],
        "neutral" | "judge" => VOICES[2],
        _ => VOICES[3],
    }
}

/// Writes the answer of a role; where the prompt asks for several parts each of them, under its heading, as whoever its
/// instruction addresses.
pub fn write(role: &str, messages: &[Message], seed: u64) -> String {
    let Some(parts) = read_parts(messages) else { return write_one(role, messages, seed) };
    let written = parts.iter().zip(seed..).map(|(part, seed)| {
        let mut messages = messages.to_vec();
        messages[part.message].content = part.asked.clone();
        let role = part.role.as_deref().unwrap_or(role);
        format!("# {}\n{}", part.heading, write_one(role, &messages, seed))
    });
    written.collect::<Vec<_>>().join("\n\n")
}

/// A part of an answer that is asked for.
#[derive(Debug)]
struct AskedPart {
    heading: String,
    /// Who its instruction addresses, where that is not who is asked.
    role: Option<String>,
    /// The message that asks for all parts, and that message as one that asks for this part alone.
    message: usize,
    asked: String,
}

/// The parts that the last "Answer in … parts" of a prompt asks for: a heading, then the part's instruction.
fn read_parts(messages: &[Message]) -> Option<Vec<AskedPart>> {
    let opens = |line: &str| line.starts_with("Answer in ") && line.contains(" parts");
    let (message, lines, at) = messages.iter().enumerate().rev().find_map(|(i, message)| {
        let lines: Vec<&str> = message.content.lines().collect();
        let at = lines.iter().rposition(|line| opens(line))?;
        Some((i, lines, at))
    })?;
    let before = lines[..at].join("\n");
    let mut parts: Vec<AskedPart> = Vec::new();
    for line in &lines[at + 1..] {
        if let Some(heading) = line.strip_prefix("# ") {
            let heading = heading.trim().to_owned();
            parts.push(AskedPart { heading, role: None, message, asked: before.clone() });
        } else if let Some(part) = parts.last_mut() {
            if line.starts_with("Role: debate judge") {
                part.role = Some("judge".into());
            }
            let words = line.strip_prefix("Words of this part: ").map(|n| n.trim_end_matches('.'));
            part.asked.push('\n');
            match words {
                Some(words) => part.asked.push_str(&format!("Write at most {words} words.")),
                None => part.asked.push_str(line),
            }
        }
    }
    (parts.len() > 1).then_some(parts)
}

/// Writes an answer of one part.
fn write_one(role: &str, messages: &[Message], seed: u64) -> String {
    let wish = read_wish(messages);
    let lean = lean(messages);
    if role == "signal" {
        return lean.to_owned();
    }
    let budget = wish.max_words.map_or(usual_words(role), |m| m.min(usual_words(role))).max(20);
    let facts = figures(messages);
    let voices = voices(role);
    let sections = if wish.sections.is_empty() { vec!["Assessment".to_owned()] } else { wish.sections };
    let line = |label: &Option<String>| label.as_deref().map(|label| format!("{label}: {lean}"));
    let (opening, ending) = (line(&wish.opening), line(&wish.ending));
    if let (true, Some(line)) = (wish.line_alone, &opening) {
        return line.clone();
    }
    let lines = [&opening, &ending];
    let reserved = 8 + lines.into_iter().flatten().map(|l| l.split_whitespace().count()).sum::<usize>();
    let per_section = budget.saturating_sub(reserved) / sections.len().max(1);
    let mut text = opening.map(|line| format!("{line}\n\n")).unwrap_or_default();
    // A stride that shares no factor with the number of facts visits each fact once before any twice.
    let n = facts.len().max(1);
    let stride = (1..).map(|k| seed as usize % n + k).find(|s| gcd(*s, n) == 1).unwrap_or(1);
    let mut at = seed as usize % n;
    let mut told = 0;
    for (i, section) in sections.iter().enumerate() {
        text.push_str(&format!("## {section}\n"));
        let mut words = section.split_whitespace().count() + 1;
        let mut k = 0;
        loop {
            let sentence = match facts.get(at) {
                Some(fact) if told < facts.len() => format!("{} {fact}.", voices[(i + k) % voices.len()]),
                _ if k == 0 => "No further figure was given on this point.".to_owned(),
                _ => break,
            };
            let length = sentence.split_whitespace().count();
            if words + length > per_section && k > 0 {
                break;
            }
            text.push_str(&sentence);
            text.push('\n');
            words += length;
            at = (at + stride) % n;
            told += 1;
            k += 1;
            if words >= per_section {
                break;
            }
        }
    }
    if matches!(role, "market" | "social" | "news" | "fundamentals") && ending.is_none() {
        text.push_str(&format!("Signal: {lean}\n"));
    }
    if let Some(ending) = ending {
        text.push_str(&ending);
    }
    text.trim_end().to_owned()
}

/// Writes the answer of a role in a form: words of decisions follow from the prompt, texts are cut from the role's answer, prices are
/// the last close and what lies around it.
pub fn write_form(role: &str, messages: &[Message], schema: &Value, seed: u64) -> Value {
    let prose = write(role, messages, seed);
    let sentences: Vec<&str> = prose.lines().filter(|l| !l.starts_with('#') && !l.contains(": ")).collect();
    let close = last_close(messages);
    let lean = lean(messages);
    fill(schema, &Material { sentences: &sentences, close, lean, seed }, 0)
}

struct Material<'a> {
    sentences: &'a [&'a str],
    close: Option<f64>,
    lean: &'static str,
    seed: u64,
}

/// Deepest nesting of a form.
const MOST_DEPTH: usize = 8;

fn fill(schema: &Value, material: &Material<'_>, depth: usize) -> Value {
    if depth > MOST_DEPTH {
        return Value::Null;
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return choose(words, material);
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let nullable = types.contains(&"null");
    match types.first().copied() {
        Some("object") => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let n = properties.map_or(1, |p| p.len().max(1));
            let share = material.sentences.len().div_ceil(n).max(1);
            let mut parts = material.sentences.chunks(share);
            let fields = properties.into_iter().flatten().map(|(name, of)| {
                let sentences = parts.next().unwrap_or_default();
                (name.clone(), fill(of, &Material { sentences, ..*material }, depth + 1))
            });
            Value::Object(fields.collect())
        }
        Some("array") => {
            let items = schema.get("items").cloned().unwrap_or_default();
            Value::Array(vec![fill(&items, material, depth + 1)])
        }
        Some("number" | "integer") => match material.close {
            Some(close) => {
                let factor = 0.95 + (material.seed % 11) as f64 / 100.0;
                ((close * factor * 100.0).round() / 100.0).into()
            }
            None if nullable => Value::Null,
            None => 0.into(),
        },
        Some("boolean") => (material.lean == "BUY").into(),
        Some("null") => Value::Null,
        _ if material.sentences.is_empty() && nullable => Value::Null,
        _ if material.sentences.is_empty() => "No further figure was given on this point.".into(),
        _ => material.sentences.join(" ").into(),
    }
}

/// The word of a list that the prompt leans to; of five ratings the milder one where the seed says so.
fn choose(words: &[Value], material: &Material<'_>) -> Value {
    let mild = material.seed.is_multiple_of(2);
    let wanted: &[&str] = match material.lean {
        "BUY" if mild => &["overweight", "buy"],
        "BUY" => &["buy", "overweight"],
        "SELL" if mild => &["underweight", "sell"],
        "SELL" => &["sell", "underweight"],
        _ => &["hold", "neutral"],
    };
    let named =
        |wanted: &&str| words.iter().find(|w| w.as_str().is_some_and(|w| w.eq_ignore_ascii_case(wanted)));
    let any = words.get(material.seed as usize % words.len().max(1));
    wanted.iter().find_map(named).or(any).cloned().unwrap_or_default()
}

/// The last price that the prompt names as a close.
fn last_close(messages: &[Message]) -> Option<f64> {
    let text: String = messages.iter().map(|m| m.content.as_str()).collect::<Vec<_>>().join("\n");
    let (_, after) = text.rsplit_once("close was ")?;
    let end = after.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(after.len());
    after[..end].trim_end_matches('.').parse().ok()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(text: &str) -> Vec<Message> {
        vec![Message::user(text)]
    }

    #[test]
    fn wishes_are_read() {
        let wish = read_wish(&prompt(
            "Write at most 300 words.\nCover: Summary; Risk.\nEnd with the line \"Signal: BUY, SELL or HOLD\".",
        ));
        assert_eq!(wish.max_words, Some(300));
        assert_eq!(wish.sections, ["Summary", "Risk"]);
        assert_eq!(wish.ending.as_deref(), Some("Signal"));
    }

    #[test]
    fn answers_keep_to_the_limit_and_cite_the_data() {
        let data: String =
            (0..80).map(|i| format!("2025-07-{:02},1,2,3,{}.25,100\n", i % 28 + 1, i)).collect();
        let messages = prompt(&format!("{data}\nCover: Summary; Risk.\nWrite at most 120 words."));
        let text = write("market", &messages, 7);
        assert!(text.split_whitespace().count() <= 120, "{text}");
        assert!(text.contains("## Summary") && text.contains("## Risk") && text.contains(".25"));
        assert_eq!(text, write("market", &messages, 7));
    }

    #[test]
    fn each_part_is_written_under_its_heading_and_within_its_words() {
        let data: String = (0..60).map(|i| format!("- On record: the level was {i}.25 then.\n")).collect();
        let messages = prompt(&format!(
            "{data}\nAnswer in two parts, each under its heading exactly as it stands here, at most 120 words in all.\n\n\
             # Investment plan\nRole: research manager. Decide.\nCover: Recommendation; Risk.\nWords of this part: 80.\n\
             End with the line \"Recommendation: BUY, SELL or HOLD\", with one of the three.\n\n\
             # Judgement of the debate\nRole: debate judge. Weigh both.\nWords of this part: 40."
        ));
        let text = write("plan", &messages, 3);
        let (plan, judgement) = text.split_once("\n\n# Judgement of the debate\n").unwrap();
        let words = |text: &str| text.split_whitespace().count();
        assert!(plan.starts_with("# Investment plan\n") && plan.ends_with("Recommendation: HOLD"), "{plan}");
        assert!(words(plan) <= 83 && (10..=40).contains(&words(judgement)), "{text}");
        assert!(!judgement.contains("Recommendation") && judgement.contains(".25"), "{judgement}");
        assert_eq!(text, write("plan", &messages, 3));
    }

    #[test]
    fn an_answer_in_a_form_fits_it() {
        let schema = serde_json::json!({"type": "object", "required": ["rating", "why", "target", "when"],
            "additionalProperties": false, "properties": {
                "rating": {"type": "string", "enum": ["Buy", "Overweight", "Hold", "Underweight", "Sell"]},
                "why": {"type": "string"}, "target": {"type": ["number", "null"]}, "when": {"type": ["string", "null"]}}});
        let messages = prompt(
            "On record: on 2025-07-30 the close was 181.64.\nRecommendation: Underweight\nWrite at most 80 words.",
        );
        for seed in 0..9 {
            let text = write_form("risk_manager", &messages, &schema, seed).to_string();
            let fitted = lacon_llm::structured::fit(&schema, &text).unwrap();
            assert_eq!(fitted.changes, [""; 0], "{text}");
            let rating = fitted.value["rating"].as_str().unwrap();
            assert!(["Sell", "Underweight"].contains(&rating), "{text}");
            assert!((150.0..200.0).contains(&fitted.value["target"].as_f64().unwrap()), "{text}");
        }
    }

    #[test]
    fn the_last_decision_line_wins() {
        assert_eq!(lean(&prompt("Signal: BUY\nSignal: BUY\nFINAL DECISION: SELL")), "SELL");
        assert_eq!(lean(&prompt("Signal: BUY\nSignal: SELL")), "HOLD");
        assert_eq!(lean(&prompt("nothing")), "HOLD");
    }
}
