//! Which answer of a tool shows a figure, and the marks that say so.

use std::{collections::BTreeMap, fmt::Write as _};

use lacon_market::provenance::{Record, figures, figures_at};
use lacon_monitor::RunRecord;

use super::{Shown, escape};

/// An answer of a tool as the table of sources shows it.
#[derive(Clone, Debug, PartialEq)]
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
    /// The row of the answer that shows it; nothing where no answer does.
    pub source: Option<usize>,
}

/// The answers of a run's tools by the figures in them.
pub struct Sources {
    /// The answers.
    pub rows: Vec<Row>,
    by_figure: BTreeMap<String, usize>,
}

impl Sources {
    /// From the books, or where a run kept none from what its record says of its tools.
    pub fn new(run: &RunRecord, books: Option<Vec<Record>>, shown: &[Shown]) -> Self {
        let asked = |arguments: &serde_json::Map<String, serde_json::Value>| {
            let values = arguments.values().map(|v| v.as_str().map_or_else(|| v.to_string(), Into::into));
            values.collect::<Vec<String>>().join(" ")
        };
        let mut rows = Vec::new();
        let mut by_figure = BTreeMap::new();
        let mut add = |mut row: Row, figures: &mut dyn Iterator<Item = String>| {
            row.number = rows.len() + 1;
            // The first answer that shows a figure is its source.
            figures.for_each(|figure| {
                by_figure.entry(figure).or_insert(rows.len());
            });
            rows.push(row);
        };
        match books {
            Some(records) => {
                for record in records {
                    let vendors: Vec<String> = record.origins.iter().map(|o| o.vendor.clone()).collect();
                    let window = record.origins.first().map(|o| o.window).unwrap_or_default();
                    let day = |day: Option<jiff::civil::Date>| {
                        day.map_or_else(|| "…".to_owned(), |d| d.to_string())
                    };
                    let retrieved = record.origins.iter().map(|o| o.retrieved_at).max();
                    let cached = record.origins.iter().any(|o| o.cached);
                    let row = Row {
                        number: 0,
                        asked: asked(&record.arguments),
                        vendor: match record.status.as_str() {
                            "ok" => once(vendors).join(", "),
                            other => format!("{} ({other})", once(vendors).join(", ")),
                        },
                        window: if window == [None, None] {
                            "–".into()
                        } else {
                            format!("{} to {}", day(window[0]), day(window[1]))
                        },
                        retrieved: retrieved.map_or_else(
                            || "–".into(),
                            |t| {
                                format!(
                                    "{}{}",
                                    t.strftime("%Y-%m-%d %H:%M:%S UTC"),
                                    if cached { ", from the cache" } else { "" }
                                )
                            },
                        ),
                        tool: record.tool,
                    };
                    add(row, &mut record.figures.into_iter());
                }
            }
            None => {
                for answer in shown {
                    let source = run.tools.iter().find(|t| t.name == answer.name).map(|t| t.source.clone());
                    let row = Row {
                        number: 0,
                        tool: answer.name.clone(),
                        asked: asked(&answer.arguments),
                        vendor: source.unwrap_or_default(),
                        window: "–".into(),
                        retrieved: run.started_at.clone(),
                    };
                    add(row, &mut figures(&answer.text).into_iter());
                }
            }
        }
        Self { rows, by_figure }
    }

    /// The vendors, each once.
    pub fn vendors(&self) -> String {
        let vendors = self.rows.iter().map(|r| r.vendor.split(" (").next().unwrap_or_default().to_owned());
        let names = once(vendors.filter(|v| !v.is_empty()).collect());
        if names.is_empty() { "–".into() } else { names.join(", ") }
    }

    /// The figures of a text that are worth a mark: fractions and numbers of three digits and more with or without a source, smaller
    /// whole ones only with one.
    pub fn marks(&self, text: &str) -> Vec<Mark> {
        let mut marks = Vec::new();
        for (range, figure) in figures_at(text) {
            let source = self.by_figure.get(&figure).copied();
            let whole = !figure.contains('.');
            let small = whole && figure.len() < 3;
            let year = whole && figure.len() == 4 && (figure.starts_with("19") || figure.starts_with("20"));
            if figure.len() < 2 || year || (small && source.is_none()) {
                continue;
            }
            marks.push(Mark { start: range.start, end: range.end, source });
        }
        marks
    }

    /// The text, safe between tags, each figure linked to its source.
    pub fn mark_html(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 64);
        let mut at = 0;
        for mark in self.marks(text) {
            out.push_str(&escape(&text[at..mark.start]));
            let figure = &text[mark.start..mark.end];
            match mark.source.map(|i| &self.rows[i]) {
                Some(row) => {
                    let title = format!(
                        "{}: {}, window {}, retrieved {}",
                        row.vendor, row.tool, row.window, row.retrieved
                    );
                    let _ = write!(
                        out,
                        "<a class=\"fig\" href=\"#s{}\" title=\"{}\">{figure}</a>",
                        row.number,
                        escape(&title)
                    );
                }
                None => {
                    let _ = write!(
                        out,
                        "<span class=\"bare\" title=\"no tool showed this figure\">{figure}</span>"
                    );
                }
            }
            at = mark.end;
        }
        out.push_str(&escape(&text[at..]));
        out
    }

    /// The text with the number of its source behind each figure.
    pub fn mark_markdown(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 64);
        let mut at = 0;
        for mark in self.marks(text) {
            out.push_str(&text[at..mark.end]);
            match mark.source {
                Some(i) => {
                    let _ = write!(out, " [{}]", self.rows[i].number);
                }
                None => out.push_str(" [?]"),
            }
            at = mark.end;
        }
        out.push_str(&text[at..]);
        out
    }

    /// Vendor, window and time of the answers of some tools, each once.
    pub fn of_tools(&self, tools: &[String]) -> Vec<String> {
        let rows = self.rows.iter().filter(|row| tools.contains(&row.tool));
        once(
            rows.map(|r| {
                format!("{}, {}, retrieved {}", escape(&r.vendor), escape(&r.window), escape(&r.retrieved))
            })
            .collect(),
        )
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
