//! Texts of every shape that a pass looks for, at any size; also read by the example `growth`.

/// A text of about so many bytes.
pub type Generator = fn(usize) -> String;

/// A line made of numbers that follow no pattern, the same in every run.
pub fn noise(seed: usize) -> usize {
    let x = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (x ^ (x >> 29)) as usize % 100_000
}

pub fn lines(bytes: usize, line: impl Fn(usize) -> String) -> String {
    let mut out = String::new();
    for i in 0.. {
        out.push_str(&line(i));
        out.push('\n');
        if out.len() >= bytes {
            break;
        }
    }
    out
}

pub const GENERATORS: [(&str, Generator); 22] = [
    ("log", |n| {
        lines(n, |i| format!("2026-01-02T10:00:{:02} INFO worker {} took {} ms", i % 60, i % 7, noise(i)))
    }),
    ("ragged log", |n| lines(n, |i| format!("10:00:{:02} {}", i % 60, "w ".repeat(noise(i) % 40)))),
    ("wide rows", |n| {
        lines(n, |i| {
            format!(
                "12:00:01 {}",
                (0..60).map(|c| format!("k{c}={} ", noise(i * 60 + c))).collect::<String>()
            )
        })
    }),
    ("words of no template", |n| {
        lines(n, |i| {
            format!(
                "12:00:01 {}",
                (0..12)
                    .map(|c| format!("w{}x ", noise(i * 12 + c) % 900))
                    .collect::<String>()
                    .replace(|c: char| c.is_ascii_digit(), "q")
            )
        })
    }),
    ("one shape, other words", |n| {
        lines(n, |i| {
            let word = |k: usize| {
                (0..6).map(|c| char::from(b'a' + (noise(i * 9 + k * 7 + c) % 26) as u8)).collect::<String>()
            };
            format!("12:00:01 {} {} {} {} {}", word(1), word(2), word(3), word(4), word(5))
        })
    }),
    ("json", |n| {
        format!(
            "[{}]",
            lines(n, |i| format!(r#"{{"id": {i}, "name": "n{}", "x": {}}},"#, i % 9, noise(i)))
                .trim_end()
                .trim_end_matches(',')
                .replace('\n', " ")
        )
    }),
    ("json of other keys", |n| {
        format!(
            "[{}]",
            lines(n, |i| format!(r#"{{"k{}": {i}, "v{}": [{}]}},"#, noise(i), i % 5, i))
                .trim_end()
                .trim_end_matches(',')
                .replace('\n', " ")
        )
    }),
    ("json lines", |n| lines(n, |i| format!(r#"{{"id": {i}, "name": "n{}", "x": {}}}"#, i % 9, noise(i)))),
    ("open brackets", |n| lines(n, |_| "[1,".to_owned())),
    ("csv", |n| lines(n, |i| format!("{i},venue {},{}", i % 4, noise(i)))),
    ("table", |n| format!("| a | b |\n|---|---|\n{}", lines(n, |i| format!("| {i} | {} |", noise(i))))),
    ("hits", |n| lines(n, |i| format!("src/part_{}/file.rs:{i}:    let x = {};", i / 20, noise(i)))),
    ("equal diffs", |n| {
        lines(n, |i| {
            format!(
                "diff --git a/f{i} b/f{i}\nindex 1..2 100644\n--- a/f{i}\n+++ b/f{i}\n@@ -1,3 +1,3 @@\n a line of context\n-old line of it\n+new line of it"
            )
        })
    }),
    ("one diff again", |n| {
        lines(n, |_| {
            "diff --git a/f b/f\nindex 1..2 100644\n--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n a line of context\n-old line of it\n+new line of it".to_owned()
        })
    }),
    ("versions of a file", |n| {
        lines(n, |i| format!("    let value_{} = compute({});", i % 60, if i % 97 == 0 { i } else { 0 }))
    }),
    ("paragraphs again", |n| {
        lines(n, |i| {
            format!(
                "The paragraph numbered {} stands here again, word for word, as if nobody had noticed.\n",
                i % 11
            )
        })
    }),
    ("one letter", |n| "a".repeat(n)),
    ("two letters", |n| "ab ".repeat(n / 3)),
    ("fences", |n| lines(n, |i| "`".repeat(3 + i % 40))),
    ("markers", |n| lines(n, |i| format!("[blob {i} chars, ref={:040x}] @json p", noise(i)))),
    ("control lines", |n| {
        lines(n, |i| format!("@{} {i} rows", ["log", "csv", "ref", "edit", "json"][i % 5]))
    }),
    ("quotes", |n| lines(n, |i| format!(r#"said "({}[{{", and "it" again"#, noise(i) % 50))),
];
