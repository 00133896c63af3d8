//! Many agents, long prompts, large fan-outs.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use lacon_agents::Settings;
use serde_json::json;

use crate::support::{done, inputs, settings, team};

#[tokio::test]
async fn fifty_agents_one_after_another() {
    let agents: String = (0..50)
        .map(|i| {
            let reads = if i == 0 { String::new() } else { format!("reads = [\"a{}\"]\n", i - 1) };
            format!("[[agent]]\nname = \"a{i}\"\nprompt = \"x\"\nwords = 20\n{reads}")
        })
        .collect();
    let finished = done(settings(team(&agents), &[])).await;
    assert_eq!(finished.record.calls.len(), 50);
    assert_eq!(finished.record.critical_path.len(), 50);
}

#[tokio::test]
async fn a_prompt_of_a_megabyte() {
    let text = "inputs = { doc = \"text\" }\n[[agent]]\nname = \"a\"\nreads = [\"input:doc\"]\nprompt = \"Sum up.\"\nwords = 40\n";
    let doc = "The tower is 41 m high, and nobody says why. ".repeat(23_000);
    assert!(doc.len() > 1_000_000);
    let finished = done(settings(team(text), &[("doc", json!(doc))])).await;
    assert!(finished.record.calls[0].prompt.unwrap() > 200_000);
    assert!(finished.result().unwrap().contains("41 m"));
}

const FAN: &str = "inputs = { docs = \"list\" }\n[[agent]]\nname = \"reader\"\neach = \"docs\"\nin_flight = 64\nprompt = \"Read {item}\"\n";

/// Counts calls under way.
struct Counting(Arc<AtomicUsize>, Arc<AtomicUsize>);

impl lacon_llm::Client for Counting {
    fn complete<'a>(
        &'a self,
        request: &'a lacon_llm::Request,
        _: &'a (dyn Fn(lacon_llm::StreamEvent<'_>) + Send + Sync),
    ) -> lacon_llm::BoxFuture<'a, Result<lacon_llm::Response, lacon_llm::Error>> {
        Box::pin(async move {
            let now = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            self.1.fetch_max(now, Ordering::SeqCst);
            let text = request.messages.last().map(|m| m.content.clone()).unwrap_or_default();
            let n =
                text.split("doc ").nth(1).and_then(|t| t.split_whitespace().next()).unwrap_or("").to_owned();
            // Later items answer sooner.
            for _ in 0..(n.len() * 3 % 7) {
                tokio::task::yield_now().await;
            }
            self.0.fetch_sub(1, Ordering::SeqCst);
            Ok(lacon_llm::Response::new("m", format!("read {n}")))
        })
    }

    fn describe(&self) -> lacon_llm::ClientInfo {
        lacon_llm::ClientInfo { provider: "count".into(), base_url: String::new(), simulated: true }
    }
}

#[tokio::test]
async fn a_fan_out_of_a_thousand_keeps_order_and_bound() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let team = team(FAN);
    let docs: Vec<String> = (0..1_000).map(|i| format!("doc {i}")).collect();
    let inputs = inputs(&team, &[("docs", json!(docs))]);
    let client = Arc::new(Counting(now, Arc::clone(&most)));
    let finished = done(Settings { inputs, ..Settings::new(team, client) }).await;
    let said = &finished.record.agents[0].said[0];
    assert_eq!(said.texts.len(), 1_000);
    assert!(said.texts.iter().enumerate().all(|(i, text)| text.text == format!("read {i}")));
    assert_eq!((most.load(Ordering::SeqCst), finished.record.calls.len()), (64, 1_000));
}

#[tokio::test]
async fn an_empty_list_asks_nothing() {
    let finished = lacon_agents::run(settings(team(FAN), &[("docs", json!([]))])).await;
    assert!(finished.record.calls.is_empty());
    assert!(finished.failure.unwrap().to_string().contains("list \"docs\" is empty"));
}

/// Answers half of the items and hangs at the others, until it is told to answer all.
struct Half(Arc<AtomicUsize>, bool);

impl lacon_llm::Client for Half {
    fn complete<'a>(
        &'a self,
        request: &'a lacon_llm::Request,
        _: &'a (dyn Fn(lacon_llm::StreamEvent<'_>) + Send + Sync),
    ) -> lacon_llm::BoxFuture<'a, Result<lacon_llm::Response, lacon_llm::Error>> {
        Box::pin(async move {
            let text = request.messages.last().map(|m| m.content.clone()).unwrap_or_default();
            let n: usize = text.rsplit("doc ").next().and_then(|t| t.trim().parse().ok()).unwrap_or(0);
            if self.1 && n >= 150 {
                std::future::pending::<()>().await;
            }
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(lacon_llm::Response::new("m", format!("read {n}")))
        })
    }

    fn describe(&self) -> lacon_llm::ClientInfo {
        lacon_llm::ClientInfo { provider: "half".into(), base_url: String::new(), simulated: true }
    }
}

#[tokio::test]
async fn a_fan_out_that_was_cut_off_asks_only_for_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let answered = Arc::new(AtomicUsize::new(0));
    let of = |hangs: bool| {
        let team = team(FAN);
        let docs: Vec<String> = (0..300).map(|i| format!("doc {i}")).collect();
        Settings {
            inputs: inputs(&team, &[("docs", json!(docs))]),
            folder: Some(folder.path().to_owned()),
            resume: !hangs,
            ..Settings::new(team, Arc::new(Half(Arc::clone(&answered), hangs)))
        }
    };
    let cut = Settings { deadline: Some(std::time::Duration::from_millis(400)), ..of(true) };
    assert_eq!(lacon_agents::run(cut).await.record.status, "deadline");
    let before = answered.load(Ordering::SeqCst);
    assert_eq!(before, 150);
    let finished = done(of(false)).await;
    assert_eq!(answered.load(Ordering::SeqCst), 300);
    assert_eq!(finished.record.calls.len(), 300);
    let said = &finished.record.agents[0].said[0];
    assert!(said.texts.iter().enumerate().all(|(i, text)| text.text == format!("read {i}")));
}
