//! Base64, hex dumps and other opaque runs: found, stored, and replaced by a marker that says what stood there.
//!
//! `[blob image/jpeg base64, 4404 chars, ref=0123456789abcdef]`. A `[blob` of the input gets a `!` (`[blob!`), so only
//! markers written here are ever followed.

use super::marker::{Marker, OPEN};
use super::{outline, progress};
use crate::error::{Error, Result};
use crate::offload::{Store, StoreError};
use crate::passes::{Pass, PassSet};
use crate::work::Meter;
use memchr::memmem;
use std::collections::HashSet;

/// Shortest run that is offloaded; a marker costs about twenty tokens, a run this long about sixty.
pub(crate) const MIN_BLOB: usize = 160;

/// A run that was offloaded: which pass found it, where it was and what stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offloaded {
    pub(crate) pass: Pass,
    pub(crate) range: std::ops::Range<usize>,
    pub(crate) marker: String,
}

/// A run of bytes that may go to the store: where it is and what it claims to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) label: String,
}

fn is_opaque(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'_' | b'-')
}

/// Finds the opaque runs of a text, data URIs with their heads.
pub(crate) fn find(text: &str) -> Vec<Run> {
    let bytes = text.as_bytes();
    let mut runs: Vec<Run> = Vec::new();
    let mut at = 0;
    // A run of MIN_BLOB bytes covers a multiple of MIN_BLOB, so looking at every such byte finds them all.
    let mut probe = MIN_BLOB - 1;
    while probe < bytes.len() {
        if !is_opaque(bytes[probe]) {
            probe += MIN_BLOB;
            continue;
        }
        let start = bytes[at..=probe].iter().rposition(|b| !is_opaque(*b)).map_or(at, |i| at + i + 1);
        let end = bytes[probe..].iter().position(|b| !is_opaque(*b)).map_or(bytes.len(), |i| probe + i);
        if end - start >= MIN_BLOB
            && let Some(kind) = kind_of(&bytes[start..end])
        {
            let (start, label) = with_data_head(text, at, start, kind);
            runs.push(Run { start, end, label });
        }
        at = end;
        probe = end + MIN_BLOB;
    }
    runs
}

/// What a run looks like, or `None` for rulers, paths, words and numbers.
fn kind_of(run: &[u8]) -> Option<&'static str> {
    let mut seen = [false; 128];
    let (mut upper, mut lower, mut digits, mut marks, mut hex) = (0, 0, 0, 0, 0);
    for b in run {
        seen[usize::from(*b & 0x7f)] = true;
        match b {
            b'A'..=b'Z' => upper += 1,
            b'a'..=b'z' => lower += 1,
            b'0'..=b'9' => digits += 1,
            _ => marks += 1,
        }
        hex += usize::from(b.is_ascii_hexdigit());
    }
    let distinct = seen.iter().filter(|seen| **seen).count();
    if hex == run.len() && distinct >= 8 && digits > 0 && upper + lower > 0 {
        return Some("hex");
    }
    let share = |n: usize| n * 100 / run.len();
    (distinct >= 24 && share(upper) >= 10 && share(lower) >= 10 && digits > 0 && share(marks) <= 12)
        .then_some("base64")
}

fn with_data_head(text: &str, from: usize, start: usize, kind: &str) -> (usize, String) {
    let before = &text[from..start];
    if let Some(head) = before.strip_suffix(";base64,").map(|_| before)
        && let Some(i) = head.rfind("data:")
    {
        let mime = &head[i + 5..head.len() - 8];
        if mime.len() <= 60 && mime.bytes().all(|b| b.is_ascii_alphanumeric() || b"/.+-;=".contains(&b)) {
            return (from + i, format!("{mime} base64"));
        }
    }
    (start, kind.to_owned())
}

/// Escapes what looks like a marker, so that decoding leaves it alone.
pub(crate) fn stuff(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for i in memmem::find_iter(text.as_bytes(), OPEN) {
        out.push_str(&text[at..i]);
        out.push_str("[blob!");
        at = i + OPEN.len();
    }
    out.push_str(&text[at..]);
    out
}

/// Whether a text holds a marker or something that was stuffed because it looks like one.
pub(crate) fn has_marker(text: &str) -> bool {
    memmem::find(text.as_bytes(), OPEN.as_bytes()).is_some()
}

/// What may go to the store, in order and apart: bodies, then what lies outside of them.
fn runs(text: &str, passes: PassSet) -> Vec<(Pass, Run)> {
    let mut all: Vec<(Pass, Run)> = Vec::new();
    for pass in [Pass::Outline, Pass::Progress, Pass::Blobs].into_iter().filter(|pass| passes.has(*pass)) {
        let found = match pass {
            Pass::Outline => outline::find(text),
            Pass::Progress => progress::find(text),
            _ => find(text),
        };
        let free = |run: &Run| {
            let at = all.partition_point(|(_, known)| known.end <= run.start);
            all.get(at).is_none_or(|(_, known)| known.start >= run.end)
        };
        let found: Vec<(Pass, Run)> = found.into_iter().filter(free).map(|run| (pass, run)).collect();
        if !found.is_empty() {
            all.extend(found);
            all.sort_by_key(|(_, run)| run.start);
        }
    }
    all
}

/// Replaces what may go to the store by markers. A run that the store refuses stays.
pub(crate) fn encode(
    text: &str,
    passes: PassSet,
    store: &mut dyn Store,
) -> std::result::Result<(String, Vec<Offloaded>), StoreError> {
    let mut out = String::with_capacity(text.len());
    let mut offloaded = Vec::new();
    let mut at = 0;
    for (pass, run) in runs(text, passes) {
        let content = &text[run.start..run.end];
        let handle = match store.put(content) {
            Ok(handle) => handle,
            Err(StoreError::Full { .. } | StoreError::Collision { .. }) => continue,
            Err(error) => return Err(error),
        };
        let marker = Marker { label: run.label, chars: content.len(), handle }.to_string();
        out.push_str(&stuff(&text[at..run.start]));
        out.push_str(&marker);
        offloaded.push(Offloaded { pass, range: run.start..run.end, marker });
        at = run.end;
    }
    out.push_str(&stuff(&text[at..]));
    Ok((out, offloaded))
}

/// Undoes [`encode`].
pub(crate) fn decode(text: &str, store: Option<&dyn Store>, meter: &Meter<'_>) -> Result<String> {
    if !has_marker(text) {
        return Ok(text.to_owned());
    }
    // Each content is free once: whoever put it into the store has bounded it.
    let (mut known, mut free) = (HashSet::new(), 0);
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some(i) = rest.find(OPEN) {
        out.push_str(&rest[..i]);
        let after = &rest[i + OPEN.len()..];
        if let Some(stuffed) = after.strip_prefix('!') {
            out.push_str(OPEN);
            rest = stuffed;
            continue;
        }
        match Marker::read(after) {
            Some((marker, len)) => {
                let content = match store {
                    Some(store) => store.get(&marker.handle)?,
                    None => None,
                };
                let content = content.ok_or_else(|| Error::Missing { handle: marker.handle.clone() })?;
                if let Err(what) = marker.check(&content) {
                    return Err(Error::Changed { handle: marker.handle, what });
                }
                if known.insert(marker.handle.clone()) {
                    free += content.len();
                }
                let len_after = (out.len() + content.len()).saturating_sub(free);
                meter
                    .fits(len_after)
                    .map_err(|what| Error::Damaged { at: text.len() - rest.len() + i, what })?;
                out.push_str(&content);
                rest = &after[len..];
            }
            None => {
                out.push_str(OPEN);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}
