//! Sends a run's trace to an OTLP/HTTP endpoint: a collector, Jaeger, LangSmith, Langfuse, Phoenix.

use std::time::Duration;

use lacon_llm::{Endpoint, Error, ErrorKind, Fetch, FetchOptions, Transport, TransportOptions};
use lacon_monitor::{export, names::Conventions, trace::Trace};

/// Longest time that a sink may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Posts the trace as protobuf, which every sink takes, to `URL/v1/traces`; a URL that ends so is taken as it is.
///
/// `headers` are those of `OTEL_EXPORTER_OTLP_HEADERS`: `name=value`, divided by commas.
///
/// # Errors
/// When the endpoint cannot be reached or refuses.
pub async fn send(url: &str, headers: &str, trace: &Trace, conventions: Conventions) -> Result<(), Error> {
    const PATH: &str = "/v1/traces";
    let base = url.trim_end_matches('/');
    let base = base.strip_suffix(PATH).unwrap_or(base);
    let endpoint = Endpoint::parse(base)?;
    let transport =
        Transport::new(&TransportOptions { connect: Duration::from_secs(5), ..TransportOptions::default() })?;
    let fetch = Fetch::new(transport, endpoint, FetchOptions::default());
    let body = export::otlp_proto(trace, env!("CARGO_PKG_VERSION"), conventions);
    let mut list = vec![("content-type", "application/x-protobuf")];
    list.extend(headers.split(',').filter_map(|h| h.split_once('=')).map(|(k, v)| (k.trim(), v.trim())));
    match tokio::time::timeout(LIMIT, fetch.post(PATH, &list, body)).await {
        Ok(result) => result.map(|_| ()),
        Err(_) => Err(Error::new(
            ErrorKind::Timeout(lacon_llm::Timeout::Total),
            format!("{base}{PATH} took longer than {} s", LIMIT.as_secs()),
        )),
    }
}
