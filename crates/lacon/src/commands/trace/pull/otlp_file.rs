//! Traces out of the files that a collector of OpenTelemetry writes: many traces in one file, one trace in many lines.

use std::{collections::BTreeMap, path::Path};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Done, file, list, word};
use crate::{args::trace::PullArgs, commands::trace, failure::Failure, text};

/// Bytes of all files together, unpacked.
const MOST_BYTES: usize = 1 << 30;

/// The spans of one trace, with resource and scope around them as they were.
#[derive(Default)]
struct Found {
    /// Nanoseconds since 1970.
    began: Option<u64>,
    resources: Vec<Value>,
}

/// Writes one file for each of the last traces. A trace that has grown since is written again.
pub fn pull(args: &PullArgs, since: Option<Timestamp>, done: &mut Done) -> Result<(), Failure> {
    let path = args.url.as_deref().ok_or_else(|| {
        Failure::input("otlp-file needs --url: the file that the collector writes, or its folder")
    })?;
    let path = Path::new(path.strip_prefix("file://").unwrap_or(path));
    let mut traces: BTreeMap<String, Found> = BTreeMap::new();
    let (mut bytes, mut unread) = (0, 0);
    for name in trace::files(path)? {
        let text = trace::unpacked(&name)?;
        bytes += text.len();
        if bytes > MOST_BYTES {
            return Err(Failure::input(format!(
                "{}: its files hold more than {} MiB\nhint: name some of them",
                path.display(),
                MOST_BYTES >> 20
            )));
        }
        // A line alone, so that one that is still written costs no other. A single document may take several lines.
        match serde_json::from_slice::<Value>(&text) {
            Ok(document) => add(&document, &mut traces),
            Err(_) => {
                for line in text.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
                    match serde_json::from_slice::<Value>(line) {
                        Ok(document) => add(&document, &mut traces),
                        Err(_) => unread += 1,
                    }
                }
            }
        }
    }
    if unread > 0 {
        text::warn(&format!("{}: lines left out, which are no JSON: {unread}", path.display()));
    }
    let since = since.map(|since| u64::try_from(since.as_nanosecond()).unwrap_or(0));
    let mut order: Vec<(Option<u64>, String)> = traces
        .iter()
        .filter(|(_, found)| since.is_none_or(|since| found.began.is_some_and(|began| began >= since)))
        .filter(|(_, found)| args.project.as_deref().is_none_or(|name| found.is_of(name)))
        .map(|(id, found)| (found.began, id.clone()))
        .collect();
    order.sort_unstable_by(|a, b| b.cmp(a));
    for (_, id) in order.into_iter().take(args.last) {
        let Some(found) = traces.remove(&id) else { continue };
        let text = json!({"resourceSpans": found.resources}).to_string();
        let file = file(args, &id);
        if !args.again && std::fs::read(&file).is_ok_and(|before| before == text.as_bytes()) {
            done.old += 1;
            continue;
        }
        let no_inputs: [&Path; 0] = [];
        lacon_files::write(&file, text.as_bytes(), no_inputs, lacon_files::Flush::Later)?;
        done.new += 1;
    }
    Ok(())
}

impl Found {
    fn is_of(&self, service: &str) -> bool {
        let named = |pair: &Value| {
            word(pair, "key") == Some("service.name")
                && pair.pointer("/value/stringValue").and_then(Value::as_str) == Some(service)
        };
        self.resources
            .iter()
            .any(|r| r.get("resource").is_some_and(|r| list(r, "attributes").iter().any(named)))
    }
}

/// Sorts the spans of a document by trace.
fn add(document: &Value, traces: &mut BTreeMap<String, Found>) {
    for of_resource in list(document, "resourceSpans") {
        let mut by_trace: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for of_scope in list(of_resource, "scopeSpans") {
            let mut spans: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
            for span in list(of_scope, "spans") {
                let id = word(span, "traceId").unwrap_or("unknown");
                spans.entry(id).or_default().push(span);
                let start = span.get("startTimeUnixNano");
                let start = start.and_then(|start| start.as_u64().or_else(|| start.as_str()?.parse().ok()));
                if let Some(start) = start {
                    let began = &mut traces.entry(id.to_owned()).or_default().began;
                    *began = Some(began.map_or(start, |began| began.min(start)));
                }
            }
            for (id, spans) in spans {
                let scope = json!({"scope": of_scope.get("scope"), "spans": spans});
                by_trace.entry(id).or_default().push(scope);
            }
        }
        for (id, scopes) in by_trace {
            let resource = json!({"resource": of_resource.get("resource"), "scopeSpans": scopes});
            traces.entry(id.to_owned()).or_default().resources.push(resource);
        }
    }
}
