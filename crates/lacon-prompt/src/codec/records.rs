//! JSON and lines of JSON in the shorter notation of [`crate::json`].

use super::{GaveUp, Passage, one};
use crate::json::{self, Style};
use crate::work::{Meter, steps::Steps};

/// With and without tables of records: which has fewer tokens depends on the records.
pub(super) fn make_json(passage: &Passage<'_>, _: &Steps<'_>) -> Result<Vec<String>, GaveUp> {
    let value = passage.body.trim_end_matches(['\n', '\r', ' ']);
    let Some(node) = json::parse(value) else { return Ok(Vec::new()) };
    let style = Style::of(value);
    if !passage.any_layout {
        let mut printed = String::with_capacity(value.len());
        style.print(&node, &mut printed);
        if printed != passage.body {
            return Ok(Vec::new());
        }
    }
    let head = format!("@json {}\n", style.code());
    let with = |tables| {
        let mut out = String::with_capacity(head.len() + value.len());
        out.push_str(&head);
        json::write_value(out, &node, style, tables)
    };
    let (tables, plain) = (with(true), with(false));
    // Tables that save a quarter of the bytes need no second opinion; below that, tokens decide.
    let both = tables.len() * 4 > plain.len() * 3 && tables != plain;
    Ok(if both { vec![tables, plain] } else { vec![tables] })
}

pub(super) fn read_json(
    text: &str,
    args: &str,
    at: usize,
    meter: &Meter<'_>,
) -> Result<(String, usize), &'static str> {
    let style = style(args).ok_or("unknown JSON style")?;
    json::read_value(text, at, style, meter)
}

pub(super) fn make_lines(passage: &Passage<'_>, _: &Steps<'_>) -> Result<Vec<String>, GaveUp> {
    let lines: Vec<&str> = passage.body.split('\n').collect();
    let style = Style::of(lines[0]);
    let style = Style { ascii: lines.iter().any(|line| Style::of(line).ascii), ..style };
    if !style.layout.is_one_line() {
        return Ok(Vec::new());
    }
    let items: Option<Vec<json::Node<'_>>> = lines.iter().map(|line| json::parse(line)).collect();
    let table = items.and_then(|items| json::write_lines(&items, style));
    one(table.map(|table| format!("@jsonl {}\n{table}", style.code())))
}

pub(super) fn read_lines(
    text: &str,
    args: &str,
    at: usize,
    meter: &Meter<'_>,
) -> Result<(String, usize), &'static str> {
    let style = style(args).filter(|style| style.layout.is_one_line()).ok_or("unknown JSON lines style")?;
    json::read_lines(text, at, style, meter)
}

fn style(args: &str) -> Option<Style> {
    Style::from_code(args).filter(|(_, used)| *used == args.len()).map(|(style, _)| style)
}
