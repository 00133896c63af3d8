//! One call for plan and judge: the division of its answer.
//!
//! The plan comes first: the risk roles wait only for it, and a cut answer then loses the end of the judgment, which is
//! asked for again beside them. Nothing is dropped but the two headings and rules between the parts.

/// The optimization's name.
pub const OPTIMIZATION: &str = "merged_judge";

/// One of the two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The investment plan.
    Plan,
    /// What the judge says of the debate.
    Judgement,
}

impl Part {
    /// The heading that is asked for.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Plan => "Investment plan",
            Self::Judgement => "Judgement of the debate",
        }
    }

    /// What a heading of the part may be, in lower case; the one that is asked for first.
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Plan => &["investment plan", "the investment plan", "plan"],
            Self::Judgement => &[
                "judgement of the debate",
                "judgment of the debate",
                "judgement",
                "judgment",
                "debate judgement",
                "debate judgment",
            ],
        }
    }
}

/// An answer, divided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The plan, or all of an answer without headings; none where it is empty.
    pub plan: Option<String>,
    /// The judgment; none where it is missing or empty.
    pub judgement: Option<String>,
    /// Whether the plan stands under its heading.
    pub titled: bool,
    /// The part that the answer ends in.
    pub last: Option<Part>,
}

/// How surely a line opens a part; the surest kind that an answer has for a part counts, the others are text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    /// The heading that was asked for, in a line of its own.
    Asked,
    /// Another name of the part, in a line of its own.
    Named,
    /// A heading that begins with the name and says more.
    Begun,
    /// The name and a colon before text.
    Inline,
}

/// Divides an answer at the headings of its parts, in whatever form of Markdown they stand.
pub fn split(answer: &str) -> Parts {
    let lines: Vec<&str> = answer.lines().collect();
    let marks: Vec<Option<(Part, Mark)>> =
        (0..lines.len()).map(|i| mark(lines[i], lines.get(i + 1).copied())).collect();
    let surest = |part| marks.iter().flatten().filter(|(of, _)| *of == part).map(|(_, mark)| *mark).min();
    let (of_plan, of_judgement) = (surest(Part::Plan), surest(Part::Judgement));
    let (mut lead, mut plan, mut judgement) = (Vec::new(), Vec::new(), Vec::new());
    let (mut current, mut first) = (None, None);
    for (line, mark) in lines.iter().zip(&marks) {
        let opened = mark.filter(|(part, mark)| {
            let surest = if *part == Part::Plan { of_plan } else { of_judgement };
            surest == Some(*mark) && current != Some(*part)
        });
        let mut rest = Some(*line);
        if let Some((part, mark)) = opened {
            current = Some(part);
            first = first.or(current);
            rest = match mark {
                Mark::Asked | Mark::Named => None,
                Mark::Begun => rest,
                Mark::Inline => {
                    line.split_once(':').map(|(_, rest)| rest.trim_start_matches(['*', '_', ' ']))
                }
            };
        }
        let into = match current {
            None => &mut lead,
            Some(Part::Plan) => &mut plan,
            Some(Part::Judgement) => &mut judgement,
        };
        into.extend(rest);
    }
    // What stands before the first heading belongs to it, unless it is the plan whose heading was forgotten.
    let titled = of_plan.is_some();
    match first {
        Some(Part::Judgement) if titled => judgement.splice(..0, lead),
        _ => plan.splice(..0, lead),
    }
    .for_each(drop);
    let [plan, judgement] = [plan, judgement].map(|lines| text(&lines));
    let last = current.or(plan.is_some().then_some(Part::Plan));
    Parts { plan, judgement, titled, last }
}

/// The lines of a part, without the blank ones and the rules around them.
fn text(lines: &[&str]) -> Option<String> {
    let says = |line: &&str| !line.trim().is_empty() && !is_rule(line);
    let begin = lines.iter().position(says)?;
    let end = lines.iter().rposition(says)?;
    Some(lines[begin..=end].join("\n").trim_end().to_owned())
}

/// A line that divides or underlines.
fn is_rule(line: &str) -> bool {
    let line = line.trim();
    line.len() >= 3 && ['-', '=', '*', '_'].iter().any(|c| line.chars().all(|found| found == *c))
}

/// Whether a line opens a part.
fn mark(line: &str, next: Option<&str>) -> Option<(Part, Mark)> {
    let line = line.trim();
    let bare = title(line);
    let heading = line.starts_with('#')
        || ["**", "__"].iter().any(|b| line.starts_with(b) && line.trim_end_matches(':').ends_with(b))
        || next.is_some_and(|next| {
            let next = next.trim();
            next.len() >= 3 && ['=', '-'].iter().any(|c| next.chars().all(|found| found == *c))
        });
    [Part::Plan, Part::Judgement].into_iter().find_map(|part| {
        let names = part.names();
        if let Some(at) = names.iter().position(|name| bare == *name) {
            // "Judgment" differs from what was asked for by its spelling alone.
            let asked = at == 0 || (part == Part::Judgement && at == 1);
            return Some((part, if asked { Mark::Asked } else { Mark::Named }));
        }
        let begins = |name: &&&str| {
            bare.strip_prefix(**name).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
        };
        let name = names.iter().filter(|name| **name != "plan").find(begins)?;
        if heading {
            return Some((part, Mark::Begun));
        }
        let (label, rest) = line.split_once(':')?;
        (title(label) == **name && !rest.trim_matches(['*', '_', ' ']).is_empty())
            .then_some((part, Mark::Inline))
    })
}

/// The words of a heading in lower case, without marks and numbering.
fn title(line: &str) -> String {
    let bare = |text: &str| text.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let mut text = bare(line);
    for word in ["part", "section"] {
        if let Some(rest) = text.strip_prefix(word).filter(|rest| rest.starts_with(' ')) {
            text = rest.trim_start().to_owned();
        }
    }
    const NUMBERS: [&str; 10] = ["1", "2", "i", "ii", "a", "b", "one", "two", "first", "second"];
    if let Some((number, rest)) = text.split_once(|c: char| !c.is_alphanumeric())
        && NUMBERS.contains(&number)
    {
        text = bare(rest);
    }
    text
}
