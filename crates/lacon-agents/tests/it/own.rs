//! An optimization of one's own: on whom it acts, what it changes, and its row in the record.

use std::sync::{Arc, Mutex};

use lacon_agents::{Agent, Optimization, Optimizations, OwnOptimization, Settings, Team};
use lacon_llm::Request;
use serde_json::json;

use super::support::{asked, done, inputs, scripted, team};

const NOTES: &str = r#"
inputs = { page = "text" }

[[agent]]
name = "reader"
reads = ["input:page"]
prompt = "What stands there?"

[[agent]]
name = "other"
reads = ["input:page"]
prompt = "What is missing there?"

[[agent]]
name = "writer"
reads = ["reader", "other"]
prompt = "Write."
"#;

/// Leaves out what stands behind the `?` of an address, of agents that read an input.
struct ShortLinks(&'static str);

fn without_queries(text: &str) -> String {
    let short = |word: &str| match word.split_once('?') {
        Some((address, _)) if address.starts_with("https://") => address.to_owned(),
        _ => word.to_owned(),
    };
    text.split(' ').map(short).collect::<Vec<_>>().join(" ")
}

impl OwnOptimization for ShortLinks {
    fn name(&self) -> &str {
        self.0
    }

    fn acts_on(&self, _: &Team, agent: &Agent) -> bool {
        agent.reads.iter().any(|read| read.starts_with("input:"))
    }

    fn change(&self, _: &[&Agent], request: &mut Request) {
        for message in &mut request.messages {
            message.content = without_queries(&message.content);
        }
    }
}

fn settings(own: Vec<Arc<dyn OwnOptimization>>, sent: &Arc<Mutex<Vec<Request>>>) -> Settings {
    let team = team(NOTES);
    let page = "Rain fell: 41 mm. https://example.org/rain?utm_source=letter&utm_campaign=x17 says so.";
    let inputs = inputs(&team, &[("page", json!(page))]);
    let sent = Arc::clone(sent);
    let client = scripted(move |request| {
        sent.lock().unwrap().push(request.clone());
        "See https://example.org/rain?utm_source=answer for it.".into()
    });
    Settings { inputs, own_optimizations: own, ..Settings::new(team, client) }
}

fn whole(request: &Request) -> String {
    request.messages.iter().map(|message| message.content.as_str()).collect()
}

#[tokio::test]
async fn it_acts_on_the_agents_that_it_names_and_on_no_others() {
    let sent = Arc::default();
    let run = done(settings(vec![Arc::new(ShortLinks("short_links"))], &sent)).await;
    let row = &run.record.optimizations["short_links"];
    assert!(row.on && row.saved_tokens > Some(10), "{row:?}");
    assert_eq!((row.times, run.record.optimizations.len()), (Some(2), Optimization::ALL.len() + 1));
    for request in sent.lock().unwrap().iter() {
        let text = whole(request);
        let is_writer = asked(request).contains("Write.");
        assert_eq!(text.contains("utm_"), is_writer, "{text}");
        assert!(is_writer || text.contains("41 mm. https://example.org/rain says so."), "{text}");
    }
}

#[tokio::test]
async fn a_call_for_several_agents_is_changed_once() {
    let sent = Arc::default();
    let merged = Optimizations::all().with(Optimization::Merged);
    let own: Vec<Arc<dyn OwnOptimization>> = vec![Arc::new(ShortLinks("short_links"))];
    done(Settings { optimizations: merged, ..settings(own, &sent) }).await;
    let sent = sent.lock().unwrap();
    assert!(asked(&sent[0]).contains("You are several agents") && !whole(&sent[0]).contains("utm_"));
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_before_anything_is_sent() {
    for own in [vec!["digests"], vec!["mine", "mine"], vec![""]] {
        let sent = Arc::default();
        let named = own.iter().map(|name| Arc::new(ShortLinks(name)) as Arc<dyn OwnOptimization>);
        let run = lacon_agents::run(settings(named.collect(), &sent)).await;
        let failure = run.failure.expect("it is refused").to_string();
        assert!(failure.contains("is taken or empty") && failure.contains("hint: rename it"), "{failure}");
        assert!(sent.lock().unwrap().is_empty());
    }
}
