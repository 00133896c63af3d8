//! Lines of a test run or a build that say no more than that things went on: passing tests, packages compiled, files
//! fetched.
//!
//! A line leaves the text only if a known tool prints it in exactly one of the [`FORMS`], from its first character to its last.
//! Where a form holds words that somebody chose, their end must be a usual one of the run. So whatever differs stays, and
//! no list of bad words is needed. Lines that leave go to the store as one entry, and a marker says how many there were.

use super::blobs::Run;
use super::marker::{Lines, What};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Fewest lines worth a marker.
pub(crate) const MIN_LINES: usize = 8;
/// Fewest bytes worth one.
const MIN_BYTES: usize = 320;
/// Longest line that is looked at. Tools print short lines.
const MAX_LINE: usize = 400;

use What::{PassingTests as Passing, Progress};

/// What tools print. A blank stands for any number of blanks, and after `%`: `w` a word, `p` a path or address, `c` a name with
/// `::`, `n` a number, `v` a version, `t` a duration, `s` a size, `d` dots, `f` words without `#`, `|` and `(`.
const FORMS: &[(What, &str)] = &[
    // cargo test, cargo nextest
    (Passing, "test %w ... ok"),
    (Passing, "test %w ... ok <%t>"),
    (Passing, "test %w - should panic ... ok"),
    (Passing, "test %w - (line %n) ... ok"),
    (Passing, "test %w - %w (line %n) ... ok"),
    (Passing, "PASS [%t] %w %w"),
    // pytest, unittest
    (Passing, "%c PASSED"),
    (Passing, "%c PASSED [%n%]"),
    (Passing, "%w (%w) ... ok"),
    // TAP
    (Passing, "ok %n"),
    (Passing, "ok %n - %f"),
    (Passing, "ok %n %f"),
    (Passing, "ok %n - %f # time=%t"),
    // go test
    (Passing, "ok %w %t"),
    (Passing, "ok %w (cached)"),
    (Passing, "--- PASS: %w (%t)"),
    (Passing, "=== RUN %w"),
    (Passing, "=== PAUSE %w"),
    (Passing, "=== CONT %w"),
    // GoogleTest, CTest
    (Passing, "[ OK ] %w (%t)"),
    (Passing, "[ RUN ] %w"),
    (Passing, "%n/%n Test #%n: %w %d Passed %t"),
    // jest, vitest, mocha
    (Passing, "PASS %p"),
    (Passing, "PASS %p (%t)"),
    (Passing, "✓ %p (%n test) %t"),
    (Passing, "✓ %p (%n tests) %t"),
    (Passing, "✓ %f (%t)"),
    (Passing, "✔ %f (%t)"),
    (Passing, "√ %f (%t)"),
    // cargo
    (Progress, "Compiling %w %v"),
    (Progress, "Compiling %w %v (%p)"),
    (Progress, "Compiling %w %v (proc-macro)"),
    (Progress, "Checking %w %v"),
    (Progress, "Checking %w %v (%p)"),
    (Progress, "Fresh %w %v"),
    (Progress, "Fresh %w %v (%p)"),
    (Progress, "Documenting %w %v"),
    (Progress, "Documenting %w %v (%p)"),
    (Progress, "Downloading %w %v"),
    (Progress, "Downloaded %w %v"),
    // pip
    (Progress, "Collecting %w"),
    (Progress, "Collecting %w (from %w)"),
    (Progress, "Downloading %p (%s)"),
    (Progress, "Using cached %p (%s)"),
    (Progress, "Using cached %p"),
    (Progress, "Preparing metadata (%w): started"),
    (Progress, "Preparing metadata (%w): finished with status 'done'"),
    (Progress, "Requirement already satisfied: %w in %p (%v)"),
    (Progress, "Requirement already satisfied: %w in %p (from %w) (%v)"),
    // apt
    (Progress, "Get:%n %p %w %w %w %w %w [%s]"),
    (Progress, "Get:%n %p %w %w [%s]"),
    (Progress, "Hit:%n %p %w %w"),
    (Progress, "Selecting previously unselected package %w."),
    (Progress, "Preparing to unpack %p ..."),
    (Progress, "Unpacking %w (%v) ..."),
    (Progress, "Setting up %w (%v) ..."),
    // make, cmake, ninja
    (Progress, "CC %p"),
    (Progress, "CXX %p"),
    (Progress, "LD %p"),
    (Progress, "AR %p"),
    (Progress, "AS %p"),
    (Progress, "[%n%] Building %w object %p"),
    (Progress, "[%n%] Linking %w executable %w"),
    (Progress, "[%n%] Linking %w static library %w"),
    (Progress, "[%n%] Linking %w shared library %w"),
    (Progress, "[%n%] Built target %w"),
    (Progress, "[%n/%n] Building %w object %p"),
    (Progress, "[%n/%n] Linking %w executable %w"),
    (Progress, "[%n/%n] Linking %w static library %w"),
    (Progress, "[%n/%n] Compiling %p"),
    (Progress, "[%n/%n] CC %p"),
    (Progress, "[%n/%n] CXX %p"),
    // npm, Maven
    (Progress, "npm http fetch GET 200 %p %t"),
    (Progress, "npm http fetch GET 200 %p %t (cache hit)"),
    (Progress, "npm http fetch GET 200 %p %t (cache miss)"),
    (Progress, "npm http fetch GET 304 %p %t"),
    (Progress, "[INFO] Downloading from %w: %p"),
    (Progress, "[INFO] Downloaded from %w: %p (%s at %s/s)"),
    // checks of many things, one a line
    (Progress, "Checking %w: ok"),
    (Progress, "Checking %w: OK"),
    (Progress, "Checking %w ... ok"),
    (Progress, "Checking %w ... done"),
];

/// Forms that say that something began. They leave the text only where it says too that it passed.
const BEGINS: [(&str, &[&str]); 4] = [
    ("=== RUN ", &["--- PASS: "]),
    ("=== PAUSE ", &["--- PASS: "]),
    ("=== CONT ", &["--- PASS: "]),
    ("[ RUN      ] ", &["[       OK ] "]),
];

/// What a line is, if it says only that things went on.
pub(crate) fn class(line: &str) -> Option<What> {
    form(line).map(|i| FORMS[i].0)
}

/// Which of [`FORMS`] a line has.
fn form(line: &str) -> Option<usize> {
    let line = line.trim();
    if line.is_empty() || line.len() > MAX_LINE {
        return None;
    }
    let first = line.as_bytes()[0];
    FORMS.iter().position(|(_, form)| {
        let begins = form.as_bytes()[0];
        (begins == first || begins == b'%') && matches(form, line)
    })
}

/// Whether a whole line has a form.
fn matches(form: &str, line: &str) -> bool {
    let Some(next) = form.chars().next() else { return line.is_empty() };
    let rest = &form[next.len_utf8()..];
    match next {
        ' ' => {
            let blanks = line.len() - line.trim_start_matches([' ', '\t']).len();
            blanks > 0 && matches(rest, &line[blanks..])
        }
        '%' if rest.starts_with(|c: char| c.is_ascii_lowercase()) => {
            let (kind, rest) = (rest.as_bytes()[0], &rest[1..]);
            match kind {
                b'w' | b'p' | b'c' | b'v' | b'f' => {
                    let most = line.find(|c: char| !may_hold(kind, c)).unwrap_or(line.len());
                    // Words are followed by a blank, by a mark of the form, or by nothing.
                    let ends = (1..=most).rev().filter(|end| line.is_char_boundary(*end));
                    let mut ends = ends.filter(|end| match rest.as_bytes().first() {
                        Some(b) => {
                            let byte = line.as_bytes().get(*end);
                            byte == Some(b) || (*b == b' ' && byte == Some(&b'\t'))
                        }
                        None => *end == line.len(),
                    });
                    ends.any(|end| is(kind, &line[..end]) && matches(rest, &line[end..]))
                }
                _ => measured(kind, line).is_some_and(|n| matches(rest, &line[n..])),
            }
        }
        // A number in brackets may be padded.
        '[' => line
            .strip_prefix(next)
            .is_some_and(|line| matches(rest, line) || matches(rest, line.trim_start())),
        c => line.strip_prefix(c).is_some_and(|line| matches(rest, line)),
    }
}

fn may_hold(kind: u8, c: char) -> bool {
    match kind {
        b'f' => !matches!(c, '#' | '|' | '('),
        _ => !c.is_whitespace(),
    }
}

fn is(kind: u8, word: &str) -> bool {
    match kind {
        b'p' => word.contains(['/', '.', '\\']),
        b'c' => word.contains("::"),
        b'v' => {
            let digits = word.strip_prefix('v').unwrap_or(word);
            digits.starts_with(|c: char| c.is_ascii_digit()) && !digits.contains(['(', ')'])
        }
        b'f' => word == word.trim() && !word.starts_with('-'),
        _ => true,
    }
}

/// Bytes of a number, a duration, a size or dots at the beginning of a line.
fn measured(kind: u8, line: &str) -> Option<usize> {
    if kind == b'd' {
        let n = line.bytes().take_while(|b| *b == b'.').count();
        return (n > 0).then_some(n);
    }
    let n = line.bytes().take_while(|b| b.is_ascii_digit() || matches!(b, b'.' | b',')).count();
    if n == 0 || !line.as_bytes()[0].is_ascii_digit() {
        return None;
    }
    let units: &[&str] = match kind {
        b't' => &["ms", "µs", "us", "ns", "sec", "s"],
        b's' => &["kB", "KB", "MB", "GB", "KiB", "MiB", "B"],
        _ => return Some(n),
    };
    let rest = &line[n..];
    let blank = usize::from(rest.starts_with(' '));
    let unit = units.iter().find(|unit| rest[blank..].starts_with(**unit))?;
    Some(n + blank + unit.len())
}

/// How a line ends whose words somebody chose: what it states after a colon, else its last word. Numbers are all the same.
fn tail(line: &str) -> Tail {
    let line = line.trim();
    let words = line.rsplit_once(" (").or_else(|| line.rsplit_once(" #")).map_or(line, |(words, _)| words);
    let (stated, words) = match words.rsplit_once(": ") {
        Some((_, tail)) => (true, tail),
        None => (false, words.rsplit(' ').next().unwrap_or("")),
    };
    let mut out = String::new();
    for c in words.chars() {
        match c {
            '0'..='9' if out.ends_with('0') => {}
            '0'..='9' => out.push('0'),
            c => out.push(c),
        }
    }
    Tail { stated, words: out }
}

#[derive(PartialEq, Eq, Hash)]
struct Tail {
    stated: bool,
    words: String,
}

struct Line {
    range: Range<usize>,
    form: Option<usize>,
}

/// Takes from their runs the lines with chosen words whose end is none of the usual ones.
///
/// A stated end is usual on a quarter of the run's lines. A last word need not occur twice, unless half of the lines share one.
fn leave_unusual(text: &str, run: &mut [Line]) {
    let mut counts: HashMap<usize, HashMap<Tail, usize>> = HashMap::new();
    let free = |line: &Line| line.form.filter(|form| FORMS[*form].1.contains("%f"));
    for line in &*run {
        if let Some(form) = free(line) {
            *counts.entry(form).or_default().entry(tail(&text[line.range.clone()])).or_default() += 1;
        }
    }
    for line in run {
        let Some(form) = free(line) else { continue };
        let tails = &counts[&form];
        let (n, most) = (tails.values().sum::<usize>(), tails.values().copied().max().unwrap_or(0));
        let own = tail(&text[line.range.clone()]);
        let here = tails[&own];
        if (own.stated && here * 4 < n) || (most * 2 >= n && here < most) {
            line.form = None;
        }
    }
}

fn lines(text: &str) -> Vec<Line> {
    let passed: HashSet<(&str, &str)> =
        text.lines()
            .flat_map(|line| {
                let line = line.trim();
                BEGINS.iter().flat_map(|(_, ends)| *ends).filter_map(move |end| {
                    Some((*end, line.strip_prefix(end)?.split(' ').next().unwrap_or("")))
                })
            })
            .collect();
    let mut at = 0;
    text.split_inclusive('\n')
        .map(|whole| {
            let line = whole.strip_suffix('\n').unwrap_or(whole);
            let trimmed = line.trim();
            let open = BEGINS.iter().any(|(begin, ends)| {
                trimmed
                    .strip_prefix(begin)
                    .is_some_and(|name| !ends.iter().any(|end| passed.contains(&(*end, name.trim()))))
            });
            let range = at..at + line.len();
            at += whole.len();
            Line { range, form: if open { None } else { form(line) } }
        })
        .collect()
}

/// Runs of lines of one kind, by their positions.
fn runs(lines: &[Line]) -> Vec<Range<usize>> {
    let kind = |line: &Line| line.form.map(|form| FORMS[form].0);
    let mut out: Vec<Range<usize>> = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        match out.last_mut() {
            _ if line.form.is_none() => {}
            Some(run) if run.end == i && kind(&lines[run.start]) == kind(line) => run.end = i + 1,
            _ => out.push(i..i + 1),
        }
    }
    out
}

/// How many of the lines from the first on are of its kind; 0 below [`MIN_LINES`].
pub(crate) fn leading<'a>(mut lines: impl Iterator<Item = &'a str>) -> usize {
    let Some(what) = lines.next().and_then(class) else { return 0 };
    let n = 1 + lines.take_while(|line| class(line) == Some(what)).count();
    if n < MIN_LINES { 0 } else { n }
}

/// The runs of a text that are worth an entry in the store, without the last newline of each.
pub(crate) fn find(text: &str) -> Vec<Run> {
    let mut lines = lines(text);
    for run in runs(&lines) {
        leave_unusual(text, &mut lines[run]);
    }
    let mut found = Vec::new();
    for run in runs(&lines) {
        let (start, end) = (lines[run.start].range.start, lines[run.end - 1].range.end);
        let content = &text[start..end];
        if run.len() >= MIN_LINES && content.len() >= MIN_BYTES {
            let what = FORMS[lines[run.start].form.expect("lines of a run have a form")].0;
            found.push(Run { start, end, label: Lines::of(what, content).to_string() });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_print_is_known() {
        for line in [
            "test market::levels::day_07 ... ok",
            "test src/lib.rs - trim (line 12) ... ok",
            "        PASS [   0.012s] lacon-prompt it::trim",
            "tests/a.py::test_b[1-2] PASSED                 [ 12%]",
            "test_sum (tests.Money.test_sum) ... ok",
            "ok 12 - reads a missing file",
            "ok  \tgithub.com/a/b\t0.012s",
            "--- PASS: TestSum (0.00s)",
            "[       OK ] Money.Sum (0 ms)",
            " 1/20 Test  #1: money ............   Passed    0.01 sec",
            "PASS src/money.test.ts (5.2 s)",
            "✓ src/money.test.ts (5 tests) 12ms",
            "   Compiling serde v1.0.200",
            "Collecting numpy>=1.2",
            "  Downloading numpy-1.2-cp311.whl (12.5 MB)",
            "Get:17 http://deb.debian.org/debian bookworm/main amd64 libc6 amd64 2.36-9 [2,758 kB]",
            "Setting up libc6:amd64 (2.36-9) ...",
            "  CC      kernel/fork.o",
            "[ 45%] Building C object src/a.c.o",
            "[12/345] Compiling src/a.cc",
            "npm http fetch GET 200 https://registry.npmjs.org/a 123ms (cache miss)",
        ] {
            assert!(class(line).is_some(), "{line}");
        }
    }

    #[test]
    fn a_line_with_anything_more_stays() {
        for line in [
            "Checking service-17: missing",
            "Checking service-17: refused",
            "ok 7 - reads # SKIP no database",
            "ok 7 # skip",
            concat!("ok 7 - reads # TO", "DO not done"),
            "ok  \tgithub.com/a/b\t0.012s [no tests to run]",
            "test a ... ok (retried)",
            "tests/a.py::test_b PASSED but leaked",
            "--- PASS: TestSum (0.00s) leak",
            "Compiling serde v1.0.200 stalled",
            "Compiling serde v1.0.200 (yanked)",
            "CC kernel/fork.o: killed",
            "Get:17 http://deb.debian.org/debian 404",
            "✓ a.test.ts (5 tests | 1 skipped) 12ms",
            "[ 45%] Building C object src/a.c.o timed out",
        ] {
            assert_eq!(class(line), None, "{line}");
        }
    }
}
