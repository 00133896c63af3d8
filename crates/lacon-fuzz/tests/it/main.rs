//! Every target on its kept crashes, its corpus, and some hundred changed seeds, the same ones each time.

use lacon_fuzz::{TARGETS, drive};

#[test]
fn kept_crashes_stay_mended() {
    for target in TARGETS {
        for path in drive::crashes(target) {
            (target.run)(&std::fs::read(path).expect("a kept crash is readable"));
        }
    }
}

#[test]
fn corpora_and_some_changes_of_them_break_nothing() {
    for target in TARGETS {
        let seeds = drive::seeds(target);
        seeds.iter().for_each(|seed| (target.run)(seed));
        if let Err(drive::Crash(path)) = drive::fuzz(target, 1, |n| n < 100) {
            panic!("{}: crash kept as {}", target.name, path.display());
        }
    }
}

/// A folder of seeds without a target is one that was renamed.
#[test]
fn every_corpus_has_its_target() {
    for entry in std::fs::read_dir(drive::folder().join("corpus")).expect("there are corpora").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(TARGETS.iter().any(|t| t.name == name), "{name}");
    }
}
