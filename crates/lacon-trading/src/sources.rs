//! The tools' answers of a run as the sources of its figures, and the marks that name them.
//!
//! [`Evidence`] says which answer shows a figure. Answers are numbered by what was asked, not by when it came, so that equal
//! runs name equal numbers.

use std::{fmt::Write as _, path::Path};

use lacon_market::{
    catalog,
    provenance::{Provenance, Record},
};
use lacon_monitor::{
    RunRecord,
    evidence::{Counted, Evidence, Found},
    record::ToolCall,
};
use lacon_runtime::JOURNAL;
use serde_json::{Map, Value};

use crate::team;

/// Largest file that is read.
const MOST_BYTES: u64 = 64 << 20;

pub(crate) fn read_bounded(folder: &Path, name: &str) -> Result<String, String> {
    let path = folder.join(name);
    let failed = |e: &dyn std::fmt::Display| format!("{}: cannot be read: {e}", path.display());
    let size = std::fs::metadata(&path).map_err(|e| failed(&e))?.len();
    if size > MOST_BYTES {
        return Err(format!(
            "{}: has {size} bytes, the limit is {MOST_BYTES}\nhint: this is no file of a run",
            path.display()
        ));
    }
    std::fs::read_to_string(&path).map_err(|e| failed(&e))
}

/// A tool's answer as a model read it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    /// The text.
    pub text: String,
    /// Whether it says that there is none of the data that was asked for.
    pub no_data: bool,
}

/// The sources of a finished run, from the books and the journal in its folder; both may be missing.
pub fn of_run(folder: &Path, run: &RunRecord) -> (Sources, Vec<Shown>) {
    let shown = shown(&read_bounded(folder, JOURNAL).unwrap_or_default());
    let books =
        read_bounded(folder, "provenance.json").ok().and_then(|text| serde_json::from_str(&text).ok());
    let books: Option<Provenance> = books.and_then(|value: Value| Provenance::read(&value).ok());
    let records = books.map(|books| books.records()).unwrap_or_default();
    (Sources::new(&run.tools, records, &shown), shown)
}

/// The tools' answers that a journal keeps, in their order.
pub fn shown(journal: &str) -> Vec<Shown> {
    let lines = journal.lines().filter_map(|line| serde_json::from_str::<Value>(line.get(9..)?).ok());
    lines
        .filter(|line| line["kind"] == "tool")
        .filter_map(|line| {
            let tool = &line["fact"]["tool"];
            Some(Shown {
                name: tool["name"].as_str()?.to_owned(),
                arguments: tool["args"].as_object()?.clone(),
                text: line["text"].as_str()?.to_owned(),
                no_data: line["no_data"] == true,
            })
        })
        .collect()
}

/// An answer of a tool as the table of sources shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Its number in the report.
    pub number: usize,
    /// The tool.
    pub tool: String,
    /// Its arguments.
    pub asked: String,
    /// Who sent the data.
    pub vendor: String,
    /// First and last day that were asked for.
    pub window: String,
    /// When it was sent, or read.
    pub retrieved: String,
}

/// A figure in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Where it begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Where its unit ends.
    pub unit_end: usize,
    /// Where it comes from; [`Found::Shown`] names a row.
    pub found: Found,
}

/// The answers of a run's tools by the figures in them.
#[derive(Debug, Default)]
pub struct Sources {
    /// The answers.
    pub rows: Vec<Row>,
    /// The roles that asked for each row.
    askers: Vec<Vec<String>>,
    evidence: Evidence,
}

impl Sources {
    /// From the books, and from the texts of answers that are in no books: those of an earlier process, of a tape, of own tools.
    pub fn new(calls: &[ToolCall], books: Vec<Record>, shown: &[Shown]) -> Self {
        let mut answers: Vec<(Row, String)> = Vec::new();
        let known = |answers: &[(Row, String)], tool: &str, asked: &str| {
            answers.iter().any(|(row, _)| row.tool == tool && row.asked == asked)
        };
        for record in books {
            let row = row(&record);
            // Equal calls are answered once, but a source may be asked again when the cache is off.
            if !known(&answers, &row.tool, &row.asked) {
                // A refusal may name windows and counts, which are no data.
                answers.push((row, if record.status == "ok" { record.text } else { String::new() }));
            }
        }
        for answer in shown {
            let asked = asked(&answer.arguments);
            if !known(&answers, &answer.name, &asked) {
                let source = calls.iter().find(|t| t.name == answer.name).map(|t| t.source.clone());
                let row = Row {
                    tool: answer.name.clone(),
                    asked,
                    vendor: source.unwrap_or_default(),
                    window: "–".into(),
                    retrieved: "–".into(),
                    number: 0,
                };
                answers.push((row, if answer.no_data { String::new() } else { answer.text.clone() }));
            }
        }
        let place = |row: &Row| {
            let at = catalog::TOOLS.iter().position(|t| t.name == row.tool).unwrap_or(usize::MAX);
            (at, row.tool.clone(), row.asked.clone())
        };
        answers.sort_by_cached_key(|(row, _)| place(row));
        let mut sources = Self::default();
        for (i, (row, text)) in answers.into_iter().enumerate() {
            sources.evidence.add(i, &text);
            let asked_for = |call: &&ToolCall| {
                call.name == row.tool && call.args.as_object().map(asked).as_ref() == Some(&row.asked)
            };
            sources.askers.push(calls.iter().filter(asked_for).map(|call| call.role.clone()).collect());
            sources.rows.push(Row { number: i + 1, ..row });
        }
        team::wordings().for_each(|wording| sources.evidence.instruct(&wording));
        sources.evidence.seal();
        sources
    }

    /// The vendors, each once.
    pub fn vendors(&self) -> String {
        let vendors = self.rows.iter().map(|r| r.vendor.split(" (").next().unwrap_or_default().to_owned());
        let names = once(vendors.filter(|v| !v.is_empty()).collect());
        if names.is_empty() { "–".into() } else { names.join(", ") }
    }

    /// The figures of a role's text; answers that the role asked for go before those of others.
    pub fn marks(&self, role: &str, text: &str) -> Vec<Mark> {
        let own = |row: usize| self.askers[row].iter().any(|asker| asker == role);
        let traced = self.evidence.trace(text, own).into_iter();
        let marks = traced.map(|(figure, found)| {
            let (start, end) = (figure.range.start, figure.range.end);
            Mark { start, end, unit_end: figure.unit_end, found }
        });
        marks.collect()
    }

    /// How many figures of a role's text come from where.
    pub fn counted(&self, role: &str, text: &str) -> Counted {
        let mut counted = Counted::default();
        self.marks(role, text).iter().for_each(|mark| counted.add(mark.found));
        counted
    }

    /// The text with the number of its source behind each figure, and where its figures come from; the text as it is where no
    /// answer is known at all.
    pub fn marked(&self, role: &str, text: &str) -> (String, Counted) {
        let marks = self.marks(role, text);
        let mut counted = Counted::default();
        marks.iter().for_each(|mark| counted.add(mark.found));
        if self.rows.is_empty() {
            return (text.to_owned(), counted);
        }
        let mut out = String::with_capacity(text.len() + text.len() / 4);
        let mut at = 0;
        for mark in marks {
            out.push_str(&text[at..mark.unit_end]);
            match mark.found {
                Found::Shown(i) => {
                    let _ = write!(out, " [{}]", self.rows[i].number);
                }
                Found::Computed => out.push_str(" [=]"),
                Found::Nowhere => out.push_str(" [?]"),
                Found::Unchecked => {}
            }
            at = mark.unit_end;
        }
        out.push_str(&text[at..]);
        (out, counted)
    }

    /// The table of sources as a section, behind the texts that carry its numbers.
    pub fn section_markdown(&self, counted: Counted) -> String {
        let head = "\n# Sources of the figures\n\n";
        if self.rows.is_empty() {
            return format!("{head}No answer of a tool is known, so no figure can be traced.\n");
        }
        let mut out = format!("{head}{}\n\n", explained(counted));
        out.push_str("| # | tool | asked for | vendor | window | retrieved |\n|---|---|---|---|---|---|\n");
        for row in &self.rows {
            let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} |",
                row.number,
                cell(&row.tool),
                cell(&row.asked),
                cell(&row.vendor),
                cell(&row.window),
                cell(&row.retrieved)
            );
        }
        out
    }

    /// Vendor, window and time of the answers of some tools, each once.
    pub fn of_tools(&self, tools: &[String]) -> Vec<String> {
        let rows = self.rows.iter().filter(|row| tools.contains(&row.tool));
        once(rows.map(|r| format!("{}, {}, retrieved {}", r.vendor, r.window, r.retrieved)).collect())
    }
}

/// What the marks mean, with how many there are of each.
pub fn explained(counted: Counted) -> String {
    format!(
        "{} figures stand in an answer of a tool, or round one of its values, and carry its number. {} are the change between two such \
         figures beside them, or a share: `[=]`. {} are neither: `[?]`; a model computed, remembered or invented them. {} more were not \
         checked: whole numbers below 100, years, and numbers of the instruction.",
        counted.shown, counted.computed, counted.nowhere, counted.unchecked
    )
}

/// The values of a call in their order.
fn asked(arguments: &Map<String, Value>) -> String {
    let values = arguments.values().map(|v| v.as_str().map_or_else(|| v.to_string(), Into::into));
    values.collect::<Vec<String>>().join(" ")
}

/// A record of the books as a row.
fn row(record: &Record) -> Row {
    let vendors = once(record.origins.iter().map(|o| o.vendor.clone()).collect()).join(", ");
    let window = record.origins.first().map(|o| o.window).unwrap_or_default();
    let day = |day: Option<jiff::civil::Date>| day.map_or_else(|| "…".to_owned(), |d| d.to_string());
    let cached = if record.origins.iter().any(|o| o.cached) { ", from the cache" } else { "" };
    let retrieved = record.origins.iter().map(|o| o.retrieved_at).max();
    Row {
        number: 0,
        tool: record.tool.clone(),
        asked: asked(&record.arguments),
        vendor: match record.status.as_str() {
            "ok" => vendors,
            other => format!("{vendors} ({other})").trim_start().to_owned(),
        },
        window: match window {
            [None, None] => "–".into(),
            [from, until] => format!("{} to {}", day(from), day(until)),
        },
        retrieved: retrieved
            .map_or_else(|| "–".into(), |t| format!("{}{cached}", t.strftime("%Y-%m-%d %H:%M:%S UTC"))),
    }
}

/// The texts, each once, in their order.
fn once(texts: Vec<String>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for text in texts {
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_catalogue_whatever_came_first() {
        let of = |name: &str, text: &str| Shown { name: name.into(), text: text.into(), ..Shown::default() };
        let shown =
            [of("own", "9.5123"), of("get_volume_analysis", "8.5123"), of("get_YFin_data_online", "7.5123")];
        let mut turned = shown.clone();
        turned.reverse();
        let mark =
            |shown: &[Shown]| Sources::new(&[], Vec::new(), shown).marked("bear", "7.5123 8.5123 9.5123").0;
        assert_eq!(mark(&shown), "7.5123 [1] 8.5123 [2] 9.5123 [3]");
        assert_eq!(mark(&shown), mark(&turned));
        assert_eq!(mark(&[]), "7.5123 8.5123 9.5123", "without any answer nothing is said of a figure");
    }
}
