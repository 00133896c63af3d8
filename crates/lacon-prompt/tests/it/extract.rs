use crate::inputs;
use lacon_prompt::extract::{ExtractOptions, extract};
use lacon_prompt::guard::{compare, operators, sentences, values};
use lacon_tokens::{Encoding, EncodingName};
use proptest::prelude::*;

fn o200k() -> &'static Encoding {
    lacon_tokens::encoding(EncodingName::O200kBase)
}

const FILING: &str = "\
| | 2019 | 2018 |
|---|---|---|
| Revenue | 1,904.1 | 1,853.9 |
| Cost of sales | 1,124.2 | 1,031.5 |
| Goodwill(1) | 88.3 | 91.0 |
| Total assets | 9,912.0 | 9,001.3 |

(1) The goodwill impairment of 2.7 was not deductible.

The company was founded in Ohio in 1921 by two brothers. It makes valves, pumps and seals for mines and mills.
Its workforce did not grow in 2019. Management expects that it will not grow before 2021 either.
";

fn check(query: &str, share: f64, expected: &str) {
    let extracted = extract(FILING, query, ExtractOptions { share, min_tokens: 50 }, o200k());
    assert_eq!(extracted.text, expected);
    assert!(extracted.tokens_after as f64 <= share * extracted.tokens_before as f64);
    assert!(compare(FILING, &extracted.text).is_selection());
}

#[test]
fn a_row_brings_its_head() {
    check(
        "What was revenue in 2018?",
        0.3,
        "| | 2019 | 2018 |\n|---|---|---|\n| Revenue | 1,904.1 | 1,853.9 |\n…",
    );
}

#[test]
fn sentences_stay_whole() {
    check("Did the workforce grow?", 0.1, "…\nIts workforce did not grow in 2019. …");
}

#[test]
fn short_texts_and_unknown_questions_stay() {
    let text = "Use no more than 50 words. Never use commas. Revenue was 5.";
    assert_eq!(
        extract(text, "revenue", ExtractOptions { share: 0.1, ..ExtractOptions::default() }, o200k()).text,
        text
    );
    let options = ExtractOptions { share: 0.1, min_tokens: 50 };
    assert_eq!(extract(FILING, "zebra", options, o200k()).text, FILING);
    assert_eq!(extract(FILING, "", options, o200k()).text, FILING);
}

#[test]
fn instructions_stay_whatever_the_question() {
    let text = format!("You must never round prices.\n\n{FILING}");
    let extracted = extract(&text, "revenue", ExtractOptions { share: 0.3, min_tokens: 50 }, o200k());
    assert!(extracted.text.starts_with("You must never round prices.\n"), "{}", extracted.text);
}

#[test]
fn guards_see_what_embeddings_do_not() {
    assert!(values("P/E 33.8 of AAPL on 2025-08-14 for {ticker}").contains("33.8"));
    assert!(values("$1,577.00").contains("$1577.00"));
    assert_eq!(operators("You must never sell unless asked"), ["must", "never", "unless"]);
    assert_eq!(operators("It doesn't, at most 3 < 4"), ["not", "most", "<"]);
    let turned =
        compare("You must never sell unless asked.\nRevenue: 5", "You must sell when asked.\nRevenue: 6");
    assert_eq!(turned.lost, ["5"]);
    assert_eq!(turned.invented, ["6"]);
    assert_eq!(turned.rewritten, ["You must sell when asked."]);
}

#[test]
fn sentences_do_not_end_at_abbreviations() {
    assert_eq!(
        sentences("Apple Inc. grew. It paid 1.5 vs. 2 before."),
        ["Apple Inc. grew. ", "It paid 1.5 vs. 2 before."]
    );
}

proptest! {
    #[test]
    fn an_extract_is_a_selection(text in inputs::mixed(), share in 0.05f64..1.0) {
        let query = "What is the margin of the id before Q1 2026?";
        let options = ExtractOptions { share, min_tokens: 10 };
        let extracted = extract(&text, query, options, o200k());
        prop_assert_eq!(&extracted, &extract(&text, query, options, o200k()));
        prop_assert!(extracted.tokens_after <= extracted.tokens_before);
        for part in extracted.text.split('…') {
            if extracted.left_out.is_empty() { break }
            prop_assert!(text.contains(part.trim_start_matches(['\n', ' '])), "{part:?}");
        }
    }
}

/// Scripts without spaces have neither words nor sentences that a blank ends.
#[test]
fn scripts_without_spaces_are_cut_into_sentences() {
    type Row = (&'static str, &'static str, fn(usize) -> String);
    let rows: [Row; 4] = [
        ("订单编号 88017 的收件人是谁？", "88017", |i| {
            format!("订单编号 880{i:02} 已送达，收件人是李四{i}。")
        }),
        ("李四的包裹在哪里？", "李四", |i| {
            if i == 17 {
                "李四的包裹在仓库里面。".to_owned()
            } else {
                format!("第{i}件货物已经送到车站附近。")
            }
        }),
        ("利益は増えましたか", "利益", |i| {
            if i == 17 {
                "今年の利益は大きく増えました。".to_owned()
            } else {
                format!("第{i}回の会議は東京で開かれた。")
            }
        }),
        ("กำไรของบริษัทเป็นเท่าไร", "กำไร", |i| {
            if i == 17 {
                "กำไรของบริษัทเพิ่มขึ้นมากในปีนี้ ".to_owned()
            } else {
                format!("การประชุมครั้งที่{i}จัดขึ้นที่กรุงเทพมหานครเมื่อวานนี้ ")
            }
        }),
    ];
    for (question, kept, row) in rows {
        let text: String = (0..60).map(row).collect();
        let options = ExtractOptions { share: 0.3, min_tokens: 100 };
        let found = extract(&text, question, options, o200k());
        assert!(found.text.contains(kept), "{question}: {}", found.text);
        assert!(
            found.tokens_after * 10 <= found.tokens_before * 3,
            "{question}: {} of {}",
            found.tokens_after,
            found.tokens_before
        );
    }
}

/// Programs that read PDF files write one cell on each line. A label without its figures answers nothing.
#[test]
fn a_row_whose_cells_stand_below_its_label_stays_whole() {
    let row =
        |i: usize| format!("Line item {i}\n \n{},{:03} \n(1,{:03})\n", i + 1, i * 37 % 1000, i * 91 % 1000);
    let text = format!(
        "Statements of operations\nYear ended December 31,\n2018\n \n2017\n{}Income tax expense\n$\n4,321 \n$\n1,098 \n{}See the notes on the pages that follow this one.\n58\n",
        (0..30).map(row).collect::<String>(),
        (30..60).map(row).collect::<String>(),
    );
    let options = ExtractOptions { share: 0.15, ..ExtractOptions::default() };
    let out = extract(&text, "What was the income tax expense in 2018?", options, o200k());
    assert!(out.text.contains("Income tax expense\n$\n4,321 \n$\n1,098"), "{}", out.text);
    assert!(out.text.contains("2018\n \n2017"), "the years stand above the amounts: {}", out.text);
    assert!(out.tokens_after <= out.tokens_before * 15 / 100);
}

/// What answers a question about a conversation stands in one place, also where single turns do not say its words.
#[test]
fn turns_beside_what_answers_stay() {
    let turn = |i: usize| format!("B{}: We went on about topic number {i} for some time.\n", i % 4);
    let text = format!(
        "{}A: Now the remote control, please.\nC: It costs twelve euros to make.\nD: The remote control gets a rubber case.\n{}",
        (0..60).map(turn).collect::<String>(),
        (60..120).map(turn).collect::<String>(),
    );
    let options = ExtractOptions { share: 0.1, ..ExtractOptions::default() };
    let out = extract(&text, "What was said about the remote control?", options, o200k());
    assert!(out.text.contains("It costs twelve euros to make."), "{}", out.text);
}
