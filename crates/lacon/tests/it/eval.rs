//! `lacon eval` on the simulated reader, and the commands that use its verdicts.

use serde_json::json;

use crate::support::Folder;

fn orders(folder: &Folder) {
    let rows: Vec<_> = (0..150_u32)
        .map(|i| json!({"order": format!("A-{}", 1000 + i * 7), "items": i * 13 % 41, "total": i * 2711 % 9973, "by": (["Birch", "Cedar", "Alder"][i as usize % 3])}))
        .collect();
    folder.write("orders.json", &serde_json::to_string_pretty(&rows).unwrap());
}

fn read(folder: &Folder, name: &str) -> String {
    std::fs::read_to_string(folder.path().join(name)).unwrap()
}

const TEST: [&str; 8] = ["eval", "orders.json", "--llm", "sim", "--forms", "json,csv", "--questions", "300"];

#[test]
fn a_misread_form_is_found_kept_and_no_longer_used() {
    let folder = Folder::new();
    orders(&folder);
    let test = |more: &[&str]| folder.lacon(&[&TEST[..], &["--margin", "5"], more].concat());
    let plan = test(&["--plan"]);
    assert!(plan.out.contains("300 questions, 900 prompts (0 answered before)"), "{}", plan.out);
    assert!(!folder.path().join("results").exists(), "a plan asks nothing and writes nothing");
    let done = test(&["--misreads", "@json=0.3", "--json", "--html", "page.html"]).json();
    let arm =
        |name: &str| done["arms"].as_array().unwrap().iter().find(|arm| arm["name"] == name).unwrap().clone();
    assert_eq!(
        [arm("json")["verdict"].clone(), arm("csv")["verdict"].clone()],
        [json!("worse"), json!("proven")]
    );
    assert!(read(&folder, "page.html").contains("<td>json<td>300<td>"));
    // Nothing is asked twice.
    assert!(test(&["--plan"]).out.contains("(900 answered before)"));
    let compress = |more: &[&str]| folder.lacon(&[&["compress", "orders.json"], more].concat());
    let proven = compress(&["--forms", "proven", "--for-model", "simulated-reader"]);
    assert_eq!(proven.out, read(&folder, "orders.json"), "the one form of this text is not proven");
    let all = compress(&["--for-model", "simulated-reader"]);
    assert!(
        all.out.starts_with("@json") && all.err.contains("not proven for simulated-reader: json"),
        "{}",
        all.err
    );
    assert!(compress(&["--forms", "proven"]).err.contains("--for-model"));
}

#[test]
fn a_tape_answers_for_nothing_and_a_budget_stops_early() {
    let folder = Folder::new();
    orders(&folder);
    let test = |more: &[&str]| folder.lacon(&[&TEST[..], more].concat());
    let first = test(&["--tape", "calls.tape", "--record", "--out", "a", "--json"]).json();
    let again = test(&["--tape", "calls.tape", "--model", "simulated-reader", "--out", "b", "--json"]).json();
    assert_eq!(first, again);
    let short = test(&["--out", "c", "--budget-tokens", "400000"]);
    assert!(
        short.err.contains("the budget is used up") && short.out.contains("undecided"),
        "{}{}",
        short.out,
        short.err
    );
}

#[test]
fn what_cannot_be_tested_is_refused_with_a_hint() {
    let folder = Folder::new();
    folder.write("short.txt", "Nothing to ask.");
    orders(&folder);
    for (args, said) in [
        (&["eval", "short.txt"][..], "nothing can be asked"),
        (&["eval", "orders.json", "--forms", "yaml"], "unknown form \"yaml\""),
        (&["eval", "orders.json", "--margin", "0"], "--margin is 0"),
        (&["eval", "orders.json", "--misreads", "json"], "control word and a share"),
        (&["eval", "none.json"], "none.json"),
        (&["eval", "orders.json", "--tape", "none.tape"], "none.tape"),
    ] {
        let done = folder.lacon(args);
        assert!(done.code == 2 && done.err.contains(said), "{args:?}: {} {}", done.code, done.err);
    }
}
