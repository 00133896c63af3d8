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

/// A document whose digest holds its figures and a third of its words.
fn branches() -> String {
    let name = |n: usize| {
        let part = |n: usize| ["Ba", "Ro", "Lu", "Ne", "Ti", "Ko", "Ma"][n % 7].to_owned();
        part(n) + &part(n / 7).to_lowercase() + &part(n / 49 + n).to_lowercase()
    };
    let paragraph = |n: usize| {
        let name = name(n);
        format!(
            "{name} and its branch reported sales of {} units in spring.\nThe manager of {name} said that staff had worked hard and \
             that the weather had been kind to them all.\nNobody there expected anything else to change soon.",
            100 + n * 37 % 900
        )
    };
    (0..60).map(paragraph).collect::<Vec<_>>().join("\n\n")
}

const TEAM: &str = r#"
[team]
name = "two"
inputs = { message = "text" }
result = "writer"
models = { quick = "simulated-reader", deep = "gpt-4o" }
[[agent]]
name = "reader"
model = "quick"
reads = ["input:message"]
words = 400
prompt = "Report."
[[agent]]
name = "writer"
model = "quick"
reads = ["digest:reader"]
words = 60
prompt = "Conclude."
"#;

#[test]
fn teams_use_proven_forms_alone_where_that_is_set() {
    let folder = Folder::new();
    folder.write("doc.txt", &branches());
    folder.write("two.toml", TEAM);
    let check = |more: &[&str]| folder.lacon(&[&["check", "two.toml", "--json"], more].concat()).json();
    let acts_on = |plan: &serde_json::Value| {
        let rows = plan["plan"]["effects"].as_array().unwrap();
        rows.iter().find(|row| row["optimization"] == "digests").unwrap()["acts_on"].clone()
    };
    let (all, none) = (check(&[]), check(&["--forms", "proven"]));
    assert_eq!([acts_on(&all), acts_on(&none)], [json!(["writer"]), json!([])]);
    assert!(all["plan"]["expected"]["prompt"].as_u64() < none["plan"]["expected"]["prompt"].as_u64());
    let notes = |plan: &serde_json::Value| plan["plan"]["notes"].to_string();
    assert!(notes(&all).contains("not proven for simulated-reader: json"), "{}", notes(&all));
    assert!(notes(&none).contains("not proven and not used for simulated-reader: json"), "{}", notes(&none));

    // The digest is asked about figures, which it keeps.
    let test =
        ["eval", "doc.txt", "--llm", "sim", "--forms", "digests", "--questions", "400", "--margin", "5"];
    let done = folder.lacon(&[&test[..], &["--json"]].concat()).json();
    let arms = done["arms"].as_array().unwrap();
    assert_eq!((&arms[1]["name"], &arms[1]["verdict"]), (&json!("digests"), &json!("proven")), "{done}");
    assert!(arms[1]["questions"].as_u64() < arms[0]["questions"].as_u64());
    folder.write("lacon.toml", "[models]\nforms = \"proven\"\n");
    assert_eq!(acts_on(&check(&[])), json!(["writer"]));
    assert_eq!(acts_on(&check(&["--deep-model", "gpt-4o", "--quick-model", "gpt-4o-mini"])), json!([]));
    let run = ["run", "two.toml", "--input", "message=x", "--llm", "sim", "--time-scale", "0", "--json"];
    assert_eq!(folder.lacon(&run).json()["status"], "done");
    // The trading team's tables are CSV, its short reports digests.
    let on = |more: &[&str]| {
        let run = ["run", "CRCL", "--time-scale", "0", "--json"];
        let record = folder.lacon(&[&run[..], more].concat()).json();
        ["condense", "digests"].map(|name| record["optimizations"][name]["on"].as_bool().unwrap())
    };
    let models = ["--quick-model", "simulated-reader", "--deep-model", "simulated-reader"];
    assert_eq!(on(&[]), [false, false]);
    assert_eq!(on(&models), [false, true]);
    assert_eq!(on(&["--forms", "all"]), [true, true]);
    folder.lacon(&["compress", "doc.txt"]).fails(2, "--for-model");
    // A damaged book matters where it decides.
    folder.write("results/eval/verdicts.json", "{");
    folder.lacon(&["check", "two.toml"]).fails(2, "no book of verdicts");
    assert_eq!(folder.lacon(&["check", "two.toml", "--forms", "all"]).code, 0);
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
