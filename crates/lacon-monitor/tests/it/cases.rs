//! Small traces of other tools beside the checkout, with the figures that must be said about them.

use crate::support::{analyze, compare};
use lacon_monitor::{
    analyze::Analysis,
    compare::CauseKind,
    render,
    trace::{Trace, read},
};

fn folder() -> Option<std::path::PathBuf> {
    crate::support::shared("shared/cases/traces")
}

/// The case whose name begins with a number, if it is there.
fn case(folder: &std::path::Path, number: &str) -> Option<Trace> {
    let mut entries = std::fs::read_dir(folder).ok()?.flatten();
    let file = entries.find(|e| e.file_name().to_string_lossy().starts_with(number))?;
    let bytes = std::fs::read(file.path()).ok()?;
    let mut traces = read(&bytes).unwrap_or_else(|e| panic!("{number}: {e}"));
    assert_eq!(traces.len(), 1, "{number}");
    Some(traces.remove(0))
}

/// Calls, tokens, tool calls, and the seconds of the run, of models and of tools.
type Figures = (usize, Option<u64>, usize, [f64; 3]);

#[test]
fn each_case_has_its_figures() {
    let Some(folder) = folder() else { return };
    let check = |number: &str, expected: Figures| -> Option<Analysis> {
        let Some(trace) = case(&folder, number) else {
            eprintln!("skipped: no case {number}");
            return None;
        };
        let found = analyze(&trace);
        let s = &found.summary;
        let seconds = [found.wall_s, found.parts.model_s, found.parts.tool_s];
        let (calls, tokens, tools, expected_s) = expected;
        assert_eq!((s.n_calls, s.tokens.total, s.n_tool_calls), (calls, tokens, tools), "{number}");
        let close = seconds.iter().zip(expected_s).all(|(a, b)| (a - b).abs() < 1e-3);
        assert!(close, "{number}: {seconds:?}, expected {expected_s:?}");
        assert!((found.parts.sum() - found.wall_s).abs() < 1e-6, "{number}: {:?}", found.parts);
        let text = render::analysis(&found);
        assert!(!["analyst", "FAILED", "Excellent"].iter().any(|w| text.contains(w)), "{number}: {text}");
        Some(found)
    };
    check("01", (2, Some(4510), 1, [6.0, 4.8, 0.9]));
    check("03", (1, Some(1100), 0, [5.0, 4.8, 0.0]));
    if let Some(found) = check("04", (2, Some(1410), 0, [10.0, 8.3, 0.0])) {
        assert!(found.gaps.iter().all(|g| g.seconds < 1.1), "{:?}", found.gaps);
    }
    check("05", (2, Some(90), 1, [4.0, 3.6, 0.1]));
    check("07", (1, Some(80), 1, [3.0, 2.9, 0.1]));
    check("08", (2, Some(200), 2, [6.0, 4.0, 2.0]));
    check("09", (1, Some(53), 0, [2.0, 2.0, 0.0]));
    check("10", (1, None, 0, [6.0, 5.0, 0.0]));
    check("11", (1, Some(15), 0, [3.0, 2.6, 0.0]));
    if let Some(found) = check("16", (1, Some(230), 0, [5.0, 5.0, 0.0])) {
        assert_eq!((found.summary.tokens.completion, found.summary.tokens.reasoning), (Some(88), Some(64)));
    }
    check("20", (1, Some(150), 0, [5.0, 4.0, 0.0]));
    check("22", (1, Some(150), 0, [5.0, 4.0, 0.0]));
    if let Some(found) = check("35", (1, Some(624), 0, [5.0, 5.0, 0.0])) {
        assert_eq!(found.summary.cost_source_usd, Some(0.001_572));
    }
    let (Some(big), Some(small)) = (case(&folder, "14a"), case(&folder, "14b")) else { return };
    let found = compare(&[big], &[small]).unwrap();
    let kinds: Vec<CauseKind> = found.causes.iter().map(|c| c.kind).collect();
    assert!(
        kinds.contains(&CauseKind::ToolResults) && !kinds.contains(&CauseKind::PromptTemplate),
        "{kinds:?}"
    );
}
