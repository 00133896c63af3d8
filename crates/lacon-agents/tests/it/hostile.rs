//! Texts and names that look like something else.

use std::sync::{Arc, Mutex};

use lacon_agents::{Settings, Tools, report};
use lacon_llm::Request;
use serde_json::json;

use crate::support::{asked, done, inputs, scripted, team};

/// Everything that a template could take for its own, and every way to escape it.
const BRACES: &str = "{x} {topic} {item} {{topic}} {{{item}}} {{ }} }{ {\"k\": {\"v\": 1}} {größe}";

const CHAIN: &str = r#"
inputs = { topic = "text", docs = "list" }
[[tool]]
name = "look"
code = true
arguments = { query = "what" }
[[agent]]
name = "reader"
each = "docs"
tools = ["look"]
prefetch = { look = { query = "{item} of {topic}" } }
prompt = "Read {item} for {topic}; write {{x}} as it is."
[[agent]]
name = "critic"
reads = ["reader", "input:topic"]
prompt = "Criticize {topic}."
[[agent]]
name = "writer"
reads = ["digest:reader", "critic"]
prompt = "Write on {topic}."
"#;

#[tokio::test]
async fn braces_of_inputs_tools_and_models_pass_through_untouched() {
    let sent: Arc<Mutex<Vec<(String, String, String)>>> = Arc::default();
    let heard = Arc::clone(&sent);
    let client = scripted(move |request: &Request| {
        let all: String = request.messages.iter().map(|m| format!("{}\n", m.content)).collect();
        heard.lock().unwrap().push((request.tags.role.clone(), all, asked(request).to_owned()));
        format!("{} said {BRACES}", request.tags.role)
    });
    let tools = Tools::new().with("look", |given: serde_json::Map<String, serde_json::Value>| async move {
        assert_eq!(given["query"], format!("{BRACES} of {BRACES}"));
        Ok(format!("found {BRACES}"))
    });
    let team = team(CHAIN);
    let inputs = inputs(&team, &[("topic", json!(BRACES)), ("docs", json!([BRACES]))]);
    let finished = done(Settings { inputs, tools, ..Settings::new(team, client) }).await;
    let sent = sent.lock().unwrap();
    let of = |role: &str| sent.iter().find(|(of, ..)| of == role).unwrap();
    let (_, all, asked) = of("reader");
    assert!(asked.contains(&format!("Read {BRACES} for {BRACES}; write {{x}} as it is.")), "{asked}");
    assert!(all.contains(&format!("found {BRACES}")), "{all}");
    let (_, all, asked) = of("critic");
    assert!(asked.contains(&format!("Criticize {BRACES}.")), "{asked}");
    assert!(
        all.contains(&format!("reader said {BRACES}")) && all.contains(&format!("## topic\n{BRACES}")),
        "{all}"
    );
    let (_, all, _) = of("writer");
    assert!(
        all.contains(&format!("critic said {BRACES}")) && all.contains(&format!("reader said {BRACES}")),
        "{all}"
    );
    assert_eq!(finished.result(), Some(format!("writer said {BRACES}").as_str()));
    let record = &finished.record;
    assert_eq!(record.inputs["topic"], BRACES);
    for role in ["reader", "critic", "writer"] {
        let said = format!("{role} said {BRACES}");
        assert!(report::markdown(record).contains(&said), "{role}");
        assert!(report::html(record).contains(&said.replace('"', "&quot;")), "{role}");
    }
}

#[tokio::test]
async fn names_of_any_script_reach_prompts_records_and_reports() {
    let text = r#"
        inputs = { "größe" = "text", "主題" = "text" }
        decision = { agent = "裁判", values = ["да", "नहीं"] }
        [[agent]]
        name = "исследователь"
        title = "Ärztin für 🦀"
        prompt = "{主題}: {größe}"
        [[agent]]
        name = "裁判"
        reads = ["исследователь", "input:主題"]
        prompt = "{主題}?"
        [group."مجموعة"]
        agents = ["исследователь"]
        rounds = 2
    "#;
    let client = scripted(|request: &Request| match asked(request).split_once("CHOICE [") {
        Some((_, rest)) => format!("CHOICE [{}]: नहीं\nпотому что 結論", rest.split(']').next().unwrap()),
        None => "ответ é".into(),
    });
    let team = team(text);
    let given = [("größe", json!("zwölf")), ("主題", json!("樹木"))];
    let folder = tempfile::tempdir().unwrap();
    let inputs = inputs(&team, &given);
    let settings =
        Settings { inputs, folder: Some(folder.path().into()), ..Settings::new(team.clone(), client) };
    let finished = done(settings).await;
    let record = &finished.record;
    assert_eq!(record.decision.as_ref().unwrap().chosen.value, "नहीं");
    assert_eq!((record.calls.len(), record.agents.len()), (3, 2));
    for (report, name) in [(report::markdown(record), "markdown"), (report::html(record), "html")] {
        for part in ["исследователь", "裁判", "потому что 結論", "ответ é"] {
            assert!(report.contains(part), "{part} in {name}: {report}");
        }
    }
    let kept = std::fs::read_to_string(folder.path().join("run.json")).unwrap();
    assert!(kept.contains("裁判") && kept.contains("結論"), "{kept}");
    // Who draws the team names everybody too.
    let stages = lacon_agents::stages::stages(&team).unwrap();
    let pictures = [
        lacon_agents::draw::text(&team, &stages),
        lacon_agents::draw::mermaid(&team),
        lacon_agents::draw::dot(&team),
        lacon_agents::draw::svg(&team, &stages),
    ];
    assert!(pictures.iter().all(|picture| picture.contains("裁判")), "{pictures:?}");
}
