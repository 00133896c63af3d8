//! The hold-out: a share of conversations whose requests pass as they came, to measure what compression changes.
//!
//! The arm follows from how a conversation begins, so that all its requests are in one arm, also after a restart.

use std::collections::HashMap;

use hyper::header::HeaderMap;
use lacon_prompt::compress::held_out;
use serde_json::value::RawValue;

use crate::headers;

/// Most bytes of an outcome's name.
const MAX_OUTCOME: usize = 128;

/// Whether a request is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// It passes as it came.
    Control,
    /// It is compressed.
    Treated,
}

impl Arm {
    /// The word on the answer and in receipts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Treated => "treated",
        }
    }

    /// The arm of a request; `None` without a hold-out.
    pub fn of(json: &str, permille: u16) -> Option<Self> {
        if permille == 0 {
            return None;
        }
        Some(if held_out(&beginning(json), permille) { Self::Control } else { Self::Treated })
    }
}

/// What the first request of a conversation and all later ones have in common: all up to the first user message.
fn beginning(json: &str) -> String {
    let whole = || json.to_owned();
    let Ok(body) = serde_json::from_str::<HashMap<String, &RawValue>>(json) else { return whole() };
    let list = ["messages", "input", "contents"].into_iter().find_map(|name| body.get(name));
    let Some(Ok(messages)) = list.map(|list| serde_json::from_str::<Vec<&RawValue>>(list.get())) else {
        return list.map_or_else(whole, |text| text.get().to_owned());
    };
    let mut begins = body.get("system").map_or(String::new(), |system| system.get().to_owned());
    for message in messages {
        begins.push_str(message.get());
        let role = serde_json::from_str::<HashMap<String, &RawValue>>(message.get()).ok();
        if role.is_some_and(|message| message.get("role").is_some_and(|role| role.get() == "\"user\"")) {
            break;
        }
    }
    begins
}

/// The name under which a client will tell what came of the request.
pub fn outcome(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(headers::OUTCOME)?.to_str().ok()?.trim();
    (!name.is_empty() && name.len() <= MAX_OUTCOME).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_stays_in_its_arm() {
        let mut control = 0;
        for n in 0..1000 {
            let first = format!(
                r#"{{"model":"m","messages":[{{"role":"system","content":"s"}},{{"role":"user","content":"q{n}"}}]}}"#
            );
            let later = first
                .replace("]}", r#",{"role":"assistant","content":"a"},{"role":"user","content":"more"}]}"#);
            let arm = Arm::of(&first, 100).unwrap();
            assert_eq!(Arm::of(&later, 100), Some(arm), "{n}");
            control += u32::from(arm == Arm::Control);
        }
        assert!((70..130).contains(&control), "{control} of 1000");
        assert_eq!(Arm::of("no json", 1000), Some(Arm::Control));
        assert_eq!(Arm::of("{}", 0), None);
    }
}
