//! `/healthz`, `/readyz` and `/metrics`.

use std::sync::atomic::Ordering;

use hyper::{Response, StatusCode};

use crate::{
    answer::Answer,
    refusal::{json_answer, refuse, text_answer},
    server::State,
};

/// Says that the server stands; it does not ask the upstream.
pub fn health() -> Response<Answer> {
    json_answer(StatusCode::OK, "{\"status\":\"ok\"}".to_owned())
}

/// Says whether requests should be sent here: not while the server stops, nor while no call could be let through.
pub async fn ready(state: &State) -> Response<Answer> {
    if state.stopping.load(Ordering::Relaxed) {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "api_error", "stopping", "the server is stopping");
    }
    let ready = match state.gate.clone() {
        Some(gate) => tokio::task::spawn_blocking(move || gate.ready()).await.unwrap_or(Ok(())),
        None => Ok(()),
    };
    match ready {
        Ok(()) => json_answer(StatusCode::OK, "{\"status\":\"ready\"}".to_owned()),
        Err(why) => refuse(StatusCode::SERVICE_UNAVAILABLE, "api_error", "shared_state_unavailable", why),
    }
}

/// The metrics as Prometheus reads them.
pub fn metrics(state: &State) -> Response<Answer> {
    let mut text = state.metrics.prometheus();
    if let Some(gate) = &state.gate {
        gate.metrics(&mut text);
    }
    text_answer(StatusCode::OK, "text/plain; version=0.0.4", text)
}
