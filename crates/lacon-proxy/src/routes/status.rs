//! `/healthz` and `/metrics`.

use hyper::{Response, StatusCode};

use crate::{
    answer::Answer,
    refusal::{json_answer, text_answer},
    server::State,
};

/// Says that the server stands; it does not ask the upstream.
pub fn health() -> Response<Answer> {
    json_answer(StatusCode::OK, "{\"status\":\"ok\"}".to_owned())
}

/// The metrics as Prometheus reads them.
pub fn metrics(state: &State) -> Response<Answer> {
    text_answer(StatusCode::OK, "text/plain; version=0.0.4", state.metrics.prometheus())
}
