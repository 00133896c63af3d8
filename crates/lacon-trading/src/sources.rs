//! Which answer of a tool shows a figure, and the marks that say so.
//!
//! A figure is an answer's when it stands there, or when what stands there rounds to it: models round. Answers are numbered by
//! what was asked, not by when it came, so that equal runs name equal numbers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    ops::Range,
};

use lacon_market::{
    catalog,
    provenance::{Record, figures, figures_at},
};
use lacon_monitor::record::ToolCall;
use serde_json::{Map, Value};

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
    /// The row of the answer that shows it; nothing where no answer does.
    pub source: Option<usize>,
}

/// The answers of a run's tools by the figures in them.
#[derive(Debug, Default)]
pub struct Sources {
    /// The answers.
    pub rows: Vec<Row>,
    by_figure: BTreeMap<String, usize>,
    /// Sorted, with the first row that shows each.
    by_value: Vec<(f64, usize)>,
}

impl Sources {
    /// From the books, and from the texts of answers that are in no books: those of an earlier process, of a tape, of own tools.
    pub fn new(calls: &[ToolCall], books: Vec<Record>, shown: &[Shown]) -> Self {
        let mut answers: Vec<(Row, BTreeSet<String>)> = Vec::new();
        let known = |answers: &[(Row, BTreeSet<String>)], tool: &str, asked: &str| {
            answers.iter().any(|(row, _)| row.tool == tool && row.asked == asked)
        };
        for record in books {
            let row = row(&record);
            // Equal calls are answered once, but a source may be asked again when the cache is off.
            if !known(&answers, &row.tool, &row.asked) {
                // A refusal may name windows and counts, which are no data.
                let figures = if record.status == "ok" { record.figures } else { Vec::new() };
                answers.push((row, figures.into_iter().collect()));
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
                answers.push((row, if answer.no_data { BTreeSet::new() } else { figures(&answer.text) }));
            }
        }
        let place = |row: &Row| {
            let at = catalog::TOOLS.iter().position(|t| t.name == row.tool).unwrap_or(usize::MAX);
            (at, row.tool.clone(), row.asked.clone())
        };
        answers.sort_by_cached_key(|(row, _)| place(row));
        let mut sources = Self::default();
        for (i, (row, figures)) in answers.into_iter().enumerate() {
            sources.rows.push(Row { number: i + 1, ..row });
            for figure in figures {
                sources.by_value.extend(figure.parse::<f64>().ok().map(|value| (value, i)));
                // The first answer that shows a figure is its source.
                sources.by_figure.entry(figure).or_insert(i);
            }
        }
        sources.by_value.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        sources
    }

    /// The vendors, each once.
    pub fn vendors(&self) -> String {
        let vendors = self.rows.iter().map(|r| r.vendor.split(" (").next().unwrap_or_default().to_owned());
        let names = once(vendors.filter(|v| !v.is_empty()).collect());
        if names.is_empty() { "–".into() } else { names.join(", ") }
    }

    /// The figures of a text that are worth a mark: fractions and numbers of three digits and more. A smaller whole one is a day, a
    /// count or a window, and would find a source by chance.
    pub fn marks(&self, text: &str) -> Vec<Mark> {
        let mut marks = Vec::new();
        for (range, figure) in figures_at(text) {
            let whole = !text[range.clone()].contains('.');
            let year = figure.len() == 4 && (figure.starts_with("19") || figure.starts_with("20"));
            let word = text[..range.start].rfind(char::is_whitespace).map_or(0, |space| space + 1);
            if whole && (figure.len() < 3 || year) || text[word..range.start].contains("://") {
                continue;
            }
            let (scale, unit) = unit(&text[range.end..]);
            let source = match self.by_figure.get(&figure) {
                Some(row) => Some(*row),
                None => self.rounded(&figure, scale),
            };
            let Range { start, end } = range;
            marks.push(Mark { start, end, unit_end: end + unit, source });
        }
        marks
    }

    /// The answer that shows what a figure was rounded from, also in millions or per cent; figures of fewer than three digits
    /// would find one by chance.
    fn rounded(&self, figure: &str, scale: f64) -> Option<usize> {
        let digits = figure.trim_start_matches(['0', '.']).bytes().filter(u8::is_ascii_digit).count();
        let value: f64 = figure.parse().ok()?;
        let decimals = figure.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let unit = 10f64.powi(-i32::try_from(decimals).ok()?);
        // A figure in billions is rounded by its nature.
        if digits < if scale > 1.0 { 2 } else { 3 } {
            return None;
        }
        [1.0, scale].into_iter().find_map(|scale| self.near(value * scale, unit * scale / 2.0))
    }

    /// The nearest value within half a unit.
    fn near(&self, value: f64, half: f64) -> Option<usize> {
        let reach = half * (1.0 + 1e-9);
        let from = self.by_value.partition_point(|(v, _)| *v < value - reach);
        let within = self.by_value[from..].iter().take_while(|(v, _)| *v <= value + reach);
        within.min_by(|a, b| (a.0 - value).abs().total_cmp(&(b.0 - value).abs())).map(|(_, row)| *row)
    }

    /// How many figures of some texts have a source, and how many lack one.
    pub fn counted<'a>(&self, texts: impl Iterator<Item = &'a str>) -> (usize, usize) {
        let marks = texts.flat_map(|text| self.marks(text));
        marks.fold((0, 0), |(named, bare), mark| match mark.source {
            Some(_) => (named + 1, bare),
            None => (named, bare + 1),
        })
    }

    /// The text with the number of its source behind each figure; as it is where no answer is known at all.
    pub fn mark_markdown(&self, text: &str) -> String {
        self.marked(text).0
    }

    /// As [`Sources::mark_markdown`], with how many figures have a source, and how many lack one.
    pub fn marked(&self, text: &str) -> (String, (usize, usize)) {
        let marks = self.marks(text);
        let named = marks.iter().filter(|mark| mark.source.is_some()).count();
        let counted = (named, marks.len() - named);
        if self.rows.is_empty() {
            return (text.to_owned(), counted);
        }
        let mut out = String::with_capacity(text.len() + text.len() / 4);
        let mut at = 0;
        for mark in marks {
            out.push_str(&text[at..mark.unit_end]);
            match mark.source {
                Some(i) => {
                    let _ = write!(out, " [{}]", self.rows[i].number);
                }
                None => out.push_str(" [?]"),
            }
            at = mark.unit_end;
        }
        out.push_str(&text[at..]);
        (out, counted)
    }

    /// The table of sources as a section, behind the texts that carry its numbers.
    pub fn section_markdown(&self, (named, bare): (usize, usize)) -> String {
        let head = "\n# Sources of the figures\n\n";
        if self.rows.is_empty() {
            return format!("{head}No answer of a tool is known, so no figure can be traced.\n");
        }
        let mut out = format!(
            "{head}{named} figures stand in an answer of a tool, or round one of its figures, and carry its number; {bare} do neither and carry `[?]`.\n\n\
             | # | tool | asked for | vendor | window | retrieved |\n|---|---|---|---|---|---|\n"
        );
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

/// What a figure counts by the word behind it, and how long that is with its space.
fn unit(behind: &str) -> (f64, usize) {
    let rest = behind.strip_prefix(' ').unwrap_or(behind);
    let space = behind.len() - rest.len();
    let length = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let scale = match rest[..length].to_lowercase().as_str() {
        "trillion" | "tn" | "t" => 1e12,
        "billion" | "bn" | "b" => 1e9,
        "million" | "mn" | "m" => 1e6,
        "thousand" | "k" => 1e3,
        _ if rest.starts_with('%') => return (1e-2, space + 1),
        _ => return (1.0, 0),
    };
    (scale, space + length)
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

    fn sources(text: &str) -> Sources {
        let shown = Shown { name: "tool".into(), arguments: Map::new(), text: text.into(), no_data: false };
        Sources::new(&[], Vec::new(), &[shown])
    }

    #[test]
    fn a_rounded_figure_has_the_source_of_what_it_rounds() {
        let sources =
            sources("rsi 62.1834, revenue 1234567890, margin 0.2341, close 181.64, 12 posts, growth 3.0 %");
        let check = |text: &str, expected: &str| assert_eq!(sources.mark_markdown(text), expected, "{text}");
        check("RSI 62.18 or 62.2", "RSI 62.18 [1] or 62.2 [1]");
        check("RSI 62.19", "RSI 62.19 [?]");
        check("revenue of 1.23 billion, $1.2B, 1235M", "revenue of 1.23 billion [1], $1.2B [1], 1235M [1]");
        check("a margin of 23.4 %", "a margin of 23.4 % [1]");
        check("growth of 3.0 %", "growth of 3.0 % [1]");
        check("close 182, target 195.5", "close 182 [1], target 195.5 [?]");
        check("https://example.com/4711 and 47.11%", "https://example.com/4711 and 47.11% [?]");
        check("12 posts in 14 days of 2025, 8/10", "12 posts in 14 days of 2025, 8/10");
    }

    #[test]
    fn numbers_follow_the_catalogue_whatever_came_first() {
        let of = |name: &str, text: &str| Shown { name: name.into(), text: text.into(), ..Shown::default() };
        let shown = [of("own", "9.5"), of("get_volume_analysis", "8.5"), of("get_YFin_data_online", "7.5")];
        let mut turned = shown.clone();
        turned.reverse();
        let mark = |shown: &[Shown]| Sources::new(&[], Vec::new(), shown).mark_markdown("7.5 8.5 9.5");
        assert_eq!(mark(&shown), "7.5 [1] 8.5 [2] 9.5 [3]");
        assert_eq!(mark(&shown), mark(&turned));
        assert_eq!(mark(&[]), "7.5 8.5 9.5", "without any answer nothing is said of a figure");
    }
}
