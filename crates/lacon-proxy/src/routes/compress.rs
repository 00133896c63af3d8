//! `POST /v1/compress`: compresses a whole array of messages for a gateway that sends it on itself.
//!
//! It takes `{"messages": […], "model": …, "tools": […], "config": {"mode": "ccr"}}` and returns the messages with the
//! handles of offloaded content. It offloads under the policy `safe` if the body declares a retriever: a tool of that
//! name, the mode `ccr`, or the header.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use bytes::Bytes;
use hyper::{HeaderMap, Request as HttpRequest, Response, StatusCode, body::Incoming};
use lacon_monitor::metrics::proxy::Route;
use lacon_prompt::request::{Request, Shrunk, splice};
use serde_json::{Value, json, value::RawValue};

use super::{Told, finished, read};
use crate::{
    answer::Answer,
    options::Policy,
    refusal::{invalid, json_answer},
    served::Figures,
    server::State,
};

/// Shortens and answers.
pub async fn respond(state: &Arc<State>, request: HttpRequest<Incoming>) -> Response<Answer> {
    let (head, body) = request.into_parts();
    let body = match read(state, body).await {
        Ok(body) => body,
        Err(refusal) => {
            return finished(
                state,
                Route::Compress,
                *refusal,
                Told::default(),
                Instant::now(),
                Instant::now(),
            );
        }
    };
    let started = Instant::now();
    let shared = Arc::clone(state);
    let kept = body.clone();
    let work = state.shrinker.away(move |stop| shortened(&shared, &body, &head.headers, stop)).await;
    let late = "the work took too long or broke";
    let (unchanged, (answer, figures)) = match work {
        Some(done) => (None, done),
        // Whoever asks sends the messages on: it must get them back in any case.
        None => (Some(late), answer_of(std::str::from_utf8(&kept).unwrap_or(""), Shrunk::default())),
    };
    let told = Told { figures, unchanged, ..Told::default() };
    finished(state, Route::Compress, answer, told, started, Instant::now())
}

fn bad(what: &str) -> (Response<Answer>, Option<Figures>) {
    let hint = "hint: send {\"messages\": [{\"role\": …, \"content\": …}], \"model\": …}";
    (invalid(StatusCode::BAD_REQUEST, "bad_messages", format!("{what}\n{hint}")), None)
}

fn shortened(
    state: &State,
    body: &Bytes,
    headers: &HeaderMap,
    stop: &AtomicBool,
) -> (Response<Answer>, Option<Figures>) {
    let Ok(json) = std::str::from_utf8(body) else { return bad("the body is no UTF-8") };
    let Some(request) = Request::parse(json) else { return bad("the body holds no list of messages") };
    let mut ask = state.shrinker.ask(headers);
    ask.declared |= mode(json).as_deref() == Some("ccr");
    let shrunk = match ask.policy {
        Policy::Off => Ok(Default::default()),
        _ => state.shrinker.request(&request, &ask, stop),
    };
    answer_of(json, shrunk.unwrap_or_default())
}

fn answer_of(json: &str, shrunk: Shrunk) -> (Response<Answer>, Option<Figures>) {
    let figures = Figures::of(&shrunk);
    let after = splice(json, &shrunk.edits);
    let Some(messages) = messages(&after) else { return bad("the body has no \"messages\"") };
    let mut transforms: Vec<&str> = figures.passes.iter().map(|pass| pass.pass.name()).collect();
    transforms.dedup();
    let report = json!({
        "tokens_before": figures.tokens_before,
        "tokens_after": figures.tokens_after,
        "tokens_saved": figures.tokens_before - figures.tokens_after,
        "compression_ratio": figures.tokens_after as f64 / figures.tokens_before.max(1) as f64,
        "transforms_applied": transforms,
        "ccr_hashes": figures.handles.iter().map(|handle| handle.as_str()).collect::<Vec<_>>(),
        "changed": shrunk.edits.iter().map(|edit| &edit.pointer).collect::<Vec<_>>(),
    });
    // The messages go out as the bytes they are.
    let rest = report.to_string();
    let answer = format!("{{\"messages\":{messages},{}", &rest[1..]);
    (json_answer(StatusCode::OK, answer), Some(figures))
}

fn member<'j>(json: &'j str, name: &str) -> Option<&'j RawValue> {
    let body: std::collections::HashMap<String, &RawValue> = serde_json::from_str(json).ok()?;
    body.get(name).copied()
}

fn messages(json: &str) -> Option<&str> {
    if json.trim_start().starts_with('[') {
        return Some(json.trim());
    }
    member(json, "messages").map(RawValue::get)
}

fn mode(json: &str) -> Option<String> {
    let config: Value = serde_json::from_str(member(json, "config")?.get()).ok()?;
    Some(config.get("mode")?.as_str()?.to_owned())
}
