//! Many runs as a table of their shapes.

use std::fmt::Write as _;

use super::{Table, count};
use crate::analyze::{Analysis, Group, Part};

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
        let slowest = group.slowest.first().and_then(|i| all.get(*i));
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
    for (i, group) in groups.iter().filter(|group| group.runs.len() > 2).take(MOST_SHAPES).enumerate() {
        let _ = writeln!(out, "\nSHAPE {}: {} RUNS", i + 1, group.runs.len());
        let worst = group.slowest.iter().filter_map(|i| all.get(*i));
        let worst: Vec<String> = worst.map(|run| format!("{} ({:.2} s)", run.title, run.wall_s)).collect();
        let _ = writeln!(out, "  slowest: {}", worst.join(", "));
        let _ = write!(out, "{}", parts("node", &group.nodes));
        if group.nodes.iter().any(|node| node.variance.is_some()) {
            let _ = writeln!(
                out,
                "  variance: the node's part in why these runs take different times; below 0 where quick runs wait for it more"
            );
        }
        if !group.calls.is_empty() {
            let _ = write!(out, "{}", parts("model", &group.calls));
        }
    }
    out
}

/// Shapes whose nodes are listed, and nodes of each.
const MOST_SHAPES: usize = 5;
const MOST_PARTS: usize = 20;

/// A row for each node, or for the calls of each model.
fn parts(what: &'static str, parts: &[Part]) -> Table {
    let is_known = parts.iter().any(|part| part.variance.is_some());
    let mut names = vec![what, "times", "p50 s", "p90 s", "p50 tokens", "tokens", "USD", "failed (95 %)"];
    names.extend(is_known.then_some("variance"));
    let mut table = Table::new(&names, 1);
    for part in parts.iter().take(MOST_PARTS) {
        let (low, high) = part.failed;
        let mut row = vec![
            part.name.clone(),
            part.n.to_string(),
            format!("{:.2}", part.p50_s),
            format!("{:.2}", part.p90_s),
            count(part.p50_tokens),
            count(part.tokens),
            part.cost_usd.map_or_else(|| "-".into(), |cost| format!("{cost:.4}")),
            format!("{} ({:.0} to {:.0} %)", part.n_failed, low * 100.0, high * 100.0),
        ];
        row.extend(is_known.then(|| {
            part.variance.map_or_else(|| "-".into(), |v| format!("{:.0} %", (v * 100.0).round() + 0.0))
        }));
        table.row(row);
    }
    table
}
