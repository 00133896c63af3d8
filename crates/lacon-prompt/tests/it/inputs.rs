//! Inputs that look like what tools and agents print, and ones that try to confuse a decoder.

use proptest::prelude::*;

/// JSON texts in the layouts that programs print.
pub fn json() -> impl Strategy<Value = String> {
    (value(), prop_oneof![Just(0), Just(1), Just(2), Just(3)]).prop_map(|(value, layout)| match layout {
        0 => value.to_string(),
        1 => serde_json::to_string_pretty(&value).expect("a value prints"),
        2 => spaced(&value, false),
        _ => spaced(&value, true),
    })
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let text = prop_oneof![
        "[a-z|()\\[\\]{}$!~=\"\\\\\n ]{0,12}",
        "[0-9]{1,5}",
        Just("null".to_owned()),
        Just("é’«1»\u{7f}\u{1}".to_owned()),
        Just("{\"a\": [1, {\"b\": \"x\\ny\"}]}".to_owned()),
        Just("line one\nline \"two\"\n\tthree\n".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        (-1e6f64..1e6).prop_map(Into::into),
        text.prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::Array),
            prop::collection::vec(("[a-c|$ ]{1,3}", inner.clone()), 0..5)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            // Records that share names, which become tables.
            prop::collection::vec(prop::collection::vec(inner, 3), 2..7).prop_map(|rows| {
                let record = |row: Vec<serde_json::Value>| {
                    let names = ["id", "name", "x"].map(str::to_owned);
                    let members = names.into_iter().zip(row).filter(|(_, v)| v != &serde_json::json!(0));
                    serde_json::Value::Object(members.collect())
                };
                serde_json::Value::Array(rows.into_iter().map(record).collect())
            }),
        ]
    })
}

/// Python's default layout, written out by hand because serde has none like it.
fn spaced(value: &serde_json::Value, ascii: bool) -> String {
    match value {
        serde_json::Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| spaced(item, ascii)).collect();
            format!("[{}]", items.join(", "))
        }
        serde_json::Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| {
                    format!("{}: {}", spaced(&name.as_str().into(), ascii), spaced(value, ascii))
                })
                .collect();
            format!("{{{}}}", members.join(", "))
        }
        serde_json::Value::String(text) if ascii => {
            let mut out = String::new();
            for c in value.to_string().chars() {
                if c.is_ascii() && c != '\u{7f}' {
                    out.push(c);
                } else {
                    let mut units = [0; 2];
                    out.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
                }
            }
            let _ = text;
            out
        }
        other => other.to_string(),
    }
}

/// Lines with times, ids and repeated words.
pub fn log() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        (0u32..60, 0u32..9, "[a-z]{1,4}").prop_map(|(s, n, w)| format!(
            "2026-01-02 10:00:{s:02} INFO  db.Pool: opened blk_123456789{n} for {w}=7 in 3ms"
        )),
        (0u32..60, 0u32..9).prop_map(|(s, n)| format!(
            "2026-01-02 10:00:{s:02} WARN  db.Pool: * retry \\{n} of /10.0.0.{n}:50010 ($1)"
        )),
        (0u32..9, 0u32..9).prop_map(|(a, b)| format!(
            "2026-01-02 10:01:00 INFO  node-{a} and \\\\{b} went from node-{a} to node-{b} *"
        )),
        Just("    at java.lang.Thread.run(Thread.java:745)".to_owned()),
        Just(String::new()),
        Just("=x".to_owned()),
        Just("a^ 1\r".to_owned()),
        "[ -~]{0,30}",
    ];
    (prop::collection::vec(line, 0..60), any::<bool>())
        .prop_map(|(lines, newline)| lines.join("\n") + if newline { "\n" } else { "" })
}

/// Separated rows with quotes, runs, constants, empty cells and bars in them.
pub fn rows() -> impl Strategy<Value = String> {
    let cell = prop_oneof![
        4 => Just("USD".to_owned()),
        2 => "[0-9]{1,3}",
        1 => Just(String::new()),
        1 => Just("\"a, \"\"b\"\"; c\"".to_owned()),
        1 => "[a-z=~^|\"\t ]{0,6}",
    ];
    let look = (prop::sample::select(vec![",", "\t", ";"]), prop::sample::select(vec!["\n", "\r\n"]));
    (2usize..6, look, any::<bool>()).prop_flat_map(move |(n, (separator, newline), end)| {
        let row = prop::collection::vec(cell.clone(), n);
        prop::collection::vec((row, 1usize..4), 0..12).prop_map(move |rows| {
            let heading: Vec<String> = (0..n).map(|i| format!("column{i}")).collect();
            let rows = rows.into_iter().flat_map(|(row, times)| vec![row; times]);
            let lines: Vec<String> =
                std::iter::once(heading).chain(rows).map(|row| row.join(separator)).collect();
            lines.join(newline) + if end { newline } else { "" }
        })
    })
}

/// A text of lines and versions of it with lines changed, put in and taken out, some of them looking like our output.
pub fn versions() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        6 => (0u32..400, "[a-z]{3,9}").prop_map(|(n, word)| format!("    let {word} = compute({n}, &state.{word});")),
        1 => Just(String::new()),
        1 => Just("    }".to_owned()),
        1 => Just("±3 lines from \"x\":".to_owned()),
        1 => Just("@edit ±3 lines".to_owned()),
        1 => "[ -~±¤§é]{0,20}",
    ];
    let change = (any::<prop::sample::Index>(), 0usize..3, prop::collection::vec(line.clone(), 0..3));
    let version = prop::collection::vec(change, 0..4);
    (prop::collection::vec(line, 8..60), prop::collection::vec(version, 1..4)).prop_map(
        |(first, versions)| {
            let mut out = first.join("\n");
            for changes in versions {
                let mut lines = first.clone();
                for (at, gone, put) in changes {
                    let at = at.index(lines.len() + 1);
                    let end = (at + gone).min(lines.len());
                    lines.splice(at..end, put);
                }
                out.push_str("\nRead again:\n");
                out.push_str(&lines.join("\n"));
            }
            out
        },
    )
}

/// Pieces of every kind, glued together; some look like our own output.
pub fn mixed() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        json(),
        log(),
        rows(),
        versions(),
        prop::collection::vec(
            (prop::sample::select(vec!["a.rs", "b/c", "x:1"]), 0u32..30, "[ -~]{0,9}"),
            1..9
        )
        .prop_map(|hits| hits.iter().map(|(p, n, text)| format!("{p}:{n}:{text}\n")).collect()),
        Just("@hits 2\na.rs\n1:x\n2:y".to_owned()),
        Just("@csv , 2 rows\na|b=1\n2\n3".to_owned()),
        any::<String>(),
        Just("@json 2\n{\"a\":1}".to_owned()),
        Just("@@log 1 rows 0 templates 0 aliases\n=x".to_owned()),
        Just("@ref «1:text» is repeated by «1»\n«1:abc»«1»".to_owned()),
        Just("@same text as the one above that begins \"x\"".to_owned()),
        Just("[blob hex, 3 chars, ref=0123456789abcdef] [blob! x]".to_owned()),
        Just("The margin must not fall below 46% before Q1 2026, unless the board agrees.".to_owned()),
        Just("| a | b |\n|---|---|\n| 1 | 2 |\n| 333 |  |".to_owned()),
        Just("| a   | b |\n| --- | - |\n| 1   | 2 |".to_owned()),
        Just("```json\n{\n  \"a\": [1, 2]\n}\n```".to_owned()),
        Just("```\nnever closed".to_owned()),
        Just("YmFzZTY0".repeat(40)),
        (0u8..255).prop_map(|n| format!("data:image/png;base64,{}", format!("aB3{n}+/Zq").repeat(30))),
        Just("a,b,c\n1,2,3\n4,5,6\n7,8,9".to_owned()),
        Just("«»‹›⟪⟫\u{202e}\0\r\n".to_owned()),
    ];
    prop::collection::vec((piece, prop_oneof![Just("\n"), Just("\n\n"), Just(""), Just(" ")]), 0..8)
        .prop_map(|pieces| pieces.into_iter().map(|(piece, glue)| piece + glue).collect())
}
