//! Counts of recorded answers against the figures that the provider and the recorder gave.

use std::path::Path;

use lacon_tokens::{EncodingName, encoding};
use serde_json::Value;

#[test]
fn recorded_answers_have_the_recorded_counts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/workload/runs");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is not there", folder.display());
        return;
    };
    let o200k = encoding(EncodingName::O200kBase);
    let (mut n_texts, mut n_metered) = (0, 0);
    for entry in entries {
        let path = entry.expect("a folder entry").path();
        let run: Value =
            serde_json::from_slice(&std::fs::read(&path).expect("a readable file")).expect("JSON");
        let check = |record: &Value, what: &str| {
            let (Some(text), Some(tokens)) = (record["text"].as_str(), record["tokens"].as_u64()) else {
                return 0;
            };
            assert_eq!(o200k.count(text) as u64, tokens, "{what} of {}", path.display());
            1
        };
        for (role, record) in run["roles"].as_object().expect("roles") {
            n_texts += check(record, role);
            // The provider's own count, where the text is that call's whole answer.
            let metered = run["recorded"]["usage"][role.as_str()]["completion"].as_u64();
            if let (Some(metered), Some(true)) = (metered, record["same_run"].as_bool()) {
                n_metered += u32::from(record["tokens"].as_u64() == Some(metered));
            }
        }
        for records in run["tools"].as_object().expect("tools").values() {
            n_texts +=
                records.as_array().into_iter().flatten().map(|record| check(record, "a tool")).sum::<i32>();
        }
    }
    assert!(n_texts > 0 && n_metered > 0, "{n_texts} texts, {n_metered} metered");
}
