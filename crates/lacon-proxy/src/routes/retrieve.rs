//! `GET /v1/retrieve/{hash}`: the content behind a handle.

use std::{sync::Arc, time::Instant};

use hyper::{HeaderMap, Response, StatusCode};
use lacon_monitor::metrics::proxy::Route;
use lacon_prompt::offload::{HANDLE_LEN, Handle, Store};
use serde_json::json;

use super::{Told, finished};
use crate::{
    answer::Answer,
    refusal::{invalid, json_answer, refuse},
    server::State,
    shrink::session,
};

/// Gives the content as `original_content`.
pub async fn respond(state: &Arc<State>, handle: &str, headers: &HeaderMap) -> Response<Answer> {
    let started = Instant::now();
    let answer = match Handle::parse(handle) {
        Some(handle) => found(state, handle, session(headers)).await,
        None => invalid(
            StatusCode::BAD_REQUEST,
            "bad_handle",
            format!("{handle:?} is no handle\nhint: give the {HANDLE_LEN} hex digits after ref= in a marker"),
        ),
    };
    finished(state, Route::Retrieve, answer, Told::default(), started, Instant::now())
}

async fn found(state: &Arc<State>, handle: Handle, session: Option<String>) -> Response<Answer> {
    let (shrinker, asked) = (Arc::clone(&state.shrinker), handle.clone());
    // A store on disk waits for the disk.
    let content = tokio::task::spawn_blocking(move || {
        shrinker.store(session.as_deref(), false)?.map_or(Ok(None), |store| store.get(&asked))
    });
    let content = content.await;
    match content {
        Ok(Ok(Some(content))) => json_answer(
            StatusCode::OK,
            json!({"hash": handle.as_str(), "original_content": content}).to_string(),
        ),
        Ok(Ok(None)) => invalid(
            StatusCode::NOT_FOUND,
            "unknown_handle",
            format!(
                "nothing is stored as {handle}\nhint: a handle holds for the store and session that gave it"
            ),
        ),
        Ok(Err(error)) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "api_error", "store_failed", error),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "api_error", "store_failed", error),
    }
}
