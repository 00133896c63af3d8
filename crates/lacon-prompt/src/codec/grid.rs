//! Markdown tables without their padding and outer bars.

use super::{GaveUp, Passage, one};
use crate::work::{Meter, steps::Steps};

/// How the rows of a table are padded and its ruler drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    /// Cells are padded to the widest of their column.
    padded: bool,
    ruler: Ruler,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ruler {
    /// `|---|---|`
    Tight,
    /// `| --- | --- |`
    Spaced,
    /// Dashes from bar to bar.
    Full,
    /// Dashes as wide as the cells.
    Wide,
}

const LOOKS: [(&str, Look); 8] = [
    ("a", Look { padded: false, ruler: Ruler::Tight }),
    ("b", Look { padded: false, ruler: Ruler::Spaced }),
    ("c", Look { padded: false, ruler: Ruler::Full }),
    ("d", Look { padded: false, ruler: Ruler::Wide }),
    ("e", Look { padded: true, ruler: Ruler::Tight }),
    ("f", Look { padded: true, ruler: Ruler::Spaced }),
    ("g", Look { padded: true, ruler: Ruler::Full }),
    ("h", Look { padded: true, ruler: Ruler::Wide }),
];

pub(super) fn make(passage: &Passage<'_>, _: &Steps<'_>) -> Result<Vec<String>, GaveUp> {
    one(encode(passage.body).map(|(args, body)| format!("@grid {args}\n{body}")))
}

/// Encodes the lines of a markdown table (without the last newline); `None` where no look prints it again.
fn encode(text: &str) -> Option<(String, String)> {
    let lines: Vec<&str> = text.split('\n').collect();
    if lines.len() < 3 {
        return None;
    }
    let rows: Option<Vec<Vec<&str>>> = lines.iter().map(|line| cells(line)).collect();
    let rows = rows?;
    let n = rows[0].len();
    let is_ruler = |row: &[&str]| row.iter().all(|cell| cell.len() >= 2 && cell.bytes().all(|b| b == b'-'));
    if rows.iter().any(|row| row.len() != n) || !is_ruler(&rows[1]) {
        return None;
    }
    let body: Vec<String> =
        rows.iter().enumerate().filter(|(i, _)| *i != 1).map(|(_, row)| row.join("|")).collect();
    let (name, _) = LOOKS.iter().find(|(_, look)| {
        let free = |_| Ok::<_, std::convert::Infallible>(());
        matches!(print(&rows, *look, free), Ok(Some(printed)) if printed == text)
    })?;
    let args = format!("{} rows {name}", lines.len() - 1);
    let body = body.join("\n");
    (args.len() + body.len() + 7 < text.len()).then_some((args, body))
}

fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(|cell| cell.trim_matches(' ')).collect())
}

/// Prints rows in a look; the second row is the ruler's place and its cells are not read.
fn print<E>(
    rows: &[Vec<&str>],
    look: Look,
    fits: impl Fn(usize) -> Result<(), E>,
) -> Result<Option<String>, E> {
    let Some(n) = rows.first().map(Vec::len) else { return Ok(None) };
    let width = |at: usize| {
        rows.iter()
            .enumerate()
            .filter(|(i, _)| *i != 1)
            .map(|(_, row)| row[at].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..n).map(width).collect();
    let mut out = String::new();
    for (i, row) in rows.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        out.push('|');
        for (at, cell) in row.iter().enumerate() {
            fits(out.len() + cell.len() + widths[at])?;
            let dashes = |n: usize| "-".repeat(n);
            match (i == 1, look.ruler) {
                (true, Ruler::Tight) => out.push_str("---"),
                (true, Ruler::Spaced) => out.push_str(" --- "),
                (true, Ruler::Full) => out.push_str(&dashes(widths[at] + 2)),
                (true, Ruler::Wide) => out.push_str(&format!(" {} ", dashes(widths[at]))),
                (false, _) => {
                    out.push(' ');
                    out.push_str(cell);
                    if look.padded {
                        out.push_str(&" ".repeat(widths[at] - cell.chars().count()));
                    }
                    out.push(' ');
                }
            }
            out.push('|');
        }
    }
    Ok(Some(out))
}

/// Undoes [`encode`]; gives the lines and where the body ended.
pub(super) fn decode(
    text: &str,
    args: &str,
    at: usize,
    meter: &Meter<'_>,
) -> Result<(String, usize), &'static str> {
    let (n, name) = args.split_once(" rows ").ok_or("expected @grid N rows LOOK")?;
    let n: usize = n.parse().map_err(|_| "expected a row count")?;
    let (_, look) = LOOKS.iter().find(|(known, _)| *known == name).ok_or("unknown look of a grid")?;
    let body = text.get(at..).ok_or("grid ends too early")?;
    let mut rows: Vec<Vec<&str>> = Vec::new();
    let (mut end, mut n_cells) = (at, 0);
    for (i, line) in body.split('\n').take(n).enumerate() {
        // A cell is printed with two blanks and a bar.
        n_cells += line.bytes().filter(|b| *b == b'|').count() + 1;
        meter.fits(3 * n_cells)?;
        rows.push(line.split('|').collect());
        if i == 0 {
            rows.push(vec![""; rows[0].len()]);
        }
        end += line.len() + 1;
    }
    let columns = rows.first().map_or(0, Vec::len);
    if n < 2 || rows.len() != n + 1 || rows.iter().any(|row| row.len() != columns) {
        return Err("grid with rows of different widths or too few rows");
    }
    let printed = print(&rows, *look, |len| meter.fits(len))?;
    Ok((printed.ok_or("grid without rows")?, end - 1))
}
