//! What a local server says of itself, asked for once before the first call: slots and context.
//!
//! llama.cpp says both at `/props`, or its slots at `/slots`; Ollama the contexts of loaded models at `/api/ps`; vLLM the
//! context at `/v1/models`. Nothing of it is needed: a server that says nothing, something else or nothing in time is
//! learned from its calls. Only addresses of a machine or of its own network are asked.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Uri;
use serde_json::Value;
use tokio::time::timeout;

use super::{Protocol, Provider};

/// Most bytes of an answer; the template of a chat is among them.
const MOST_BYTES: usize = 1 << 20;
/// Longest time for all questions together.
const LONGEST: Duration = Duration::from_secs(2);
/// More slots or tokens than this are no figures of a server.
const MOST_SLOTS: u64 = 4096;
const MOST_CONTEXT: u64 = 1 << 32;
/// Most models whose context is kept.
const MOST_MODELS: usize = 64;

/// What a server said.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// Calls that it works on at once.
    pub(super) slots: Option<usize>,
    /// Tokens of prompt and answer by the name of a model; an empty name stands for any.
    contexts: Vec<(String, u64)>,
}

impl Facts {
    /// The context that a model has.
    pub(super) fn context(&self, model: &str) -> Option<u64> {
        let of = |wanted: &str| self.contexts.iter().find(|(name, _)| name == wanted).map(|(_, n)| *n);
        // Ollama adds the tag that everybody leaves out.
        of(model).or_else(|| of(&format!("{model}:latest"))).or_else(|| of(""))
    }

    fn is_known(&self) -> bool {
        self.slots.is_some() || !self.contexts.is_empty()
    }

    /// `/props` of llama.cpp.
    fn props(&mut self, value: &Value) {
        self.slots = slots(value["total_slots"].as_u64());
        self.contexts
            .extend(tokens(&value["default_generation_settings"]["n_ctx"]).map(|n| (String::new(), n)));
    }

    /// `/slots` of llama.cpp.
    fn slots(&mut self, value: &Value) {
        let list = value.as_array().filter(|list| list.iter().all(|slot| slot["id"].is_u64()));
        self.slots = slots(list.map(|list| list.len() as u64));
    }

    /// `/api/ps` of Ollama: what is loaded.
    fn loaded(&mut self, value: &Value) {
        let models = value["models"].as_array().into_iter().flatten().take(MOST_MODELS);
        let of =
            |model: &Value| Some((model["name"].as_str()?.to_owned(), tokens(&model["context_length"])?));
        self.contexts.extend(models.filter_map(of));
    }

    /// `/v1/models` of vLLM.
    fn models(&mut self, value: &Value) {
        let models = value["data"].as_array().into_iter().flatten().take(MOST_MODELS);
        let of = |model: &Value| Some((model["id"].as_str()?.to_owned(), tokens(&model["max_model_len"])?));
        self.contexts.extend(models.filter_map(of));
    }
}

fn slots(count: Option<u64>) -> Option<usize> {
    count.filter(|n| (1..=MOST_SLOTS).contains(n)).and_then(|n| usize::try_from(n).ok())
}

fn tokens(value: &Value) -> Option<u64> {
    value.as_u64().filter(|n| (1..=MOST_CONTEXT).contains(n))
}

/// Whether a host is this machine or one of its own network: nobody else is asked what their protocol does not say.
fn is_near(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        Err(_) => {
            !host.contains('.')
                || [".local", ".lan", ".internal", ".home.arpa"].iter().any(|end| host.ends_with(end))
        }
    }
}

impl Provider {
    /// Whether the server is to be asked, and was not yet.
    pub(super) fn is_to_ask(&self) -> bool {
        self.options.ask_server
            && matches!(self.protocol, Protocol::Chat | Protocol::Ollama)
            && !self.facts.initialized()
            && self.endpoint.join("/props", None).is_ok_and(|uri| uri.host().is_some_and(is_near))
    }

    /// Asks the server once; whoever comes meanwhile waits for the same answer.
    pub(super) async fn meet(&self) {
        let facts = self.facts.get_or_init(|| async {
            let mut facts = Facts::default();
            // What was said in time counts.
            let _ = timeout(LONGEST, self.question(&mut facts)).await;
            if let Some(slots) = facts.slots {
                self.traffic.told(slots);
            }
            facts
        });
        facts.await;
    }

    async fn question(&self, facts: &mut Facts) {
        if self.protocol == Protocol::Ollama {
            facts.loaded(&self.look("/api/ps").await);
            return;
        }
        facts.props(&self.look("/props").await);
        if facts.is_known() && facts.slots.is_none() {
            facts.slots(&self.look("/slots").await);
        }
        if !facts.is_known() {
            facts.models(&self.look("/v1/models").await);
        }
        if !facts.is_known() {
            facts.loaded(&self.look("/api/ps").await);
        }
    }

    /// What stands at a path beside the API's own; null for whatever is no JSON within the limits.
    async fn look(&self, path: &str) -> Value {
        self.read_json(path).await.unwrap_or_default()
    }

    async fn read_json(&self, path: &str) -> Option<Value> {
        let base = self.endpoint.base_url();
        let base = base.strip_suffix("/v1").unwrap_or(&base);
        let uri: Uri = format!("{base}{path}").parse().ok()?;
        let mut request = hyper::Request::get(uri).body(Full::new(Bytes::new())).ok()?;
        for (name, value) in &self.headers {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        let answer = self.transport.send(request, &mut None).await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        let body = Limited::new(answer.into_body(), MOST_BYTES).collect().await.ok()?;
        serde_json::from_slice(&body.to_bytes()).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn servers_say_slots_and_contexts() {
        let mut facts = Facts::default();
        facts.props(&json!({"total_slots": 1, "default_generation_settings": {"n_ctx": 8192}}));
        assert_eq!((facts.slots, facts.context("any")), (Some(1), Some(8192)));
        let mut facts = Facts::default();
        facts.slots(&json!([{"id": 0, "n_ctx": 4096}, {"id": 1}]));
        assert_eq!(facts.slots, Some(2));
        let mut facts = Facts::default();
        facts.loaded(
            &json!({"models": [{"name": "gemma3:latest", "context_length": 16384}, {"name": "old"}]}),
        );
        assert_eq!((facts.context("gemma3"), facts.context("old")), (Some(16384), None));
        facts.models(&json!({"data": [{"id": "m", "max_model_len": 32768}]}));
        assert_eq!(facts.context("m"), Some(32768));
    }

    #[test]
    fn what_is_no_figure_is_nothing() {
        for value in [
            json!(null),
            json!([]),
            json!("text"),
            json!({"total_slots": 0, "default_generation_settings": {"n_ctx": -1}}),
            json!({"total_slots": 1e300, "default_generation_settings": []}),
            json!({"total_slots": u64::MAX, "models": {"name": 1}, "data": "x"}),
            json!([{"id": "a"}]),
            json!({"models": [null, 3, {"name": "m", "context_length": 0}], "data": [[], {"id": "m"}]}),
        ] {
            let mut facts = Facts::default();
            facts.props(&value);
            facts.slots(&value);
            facts.loaded(&value);
            facts.models(&value);
            assert_eq!(facts, Facts::default(), "{value}");
        }
    }

    #[test]
    fn only_hosts_nearby_are_asked() {
        for host in
            ["127.0.0.1", "[::1]", "localhost", "192.168.1.7", "10.0.0.2", "box", "box.local", "[fd00::1]"]
        {
            assert!(is_near(host), "{host}");
        }
        for host in ["api.openai.com", "8.8.8.8", "[2001:db8::1]", "localhost.example.com", "172.32.0.1"] {
            assert!(!is_near(host), "{host}");
        }
    }
}
