//! Options, the report of each request, and the loop that accepts connections.

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use lacon_llm::TransportOptions;
use lacon_monitor::metrics::proxy::{ProxyMetrics, Route};
use lacon_prompt::{
    offload::{Handle, Store, StoreError},
    passes::PassSet,
    receipt::PassReport,
    request::Shrunk,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};

use crate::{
    access::Access, arms::Arm, error::Error, forward::Upstream, gate::Gate, routes, shrink::Shrinker,
};

/// How far requests may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// Everything passes through.
    Off,
    /// Exact forms only.
    Lossless,
    /// Exact forms, and blobs moved to the store if the request declares a way to retrieve them.
    Safe,
}

/// Savings of a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Figures {
    /// Tokens of the texts that may change, as they came.
    pub tokens_before: usize,
    /// Tokens of the same texts as they were sent on.
    pub tokens_after: usize,
    /// What each pass did to each text, which is named by its place in the body.
    pub passes: Vec<PassReport>,
    /// What the new texts refer to in the store.
    pub handles: Vec<Handle>,
}

impl Figures {
    pub(crate) fn of(shrunk: &Shrunk) -> Self {
        Self {
            tokens_before: shrunk.tokens_before,
            tokens_after: shrunk.tokens_after,
            passes: shrunk.passes.clone(),
            handles: shrunk.handles(),
        }
    }
}

/// What is told of a request when its answer begins. It holds no text, no key, and no header but the outcome's name.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Served {
    /// Which route it took.
    pub route: Route,
    /// The answer's status.
    pub status: u16,
    /// Savings; `None` if nothing was examined.
    pub figures: Option<Figures>,
    /// Why the body passed unchanged although it should have been compressed.
    pub unchanged: Option<&'static str>,
    /// Time between the body's last byte and the call to the upstream.
    pub overhead: Duration,
    /// The arm of the request, where a share is held out.
    pub arm: Option<Arm>,
    /// The name under which the client will tell what came of it.
    pub outcome: Option<String>,
}

/// Receives the report of each request.
pub type OnServed = Box<dyn Fn(&Served) + Send + Sync>;

/// Options of the server.
pub struct ProxyOptions {
    /// The provider's address, such as `https://api.openai.com/v1`.
    pub upstream: String,
    /// How far requests may be changed.
    pub policy: Policy,
    /// The passes that may run.
    pub passes: PassSet,
    /// Texts to leave alone: `user`, `tool` or the name of a tool.
    pub protect: Vec<String>,
    /// Whether user messages are compressed too, not only tool results.
    pub shorten_user: bool,
    /// Whether tool results are compressed that a later edit may have to quote exactly.
    pub shorten_quotable: bool,
    /// Whether a line above a request's first compressed text tells how to read its form.
    pub legend: bool,
    /// Conversations of a thousand whose requests pass as they came.
    pub holdout: u16,
    /// Whether conversations that are recognized get marks for the provider's prompt cache.
    pub cache_marks: bool,
    /// Who may call.
    pub access: Access,
    /// Store for offloaded content.
    pub store: Box<dyn Store + Send>,
    /// Gives the store of a client that names its session, and makes it where the second argument says so. Without it,
    /// nothing of such a client is offloaded.
    pub sessions: Option<Sessions>,
    /// Lets calls through or not; without one, all.
    pub gate: Option<Arc<dyn Gate>>,
    /// Size of the cache of earlier texts and their results, in bytes.
    pub cache: usize,
    /// Most bytes of a request's body.
    pub max_body: usize,
    /// Most connections at once; more wait to be accepted.
    pub max_connections: usize,
    /// Longest wait for a request's head, also on a connection that is kept open.
    pub header_timeout: Duration,
    /// Longest wait for a request's body.
    pub body_timeout: Duration,
    /// Longest time to compress a request; after that it passes unchanged.
    pub work_timeout: Duration,
    /// Longest wait for the head of the upstream's answer.
    pub answer_timeout: Duration,
    /// Time for open requests after the stop signal.
    pub drain: Duration,
    /// Time after the stop signal in which new requests are still served while `/readyz` refuses, so that a balancer sees it.
    pub notice: Duration,
    /// Connections to the upstream.
    pub transport: TransportOptions,
    /// Receives the report of each request.
    pub on_served: Option<OnServed>,
}

/// Gives the stores of sessions by name.
pub type Sessions =
    Box<dyn Fn(&str, bool) -> Result<Option<Box<dyn Store + Send>>, StoreError> + Send + Sync>;

impl ProxyOptions {
    /// The usual limits.
    #[must_use]
    pub fn new(upstream: impl Into<String>, policy: Policy, store: Box<dyn Store + Send>) -> Self {
        Self {
            upstream: upstream.into(),
            policy,
            passes: PassSet::default(),
            protect: Vec::new(),
            shorten_user: false,
            shorten_quotable: false,
            legend: false,
            holdout: 0,
            cache_marks: false,
            access: Access::default(),
            store,
            sessions: None,
            gate: None,
            cache: 32 << 20,
            max_body: 32 << 20,
            max_connections: 1024,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            work_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(600),
            drain: Duration::from_secs(30),
            notice: Duration::ZERO,
            transport: TransportOptions::default(),
            on_served: None,
        }
    }
}

pub(crate) struct State {
    pub(crate) upstream: Upstream,
    pub(crate) shrinker: Arc<Shrinker>,
    pub(crate) metrics: Arc<ProxyMetrics>,
    pub(crate) max_body: usize,
    pub(crate) body_timeout: Duration,
    pub(crate) access: Access,
    pub(crate) on_served: Option<OnServed>,
    pub(crate) gate: Option<Arc<dyn Gate>>,
    pub(crate) stopping: AtomicBool,
    header_timeout: Duration,
    max_connections: usize,
    drain: Duration,
    notice: Duration,
}

/// A proxy that is ready to serve.
pub struct Proxy(Arc<State>);

impl Proxy {
    /// Checks the options; connects nowhere yet.
    ///
    /// # Errors
    /// When the upstream's address cannot be used.
    pub fn new(mut options: ProxyOptions) -> Result<Self, Error> {
        let on_served = options.on_served.take();
        let gate = options.gate.take();
        Ok(Self(Arc::new(State {
            upstream: Upstream::new(&options.upstream, &options.transport, options.answer_timeout)?,
            metrics: Arc::default(),
            max_body: options.max_body,
            access: options.access.clone(),
            body_timeout: options.body_timeout,
            header_timeout: options.header_timeout,
            max_connections: options.max_connections.max(1),
            drain: options.drain,
            notice: options.notice,
            gate,
            stopping: AtomicBool::new(false),
            on_served,
            shrinker: Arc::new(Shrinker::new(options)),
        })))
    }

    /// Serves until `stop` is ready, then lets requests under way finish for as long as the options say.
    ///
    /// Dropping the future ends every connection and every call at the upstream.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn serve(&self, listener: TcpListener, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let places = Arc::new(Semaphore::new(self.0.max_connections));
        let (closing, closed) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut stop = pin!(async {
            stop.await;
            self.0.stopping.store(true, Ordering::Relaxed);
            tokio::time::sleep(self.0.notice).await;
        });
        loop {
            let (socket, place) = tokio::select! {
                () = &mut stop => break,
                accepted = accept(&listener, &places) => accepted?,
            };
            connections.spawn(connection(Arc::clone(&self.0), socket, place, closed.clone()));
            while connections.try_join_next().is_some() {}
        }
        drop(listener);
        closing.send_replace(true);
        let rest = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(self.0.drain, rest).await;
        drop(connections);
        if let Some(gate) = self.0.gate.clone() {
            let _ = tokio::task::spawn_blocking(move || gate.close()).await;
        }
        Ok(())
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            return Err(std::io::Error::other("no places"));
        };
        match listener.accept().await {
            Ok((socket, _)) => return Ok((socket, place)),
            // A peer that left before it was accepted is no reason to stop; running out of files is one to wait.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
            Err(error) if matches!(error.raw_os_error(), Some(23 | 24)) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn connection(
    state: Arc<State>,
    socket: TcpStream,
    place: OwnedSemaphorePermit,
    mut closed: watch::Receiver<bool>,
) {
    // Without it a fast answer waits for the client's delayed acknowledgement, 40 ms each time.
    let _ = socket.set_nodelay(true);
    let header_timeout = state.header_timeout;
    let here = socket.local_addr().ok().map(|address| address.ip());
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(routes::respond(state, request, here).await) }
    });
    let mut serving = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(128 << 10)
            .serve_connection(TokioIo::new(socket), service)
    );
    let asked = tokio::select! {
        _ = &mut serving => false,
        _ = async { closed.wait_for(|closed| *closed).await.is_ok() } => true,
    };
    if asked {
        serving.as_mut().graceful_shutdown();
        let _ = serving.await;
    }
    drop(place);
}
