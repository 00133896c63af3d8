//! Passages that occur again: the first keeps its text under a number, the others become that number.
//!
//! `«3:passage»` stands for the passage and names it, `«3»` repeats it. Passages may hold others. They are whole lines,
//! sentences, cells, strings or JSON values with balanced brackets, and at least [`MIN_BYTES`] long: matches that start
//! at any word save about a tenth more and leave a text that nobody can read.
//!
//! Cost: one hash of 24 bytes at each start, twice; a table of the positions whose hash occurs again; a comparison per
//! candidate. A suffix array finds slightly longer matches for several times the time.

use super::twice::Twice;
use crate::work::{Meter, steps::Share};
use foldhash::{HashMap, HashMapExt as _};

/// Shortest passage worth a number: its own label and one reference cost about seven tokens.
pub(crate) const MIN_BYTES: usize = 44;
const WINDOW: usize = 24;
/// Texts beyond this are left alone: no prompt is that long, and positions are kept in memory.
const MAX_TEXT: usize = 8 << 20;
/// The longest passages that are kept; settling them is quadratic in the worst case.
const MAX_MATCHES: usize = 10_000;
/// A failed comparison longer than this moves the search on, so that hostile texts cost linear time.
const LONG: usize = 1024;
/// Bytes looked at for a byte of text, at most. Beyond that the text is left as it is, and the report says so.
pub(crate) const STEPS_PER_BYTE: usize = 64;
const PAIRS: [(char, char); 3] = [('«', '»'), ('‹', '›'), ('⟪', '⟫')];
const HEAD: &str = "@ref ";

/// A passage at `to` that also stands at `from`, before it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Match {
    from: usize,
    to: usize,
    len: usize,
}

/// A text with its repeats replaced.
pub(crate) struct Named {
    pub(crate) text: String,
    pub(crate) n_repeats: usize,
}

/// Encodes the repeats of a text; `None` where there are none worth it or all bracket pairs are taken.
pub(crate) fn encode(text: &str, steps: &Share<'_>) -> Option<Named> {
    if text.len() < 2 * MIN_BYTES || text.len() > MAX_TEXT {
        return None;
    }
    let found = find(text, &starts_again(text, steps)?, steps)?;
    if found.is_empty() {
        return None;
    }
    let (open, close) =
        PAIRS.into_iter().find(|(open, close)| !text.contains(*open) && !text.contains(*close))?;
    let matches = settle(text, found, steps)?;
    let total: usize = matches.iter().map(|m| m.len).sum();
    if total < 2 * MIN_BYTES {
        return None;
    }
    Some(Named { text: print(text, &matches, open, close), n_repeats: matches.len() })
}

/// Whether a passage may begin here: at a line, a cell, a quoted string, a JSON value or a sentence.
fn is_start(bytes: &[u8], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|i| bytes[i]) else { return true };
    // Most bytes stand inside a word.
    if before.is_ascii_alphanumeric() || bytes[at].is_ascii_whitespace() || (bytes[at] & 0xc0) == 0x80 {
        return false;
    }
    match before {
        b'\n' | b'|' | b'(' | b'[' | b'{' => true,
        b'"' => !matches!(bytes[at], b',' | b':' | b'}' | b']' | b'"'),
        b',' | b':' | b')' => matches!(bytes[at], b'"' | b'{' | b'[' | b'('),
        b' ' => {
            at >= 2 && matches!(bytes[at - 2], b'.' | b'!' | b'?' | b':' | b';' | b'-' | b'*' | b'\n' | b' ')
        }
        _ => false,
    }
}

/// Whether a passage may end here, on the same terms.
fn is_end(bytes: &[u8], at: usize) -> bool {
    let (Some(after), Some(last)) = (bytes.get(at), at.checked_sub(1).map(|i| bytes[i])) else {
        return at == bytes.len();
    };
    match after {
        _ if last.is_ascii_whitespace() || last == b'\\' => false,
        b'\n' | b'|' | b')' | b']' | b'}' | b'"' => true,
        b',' | b'(' => matches!(last, b'"' | b'}' | b']' | b')'),
        b' ' => matches!(last, b'.' | b'!' | b'?' | b':' | b';'),
        _ => false,
    }
}

fn hash(window: &[u8]) -> u64 {
    let mut h = 0u64;
    for chunk in window.chunks_exact(8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
        h = (h.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    h ^ (h >> 29)
}

/// The hashes that more than one start has.
fn starts_again(text: &str, steps: &Share<'_>) -> Option<Twice> {
    let bytes = text.as_bytes();
    steps.spend(bytes.len()).then_some(())?;
    let mut twice = Twice::for_about(bytes.len() / 12);
    for (at, window) in bytes.windows(WINDOW).enumerate() {
        if is_start(bytes, at) {
            twice.note(hash(window));
        }
    }
    Some(twice)
}

fn find(text: &str, again: &Twice, steps: &Share<'_>) -> Option<Vec<Match>> {
    let bytes = text.as_bytes();
    // Two positions a hash: the first one seen, which makes most references point to one definition, and the latest.
    let mut seen: HashMap<u64, (u32, u32)> = HashMap::new();
    let mut found = Vec::new();
    let mut at = 0;
    while at + WINDOW <= bytes.len() {
        steps.spend(1).then_some(())?;
        if !is_start(bytes, at) {
            at += 1;
            continue;
        }
        let h = hash(&bytes[at..at + WINDOW]);
        if !again.has(h) {
            at += 1;
            continue;
        }
        let mut best = 0;
        let mut from = 0;
        if let Some((first, latest)) = seen.get(&h) {
            for start in [*first as usize, *latest as usize] {
                let max = (at - start).min(bytes.len() - at);
                let len = bytes[start..start + max]
                    .iter()
                    .zip(&bytes[at..at + max])
                    .take_while(|(a, b)| a == b)
                    .count();
                if len > best {
                    (best, from) = (len, start);
                }
            }
        }
        // Both comparisons, and the search for an end in the longer one.
        steps.spend(3 * best).then_some(())?;
        let len = trim(bytes, from, at, best);
        if len >= MIN_BYTES {
            found.push(Match { from, to: at, len });
            at += len;
            continue;
        }
        if best > LONG {
            at += best / 4;
            while !text.is_char_boundary(at) {
                at += 1;
            }
            continue;
        }
        seen.entry(h).and_modify(|(_, latest)| *latest = at as u32).or_insert((at as u32, at as u32));
        at += 1;
    }
    Some(found)
}

/// The longest prefix of a match that ends where passages may end, in both places, and in which quotes and brackets
/// are balanced: a passage that opens a string and leaves it open would be unreadable. For the same reason none holds the
/// quotes of a block.
fn trim(bytes: &[u8], from: usize, to: usize, len: usize) -> usize {
    let (mut depth, mut quoted, mut best) = (0i32, false, 0);
    let inside = to > 0 && bytes[to - 1] == b'"';
    for n in 1..=len {
        match bytes[to + n - 1] {
            b'"' if inside || bytes[to + n - 1..].starts_with(b"\"\"\"") => break,
            b'"' => quoted = !quoted,
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            break;
        }
        if depth == 0 && !quoted && is_end(bytes, to + n) && is_end(bytes, from + n) {
            best = n;
        }
    }
    best
}

/// Clips matches until their sources nest properly and cut through no other match.
fn settle(text: &str, mut found: Vec<Match>, steps: &Share<'_>) -> Option<Vec<Match>> {
    let bytes = text.as_bytes();
    // A source must not cut through a passage that is itself replaced: it would name half a reference.
    let starts: Vec<(usize, usize)> = found.iter().map(|m| (m.to, m.to + m.len)).collect();
    for m in &mut found {
        steps.spend(3 * m.len).then_some(())?;
        clip_at_holes(bytes, m, &starts);
    }
    found.retain(|m| m.len >= MIN_BYTES);
    found.sort_by_key(|m| (std::cmp::Reverse(m.len), m.to));
    found.truncate(MAX_MATCHES);
    let mut sources: Vec<(usize, usize)> = Vec::new();
    let mut kept: Vec<Match> = Vec::new();
    for mut m in found {
        steps.spend(m.len + 64).then_some(())?;
        if clip_to_nest(bytes, &mut m, &sources) && m.len >= MIN_BYTES {
            let range = (m.from, m.from + m.len);
            if let Err(i) = sources.binary_search(&range) {
                sources.insert(i, range);
            }
            kept.push(m);
        }
    }
    kept.sort_by_key(|m| m.to);
    // Clipping changed what is replaced, so sources are checked against the final holes; the rest is dropped.
    loop {
        steps.spend(kept.len()).then_some(())?;
        let holes: Vec<(usize, usize)> = kept.iter().map(|m| (m.to, m.to + m.len)).collect();
        let before = kept.len();
        kept.retain(|m| !cuts(&holes, m.from, m.from + m.len));
        if kept.len() == before {
            return Some(kept);
        }
    }
}

/// Index of the first range that ends after `at`; ranges are sorted and apart.
fn first_after(ranges: &[(usize, usize)], at: usize) -> usize {
    ranges.partition_point(|(_, end)| *end <= at)
}

fn cuts(holes: &[(usize, usize)], start: usize, end: usize) -> bool {
    let first = holes.get(first_after(holes, start));
    let last = holes.get(first_after(holes, end));
    first.is_some_and(|(a, b)| *a < start && start < *b) || last.is_some_and(|(a, b)| *a < end && end < *b)
}

fn clip_at_holes(bytes: &[u8], m: &mut Match, holes: &[(usize, usize)]) {
    if let Some((a, b)) = holes.get(first_after(holes, m.from)).copied()
        && a < m.from
        && m.from < b
    {
        restart(bytes, m, b - m.from);
    }
    let end = m.from + m.len;
    if let Some((a, b)) = holes.get(first_after(holes, end)).copied()
        && a < end
        && end < b
        && a > m.from
    {
        m.len = trim(bytes, m.from, m.to, a - m.from);
    }
}

/// Moves a match's start forward to a place where a passage may begin, and its end back accordingly.
fn restart(bytes: &[u8], m: &mut Match, skip: usize) {
    let skip =
        (skip..m.len).find(|n| is_start(bytes, m.from + n) && is_start(bytes, m.to + n)).unwrap_or(m.len);
    (m.from, m.to) = (m.from + skip, m.to + skip);
    m.len = trim(bytes, m.from, m.to, m.len - skip);
}

/// Clips a match so that its source lies beside, inside or around each settled source; false when it cannot.
fn clip_to_nest(bytes: &[u8], m: &mut Match, sources: &[(usize, usize)]) -> bool {
    for _ in 0..8 {
        let (start, end) = (m.from, m.from + m.len);
        // Sources are sorted by start, so only those that begin before our end can meet ours.
        let until = sources.partition_point(|(a, _)| *a < end);
        let near = sources[until.saturating_sub(64)..until].iter().rev();
        let crossing = near
            .copied()
            .find(|(a, b)| (*a < start && start < *b && *b < end) || (start < *a && *a < end && end < *b));
        match crossing {
            None => {
                return !sources[..until.saturating_sub(64)]
                    .iter()
                    .any(|(a, b)| (*a < start && start < *b && *b < end) || (start < *a && end < *b));
            }
            Some((_, b)) if b < end => {
                // Ours begins inside the other: keep the longer part.
                if b - start >= end - b {
                    m.len = trim(bytes, m.from, m.to, b - start);
                } else {
                    restart(bytes, m, b - start);
                }
            }
            Some((a, _)) => {
                if a - start >= end - a {
                    m.len = trim(bytes, m.from, m.to, a - start);
                } else {
                    restart(bytes, m, a - start);
                }
            }
        }
        if m.len < MIN_BYTES {
            return false;
        }
    }
    false
}

fn print(text: &str, matches: &[Match], open: char, close: char) -> String {
    let mut sources: Vec<(usize, usize)> = matches.iter().map(|m| (m.from, m.from + m.len)).collect();
    // Outer passages open first; this is also the order of their numbers.
    sources.sort_by_key(|(start, end)| (*start, std::cmp::Reverse(*end)));
    sources.dedup();
    let number: HashMap<(usize, usize), usize> =
        sources.iter().enumerate().map(|(i, r)| (*r, i + 1)).collect();
    let mut out = String::with_capacity(text.len());
    out.push_str(&format!("{HEAD}{open}1:text{close} is repeated by {open}1{close}\n"));
    let mut opening = sources.iter().copied().peekable();
    let mut closing: Vec<usize> = Vec::new();
    let mut replaced = matches.iter().peekable();
    let mut at = 0;
    loop {
        let next_open = opening.peek().map_or(usize::MAX, |(start, _)| *start);
        let next_close = closing.last().copied().unwrap_or(usize::MAX);
        let next_ref = replaced.peek().map_or(usize::MAX, |m| m.to);
        let next = next_open.min(next_close).min(next_ref);
        if next == usize::MAX {
            out.push_str(&text[at..]);
            return out;
        }
        out.push_str(&text[at..next]);
        at = next;
        if next_close == next {
            out.push(close);
            closing.pop();
        } else if next_open == next {
            let (start, end) = opening.next().expect("peeked");
            out.push_str(&format!("{open}{}:", number[&(start, end)]));
            closing.push(end);
        } else if let Some(m) = replaced.next() {
            out.push_str(&format!("{open}{}{close}", number[&(m.from, m.from + m.len)]));
            at = m.to + m.len;
        }
    }
}

/// Undoes [`encode`]; a text without the `@ref` line is its own decoding.
pub(crate) fn decode(text: &str, meter: &Meter<'_>) -> Result<String, super::Fault> {
    let Some(rest) = text.strip_prefix(HEAD) else { return Ok(text.to_owned()) };
    let fail = |what, at| super::Fault { what, at };
    let (head, body) = rest.split_once('\n').ok_or(fail("@ref without a text", 0))?;
    let (open, close) = PAIRS
        .into_iter()
        .find(|(open, close)| head == format!("{open}1:text{close} is repeated by {open}1{close}"))
        .ok_or(fail("unknown brackets of @ref", 0))?;
    let base = text.len() - body.len();
    let mut out = String::with_capacity(body.len() * 2);
    let mut passages: HashMap<usize, std::ops::Range<usize>> = HashMap::new();
    let mut stack: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    while let Some(step) = body[at..].find([open, close]) {
        meter.push(&mut out, &body[at..at + step]).map_err(|what| fail(what, base + at))?;
        at += step;
        if body[at..].starts_with(close) {
            let (number, start) =
                stack.pop().ok_or(fail("closing bracket without an opening one", base + at))?;
            passages.insert(number, start..out.len());
            at += close.len_utf8();
            continue;
        }
        at += open.len_utf8();
        let digits = body[at..].bytes().take_while(u8::is_ascii_digit).count();
        let number: usize =
            body[at..at + digits].parse().map_err(|_| fail("bracket without a number", base + at))?;
        at += digits;
        if body[at..].starts_with(':') {
            at += 1;
            stack.push((number, out.len()));
        } else if body[at..].starts_with(close) {
            at += close.len_utf8();
            let range = passages.get(&number).cloned().ok_or(fail("unknown passage", base + at))?;
            meter.fits(out.len() + range.len()).map_err(|what| fail(what, base + at))?;
            out.extend_from_within(range);
        } else {
            return Err(fail("bracket without an end", base + at));
        }
    }
    if !stack.is_empty() {
        return Err(fail("passage without an end", text.len()));
    }
    meter.push(&mut out, &body[at..]).map_err(|what| fail(what, base + at))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::steps::Steps;
    use proptest::prelude::*;

    proptest! {
        /// To forget what occurs once changes no match.
        #[test]
        fn matches_are_those_of_a_search_that_remembers_all(
            blocks in prop::collection::vec("[a-c]{30,60}[.,|\n\"]", 1..4),
            order in prop::collection::vec((0usize..4, "[a-z \n\"{}]{0,12}"), 0..40),
        ) {
            let text: String =
                order.iter().map(|(i, between)| format!("{}{between}", blocks[i % blocks.len()])).collect();
            let steps = Steps::default();
            let share = || steps.share(text.len(), STEPS_PER_BYTE);
            let again = starts_again(&text, &share()).expect("few steps");
            prop_assert_eq!(find(&text, &again, &share()), find(&text, &Twice::of_all(), &share()));
        }
    }
}
