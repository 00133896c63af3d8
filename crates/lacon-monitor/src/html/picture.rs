//! The waterfall as one SVG file of its own, light and dark: a picture for a README or an issue.

use std::fmt::Write as _;

use super::{
    escape, style,
    waterfall::{bars, duration, label, ticks, wall},
};
use crate::{analyze::thousands, report::RunReport};

const WIDTH: usize = 880;
const NAMES: usize = 150;
const SECONDS: usize = 70;
const ROW: usize = 20;

/// The picture. A simulated run is drawn at recorded speed, so that its seconds are those of a real one.
pub fn svg(r: &RunReport) -> String {
    let run = &r.run;
    let scale = run.environment.time_scale;
    let speed = if scale > 0.0 && scale < 1.0 { scale } else { 1.0 };
    let real = wall(&r.rows, run.wall_s) / speed;
    let (step, at) = ticks(real);
    let scaled: Vec<f64> = at.iter().map(|t| t * speed).collect();
    let (top, bottom) = (62, 24);
    let height = top + r.rows.len() * ROW + bottom;
    let chart = WIDTH - NAMES - SECONDS;
    let colors: String = style::CSS
        .lines()
        .filter(|l| [":root", "@media(prefers-color-scheme", ".k-", ".grid"].iter().any(|p| l.starts_with(p)))
        .collect();
    let title = format!(
        "{}, profile {}: {}{}, {} tokens in {} calls",
        run.title(),
        run.profile,
        duration(real),
        if speed < 1.0 { " at recorded speed" } else { "" },
        thousands(run.tokens.total),
        run.calls.len()
    );
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-label=\"{0}\">\n\
         <style>{colors}text{{font:12px system-ui,-apple-system,\"Segoe UI\",\"DejaVu Sans\",sans-serif;fill:var(--ink)}}.soft{{fill:var(--soft)}}.b{{font-weight:650}}.card{{fill:var(--card);stroke:var(--line)}}</style>\n\
         <rect class=\"card\" x=\".5\" y=\".5\" width=\"{1}\" height=\"{2}\" rx=\"8\"/>\n<text class=\"b\" x=\"16\" y=\"26\">{0}</text>\n",
        escape(&title),
        WIDTH - 1,
        height - 1
    );
    let mut x = 16;
    for (class, name) in [
        ("tool", "tools"),
        ("first", "until the first token"),
        ("model", "answer streaming"),
        ("node", "waiting"),
        ("path", "critical path"),
    ] {
        let _ = write!(
            out,
            "<rect class=\"k-{class}\" x=\"{x}\" y=\"38\" width=\"11\" height=\"9\" rx=\"2\"/><text class=\"soft\" x=\"{}\" y=\"47\">{name}</text>",
            x + 16
        );
        x += 40 + name.len() * 6;
    }
    for (i, row) in r.rows.iter().enumerate() {
        let y = top + i * ROW;
        let _ = write!(
            out,
            "\n<text{} x=\"16\" y=\"{}\">{}</text><svg x=\"{NAMES}\" y=\"{y}\" width=\"{chart}\" height=\"17\" viewBox=\"0 0 1000 17\" preserveAspectRatio=\"none\">",
            if row.critical { " class=\"b\"" } else { "" },
            y + 13,
            escape(&row.node)
        );
        bars(row, wall(&r.rows, run.wall_s), &scaled, &mut out);
        let _ = write!(
            out,
            "</svg><text class=\"soft\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            WIDTH - 14,
            y + 13,
            duration((row.span.1 - row.span.0) / speed)
        );
    }
    out.push('\n');
    for t in &at {
        let _ = write!(
            out,
            "<text class=\"soft\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            NAMES as f64 + t / real * chart as f64,
            height - 10,
            label(*t, step)
        );
    }
    out.push_str("\n</svg>\n");
    out
}
