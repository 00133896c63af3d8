//! `compress`, `expand`, `retrieve`, `trim`, `layout` and `batch` as a user runs them.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

struct Done {
    out: Vec<u8>,
    err: String,
    code: Option<i32>,
}

impl Done {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.out).expect("output is text")
    }
}

fn lacon(folder: &Path, args: &[&str], input: &[u8]) -> Done {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lacon"))
        .args(args)
        .current_dir(folder)
        .env_remove("COMPRESS_QUERY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("lacon starts");
    // A command that needs no input may end before it is read.
    let _ = child.stdin.take().expect("piped").write_all(input);
    let Output { status, stdout, stderr } = child.wait_with_output().expect("lacon ends");
    Done { out: stdout, err: String::from_utf8_lossy(&stderr).into_owned(), code: status.code() }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

const QUOTES: &str = "[{\"ticker\": \"AAPL\", \"price\": 1.50}, {\"ticker\": \"MSFT\", \"price\": 2.25}, {\"ticker\": \"AMD\", \"price\": 3.00}]\n";

#[test]
fn a_text_comes_back_byte_for_byte() {
    let folder = folder();
    let short = lacon(folder.path(), &["compress", "-"], QUOTES.as_bytes());
    assert_eq!(short.text(), "@json p\n[#3 ticker|price\nAAPL|1.50\nMSFT|2.25\nAMD|3.00\n]\n");
    assert_eq!(short.err, "");
    let back = lacon(folder.path(), &["expand"], &short.out);
    assert_eq!(back.text(), QUOTES);
    assert!(!folder.path().join(".lacon").exists(), "nothing was offloaded, so no store is made");
}

#[test]
fn blobs_are_stored_and_retrieved() {
    let folder = folder();
    let blob: String = (0..600u32)
        .map(|i| char::from(b"aB3xYz9QkL+/mN7p0RtUvW2CdEfGh"[(i * i % 29 + i % 3) as usize % 29]))
        .collect();
    let text = format!("See data:image/png;base64,{blob}\nEnd.\n");
    let short = lacon(folder.path(), &["compress", "--policy", "safe"], text.as_bytes());
    let handle = short
        .text()
        .split("ref=")
        .nth(1)
        .expect("has a marker")
        .split(']')
        .next()
        .expect("is closed")
        .to_owned();
    assert_eq!(lacon(folder.path(), &["expand"], &short.out).text(), text);
    let found = lacon(folder.path(), &["retrieve", &handle], b"");
    assert_eq!(found.text(), format!("data:image/png;base64,{blob}"));
    let other = lacon(folder.path(), &["retrieve", &handle, "--session", "other"], b"");
    assert_eq!(other.code, Some(2));
    assert!(other.err.contains("hint:"), "{}", other.err);
    assert_eq!(lacon(folder.path(), &["retrieve", "xyz"], b"").code, Some(2));
    let lossless = lacon(folder.path(), &["compress"], text.as_bytes());
    assert_eq!(lossless.text(), text, "a reader that has not said that it can retrieve gets all of it");
}

#[test]
fn json_diff_and_explain_say_what_changed() {
    let folder = folder();
    let json = lacon(folder.path(), &["compress", "--json"], QUOTES.as_bytes());
    let json: Value = serde_json::from_slice(&json.out).expect("is JSON");
    assert_eq!(json["schema_version"], 1);
    assert_eq!(json["passes"][0]["pass"], "json");
    assert!(json["tokens_after"].as_u64() < json["tokens_before"].as_u64());
    let diff = lacon(folder.path(), &["compress", "--diff"], QUOTES.as_bytes());
    assert!(diff.text().starts_with("- [{\"ticker\""), "{}", diff.text());
    assert!(diff.text().contains("+ AAPL|1.50"));
    let explain =
        lacon(folder.path(), &["compress", "--explain", "--receipts", "r.jsonl"], QUOTES.as_bytes());
    assert!(explain.err.contains("tokens saved") && explain.err.contains("elapsed_ms="), "{}", explain.err);
    let receipts = std::fs::read_to_string(folder.path().join("r.jsonl")).expect("was written");
    assert_eq!(receipts.lines().count(), 1);
    let audit = lacon(folder.path(), &["compress", "--audit"], QUOTES.as_bytes());
    assert_eq!(audit.text(), QUOTES);
    let off = lacon(folder.path(), &["compress", "--disable", "json"], QUOTES.as_bytes());
    assert_eq!(off.text(), QUOTES);
    let held = lacon(folder.path(), &["compress", "--holdout", "1"], QUOTES.as_bytes());
    assert_eq!(held.text(), QUOTES);
    let unknown = lacon(folder.path(), &["compress", "--disable", "jsn"], QUOTES.as_bytes());
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.err.contains("hint: the passes are outline, progress, blobs, json"), "{}", unknown.err);
}

#[test]
fn bytes_that_are_no_text_pass_through() {
    let folder = folder();
    let bytes = b"\xff\xfe\0binary";
    let short = lacon(folder.path(), &["compress"], bytes);
    assert_eq!(short.out, bytes);
    assert!(short.err.contains("passes through unchanged"), "{}", short.err);
    assert_eq!(short.code, Some(0));
    let broken = lacon(folder.path(), &["expand"], b"@json 2\n{");
    assert_eq!(broken.code, Some(2));
    assert!(broken.err.contains("cannot be expanded at byte"), "{}", broken.err);
    assert_eq!(lacon(folder.path(), &["compress", "missing.txt"], b"").code, Some(2));
}

#[test]
fn an_agent_gets_its_limit() {
    let folder = folder();
    let done = lacon(folder.path(), &["compress", "--agent", "trader"], b"You are a trader.");
    assert_eq!(done.text(), "You are a trader.\nAnswer in at most 150 words; end with BUY, SELL or HOLD.");
    let unknown = lacon(folder.path(), &["compress", "--agent", "tradr"], b"You are a trader.");
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.err.contains("hint: did you mean trader?"), "{}", unknown.err);
}

#[test]
fn a_question_selects_rows() {
    let folder = folder();
    let mut table = String::from("| | 2019 | 2018 |\n|---|---|---|\n");
    for i in 0..40 {
        table.push_str(&format!("| Item {i} alpha{i} | {}.5 | {}.5 |\n", i * 3, i * 7));
    }
    let done = lacon(
        folder.path(),
        &["compress", "--policy", "lossy", "--ratio", "0.2", "--query", "What is alpha7 in 2018?"],
        table.as_bytes(),
    );
    assert!(done.text().starts_with("| | 2019 | 2018 |\n"), "{}", done.text());
    assert!(done.text().contains("| Item 7 alpha7 | 21.5 | 49.5 |"));
    assert!(done.text().len() < table.len() / 3);
    let long = table.repeat(4);
    let done = lacon(
        folder.path(),
        &["compress", "--policy", "lossy", "--ratio", "0.2", "--query", "What is alpha7 in 2018?"],
        long.as_bytes(),
    );
    let handle =
        done.text().rsplit("full text: ref=").next().expect("a marker").trim_end_matches(']').to_owned();
    assert_eq!(lacon(folder.path(), &["retrieve", &handle], b"").text(), long);
    assert_eq!(lacon(folder.path(), &["compress", "--policy", "lossy", "--ratio", "2"], b"x").code, Some(2));
}

#[test]
fn messages_and_texts_are_trimmed() {
    let folder = folder();
    let long = "We looked at many things and found nothing that matters here. ".repeat(20);
    let messages = serde_json::json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": long},
        {"role": "user", "content": "Decide."},
    ]);
    let done = lacon(folder.path(), &["trim", "-t", "60"], messages.to_string().as_bytes());
    let trimmed: Value = serde_json::from_slice(&done.out).expect("is JSON");
    assert_eq!(trimmed.as_array().map(Vec::len), Some(4));
    assert_eq!((&trimmed[0], &trimmed[3]), (&messages[0], &messages[3]));
    assert!(trimmed[2]["content"].as_str().expect("a note").contains("left out"));
    let request = serde_json::json!({"model": "m", "messages": messages, "tools": []});
    let done = lacon(folder.path(), &["trim", "-t", "60", "--json"], request.to_string().as_bytes());
    let done: Value = serde_json::from_slice(&done.out).expect("is JSON");
    assert_eq!(done["result"]["model"], "m");
    assert_eq!(done["dropped"], serde_json::json!([2]));
    let tight = lacon(folder.path(), &["trim", "-t", "5"], messages.to_string().as_bytes());
    assert_eq!(tight.code, Some(2));
    assert!(tight.err.contains("prompt needs at least"), "{}", tight.err);
    let text: String = (0..300).map(|i| format!("line {i} of a long report\n")).collect();
    let done = lacon(folder.path(), &["trim", "-t", "100", "--json"], text.as_bytes());
    let done: Value = serde_json::from_slice(&done.out).expect("is JSON");
    assert!(done["tokens_after"].as_u64() <= Some(100));
}

#[test]
fn layout_names_the_first_difference() {
    let folder = folder();
    let shared = "Apple closed at 232.78 after a week of rising volume. ".repeat(150);
    for role in ["bull", "bear"] {
        let request = serde_json::json!({"messages": [
            {"role": "user", "content": format!("You are the {role}.")},
            {"role": "user", "content": shared},
        ]});
        std::fs::write(folder.path().join(format!("{role}.json")), request.to_string()).expect("is written");
    }
    let done = lacon(folder.path(), &["layout", "bull.json", "bear.json", "--json"], b"");
    let done: Value = serde_json::from_slice(&done.out).expect("is JSON");
    assert_eq!(done["first_difference"][0]["owner"], "message 0 part 0");
    assert_eq!(done["as_sent"][1]["cached"], 0);
    assert!(done["shared_first"][1]["cached"].as_u64() >= Some(1024));
    let words = lacon(folder.path(), &["layout", "bull.json", "bear.json"], b"");
    assert!(words.text().contains("effective input:"), "{}", words.text());
    assert_eq!(lacon(folder.path(), &["layout", "none.json"], b"").code, Some(2));
}

#[test]
fn layout_moves_volatile_lines_names_what_was_sent_and_writes_the_requests() {
    let folder = folder();
    let shared = "Apple closed at 232.78 after a week of rising volume. ".repeat(150);
    let plan = "Buy in three parts below 230 and stop at 212.40. ".repeat(60);
    for (i, role) in ["bull", "bear", "trader"].into_iter().enumerate() {
        let data = if role == "trader" { plan.clone() } else { format!("{plan}{shared}") };
        let request = serde_json::json!({"model": "gpt-4o", "messages": [
            {"role": "system", "content": format!("Use the data alone.\nCurrent time: 2026-01-02 10:0{i}:00\n")},
            {"role": "user", "content": [{"type": "text", "text": format!("You are the {role}.")}, {"type": "text", "text": data}]},
        ]});
        let request = if role == "bull" {
            serde_json::json!({"model": "gpt-4o", "messages": [request["messages"][0], {"role": "user", "content": [
                {"type": "text", "text": plan}, {"type": "text", "text": shared}]}]})
        } else {
            request
        };
        std::fs::write(folder.path().join(format!("{role}.json")), request.to_string()).expect("is written");
    }
    let args = [
        "layout",
        "bull.json",
        "bear.json",
        "trader.json",
        "--volatile-last",
        "--refer",
        "2",
        "--out",
        "laid",
    ];
    let done = lacon(folder.path(), &[&args[..], &["--json"]].concat(), b"");
    let told: Value = serde_json::from_slice(&done.out).expect("is JSON");
    assert_eq!(told["volatile_lines"][1], "Current time: 2026-01-02 10:01:00");
    let laid = |i: usize| -> Value {
        let text =
            std::fs::read_to_string(folder.path().join(format!("laid/{i:03}.json"))).expect("is there");
        serde_json::from_str(&text).expect("is JSON")
    };
    assert_eq!(laid(0)["model"], "gpt-4o");
    assert_eq!(laid(0)["messages"][0]["content"], "Use the data alone.\n");
    let whole = |i: usize| laid(i)["messages"].to_string();
    assert!(whole(1).contains("You are the bear.") && whole(1).contains("10:01:00"), "{}", whole(1));
    assert!(whole(2).contains("[blob ") || told["referred_tokens"] == 0, "{}", whole(2));
    let bad = lacon(folder.path(), &["layout", "bull.json", "--refer", "4"], b"");
    assert_eq!(bad.code, Some(2));
}

#[test]
fn code_becomes_its_outline_and_a_marker_is_checked() {
    let folder = folder();
    let body = "    let mut total = 0;\n    for value in values {\n        total += value * 3;\n        if total > 900 {\n            return None;\n        }\n    }\n    let mean = total / values.len() as u64;\n    log(\"mean\", mean, values.len(), total, 900, \"limit of the desk\");\n    Some(mean)\n";
    let code = format!(
        "//! Sums.\n\n/// Adds up.\npub fn sum(values: &[u64]) -> Option<u64> {{\n{body}}}\n\nconst LIMIT: u64 = 900;\n"
    );
    let usual = lacon(folder.path(), &["compress"], code.as_bytes());
    assert_eq!(usual.text(), code, "bodies go only where asked for");
    let short =
        lacon(folder.path(), &["compress", "--policy", "safe", "--enable", "outline"], code.as_bytes());
    let text = short.text();
    assert!(
        text.contains("pub fn sum(values: &[u64]) -> Option<u64> {\n    [blob 10 lines of a body, "),
        "{text}"
    );
    assert!(text.ends_with("]\n}\n\nconst LIMIT: u64 = 900;\n"), "{text}");
    assert_eq!(lacon(folder.path(), &["expand"], &short.out).text(), code);
    let marker = text.lines().find(|line| line.contains("[blob")).expect("has one").trim().to_owned();
    assert_eq!(lacon(folder.path(), &["retrieve", &marker], b"").text(), body.trim());
    let edited = marker.replace("10 lines", "9 lines");
    let refused = lacon(folder.path(), &["retrieve", &edited], b"");
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("another number of lines"), "{}", refused.err);
}

#[test]
fn a_batch_goes_on_where_it_was_cut_off() {
    let folder = folder();
    let mut input = String::new();
    for i in 0..50 {
        input.push_str(
            &serde_json::json!({"id": i, "text": format!("line {i} {}", "word ".repeat(i))}).to_string(),
        );
        input.push('\n');
    }
    input.push_str("no json\n");
    input.push_str("\"a bare string\"\n");
    std::fs::write(folder.path().join("in.jsonl"), &input).expect("is written");
    let done = lacon(
        folder.path(),
        &["batch", "in.jsonl", "-o", "out.jsonl", "--op", "compress", "--jobs", "3"],
        b"",
    );
    assert_eq!(done.code, Some(1), "{}", done.err);
    let whole = std::fs::read_to_string(folder.path().join("out.jsonl")).expect("was written");
    let rows: Vec<Value> = whole.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
    assert_eq!(rows.len(), 52);
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(row["index"], i);
    }
    assert_eq!(rows[50]["line"], "no json");
    assert!(rows[51]["tokens_after"].is_u64());
    for cut in [0, 1, 77, whole.len() / 2, whole.len() - 1, whole.len()] {
        std::fs::write(folder.path().join("out.jsonl"), &whole[..cut]).expect("is written");
        let done = lacon(
            folder.path(),
            &["batch", "in.jsonl", "-o", "out.jsonl", "--op", "compress", "--resume"],
            b"",
        );
        assert!(matches!(done.code, Some(0 | 1)), "{}", done.err);
        assert_eq!(std::fs::read_to_string(folder.path().join("out.jsonl")).expect("is there"), whole);
    }
}

#[test]
fn no_command_destroys_its_input() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let rows = "{\"text\":\"one\"}\n{\"text\":\"two\"}\n";
    std::fs::write(at("in.jsonl"), rows).expect("is written");
    std::fs::write(at("in.jsonl.part"), rows).expect("is written");
    std::fs::hard_link(at("in.jsonl"), at("hard.jsonl")).expect("is linked");
    let mut outputs = vec!["in.jsonl", "./in.jsonl", "hard.jsonl"];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("in.jsonl", at("soft.jsonl")).expect("is linked");
        outputs.push("soft.jsonl");
    }
    for output in outputs {
        for resume in [&[][..], &["--resume"]] {
            let args = [&["batch", "in.jsonl", "-o", output], resume].concat();
            let done = lacon(folder.path(), &args, b"");
            assert_eq!(done.code, Some(2), "{output}: {}", done.err);
            assert!(done.err.contains("is the input"), "{}", done.err);
            assert_eq!(std::fs::read_to_string(at("in.jsonl")).expect("is there"), rows, "{output}");
        }
    }
    // The file beside the output counts as well.
    let done = lacon(folder.path(), &["batch", "in.jsonl.part", "-o", "in.jsonl"], b"");
    assert_eq!(done.code, Some(2), "{}", done.err);
    assert_eq!(std::fs::read_to_string(at("in.jsonl.part")).expect("is there"), rows);
    let done = lacon(folder.path(), &["compress", "in.jsonl", "--receipts", "hard.jsonl"], b"");
    assert_eq!(done.code, Some(2), "{}", done.err);
    let request = r#"{"messages":[{"role":"user","content":"hello"}]}"#;
    std::fs::write(at("000.json"), request).expect("is written");
    let done = lacon(folder.path(), &["layout", "000.json", "--out", "."], b"");
    assert_eq!(done.code, Some(2), "{}", done.err);
    assert_eq!(std::fs::read_to_string(at("000.json")).expect("is there"), request);
    // An input that is not there costs no output.
    std::fs::write(at("out.jsonl"), rows).expect("is written");
    let done = lacon(folder.path(), &["batch", "none.jsonl", "-o", "out.jsonl"], b"");
    assert_eq!(done.code, Some(2), "{}", done.err);
    assert_eq!(std::fs::read_to_string(at("out.jsonl")).expect("is there"), rows);
}

#[test]
fn rows_of_a_batch_stay_theirs() {
    let folder = folder();
    let rows = concat!(
        "\u{feff}{\"text\":\"one\",\"index\":\"mine\",\"tokens\":1.10,\"error\":null}\n",
        "\n   \r\n",
        "{\"text\":\"two\",\"big\":123456789012345678901234567890,\"half\":\"\\ud800\",\"a\":1,\"a\":2}\n",
        "{\"text\":\"\\ud800\"}\n",
    );
    std::fs::write(folder.path().join("in.jsonl"), rows).expect("is written");
    let done = lacon(folder.path(), &["batch", "in.jsonl", "-o", "out.jsonl"], b"");
    assert_eq!(done.code, Some(1), "{}", done.err);
    let out = std::fs::read_to_string(folder.path().join("out.jsonl")).expect("is there");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], r#"{"lacon_index":0,"index":"mine","tokens":1.10,"error":null,"lacon_tokens":1}"#);
    assert_eq!(
        lines[1],
        r#"{"index":1,"big":123456789012345678901234567890,"half":"\ud800","a":1,"a":2,"tokens":1}"#
    );
    assert!(lines[2].contains("is not text"), "{}", lines[2]);
    assert_eq!(lines.len(), 3);
}

#[test]
fn a_bomb_is_refused_unless_its_size_is_allowed() {
    let folder = folder();
    let mut bomb = "@ref «1:text» is repeated by «1»\n".to_owned();
    (1..=16).for_each(|i| bomb.push_str(&format!("«{i}:")));
    bomb.push_str("aaaaaaaaaaaaaaaa");
    (1..=16).rev().for_each(|i| bomb.push_str(&format!("»«{i}»")));
    let done = lacon(folder.path(), &["expand"], bomb.as_bytes());
    assert_eq!(done.code, Some(2), "{}", done.err);
    assert!(done.err.contains("--max-size"), "{}", done.err);
    let done = lacon(folder.path(), &["expand", "--max-size", "1048576"], bomb.as_bytes());
    assert_eq!((done.code, done.out.len()), (Some(0), 1 << 20), "{}", done.err);
}

#[test]
fn a_request_is_trimmed_as_one_or_refused() {
    let folder = folder();
    let request = br#"{"model":"gpt-5","input":[{"role":"user","content":"hi"}],"seed":12345678901234567890123,"top_p":1.10}"#;
    let fits = lacon(folder.path(), &["trim", "-t", "100"], request);
    assert_eq!(fits.out.trim_ascii_end(), request);
    let json = lacon(folder.path(), &["trim", "-t", "100", "--json"], request);
    assert!(json.text().contains(r#""seed":12345678901234567890123,"top_p":1.10"#), "{}", json.text());
    for broken in
        [&br#"[{"role":"user","content":NaN}]"#[..], br#"{"messages":[{"role":"user","content":"cut"#]
    {
        let refused = lacon(folder.path(), &["trim", "-t", "5"], broken);
        assert_eq!((refused.code, refused.text()), (Some(2), ""));
        assert!(refused.err.contains("hint:"), "{}", refused.err);
    }
    std::fs::write(folder.path().join("r.json"), br#"[{"role":"user","content":"hello"}]"#)
        .expect("is written");
    let counted = lacon(folder.path(), &["count", "--request", "r.json"], b"");
    assert_eq!(counted.text(), "8\n");
    let none = lacon(folder.path(), &["trim", "-t", "5", "r.json"], b"");
    assert_eq!(none.code, Some(2));
    assert!(none.err.contains("at least 8 tokens"), "{}", none.err);
}

#[test]
fn a_missed_share_is_said() {
    let folder = folder();
    let text = "Parcel 7 was signed by Ann in Berlin, the note says fine.\n".repeat(40);
    let flags = ["compress", "--policy", "lossy", "--ratio", "0.3", "--query"];
    let missed = lacon(folder.path(), &[&flags[..], &["zebra"]].concat(), text.as_bytes());
    assert!(missed.err.contains("the share asked for is"), "{}", missed.err);
    let met = lacon(folder.path(), &[&flags[..], &["Who signed the parcel?"]].concat(), text.as_bytes());
    assert!(met.err.is_empty(), "{}", met.err);
}
