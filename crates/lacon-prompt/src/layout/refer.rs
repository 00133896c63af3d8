//! Material that several agents get: in full once, and by reference for the others.
//!
//! Shared material at the start of a request costs a tenth, so it stays in full there. Everything behind the first
//! differing byte is paid for again in every request. For an agent that can retrieve, a marker replaces it.

use crate::error::{Error, Result};
use crate::marker::Marker;
use crate::offload::{Store, StoreError};
use crate::prompt::{Prompt, Segment};
use lacon_tokens::Encoding;

/// Texts of fewer tokens cost no more than a marker and a call to follow it.
const MIN_TOKENS: usize = 200;

/// A segment that was replaced by a marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The request.
    pub request: usize,
    /// The message in it.
    pub message: usize,
    /// The segment of that message.
    pub segment: usize,
    /// The earlier request that holds the text.
    pub sent_in: usize,
    /// Tokens saved.
    pub saved: usize,
}

fn segments(prompt: &Prompt) -> impl Iterator<Item = (usize, usize, &Segment)> {
    prompt
        .messages
        .iter()
        .enumerate()
        .flat_map(|(m, message)| message.segments.iter().enumerate().map(move |(s, segment)| (m, s, segment)))
}

/// Replaces data that an earlier request holds, and that no cache would give back because the request has parted from
/// all earlier ones before it, by a marker. `can_retrieve` tells for each request whether its agent can follow one; the
/// others keep their text. Instructions, pinned segments and histories stay.
///
/// # Errors
/// When the store's medium fails; a full store only keeps the text.
pub fn refer(
    prompts: &[Prompt],
    can_retrieve: &[bool],
    store: &mut dyn Store,
    encoding: &Encoding,
) -> Result<(Vec<Prompt>, Vec<Reference>)> {
    let mut out = prompts.to_vec();
    let mut references = Vec::new();
    for (i, prompt) in prompts.iter().enumerate() {
        if !can_retrieve.get(i).copied().unwrap_or(false) {
            continue;
        }
        let cached = prompts[..i].iter().map(|earlier| in_step(earlier, prompt)).max().unwrap_or(0);
        for (m, s, segment) in segments(prompt).skip(cached) {
            if !segment.kind.may_change() || segment.pinned || segment.text.contains(crate::marker::OPEN) {
                continue;
            }
            let same = |earlier: &Prompt| segments(earlier).any(|(_, _, other)| other.text == segment.text);
            let Some(sent_in) = prompts[..i].iter().position(same) else { continue };
            let before = encoding.count(&segment.text);
            if before < MIN_TOKENS {
                continue;
            }
            let handle = match store.put(&segment.text) {
                Ok(handle) => handle,
                Err(StoreError::Full { .. } | StoreError::Collision { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let name: String = segment
                .name
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' '))
                .take(40)
                .collect();
            let marker = Marker { label: format!("{name} of the team"), chars: segment.text.len(), handle }
                .to_string();
            let saved = before.saturating_sub(encoding.count(&marker));
            out[i].messages[m].segments[s].text = marker;
            references.push(Reference { request: i, message: m, segment: s, sent_in, saved });
        }
    }
    Ok((out, references))
}

/// How many segments from the first on two requests share, roles and texts alike.
fn in_step(a: &Prompt, b: &Prompt) -> usize {
    let pieces = |prompt| segments(prompt).map(|(m, _, segment)| (m, segment)).collect::<Vec<_>>();
    let same = |((m, x), (n, y)): &((usize, &Segment), (usize, &Segment))| {
        m == n && x.text == y.text && a.messages[*m].role == b.messages[*n].role
    };
    pieces(a).into_iter().zip(pieces(b)).take_while(same).count()
}

/// Undoes [`refer`].
///
/// # Errors
/// When the store does not hold a text, or holds another one.
pub fn follow(prompts: &[Prompt], references: &[Reference], store: &dyn Store) -> Result<Vec<Prompt>> {
    let mut out = prompts.to_vec();
    for reference in references {
        let place =
            out.get_mut(reference.request).and_then(|prompt| prompt.messages.get_mut(reference.message));
        let segment = place.and_then(|message| message.segments.get_mut(reference.segment));
        let Some((segment, marker)) = segment.and_then(|s| Marker::parse(&s.text).map(|marker| (s, marker)))
        else {
            return Err(Error::Damaged { at: 0, what: "no marker where one was put" });
        };
        let text =
            store.get(&marker.handle)?.ok_or_else(|| Error::Missing { handle: marker.handle.clone() })?;
        marker.check(&text).map_err(|what| Error::Changed { handle: marker.handle.clone(), what })?;
        segment.text = text;
    }
    Ok(out)
}
