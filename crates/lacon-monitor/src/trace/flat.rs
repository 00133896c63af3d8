//! Spans one by one, with their attributes as objects: Phoenix (list, page of the API, lines of a data frame), the console
//! exporters of OpenTelemetry, MLflow, and spans that a program wrote itself.

use serde_json::{Map, Value};

use super::{
    Kind, attributes,
    batch::{Batch, Outer, beginning},
    json, otlp,
    settle::Raw,
    when,
};

const ID: [&str; 6] =
    ["context.span_id", "spanId", "span_id", "context.spanId", "spanContext.spanId", "SpanId"];
const TRACE: [&str; 7] = [
    "context.trace_id",
    "traceId",
    "trace_id",
    "context.traceId",
    "spanContext.traceId",
    "attributes.mlflow.traceRequestId",
    "TraceId",
];
const PARENT: [&str; 7] = [
    "parent_id",
    "parentSpanId",
    "parent_span_id",
    "parentId",
    "parentSpanContext.spanId",
    "parent.span_id",
    "ParentSpanId",
];
const START: [&str; 8] = [
    "startTimeUnixNano",
    "start_time_unix_nano",
    "start_time_ns",
    "start_time",
    "startTime",
    "timestamp",
    "start_timestamp",
    "Timestamp",
];
const END: [&str; 6] =
    ["endTimeUnixNano", "end_time_unix_nano", "end_time_ns", "end_time", "endTime", "end_timestamp"];

const NAME: [&str; 4] = ["name", "span_name", "spanName", "SpanName"];

/// The first of these names that holds something, as a member with dots in its name or as a path.
fn pick<'a>(value: &'a Value, names: &[&str]) -> Option<&'a Value> {
    names.iter().find_map(|name| {
        json::get(value, name).filter(|v| !v.is_null()).or_else(|| json::first(value, &[name]))
    })
}

/// Whether a value is such a span, or holds a list of them.
pub fn is_span(value: &Value) -> bool {
    is_one(value) || list(value).is_some()
}

fn is_one(value: &Value) -> bool {
    let id = pick(value, &ID).is_some()
        || json::get(value, "traceId").is_some() && json::get(value, "duration").is_some();
    id && pick(value, &NAME).is_some_and(Value::is_string)
        && json::get(value, "start_s").is_none()
        && json::get(value, "run_type").is_none()
        && pick(value, &START).is_some()
}

/// The spans of a trace that MLflow or a program wrote as one object.
fn list(value: &Value) -> Option<Vec<Value>> {
    let found =
        json::first(value, &["data.spans", "spans", "trace_data.spans"]).map(std::borrow::Cow::Borrowed);
    // MLflow keeps the data of a trace in a table as text.
    let found = found.or_else(|| {
        let text = json::first(value, &["data", "trace_data"])?.as_str()?;
        let data: Value = serde_json::from_str(text).ok()?;
        json::first(&data, &["spans"]).cloned().map(std::borrow::Cow::Owned)
    })?;
    let spans = found.as_array()?;
    spans.first().is_some_and(is_one).then(|| spans.clone())
}

/// Reads a span, or all spans of an object.
pub fn add(value: &Value, batch: &mut Batch) {
    if is_one(value) {
        batch.raws.push(span(value));
        return;
    }
    let Some(spans) = list(value) else {
        super::note(&mut batch.problems, "not_a_span", beginning(value));
        return;
    };
    let raws: Vec<Raw> = spans.iter().map(span).collect();
    if let Some(id) = raws.first().and_then(|r| r.trace.clone()) {
        let name = json::first(value, &["info.trace_name", "info.tags.mlflow.traceName", "name"])
            .and_then(json::text);
        batch.outer.push(Outer { id, name: name.unwrap_or_default(), ..Outer::default() });
    }
    batch.raws.extend(raws);
}

fn span(value: &Value) -> Raw {
    let id = |names: &[&str]| {
        let found = pick(value, names)?;
        otlp::id(Some(found)).or_else(|| found.is_number().then(|| found.to_string()))
    };
    let mut map = attributes_of(value);
    let mut raw = Raw {
        trace: id(&TRACE),
        parent: id(&PARENT),
        start: pick(value, &START[..3])
            .and_then(when::nanos)
            .or_else(|| pick(value, &START[3..]).and_then(moment)),
        end: pick(value, &END[..3]).and_then(when::nanos).or_else(|| pick(value, &END[3..]).and_then(moment)),
        ..Raw::default()
    };
    if raw.start.is_none() && pick(value, &START).and_then(Value::as_f64) == Some(0.0) {
        // Seconds since the run began.
        raw.start = Some(0.0);
    }
    if raw.end.is_none()
        && let (Some(start), Some(took)) = (raw.start, seconds(value))
    {
        raw.end = Some(start + took);
    }
    raw.span.id = id(&ID).or_else(|| id(&["id"])).unwrap_or_default();
    raw.span.name = pick(value, &NAME).and_then(json::text).unwrap_or_else(|| "unnamed".into());
    raw.span.is_server = otlp::kind_is_server(pick(value, &["kind", "SpanKind", "otel_span_kind"]));
    raw.span.scope =
        pick(value, &["instrumentationScope.name", "instrumentation_scope.name", "scope.name", "scope"])
            .filter(|v| v.is_string())
            .and_then(json::text);
    let resource = otlp::attributes(pick(value, &["resource.attributes", "ResourceAttributes", "resource"]));
    let named = || pick(value, &["service_name", "ServiceName", "serviceName"]).and_then(json::text);
    raw.span.service = otlp::service(&resource).or_else(named);
    if let Some(error) = error(value) {
        raw.span.error = Some(error);
    }
    let kind = pick(value, &["span_kind", "spanKind", "span_type"]).and_then(json::text);
    if let Some(kind) = kind.filter(|k| !k.is_empty() && !k.eq_ignore_ascii_case("unknown")) {
        map.entry("openinference.span.kind").or_insert_with(|| kind.into());
    }
    for (from, to) in [("inputs", "input.value"), ("outputs", "output.value")] {
        if let Some(found) = json::get(value, from).filter(|v| !v.is_null()) {
            map.entry(to).or_insert_with(|| found.clone());
        }
    }
    otlp::events(value.get("events"), &mut raw, &mut map);
    attributes::fill(&mut raw, map);
    if raw.span.kind == Kind::Run {
        raw.span.kind = Kind::Other;
    }
    raw
}

/// How long a span without an end took.
fn seconds(value: &Value) -> Option<f64> {
    // The console of OpenTelemetry for JavaScript counts microseconds.
    let is_js =
        json::get(value, "parentSpanContext").is_some() || json::get(value, "instrumentationScope").is_some();
    const UNITS: [(&str, f64); 11] = [
        // The tables of the collector's ClickHouse exporter.
        ("Duration", 1e-9),
        ("duration_ms", 1e-3),
        ("durationMs", 1e-3),
        ("latency_ms", 1e-3),
        ("duration_ns", 1e-9),
        ("durationNano", 1e-9),
        ("duration_us", 1e-6),
        ("duration_s", 1.0),
        ("duration_seconds", 1.0),
        ("latency_s", 1.0),
        ("latency", 1.0),
    ];
    let named = UNITS.iter().find_map(|(name, unit)| Some(json::money(json::get(value, name)?)? * unit));
    let seconds = named.or_else(|| match json::get(value, "duration")? {
        Value::Array(pair) => Some(pair.first()?.as_f64()? + pair.get(1)?.as_f64()? / 1e9),
        other => Some(other.as_f64()? * if is_js { 1e-6 } else { 1e-3 }),
    });
    seconds.filter(|s| s.is_finite() && *s >= 0.0)
}

/// A date, or a number whose size tells its unit; pairs of seconds and nanoseconds.
fn moment(value: &Value) -> Option<f64> {
    match value {
        Value::Array(_) => when::nanos(value),
        other => when::unix(other),
    }
}

fn error(value: &Value) -> Option<String> {
    let status = pick(
        value,
        &[
            "status_code",
            "status.status_code",
            "status.code",
            "statusCode",
            "otel_status_code",
            "StatusCode",
            "status",
        ],
    )?;
    let code = json::text(status)?.to_uppercase();
    if !(code.ends_with("ERROR") || code == "2" || code == "FAILED") {
        return None;
    }
    let message = pick(
        value,
        &[
            "status_message",
            "status.description",
            "status.message",
            "statusMessage",
            "otel_status_message",
            "StatusMessage",
        ],
    )
    .and_then(json::text);
    Some(message.filter(|m| !m.is_empty()).unwrap_or_else(|| "failed".into()))
}

/// Attributes as an object, as pairs, as text, or as columns of a data frame.
fn attributes_of(value: &Value) -> Map<String, Value> {
    let mut map = otlp::attributes(pick(value, &["attributes", "SpanAttributes", "span_attributes"]));
    for (key, column) in value.as_object().into_iter().flatten() {
        if let Some(name) = key.strip_prefix("attributes.").filter(|_| !column.is_null()) {
            map.entry(name).or_insert_with(|| column.clone());
        }
    }
    map
}
