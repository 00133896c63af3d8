//! The routes; this list is the index.

mod compress;
mod retrieve;
mod status;

use std::{net::IpAddr, sync::Arc, time::Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Incoming},
    header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, ORIGIN, RETRY_AFTER},
};
use lacon_llm::Usage;
use lacon_monitor::metrics::proxy::Route;

use crate::{
    access::is_json,
    answer::Answer,
    arms::{self, Arm},
    forward::{Timed, too_large, too_slow},
    gate::{Call, Pass, Refused},
    headers,
    lesson::Lesson,
    refusal::{invalid, refuse},
    served::{Figures, Served},
    server::State,
    tap::Tap,
};

/// Answers a request.
pub async fn respond(
    state: Arc<State>,
    request: Request<Incoming>,
    here: Option<IpAddr>,
) -> Response<Answer> {
    if let Some(answer) = state.access.check(&request, here) {
        return answer;
    }
    let origin = request.headers().get(ORIGIN).cloned();
    let mut answer = answered(&state, request).await;
    state.access.share(origin.as_ref(), answer.headers_mut());
    answer
}

async fn answered(state: &Arc<State>, mut request: Request<Incoming>) -> Response<Answer> {
    let path = request.uri().path();
    let own = matches!(path, "/metrics" | "/v1/compress") || path.starts_with("/v1/retrieve/");
    if let Some(refusal) = own.then(|| state.access.own(&request)).flatten() {
        return refusal;
    }
    match (path, request.method()) {
        ("/healthz", &Method::GET) => return status::health(),
        ("/readyz", &Method::GET) => return status::ready(state).await,
        ("/metrics", &Method::GET) => return status::metrics(state),
        ("/v1/compress", &Method::POST) if !is_json(request.headers()) => {
            let what = "the body must be JSON\nhint: send content-type: application/json";
            return invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", what);
        }
        ("/v1/compress", &Method::POST) => return compress::respond(state, request).await,
        ("/v1/compress", _) => {
            let what = format!("{} /v1/compress\nhint: POST it", request.method());
            return invalid(StatusCode::METHOD_NOT_ALLOWED, "method", what);
        }
        (_, &Method::GET) if path.starts_with("/v1/retrieve/") => {
            let handle = path["/v1/retrieve/".len()..].to_owned();
            return retrieve::respond(state, &handle, request.headers()).await;
        }
        (_, &Method::CONNECT) => {
            return invalid(
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "this is no tunnel\nhint: use its address as the base url",
            );
        }
        _ => {}
    }
    let route = match (request.method(), path) {
        (&Method::POST, "/v1/chat/completions") => Route::Chat,
        (&Method::POST, "/v1/responses") => Route::Responses,
        (&Method::POST, "/v1/messages") => Route::Messages,
        _ => Route::Other,
    };
    if route != Route::Other && (state.gate.is_some() || state.on_served.is_some()) {
        // Usage is read from the answer as it passes.
        request.headers_mut().remove(ACCEPT_ENCODING);
    }
    if route == Route::Other || (state.gate.is_none() && !state.shrinker.reads(request.headers())) {
        return through(state, request, route).await;
    }
    shortened(state, request, route).await
}

/// Passes a request on as it comes.
async fn through(state: &Arc<State>, request: Request<Incoming>, route: Route) -> Response<Answer> {
    let (head, body) = request.into_parts();
    if let Some(bytes) = body.size_hint().exact().filter(|bytes| *bytes > state.max_body as u64) {
        return finished(
            state,
            route,
            too_large(state.max_body, Some(bytes)),
            Told::default(),
            Instant::now(),
            Instant::now(),
        );
    }
    let started = Instant::now();
    let body = if body.is_end_stream() {
        Either::Left(Full::default())
    } else {
        let end = Box::pin(tokio::time::sleep(state.body_timeout));
        Either::Right(Limited::new(Timed { body, end }, state.max_body))
    };
    let sent = Instant::now();
    let answer = state.upstream.send(head, body, state.max_body, &state.metrics).await;
    finished(state, route, answer, Told::default(), started, sent)
}

/// Reads a request's body, shortens it and passes it on.
async fn shortened(state: &Arc<State>, request: Request<Incoming>, route: Route) -> Response<Answer> {
    let (mut head, body) = request.into_parts();
    let body = match read(state, body).await {
        Ok(body) => body,
        Err(refusal) => {
            return finished(state, route, *refusal, Told::default(), Instant::now(), Instant::now());
        }
    };
    let started = Instant::now();
    let outcome = arms::outcome(&head.headers);
    let done = state.shrinker.body(body, &head.headers).await;
    let pass = match opened(state, &done.body, &head.headers).await {
        Ok(pass) => pass,
        Err(why) => return finished(state, route, refused(&why), Told::default(), started, Instant::now()),
    };
    let lesson = if state.learn { Lesson::of(done.model.as_deref(), &done.body) } else { None };
    if lesson.is_some() {
        // Usage is read from the answer as it passes.
        head.headers.remove(ACCEPT_ENCODING);
    }
    let sent = Instant::now();
    let body = Either::Left(Full::new(done.body));
    let answer = state.upstream.send(head, body, state.max_body, &state.metrics).await;
    let told = Told {
        figures: done.figures,
        unchanged: done.unchanged,
        arm: done.arm,
        outcome,
        model: done.model,
        pass,
        lesson,
    };
    finished(state, route, answer, told, started, sent)
}

/// Asks the gate for a call, where there is one. What is not read as a call of a model passes no gate.
async fn opened(state: &State, body: &Bytes, headers: &HeaderMap) -> Result<Option<Held>, Refused> {
    let Some(gate) = state.gate.clone() else { return Ok(None) };
    let (body, asked) = (body.clone(), headers.clone());
    let opened = tokio::task::spawn_blocking(move || {
        let call = std::str::from_utf8(&body).ok().and_then(|json| Call::read(json, &asked));
        let unread = "the body is no request of a model, so its cost is not known";
        let call = call.ok_or_else(|| Refused::Never(unread.to_owned()))?;
        Ok((gate.open(&call)?, call.most()))
    });
    let opened =
        opened.await.unwrap_or_else(|_| Err(Refused::Unknown("a bug ended the reservation".to_owned())));
    opened.map(Some)
}

fn refused(why: &Refused) -> Response<Answer> {
    let (status, kind, code, what) = why.parts();
    let mut answer = refuse(status, kind, code, what);
    if let Refused::Limit { wait, .. } = why {
        let seconds = wait.as_millis().div_ceil(1000);
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(60)));
    }
    answer
}

/// Listens to the answer. A provider that refuses bills nothing; a call without an answer may have been billed.
fn tapped(answer: Response<Answer>, mut tap: Tap, pass: Option<Held>) -> Response<Answer> {
    let (head, body) = answer.into_parts();
    let body = match body {
        Answer::Upstream(body, metrics, _) => {
            tap.listens = head.status.is_success() && tap.is_metered();
            match pass {
                Some((pass, _)) if !head.status.is_success() => pass.settle(&Usage::default()),
                pass => tap.pass = pass,
            }
            Answer::Upstream(body, metrics, Some(Box::new(tap)))
        }
        own @ Answer::Own(_) => {
            tap.pass = pass;
            own
        }
    };
    Response::from_parts(head, body)
}

/// A body within the limits of size and time.
async fn read(state: &State, body: Incoming) -> Result<Bytes, Box<Response<Answer>>> {
    let limit = state.max_body;
    if let Some(bytes) = body.size_hint().exact().filter(|bytes| *bytes > limit as u64) {
        return Err(Box::new(too_large(limit, Some(bytes))));
    }
    match tokio::time::timeout(state.body_timeout, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Box::new(too_large(limit, None))),
        Ok(Err(error)) => {
            let what = format!("the body ended early: {error}");
            Err(Box::new(invalid(StatusCode::BAD_REQUEST, "body_cut", what)))
        }
        Err(_) => Err(Box::new(too_slow())),
    }
}

/// What became of a request's body.
#[derive(Default)]
struct Told {
    figures: Option<Figures>,
    unchanged: Option<&'static str>,
    arm: Option<Arm>,
    outcome: Option<String>,
    model: Option<String>,
    pass: Option<Held>,
    lesson: Option<Lesson>,
}

/// What the gate let through, with its most.
type Held = (Box<dyn Pass>, Usage);

/// Says on the answer, in the metrics and to whoever listens what a request cost and saved.
fn finished(
    state: &State,
    route: Route,
    mut answer: Response<Answer>,
    told: Told,
    started: Instant,
    sent: Instant,
) -> Response<Answer> {
    let overhead = sent - started;
    let waited = sent.elapsed();
    let Told { figures, unchanged, arm, outcome, model, pass, lesson } = told;
    let tokens = figures.as_ref().map(|figures| (figures.tokens_before, figures.tokens_after));
    let headers = answer.headers_mut();
    if let Some((before, after)) = tokens {
        headers.insert(headers::TOKENS_BEFORE, HeaderValue::from(before));
        headers.insert(headers::TOKENS_AFTER, HeaderValue::from(after));
    }
    if let Some(arm) = arm {
        headers.insert(headers::ARM, HeaderValue::from_static(arm.as_str()));
    }
    let micros = u64::try_from(overhead.as_micros()).unwrap_or(u64::MAX);
    headers.insert(headers::OVERHEAD, HeaderValue::from(micros));
    state.metrics.served(route, tokens, overhead);
    if matches!(answer.body(), Answer::Upstream(..)) {
        state.metrics.answered(answer.status().as_u16(), waited);
    }
    let served = Served {
        route,
        status: answer.status().as_u16(),
        figures,
        unchanged,
        overhead,
        waited,
        took: waited,
        model,
        usage: None,
        micro_usd: None,
        arm,
        outcome,
    };
    let mut tap = Tap::new(&state.metrics, state.on_served.as_ref(), served, sent);
    tap.lesson = lesson;
    tapped(answer, tap, pass)
}
