//! `lacon trace what-if` as text.

use std::fmt::Write as _;

use super::Table;
use crate::whatif::{Outcome, WhatIf};

/// Before, after, and what each edit is worth.
pub fn what_if(w: &WhatIf) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}: took {:.2} s", w.title, w.recorded_s);
    let _ = writeln!(out, "residuals {}; {} draws, seed {}\n", w.residuals, w.draws, w.seed);
    let mut table = Table::new(&["", "this run's calls", "p10", "p50", "p90"], 1);
    let mut row = |name: &str, o: &Outcome| {
        let s = |v: f64| format!("{v:.2} s");
        table.row(vec![name.into(), s(o.replayed_s), s(o.p10_s), s(o.p50_s), s(o.p90_s)]);
    };
    row("as it was", &w.before);
    row("with all edits", &w.after);
    let _ = writeln!(out, "{table}");
    if w.before_usd.is_some() || w.after_usd.is_some() {
        let usd = |usd: Option<f64>| usd.map_or("no price".into(), |usd| format!("{usd:.6} USD"));
        let _ = writeln!(
            out,
            "at list prices: {} as it was, {} with all edits\n",
            usd(w.before_usd),
            usd(w.after_usd)
        );
    }
    if !w.edits.is_empty() {
        let _ = writeln!(out, "WHAT EACH EDIT IS WORTH");
        let money = w.before_usd.is_some();
        let mut heads = vec!["edit", "does", "touches", "saves alone", "in the median", "saves last"];
        heads.extend(money.then_some("saves USD alone"));
        let mut table = Table::new(&heads, 2);
        for e in &w.edits {
            let s = |v: f64| format!("{v:+.2} s");
            let mut row = vec![
                e.edit.clone(),
                e.does.clone(),
                e.touches.to_string(),
                s(e.saves_s),
                s(e.saves_p50_s),
                s(e.saves_last_s),
            ];
            row.extend(money.then(|| e.saves_usd.map_or_else(String::new, |usd| format!("{usd:+.6}"))));
            table.row(row);
        }
        let _ = write!(out, "{table}");
        let _ = writeln!(out, "  saves last: what would be lost if it alone were left out of all of them");
    }
    for note in &w.notes {
        let _ = writeln!(out, "  note: {note}");
    }
    out.trim_end().to_owned()
}
