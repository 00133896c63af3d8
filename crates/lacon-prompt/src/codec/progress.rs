//! Lines of a test run or a build that say no more than that things went on: passing tests, packages compiled, files
//! fetched.
//!
//! A run of them goes to the store as one entry; a marker says how many there were and what all of them begin and end
//! with. A line with a word that tells of trouble (`error`, `failed`, `warning`, …) is none of them, so failures, their
//! traces and the totals stay where they are, word for word.

use super::blobs::Run;
use crate::marker::{Lines, What};

/// Fewest lines worth a marker.
pub(crate) const MIN_LINES: usize = 8;
/// Fewest bytes worth one.
const MIN_BYTES: usize = 320;

/// Words that keep a line in view, whatever else it says.
const TROUBLE: [&str; 14] = [
    "error",
    "errors",
    "fail",
    "failed",
    "failure",
    "failures",
    "fatal",
    "panic",
    "panicked",
    "warning",
    "warnings",
    "exception",
    "skipped",
    "ignored",
];

/// First words of lines that builds and installers print as they go on; a line of them is short.
const STEPS: [&str; 19] = [
    "Compiling",
    "Checking",
    "Fresh",
    "Downloading",
    "Downloaded",
    "Fetching",
    "Fetched",
    "Collecting",
    "Unpacking",
    "Preparing",
    "Installing",
    "Get:",
    "Hit:",
    "Using",
    "CC",
    "CXX",
    "LD",
    "AR",
    "AS",
];

/// What a line is, if it says only that things went on.
pub(crate) fn class(line: &str) -> Option<What> {
    let line = line.trim();
    let what = match line.as_bytes().first()? {
        b't' | b'o' | b'-' | b'=' | b'P' | b'[' | 0xe2 if is_passing(line) => What::PassingTests,
        b'A'..=b'Z' | b'[' | b'n' if is_step(line) => What::Progress,
        // Tests named by a path or a number.
        _ if is_passed_path(line) => What::PassingTests,
        _ if line.ends_with("sec") && line.contains(" Test ") && line.contains(" Passed ") => {
            What::PassingTests
        }
        _ => return None,
    };
    let trouble = line
        .split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-')
        .any(|word| TROUBLE.iter().any(|bad| word.eq_ignore_ascii_case(bad)));
    (!trouble).then_some(what)
}

fn is_passing(line: &str) -> bool {
    let numbered = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    (line.ends_with(" ... ok") && (line.starts_with("test ") || line.contains('(')))
        || (line.starts_with("ok ")
            && (numbered(&line[3..]) || line[3..].contains(".") && line.ends_with('s')))
        || line.starts_with("--- PASS: ")
        || line.starts_with("=== RUN ")
        || line.starts_with("=== PAUSE ")
        || line.starts_with("=== CONT ")
        || (line.starts_with("PASS ") && line.contains(['/', '.']) && !line[5..].trim().contains(' '))
        || line.starts_with("[       OK ] ")
        || line.starts_with("[ RUN      ] ")
        || (line.starts_with(['✓', '✔', '√']) && line.ends_with("s)"))
        || is_passed_path(line)
}

/// `tests/a.py::test_b PASSED`, with `[ 12%]` behind it or not.
fn is_passed_path(line: &str) -> bool {
    (line.ends_with(" PASSED") || line.ends_with(']') && line.contains(" PASSED ")) && line.contains("::")
}

fn is_step(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    let first = words.next().unwrap_or("");
    let step = |word: &str| {
        STEPS.contains(&word)
            || (word.split_once(':').is_some_and(|(head, n)| {
                matches!(head, "Get" | "Hit") && !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())
            }))
    };
    if line.starts_with("Requirement already satisfied: ")
        || line.starts_with("npm http fetch GET 200 ")
        || line.starts_with("npm http fetch GET 304 ")
        || line.starts_with("[INFO] Downloading from ")
        || line.starts_with("[INFO] Downloaded from ")
        || (line.starts_with("Setting up ") && line.ends_with("..."))
    {
        return true;
    }
    // `[ 45%] Building C object …` and `[12/345] Compiling …`
    if let Some((count, rest)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
        let counted = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '%' | '/');
        let verb = rest.split_ascii_whitespace().next().unwrap_or("");
        return count.bytes().any(|b| b.is_ascii_digit())
            && count.ends_with(|c: char| c == '%' || c.is_ascii_digit())
            && count.contains(['%', '/'])
            && count.chars().all(counted)
            && (verb == "Building" || verb == "Linking" || verb == "Generating" || step(verb));
    }
    // A sentence may begin with such a word; what a program prints is short.
    let rest = words.clone().count();
    step(first) && (1..=5).contains(&rest) && !line.ends_with('.')
}

/// How many of the lines from the first on are of its kind; 0 below [`MIN_LINES`].
pub(crate) fn leading<'a>(mut lines: impl Iterator<Item = &'a str>) -> usize {
    let Some(what) = lines.next().and_then(class) else { return 0 };
    let n = 1 + lines.take_while(|line| class(line) == Some(what)).count();
    if n < MIN_LINES { 0 } else { n }
}

/// The runs of a text that are worth an entry in the store, without the last newline of each.
pub(crate) fn find(text: &str) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut open: Option<(usize, What, usize)> = None;
    let (mut at, mut end) = (0, 0);
    for line in text.split_inclusive('\n').chain([""]) {
        let what = class(line);
        if let Some((start, known, n)) = open
            && what != Some(known)
        {
            let content = &text[start..end];
            if n >= MIN_LINES && content.len() >= MIN_BYTES {
                runs.push(Run { start, end, label: Lines::of(known, content).to_string() });
            }
            open = None;
        }
        if let Some(what) = what {
            let (start, n) = open.map_or((at, 1), |(start, _, n)| (start, n + 1));
            open = Some((start, what, n));
        }
        at += line.len();
        end = at - usize::from(line.ends_with('\n'));
    }
    runs
}
