//! `lacon count`, `encode`, `decode` and `models`.

use std::{io::Write, process::Stdio};

use crate::support::{Done, Folder};

fn piped(folder: &Folder, args: &[&str], input: &[u8]) -> Done {
    let mut child = folder
        .command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn one_number_for_one_text() {
    let folder = Folder::new();
    assert_eq!(piped(&folder, &["count"], b"many things in few words").out, "5\n");
    assert_eq!(piped(&folder, &["count", "-", "--encoding", "gpt2"], b"").out, "0\n");
    assert_eq!(piped(&folder, &["count", "--model", "gpt-4"], b"<|endoftext|>").out, "7\n");
}

#[test]
fn a_request_counts_for_the_model_that_it_names() {
    let folder = Folder::new();
    folder.write("old.json", r#"{"model": "gpt-4", "messages": [{"role": "user", "content": "ไม่เป็นไร"}]}"#);
    folder.write("none.json", r#"{"messages": [{"role": "user", "content": "ไม่เป็นไร"}]}"#);
    let count = |args: &[&str]| folder.lacon(&[&["count", "--json", "--request"], args].concat()).json();
    let named = count(&["old.json"]);
    assert_eq!(named["counts"][0]["encoding"], "cl100k_base");
    assert_eq!(named["counts"][0]["name"], "gpt-4");
    let unnamed = count(&["none.json"]);
    assert_eq!(unnamed["counts"][0]["encoding"], "o200k_base");
    assert_ne!(named["counts"][0]["tokens"], unnamed["counts"][0]["tokens"]);
    assert_eq!(count(&["old.json", "--model", "gpt-4o"])["counts"][0]["encoding"], "o200k_base");
}

#[test]
fn files_folders_and_many_encodings() {
    let folder = Folder::new();
    folder.write("a/one.txt", "hello world");
    folder.write("a/two.txt", "hello");
    folder.write("a/.hidden", "hello");
    std::fs::write(folder.path().join("a/image.bin"), [0xFF, 0xFE]).unwrap();
    let done = folder.lacon(&["count", "a"]);
    assert_eq!(done.out, "         3  total of 2 files\n");
    assert!(done.err.contains("skipped: a/image.bin: byte 0 is not UTF-8"), "{}", done.err);
    let done = folder.lacon(&["count", "a", "--by", "file", "--encoding", "o200k_base", "--model", "gpt-4"]);
    assert!(done.out.contains("2      2  a/one.txt"), "{}", done.out);
    let json = folder.lacon(&["count", "a", "--json", "--model", "claude-opus-5"]).json();
    assert_eq!(json["schema_version"], 1);
    assert_eq!(json["counts"][0]["how"], "calibrated");
    assert_eq!(json["files"][0]["path"], "a/one.txt");
}

#[test]
fn an_estimate_never_looks_like_a_count() {
    let folder = Folder::new();
    let done = piped(&folder, &["count", "--model", "claude-sonnet-4-5"], b"many things in few words");
    assert_eq!(done.out, "~6\n");
    assert!(done.err.contains("tokens are estimated, within 25 % either way"), "{}", done.err);
    let done = piped(&folder, &["count", "--model", "no-such-model"], b"hello");
    assert!(done.out == "~1\n" && done.err.contains("unknown model"), "{}{}", done.out, done.err);
}

#[test]
fn limits_and_bad_input() {
    let folder = Folder::new();
    folder.write("text", "hello world");
    let done = folder.lacon(&["count", "text", "--fail-over", "1"]);
    done.fails(1, "2 tokens, limit is 1");
    assert_eq!(done.out, "2\n");
    assert_eq!(folder.lacon(&["count", "text", "--fail-over", "2"]).code, 0);
    folder.lacon(&["count", "none"]).fails(2, "none: cannot be read");
    folder.lacon(&["count", "text", "--encoding", "o200k"]).fails(2, "unknown encoding \"o200k\"");
    piped(&folder, &["count"], &[b'a', 0xFF]).fails(2, "standard input: byte 1 is not UTF-8");
}

#[test]
fn text_survives_the_way_there_and_back() {
    let folder = Folder::new();
    for text in ["", "naïve ☕\n\n  12,345.67\r\n", "<|endoftext|> x"] {
        let ids = piped(&folder, &["encode", "--encoding", "cl100k_base"], text.as_bytes());
        let back = piped(&folder, &["decode", "--encoding", "cl100k_base"], ids.out.as_bytes());
        assert_eq!(back.out, text);
    }
    let ids = piped(&folder, &["encode", "--encoding", "cl100k_base", "--special"], b"<|endoftext|>");
    assert_eq!(ids.out, "100257\n");
    piped(&folder, &["decode"], b"12 x").fails(2, "\"x\" is not a token id");
    piped(&folder, &["decode"], b"99999999").fails(2, "token id 99999999 is not in o200k_base");
}

#[test]
fn models_are_listed_and_looked_up() {
    let folder = Folder::new();
    let done = folder.lacon(&["models"]);
    assert!(done.out.contains("gpt-4o*") && done.out.contains("claude*"), "{}", done.out);
    let json = folder.lacon(&["models", "openai/gpt-4.1-mini", "--json"]).json();
    assert_eq!(json["models"][0]["encoding"], "o200k_base");
}
