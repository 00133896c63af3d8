//! `lacon batch` on Parquet: what goes in comes out, and a killed batch goes on.

use std::path::Path;

use serde_json::Value;

use crate::support::{Done, Folder};

fn folder() -> Folder {
    let folder = Folder::new();
    let rows = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/batch/rows.parquet");
    std::fs::copy(rows, folder.path().join("rows.parquet")).unwrap();
    folder
}

fn lines(folder: &Folder, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// One row of the seven has no text: the batch says so by its code, and does the others.
fn one_fails(done: &Done, rows: u64, skipped: u64) {
    assert_eq!(done.code, 1, "{}", done.err);
    let summary: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((&summary["items"], &summary["skipped"]), (&rows.into(), &skipped.into()), "{summary}");
}

#[test]
fn parquet_becomes_lines() {
    let folder = folder();
    one_fails(&folder.lacon(&["batch", "rows.parquet", "-o", "out.jsonl", "--json"]), 7, 0);
    let rows = lines(&folder, "out.jsonl");
    assert_eq!(rows.len(), 7);
    assert_eq!(rows[5]["meta"], serde_json::json!({"venue": "XNAS", "px": 2.5}));
    assert_eq!(rows[5]["tags"], serde_json::json!(["t0", "t1"]));
    assert_eq!(rows[5]["tokens"], 25);
    assert!(rows[3]["error"].as_str().unwrap().contains("is not a string"), "{}", rows[3]);
    let whole = std::fs::read_to_string(folder.path().join("out.jsonl")).unwrap();
    for kept in 0..=7 {
        let text: String = whole.split_inclusive('\n').take(kept).collect();
        folder.write("out.jsonl", &format!("{text}{{\"index\""));
        let done = folder.lacon(&["batch", "rows.parquet", "-o", "out.jsonl", "--resume"]);
        assert!(matches!(done.code, 0 | 1), "{}", done.err);
        assert_eq!(std::fs::read_to_string(folder.path().join("out.jsonl")).unwrap(), whole);
    }
}

#[test]
fn parquet_stays_parquet_with_every_column() {
    let folder = folder();
    let compress = ["batch", "rows.parquet", "-o", "out.parquet", "--op", "compress", "--json"];
    one_fails(&folder.lacon(&compress), 7, 0);
    folder.lacon(&["batch", "out.parquet", "-o", "out.jsonl"]);
    folder.lacon(&["batch", "rows.parquet", "-o", "in.jsonl", "--op", "compress"]);
    let (rows, expected) = (lines(&folder, "out.jsonl"), lines(&folder, "in.jsonl"));
    assert_eq!(rows.len(), 7);
    for (i, (row, expected)) in rows.iter().zip(&expected).enumerate().filter(|(i, _)| *i != 3) {
        for name in ["index", "id", "tags", "meta", "day", "tokens_before", "tokens_after"] {
            assert_eq!(row[name], expected[name], "{name} of row {i}");
        }
        assert_eq!(row["tokens"], row["tokens_after"]);
        assert_eq!(row["error"], Value::Null);
    }
    let row: Value = serde_json::from_str(rows[3]["line"].as_str().unwrap()).unwrap();
    assert_eq!((&row["error"], &row["text"], &row["id"]), (&"is null".into(), &Value::Null, &3.into()));
    // What is there is there: nothing is done twice, and another batch does not mix with it.
    let again = folder.lacon(&[&compress[..], &["--resume"]].concat());
    assert!(again.out.contains("\"skipped\":7"), "{}", again.out);
    folder
        .lacon(&["batch", "rows.parquet", "-o", "out.parquet", "--resume"])
        .fails(2, "hint: name the output");
    folder
        .lacon(&["batch", "rows.parquet", "-o", "x.parquet", "--field", "body"])
        .fails(2, "no text column \"body\"");
    folder.lacon(&["batch", "rows.parquet", "-o", "x.parquet", "--field", "day"]).fails(2, "not text");
}

#[test]
fn broken_parquet_is_an_error() {
    let folder = folder();
    let whole = std::fs::read(folder.path().join("rows.parquet")).unwrap();
    for cut in [4, whole.len() / 2, whole.len() - 1] {
        std::fs::write(folder.path().join("cut.parquet"), &whole[..cut]).unwrap();
        folder.lacon(&["batch", "cut.parquet", "-o", "out.parquet"]).fails(2, "cannot read cut.parquet");
        folder.lacon(&["batch", "cut.parquet", "-o", "out.jsonl"]).fails(2, "cannot read cut.parquet");
    }
}

#[test]
fn a_killed_batch_loses_and_doubles_no_row() {
    let folder = Folder::new();
    let input: String = (0..20_000)
        .map(|i| {
            serde_json::json!({"id": i, "text": format!("line {i}, {}", "word ".repeat(i % 7))}).to_string()
                + "\n"
        })
        .collect();
    folder.write("in.jsonl", &input);
    folder.lacon(&["batch", "in.jsonl", "-o", "whole.parquet"]);
    let whole = std::fs::read(folder.path().join("whole.parquet")).unwrap();
    for parts in 1..4 {
        let mut batch = folder.command(&["batch", "in.jsonl", "-o", "out.parquet"]).spawn().unwrap();
        let part = folder.path().join(format!("out.parquet.parts/{:06}.parquet", parts - 1));
        while !part.exists() && batch.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        batch.kill().unwrap();
        batch.wait().unwrap();
        let done = folder.lacon(&["batch", "in.jsonl", "-o", "out.parquet", "--resume", "--json"]);
        let summary: Value = serde_json::from_str(&done.out).unwrap();
        let rows = |name: &str| summary[name].as_u64().unwrap();
        assert_eq!(rows("items") + rows("skipped"), 20_000, "{summary}");
        assert!(rows("skipped") >= 4096, "{summary}");
        assert!(std::fs::read(folder.path().join("out.parquet")).unwrap() == whole);
        assert!(!folder.path().join("out.parquet.parts").exists());
    }
}
