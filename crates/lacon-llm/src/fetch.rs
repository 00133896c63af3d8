//! A plain POST of JSON with bounded retries, for tool endpoints. Besides [`crate::Retry`], it is the only place that
//! sends a request again.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};

use crate::{
    endpoint::Endpoint,
    error::{Error, ErrorKind, Malformed},
    rng::Rng,
    transport::Transport,
};

/// Steers [`Fetch`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FetchOptions {
    /// Tries, the first one included.
    pub max_attempts: u32,
    /// Upper end of the first random wait; doubles with each try.
    pub base: Duration,
    /// Largest answer in bytes.
    pub max_bytes: usize,
    /// Seed of the waits.
    pub seed: u64,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self { max_attempts: 3, base: Duration::from_millis(500), max_bytes: 16 << 20, seed: 1 }
    }
}

/// Posts JSON to paths under one endpoint. The calls must be safe to repeat: an answer that was lost is asked for
/// again.
#[derive(Debug)]
pub struct Fetch {
    transport: Transport,
    endpoint: Endpoint,
    options: FetchOptions,
    rng: Rng,
}

impl Fetch {
    /// Prepares calls; connects nowhere yet.
    pub fn new(transport: Transport, endpoint: Endpoint, options: FetchOptions) -> Self {
        Self { transport, endpoint, rng: Rng::new(options.seed), options }
    }

    /// Where the calls go, without credentials.
    pub fn base_url(&self) -> String {
        self.endpoint.base_url()
    }

    /// Posts to `path` (with a leading slash) and gives the body of a successful answer. The body is JSON unless a
    /// header says otherwise.
    ///
    /// Dropping the future closes the connection. There is no time limit here: wrap the call in one.
    ///
    /// # Errors
    /// The last failure: no connection, a status that is no success, an answer that is too large.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<Vec<u8>, Error> {
        self.retried(hyper::Method::POST, path, headers, Bytes::from(body)).await
    }

    /// Gets `path` (with a leading slash) and gives the body of a successful answer; otherwise as [`Fetch::post`].
    ///
    /// # Errors
    /// As [`Fetch::post`].
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Vec<u8>, Error> {
        self.retried(hyper::Method::GET, path, headers, Bytes::new()).await
    }

    async fn retried(
        &self,
        method: hyper::Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Vec<u8>, Error> {
        let mut attempt = 1;
        loop {
            let error = match self.once(method.clone(), path, headers, body.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if attempt >= self.options.max_attempts || !error.is_retryable() {
                return Err(error);
            }
            let limit = self.options.base.saturating_mul(1 << (attempt - 1).min(8));
            tokio::time::sleep(error.retry_after().unwrap_or_else(|| self.rng.below(limit))).await;
            attempt += 1;
        }
    }

    async fn once(
        &self,
        method: hyper::Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Vec<u8>, Error> {
        let invalid = |what: String| Error::new(ErrorKind::InvalidRequest, what);
        let mut request = hyper::Request::builder().method(method).uri(self.endpoint.join(path, None)?);
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE.as_str())) {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request =
            request.body(Full::new(body)).map_err(|e| invalid(format!("cannot build the request: {e}")))?;
        let mut response = self.transport.send(request, &mut None).await?;
        let status = response.status();
        if !status.is_success() {
            let wait = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
            let kind = match status.as_u16() {
                429 => ErrorKind::RateLimited,
                401 | 403 => ErrorKind::Auth,
                404 => ErrorKind::NotFound,
                other => ErrorKind::Status(other),
            };
            return Err(Error::new(kind, format!("{}{path} answered {}", self.base_url(), status.as_u16()))
                .with_status(status.as_u16())
                .with_retry_after(wait.map(Duration::from_secs)));
        }
        let mut answer = Vec::new();
        while let Some(frame) = response.body_mut().frame().await {
            let frame = frame.map_err(|e| {
                let what = format!("{}{path}: the answer was cut", self.base_url());
                Error::new(ErrorKind::Malformed(Malformed::CutStream), what).with_source(e)
            })?;
            if let Some(data) = frame.data_ref() {
                if answer.len() + data.len() > self.options.max_bytes {
                    let what = format!(
                        "{}{path}: the answer is longer than the limit of {} bytes",
                        self.base_url(),
                        self.options.max_bytes
                    );
                    // Asking again would give the same: not retryable.
                    return Err(invalid(what));
                }
                answer.extend_from_slice(data);
            }
        }
        Ok(answer)
    }
}
