//! Tools over HTTP: POST `URL/<tool>` with the arguments as a JSON object, answered by `{"name", "text"}`.

use std::time::Duration;

use lacon_llm::{BoxFuture, Endpoint, Error, Fetch, FetchOptions, Transport, TransportOptions};
use serde_json::Value;

use crate::tools::{ToolError, ToolRequest, ToolSource, ToolText};

/// What a tool over HTTP may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Longest wait for a connection.
    pub connect: Duration,
    /// Longest time of a whole call.
    pub whole: Duration,
    /// Largest answer in bytes.
    pub max_body: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        // A call has a limit of its own in every run: `data.timeout_s`.
        let max_body = FetchOptions::default().max_bytes;
        Self { connect: TransportOptions::default().connect, whole: Duration::from_secs(3600), max_body }
    }
}

/// A tool source behind a URL.
pub struct HttpTools {
    fetch: Fetch,
    run_id: String,
    labels: Vec<(String, String)>,
    send_tags: bool,
    whole: Duration,
}

impl HttpTools {
    /// Prepares the source; connects nowhere yet.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn new(
        url: &str,
        run_id: &str,
        labels: &[(&str, &str)],
        send_tags: bool,
        limits: HttpLimits,
    ) -> Result<Self, Error> {
        let endpoint = Endpoint::parse(url)?;
        let transport =
            Transport::new(&TransportOptions { connect: limits.connect, ..TransportOptions::default() })?;
        let fetch = Fetch::new(
            transport,
            endpoint,
            FetchOptions { max_bytes: limits.max_body, ..FetchOptions::default() },
        );
        let labels = labels.iter().map(|(name, value)| (format!("X-Lacon-{name}"), (*value).to_owned()));
        let labels = labels.collect();
        Ok(Self { fetch, run_id: run_id.into(), labels, send_tags, whole: limits.whole })
    }
}

impl ToolSource for HttpTools {
    fn call<'a>(&'a self, request: &'a ToolRequest) -> BoxFuture<'a, Result<ToolText, ToolError>> {
        Box::pin(async move {
            let path = format!("/{}", request.name);
            if !request.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(ToolError::BadRequest(format!("{:?} is no tool name", request.name)));
            }
            let mut tags =
                vec![("X-Lacon-Run", self.run_id.as_str()), ("X-Lacon-Role", request.role.as_str())];
            tags.extend(self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            let headers = if self.send_tags { &tags[..] } else { &[] };
            let body = Value::Object(request.arguments.clone()).to_string().into_bytes();
            let limit_s = self.whole.as_secs_f64();
            let late = |_| ToolError::TimedOut { name: request.name.clone(), limit_s };
            let answer = self.fetch.post(&path, headers, body);
            let answer = tokio::time::timeout(self.whole, answer).await.map_err(late)?;
            let answer =
                answer.map_err(|e| ToolError::Failed(format!("{}: {}", request.name, e.message())))?;
            let json: Value = serde_json::from_slice(&answer)
                .map_err(|e| ToolError::Failed(format!("{}: the answer is not JSON: {e}", request.name)))?;
            let text = json.get("text").and_then(Value::as_str).ok_or_else(|| {
                ToolError::Failed(format!("{}: the answer has no field \"text\"", request.name))
            })?;
            Ok(ToolText { no_data: says_no_data(text), text: text.to_owned() })
        })
    }

    fn describe(&self) -> String {
        self.fetch.base_url()
    }

    fn simulated(&self) -> bool {
        false
    }
}

/// Whether a text is one of the usual ways of saying that there is nothing.
fn says_no_data(text: &str) -> bool {
    let head = text.trim_start().get(..160).unwrap_or(text.trim_start()).to_lowercase();
    text.trim().len() < 10
        || ["no data", "no news", "timed out", "error executing", "integration pending"]
            .iter()
            .any(|m| head.contains(m))
}
