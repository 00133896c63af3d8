//! The few messages of OTLP in protobuf's wire format. Field numbers are those of opentelemetry-proto 1.x; the test
//! decodes what is written here with the published definitions.

use serde_json::{Map, Value};

use super::otlp::Row;
use crate::names::Conventions;

/// A message under way.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut n: u64) {
        loop {
            let byte = (n & 0x7f) as u8;
            n >>= 7;
            if n == 0 {
                self.0.push(byte);
                return;
            }
            self.0.push(byte | 0x80);
        }
    }

    fn key(&mut self, field: u64, wire: u64) {
        self.varint(field << 3 | wire);
    }

    fn int(&mut self, field: u64, n: u64) {
        self.key(field, 0);
        self.varint(n);
    }

    fn fixed64(&mut self, field: u64, bytes: [u8; 8]) {
        self.key(field, 1);
        self.0.extend(bytes);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn message(&mut self, field: u64, f: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        f(&mut inner);
        self.bytes(field, &inner.0);
    }
}

fn id_bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).filter_map(|i| u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok()).collect()
}

fn any(m: &mut Message, value: &Value) {
    match value {
        Value::String(text) => m.bytes(1, text.as_bytes()),
        Value::Bool(flag) => m.int(2, u64::from(*flag)),
        Value::Number(number) => match number.as_i64() {
            Some(int) => m.int(3, int as u64),
            None => m.fixed64(4, number.as_f64().unwrap_or(0.0).to_le_bytes()),
        },
        Value::Array(items) => m.message(5, |list| items.iter().for_each(|v| list.message(1, |x| any(x, v)))),
        Value::Object(map) => m.message(6, |list| attributes(list, 1, map)),
        Value::Null => {}
    }
}

fn attributes(m: &mut Message, field: u64, map: &Map<String, Value>) {
    for (key, value) in map.iter().filter(|(_, v)| !v.is_null()) {
        m.message(field, |pair| {
            pair.bytes(1, key.as_bytes());
            pair.message(2, |v| any(v, value));
        });
    }
}

fn span(m: &mut Message, trace_id: &str, row: &Row) {
    m.bytes(1, &id_bytes(trace_id));
    m.bytes(2, &id_bytes(&row.id));
    if let Some(parent) = &row.parent {
        m.bytes(4, &id_bytes(parent));
    }
    m.bytes(5, row.name.as_bytes());
    m.int(6, row.kind);
    m.fixed64(7, (row.start as u64).to_le_bytes());
    m.fixed64(8, (row.end as u64).to_le_bytes());
    attributes(m, 9, &row.attributes);
    if let Some(error) = &row.error {
        m.message(15, |status| {
            status.bytes(2, error.as_bytes());
            status.int(3, 2);
        });
    }
}

/// `ExportTraceServiceRequest`.
pub fn request(trace_id: &str, rows: &[Row], version: &str, conventions: Conventions) -> Vec<u8> {
    let text = |value: &str| Value::String(value.to_owned());
    let resource: Map<String, Value> =
        [("service.name".to_owned(), text("lacon")), ("service.version".to_owned(), text(version))]
            .into_iter()
            .collect();
    let mut request = Message::default();
    request.message(1, |resource_spans| {
        resource_spans.message(1, |m| attributes(m, 1, &resource));
        resource_spans.message(2, |scope_spans| {
            scope_spans.message(1, |scope| {
                scope.bytes(1, b"lacon");
                scope.bytes(2, version.as_bytes());
            });
            rows.iter().for_each(|row| scope_spans.message(2, |m| span(m, trace_id, row)));
            scope_spans.bytes(3, conventions.schema_url().as_bytes());
        });
    });
    request.0
}
