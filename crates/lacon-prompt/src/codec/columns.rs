//! Separated rows (CSV, TSV) as columns: what a whole column says is said once, in its heading.
//!
//! `name=value` is a column that always holds the value and has no cells; an empty cell under `name~value` holds the
//! value, and under `name^` what the row above holds. Cells are never read, only cut, so quotes, signs and leading zeros
//! stay as they are. They are set apart by `|` or, where a cell has one, by tabs: between commas, `19,112` could be two.
//!
//! Cost: one pass to cut, one per column to choose its heading.

use super::{GaveUp, Passage, one};
use crate::work::{Meter, steps::Steps};
use foldhash::{HashMap, HashMapExt as _};

/// Marks of a heading that must not be part of a name.
const MARKS: [char; 3] = ['=', '~', '^'];
/// Most columns; wider rows are data of another kind.
const MAX_COLUMNS: usize = 512;

/// What separates the cells of the input, and its name in the frame's arguments.
const SEPARATORS: [(char, &str); 3] = [(',', ","), ('\t', "tab"), (';', ";")];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column<'a> {
    Plain,
    Always(&'a str),
    Default(&'a str),
    Above,
}

pub(super) fn make(passage: &Passage<'_>, _: &Steps<'_>) -> Result<Vec<String>, GaveUp> {
    one(encode(passage.body).map(|(args, body)| format!("@csv {args}\n{body}")))
}

/// Encodes rows (without the last newline), the first of which names the columns, as a frame's arguments and body.
fn encode(text: &str) -> Option<(String, String)> {
    let first = text.split('\n').next()?;
    let (separator, name) = *SEPARATORS.iter().max_by_key(|(c, _)| first.matches(*c).count())?;
    let returns = text.split('\n').all(|line| line.ends_with('\r'));
    let rows: Option<Vec<Vec<&str>>> = text
        .split('\n')
        .map(|line| cells(if returns { line.strip_suffix('\r')? } else { line }, separator))
        .collect();
    let rows = rows?;
    let (names, rows) = rows.split_first()?;
    let n = names.len();
    if rows.len() < 3 || !(2..=MAX_COLUMNS).contains(&n) || rows.iter().any(|row| row.len() != n) {
        return None;
    }
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() < n || names.iter().any(|name| name.is_empty() || name.contains(MARKS)) {
        return None;
    }
    let bar = ['|', '\t'].into_iter().find(|bar| !text.contains(*bar) || separator == *bar)?;
    let columns: Vec<Column<'_>> = (0..n).map(|at| choose(rows, at)).collect();
    if columns.iter().all(|column| *column == Column::Plain) {
        return None;
    }
    let mut body = String::with_capacity(text.len());
    for (at, (name, column)) in names.iter().zip(&columns).enumerate() {
        if at > 0 {
            body.push(bar);
        }
        body.push_str(name);
        match column {
            Column::Plain => {}
            Column::Always(value) => {
                body.push('=');
                body.push_str(value);
            }
            Column::Default(value) => {
                body.push('~');
                body.push_str(value);
            }
            Column::Above => body.push('^'),
        }
    }
    for (i, row) in rows.iter().enumerate() {
        body.push('\n');
        let mut begun = false;
        for (at, (cell, column)) in row.iter().zip(&columns).enumerate() {
            let shown = match column {
                Column::Always(_) => continue,
                Column::Plain => cell,
                Column::Default(value) if cell == value => "",
                Column::Above if i > 0 && rows[i - 1][at] == *cell => "",
                Column::Default(_) | Column::Above => cell,
            };
            if std::mem::replace(&mut begun, true) {
                body.push(bar);
            }
            body.push_str(shown);
        }
    }
    let mut args = format!("{name} {} rows", rows.len());
    if bar == '\t' {
        args.push_str(" tab");
    }
    if returns {
        args.push_str(" crlf");
    }
    Some((args, body))
}

/// The cells of a line, quotes included; `None` where a quote is not closed on it.
pub(crate) fn cells(line: &str, separator: char) -> Option<Vec<&str>> {
    if !line.contains('"') {
        return Some(line.split(separator).collect());
    }
    let mut out = Vec::new();
    let (mut start, mut quoted) = (0, false);
    for (i, c) in line.char_indices() {
        if c == '"' {
            // A quote inside of an unquoted cell is a sign of something else than rows.
            if !quoted && i > start && !line[start..i].ends_with('"') {
                return None;
            }
            quoted = !quoted;
        } else if c == separator && !quoted {
            out.push(&line[start..i]);
            start = i + c.len_utf8();
        }
    }
    out.push(&line[start..]);
    (!quoted).then_some(out)
}

/// The heading that leaves the fewest bytes in a column's cells.
fn choose<'a>(rows: &[Vec<&'a str>], at: usize) -> Column<'a> {
    let first = rows[0][at];
    if rows.iter().all(|row| row[at] == first) {
        return Column::Always(first);
    }
    if rows.iter().any(|row| row[at].is_empty()) {
        return Column::Plain;
    }
    let mut bytes: HashMap<&str, usize> = HashMap::new();
    for row in rows {
        *bytes.entry(row[at]).or_default() += row[at].len();
    }
    // Of values that save the same the first in the alphabet: equal input gives equal output.
    let (value, saved) = bytes
        .into_iter()
        .max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(a.0)))
        .map_or(("", 0), |(value, bytes)| (value, bytes.saturating_sub(value.len() + 1)));
    let above: usize =
        rows.windows(2).filter(|pair| pair[0][at] == pair[1][at]).map(|pair| pair[1][at].len()).sum();
    // A default is easier to read than a cell that sends its reader up.
    if above > saved + saved / 4 + 1 {
        Column::Above
    } else if saved > 0 && saved * 4 > rows.iter().map(|row| row[at].len()).sum::<usize>() {
        Column::Default(value)
    } else {
        Column::Plain
    }
}

/// Undoes [`encode`]; gives the lines and where the body ended.
pub(super) fn decode(
    text: &str,
    args: &str,
    at: usize,
    meter: &Meter<'_>,
) -> Result<(String, usize), &'static str> {
    let mut words = args.split(' ');
    let separator = words
        .next()
        .and_then(|word| SEPARATORS.iter().find(|(_, name)| *name == word))
        .map(|(separator, _)| *separator)
        .ok_or("unknown separator of rows")?;
    let n: usize = words.next().and_then(|word| word.parse().ok()).ok_or("expected a row count")?;
    let (mut bar, mut end_of_line) = ('|', "");
    for (i, word) in words.enumerate() {
        match (i, word) {
            (0, "rows") => {}
            (1, "tab") => bar = '\t',
            (1 | 2, "crlf") => end_of_line = "\r",
            _ => return Err("expected @csv SEPARATOR N rows"),
        }
    }
    let body = text.get(at..).ok_or("rows end too early")?;
    let mut lines = body.split('\n');
    let heading = lines.next().ok_or("rows without a heading")?;
    let mut end = at + heading.len();
    let mut columns: Vec<(&str, Column<'_>)> = Vec::new();
    for head in heading.split(bar) {
        let Some(mark) = head.find(MARKS) else {
            columns.push((head, Column::Plain));
            continue;
        };
        let (name, value) = (&head[..mark], &head[mark + 1..]);
        columns.push(match head.as_bytes()[mark] {
            b'=' => (name, Column::Always(value)),
            b'~' => (name, Column::Default(value)),
            _ if value.is_empty() => (name, Column::Above),
            _ => return Err("a heading with ^ has no value"),
        });
    }
    let mut out = String::with_capacity(body.len().min(1 << 20));
    for (at, (name, _)) in columns.iter().enumerate() {
        if at > 0 {
            out.push(separator);
        }
        meter.push(&mut out, name)?;
    }
    out.push_str(end_of_line);
    let n_cells = columns.iter().filter(|(_, column)| !matches!(column, Column::Always(_))).count();
    let mut above: Vec<&str> = vec![""; columns.len()];
    for i in 0..n {
        let line = lines.next().ok_or("fewer rows than @csv says")?;
        end += 1 + line.len();
        let mut cells = line.split(bar);
        out.push('\n');
        for (at, (_, column)) in columns.iter().enumerate() {
            if at > 0 {
                out.push(separator);
            }
            if let Column::Always(value) = column {
                meter.push(&mut out, value)?;
                continue;
            }
            let cell = cells.next().ok_or("row with too few cells")?;
            let value = match column {
                Column::Default(value) if cell.is_empty() => value,
                Column::Above if cell.is_empty() && i > 0 => above[at],
                _ => cell,
            };
            above[at] = value;
            meter.push(&mut out, value)?;
        }
        let ended = if n_cells == 0 { line.is_empty() } else { cells.next().is_none() };
        if !ended {
            return Err("row with too many cells");
        }
        out.push_str(end_of_line);
    }
    Ok((out, end))
}
