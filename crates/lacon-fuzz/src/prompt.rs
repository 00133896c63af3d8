//! Targets of `lacon-prompt`: what is compressed comes back, what is damaged is an error, what is cut is in budget.

use lacon_prompt::compress::{Budget, Options, compress as shorten, expand as restore, expand_within};
use lacon_prompt::extract::{ExtractOptions, extract as select};
use lacon_prompt::marker::Marker;
use lacon_prompt::meter;
use lacon_prompt::offload::MemoryStore;
use lacon_prompt::passes::PassSet;
use lacon_prompt::request::{Request, RequestOptions, splice};
use lacon_prompt::span;
use lacon_prompt::trim::{TrimOptions, trim_request};
use lacon_tokens::{Encoding, EncodingName, for_model};

fn o200k() -> &'static Encoding {
    lacon_tokens::encoding(EncodingName::O200kBase)
}

const EDIT: &str = "@edit ±N lines from \"x\": lines above with ±2-3 replaced, ±2+ added to; ±. ends";

/// Rows, and a text whose second half is a version of its first, come back; twice is once.
pub fn versions(data: &[u8]) {
    let Some((&which, text)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let text = if which % 2 == 0 {
        let separator = [",", "\t", ";"][usize::from(which / 2) % 3];
        text.lines().map(|line| line.replace(' ', separator) + "\n").collect()
    } else {
        let lines: Vec<&str> = text.split('\n').collect();
        let at = usize::from(which) % (lines.len() + 1);
        format!("{text}\n{}\nchanged\n{}", lines[..at].join("\n"), lines[at..].join("\n"))
    };
    let once = Options { once: true, ..Options::default() };
    let mut store = MemoryStore::new([7; 32], 1 << 26);
    let first = shorten(&text, Options::default(), None, o200k()).expect("memory does not fail");
    if first.exact {
        assert_eq!(restore(&first.text, None).expect("what was compressed expands"), text);
    }
    let first = shorten(&text, once, Some(&mut store), o200k()).expect("memory does not fail");
    let second = shorten(&first.text, once, Some(&mut store), o200k()).expect("memory does not fail");
    assert_eq!(first.text, second.text);
}

/// Expanding any text ends with a text or an error: no panic, no hang, no memory without bound.
pub fn expand(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = restore(&text, None);
    // A marker that can be read prints as itself, and nothing else is one.
    if let Some(marker) = text.lines().find_map(Marker::parse) {
        assert_eq!(Marker::parse(&marker.to_string()).as_ref(), Some(&marker));
        let _ = marker.check(&text);
    }
    // The grammars behind the control lines deserve most of the time.
    for head in lacon_prompt::compress::control_lines() {
        let _ = restore(&format!("{head}{text}"), None);
    }
    let _ = restore(&format!("@ref «1:text» is repeated by «1»\n{text}"), None);
    let _ = restore(&format!("{EDIT}\nfirst line of it\nsecond\nthird\n{text}"), None);
}

/// Forms in which counts multiply each other never write more than their budget allows. The bytes are counts and a word.
pub fn bombs(data: &[u8]) {
    let [form, a, b, c, word @ ..] = data else { return };
    let count = |n: &u8| 1usize << (n % 12);
    let (a, b, c) = (count(a), count(b), usize::from(*c % 8) + 1);
    let word: String =
        String::from_utf8_lossy(word).chars().filter(|c| c.is_alphanumeric()).take(64).collect();
    let rows = |row: &str| vec![row; b].join("\n");
    let columns = |column: &str| vec![column; a.min(1 << 10)].join("|");
    let reference = "@ref «1:text» is repeated by «1»\n";
    let text = match form % 10 {
        0 => {
            let open: String = (1..=a.min(80)).map(|i| format!("«{i}:")).collect();
            let close: String =
                (1..=a.min(80)).rev().map(|i| "»".to_owned() + &format!("«{i}»").repeat(c)).collect();
            format!("{reference}{open}{word}{close}")
        }
        1 => format!("{reference}«1:{word}»{}", "«1»".repeat(a)),
        2 => format!(
            "@log {b} rows 1 templates 0 aliases\na=*{}\n{}",
            "\\1".repeat(a),
            rows(&format!("a {word}"))
        ),
        3 => format!(
            "@log {b} rows 1 templates 1 aliases\na=*{}\n$1={word}\n{}",
            "\\1".repeat(a),
            rows("a $1")
        ),
        4 => format!("@csv , {b} rows\n{}\n{}", columns(&format!("x={word}")), rows("")),
        5 => format!("@hits {b}\n{}\n{}", word.repeat(a), rows("1:x")),
        6 => format!("@json p\n[#{b} {}\n{}\n]", columns(&format!("x=\"{word}\"")), rows("")),
        7 => format!("@grid {} rows a\n{}\n{}", b + 1, columns(&word), rows(&columns(""))),
        8 => {
            let lists: String = (0..a.min(100))
                .map(|i| format!("\n±{} lines from \"first line\":\n±.", 2 << i.min(20)))
                .collect();
            format!("{EDIT}\nfirst line {word}\nsecond{lists}")
        }
        _ => format!(
            "{reference}@log {b} rows 1 templates 0 aliases\na=*«1:{}»{}\n{}",
            "\\1".repeat(c),
            "«1»".repeat(a),
            rows(&format!("a {word}"))
        ),
    };
    if let Ok(whole) = restore(&text, None) {
        assert!(whole.len() <= Budget::untrusted(text.len()).bytes);
    }
    let few = Budget { bytes: 4096, steps: 1 << 14 };
    if let Ok(whole) = expand_within(&text, None, few) {
        assert!(whole.len() <= few.bytes);
    }
}

/// What is compressed expands to what it was, and spans cover their text.
pub fn compress(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    assert_eq!(span::print(&text, &span::parse(&text)), text);
    let mut store = MemoryStore::new([7; 32], 1 << 26);
    let all = Options { passes: PassSet::ALL, ..Options::default() };
    let short = shorten(&text, all, Some(&mut store), o200k()).expect("memory does not fail");
    let back = restore(&short.text, Some(&store)).expect("what was compressed expands");
    if short.exact {
        assert_eq!(back, text);
    } else {
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        assert_eq!(value(&back), value(&text));
    }
}

/// Any request is trimmed into the budget or refused, and one that fits keeps every byte.
pub fn trim(data: &[u8]) {
    let Some((&share, text)) = data.split_first() else { return };
    let Ok(json) = std::str::from_utf8(text) else { return };
    let tokens = |json: &str| meter::count(json, &for_model("gpt-4o")).map(|count| count.total);
    let Ok(whole) = tokens(json) else { return };
    let budget = whole * usize::from(share) / 200;
    if let Ok(trimmed) = trim_request(json, &TrimOptions::new(budget), None, o200k()) {
        assert!(tokens(&trimmed.json).expect("what was a request is one") <= budget);
        assert!(whole > budget || trimmed.json == json.trim_start_matches('\u{feff}'));
    }
}

/// Of any request only texts change: each comes back, and all around them stays.
pub fn requests(data: &[u8]) {
    let Ok(json) = std::str::from_utf8(data) else { return };
    let Some(request) = Request::parse(json) else { return };
    let mut store = MemoryStore::new([7; 32], 1 << 26);
    let options = RequestOptions::default();
    let shrunk = request.shrink(&options, Some(&mut store), o200k()).expect("memory does not fail");
    // What looks like a marker and is none gets a sign that says so.
    assert!(shrunk.tokens_after <= shrunk.tokens_before || json.contains("[blob"));
    let after = splice(json, &shrunk.edits);
    let changed: Vec<String> = shrunk.edits.iter().map(|edit| edit.pointer.clone()).collect();
    let short = Request::parse(&after).expect("what was a request is one");
    assert_eq!(short.can_retrieve(), request.can_retrieve());
    let back = short.restore(&changed, Some(&store)).expect("what was shortened comes back");
    let value = |json: &str| serde_json::from_str::<serde_json::Value>(json).ok();
    if shrunk.edits.iter().zip(&back).all(|(edit, back)| {
        serde_json::from_str::<String>(&json[edit.range.clone()]).is_ok_and(|text| text == back.text)
    }) {
        assert_eq!(value(&splice(&after, &back)), value(json));
    } else {
        // A text that is JSON laid out by hand comes back as the same value in another layout.
        for (edit, back) in shrunk.edits.iter().zip(&back) {
            let text: String = serde_json::from_str(&json[edit.range.clone()]).expect("it was read");
            assert!(text == back.text || value(&text) == value(&back.text));
        }
    }
}

/// An extract is no longer than its text, and the same each time.
pub fn extract(data: &[u8]) {
    let [share, rest @ ..] = data else { return };
    let text = String::from_utf8_lossy(rest);
    let (query, text) = text.split_once('\n').unwrap_or(("price", &text));
    let options = ExtractOptions { share: f64::from(*share) / 255.0, min_tokens: 8 };
    let found = select(text, query, options, o200k());
    assert!(found.tokens_after <= found.tokens_before);
    assert_eq!(found, select(text, query, options, o200k()));
}
