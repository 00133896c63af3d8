//! `lacon report`: the report of a finished run as text, HTML, SVG or in formats of other tools.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use lacon_agents::TeamRecord;
use lacon_monitor::{
    CallFact, RunRecord, ToolFact, export, html,
    metrics::Metrics,
    names::Conventions,
    record::Tokens,
    render,
    report::{RunReport, report},
    trace::{Trace, read},
    visible::visible,
};
use lacon_runtime::Config;
use lacon_runtime::JOURNAL;
use lacon_trading::traces::SCORERS;
use serde_json::Value;

use super::{
    Common, block_on,
    runs::{self, Needs},
};
use crate::{
    args::trace::{ReportArgs, TraceFormat},
    failure::Failure,
    otlp, text,
};

/// Reads the run's folder and writes what was asked for.
pub fn run(common: &Common, args: &ReportArgs) -> Result<ExitCode, Failure> {
    let config = common.settings(&[("run.out", args.out.as_ref())])?;
    let folder = runs::find(Path::new(config.text("run.out")), &args.run, None, Needs::Record)?;
    let loaded = load(&folder)?;
    let report = of(&loaded);
    if let Some(file) = &args.html {
        write(file, html::html(&report).as_bytes(), &folder)?;
    }
    if let Some(file) = &args.svg {
        write(file, html::svg(&report).as_bytes(), &folder)?;
    }
    if let Some(file) = &args.complete {
        let path = complete(&folder, file.as_deref())?;
        if !args.json {
            text::out(&format!("complete  {}", path.display()));
        }
    }
    if let Some(format) = args.trace_format {
        let body = formatted(format, &loaded, &config)?;
        match &args.output {
            Some(file) => write(file, body.as_bytes(), &folder)?,
            None => text::out(&body),
        }
    }
    if let Some(url) = &args.otlp {
        let headers = config.text("log.otlp_headers").to_owned();
        block_on(otlp::send(url, &headers, &loaded.trace, conventions(&config)))?
            .map_err(|e| Failure::model(&e, e.kind()))?;
    }
    if args.json {
        let json = serde_json::to_string_pretty(&report);
        text::out(&json.map_err(|e| Failure::input(format!("cannot write the report: {e}")))?);
    } else if args.html.is_none()
        && args.svg.is_none()
        && args.complete.is_none()
        && args.trace_format.is_none()
        && args.otlp.is_none()
    {
        text::out(&render::report(&report));
    }
    Ok(ExitCode::SUCCESS)
}

/// A finished run's files.
pub struct Loaded {
    /// `run.json`.
    pub run: RunRecord,
    /// `trace.jsonl`.
    pub trace: Trace,
    /// `receipts.jsonl`.
    pub receipts: Vec<Value>,
}

/// Reads a run's folder.
pub fn load(folder: &Path) -> Result<Loaded, Failure> {
    let file = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).map_err(|e| Failure::input(format!("{}: cannot be read: {e}", path.display())))
    };
    let run = record(folder, &file("run.json")?)?;
    // A team's run leaves its journal, which holds the same calls.
    let name = if folder.join("trace.jsonl").is_file() { "trace.jsonl" } else { JOURNAL };
    let trace = read(&file(name)?)
        .ok()
        .and_then(|mut traces| traces.drain(..).next())
        .ok_or_else(|| Failure::input(format!("{}: holds no trace", folder.join(name).display())))?;
    let receipts = String::from_utf8_lossy(&file("receipts.jsonl").unwrap_or_default())
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    Ok(Loaded { run, trace, receipts })
}

/// A record of either shape: that of the trading graph, or that of a team.
pub fn record(folder: &Path, bytes: &[u8]) -> Result<RunRecord, Failure> {
    let fault = |e: serde_json::Error| Failure::input(format!("{}: {e}", folder.join("run.json").display()));
    match team_record(bytes) {
        Some(team) => Ok(team.map_err(fault)?.as_run()),
        None => serde_json::from_slice(bytes).map_err(fault),
    }
}

/// The record of a team's run; none where it is one of the trading graph.
fn team_record(bytes: &[u8]) -> Option<serde_json::Result<TeamRecord>> {
    #[derive(serde::Deserialize)]
    struct Shape {
        schema_version: u32,
    }
    let shape: Shape = serde_json::from_slice(bytes).ok()?;
    (shape.schema_version == lacon_agents::record::SCHEMA_VERSION).then(|| serde_json::from_slice(bytes))
}

/// The report of a loaded run.
pub fn of(loaded: &Loaded) -> RunReport {
    report(&loaded.run, &loaded.trace, &loaded.receipts, SCORERS)
}

/// The trace, or the metrics, in a form that others read.
pub fn formatted(format: TraceFormat, loaded: &Loaded, config: &Config) -> Result<String, Failure> {
    let json = |value: &Value| {
        serde_json::to_string(value).map_err(|e| Failure::input(format!("cannot write the trace: {e}")))
    };
    match format {
        TraceFormat::Otlp => {
            json(&export::otlp_json(&loaded.trace, env!("CARGO_PKG_VERSION"), conventions(config)))
        }
        TraceFormat::Chrome => json(&export::chrome(&loaded.trace)),
        TraceFormat::Langsmith => json(&Value::Array(export::langsmith(&loaded.trace))),
        TraceFormat::Prometheus => {
            Ok(metrics(&loaded.run).prometheus(&loaded.run.llm.provider, conventions(config)))
        }
    }
}

/// Whose names of metrics are written.
pub fn conventions(config: &Config) -> Conventions {
    Conventions::opted_in(config.text("log.semconv"))
}

/// Counters and histograms of a finished run.
fn metrics(run: &RunRecord) -> Metrics {
    let metrics = Metrics::default();
    for call in &run.calls {
        let fact =
            CallFact { call: call.clone(), tokens: Tokens::default(), micro_usd: None, attempts: Vec::new() };
        metrics.call(&fact);
    }
    for tool in &run.tools {
        metrics.tool(&ToolFact { tool: tool.clone() });
    }
    metrics
}

/// Writes the complete report of a run with the source of every figure; the name's ending says how.
pub fn complete(folder: &Path, file: Option<&Path>) -> Result<PathBuf, Failure> {
    let reports = if folder.join("reports").is_dir() { "reports/complete.html" } else { "complete.html" };
    let path = file.map_or_else(|| folder.join(reports), Path::to_owned);
    let team = std::fs::read(folder.join("run.json")).ok().and_then(|bytes| team_record(&bytes)?.ok());
    let material = || lacon_trading::page::Material::read(folder).map_err(Failure::input);
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    let page = match (ending.as_str(), &team) {
        ("html" | "htm", None) => strict(&material()?.html()),
        ("md", None) => material()?.markdown(),
        ("html" | "htm", Some(team)) => lacon_agents::report::html(team),
        ("md", Some(team)) => lacon_agents::report::markdown(team),
        _ => {
            return Err(Failure::input(format!(
                "{}: unknown ending\nhint: name it .html or .md",
                path.display()
            )));
        }
    };
    write(&path, visible(&page).as_bytes(), folder)?;
    Ok(path)
}

/// A page under the policy of all our pages.
fn strict(page: &str) -> String {
    const OWN: &str = "http-equiv=\"Content-Security-Policy\" content=\"";
    match page.split_once(OWN).and_then(|(head, rest)| Some((head, rest.split_once('"')?.1))) {
        Some((head, rest)) => format!("{head}{OWN}{}\"{rest}", html::POLICY),
        None => page.to_owned(),
    }
}

/// Writes a whole file that is made from a run; none of the files that it is made from can be named.
pub fn write(file: &Path, bytes: &[u8], folder: &Path) -> Result<(), Failure> {
    let sources = sources(folder);
    Ok(lacon_files::write(file, bytes, sources.iter().map(PathBuf::as_path), lacon_files::Flush::Now)?)
}

/// What a run leaves for its reports to be made from.
fn sources(folder: &Path) -> Vec<PathBuf> {
    const FILES: [&str; 6] =
        ["run.json", "trace.jsonl", "events.jsonl", "receipts.jsonl", "provenance.json", JOURNAL];
    let mut sources: Vec<PathBuf> = FILES.iter().map(|name| folder.join(name)).collect();
    let mut folders = vec![folder.join("reports")];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                // The complete report is made from the others.
                Ok(_)
                    if path.extension().is_some_and(|end| end == "md") && !path.ends_with("complete.md") =>
                {
                    sources.push(path);
                }
                _ => {}
            }
        }
    }
    sources
}
