//! The reasons in a deciding text: why it decides so, not how much and at which price.

/// Most arguments that a decision shows.
const MOST: usize = 5;

/// Headings of the part that holds the arguments.
const WHY: [&str; 10] = [
    "reason",
    "rationale",
    "why",
    "because",
    "thesis",
    "justification",
    "argument",
    "summary",
    "begründung",
    "basis",
];
/// Labels of lines that say what to do, not why.
const ORDER: [&str; 22] = [
    "size",
    "sizing",
    "position",
    "stop",
    "target",
    "entry",
    "exit",
    "horizon",
    "confidence",
    "time",
    "allocation",
    "price",
    "action",
    "execution",
    "tranche",
    "decision",
    "recommendation",
    "proposal",
    "rating",
    "hedge",
    "monitor",
    "review",
];

/// Up to five arguments of a text, as they stand there and in their order: list items and sentences under a heading that speaks of
/// reasons, else all; orders, headings, tables, quotes and code are none.
pub fn reasons(text: &str) -> Vec<String> {
    let mut sections: Vec<(bool, Vec<&str>)> = vec![(false, Vec::new())];
    let mut fenced = false;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("```") || line.starts_with("~~~") {
            fenced = !fenced;
            continue;
        }
        let is_table = line.starts_with('|') || line.matches('|').count() > 2;
        if fenced
            || line.is_empty()
            || is_table
            || line.starts_with('>')
            || line.chars().all(|c| "-=*_ ".contains(c))
        {
            continue;
        }
        let is_item = is_item(line);
        let bare = bare(line);
        let (label, rest) = bare.split_once([':', '：']).map_or((bare, ""), |(label, rest)| (label, rest));
        let rest = rest.trim_matches(['*', '_', ' ']);
        let is_heading = line.starts_with('#')
            || (rest.is_empty()
                && (line.trim_end_matches(['*', '_', ' ']).ends_with(':')
                    || line.starts_with("**") && line.ends_with("**")));
        if is_heading {
            sections.push((has(label, &WHY) && !has(label, &ORDER), Vec::new()));
            continue;
        }
        let is_order = label.split_whitespace().count() <= 4 && !rest.is_empty() && has(label, &ORDER);
        // "Reasons: one. Two." on one line is a heading with its text.
        let inline = label.split_whitespace().count() <= 3 && !rest.is_empty() && has(label, &WHY);
        if inline {
            sections.push((true, sentences(rest)));
        } else if let (Some((_, lines)), false) = (sections.last_mut(), is_order) {
            if is_item { lines.push(bare) } else { lines.extend(sentences(bare)) }
        }
    }
    let named: Vec<&str> =
        sections.iter().filter(|(why, _)| *why).flat_map(|(_, lines)| lines).copied().collect();
    let all = sections.iter().flat_map(|(_, lines)| lines).copied();
    let argues = |line: &&str| line.split_whitespace().count() >= 4;
    let pick = |lines: &mut dyn Iterator<Item = &str>| -> Vec<String> {
        lines.filter(argues).take(MOST).map(str::to_owned).collect()
    };
    let found = pick(&mut named.into_iter());
    if found.is_empty() { pick(&mut { all }) } else { found }
}

fn is_item(line: &str) -> bool {
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    line.starts_with(['-', '•', '–', '+'])
        || line.starts_with("* ")
        || ((1..=2).contains(&digits) && line[digits..].starts_with(['.', ')']))
}

/// A line without the marks of lists and headings.
fn bare(line: &str) -> &str {
    let line = line.trim_start_matches(['-', '•', '–', '+', '#', '*', ' ']);
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    match line[digits..].strip_prefix(['.', ')']) {
        Some(rest) if (1..=2).contains(&digits) && rest.starts_with(' ') => {
            rest.trim_start().trim_start_matches('*')
        }
        _ => line,
    }
}

fn has(label: &str, words: &[&str]) -> bool {
    let lower = label.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).any(|part| {
        words
            .iter()
            .any(|word| part == *word || part.strip_suffix('s').is_some_and(|singular| singular == *word))
    })
}

/// The sentences of a line.
fn sentences(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (first, after) = lacon_llm::first_sentence(rest);
        found.push(first.trim());
        rest = after.trim_start();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_what_the_text_gives_as_reasons() {
        let text = "FINAL DECISION: SELL\n\nThe stock is 22.7 % below its high. Momentum is negative.\n\n## Reasons\n- **Trend**: the close of 181.64 is below the average.\n- Nobody on either side expects better margins.\n\n## Size and stop\n- Size: sell half of the position at 180\n- Stop: 195.20 on a closing basis\n";
        assert_eq!(
            reasons(text),
            [
                "Trend**: the close of 181.64 is below the average.",
                "Nobody on either side expects better margins."
            ]
        );
        let plain = "FINAL DECISION: HOLD\n\nConfidence: 60 %\nThe trend is down vs. June, at 181.64. The debate leaves both sides open.\nEntry: 170 to 175\n| a | b |\n";
        assert_eq!(
            reasons(plain),
            ["The trend is down vs. June, at 181.64.", "The debate leaves both sides open."]
        );
        assert!(reasons("FINAL DECISION: BUY").is_empty() && reasons("").is_empty());
    }
}
