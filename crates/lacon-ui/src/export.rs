//! The page as one file with a run inside it: no server, no request.

use lacon_monitor::{
    analyze::{Scorers, analyze},
    html::escape,
    trace::Trace,
};
use serde_json::{Value, json};

use crate::{detail, routes::ASSETS};

/// Bytes of texts that a file may hold. Spans behind it keep their figures.
const MOST_TEXTS: usize = 32 << 20;

/// Writes the page with one run inside it. The file holds what the trace holds: names, times, tokens, and the beginnings
/// of recorded texts.
#[must_use]
pub fn page(trace: &Trace, scorers: Scorers<'_>) -> String {
    let analysis = analyze(trace, scorers);
    let row = detail::row(trace, &analysis);
    with(&row, &detail::run(&row, trace, &analysis, &[]), trace)
}

/// The page around a run that was read already.
pub fn with(row: &Value, detail: &Value, trace: &Trace) -> String {
    let mut left = MOST_TEXTS;
    let spans: Vec<Value> = trace
        .spans
        .iter()
        .map(|span| {
            let size: usize = span.shown.iter().map(|shown| shown.text.len()).sum();
            if size > left {
                return Value::Null;
            }
            left -= size;
            detail::span(span)
        })
        .collect();
    let data = json!({"runs": [row], "detail": detail, "spans": spans}).to_string();
    // Inside of a script's element only `</` could end it, and `<!--` change how it is read.
    let data = data.replace('<', "\\u003c");
    let mut script = String::new();
    let mut style = String::new();
    for (name, text) in ASSETS {
        if name.ends_with(".js") {
            script.push_str(text);
        } else if name.ends_with(".css") {
            style.push_str(text);
        }
    }
    let title = escape(row["title"].as_str().unwrap_or_default());
    // The page's own script is the only one in the file, and nothing may be asked of the network.
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline'; \
         style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}: lacon</title>\n<style>{style}</style>\n</head>\n<body>\n<div id=\"app\"></div>\n\
         <script type=\"application/json\" id=\"data\">{data}</script>\n<script>{script}</script>\n</body>\n</html>\n"
    )
}
