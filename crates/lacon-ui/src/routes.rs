//! The answers of the server: the page, and JSON for it.

use std::{convert::Infallible, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use http_body_util::{Either, Full, StreamBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Frame},
    header::{self, HeaderName, HeaderValue},
};
use lacon_monitor::compare::compare;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    Options, detail, export,
    library::{Library, Loaded},
};

/// The page's own files. The order of the scripts is that of a page with all of them inside.
pub const ASSETS: [(&str, &str); 8] = [
    ("/index.html", include_str!("../page/index.html")),
    ("/ui.css", include_str!("../page/ui.css")),
    ("/base.js", include_str!("../page/base.js")),
    ("/list.js", include_str!("../page/list.js")),
    ("/waterfall.js", include_str!("../page/waterfall.js")),
    ("/run.js", include_str!("../page/run.js")),
    ("/compare.js", include_str!("../page/compare.js")),
    ("/start.js", include_str!("../page/start.js")),
];

/// What the page may load: its own files, and what the server answers.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Silence after which an empty event is sent: writing it shows whether the browser is still connected.
const STILL_HERE: Duration = Duration::from_secs(15);

/// An answer's body.
pub type Answer = Either<Full<Bytes>, StreamBody<Events>>;

/// Events as they come.
pub type Events = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

/// What the connections share.
pub struct Site {
    /// The folder's runs.
    pub library: Arc<Library>,
    /// Counts changes of the library.
    pub version: watch::Sender<u64>,
    /// The proxy whose metrics are shown.
    pub proxy: Option<SocketAddr>,
    /// Its token.
    pub proxy_token: Option<String>,
    /// What it said last.
    pub proxy_state: watch::Sender<Option<Value>>,
    token: String,
    hosts: [String; 2],
}

impl Site {
    /// The state of a server that listens on `address`.
    pub fn new(options: Options, address: SocketAddr) -> Self {
        Self {
            library: Arc::new(Library::new(options.folder, options.read, options.scorers)),
            version: watch::Sender::new(0),
            proxy: options.proxy,
            proxy_token: options.proxy_token,
            proxy_state: watch::Sender::new(None),
            token: options.token,
            hosts: [address.to_string(), format!("localhost:{}", address.port())],
        }
    }

    /// Why a request is none of our page's. A page from elsewhere reaches any address, but names its own host or origin
    /// and does not know the token.
    fn refusal<B>(&self, request: &Request<B>) -> Option<(StatusCode, &'static str)> {
        let text = |name: HeaderName| request.headers().get(name).map(|v| v.to_str().unwrap_or("?"));
        let is_ours = |host: &str| self.hosts.iter().any(|ours| ours == host);
        if !text(header::HOST).is_some_and(is_ours) {
            return Some((StatusCode::MISDIRECTED_REQUEST, "the host is not this server"));
        }
        let is_own_page = |origin: &str| origin.strip_prefix("http://").is_some_and(is_ours);
        if text(header::ORIGIN).is_some_and(|origin| !is_own_page(origin)) {
            return Some((StatusCode::FORBIDDEN, "a page from elsewhere may not ask"));
        }
        if request.method() != Method::GET {
            return Some((StatusCode::METHOD_NOT_ALLOWED, "only GET is answered"));
        }
        let is_asset = ASSETS.iter().any(|(name, _)| *name != "/index.html" && *name == request.uri().path());
        let given = text(HeaderName::from_static("x-lacon-token")).or_else(|| query(request, "token"));
        if !is_asset && !given.is_some_and(|given| same(given, &self.token)) {
            return Some((
                StatusCode::UNAUTHORIZED,
                "the token is missing or wrong\nhint: open the address that lacon ui printed",
            ));
        }
        None
    }
}

/// Compares in a time that does not tell how much is right.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

fn query<'a, B>(request: &'a Request<B>, key: &str) -> Option<&'a str> {
    let pairs = request.uri().query()?.split('&');
    pairs.filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == key).map(|(_, value)| value)
}

fn full(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Answer> {
    let mut answer = Response::new(Either::Left(Full::new(body.into())));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    answer
}

fn error(status: StatusCode, why: &str) -> Response<Answer> {
    full(status, "application/json", json!({"error": why}).to_string())
}

fn data(value: &Value) -> Response<Answer> {
    full(StatusCode::OK, "application/json", value.to_string())
}

/// Answers a request.
pub async fn answer<B: Body>(site: Arc<Site>, request: Request<B>) -> Result<Response<Answer>, Infallible> {
    if let Some((status, why)) = site.refusal(&request) {
        return Ok(error(status, why));
    }
    let path = request.uri().path();
    let path = if path == "/" { "/index.html" } else { path };
    if let Some((name, text)) = ASSETS.iter().find(|(name, _)| *name == path) {
        let kind = match name.rsplit('.').next() {
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            _ => "text/html; charset=utf-8",
        };
        return Ok(full(StatusCode::OK, kind, *text));
    }
    if path == "/api/events" {
        return Ok(events(&site));
    }
    // Everything else reads files or analyzes: not on the thread that answers others.
    let (a, b) = (query(&request, "a").map(str::to_owned), query(&request, "b").map(str::to_owned));
    let path = path.to_owned();
    let working = tokio::task::spawn_blocking(move || answered(&site, &path, a.as_deref(), b.as_deref()));
    Ok(working.await.unwrap_or_else(|_| error(StatusCode::INTERNAL_SERVER_ERROR, "this run cannot be shown")))
}

fn answered(site: &Site, path: &str, a: Option<&str>, b: Option<&str>) -> Response<Answer> {
    let missing = || error(StatusCode::NOT_FOUND, "there is no such run");
    let load = |id: &str| -> Option<Arc<Loaded>> { site.library.load(id) };
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["api", "runs"] => data(&site.library.list()),
        ["api", "runs", id] => match (load(id), site.library.row_of(id)) {
            (Some(run), Some(row)) => {
                data(&detail::run(&row, &run.trace, &run.analysis, &detail::rewrites(&run.file)))
            }
            _ => missing(),
        },
        ["api", "runs", id, "spans", i] => {
            let span =
                load(id).and_then(|run| Some(detail::span(run.trace.spans.get(i.parse::<usize>().ok()?)?)));
            span.map_or_else(missing, |span| data(&span))
        }
        ["api", "compare"] => match (a.and_then(load), b.and_then(load)) {
            (Some(a), Some(b)) => {
                let [a, b] = [&a, &b].map(|run| std::slice::from_ref(&run.trace));
                match compare(a, b, site.library.scorers) {
                    Ok(found) => data(&json!(found)),
                    Err(why) => error(StatusCode::UNPROCESSABLE_ENTITY, &why),
                }
            }
            _ => missing(),
        },
        ["export", name] => {
            let id = name.trim_end_matches(".html");
            match (load(id), site.library.row_of(id)) {
                (Some(run), Some(row)) => {
                    let detail = detail::run(&row, &run.trace, &run.analysis, &detail::rewrites(&run.file));
                    let mut answer = full(
                        StatusCode::OK,
                        "text/html; charset=utf-8",
                        export::with(&row, &detail, &run.trace),
                    );
                    answer.headers_mut().insert(
                        header::CONTENT_DISPOSITION,
                        HeaderValue::from_static("attachment; filename=\"run.html\""),
                    );
                    answer
                }
                _ => missing(),
            }
        }
        _ => error(StatusCode::NOT_FOUND, "there is nothing here"),
    }
}

/// Server-sent events: `runs` when the list has changed, `proxy` with its metrics. They end with the connection.
fn events(site: &Site) -> Response<Answer> {
    let (mut version, proxy) = (site.version.subscribe(), site.proxy_state.subscribe());
    version.mark_changed();
    let told = unfold((version, proxy), async |(mut version, mut proxy)| {
        let text = tokio::select! {
            changed = version.changed() => {
                changed.ok()?;
                format!("event: runs\ndata: {}\n\n", *version.borrow_and_update())
            }
            changed = proxy.changed() => {
                changed.ok()?;
                let state = proxy.borrow_and_update().clone().unwrap_or_default();
                format!("event: proxy\ndata: {state}\n\n")
            }
            () = tokio::time::sleep(STILL_HERE) => ":\n\n".to_owned(),
        };
        Some((Ok(Frame::data(Bytes::from(text))), (version, proxy)))
    });
    let mut answer = full(StatusCode::OK, "text/event-stream", "");
    *answer.body_mut() = Either::Right(StreamBody::new(Box::pin(told)));
    answer
}
