//! [`Fetch`] over hyper: pooled connections, HTTP/1.1 and HTTP/2 by ALPN, TLS by rustls with ring.
//!
//! The model clients have a similar transport. It is not shared, because this crate must not know model clients, and
//! they would share only the forty lines that join the two libraries. Bodies here are small and whole, streams there
//! are long and partial, so the limits differ too. Proxy variables of the environment are ignored.

use std::{error::Error as _, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use super::fetch::{BoxFuture, Fetch, FetchError, HttpAnswer, HttpRequest, Method};

/// A pool of connections; clones share it.
#[derive(Clone)]
pub struct HttpFetch {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl HttpFetch {
    /// Prepares a pool; connects nowhere yet. `connect` bounds each TCP connection.
    ///
    /// # Errors
    /// When TLS cannot start.
    pub fn new(connect: Duration) -> Result<Self, FetchError> {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let tls =
            rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
                .with_safe_default_protocol_versions()
                .map_err(|e| FetchError::BadUrl(format!("tls cannot start: {e}")))?
                .with_root_certificates(roots)
                .with_no_client_auth();
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        http.set_connect_timeout(Some(connect));
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(8)
            .build(https);
        Ok(Self { client })
    }
}

impl Fetch for HttpFetch {
    fn fetch<'a>(&'a self, request: &'a HttpRequest) -> BoxFuture<'a, Result<HttpAnswer, FetchError>> {
        Box::pin(async move {
            match tokio::time::timeout(request.timeout, self.exchange(request)).await {
                Ok(answer) => answer,
                Err(_) => Err(FetchError::TimedOut(request.timeout)),
            }
        })
    }
}

impl HttpFetch {
    async fn exchange(&self, request: &HttpRequest) -> Result<HttpAnswer, FetchError> {
        let uri: hyper::Uri =
            request.url.parse().map_err(|e| FetchError::BadUrl(format!("address cannot be used: {e}")))?;
        let host = uri.authority().map(|a| a.as_str().to_owned()).unwrap_or_default();
        let method = match request.method {
            Method::Get => hyper::Method::GET,
            Method::Post => hyper::Method::POST,
        };
        let mut out = hyper::Request::builder().method(method).uri(uri);
        for (name, value) in &request.headers {
            out = out.header(name, value);
        }
        let out = out
            .body(Full::new(Bytes::from(request.body.clone())))
            .map_err(|_| FetchError::BadUrl("a header holds what no header may hold".into()))?;
        let mut response = self.client.request(out).await.map_err(|e| {
            let mut cause: &dyn std::error::Error = &e;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            let cause = cause.to_string();
            if e.is_connect() {
                FetchError::Connect { host: host.clone(), cause }
            } else {
                FetchError::Cut(cause)
            }
        })?;
        let mut answer = HttpAnswer {
            status: response.status().as_u16(),
            headers: response
                .headers()
                .iter()
                .map(|(n, v)| (n.as_str().to_owned(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
                .collect(),
            body: Vec::new(),
        };
        let announced = answer.header("content-length").and_then(|v| v.parse::<usize>().ok());
        if announced.is_some_and(|n| n > request.max_bytes) {
            return Err(FetchError::TooLarge { limit: request.max_bytes });
        }
        while let Some(frame) = response.body_mut().frame().await {
            let frame = frame.map_err(|e| {
                FetchError::Cut(e.source().map_or_else(|| e.to_string(), ToString::to_string))
            })?;
            if let Some(data) = frame.data_ref() {
                if answer.body.len() + data.len() > request.max_bytes {
                    return Err(FetchError::TooLarge { limit: request.max_bytes });
                }
                answer.body.extend_from_slice(data);
            }
        }
        Ok(answer)
    }
}
