//! Lines that stand above in nearly the same words, as the changes against them.
//!
//! The first version keeps its place; a later one becomes
//!
//! ```text
//! ±120 lines from "fn main() {":
//! ±7-8
//!     let budget = 9_000;
//! ±31+
//!     trim(&mut history);
//! ±.
//! ```
//!
//! the 120 lines above of which the first begins so, with lines 7 and 8 replaced by one and one put in after line 31.
//! A source is always text that can be read above, never itself a list of changes. No line of the text begins with the
//! sign, so each line says what it is.
//!
//! Cost: a hash a line; where a line stood before, the two places are walked side by side and brought into step again
//! within [`REACH`] lines. A shortest edit list (Myers) would be found in quadratic time and save a line now and then.

use super::{Fault, twice::Twice};
use crate::work::{Meter, OVER, steps::Share};
use foldhash::{HashMap, HashMapExt as _};
use std::fmt::Write as _;

const HEAD: &str = "@edit ";
const SIGNS: [char; 3] = ['±', '¤', '§'];
/// Fewest lines worth a list of changes.
const MIN_LINES: usize = 6;
/// Fewest bytes that one must save.
const MIN_SAVED: usize = 80;
/// Lines on either side in which two versions must come into step again.
const REACH: usize = 12;
/// Places of one line that are tried.
const MAX_PLACES: usize = 4;
/// A walk of so many lines that finds no version worth it moves the search on.
const LONG: usize = 64;
/// Most lists of changes in one text: each is searched for in all that stands above.
const MAX_LISTS: usize = 1000;
/// Lines looked at for a byte of text, at most. Beyond that the text is left as it is, and the report says so.
pub(crate) const STEPS_PER_BYTE: usize = 16;
/// Texts beyond this are left alone, and so is anything that decodes to more.
const MAX_TEXT: usize = 8 << 20;

type Index = HashMap<u64, Places>;

/// The first places of a line.
#[derive(Debug, Clone, Copy, Default)]
struct Places {
    n: usize,
    at: [u32; MAX_PLACES],
}

/// Texts that stand above the one that is encoded, line by line.
#[derive(Debug, Default)]
pub(crate) struct Above {
    lines: Vec<String>,
    hashes: Vec<u64>,
    index: Index,
    bytes: usize,
}

impl Above {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn n_lines(&self) -> usize {
        self.lines.len()
    }

    /// Adds a text that can be read as it is.
    pub(crate) fn push(&mut self, text: &str) {
        if self.bytes + text.len() > MAX_TEXT {
            return;
        }
        self.bytes += text.len();
        for line in text.split('\n') {
            let h = hash(line);
            note(&mut self.index, line, h, self.lines.len());
            self.lines.push(line.to_owned());
            self.hashes.push(h);
        }
    }
}

/// What became of a text.
pub(crate) enum Search {
    Found(Edited),
    /// There is nothing worth a list of changes.
    Nothing,
    /// The search took too many steps.
    GaveUp,
}

/// A text with its later versions written as changes.
pub(crate) struct Edited {
    pub(crate) text: String,
    pub(crate) n_lists: usize,
}

/// A hash of a line. Two lines of one hash are still compared, so a text that is made to have many costs time alone, and
/// the places that are tried bound that.
fn hash(line: &str) -> u64 {
    let mix = |h: u64, word: u64| (h.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut words = line.as_bytes().chunks_exact(8);
    let mut h = line.len() as u64;
    for word in &mut words {
        h = mix(h, u64::from_le_bytes(word.try_into().expect("chunks of eight")));
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    h = mix(h, u64::from_le_bytes(last));
    h ^ (h >> 29)
}

/// Whether a line says enough to begin a version.
fn telling(line: &str) -> bool {
    line.trim().len() >= 12
}

fn note(index: &mut Index, line: &str, h: u64, at: usize) {
    if telling(line) {
        let places = index.entry(h).or_default();
        if let Some(place) = places.at.get_mut(places.n) {
            *place = at as u32;
            places.n += 1;
        }
    }
}

/// Lines of a source that become other lines: `from..to` of the source, counted from its first, and of the version.
#[derive(Debug, Clone)]
struct Change {
    source: std::ops::Range<usize>,
    version: std::ops::Range<usize>,
}

/// A version: where it starts and ends, where its source does, and the changes between them.
struct Version {
    at: usize,
    end: usize,
    source: usize,
    source_end: usize,
    changes: Vec<Change>,
}

/// What stands above and the text, as one run of lines.
struct Lines<'a> {
    above: &'a [String],
    above_hashes: &'a [u64],
    text: Vec<&'a str>,
    text_hashes: Vec<u64>,
    steps: &'a Share<'a>,
}

impl<'a> Lines<'a> {
    fn new(above: &'a Above, text: &'a str, steps: &'a Share<'a>) -> Self {
        let split: Vec<&str> = text.split('\n').collect();
        Self {
            above: &above.lines,
            above_hashes: &above.hashes,
            text_hashes: split.iter().map(|line| hash(line)).collect(),
            text: split,
            steps,
        }
    }

    fn get(&self, at: usize) -> &'a str {
        match at.checked_sub(self.above.len()) {
            None => &self.above[at],
            Some(at) => self.text[at],
        }
    }

    fn len(&self) -> usize {
        self.above.len() + self.text.len()
    }

    fn hash(&self, at: usize) -> u64 {
        match at.checked_sub(self.above.len()) {
            None => self.above_hashes[at],
            Some(at) => self.text_hashes[at],
        }
    }

    fn same(&self, a: usize, b: usize) -> bool {
        self.step() && self.hash(a) == self.hash(b) && self.get(a) == self.get(b)
    }

    /// Takes a step; `false` where none is left.
    fn step(&self) -> bool {
        self.steps.spend(1)
    }

    /// The first words of a line by which it is found first; `None` where an earlier line begins with all of it.
    fn opening(&self, at: usize) -> Option<&'a str> {
        let line = self.get(at);
        [32, 64, line.len()].into_iter().find_map(|n| {
            let mut n = n.min(line.len());
            while !line.is_char_boundary(n) {
                n += 1;
            }
            let start = &line[..n];
            (0..at).all(|before| self.step() && !self.get(before).starts_with(start)).then_some(start)
        })
    }
}

/// Encodes the later versions in a text.
pub(crate) fn encode(above: &Above, text: &str, steps: &Share<'_>) -> Search {
    if text.len() > MAX_TEXT {
        return Search::Nothing;
    }
    let lines = Lines::new(above, text, steps);
    let mut again = Twice::for_about(lines.text.len());
    lines.text_hashes.iter().for_each(|h| again.note(*h));
    let edited = written(&lines, &find(above, &lines, &again));
    match edited {
        _ if steps.is_over() => Search::GaveUp,
        Some(edited) => Search::Found(edited),
        None => Search::Nothing,
    }
}

fn written(lines: &Lines<'_>, versions: &[Version]) -> Option<Edited> {
    if versions.is_empty() {
        return None;
    }
    let sign = SIGNS.into_iter().find(|sign| !lines.text.iter().any(|line| line.starts_with(*sign)))?;
    let mut out = head(sign);
    let mut at = lines.above.len();
    for version in versions {
        for line in at..version.at {
            out.push('\n');
            out.push_str(lines.get(line));
        }
        let opening = lines.opening(version.source)?;
        let _ = write!(out, "\n{sign}{} lines from \"{opening}\":", version.source_end - version.source);
        for change in &version.changes {
            out.push('\n');
            out.push(sign);
            let (from, to) = (change.source.start, change.source.end);
            let _ = match to - from {
                0 => write!(out, "{from}+"),
                1 => write!(out, "{to}"),
                _ => write!(out, "{}-{to}", from + 1),
            };
            for line in change.version.clone() {
                out.push('\n');
                out.push_str(lines.get(line));
            }
        }
        out.push('\n');
        out.push(sign);
        out.push('.');
        at = version.end;
    }
    for line in at..lines.len() {
        out.push('\n');
        out.push_str(lines.get(line));
    }
    Some(Edited { text: out, n_lists: versions.len() })
}

fn head(sign: char) -> String {
    format!(
        "{HEAD}{sign}N lines from \"x\": lines above with {sign}2-3 replaced, {sign}2+ added to; {sign}. ends"
    )
}

/// Lines of the text that a list of changes stands for.
struct Hidden {
    /// The text's first line.
    first: usize,
    lines: Vec<bool>,
}

impl Hidden {
    fn has(&self, line: usize) -> bool {
        line.checked_sub(self.first).is_some_and(|line| self.lines[line])
    }
}

fn find(above: &Above, lines: &Lines<'_>, again: &Twice) -> Vec<Version> {
    let mut index = Index::new();
    // A line that stands here once is found by none below.
    let remember = |index: &mut Index, at: usize| {
        if again.has(lines.hash(at)) {
            note(index, lines.get(at), lines.hash(at), at);
        }
    };
    // Lines that a list of changes stands for cannot be read above.
    let mut hidden = Hidden { first: lines.above.len(), lines: vec![false; lines.text.len()] };
    let mut found: Vec<Version> = Vec::new();
    let mut at = lines.above.len();
    while at < lines.len() && lines.step() {
        let line = lines.get(at);
        if found.len() < MAX_LISTS && telling(line) {
            let h = lines.hash(at);
            let here = again.has(h).then(|| index.get(&h)).flatten();
            let places = [above.index.get(&h), here].into_iter().flatten();
            let places = places.flat_map(|places| &places.at[..places.n]);
            let mut walked = 0;
            let best = places
                .map(|place| *place as usize)
                .filter(|place| lines.same(*place, at))
                .filter_map(|place| version(lines, &hidden, place, at, &mut walked))
                .max_by_key(|(saved, version)| (*saved, std::cmp::Reverse(version.source)));
            if let Some((_, version)) = best {
                hidden.lines[version.at - hidden.first..version.end - hidden.first].fill(true);
                at = version.end;
                found.push(version);
                continue;
            }
            // A long walk for nothing moves the search on: from the next line it would be as long, and for as little.
            if walked >= LONG {
                let until = at + walked / 4;
                for line in at..until {
                    remember(&mut index, line);
                }
                at = until;
                continue;
            }
        }
        remember(&mut index, at);
        at += 1;
    }
    found
}

/// Walks a source and its later version side by side; gives the bytes that its changes save, if they are worth it.
fn version(
    lines: &Lines<'_>,
    hidden: &Hidden,
    source: usize,
    at: usize,
    walked: &mut usize,
) -> Option<(usize, Version)> {
    let (mut a, mut b) = (source, at);
    let (mut source_end, mut end);
    let mut changes: Vec<Change> = Vec::new();
    let readable = |line: usize| line < at && !hidden.has(line);
    loop {
        while readable(a) && b < lines.len() && lines.same(a, b) {
            (a, b) = (a + 1, b + 1);
        }
        (source_end, end) = (a, b);
        if changes.len() > (end - at) / 3 + 1 {
            break;
        }
        let Some((skip, add)) = in_step(lines, hidden, a, b, at) else { break };
        let change = Change { source: a - source..a + skip - source, version: b..b + add };
        changes.push(change);
        (a, b) = (a + skip, b + add);
    }
    *walked = (end - at).max(*walked);
    changes.retain(|change| change.version.end < end && change.source.end < source_end - source);
    if changes.is_empty() || end - at < MIN_LINES {
        return None;
    }
    let bytes = |range: std::ops::Range<usize>| range.map(|line| lines.get(line).len() + 1).sum::<usize>();
    let whole = bytes(at..end);
    let cost = 40 + changes.iter().map(|change| 7 + bytes(change.version.clone())).sum::<usize>();
    let saved = whole.checked_sub(cost)?;
    if saved < MIN_SAVED || saved * 3 < whole || lines.opening(source).is_none() {
        return None;
    }
    Some((saved, Version { at, end, source, source_end, changes }))
}

/// How many lines of the source and of the version to pass until both say the same again for two lines.
fn in_step(lines: &Lines<'_>, hidden: &Hidden, a: usize, b: usize, at: usize) -> Option<(usize, usize)> {
    let same = |a: usize, b: usize| a < at && b < lines.len() && !hidden.has(a) && lines.same(a, b);
    for distance in 1..=2 * REACH {
        for skip in distance.saturating_sub(REACH)..=distance.min(REACH) {
            let (x, y) = (a + skip, b + distance - skip);
            if x >= at || (a..x).any(|line| hidden.has(line)) {
                break;
            }
            if same(x, y) && same(x + 1, y + 1) && !(lines.get(x).is_empty() && lines.get(x + 1).is_empty()) {
                return Some((skip, distance - skip));
            }
        }
    }
    None
}

/// Undoes [`encode`]; a text without the `@edit` line is its own decoding.
pub(crate) fn decode(above: &Above, text: &str, meter: &Meter<'_>) -> Result<String, Fault> {
    let Some(rest) = text.strip_prefix(HEAD) else { return Ok(text.to_owned()) };
    let fail = |what, at| Fault { what, at };
    let sign = rest.chars().next().filter(|sign| SIGNS.contains(sign));
    let sign = sign.ok_or(fail("unknown sign of @edit", HEAD.len()))?;
    let body = text
        .strip_prefix(head(sign).as_str())
        .and_then(|body| body.strip_prefix('\n'))
        .ok_or(fail("unknown first line of @edit", 0))?;
    if body.len() > MAX_TEXT {
        return Err(fail("edits in a text that is longer than any that has them", 0));
    }
    let mut at = text.len() - body.len();
    let mut out: Vec<&str> = Vec::new();
    let (mut bytes, mut n_lists) = (0, 0);
    let mut list: Option<List<'_>> = None;
    for line in body.split('\n') {
        match (line.strip_prefix(sign), &mut list) {
            (None, None) => {
                bytes += line.len() + 1;
                out.push(line);
            }
            (None, Some(list)) => list.put(line).map_err(|what| fail(what, at))?,
            (Some(order), None) => {
                n_lists += 1;
                if n_lists > MAX_LISTS {
                    return Err(fail("more lists of changes than any text has", at));
                }
                list = Some(List::open(above, &out, order, meter).map_err(|what| fail(what, at))?);
            }
            (Some("."), Some(_)) => {
                let done = list.take().map(List::close).unwrap_or_default();
                bytes += done.iter().map(|line| line.len() + 1).sum::<usize>();
                out.extend(done);
            }
            (Some(order), Some(list)) => list.change(order).map_err(|what| fail(what, at))?,
        }
        // The last newline is not written.
        meter.fits(bytes.saturating_sub(1)).map_err(|what| fail(what, at))?;
        if bytes > 2 * MAX_TEXT || out.len() > MAX_TEXT {
            return Err(fail(OVER, at));
        }
        at += line.len() + 1;
    }
    match list {
        Some(_) => Err(fail("list of changes without an end", text.len())),
        None => Ok(out.join("\n")),
    }
}

/// A list of changes while it is read.
struct List<'a> {
    source: Vec<&'a str>,
    /// Lines of the source that are done.
    done: usize,
    out: Vec<&'a str>,
    changing: bool,
}

impl<'a> List<'a> {
    fn open(above: &'a Above, out: &[&'a str], order: &str, meter: &Meter<'_>) -> Result<Self, &'static str> {
        let what = "expected N lines from \"…\":";
        let (n, opening) = order.split_once(" lines from \"").ok_or(what)?;
        let opening = opening.strip_suffix("\":").ok_or(what)?;
        let n: usize = n.parse().map_err(|_| what)?;
        let lines = || above.lines.iter().map(String::as_str).chain(out.iter().copied());
        let first = lines().position(|line| line.starts_with(opening)).ok_or("no line above begins so")?;
        let known = above.lines.len() + out.len() - first;
        meter.spend(first + n.min(known))?;
        let source: Vec<&str> = lines().skip(first).take(n).collect();
        if source.len() < n {
            return Err("fewer lines above than are changed");
        }
        Ok(List { source, done: 0, out: Vec::new(), changing: false })
    }

    fn change(&mut self, order: &str) -> Result<(), &'static str> {
        let number = |text: &str| text.parse::<usize>().map_err(|_| "expected the number of a changed line");
        // Lines before `from` stay, lines before `to` are replaced.
        let (from, to) = match (order.strip_suffix('+'), order.split_once('-')) {
            (Some(after), _) => (number(after)?, number(after)?),
            (None, Some((first, last))) => (number(first)?.saturating_sub(1), number(last)?),
            (None, None) => (number(order)?.saturating_sub(1), number(order)?),
        };
        if from < self.done || to < from || to > self.source.len() {
            return Err("changed lines out of order");
        }
        self.out.extend(&self.source[self.done..from]);
        self.done = to;
        self.changing = true;
        Ok(())
    }

    fn put(&mut self, line: &'a str) -> Result<(), &'static str> {
        if !self.changing {
            return Err("a line before the number of the line it changes");
        }
        self.out.push(line);
        Ok(())
    }

    fn close(mut self) -> Vec<&'a str> {
        self.out.extend(&self.source[self.done..]);
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::steps::{MIN_STEPS, Steps};

    fn steps(text: &str) -> usize {
        let steps = Steps::default();
        let _ = encode(&Above::default(), text, &steps.share(text.len(), STEPS_PER_BYTE));
        steps.used() as usize
    }

    type Generator = fn(usize) -> String;

    /// Versions of one file, ragged lines, and one diff again and again.
    const GENERATORS: [Generator; 3] = [
        |n| {
            let file = |v: usize| {
                (0..40)
                    .map(|i| {
                        format!("line {i} of a file, as it was in {}\n", if i == v % 40 { v } else { 0 })
                    })
                    .collect::<String>()
            };
            (0..n / 40).map(file).collect()
        },
        |n| (0..n).map(|i| format!("{}\n", "wide cell,".repeat(1 + i * i % 37))).collect(),
        |n| {
            (0..n / 4)
                .map(|i| format!("@@ -1,3 +1,3 @@ fn a() {{\n context line here\n-old value is {i}\n+new\n"))
                .collect()
        },
    ];

    #[test]
    fn steps_grow_as_the_text_does() {
        for (i, text) in GENERATORS.iter().enumerate() {
            for n in [2_000, 8_000, 32_000] {
                let (small, large) = (text(n), text(2 * n));
                let growth = steps(&large) as f64 / steps(&small).max(1) as f64;
                let length = large.len() as f64 / small.len() as f64;
                let bound = large.len() * STEPS_PER_BYTE + MIN_STEPS as usize + 1;
                assert!(steps(&large) <= bound, "{i}: {} of {bound}", steps(&large));
                println!(
                    "{i} {n}: {} steps, {growth:.2} times for {length:.2} times the text",
                    steps(&large)
                );
            }
        }
    }

    #[test]
    fn versions_are_those_of_a_search_that_remembers_all() {
        for text in GENERATORS {
            for n in [40, 400, 4000] {
                let (text, steps, above) = (text(n), Steps::default(), Above::default());
                let share = steps.share(text.len(), STEPS_PER_BYTE);
                let Search::Found(edited) = encode(&above, &text, &share) else { continue };
                let share = steps.share(text.len(), STEPS_PER_BYTE);
                let lines = Lines::new(&above, &text, &share);
                let all = written(&lines, &find(&above, &lines, &Twice::of_all()));
                assert_eq!(Some(edited.text), all.map(|edited| edited.text));
            }
        }
    }

    #[test]
    fn a_search_without_end_is_given_up() {
        // Every line begins as all the others do, so that no few words name one.
        let line = |i: usize| {
            format!("{}{i:05}", "the same beginning of every line, far beyond what is quoted ".repeat(2))
        };
        let block =
            |from: usize| (0..20_000).map(|i| line(from + i % 977 * 20 + i / 977) + "\n").collect::<String>();
        let text = format!(
            "{}{}",
            block(0),
            (0..800)
                .map(|i| format!(
                    "{}\n{}\n{}\n{}\nx{i}\n{}\n{}\n{}\n",
                    line(i),
                    line(i + 20),
                    line(i + 40),
                    line(i + 60),
                    line(i + 100),
                    line(i + 120),
                    line(i + 140)
                ))
                .collect::<String>()
        );
        assert!(matches!(
            encode(&Above::default(), &text, &Steps::default().share(text.len(), STEPS_PER_BYTE)),
            Search::GaveUp | Search::Nothing | Search::Found(_)
        ));
        assert!(steps(&text) <= text.len() * STEPS_PER_BYTE + MIN_STEPS as usize + 1);
    }
}
