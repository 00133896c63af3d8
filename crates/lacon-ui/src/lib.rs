//! A page on this machine that shows runs and traces: a list, one run's waterfall, two runs side by side, and what goes on
//! now.
//!
//! [`serve`] answers one browser on a loopback address. [`page`] writes the same page with one run inside it, as a file
//! that needs no server.

mod detail;
mod export;
mod library;
mod live;
mod routes;

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use lacon_monitor::{analyze::Scorers, trace::Trace};
use tokio::{net::TcpListener, task::JoinSet};

pub use export::page;

/// Reads the traces of a file; the error is a sentence with the file's name.
pub type ReadTraces = Box<dyn Fn(&Path) -> Result<Vec<Trace>, String> + Send + Sync>;

/// What the page shows, and who may look.
pub struct Options {
    /// The folder whose traces are listed. It is looked through again while the page is open.
    pub folder: PathBuf,
    /// Reads a file of the folder.
    pub read: ReadTraces,
    /// Who grades runs of known applications.
    pub scorers: Scorers<'static>,
    /// The address of a `lacon serve` whose metrics are shown, such as `127.0.0.1:8787`.
    pub proxy: Option<SocketAddr>,
    /// The token of that server's own routes.
    pub proxy_token: Option<String>,
    /// What a request must bring along as `x-lacon-token`, or as `token` in its address.
    pub token: String,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("folder", &self.folder)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

/// A browser that sends half of a request is let go after this time.
const HEADERS: Duration = Duration::from_secs(10);
/// Connections at once. A browser opens six.
const MOST_CONNECTIONS: usize = 64;

/// Serves the page until `stop` resolves. Dropping the future closes every connection.
///
/// # Errors
/// When the listener has no address.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let site = Arc::new(routes::Site::new(options, address));
    let mut work = JoinSet::new();
    work.spawn(live::watch_folder(Arc::clone(&site)));
    work.spawn(live::watch_proxy(Arc::clone(&site)));
    let mut stop = pin!(stop);
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = &mut stop => return Ok(()),
            Some(_) = connections.join_next(), if connections.len() >= MOST_CONNECTIONS => continue,
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((stream, _)) => stream,
                // The other side is gone already, or there are no file handles for a moment.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
        };
        let site = Arc::clone(&site);
        connections.spawn(async move {
            let service = service_fn(move |request| routes::answer(Arc::clone(&site), request));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS)
                .serve_connection(TokioIo::new(stream), service);
            // A browser that leaves is no fault.
            let _ = connection.await;
        });
    }
}
