//! OTLP as protobuf: an export request, or a file of them with their lengths before them, as JSON documents.
//!
//! Bytes that are no such message give nothing: the fields, their types and their order of nesting must fit to the end.

use serde_json::{Map, Value, json};

/// A field of a message.
enum Field<'a> {
    Number(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

/// Deeper values are cut.
const DEEPEST: usize = 32;

/// The documents that the bytes are, where they are OTLP.
pub fn documents(bytes: &[u8]) -> Option<Vec<Value>> {
    // Every request begins with its first resource; a file of requests with four bytes of length.
    if bytes.first() == Some(&0x0a)
        && let Some(one) = request(bytes)
    {
        return Some(vec![one]);
    }
    if bytes.len() < 8 || bytes[0] != 0 || bytes[4] != 0x0a {
        return None;
    }
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some((head, tail)) = rest.split_first_chunk::<4>() {
        let size = u32::from_be_bytes(*head) as usize;
        // What a writer did not finish is left.
        let Some((message, after)) = tail.split_at_checked(size) else { break };
        found.push(request(message)?);
        rest = after;
    }
    (!found.is_empty()).then_some(found)
}

fn request(bytes: &[u8]) -> Option<Value> {
    let mut resources = Vec::new();
    each(bytes, |number, field| match (number, field) {
        (1, Field::Bytes(inner)) => {
            resources.push(resource_spans(inner)?);
            Some(())
        }
        _ => None,
    })?;
    let has_span = |r: &Value| {
        let scopes = r["scopeSpans"].as_array().into_iter().flatten();
        scopes.into_iter().any(|s| s["spans"].as_array().is_some_and(|spans| !spans.is_empty()))
    };
    resources.iter().any(has_span).then(|| json!({"resourceSpans": resources}))
}

/// Walks over the fields of a message; nothing when it is none or when the visitor does not want one.
fn each<'a>(mut bytes: &'a [u8], mut visit: impl FnMut(u64, Field<'a>) -> Option<()>) -> Option<()> {
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)?),
            1 => {
                let (head, rest) = bytes.split_first_chunk::<8>()?;
                bytes = rest;
                Field::Fixed(u64::from_le_bytes(*head))
            }
            2 => {
                let size = usize::try_from(varint(&mut bytes)?).ok()?;
                let (inner, rest) = bytes.split_at_checked(size)?;
                bytes = rest;
                Field::Bytes(inner)
            }
            5 => {
                let (head, rest) = bytes.split_first_chunk::<4>()?;
                bytes = rest;
                Field::Fixed(u64::from(u32::from_le_bytes(*head)))
            }
            _ => return None,
        };
        visit(tag >> 3, field)?;
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into_owned().into()
}

fn hex(bytes: &[u8]) -> Value {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<String>().into()
}

fn resource_spans(bytes: &[u8]) -> Option<Value> {
    let (mut resource, mut scopes) = (Value::Null, Vec::new());
    each(bytes, |number, field| {
        match (number, field) {
            (1, Field::Bytes(inner)) => resource = json!({"attributes": attributes(inner, 1)?}),
            (2, Field::Bytes(inner)) => scopes.push(scope_spans(inner)?),
            (1 | 2, _) => return None,
            _ => {}
        }
        Some(())
    })?;
    Some(json!({"resource": resource, "scopeSpans": scopes}))
}

fn scope_spans(bytes: &[u8]) -> Option<Value> {
    let (mut name, mut spans) = (Value::Null, Vec::new());
    each(bytes, |number, field| {
        match (number, field) {
            (1, Field::Bytes(inner)) => each(inner, |number, field| {
                if let (1, Field::Bytes(inner)) = (number, field) {
                    name = text(inner);
                }
                Some(())
            })?,
            (2, Field::Bytes(inner)) => spans.push(span(inner)?),
            (1 | 2, _) => return None,
            _ => {}
        }
        Some(())
    })?;
    Some(json!({"scope": {"name": name}, "spans": spans}))
}

fn span(bytes: &[u8]) -> Option<Value> {
    let mut map = Map::new();
    let (mut pairs, mut events) = (Map::new(), Vec::new());
    each(bytes, |number, field| {
        let mut set = |key: &str, value: Value| drop(map.insert(key.into(), value));
        match (number, field) {
            (1, Field::Bytes(inner)) => set("traceId", hex(inner)),
            (2, Field::Bytes(inner)) => set("spanId", hex(inner)),
            (4, Field::Bytes(inner)) => set("parentSpanId", hex(inner)),
            (5, Field::Bytes(inner)) => set("name", text(inner)),
            (6, Field::Number(kind)) => set("kind", kind.into()),
            (7, Field::Fixed(nanos)) => set("startTimeUnixNano", nanos.to_string().into()),
            (8, Field::Fixed(nanos)) => set("endTimeUnixNano", nanos.to_string().into()),
            (9, Field::Bytes(inner)) => pairs.extend(pair(inner, 0)?),
            (11, Field::Bytes(inner)) => events.push(event(inner)?),
            (15, Field::Bytes(inner)) => set("status", status(inner)?),
            (1 | 2 | 4 | 5 | 7 | 8 | 9 | 11 | 15, _) => return None,
            _ => {}
        }
        Some(())
    })?;
    map.insert("attributes".into(), pairs.into());
    map.insert("events".into(), events.into());
    Some(map.into())
}

fn status(bytes: &[u8]) -> Option<Value> {
    let (mut message, mut code) = (Value::Null, 0);
    each(bytes, |number, field| {
        match (number, field) {
            (2, Field::Bytes(inner)) => message = text(inner),
            (3, Field::Number(n)) => code = n,
            _ => {}
        }
        Some(())
    })?;
    Some(json!({"code": code, "message": message}))
}

fn event(bytes: &[u8]) -> Option<Value> {
    let (mut at, mut name) = (Value::Null, Value::Null);
    let mut pairs = Map::new();
    each(bytes, |number, field| {
        match (number, field) {
            (1, Field::Fixed(nanos)) => at = nanos.to_string().into(),
            (2, Field::Bytes(inner)) => name = text(inner),
            (3, Field::Bytes(inner)) => pairs.extend(pair(inner, 0)?),
            _ => {}
        }
        Some(())
    })?;
    Some(json!({"timeUnixNano": at, "name": name, "attributes": pairs}))
}

/// The pairs under a field number.
fn attributes(bytes: &[u8], wanted: u64) -> Option<Map<String, Value>> {
    let mut pairs = Map::new();
    each(bytes, |number, field| {
        if let (true, Field::Bytes(inner)) = (number == wanted, field) {
            pairs.extend(pair(inner, 0)?);
        }
        Some(())
    })?;
    Some(pairs)
}

fn pair(bytes: &[u8], depth: usize) -> Option<Option<(String, Value)>> {
    let (mut key, mut value) = (None, Value::Null);
    each(bytes, |number, field| {
        match (number, field) {
            (1, Field::Bytes(inner)) => key = Some(String::from_utf8_lossy(inner).into_owned()),
            (2, Field::Bytes(inner)) => value = any(inner, depth + 1)?,
            _ => return None,
        }
        Some(())
    })?;
    Some(key.map(|key| (key, value)))
}

fn any(bytes: &[u8], depth: usize) -> Option<Value> {
    let mut value = Value::Null;
    if depth > DEEPEST {
        return Some(value);
    }
    each(bytes, |number, field| {
        match (number, field) {
            (1, Field::Bytes(inner)) => value = text(inner),
            (2, Field::Number(n)) => value = (n != 0).into(),
            (3, Field::Number(n)) => value = n.cast_signed().into(),
            (4, Field::Fixed(bits)) => value = f64::from_bits(bits).into(),
            (5, Field::Bytes(inner)) => {
                let mut list = Vec::new();
                each(inner, |number, field| {
                    if let (1, Field::Bytes(inner)) = (number, field) {
                        list.push(any(inner, depth + 1)?);
                    }
                    Some(())
                })?;
                value = list.into();
            }
            (6, Field::Bytes(inner)) => {
                let mut map = Map::new();
                each(inner, |number, field| {
                    if let (1, Field::Bytes(inner)) = (number, field) {
                        map.extend(pair(inner, depth + 1)?);
                    }
                    Some(())
                })?;
                value = map.into();
            }
            (7, Field::Bytes(inner)) => value = hex(inner),
            _ => return None,
        }
        Some(())
    })?;
    Some(value)
}
