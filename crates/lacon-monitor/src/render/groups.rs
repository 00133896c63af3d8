//! Many runs as a table of their shapes.

use std::fmt::Write as _;

use super::{Table, count};
use crate::analyze::{Analysis, Group};

/// A row for each shape, and its slowest run.
pub fn groups(groups: &[Group], all: &[Analysis]) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{} RUNS BY SHAPE, MOST SECONDS FIRST", all.len());
    let mut table = Table::new(
        &["nodes and tools", "models", "slowest run", "runs", "median s", "p90 s", "tokens", "USD", "failed"],
        3,
    );
    for group in groups.iter().take(40) {
        let named = |list: &[String]| {
            let more = if list.len() > 4 { ", …" } else { "" };
            if list.is_empty() {
                "-".into()
            } else {
                format!("{}{more}", list[..list.len().min(4)].join(", "))
            }
        };
        let slowest = all.get(group.slowest);
        table.row(vec![
            named(&group.shape),
            named(&group.models),
            slowest.map_or_else(String::new, |s| format!("{} ({:.1} s)", s.title, s.wall_s)),
            group.runs.len().to_string(),
            format!("{:.2}", group.median_s),
            format!("{:.2}", group.p90_s),
            count(group.median_tokens),
            group.cost_usd.map_or_else(|| "-".into(), |c| format!("{c:.4}")),
            if group.n_failed == 0 { "-".into() } else { group.n_failed.to_string() },
        ]);
    }
    let _ = write!(out, "{table}");
    if groups.len() > 40 {
        let _ = writeln!(out, "  and {} more shapes (--json has them all)", groups.len() - 40);
    }
    out
}
