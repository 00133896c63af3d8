//! `lacon doctor`: every check, and how to mend what it finds.

use crate::{
    server::{Reply, start},
    support::{Done, Folder},
};

#[test]
fn all_is_well_offline() {
    let done = Folder::new().lacon(&["doctor"]);
    assert_eq!(done.code, 0, "{}", done.out);
    for check in ["key", "endpoint", "data", "tools", "disk", "clock"] {
        assert!(done.out.contains(&format!("ok    {check}")), "{}", done.out);
    }
}

#[test]
fn each_fault_comes_with_its_mend() {
    let folder = Folder::new();
    folder.write("file", "");
    let url = start(|_| Reply::Status(500));
    let done = folder.lacon(&["doctor", "--base-url", &url, "--out", "file", "--data", "nowhere"]);
    assert_eq!(done.code, 1);
    assert!(done.out.contains("ok    endpoint"), "{}", done.out);
    assert!(
        done.out.contains("FAIL  disk") && done.out.contains("choose another folder with --out"),
        "{}",
        done.out
    );
    assert!(done.out.contains("FAIL  data") && done.out.contains("market_data/price_data"), "{}", done.out);
    let done = folder.lacon(&[
        "doctor",
        "--base-url",
        "http://127.0.0.1:9/v1",
        "--tools-url",
        "http://127.0.0.1:9/x",
    ]);
    assert!(done.out.contains("FAIL  endpoint") && done.out.contains("FAIL  tools"), "{}", done.out);
    let done: Done =
        folder.command(&["doctor", "--json"]).env("LACON_LLM_PROVIDER", "openai").output().unwrap().into();
    assert_eq!(done.code, 1);
    let json: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(json["checks"][0]["ok"], false);
}
