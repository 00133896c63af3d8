//! The result as a page: one table, no script, no file beside it.

use std::fmt::Write;

use lacon_eval::experiment::{Arm, ORIGINAL};
use lacon_monitor::html::escape;

/// Writes the page.
pub fn html(model: &str, arms: &[Arm], margin: f64, notes: &[String]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>lacon eval: {0}</title>\n<style>body{{font:15px/1.5 \
         system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}table{{border-collapse:collapse}}th,td{{padding:.3rem \
         .8rem;text-align:right;border-bottom:1px solid #ccc}}th:first-child,td:first-child{{text-align:left}}.worse{{color:#a00}}\
         .proven{{color:#070}}</style>\n<h1>What each form costs with {0}</h1>\n<p>Accuracy on questions with certain answers. A form is \
         proven when the interval of its difference lies above −{1:.1} points.</p>\n<table><tr><th>form<th>questions<th>right\
         <th>accuracy, 95 %<th>text tokens<th>difference, 90 %<th>verdict</tr>\n",
        escape(model),
        margin * 100.0
    );
    for arm in arms {
        let points = |share: f64| format!("{:+.1}", share * 100.0);
        let difference = arm.difference.map_or(String::new(), |(d, low, high)| {
            format!("{} ({} to {})", points(d), points(low), points(high))
        });
        let verdict = arm.verdict.map_or("", |verdict| verdict.as_str());
        let tokens =
            if arm.name == ORIGINAL { "100 %".to_owned() } else { format!("{:.0} %", arm.tokens * 100.0) };
        let _ = writeln!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{:.1} to {:.1} %<td>{tokens}<td>{difference}<td class=\"{verdict}\">{verdict}</tr>",
            escape(&arm.name),
            arm.questions,
            arm.right,
            arm.accuracy.0 * 100.0,
            arm.accuracy.1 * 100.0,
        );
    }
    page.push_str("</table>\n");
    for note in notes {
        let _ = writeln!(page, "<p>{}</p>", escape(note));
    }
    page.push_str("</html>\n");
    page
}
