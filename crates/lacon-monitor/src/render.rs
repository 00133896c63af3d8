//! Reports as text: what a command prints. Nothing here writes anywhere.

mod analysis;
mod comparison;
mod groups;
mod report;
mod what_if;

pub use analysis::analysis;
pub use comparison::comparison;
pub use groups::groups;
pub use report::{report, usd};
pub use what_if::what_if;

/// A table with aligned columns: the first column to the left, the others to the right.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    left: usize,
}

impl Table {
    /// A table whose first row is its head; the first `left` columns are aligned to the left.
    pub fn new(head: &[&str], left: usize) -> Self {
        Self { rows: vec![head.iter().map(|h| (*h).to_owned()).collect()], left }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Whether there is nothing but the head.
    pub fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let n = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |i: usize| {
            self.rows.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..n).map(width).collect();
        for row in &self.rows {
            let mut line = String::from("  ");
            for (i, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths[i].saturating_sub(cell.chars().count()));
                if i > 0 {
                    line.push_str("  ");
                }
                // A column without a head holds bars or marks.
                if i < self.left || self.rows[0].get(i).is_some_and(String::is_empty) {
                    line.push_str(cell);
                    line.push_str(&pad);
                } else {
                    line.push_str(&pad);
                    line.push_str(cell);
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A whole number with separators, or a dash.
pub fn count(n: Option<u64>) -> String {
    n.map_or_else(|| "-".into(), crate::analyze::thousands)
}

/// Seconds with two decimals; a dash for nothing worth showing.
pub fn seconds(s: f64) -> String {
    if s.abs() < 0.005 { "-".into() } else { format!("{s:.2}") }
}

/// A bar of eighths, at most `width` characters for a share of 1.
pub fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}
