//! Markers for offloaded content, and their check against the stored content.
//!
//! `[blob image/jpeg base64, 4404 chars, ref=0123456789abcdef]`, or for lines of one kind `[blob 312 lines of passing
//! tests "test …ok", 9330 chars, ref=0123456789abcdef]`. A marker was true when it was written; [`Marker::check`] tells
//! whether it still is.

use super::progress;
use crate::error::{Error, Result as CrateResult};
use crate::offload::{Handle, Store};
use std::fmt;

/// Begins every marker.
pub(crate) const OPEN: &str = "[blob";
/// The longest marker that is read.
const MAX_LEN: usize = 200;
/// Bytes of the beginning and of the end that all lines share which a marker shows.
const MAX_SHARED: usize = 24;

/// The kind of lines that were offloaded together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum What {
    /// Lines of a test run, each of a test that passed.
    PassingTests,
    /// Lines of a build or an installation that went on.
    Progress,
    /// The body of a function.
    Body,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            What::PassingTests => "passing tests",
            What::Progress => "progress",
            What::Body => "a body",
        }
    }
}

/// Statement about lines: their number and kind, and how each starts and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    /// Number of lines.
    pub n: usize,
    /// What they are.
    pub what: What,
    /// What every line begins with, white space before it aside; may be empty.
    pub prefix: String,
    /// What every line ends with, white space after it aside; may be empty.
    pub suffix: String,
}

impl Lines {
    /// What holds of all lines of a content.
    pub(crate) fn of(what: What, content: &str) -> Lines {
        let n = content.split('\n').count();
        if what == What::Body {
            return Lines { n, what, prefix: String::new(), suffix: String::new() };
        }
        let mut lines = content.split('\n').map(str::trim);
        let first = lines.next().unwrap_or("");
        let (mut prefix, mut suffix) = (first, first);
        for line in lines {
            let same =
                prefix.chars().zip(line.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8());
            prefix = &prefix[..same.sum::<usize>()];
            let same = suffix
                .chars()
                .rev()
                .zip(line.chars().rev())
                .take_while(|(a, b)| a == b)
                .map(|(a, _)| a.len_utf8());
            suffix = &suffix[suffix.len() - same.sum::<usize>()..];
        }
        // What a marker can quote, not too long, and no word cut in two.
        let quotable = |c: char| !matches!(c, '"' | '[' | ']' | '…' | ',') && !c.is_control();
        let mut end = prefix.find(|c| !quotable(c)).unwrap_or(prefix.len()).min(MAX_SHARED);
        while !prefix.is_char_boundary(end) {
            end -= 1;
        }
        let mut start = suffix
            .char_indices()
            .rev()
            .take_while(|(_, c)| quotable(*c))
            .last()
            .map_or(suffix.len(), |(i, _)| i);
        start = start.max(suffix.len().saturating_sub(MAX_SHARED));
        while !suffix.is_char_boundary(start) {
            start += 1;
        }
        let prefix = prefix[..end].trim_end_matches(char::is_alphanumeric);
        let suffix = suffix[start..].trim_start_matches(char::is_alphanumeric);
        Lines { n, what, prefix: prefix.to_owned(), suffix: suffix.trim_start().to_owned() }
    }

    /// Reads what [`fmt::Display`] writes.
    fn read(label: &str) -> Option<Lines> {
        let (n, rest) = label.split_once(" lines of ")?;
        let what = [What::PassingTests, What::Progress, What::Body]
            .into_iter()
            .find(|what| rest.starts_with(what.name()))?;
        let (prefix, suffix) = match &rest[what.name().len()..] {
            "" => ("", ""),
            quoted => quoted.strip_prefix(" \"")?.strip_suffix('"')?.split_once('…')?,
        };
        Some(Lines { n: n.parse().ok()?, what, prefix: prefix.to_owned(), suffix: suffix.to_owned() })
    }

    fn hold(&self, content: &str) -> Result<(), &'static str> {
        if content.split('\n').count() != self.n {
            return Err("another number of lines");
        }
        for line in content.split('\n') {
            let shared = line.trim().starts_with(&self.prefix) && line.trim().ends_with(&self.suffix);
            if self.what != What::Body && !(shared && progress::class(line) == Some(self.what)) {
                return Err("a line of another kind");
            }
        }
        Ok(())
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lines of {}", self.n, self.what.name())?;
        if self.prefix.is_empty() && self.suffix.is_empty() {
            return Ok(());
        }
        write!(f, " \"{}…{}\"", self.prefix, self.suffix)
    }
}

/// Returns all markers in a text, in order.
pub(crate) fn all(text: &str) -> impl Iterator<Item = Marker> + '_ {
    let read = |(at, _)| Marker::read(&text[at + OPEN.len()..]);
    text.match_indices(OPEN).filter_map(read).map(|(marker, _)| marker)
}

/// Returns the handles of all markers in a compressed text, in order.
#[must_use]
pub fn handles(text: &str) -> Vec<Handle> {
    all(text).map(|marker| marker.handle).collect()
}

/// A marker as it stands in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// What the content is, for a reader.
    pub label: String,
    /// Bytes of the content.
    pub chars: usize,
    /// Where it is.
    pub handle: Handle,
}

impl Marker {
    /// Reads a marker that a user or a model copied; `None` unless it is one whole marker.
    #[must_use]
    pub fn parse(text: &str) -> Option<Marker> {
        let (marker, len) = Marker::read(text.trim().strip_prefix(OPEN)?)?;
        (OPEN.len() + len == text.trim().len()).then_some(marker)
    }

    /// The marker that `after` continues, and where it ends.
    pub(crate) fn read(after: &str) -> Option<(Marker, usize)> {
        let inner = after.strip_prefix(' ')?;
        let end = inner.find(']').filter(|end| *end <= MAX_LEN)?;
        let (front, handle) = inner[..end].rsplit_once(", ref=")?;
        let (label, chars) = front.rsplit_once(", ")?;
        let chars = chars.strip_suffix(" chars")?.parse().ok()?;
        Some((Marker { label: label.to_owned(), chars, handle: Handle::parse(handle)? }, end + 2))
    }

    /// Checks content against the marker: its length, and for lines their number, kind, start and end.
    ///
    /// # Errors
    /// What is not as the marker says.
    pub fn check(&self, content: &str) -> Result<(), &'static str> {
        if content.len() != self.chars {
            return Err("another length");
        }
        Lines::read(&self.label).map_or(Ok(()), |lines| lines.hold(content))
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{OPEN} {}, {} chars, ref={}]", self.label, self.chars, self.handle)
    }
}

/// Returns the content behind a handle or a whole marker, as a user or a model copied it; a whole marker is checked.
///
/// # Errors
/// When the text is neither, the store holds nothing under the handle or something else than the marker says, or its medium
/// fails.
pub fn retrieve(store: &dyn Store, text: &str) -> CrateResult<(Handle, String)> {
    let marker = Marker::parse(text);
    let handle = marker.as_ref().map(|marker| marker.handle.clone()).or_else(|| Handle::parse(text));
    let handle = handle.ok_or_else(|| Error::NoHandle { text: text.chars().take(200).collect() })?;
    let content = store.get(&handle)?.ok_or_else(|| Error::Missing { handle: handle.clone() })?;
    if let Some(Err(what)) = marker.map(|marker| marker.check(&content)) {
        return Err(Error::Changed { handle, what });
    }
    Ok((handle, content))
}
