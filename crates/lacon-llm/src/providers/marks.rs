//! What a request tells the provider's prompt cache, by the cache rule of its model.
//!
//! | calls | rule with breakpoints | rule with marks |
//! |---|---|---|
//! | siblings | marks behind what they share, and nothing else is written | the same marks |
//! | a conversation that grows | the newest message is one by itself | a mark at the end |
//! | a call whose beginning nobody reads again | explicit mode without a mark: no write is paid | no mark |
//!
//! Where a cache works by itself, nothing is said.

use lacon_models::{CacheKind, cache_of, plain_name};
use serde_json::{Value, json};

use crate::{
    marks::CacheMarks,
    request::{Cut, Request, Reuse},
};

/// The marks of one request.
#[derive(Debug, Default)]
pub(super) struct Marks {
    cuts: Vec<Cut>,
    /// Name and value of a mark on a block.
    mark: Option<(&'static str, Value)>,
    /// What a request body gets beside its messages.
    pub(super) fields: Vec<(&'static str, Value)>,
}

impl Marks {
    pub(super) fn of(request: &Request) -> Self {
        let Some(rule) = cache_of(&plain_name(&request.model)) else { return Self::default() };
        let Some(CacheMarks { cuts, only }) = request.cache_marks(rule) else { return Self::default() };
        let mut fields = Vec::new();
        if rule.kind == CacheKind::Breakpoints {
            if only {
                fields.push(("prompt_cache_options", json!({"mode": "explicit"})));
            }
            // Calls with one key are sent where the beginning lies.
            if request.reuse != Reuse::Alone && !request.tags.run.is_empty() {
                let key = blake3::hash(request.tags.run.as_bytes()).to_hex();
                fields.push(("prompt_cache_key", json!(format!("lacon-{}", &key[..16]))));
            }
        }
        let mark = match rule.kind {
            CacheKind::Breakpoints => ("prompt_cache_breakpoint", json!({"mode": "explicit"})),
            // Gateways that speak OpenAI's protocol take Anthropic's mark as it is.
            _ => ("cache_control", json!({"type": "ephemeral"})),
        };
        Self { cuts, mark: Some(mark), fields }
    }

    /// Returns whether a part of message `n` is marked.
    pub(super) fn has(&self, n: usize) -> bool {
        self.cuts.iter().any(|cut| cut.message == n)
    }

    /// Cuts the text of message `n` at its marks: each part, and whether a mark follows it.
    fn parts<'t>(&self, n: usize, text: &'t str) -> Vec<(&'t str, bool)> {
        let mut parts = Vec::new();
        let mut from = 0;
        for cut in self.cuts.iter().filter(|cut| cut.message == n) {
            let to = text.floor_char_boundary(cut.byte.min(text.len()));
            if to > from {
                parts.push((&text[from..to], true));
                from = to;
            }
        }
        if from < text.len() {
            parts.push((&text[from..], false));
        }
        parts
    }

    /// Marks a block: all up to its end may be read again.
    pub(super) fn set(&self, block: &mut Value) {
        if let Some((name, value)) = &self.mark {
            block[*name] = value.clone();
        }
    }

    /// The text of message `n` as blocks of this type, with its marks.
    pub(super) fn blocks(&self, n: usize, text: &str, kind: &str) -> Vec<Value> {
        let block = |(text, marked): (&str, bool)| {
            let mut block = json!({"type": kind, "text": text});
            if marked {
                self.set(&mut block);
            }
            block
        };
        self.parts(n, text).into_iter().map(block).collect()
    }
}
