//! The waterfall: one row per node, its calls as bars, the critical path underlined.

use std::fmt::Write as _;

use super::escape;
use crate::report::{Part, Row};

/// The x axis runs over this many units; browsers stretch it.
const WIDTH: f64 = 1000.0;

/// Legend, axis and rows.
pub fn section(rows: &[Row], wall: f64) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let (step, ticks) = ticks(wall);
    let mut out = String::from(
        "<p class=\"soft\">Each row is a node; bars inside it are its calls. Rows on the critical path are bold and carry a line below: only they decide how long the run takes.</p>\n<ul class=\"legend\">",
    );
    for (class, name) in [
        ("first", "until the first token"),
        ("model", "answer streaming"),
        ("tool", "tool"),
        ("node", "node, overhead"),
        ("path", "critical path"),
    ] {
        let _ = write!(out, "<li><i class=\"k-{class}\"></i>{name}</li>");
    }
    out.push_str("</ul>\n<div class=\"fall\" role=\"list\" aria-label=\"Waterfall of nodes\">\n");
    for row in rows {
        line(row, wall, &ticks, &mut out);
    }
    let grid: String = ticks
        .iter()
        .map(|t| {
            format!("<line class=\"grid\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"0\" y2=\"9\"/>", t / wall * WIDTH)
        })
        .collect();
    let _ = write!(
        out,
        "<div class=\"row axis\" aria-hidden=\"true\"><span></span><div><svg viewBox=\"0 0 1000 9\" preserveAspectRatio=\"none\">{grid}</svg><div class=\"ticks\">"
    );
    // The last label ends where the axis ends; a tick that is not there gets none.
    let labels: Vec<String> = ticks.iter().map(|t| label(*t, step)).collect();
    let covered = ticks.last().copied().unwrap_or(0.0) / wall;
    let _ = write!(out, "</div></div><span class=\"t\"></span></div>");
    let spans: String = labels.iter().map(|l| format!("<span>{l}</span>")).collect();
    out = out.replace(
        "<div class=\"ticks\"></div>",
        &format!("<div class=\"ticks\" style=\"width:{:.1}%\">{spans}</div>", covered * 100.0),
    );
    out.push_str("</div>\n");
    out
}

/// The length of the x axis in seconds.
pub(super) fn wall(rows: &[Row], wall_s: f64) -> f64 {
    wall_s.max(rows.iter().map(|row| row.span.1).fold(0.0, f64::max)).max(1e-9)
}

/// The distance of the ticks of an axis, and where they stand.
pub(super) fn ticks(wall: f64) -> (f64, Vec<f64>) {
    let step = nice(wall / 6.0);
    (step, (0..).map(|i| f64::from(i) * step).take_while(|t| *t <= wall * 1.0001).collect())
}

fn line(row: &Row, wall: f64, ticks: &[f64], out: &mut String) {
    let class = if row.critical { "row critical" } else { "row" };
    let seconds = row.span.1 - row.span.0;
    let words = match (row.critical, &row.error) {
        (_, Some(error)) => format!(", failed: {error}"),
        (true, None) => ", on the critical path".into(),
        (false, None) => String::new(),
    };
    let title = format!("{}: {seconds:.3} s from {:.3} s{words}", row.node, row.span.0);
    let _ = write!(
        out,
        "<div class=\"{class}\" role=\"listitem\"><span class=\"name\" title=\"{0}\">{1}{2}</span><svg viewBox=\"0 0 1000 17\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>",
        escape(&title),
        escape(&row.node),
        if row.error.is_some() { " ✗" } else { "" }
    );
    bars(row, wall, ticks, out);
    let _ = writeln!(out, "</svg><span class=\"t\">{}</span></div>", duration(seconds));
}

/// A node's bars on a canvas of 1,000 by 17 units.
pub(super) fn bars(row: &Row, wall: f64, ticks: &[f64], out: &mut String) {
    let x = |s: f64| (s / wall * WIDTH).clamp(0.0, WIDTH);
    for t in ticks {
        let _ = write!(out, "<line class=\"grid\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"0\" y2=\"17\"/>", x(*t));
    }
    let rect = |class: &str, from: f64, to: f64, y: f64, height: f64, title: &str| {
        let tip = if title.is_empty() { String::new() } else { format!("<title>{}</title>", escape(title)) };
        format!(
            "<rect class=\"k-{class}\" x=\"{:.2}\" y=\"{y}\" width=\"{:.2}\" height=\"{height}\">{tip}</rect>",
            x(from),
            (x(to) - x(from)).max(1.2)
        )
    };
    out.push_str(&rect("node", row.span.0, row.span.1, 3.0, 11.0, ""));
    for (lane, part) in lanes(&row.parts) {
        let (y, height) = lane;
        let title = format!(
            "{} {}: {:.3} s{}",
            part.kind,
            part.name,
            part.span.1 - part.span.0,
            if part.note.is_empty() { String::new() } else { format!(", {}", part.note) }
        );
        match (part.kind, part.first_token_s) {
            ("model", Some(first)) => {
                out.push_str(&rect("first", part.span.0, first, y, height, &title));
                out.push_str(&rect("model", first, part.span.1, y, height, &title));
            }
            (kind, _) => out.push_str(&rect(
                if kind == "model" { "model" } else { "tool" },
                part.span.0,
                part.span.1,
                y,
                height,
                &title,
            )),
        }
    }
    if row.critical {
        out.push_str(&rect("path", row.span.0, row.span.1, 15.0, 2.0, ""));
    }
}

/// Calls that overlap share the height of the bar.
fn lanes(parts: &[Part]) -> Vec<((f64, f64), &Part)> {
    let mut ends: Vec<f64> = Vec::new();
    let mut placed = Vec::new();
    for part in parts {
        let lane = ends.iter().position(|end| *end <= part.span.0 + 1e-9).unwrap_or_else(|| {
            ends.push(0.0);
            ends.len() - 1
        });
        ends[lane] = part.span.1;
        placed.push((lane, part));
    }
    let height = 11.0 / ends.len().max(1) as f64;
    placed
        .into_iter()
        .map(|(lane, part)| ((3.0 + lane as f64 * height, (height - 0.4).max(0.6)), part))
        .collect()
}

/// A step of 1, 2 or 5 times a power of ten.
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.max(1e-9).log10().floor());
    let n = step / power;
    power
        * if n <= 1.0 {
            1.0
        } else if n <= 2.0 {
            2.0
        } else if n <= 5.0 {
            5.0
        } else {
            10.0
        }
}

/// A tick's label.
pub(super) fn label(t: f64, step: f64) -> String {
    if step >= 1.0 {
        format!("{t:.0} s")
    } else if step >= 0.1 {
        format!("{t:.1} s")
    } else {
        format!("{:.0} ms", t * 1e3)
    }
}

/// Seconds, or milliseconds where they say more.
pub fn duration(seconds: f64) -> String {
    if seconds >= 10.0 {
        format!("{seconds:.1} s")
    } else if seconds >= 0.1 {
        format!("{seconds:.2} s")
    } else {
        format!("{:.1} ms", seconds * 1e3)
    }
}
