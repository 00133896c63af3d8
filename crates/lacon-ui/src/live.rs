//! What changes while the page is open: files of the folder, and the metrics of a proxy.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::{net::TcpStream, time::timeout};

use crate::routes::Site;

/// How often the folder and the proxy are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// A proxy that takes longer than this is shown as silent.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of metrics that are read.
const MOST_METRICS: usize = 1 << 20;

/// Looks through the folder again and again. Reading blocks, so it has a thread of the runtime for it.
pub async fn watch_folder(site: Arc<Site>) {
    loop {
        let reading = Arc::clone(&site);
        let told = move || reading.library.refresh(&|| reading.version.send_modify(|n| *n += 1));
        if tokio::task::spawn_blocking(told).await.is_err() {
            // A file that makes a reader panic is a fault of the reader; the page goes on with the others.
            site.version.send_modify(|n| *n += 1);
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Asks the proxy for its metrics again and again.
pub async fn watch_proxy(site: Arc<Site>) {
    let Some(address) = site.proxy else { return };
    loop {
        let told = match timeout(PATIENCE, metrics(address, site.proxy_token.as_deref())).await {
            Ok(Ok(text)) => figures(&text),
            Ok(Err(why)) => json!({"error": why}),
            Err(_) => json!({"error": format!("{address} gave no answer within {} s", PATIENCE.as_secs())}),
        };
        site.proxy_state.send_replace(Some(told));
        tokio::time::sleep(EVERY).await;
    }
}

async fn metrics(address: SocketAddr, token: Option<&str>) -> Result<String, String> {
    let unreachable = |e: &dyn std::fmt::Display| format!("{address}: {e}");
    let stream = TcpStream::connect(address).await.map_err(|e| unreachable(&e))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|e| unreachable(&e))?;
    let asked = async {
        let mut request = Request::get("/metrics").header(header::HOST, address.to_string());
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|e| unreachable(&e))?;
        let answer = sender.send_request(request).await.map_err(|e| unreachable(&e))?;
        if !answer.status().is_success() {
            return Err(format!("{address} answered {}\nhint: --proxy-token TOKEN", answer.status()));
        }
        let body =
            Limited::new(answer.into_body(), MOST_METRICS).collect().await.map_err(|e| unreachable(&e))?;
        Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
    };
    tokio::select! {
        asked = asked => asked,
        closed = connection => Err(closed.map_or_else(|e| unreachable(&e), |()| format!("{address} closed the connection"))),
    }
}

/// The lines of Prometheus text as `name{labels}` to number, without comments.
fn figures(text: &str) -> Value {
    let mut found = Map::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, value)) = line.rsplit_once(' ')
            && let Ok(value) = value.parse::<f64>()
            && value.is_finite()
        {
            found.insert(name.to_owned(), value.into());
        }
    }
    json!({"metrics": found})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_numbers_by_name() {
        let text = "# HELP a b\nlacon_requests_total{route=\"chat\"} 3\nlacon_tokens 1e3\nnan NaN\nbroken\n";
        assert_eq!(
            figures(text),
            json!({"metrics": {"lacon_requests_total{route=\"chat\"}": 3.0, "lacon_tokens": 1e3}})
        );
    }
}
