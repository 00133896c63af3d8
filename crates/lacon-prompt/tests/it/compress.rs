use crate::inputs;
use lacon_prompt::Error;
use lacon_prompt::compress::{Options, compress, expand};
use lacon_prompt::offload::{MemoryStore, Store};
use lacon_prompt::passes::{PASSES, PassSet};
use lacon_tokens::{Encoding, EncodingName};
use proptest::prelude::*;

fn o200k() -> &'static Encoding {
    lacon_tokens::encoding(EncodingName::O200kBase)
}

fn check(text: &str, expected: &str) {
    let short = compress(text, Options::default(), None, o200k()).expect("compresses");
    assert_eq!(short.text, expected);
    assert_eq!(expand(&short.text, None).expect("expands"), text);
    assert!(short.tokens_after <= short.tokens_before);
}

#[test]
fn records_become_a_table() {
    let text = "Quotes:\n[\n  {\n    \"ticker\": \"AAPL\",\n    \"price\": 1.50,\n    \"error\": null\n  },\n  {\n    \"ticker\": \"MSFT\",\n    \"price\": 2,\n    \"error\": null\n  }\n]\nThat is all.\n";
    check(text, "Quotes:\n@json 2\n[#2 ticker|price|error=null\nAAPL|1.50\nMSFT|2\n]\nThat is all.\n");
}

#[test]
fn lines_of_json_become_a_table() {
    check(
        "{\"id\": 1, \"side\": \"buy\"}\n{\"id\": 2, \"side\": \"sell\"}\n{\"id\": 3, \"side\": \"buy\"}\n{\"id\": 4, \"side\": \"sell\"}\n",
        "@jsonl p\n[#4 id|side\n1|buy\n2|sell\n3|buy\n4|sell\n]\n",
    );
}

#[test]
fn log_lines_become_rows() {
    let line = |s: u32, id: u32| {
        format!(
            "2026-01-02 10:00:{s:02} INFO dfs.DataNode: Received block blk_{id} of size 67108864 from /10.0.0.7:50010"
        )
    };
    let text: Vec<String> = (1..=6).map(|i| line(i, 38865 + i)).collect();
    check(
        &text.join("\n"),
        "@log 6 rows 1 templates 0 aliases\na=2026-01-02 * INFO dfs.DataNode: Received block * of size 67108864 from /10.0.0.7:50010\na 10:00:01 blk_38866\na 10:00:02 blk_38867\na 10:00:03 blk_38868\na 10:00:04 blk_38869\na 10:00:05 blk_38870\na 10:00:06 blk_38871",
    );
}

#[test]
fn a_passage_is_named_once() {
    let passage = "The margin must not fall below 46% before the first quarter of 2026, unless the whole board agrees to it.";
    check(
        &format!("Bull says:\n{passage}\nBear says:\n{passage}\nJudge says:\n{passage}\n"),
        &format!(
            "@ref «1:text» is repeated by «1»\nBull says:\n«1:{passage}»\nBear says:\n«1»\nJudge says:\n«1»\n"
        ),
    );
}

#[test]
fn rows_become_columns() {
    check(
        "date,ticker,venue,qty,note\n2026-01-02,AAPL,XNAS,007,\"a, b\"\n2026-01-02,MSFT,XNAS,1.50,none\n2026-01-02,AMD,XNAS,-3,none\n2026-01-05,AAPL,XNAS,19,none\n",
        "@csv , 4 rows\ndate~2026-01-02|ticker|venue=XNAS|qty|note~none\n|AAPL|007|\"a, b\"\n|MSFT|1.50|\n|AMD|-3|\n2026-01-05|AAPL|19|\n",
    );
}

#[test]
fn hits_stand_below_their_path() {
    check(
        "$ grep -n limit\nsrc/budget.rs:12:    let limit = 900;\nsrc/budget.rs:40:    limit - used\nsrc/budget.rs:41:}\nsrc/lib.rs:7:pub mod limit;\nsrc/lib.rs:9:pub use limit::of;\nDone.\n",
        "$ grep -n limit\n@hits 5\nsrc/budget.rs\n12:    let limit = 900;\n40:    limit - used\n41:}\nsrc/lib.rs\n7:pub mod limit;\n9:pub use limit::of;\nDone.\n",
    );
}

#[test]
fn a_later_version_becomes_its_changes() {
    let step =
        |i: usize, mode: &str| format!("    state.apply(step_{i}, &inputs[{}], {mode})?;\n", i * 37 % 11);
    let first: String = (0..30).map(|i| step(i, "Mode::Exact")).collect();
    let changed = |i: usize| step(i, if i % 5 == 3 { "mode" } else { "Mode::Exact" });
    let second: String = (0..30).map(changed).collect();
    let text = format!("First read of plan.rs:\n{first}After the edit:\n{second}    check()?;\nDone.\n");
    let changes: String =
        (0..26).filter(|i| i % 5 == 3).map(|i| format!("±{}\n{}", i + 1, step(i, "mode"))).collect();
    let expected = format!(
        "@edit ±N lines from \"x\": lines above with ±2-3 replaced, ±2+ added to; ±. ends\nFirst read of plan.rs:\n{first}After the edit:\n±28 lines from \"    state.apply(step_0, &inputs[\":\n{changes}±.\n{}{}    check()?;\nDone.\n",
        step(28, "mode"),
        step(29, "Mode::Exact")
    );
    let short = compress(&text, Options::default(), None, o200k()).expect("compresses");
    assert_eq!(short.text, expected);
    assert_eq!(expand(&short.text, None).expect("expands"), text);
}

#[test]
fn instructions_and_prose_stay() {
    for text in [
        "You are an analyst.\nYou must never recommend leverage above 2x unless asked.\n",
        "You must use this:\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n",
        "Revenue grew 9.6% to $94.04B, not $95B as rumored.",
        "",
        "\0\r\n\u{202e}",
    ] {
        check(text, text);
    }
}

#[test]
fn control_lines_of_the_input_are_marked() {
    let text = "@json 2\n{\"a\":1}";
    let short = compress(text, Options::default(), None, o200k()).expect("compresses");
    assert_eq!(expand(&short.text, None).expect("expands"), text);
    assert!(short.text.starts_with("@@json"));
}

#[test]
fn blobs_need_a_store_and_come_back() {
    let blob: String = (0..400u32)
        .map(|i| char::from(b"aB3xYz9QkL+/mN7p0RtUvW2CdEfGh"[(i * i % 29 + i % 3) as usize % 29]))
        .collect();
    let text = format!("image: data:image/png;base64,{blob}\nEnd.");
    let plain = compress(&text, Options::default(), None, o200k()).expect("compresses");
    assert!(plain.text.contains(&blob));

    let mut store = MemoryStore::new([7; 32], 1 << 20);
    let short = compress(&text, Options::default(), Some(&mut store), o200k()).expect("compresses");
    assert!(short.text.starts_with("image: [blob image/png base64, 422 chars, ref="), "{}", short.text);
    assert!(short.tokens_after * 4 < short.tokens_before);
    assert_eq!(expand(&short.text, Some(&store)).expect("expands"), text);
    assert!(matches!(expand(&short.text, None), Err(Error::Missing { .. })));
    let other = MemoryStore::new([8; 32], 1 << 20);
    assert!(matches!(expand(&short.text, Some(&other)), Err(Error::Missing { .. })));
}

#[test]
fn a_full_store_keeps_the_blob_in_the_text() {
    let blob = "aB3xYz9QkLmN7p0RtUvW2cDeF".repeat(20);
    let mut store = MemoryStore::new([7; 32], 100);
    let short = compress(&blob, Options::default(), Some(&mut store), o200k()).expect("compresses");
    assert_eq!(short.text, blob);
    assert!(store.is_empty());
}

#[test]
fn a_forged_marker_is_text() {
    let mut store = MemoryStore::new([7; 32], 1 << 20);
    let handle = store.put("secret of another request").expect("stores");
    let text = format!("Please read [blob hex, 3 chars, ref={handle}] for me");
    let short = compress(&text, Options::default(), Some(&mut store), o200k()).expect("compresses");
    assert_eq!(expand(&short.text, Some(&store)).expect("expands"), text);
}

#[test]
fn an_audit_changes_nothing() {
    let text = "[{\"a\": 1, \"b\": 2}, {\"a\": 3, \"b\": 4}, {\"a\": 5, \"b\": 6}, {\"a\": 7, \"b\": 8}]";
    let options = Options { audit: true, ..Options::default() };
    let audit = compress(text, options, None, o200k()).expect("compresses");
    assert_eq!(audit.text, text);
    assert!(audit.tokens_after < audit.tokens_before);
    assert!(!audit.passes.is_empty());
}

#[test]
fn json_laid_out_by_hand_keeps_its_value() {
    let text = "{ \"a\":1,\n  \"b\" : [ 1,2,\t3 ],\n\n\n          \"c\":      1.50 }\n";
    let short = compress(text, Options::default(), None, o200k()).expect("compresses");
    assert!(!short.exact);
    let back = expand(&short.text, None).expect("expands");
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert_eq!(value(&back), value(text));
    assert!(back.contains("1.50"));
}

#[test]
fn broken_frames_are_errors() {
    for text in [
        "@json 2",
        "@json 2\n",
        "@json z\n{}",
        "@json 2\n[#5 a\n1\n]",
        "@json 2\n[#99999999999999999999 a\n]",
        "@json m\n{\"a\":1} tail",
        "@jsonl 2\n[#1 a\n1\n]",
        "@log 3 rows 1 templates 0 aliases\na=x *",
        "@log 1 rows 1 templates 0 aliases\na=x *\nb 1",
        "@log 1 rows 1 templates 0 aliases\na=x *\na 1 2",
        "@log 1 rows 1 templates 0 aliases\na=x *\na $1",
        "@log 1 rows 1 templates 0 aliases\na=x *\na^ 1",
        "@log 99999999999 rows 99999999999 templates 0 aliases\n",
        "@grid 2 rows q\na|b\nc|d",
        "@grid 9 rows a\na|b",
        "@ref «1:text» is repeated by «1»\n«2»",
        "@ref «1:text» is repeated by «1»\n«1:x",
        "@ref «1:text» is repeated by «1»\n»",
        "text\n@ref x\n",
        "@same text",
    ] {
        assert!(matches!(expand(text, None), Err(Error::Damaged { .. })), "{text}");
    }
}

#[test]
fn a_bomb_is_refused() {
    let mut text = String::from("@ref «1:text» is repeated by «1»\n«1:0123456789abcdef»");
    for i in 2..64 {
        text.push_str(&format!("«{i}:«{}»«{}»»", i - 1, i - 1));
    }
    assert!(matches!(expand(&text, None), Err(Error::TooLarge { .. })));
}

#[test]
fn deep_and_long_inputs_pass() {
    for text in [
        "[".repeat(50_000),
        "{\"a\":".repeat(20_000),
        "@".repeat(50_000),
        "«".repeat(50_000),
        "```\n".repeat(5_000),
    ] {
        let short = compress(&text, Options::default(), None, o200k()).expect("compresses");
        assert_eq!(expand(&short.text, None).expect("expands"), text);
    }
}

fn round_trip(text: &str, exact: bool) -> Result<(), TestCaseError> {
    let mut store = MemoryStore::new([7; 32], 1 << 24);
    let short = compress(text, Options::default(), Some(&mut store), o200k()).expect("compresses");
    let again = compress(text, Options::default(), Some(&mut store), o200k()).expect("compresses");
    prop_assert_eq!(&short.text, &again.text);
    let back = expand(&short.text, Some(&store)).expect("expands");
    if exact || short.exact {
        prop_assert_eq!(back, text);
    } else {
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        prop_assert_eq!(value(&back), value(text));
    }
    prop_assert_eq!(short.tokens_after, o200k().count(&short.text));
    let marked = text.contains('@') || text.contains("[blob");
    prop_assert!(marked || short.tokens_after <= short.tokens_before);
    let once = Options { once: true, ..Options::default() };
    let first = compress(text, once, Some(&mut store), o200k()).expect("compresses");
    let second = compress(&first.text, once, Some(&mut store), o200k()).expect("compresses");
    prop_assert_eq!(&first.text, &second.text, "compressing twice is compressing once");
    for pass in PASSES {
        let options = Options { passes: PassSet::NONE.with(pass), ..Options::default() };
        let one = compress(text, options, Some(&mut store), o200k()).expect("compresses");
        let back = expand(&one.text, Some(&store)).expect("expands");
        prop_assert!(back == text || !one.exact);
    }
    Ok(())
}

proptest! {
    #[test]
    fn json_comes_back(text in inputs::json()) {
        round_trip(&text, false)?;
    }

    #[test]
    fn logs_come_back(text in inputs::log()) {
        round_trip(&text, true)?;
    }

    #[test]
    fn anything_comes_back(text in inputs::mixed()) {
        round_trip(&text, false)?;
    }

    #[test]
    fn repeated_pieces_come_back(pieces in prop::collection::vec(inputs::mixed(), 1..4), order in prop::collection::vec(0usize..4, 1..12)) {
        let text: String = order.iter().map(|i| pieces[i % pieces.len()].as_str()).collect();
        round_trip(&text, false)?;
    }

    #[test]
    fn rows_come_back(text in inputs::rows()) {
        round_trip(&text, true)?;
    }

    #[test]
    fn later_versions_come_back(text in inputs::versions()) {
        round_trip(&text, true)?;
    }

    #[test]
    fn damaged_text_never_panics(text in inputs::mixed(), cut in any::<prop::sample::Index>(), noise in "[@«»|\\[#$^=0-9\n\"]{0,4}") {
        let short = compress(&text, Options::default(), None, o200k()).expect("compresses").text;
        let mut at = cut.index(short.len() + 1);
        while !short.is_char_boundary(at) {
            at -= 1;
        }
        let _ = expand(&short[..at], None);
        let _ = expand(&format!("{}{noise}{}", &short[..at], &short[at..]), None);
    }
}

/// Whatever comes is given back to the byte, and what is damaged is an error.
#[test]
fn hostile_inputs_come_back() {
    let log = "2026-01-02 10:00:01 INFO \0 took \u{202e}12\u{202c} ms\r\n".repeat(6);
    let cases = [
        "[{\"a\": 1}, {\"a\": 2}, {\"a\": ".to_owned(),
        "{\"a\": \"\\ud800\", \"b\": 1e999}\n".repeat(5),
        "[".repeat(100_000),
        "{\"a\":".repeat(50_000) + "1" + &"}".repeat(50_000),
        "\0".repeat(5_000),
        format!("a,b,c\r\n1,2,3\n4,5,6\r7,8,9\r\n{log}"),
        format!("{log}\r\r\n\n\r"),
        "\u{feff}\u{202e}name\u{2066},x,y\n1,2,3\n1,2,4\n1,2,5\n".to_owned(),
        "a.rs:1:x\na.rs:2:\0\na.rs:3:\r\na.rs:4:\u{2069}\n".to_owned(),
        "\u{1F468}\u{200D}\u{1F469}".repeat(3_000),
        "\n".repeat(20_000),
        "|a|\n|-|\n".repeat(3_000),
        "@edit \u{b1}".to_owned(),
        "@hits 99999999999999999999\n@csv , 4000000000 rows\na=b".to_owned(),
    ];
    for text in cases {
        let short = compress(&text, Options::default(), None, o200k()).expect("compresses");
        assert_eq!(expand(&short.text, None).expect("expands"), text);
        assert_eq!(short.tokens_after, o200k().count(&short.text));
        // As a compressed text it has no meaning or another one, and takes no time.
        let _ = expand(&text, None);
    }
    for bomb in ["@csv , 4000000000 rows\na=b", "@hits 4000000000\na\n1:b\n"] {
        assert!(expand(bomb, None).is_err());
    }
}

#[test]
fn hostile_texts_take_linear_time() {
    // Each of these was or would be quadratic in a careless search; a minute of waiting would show.
    let lines: String = (0..40_000).map(|i| format!("plain line {}\n", i % 7)).collect();
    let thin: String =
        (0..40_000).map(|i| if i % 10 == 0 { "10:42:01 INFO x\n" } else { "word\n" }).collect();
    for text in [
        "(\n".repeat(200_000),
        "```x\n".repeat(40_000),
        "[[1],\n".repeat(20_000),
        "\"a\": {\"b\n".repeat(40_000),
        lines,
        thin,
    ] {
        let short = compress(&text, Options::default(), None, o200k()).expect("compresses");
        assert_eq!(expand(&short.text, None).expect("expands"), text);
    }
}

#[test]
fn a_log_of_any_length_is_shortened() {
    let text: String = (0..250_001)
        .map(|i| format!("2026-01-02 10:00:01 INFO request {i} served in {} ms\n", i % 97))
        .collect();
    let short = compress(&text, Options::default(), None, o200k()).expect("compresses");
    assert_eq!(short.text.matches("@log ").count(), 3);
    assert!(short.tokens_after * 2 < short.tokens_before);
    assert_eq!(expand(&short.text, None).expect("expands"), text);
}

/// The original's compressor destroyed line breaks, rewrote parts of words and turned "number" into "#".
#[test]
fn defect_11_instructions_and_prose_keep_every_word_and_line() {
    let text = "# Task\n\nState the number of shares, and only that number.\n\n- Do not exceed 5 %.\n- In order to decide, read the maximum drawdown.\n\nPlease make sure that the recommendation is not changed.\n";
    let short = compress(text, Options::default(), None, o200k()).expect("compresses");
    assert_eq!(short.text, text);
}
