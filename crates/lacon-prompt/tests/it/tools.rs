//! What agents' tools print: diffs, test runs, builds, source code.

use lacon_prompt::Error;
use lacon_prompt::compress::{Compressed, Options, compress, expand};
use lacon_prompt::marker::Marker;
use lacon_prompt::offload::{MemoryStore, Store};
use lacon_prompt::passes::{Pass, PassSet};
use lacon_prompt::span::{SpanKind, parse};
use lacon_tokens::{Encoding, EncodingName};
use proptest::prelude::*;

fn o200k() -> &'static Encoding {
    lacon_tokens::encoding(EncodingName::O200kBase)
}

/// Compresses with and without a store and sees to it that both come back.
fn stored(text: &str, passes: PassSet) -> (Compressed, MemoryStore) {
    let options = Options { passes, ..Options::default() };
    let alone = compress(text, options, None, o200k()).expect("memory does not fail");
    assert_eq!(expand(&alone.text, None).expect("expands"), text);
    let mut store = MemoryStore::new([5; 32], 1 << 26);
    let short = compress(text, options, Some(&mut store), o200k()).expect("memory does not fail");
    assert_eq!(expand(&short.text, Some(&store)).expect("expands"), text);
    (short, store)
}

const DIFF: &str = "diff --git a/src/budget/reserve.rs b/src/budget/reserve.rs
index 1f0c3aa..77b2d10 100644
--- a/src/budget/reserve.rs
+++ b/src/budget/reserve.rs
@@ -10,3 +10,4 @@ fn reserve() {
     let limit = 900;
-    trim(limit);
+    trim(limit)?;
+    commit();

@@ -40 +41 @@
-@json p
+@hits 3
diff --git a/docs/the notes.md b/docs/the notes.md
new file mode 100644
index 0000000..5d308e1
--- /dev/null
+++ b/docs/the notes.md
@@ -0,0 +1,2 @@
+diff --git a/x b/x
+Never sell.
\\ No newline at end of file
diff --git a/old.txt b/old.txt
deleted file mode 100755
index 5d308e1..0000000
--- a/old.txt
+++ /dev/null
@@ -1 +0,0 @@
-Gone.
";

#[test]
fn a_diff_names_each_file_once() {
    let (short, _) = stored(DIFF, PassSet::default());
    let (head, rest) = short.text.split_once('\n').expect("has lines");
    assert_eq!(head, "@diff 3 files");
    assert!(
        rest.starts_with("src/budget/reserve.rs 1f0c3aa..77b2d10 100644\n@@ -10,3 +10,4 @@ fn reserve() {\n")
    );
    assert!(
        rest.contains("+docs/the notes.md 0000000..5d308e1 100644\n@@ -0,0 +1,2 @@\n+diff --git a/x b/x\n")
    );
    assert!(rest.ends_with("-old.txt 5d308e1..0000000 100755\n@@ -1 +0,0 @@\n-Gone.\n"));
    assert!(
        short.tokens_after * 5 < short.tokens_before * 4,
        "{} of {}",
        short.tokens_after,
        short.tokens_before
    );
    let cut = DIFF.replace("+    commit();\n", "");
    assert!(!parse(&cut).iter().any(|span| span.kind == SpanKind::Diff && span.range.start == 0));
}

#[test]
fn what_no_short_head_can_say_stays() {
    let renamed = "diff --git a/x.rs b/y.rs\nsimilarity index 90%\nrename from x.rs\nrename to y.rs\n";
    let text = format!("commit 5d308e1\n\n{renamed}{DIFF}{renamed}");
    let (short, _) = stored(&text, PassSet::default());
    assert!(short.text.starts_with(&format!("commit 5d308e1\n\n{renamed}@diff 3 files\n")), "{}", short.text);
    assert!(short.text.ends_with(renamed));
}

fn test_run() -> String {
    let mut text = "running 62 tests\n".to_owned();
    for i in 0..30 {
        text.push_str(&format!("test market::levels::day_{i:02}_has_its_low ... ok\n"));
    }
    text.push_str("test market::levels::gap_is_kept ... FAILED\n");
    for i in 0..30 {
        text.push_str(&format!("test trading::orders::order_{i:02}_is_signed ... ok\n"));
    }
    text.push_str("test trading::orders::limit ... ignored\n\nfailures:\n\n---- market::levels::gap_is_kept stdout ----\n");
    text.push_str("assertion `left == right` failed\n  left: 212.40\n right: 212.04\n\n");
    text.push_str("test result: FAILED. 60 passed; 1 failed; 1 ignored\n");
    text
}

#[test]
fn failures_of_a_test_run_stay_and_passing_tests_are_counted() {
    let text = test_run();
    let (short, mut store) = stored(&text, PassSet::default());
    for kept in text.lines().filter(|line| !line.ends_with(" ... ok")) {
        assert!(short.text.lines().any(|line| line == kept), "{kept} is gone");
    }
    let markers: Vec<&str> = short.text.lines().filter(|line| line.starts_with("[blob ")).collect();
    assert_eq!(markers.len(), 2);
    assert!(
        markers[0]
            .starts_with("[blob 30 lines of passing tests \"test market::levels::…_has_its_low ... ok\", "),
        "{}",
        markers[0]
    );
    assert!(
        short.tokens_after * 3 < short.tokens_before,
        "{} of {}",
        short.tokens_after,
        short.tokens_before
    );
    // What a marker says is checked on the way back.
    let marker = Marker::parse(markers[0]).expect("is a marker");
    let content = store.get(&marker.handle).expect("memory does not fail").expect("is there");
    assert_eq!(marker.check(&content), Ok(()));
    let failing = content.replace("day_07_has_its_low ... ok", "day_07_has_its_low ... NO");
    assert_eq!(marker.check(&failing), Err("a line of another kind"));
    assert_eq!(marker.check(&content[1..]), Err("another length"));
    let handle = store.put(&failing).expect("fits");
    let swapped = short.text.replace(marker.handle.as_str(), handle.as_str());
    assert!(matches!(
        expand(&swapped, Some(&store)),
        Err(Error::Changed { what: "a line of another kind", .. })
    ));
}

#[test]
fn without_a_store_a_test_run_becomes_templates() {
    let text = test_run();
    let short = compress(&text, Options::default(), None, o200k()).expect("memory does not fail");
    assert!(short.text.contains("@log 30 rows 1 templates 0 aliases\na=test * ... ok\n"), "{}", short.text);
    assert!(short.text.contains("test market::levels::gap_is_kept ... FAILED\n"));
}

#[test]
fn a_build_keeps_its_warnings() {
    let steps = |from: usize| {
        (from..from + 12).map(|i| format!("   Compiling part-{i} v0.{i}.1\n")).collect::<String>()
    };
    let warning =
        "warning: unused variable: `limit`\n  --> src/budget.rs:12:9\n   |\n12 |     let limit = 900;\n";
    let text = format!("{}{warning}{}error: could not compile `desk`\n", steps(0), steps(20));
    let (short, _) = stored(&text, PassSet::default());
    assert!(short.text.contains(warning), "{}", short.text);
    assert!(short.text.starts_with("[blob 12 lines of progress \"Compiling part-….1\", "), "{}", short.text);
    assert!(short.text.ends_with("error: could not compile `desk`\n"));
}

/// Whatever word of trouble ends a line, it stays where it was, whether a list knows the word or not.
#[test]
fn a_line_that_differs_from_its_run_stays() {
    type Line = fn(usize, &str) -> String;
    let runs: [(&str, Line); 5] = [
        ("ok", |i, tail| format!("Checking service-{i:02}: {tail}")),
        ("ok", |i, tail| format!("ok {i} - service-{i:02}: {tail}")),
        ("starts", |i, tail| format!("ok {i} - service-{i:02} {tail}")),
        ("ok", |i, tail| format!("test net::service_{i:02}::answers ... {tail}")),
        ("v1.0.1", |i, tail| format!("   Compiling service-{i:02} {tail}")),
    ];
    for trouble in
        ["missing", "refused", "denied", "unreachable", "killed", "stale", "空", "# SKIP", "# Todo later"]
    {
        for (usual, line) in runs {
            let at = [17, 22];
            let lines: Vec<String> =
                (0..40).map(|i| line(i, if at.contains(&i) { trouble } else { usual })).collect();
            let (short, _) = stored(&(lines.join("\n") + "\n"), PassSet::default());
            assert!(short.text.contains("[blob "), "{}", short.text);
            for i in at {
                assert!(short.text.lines().any(|l| l == lines[i]), "{} is gone", lines[i]);
            }
        }
    }
}

#[test]
fn tests_that_began_and_did_not_pass_stay() {
    let mut text = String::new();
    for i in 0..20 {
        text.push_str(&format!("=== RUN   TestService{i:02}\n"));
        if i != 11 {
            text.push_str(&format!("--- PASS: TestService{i:02} (0.00s)\n"));
        }
    }
    let (short, _) = stored(&text, PassSet::default());
    assert!(short.text.lines().any(|line| line == "=== RUN   TestService11"), "{}", short.text);
    assert!(!short.text.contains("TestService12 ("));
}

#[test]
fn the_shared_checks_log_keeps_its_trouble() {
    let Ok(text) = std::fs::read_to_string("../../../shared/cases/checks.log") else {
        println!("skipped: ../shared/cases/checks.log is not here");
        return;
    };
    let (short, _) = stored(&text, PassSet::default());
    for kept in ["Checking service-17: missing", "Checking service-22: refused"] {
        assert!(short.text.contains(kept), "{}", short.text);
    }
}

#[test]
fn what_people_write_is_no_progress() {
    let list = "Checking the balance sheet shows debt of 4.1 billion.\n✓ Revenue grew 12 % and margins held at 31 %\nUsing the 50-day average as support, we see room to 240.\n".repeat(8);
    let (short, store) = stored(&list, PassSet::NONE.with(Pass::Progress));
    assert_eq!(short.text, list);
    assert!(store.is_empty());
}

const CODE: &str = "use std::fmt;

/// Reserves tokens.
pub fn reserve(
    budget: &mut Budget,
    tokens: u64,
) -> Result<Ticket, Error> {
    let free = budget.limit.saturating_sub(budget.used);
    if tokens > free {
        return Err(Error::Over { needed: tokens, free });
    }

    budget.used += tokens;
    budget.log.push(Entry { tokens, at: budget.used, note: \"reserved by the desk\" });
    Ok(Ticket { tokens, number: budget.log.len() })
}

impl Budget {
    fn small(&self) -> bool {
        self.limit < 900
    }
}
";

const PYTHON: &str = "class Desk:
    def trade(self, orders):
        total = 0
        for order in orders:
            if order.limit > 900:
                raise ValueError(f\"limit of {order} is over 900, ask the desk before\")
            total += order.size * order.price
            self.log.append((order, total, self.clock()))
        return total

    def close(self):
        self.open = False
";

#[test]
fn code_becomes_its_outline_where_asked_for() {
    let outline = PassSet::default().with(Pass::Outline);
    let (short, _) = stored(CODE, outline);
    assert!(
        short.text.contains(") -> Result<Ticket, Error> {\n    [blob 8 lines of a body, "),
        "{}",
        short.text
    );
    assert!(
        short.text.contains("    fn small(&self) -> bool {\n        self.limit < 900\n"),
        "{}",
        short.text
    );
    let (short, _) = stored(PYTHON, outline);
    assert!(
        short
            .text
            .starts_with("class Desk:\n    def trade(self, orders):\n        [blob 7 lines of a body, "),
        "{}",
        short.text
    );
    assert!(short.text.ends_with("]\n\n    def close(self):\n        self.open = False\n"), "{}", short.text);
    let (short, store) = stored(CODE, PassSet::default());
    assert!(short.text.contains("budget.used += tokens;") && store.is_empty());
}

fn pieces() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("test a::b_1 ... ok".to_owned()),
        Just("test a::é ... ok".to_owned()),
        Just("   Compiling serde v1.0.2".to_owned()),
        Just("[ 45%] Building C object x.o".to_owned()),
        Just("tests/a.py::test_x PASSED [ 12%]".to_owned()),
        Just("[blob 3 lines of progress, 9 chars, ref=0123456789abcdef]".to_owned()),
        Just("diff --git a/x.rs b/x.rs\nindex 1f0c3aa..77b2d10 100644\n--- a/x.rs\n+++ b/x.rs".to_owned()),
        Just("@@ -1,2 +1,2 @@ fn x()".to_owned()),
        Just("@diff 1 files".to_owned()),
        Just(" same\n-old\n+new".to_owned()),
        Just("\\ No newline at end of file".to_owned()),
        Just("fn x(a: u8) -> u8 {\n    a;\n    b;\n    c;\n    d\n}".to_owned()),
        "[ -+@\\\\a-d{}():]{0,6}",
    ];
    let repeated = (line, 1usize..24).prop_map(|(line, n)| vec![line; n].join("\n"));
    let ends = prop_oneof![Just("\n"), Just("\r\n"), Just("\n\n")];
    (prop::collection::vec(repeated, 1..6), ends).prop_map(|(lines, end)| lines.join(end))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn tool_output_comes_back(text in pieces(), tail in "\n?") {
        stored(&(text + &tail), PassSet::ALL);
    }

    #[test]
    fn random_diffs_come_back(files in prop::collection::vec(("[a-z +-]{1,9}", prop::collection::vec("[ +-][a-z@]{0,5}", 1..9), 0u8..3), 1..5), cut in 0usize..4) {
        let mut text = String::new();
        for (path, lines, change) in &files {
            let count = |not: char| lines.iter().filter(|line| !line.starts_with(not)).count();
            let head = match change {
                0 => format!("index 12..34 100644\n--- a/{path}\n+++ b/{path}\n"),
                1 => format!("new file mode 100644\nindex 00..34\n--- /dev/null\n+++ b/{path}\n"),
                _ => format!("deleted file mode 100644\nindex 12..00\n--- a/{path}\n+++ /dev/null\n"),
            };
            text.push_str(&format!("diff --git a/{path} b/{path}\n{head}@@ -1,{} +1,{} @@\n{}\n", count('+'), count('-'), lines.join("\n")));
        }
        text.truncate(text.len() - cut);
        stored(&text, PassSet::default());
    }
}
