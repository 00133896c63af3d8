//! The five shipped teams run on the simulator as they are.

use lacon_agents::{Optimizations, Settings, run, shipped::SHIPPED};
use serde_json::json;

use crate::support::{done, settings};

fn given(name: &str) -> Vec<(&'static str, serde_json::Value)> {
    match name {
        "research" => vec![("topic", json!("How do cities cool their streets?"))],
        "review" => vec![(
            "change",
            json!("--- a/x.rs\n+++ b/x.rs\n@@ -1,2 +1,2 @@\n-let a = b[0];\n+let a = b[1];\n"),
        )],
        "triage" => vec![("message", json!("I want a refund for order 1234, it came broken."))],
        "extract" => {
            vec![("documents", json!(["Name: Ada; Amount: 12.5", "Name: Bob; Amount: 7; Date: 2025-02-01"]))]
        }
        _ => vec![("question", json!("Should the town close its main street to cars?"))],
    }
}

fn of(name: &str) -> Settings {
    settings(lacon_agents::shipped::find(name).unwrap().team().unwrap(), &given(name))
}

#[tokio::test]
async fn every_team_gives_a_result_with_and_without_optimizations() {
    for shipped in SHIPPED {
        let all = done(of(shipped.name)).await;
        let none = done(Settings { optimizations: Optimizations::none(), ..of(shipped.name) }).await;
        let (all, none) = (all.record, none.record);
        assert!(all.result.unwrap().text.split_whitespace().count() > 20, "{}", shipped.name);
        assert!(
            all.tokens.total < none.tokens.total,
            "{}: {} {}",
            shipped.name,
            all.tokens.total,
            none.tokens.total
        );
        assert_eq!(
            all.decision.map(|d| d.chosen.value),
            none.decision.map(|d| d.chosen.value),
            "{}",
            shipped.name
        );
        assert!(all.calls.len() <= none.calls.len() && all.warnings.is_empty(), "{:?}", all.warnings);
    }
}

#[tokio::test]
async fn research_fans_out_and_comes_back() {
    let finished = done(of("research")).await;
    let searcher = finished.record.agents.iter().find(|a| a.name == "searcher").unwrap();
    assert_eq!(searcher.said[0].items.len(), 4);
    assert!(finished.result().unwrap().contains("example.org"), "{:?}", finished.result());
    // The draft was sent back once.
    assert_eq!(finished.record.agents.iter().find(|a| a.name == "writer").unwrap().said.len(), 2);
}

#[tokio::test]
async fn triage_asks_the_fitting_desk_alone() {
    let finished = done(of("triage")).await;
    let ran = |name: &str| finished.text(name).is_some();
    assert!(ran("refunds") && !ran("invoices") && !ran("helper"));
    assert!(finished.record.decision.is_some());
}

#[tokio::test]
async fn extract_reads_every_document() {
    let finished = done(of("extract")).await;
    let reader = &finished.record.agents[0];
    assert_eq!(reader.calls, 2);
    assert!(reader.said[0].texts[1].text.contains("2025-02-01"));
}

#[test]
fn every_team_has_ten_lines_and_can_be_renamed() {
    for shipped in SHIPPED {
        assert!((6..=14).contains(&shipped.readme.lines().count()), "{}", shipped.name);
        let renamed = shipped.renamed("other");
        assert_eq!(lacon_agents::file::parse("x", &renamed).unwrap().name, "other");
    }
}

#[tokio::test]
async fn a_run_without_its_inputs_names_them() {
    let team = lacon_agents::shipped::find("debate").unwrap().team().unwrap();
    let finished = run(Settings::new(team, crate::support::sim())).await;
    assert!(finished.failure.unwrap().to_string().contains("\"material\" is missing"));
}

/// The file that docs/teams.md shows is a team, and its fragments are TOML.
#[test]
fn the_documentation_shows_teams() {
    let page = include_str!("../../../../docs/teams.md");
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(lacon_agents::file::parse("teams.md", blocks[0]).is_ok());
    assert!(blocks.len() >= 6);
    for block in blocks {
        if let Err(faults) = lacon_agents::file::parse("teams.md", block) {
            let text = faults.to_string();
            // A fragment lacks what it does not show, and nothing else.
            assert!(!text.contains("is unknown") && !text.contains("invalid type"), "{block}\n{text}");
        }
    }
}
