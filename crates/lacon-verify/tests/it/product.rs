//! Checks that start runs start this program again: it answers the product's commands as the product does.

use crate::{ended, suite};

#[test]
fn a_check_by_name_passes_and_leaves_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let line = ["verify", "--test-specific", "environment", "--logs", "logs", "--json"];
    let (code, out, err) = ended(suite(folder.path(), &line));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["passed"], &json["failed"]), (0, &1.into(), &0.into()), "{out}{err}");
    assert_eq!(json["files"].as_array().unwrap().len(), 3);
    let (code, _, err) = ended(suite(folder.path(), &["verify", "--test-specific", "enviroment"]));
    assert!(code == 2 && err.contains("did you mean environment?"), "{code} {err}");
}

#[test]
fn commands_of_the_product_run() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("text"), "many things in few words").unwrap();
    let (code, out, err) = ended(suite(folder.path(), &["count", "text"]));
    assert_eq!((code, out.as_str()), (0, "5\n"), "{err}");
    assert_eq!(ended(suite(folder.path(), &["walk"])).0, 2);
}
