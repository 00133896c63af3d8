//! The loop that accepts connections.

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
use lacon_monitor::metrics::proxy::ProxyMetrics;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};

use crate::{
    access::Access, error::Error, forward::Upstream, gate::Gate, options::ProxyOptions, routes,
    served::OnServed, shrink::Shrinker,
};

pub(crate) struct State {
    pub(crate) upstream: Upstream,
    pub(crate) shrinker: Arc<Shrinker>,
    pub(crate) metrics: Arc<ProxyMetrics>,
    pub(crate) max_body: usize,
    pub(crate) body_timeout: Duration,
    pub(crate) access: Access,
    pub(crate) on_served: Option<OnServed>,
    pub(crate) gate: Option<Arc<dyn Gate>>,
    pub(crate) learn: bool,
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
            learn: options.learn,
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
