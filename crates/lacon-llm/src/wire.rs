//! The JSON of each protocol, for both sides: clients write requests and read answers, simulators the other way round.
//!
//! Readers are tolerant: unknown fields are skipped, absent and `null` mean the same, closed word lists are plain strings.

pub mod chat;
pub mod gemini;
pub mod messages;
pub mod ollama;
pub mod responses;

use serde::{Deserialize, Deserializer};

/// Reads `null` as the default value.
pub(crate) fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a token count that some servers write as `12.0` or leave out as `null`. A negative one is `u64::MAX`, which no
/// check of a usage takes; anything else counts as absent.
pub(crate) fn lenient_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    Ok(value.and_then(|value| {
        value
            .as_u64()
            .or_else(|| value.as_f64().map(|count| if count < 0.0 { u64::MAX } else { count as u64 }))
    }))
}
