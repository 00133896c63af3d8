//! Reports and pictures of any team.

use lacon_agents::{Settings, draw, report, run, shipped::SHIPPED, stages::stages};
use serde_json::json;

use crate::support::{done, inputs, scripted, settings, team};

#[tokio::test]
async fn a_report_holds_every_text_and_nothing_of_it_acts() {
    let hostile = "<script>alert(1)</script> It is 41 | 42.\n# Not a heading of ours";
    let client = scripted(move |_| hostile.into());
    let text = "inputs = { docs = \"list\" }\n[[agent]]\nname = \"a\"\neach = \"docs\"\nprompt = \"{item}\"\n\
                [[agent]]\nname = \"b\"\nreads = [\"a\"]\nprompt = \"x\"\n";
    let team = team(text);
    let inputs = inputs(&team, &[("docs", json!(["<b>one</b>", "two"]))]);
    let record = done(Settings { inputs, ..Settings::new(team, client) }).await.record;
    let page = report::html(&record);
    assert!(!page.contains("<script") && !page.contains("<b>one"), "{page}");
    assert_eq!(page.matches("&lt;script&gt;alert(1)").count(), 4, "the result and three texts");
    for part in
        ["id=\"waterfall\"", "id=\"ledger\"", "id=\"optimizations\"", "default-src 'none'", "1: &lt;b&gt;one"]
    {
        assert!(page.contains(part), "{part}");
    }
    let text = report::markdown(&record);
    assert_eq!(text.matches(hostile).count(), 4, "{text}");
    assert!(text.contains("| a | ") && text.contains("#### 2: two"), "{text}");
}

#[tokio::test]
async fn a_run_leaves_its_report_also_when_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let team = team(
        "decision = { agent = \"b\", values = [\"yes\", \"no\"] }\n[[agent]]\nname = \"a\"\nprompt = \"x\"\n[[agent]]\nname = \"b\"\nreads = [\"a\"]\nprompt = \"x\"\n",
    );
    let client = scripted(|_| "It is so.".into());
    let finished = run(Settings { folder: Some(folder.path().into()), ..Settings::new(team, client) }).await;
    assert!(finished.failure.is_some() && finished.write_error.is_none());
    let text = std::fs::read_to_string(folder.path().join("complete.md")).unwrap();
    assert!(text.contains("The run ended as failed: ") && text.contains("It is so."), "{text}");
    assert!(report::html(&finished.record).contains("The run ended as <b>failed</b>"));
}

#[tokio::test]
async fn a_wide_fan_out_has_a_short_page() {
    let text = "inputs = { docs = \"list\" }\n[[agent]]\nname = \"a\"\neach = \"docs\"\nwords = 9\nprompt = \"{item}\"\n";
    let docs: Vec<String> = (0..1_000).map(|i| format!("doc {i}")).collect();
    let record = done(settings(team(text), &[("docs", json!(docs))])).await.record;
    let page = report::html(&record);
    assert!(page.contains("800 more texts are in run.json") && page.len() < 1 << 20, "{}", page.len());
}

#[test]
fn every_shipped_team_is_a_picture_with_all_its_agents() {
    for shipped in SHIPPED {
        let team = shipped.team().unwrap();
        let svg = draw::svg(&team, &stages(&team).unwrap());
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        for agent in &team.agents {
            assert!(svg.contains(&format!(">{}</text>", agent.name)), "{}: {svg}", agent.name);
        }
        assert_eq!(svg.matches("<rect").count(), team.agents.len());
    }
}
