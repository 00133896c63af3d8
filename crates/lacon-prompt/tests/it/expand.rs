//! What an expansion may cost: bytes and work are in proportion to what was given, whatever the text claims.

use lacon_prompt::Error;
use lacon_prompt::compress::{Budget, Options, compress, expand, expand_within};
use lacon_prompt::offload::{MemoryStore, Store};
use lacon_tokens::EncodingName;
use proptest::prelude::*;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Passages in passages, each said twice.
fn nested(depth: usize, core: usize) -> String {
    let mut text = "@ref «1:text» is repeated by «1»\n".to_owned();
    for i in 1..=depth {
        let _ = write!(text, "«{i}:");
    }
    text.push_str(&"a".repeat(core));
    for i in (1..=depth).rev() {
        let _ = write!(text, "»«{i}»");
    }
    text
}

/// One value that one row says many times.
fn repeated_value(times: usize, value: usize, rows: usize) -> String {
    let mut text = format!("@log {rows} rows 1 templates 0 aliases\na=*{}\n", "\\1".repeat(times));
    for _ in 0..rows {
        let _ = writeln!(text, "a {}", "v".repeat(value));
    }
    text.pop();
    text
}

/// Everything of which one number multiplies another: `a` and `b` are counts, `c` a length.
fn products(a: usize, b: usize, c: usize) -> Vec<(&'static str, String)> {
    let word = "w".repeat(c);
    let rows = |row: &str| vec![row; b].join("\n");
    let mut all = vec![
        ("ref nested", nested(a.min(60), c)),
        ("ref repeated", format!("@ref «1:text» is repeated by «1»\n«1:{word}»{}", "«1»".repeat(a * b))),
        ("log value", repeated_value(a, c, b)),
        ("log empty", repeated_value(a, 0, b)),
        ("log alias", format!("@log {b} rows 1 templates 1 aliases\na=*\\1\n$1={word}\n{}", rows("a $1"))),
        ("csv constant", {
            let head = vec![format!("x={word}"); a].join("|");
            format!("@csv , {b} rows\n{head}\n{}", rows(""))
        }),
        ("csv empty", format!("@csv , {b} rows\n{}\n{}", vec!["x="; a].join("|"), rows(""))),
        ("hits path", format!("@hits {b}\n{word}\n{}", rows("1:x"))),
        ("json constant", {
            let head = vec![format!("x=\"{word}\""); a].join("|");
            format!("@json p\n[#{b} {head}\n{}\n]", rows(""))
        }),
        ("json absent", {
            let head = vec![word.clone(); a].join("|");
            format!("@json p\n[#{b} {head}\n{}\n]", rows(&"|".repeat(a - 1)))
        }),
        ("json table in table", {
            let mut inner = format!("\"{word}\"");
            for _ in 0..a.min(6) {
                inner = format!("[#{b} x={inner}\n{}]", "\n".repeat(b));
            }
            format!("@json p\n{inner}")
        }),
        ("json deep", format!("@json 8\n{}{}", "[".repeat(a.min(90)), "]".repeat(a.min(90)))),
        ("grid wide", {
            let wide = vec![word.as_str(); a].join("|");
            let thin = vec![""; a].join("|");
            format!("@grid {} rows a\n{wide}\n{}", b + 1, rows(&thin))
        }),
        ("edit doubled", {
            let mut text = format!("{EDIT}\nfirst line of it {word}\nsecond");
            for i in 0..a.min(60) {
                let _ = write!(
                    text,
                    "\n±{} lines from \"first line of it\":\n±.",
                    2usize.saturating_pow(i as u32 + 1)
                );
            }
            text
        }),
        ("edit of nothing", {
            let mut text = format!("{EDIT}\nfirst line of it{}", "\n".repeat(b));
            for _ in 0..a {
                let _ = write!(text, "\n±{b} lines from \"first line of it\":\n±1-{b}\n±.");
            }
            text
        }),
    ];
    // A layer on a layer multiplies both.
    let layered = format!(
        "@ref «1:text» is repeated by «1»\n@log {b} rows 1 templates 0 aliases\na=*«1:{}»{}\n{}",
        "\\1".repeat(c),
        "«1»".repeat(a),
        rows(&format!("a {word}"))
    );
    all.push(("ref of log", layered));
    all
}

const EDIT: &str = "@edit ±N lines from \"x\": lines above with ±2-3 replaced, ±2+ added to; ±. ends";

#[test]
fn a_few_bytes_never_become_gigabytes() {
    for depth in [20, 25, 40, 60] {
        let text = nested(depth, 16);
        assert!(matches!(expand(&text, None), Err(Error::TooLarge { .. })), "{depth}");
    }
    let text = repeated_value(1000, 1000, 1000);
    assert!(matches!(expand(&text, None), Err(Error::TooLarge { .. })));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/cases/bomb_ref_nested_20.txt");
    match std::fs::read_to_string(path) {
        Ok(text) => assert!(matches!(expand(&text, None), Err(Error::TooLarge { .. }))),
        Err(_) => eprintln!("skipped: {path} is absent"),
    }
}

#[test]
fn the_caller_may_allow_more() {
    let text = nested(20, 16);
    let whole = expand_within(&text, None, Budget::of_size(16 << 20)).expect("16 MiB are allowed");
    assert_eq!(whole, "a".repeat(16 << 20));
    let refused = expand_within(&text, None, Budget::of_size((16 << 20) - 1));
    assert!(matches!(refused, Err(Error::TooLarge { limit }) if limit == (16 << 20) - 1));
}

#[test]
fn work_that_writes_nothing_is_bounded_too() {
    for (a, b) in [(20_000, 100), (100, 20_000), (1_500, 1_500)] {
        for (name, text) in products(a, b, 1) {
            let started = Instant::now();
            let _ = expand(&text, None);
            assert!(started.elapsed() < Duration::from_secs(30), "{name} of {} bytes", text.len());
        }
    }
}

#[test]
fn content_of_the_store_is_free_once() {
    let mut store = MemoryStore::new([7; 32], 1 << 30);
    let content = "0123456789abcdef".repeat(1 << 16);
    let handle = store.put(&content).expect("it fits");
    let marker = format!("[blob hex, {} chars, ref={handle}]", content.len());
    assert_eq!(expand(&marker, Some(&store)).expect("once is free"), content);
    let twice = format!("{marker}{marker}");
    assert!(matches!(expand(&twice, Some(&store)), Err(Error::TooLarge { .. })));
}

#[test]
fn what_is_made_always_expands_by_default() {
    let encoding = lacon_tokens::encoding(EncodingName::O200kBase);
    let line = "2026-01-01T00:00:00 INFO worker finished its task without any trouble at all\n";
    let object = r#"{"name":"the same name in every record of this list","value":"and the same value"},"#;
    let list = object.repeat(6_000);
    let texts = [
        line.repeat(8_000),
        format!("[{}]", list.trim_end_matches(',')),
        "one long sentence that is said again and again, with nothing new in it. ".repeat(8_000),
        format!("| {} |\n|---|\n{}", "w".repeat(500), "| x |\n".repeat(3_000)),
    ];
    for text in texts {
        let short = compress(&text, Options::default(), None, encoding).expect("no store");
        assert_eq!(expand(&short.text, None).expect("what was made expands"), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn products_of_counts_stay_in_proportion(a in 1usize..3000, b in 1usize..300, c in 0usize..300) {
        for (name, text) in products(a, b, c) {
            let started = Instant::now();
            match expand(&text, None) {
                Ok(whole) => prop_assert!(whole.len() <= Budget::untrusted(text.len()).bytes, "{name}"),
                Err(Error::TooLarge { .. } | Error::Damaged { .. }) => {}
                Err(other) => prop_assert!(false, "{name}: {other}"),
            }
            prop_assert!(started.elapsed() < Duration::from_secs(10), "{name} takes too long");
        }
    }
}
