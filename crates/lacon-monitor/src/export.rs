//! A trace in formats of other tools: OTLP (JSON and protobuf), Chrome trace JSON, LangSmith runs.
//!
//! None of them holds prompt text, because a [`Trace`] does not.

mod chrome;
mod langsmith;
mod otlp;
mod proto;

pub use chrome::chrome;
pub use langsmith::langsmith;
pub use otlp::{otlp_json, otlp_proto};

use crate::trace::{Span, Trace};

/// Identifiers of the right width: hex ones are kept, others are hashed.
fn hex_id(id: &str, digits: usize) -> String {
    let hex = id.len() == digits && id.bytes().all(|b| b.is_ascii_hexdigit());
    let plain = id.replace('-', "");
    if hex {
        id.to_lowercase()
    } else if plain.len() == digits && plain.bytes().all(|b| b.is_ascii_hexdigit()) {
        plain.to_lowercase()
    } else {
        let lane =
            |basis: u64| id.bytes().fold(basis, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        format!("{:016x}{:016x}", lane(0xcbf2_9ce4_8422_2325), lane(0x6c62_272e_07bb_0142))[..digits]
            .to_owned()
    }
}

/// A UUID of an identifier: LangSmith takes no other.
fn uuid(id: &str) -> String {
    let hex = hex_id(id, 32);
    let hex = if hex.len() == 32 { hex } else { hex_id(&format!("{id}/"), 32) };
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

/// When the run began in nanoseconds since 1970; a run without a date begins in 1970.
fn began_nanos(trace: &Trace) -> u128 {
    (trace.began_unix_s.unwrap_or(0.0).max(0.0) * 1e9) as u128
}

fn nanos(trace: &Trace, seconds: f64) -> u128 {
    began_nanos(trace) + (seconds.max(0.0) * 1e9) as u128
}

/// The error's text, short.
fn error(span: &Span) -> Option<&str> {
    span.error.as_deref()
}
