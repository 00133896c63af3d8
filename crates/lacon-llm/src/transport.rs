//! The HTTP stack under every provider: one pooled client, HTTP/1.1 and HTTP/2 by ALPN, TLS by rustls with ring.
//!
//! Roots come from the binary (`webpki-roots`), not from the system: a container without certificates works, and a
//! start reads no file. `rustls-platform-verifier` would add the system's store at the price of both. A company's own
//! root is passed as PEM.
//!
//! Tasks of the pool drive connections and end with them. Requests run in the caller's future, so dropping it closes
//! the connection (HTTP/1.1) or resets the stream (HTTP/2). The pool moves a request that a dead pooled connection
//! never sent to a new connection. That is no retry, because nothing had reached the server.

use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Uri;
use hyper::body::Body;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::{HttpConnector, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tower_service::Service;

use crate::error::{Error, ErrorKind, Timeout};

/// Steers the connections.
#[derive(Debug, Clone)]
pub struct TransportOptions {
    /// Longest wait for a connection, TLS included.
    pub connect: Duration,
    /// How long an unused connection is kept.
    pub keep_alive: Duration,
    /// Most unused connections kept per host.
    pub max_idle: usize,
    /// Offer HTTP/2 when the server is reached over TLS.
    pub http2: bool,
    /// More trusted roots, as PEM.
    pub extra_roots: Option<Vec<u8>>,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            keep_alive: Duration::from_secs(55),
            max_idle: 64,
            http2: true,
            extra_roots: None,
        }
    }
}

/// A pool of connections; clones share it. `B` is the body of requests: whole, unless said otherwise.
pub struct Transport<B = Full<Bytes>> {
    client: HyperClient<Timed<HttpsConnector<HttpConnector>>, B>,
    connect: Duration,
}

impl<B> Clone for Transport<B> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), connect: self.connect }
    }
}

impl<B> fmt::Debug for Transport<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("connect", &self.connect).finish_non_exhaustive()
    }
}

impl<B> Transport<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    /// Prepares a pool; connects nowhere yet.
    pub fn new(options: &TransportOptions) -> Result<Self, Error> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(pem) = &options.extra_roots {
            let bad = |what: String| {
                Error::new(ErrorKind::InvalidRequest, format!("extra root certificates: {what}"))
                    .with_hint("pass certificates as PEM, each between BEGIN CERTIFICATE and END CERTIFICATE")
            };
            let mut n = 0;
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| bad(format!("{error:?}")))?;
                roots.add(certificate).map_err(|error| bad(error.to_string()))?;
                n += 1;
            }
            if n == 0 {
                return Err(bad("no certificate found".to_owned()));
            }
        }
        let tls =
            rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
                .with_safe_default_protocol_versions()
                .map_err(|error| Error::new(ErrorKind::Tls, format!("tls cannot start: {error}")))?
                .with_root_certificates(roots)
                .with_no_client_auth();
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        http.set_keepalive(Some(Duration::from_secs(30)));
        let https = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let https = if options.http2 {
            https.enable_all_versions().wrap_connector(http)
        } else {
            https.enable_http1().wrap_connector(http)
        };
        let client = HyperClient::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.keep_alive)
            .pool_max_idle_per_host(options.max_idle)
            // Hundreds of streams are open at once and each comes in small pieces: the default of 400 kB is for downloads.
            .http1_max_buf_size(64 * 1024)
            .http2_adaptive_window(true)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .http2_keep_alive_timeout(Duration::from_secs(20))
            .build(Timed { inner: https, limit: options.connect });
        Ok(Self { client, connect: options.connect })
    }

    /// Sends a request once and waits for the head of the answer. Dropping the future ends the call. `connected` is told how long it took until there was a
    /// connection to send it on, made for it or found unused.
    ///
    /// # Errors
    /// When there is no connection, or it breaks before an answer begins.
    pub async fn send(
        &self,
        mut request: hyper::Request<B>,
        connected: &mut Option<Duration>,
    ) -> Result<hyper::Response<hyper::body::Incoming>, Error> {
        let authority =
            request.uri().authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
        let began = Instant::now();
        let mut capture = capture_connection(&mut request);
        let mut sending = pin!(self.client.request(request));
        let mut waiting = pin!(async { capture.wait_for_connection_metadata().await.is_some() });
        let mut waits = true;
        let answer = poll_fn(|context| {
            let answer = sending.as_mut().poll(context);
            // Asked after the request: a connection out of the pool is known as soon as that has been polled.
            if waits && let Poll::Ready(found) = waiting.as_mut().poll(context) {
                waits = false;
                *connected = found.then(|| began.elapsed());
            }
            answer
        });
        answer.await.map_err(|error| self.failed(&authority, error))
    }

    fn failed(&self, authority: &str, error: hyper_util::client::legacy::Error) -> Error {
        if find::<ConnectTimeout>(&error).is_some() {
            let limit = self.connect.as_secs_f64();
            return Error::new(
                ErrorKind::Timeout(Timeout::Connect),
                format!("no connection to {authority} within {limit} s"),
            )
            .with_hint("check the base url, the network and any proxy");
        }
        if let Some(tls) = find::<rustls::Error>(&error) {
            return Error::new(ErrorKind::Tls, format!("tls with {authority} failed: {tls}"))
                .with_hint(
                    "check the host name; if a company proxy signs its traffic, add its root certificate",
                )
                .with_source(error);
        }
        let cause = deepest(&error);
        if error.is_connect() {
            return Error::new(ErrorKind::Connect, format!("cannot connect to {authority}: {cause}"))
                .with_hint("check that the server runs and that the base url is right")
                .with_source(error);
        }
        Error::new(
            ErrorKind::Connect,
            format!("connection to {authority} broke before an answer began: {cause}"),
        )
        .with_source(error)
    }
}

/// Looks for an error of type `E` in a chain, also inside of I/O errors, which hide what they wrap.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
            && let Some(found) = find::<E>(inner)
        {
            return Some(found);
        }
        at = error.source();
    }
    None
}

/// Returns the text of the innermost error, which names the cause; the outer ones only say "client error".
pub(crate) fn deepest(error: &(dyn StdError + 'static)) -> String {
    let mut at = error;
    while let Some(inner) = at.source() {
        at = inner;
    }
    at.to_string().to_lowercase()
}

/// The connection was not there in time.
#[derive(Debug)]
struct ConnectTimeout;

impl fmt::Display for ConnectTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connecting took too long")
    }
}

impl StdError for ConnectTimeout {}

/// Bounds the time of a connector as a whole: name, TCP and TLS.
#[derive(Clone)]
struct Timed<S> {
    inner: S,
    limit: Duration,
}

type BoxError = Box<dyn StdError + Send + Sync>;

impl<S> Service<Uri> for Timed<S>
where
    S: Service<Uri>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    S::Response: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.inner.call(uri);
        let limit = self.limit;
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(ConnectTimeout.into()),
            }
        })
    }
}
