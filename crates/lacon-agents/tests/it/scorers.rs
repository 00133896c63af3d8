//! What a run is worth, by the usual scorers and by one's own.

use std::sync::Arc;

use lacon_agents::{Score, Scorer, Settings, Team, TeamRecord, scorer};

use super::support::{asked, done, scripted, team};

const DECIDES: &str = r#"
decision = { agent = "judge", values = ["yes", "no"] }

[[agent]]
name = "writer"
sections = ["Cause"]
prompt = "Write."

[[agent]]
name = "judge"
reads = ["writer"]
prompt = "Judge."
"#;

fn tag(text: &str) -> &str {
    let at = text.find("CHOICE [").unwrap() + "CHOICE [".len();
    &text[at..at + 6]
}

struct Words;

impl Scorer for Words {
    fn name(&self) -> &str {
        "words"
    }

    fn score(&self, team: &Team, run: &TeamRecord) -> Option<Score> {
        assert_eq!(team.agents.len(), run.agents.len());
        let words = run.result.as_ref()?.text.split_whitespace().count();
        Some(Score { points: words as f64, reasons: Vec::new() })
    }
}

#[tokio::test]
async fn decision_and_content_are_scored_and_a_scorer_of_ones_own_with_them() {
    let mut scorers = scorer::usual();
    scorers.push(Arc::new(Words));
    let whole = scripted(|request| match asked(request) {
        text if text.contains("CHOICE") => format!("CHOICE [{}]: yes\nFor this reason.", tag(text)),
        _ => "Cause: none.".into(),
    });
    let run = done(Settings { scorers, ..Settings::new(team(DECIDES), whole) }).await;
    let points: Vec<(&str, f64)> = run.record.scores.iter().map(|(n, s)| (n.as_str(), s.points)).collect();
    assert_eq!(points, [("content", 100.0), ("decision", 100.0), ("words", 3.0)]);
    assert_eq!(run.record.scores["content"].letter(), "A+");

    // Asked again, and a section that no repair brought.
    let poor = scripted(|request| match asked(request) {
        text if text.contains("<text>") => "no".into(),
        text if text.contains("Judge.") => "I think so.".into(),
        _ => "Nothing.".into(),
    });
    let run = done(Settings::new(team(DECIDES), poor)).await;
    let codes = |name: &str| {
        run.record.scores[name].reasons.iter().map(|reason| reason.code.as_str()).collect::<Vec<_>>()
    };
    assert_eq!((codes("decision"), codes("content")), (vec!["decision_asked"], vec!["section_missing"]));
}

#[tokio::test]
async fn a_team_that_decides_nothing_has_no_score_of_its_decision() {
    let plain = "[[agent]]\nname = \"writer\"\nprompt = \"Write.\"\n";
    let labels = [("topic".to_owned(), "tides".to_owned())].into();
    let settings = Settings { labels, ..Settings::new(team(plain), scripted(|_| "A text.".into())) };
    let run = done(settings).await;
    assert_eq!(run.record.scores.keys().collect::<Vec<_>>(), ["content"]);
    let json = serde_json::to_value(&run.record).unwrap();
    assert_eq!((json["labels"]["topic"].as_str(), json["schema_version"].as_u64()), (Some("tides"), Some(2)));
    // A record of a build without scores is read.
    let mut old = json;
    old.as_object_mut().unwrap().retain(|key, _| key != "scores" && key != "labels");
    assert!(serde_json::from_value::<TeamRecord>(old).unwrap().scores.is_empty());
}
