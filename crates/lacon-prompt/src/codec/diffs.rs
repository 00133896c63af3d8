//! What `git diff` prints, with the name of each file once: hunks stay line for line.
//!
//! ```text
//! @diff 2 files
//! src/budget.rs 1f0c3aa..77b2d10 100644
//! @@ -10,7 +10,8 @@ fn reserve() {
//!      let limit = 900;
//! …
//! +docs/notes.md 0000000..5d308e1 100644
//! ```
//!
//! A file that is added begins with `+`, one that is deleted with `-`. The counts of a hunk say where it ends, so no line
//! of it can be taken for anything else. Renames, changed modes and binary files are left as they are.

use super::{GaveUp, Passage, one};
use crate::work::{Meter, steps::Steps};
use std::fmt::Write as _;

/// Hunks of more lines than this are no text that anyone reads.
const MAX_COUNT: usize = 1 << 24;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Edited,
    Added,
    Deleted,
}

/// The head of one file's changes.
struct Head<'a> {
    change: Change,
    path: &'a str,
    /// `1f0c3aa..77b2d10`.
    objects: &'a str,
    mode: &'a str,
}

impl Head<'_> {
    /// The lines that git prints.
    fn print(&self, out: &mut String) {
        let Head { path, objects, mode, .. } = self;
        let written = match self.change {
            Change::Edited => {
                write!(
                    out,
                    "diff --git a/{path} b/{path}\nindex {objects} {mode}\n--- a/{path}\n+++ b/{path}\n"
                )
            }
            Change::Added => write!(
                out,
                "diff --git a/{path} b/{path}\nnew file mode {mode}\nindex {objects}\n--- /dev/null\n+++ b/{path}\n"
            ),
            Change::Deleted => write!(
                out,
                "diff --git a/{path} b/{path}\ndeleted file mode {mode}\nindex {objects}\n--- a/{path}\n+++ /dev/null\n"
            ),
        };
        written.expect("writing to a String cannot fail");
    }

    fn print_short(&self, out: &mut String) {
        out.push_str(match self.change {
            Change::Edited => "",
            Change::Added => "+",
            Change::Deleted => "-",
        });
        for part in [self.path, " ", self.objects, " ", self.mode, "\n"] {
            out.push_str(part);
        }
    }

    fn read_short(line: &str) -> Option<Head<'_>> {
        let (change, rest) = match line.as_bytes().first()? {
            b'+' => (Change::Added, &line[1..]),
            b'-' => (Change::Deleted, &line[1..]),
            _ => (Change::Edited, line),
        };
        let (rest, mode) = rest.rsplit_once(' ')?;
        let (path, objects) = rest.rsplit_once(' ')?;
        Some(Head { change, path, objects, mode }).filter(Head::is_plain)
    }

    /// Whether the short form has one reading.
    fn is_plain(&self) -> bool {
        let hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        !self.path.is_empty()
            && !self.path.starts_with(['+', '-', '"', '@'])
            && !self.path.contains(['\r', '\t'])
            && self.objects.split_once("..").is_some_and(|(a, b)| hex(a) && hex(b))
            && self.mode.len() == 6
            && self.mode.bytes().all(|b| b.is_ascii_digit())
    }
}

/// Reads git's head at a place; gives it and where the hunks begin.
fn read_head(text: &str, at: usize) -> Option<(Head<'_>, usize)> {
    let mut end = at;
    let mut line = || {
        let rest = text.get(end..).filter(|rest| !rest.is_empty())?;
        let line = rest.split('\n').next()?;
        end += line.len() + 1;
        Some(line)
    };
    let both = line()?.strip_prefix("diff --git a/")?;
    // `P b/P`: the path is one half of what is there.
    let path = both.get(..both.len().checked_sub(3)? / 2)?;
    let second = line()?;
    let (change, mode, index) =
        match (second.strip_prefix("new file mode "), second.strip_prefix("deleted file mode ")) {
            (Some(mode), _) => (Change::Added, Some(mode), line()?),
            (_, Some(mode)) => (Change::Deleted, Some(mode), line()?),
            _ => (Change::Edited, None, second),
        };
    let index = index.strip_prefix("index ")?;
    let (objects, mode) = match mode {
        Some(mode) => (index, mode),
        None => index.split_once(' ')?,
    };
    line()?;
    line()?;
    let head = Head { change, path, objects, mode };
    let mut again = String::new();
    head.print(&mut again);
    (head.is_plain() && text.get(at..end)? == again).then_some((head, end))
}

/// The end of the hunks at a place, after their last newline; `None` where there is none or one is cut short.
fn hunks(text: &str, at: usize) -> Option<usize> {
    let mut end = at;
    while text.get(end..).is_some_and(|rest| rest.starts_with("@@ -")) {
        let head = text[end..].split('\n').next()?;
        let (mut old, mut new) = counts(head)?;
        end += head.len() + 1;
        while old > 0 || new > 0 {
            let line = text.get(end..).filter(|rest| !rest.is_empty())?.split('\n').next()?;
            let (o, n) = match line.as_bytes().first() {
                Some(b' ') | None => (1, 1),
                Some(b'-') => (1, 0),
                Some(b'+') => (0, 1),
                Some(b'\\') => (0, 0),
                _ => return None,
            };
            (old, new) = (old.checked_sub(o)?, new.checked_sub(n)?);
            end += line.len() + 1;
        }
        // A last line without its newline is followed by a note.
        if text.get(end..).is_some_and(|rest| rest.starts_with('\\')) {
            end += text[end..].split('\n').next()?.len() + 1;
        }
    }
    (end > at).then_some(end.min(text.len()))
}

/// `@@ -10,7 +10,8 @@`: how many lines of the old and of the new file follow.
fn counts(head: &str) -> Option<(usize, usize)> {
    let (ranges, _) = head.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let count = |range: &str| match range.split_once(',') {
        Some((_, n)) => n.parse().ok(),
        None => Some(1),
    };
    Some((count(old)?, count(new)?))
        .filter(|(old, new)| old + new > 0 && *old < MAX_COUNT && *new < MAX_COUNT)
}

/// The end of the files' changes that begin at a place; `None` where none does.
pub(crate) fn block(text: &str, at: usize) -> Option<usize> {
    let mut end = at;
    while let Some(next) = read_head(text, end).and_then(|(_, body)| hunks(text, body)) {
        end = next;
        if end >= text.len() {
            break;
        }
    }
    (end > at).then_some(end)
}

pub(super) fn make(passage: &Passage<'_>, _: &Steps<'_>) -> Result<Vec<String>, GaveUp> {
    one(encode(passage.body).map(|(args, body)| format!("@diff {args}\n{body}")))
}

/// Encodes changes (without their last newline) as a frame's arguments and body.
fn encode(text: &str) -> Option<(String, String)> {
    let mut body = String::with_capacity(text.len());
    let (mut at, mut n) = (0, 0);
    while at < text.len() {
        let (head, start) = read_head(text, at)?;
        let end = hunks(text, start)?;
        head.print_short(&mut body);
        body.push_str(&text[start..end]);
        (at, n) = (end, n + 1);
    }
    Some((format!("{n} files"), body))
}

/// Undoes [`encode`]; gives the changes and where the body ended.
pub(super) fn decode(
    text: &str,
    args: &str,
    at: usize,
    meter: &Meter<'_>,
) -> Result<(String, usize), &'static str> {
    let n = args.strip_suffix(" files").and_then(|n| n.parse::<usize>().ok()).filter(|n| *n > 0);
    let n = n.ok_or("expected @diff N files")?;
    let (mut out, mut at) = (String::new(), at);
    for _ in 0..n {
        let line =
            text.get(at..).and_then(|rest| rest.split('\n').next()).ok_or("fewer files than @diff says")?;
        let head = Head::read_short(line).ok_or("expected a path, two objects and a mode")?;
        let start = at + line.len() + 1;
        let end = text.get(start..).and_then(|_| hunks(text, start)).ok_or("a hunk that ends too early")?;
        head.print(&mut out);
        meter.push(&mut out, &text[start..end])?;
        at = end;
    }
    // The newline after the last line belongs to what follows the frame.
    match out.pop() {
        Some('\n') => Ok((out, at - 1)),
        Some(other) => {
            out.push(other);
            Ok((out, at))
        }
        None => Err("expected @diff N files"),
    }
}
