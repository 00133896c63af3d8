//! Forms that are recognized and not read, each with the way to one that is.

use serde_json::Value;

use super::json;

/// What bytes are that hold no text.
pub fn by_bytes(bytes: &[u8]) -> Option<String> {
    let (what, way) = if bytes.starts_with(b"PAR1") {
        (
            "a Parquet file",
            "a build with the feature parquet reads it; or write its rows as JSON lines: duckdb -c \"COPY (FROM 'runs.parquet') TO 'runs.jsonl'\"",
        )
    } else if bytes.starts_with(b"SQLite format 3\0") {
        (
            "a SQLite database, such as Phoenix and MLflow keep",
            "export the spans: px.Client().get_spans_dataframe().to_json(\"spans.jsonl\", orient=\"records\", lines=True) or mlflow traces get --trace-id ID > trace.json",
        )
    } else if bytes.starts_with(b"PK\x03\x04") {
        ("a zip archive", "unpack it and give the files inside")
    } else if bytes.starts_with(&[0x1f, 0x8b]) {
        ("gzip", "unpack it: gunzip FILE")
    } else if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        ("zstd", "unpack it: zstd -d FILE")
    } else if bytes.starts_with(b"ORC") || bytes.starts_with(b"Obj\x01") {
        ("a table in ORC or Avro", "write its rows as JSON lines")
    } else {
        return None;
    };
    Some(format!("this is {what}, which is not read\nhint: {way}"))
}

/// Whether a value is our `run.json`, whose lists look like pages of a trace.
pub fn is_record(value: &Value) -> bool {
    ["schema_version", "run_id", "critical_path"].iter().all(|key| value.get(key).is_some())
}

/// What values are that hold none of the forms that are read.
pub fn by_values(text: &str, values: &[Value]) -> Option<String> {
    let has = |value: &Value, keys: &[&str]| keys.iter().all(|key| json::get(value, key).is_some());
    let any = |keys: &[&str]| values.iter().take(64).any(|v| has(v, keys));
    let (what, way) = match () {
        () if any(&["traceEvents"]) || any(&["ph", "ts"]) => {
            ("a Chrome trace", "it holds no tokens: export the same run as OTLP JSON")
        }
        () if any(&["op_name", "started_at"]) => {
            ("calls of W&B Weave", "send the same run to an OpenTelemetry collector and give its OTLP JSON")
        }
        () if any(&["span_attributes", "root_span_id"]) => {
            ("spans of Braintrust", "send the same run to an OpenTelemetry collector and give its OTLP JSON")
        }
        () if any(&["trace_id", "span_id", "start", "duration", "resource"]) => {
            ("spans of Datadog", "send the same run to an OpenTelemetry collector and give its OTLP JSON")
        }
        () if any(&["Segments"]) || any(&["segments", "trace_id"]) => (
            "segments of AWS X-Ray",
            "send the same run to an OpenTelemetry collector and give its OTLP JSON",
        ),
        () if any(&["resourceLogs"]) || any(&["resourceMetrics"]) => {
            ("OTLP logs or metrics", "give the file of the traces pipeline: it begins with resourceSpans")
        }
        () if values
            .iter()
            .take(8)
            .any(|v| json::get(v, "type").and_then(Value::as_str) == Some("thread.started")) =>
        {
            (
                "the events of codex exec, which hold no times",
                "give the session: ~/.codex/sessions/YYYY/MM/DD/rollout-*.jsonl",
            )
        }
        () if any(&["eval", "samples"]) => {
            ("a log of Inspect AI", "run it with an OpenTelemetry exporter and give its OTLP JSON")
        }
        () if any(&["log"]) && values.iter().any(|v| json::first(v, &["log.entries"]).is_some()) => {
            ("an HTTP archive", "it holds requests without runs: export the run from the agent's own tracing")
        }
        () if any(&["messages"]) || any(&["role", "content"]) => (
            "a conversation without times",
            "export the run from the agent's own tracing: LangSmith, Langfuse, Phoenix or OTLP",
        ),
        () if is_csv(text) => ("a table in CSV", "export the same rows as JSON or JSON lines"),
        () => return None,
    };
    Some(format!("this is {what}, which is not read\nhint: {way}"))
}

fn is_csv(text: &str) -> bool {
    let head = text.lines().next().unwrap_or_default();
    let cells = head.split(',').count();
    !head.starts_with(['{', '[', '<'])
        && cells >= 4
        && ["id", "trace", "name", "start", "timestamp", "latency"]
            .iter()
            .filter(|w| head.to_lowercase().contains(**w))
            .count()
            >= 2
}
