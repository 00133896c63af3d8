//! Embeddings from a provider: POST `URL/embeddings`, in the format of OpenAI.

use std::{sync::Arc, time::Duration};

use lacon_llm::{BoxFuture, Endpoint, Fetch, FetchOptions, Secret, Transport, TransportOptions};
use lacon_runtime::Config;
use lacon_trading::{memory::Embedding, recall::Embedder};
use serde_json::{Value, json};

use crate::failure::Failure;

/// Most bytes of a text that are sent; such models read 8,192 tokens, and what decides stands at the beginning of a report.
const MOST_BYTES: usize = 24 << 10;
/// Largest answer.
const MOST_ANSWER: usize = 1 << 20;

struct Provider {
    fetch: Fetch,
    key: Secret,
    model: String,
    limit: Duration,
}

/// The provider that the settings name; none where they name none.
pub fn embedder(config: &Config) -> Result<Option<Arc<dyn Embedder>>, Failure> {
    let url = config.text("memory.embeddings_url");
    if url.is_empty() {
        return Ok(None);
    }
    let failed = |e: lacon_llm::Error| Failure::input(format!("memory.embeddings_url: {e}"));
    let endpoint = Endpoint::parse(url).map_err(failed)?;
    let connect = Duration::from_secs_f64(config.number("llm.connect_timeout_s"));
    let transport =
        Transport::new(&TransportOptions { connect, ..TransportOptions::default() }).map_err(failed)?;
    let options = FetchOptions { max_attempts: 2, max_bytes: MOST_ANSWER, ..FetchOptions::default() };
    Ok(Some(Arc::new(Provider {
        fetch: Fetch::new(transport, endpoint, options),
        key: Secret::new(config.text("memory.embeddings_key")),
        model: config.text("memory.embeddings_model").into(),
        limit: Duration::from_secs_f64(config.number("memory.embeddings_timeout_s")),
    })))
}

impl Embedder for Provider {
    fn embed<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<Embedding, String>> {
        Box::pin(async move {
            let mut end = text.len().min(MOST_BYTES);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            let body = json!({"model": self.model, "input": [&text[..end]]}).to_string().into_bytes();
            let bearer = format!("Bearer {}", self.key.expose());
            let headers = [("authorization", bearer.as_str())];
            let headers = if self.key.is_empty() { &[][..] } else { &headers[..] };
            let call = tokio::time::timeout(self.limit, self.fetch.post("/embeddings", headers, body)).await;
            let late = format!("embeddings took longer than {} s", self.limit.as_secs_f64());
            let answer = call.map_err(|_| late)?.map_err(|e| format!("embeddings: {}", e.message()))?;
            read(&answer, &self.model)
        })
    }
}

/// The first vector of an answer.
fn read(answer: &[u8], model: &str) -> Result<Embedding, String> {
    let value: Value =
        serde_json::from_slice(answer).map_err(|e| format!("embeddings: the answer is not JSON: {e}"))?;
    let numbers = value.pointer("/data/0/embedding").and_then(Value::as_array);
    let vector: Option<Vec<f32>> =
        numbers.and_then(|numbers| numbers.iter().map(|n| n.as_f64().map(|n| n as f32)).collect());
    match vector.filter(|v| !v.is_empty() && v.iter().all(|x| x.is_finite())) {
        Some(vector) => Ok(Embedding { model: model.into(), vector }),
        None => Err("embeddings: the answer holds no vector".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_read_and_faults_named() {
        let good = read(br#"{"data": [{"embedding": [0.5, -1]}]}"#, "m").unwrap();
        assert_eq!((good.model.as_str(), good.vector), ("m", vec![0.5, -1.0]));
        for (bad, says) in [
            ("<html>", "not JSON"),
            ("{}", "no vector"),
            (r#"{"data": [{"embedding": []}]}"#, "no vector"),
            (r#"{"data": [{"embedding": [1, "x"]}]}"#, "no vector"),
            (r#"{"data": [{"embedding": [1e300]}]}"#, "no vector"),
        ] {
            assert!(read(bad.as_bytes(), "m").unwrap_err().contains(says), "{bad}");
        }
    }
}
