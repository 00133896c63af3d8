//! Materials, questions, forms and the run.

use std::collections::HashSet;

use lacon_eval::experiment::{PlanOptions, Stop, plan, run, summary};
use lacon_eval::forms::{FORMS, named};
use lacon_eval::material::{Kind, Material};
use lacon_eval::questions::{is_right, questions, solve};
use lacon_eval::reader::{Reader, ReaderOptions};
use lacon_tokens::{Encoding, EncodingName, encoding};
use proptest::prelude::*;

pub fn o200k() -> &'static Encoding {
    encoding(EncodingName::O200kBase)
}

pub fn orders(n: usize) -> String {
    let rows: Vec<_> = (0..n)
        .map(|i| {
            serde_json::json!({
                "order": format!("A-{:04}", 1000 + i * 7),
                "customer": (["Birch", "Cedar", "Alder", "Maple"][i % 4]),
                "items": i * 13 % 41,
                "total": f64::from(i as u32 * 2711 % 9973) / 4.0,
                "status": (["paid", "open", "shipped"][i % 3]),
            })
        })
        .collect();
    serde_json::to_string_pretty(&rows).unwrap()
}

fn materials() -> Vec<Material> {
    let log: String = (0..60)
        .map(|i| {
            let level = if i == 41 { "ERROR" } else { "INFO" };
            format!(
                "2026-03-02 10:{i:02}:07 {level} worker-{} handled job {} in {} ms\n",
                i % 5,
                7000 + i,
                i * 37 % 211
            )
        })
        .collect();
    let diff = "diff --git a/src/a.rs b/src/a.rs\n--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1,2 +1,3 @@\n fn a() {}\n+fn alpha() { one() }\n+fn beta() { two() }\ndiff --git a/src/b.rs b/src/b.rs\n--- a/src/b.rs\n+++ b/src/b.rs\n@@ -1 +1,2 @@\n fn b() {}\n+fn gamma() { three() }\n";
    let csv: String = std::iter::once("day,city,rain\n".to_owned())
        .chain((0..30).map(|i| format!("2026-04-{:02},Lund,{}\n", i + 1, i * 17 % 29)))
        .collect();
    let grid: String = std::iter::once("| id | name | score |\n|---|---|---|\n".to_owned())
        .chain((0..12).map(|i| format!("| k{i} | player {i} | {} |\n", i * 31 % 47)))
        .collect();
    let lines: String =
        (0..20).map(|i| format!("{{\"id\":\"x{i}\",\"n\":{},\"kind\":\"b\"}}\n", i * 3)).collect();
    let text = "The plant in Ghent was built in 1964 by a local firm. Its output rose to 320 tons in the second year of the war. \
                Nobody knows who ordered the second hall, which burned down long before anyone could use it for work.";
    [orders(40), lines, csv, grid, log, diff.to_owned(), text.to_owned()]
        .iter()
        .map(|text| Material::read("m", text))
        .collect()
}

#[test]
fn texts_are_what_they_are() {
    let kinds: Vec<_> = materials().iter().map(|material| material.kind).collect();
    assert_eq!(
        kinds,
        [Kind::Json, Kind::JsonLines, Kind::Csv, Kind::Grid, Kind::Log, Kind::Diff, Kind::Document]
    );
    for (text, kind) in [
        ("", Kind::Document),
        ("[", Kind::Document),
        ("{\"a\":1}", Kind::Document),
        ("[1,2,3]", Kind::Document),
    ] {
        assert_eq!(Material::read("m", text).kind, kind, "{text:?}");
    }
}

#[test]
fn every_question_has_the_answer_that_the_slow_reader_finds() {
    let mut kinds = HashSet::new();
    for material in materials() {
        let made = questions(&material, 60, 7);
        assert!(!made.is_empty(), "{:?}", material.kind);
        for question in &made {
            kinds.insert(question.kind);
            assert_eq!(solve(&material, &question.ask).as_ref(), Some(&question.answer), "{question:?}");
            assert!(is_right(&question.answer, &question.answer), "{question:?}");
        }
        assert_eq!(made, questions(&material, 60, 7));
    }
    assert_eq!(kinds.len(), 6, "{kinds:?}");
}

#[test]
fn windows_are_whole_texts_of_the_same_kind() {
    for material in materials() {
        for window in material.windows(150, o200k()) {
            assert!(window.kind == material.kind && o200k().count(&window.text) <= 160, "{window:?}");
        }
    }
    let whole = Material::read("m", &orders(300));
    let rows: usize = whole.windows(2000, o200k()).iter().map(|window| window.records.rows.len()).sum();
    assert!((290..=300).contains(&rows), "{rows}");
}

#[test]
fn answers_are_compared_as_values() {
    for (said, right, expected) in [
        ("42", "42", true),
        (" \"Birch\". ", "birch", true),
        ("Answer: 1,204.50", "1204.5", true),
        ("42 records", "42", true),
        ("42.5", "42", false),
        ("420", "42", false),
        ("not 42", "42", false),
        ("A-1000", "A-100", false),
        ("src/a.rs", "src/a.rs", true),
        ("src/a.rs.bak", "src/a.rs", false),
        ("10:41:07", "10:41", false),
        ("", "42", false),
        ("42", "", false),
        ("\n\n42\nbecause", "42", true),
    ] {
        assert_eq!(is_right(said, right), expected, "{said:?} for {right:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_and_no_answer_panics(text in ".{0,400}", ask in ".{0,80}", said in ".{0,40}") {
        let material = Material::read("m", &text);
        for question in questions(&material, 8, 1) {
            prop_assert_eq!(solve(&material, &question.ask), Some(question.answer));
        }
        let _ = (solve(&material, &ask), is_right(&said, &ask), material.windows(20, o200k()));
        for form in FORMS {
            let _ = form.write(&material, o200k());
        }
    }
}

fn options(questions: usize) -> PlanOptions<'static> {
    PlanOptions {
        model: "reader".into(),
        forms: ["minified", "json", "csv", "toon"].into_iter().filter_map(named).collect(),
        legend: true,
        questions,
        window: 1500,
        seed: 3,
    }
}

#[tokio::test]
async fn a_test_that_stops_goes_on_where_it_stopped() {
    let materials = [Material::read("m", &orders(60))];
    let plan = plan(&materials, &options(30), o200k());
    assert_eq!(plan.questions["original"], plan.questions["json"]);
    let reader = Reader::new(ReaderOptions { misses: 0.2, ..ReaderOptions::default() });
    let mut rows = Vec::new();
    let (prompts, _) = plan.tokens();
    let stop = run(&reader, &plan, &HashSet::new(), 4, Some(prompts / 2), |row| rows.push(row)).await;
    assert!(matches!(stop, Some(Stop::Budget)) && !rows.is_empty() && rows.len() < plan.items.len());
    let known: HashSet<String> = rows.iter().map(|row| row.key.clone()).collect();
    let first = rows.len();
    let stop = run(&reader, &plan, &known, 4, None, |row| rows.push(row)).await;
    assert!(stop.is_none() && rows.len() > first);
    let mut whole = Vec::new();
    run(&reader, &plan, &HashSet::new(), 4, None, |row| whole.push(row)).await;
    assert_eq!(rows, whole);
    let arms = summary(&plan, &rows, 0.02);
    assert_eq!(arms[0].name, "original");
    assert!(
        arms.iter().all(|arm| arm.questions == arms[0].questions && arm.right == arms[0].right),
        "{arms:?}"
    );
}

#[tokio::test]
async fn an_endpoint_that_dies_keeps_what_was_answered() {
    let materials = [Material::read("m", &orders(20))];
    let mut plan = plan(&materials, &options(10), o200k());
    plan.items[5].prompt = "nothing that it knows".into();
    let mut rows = 0;
    let stop = run(&Reader::default(), &plan, &HashSet::new(), 1, None, |_| rows += 1).await;
    assert!(matches!(stop, Some(Stop::Failed(_))));
    assert_eq!(rows, 5);
}
