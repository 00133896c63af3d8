//! The world on loopback: vendors under `/<vendor>/…`, the model under `/v1`, `/v1beta` and `/api`, tools under
//! `/sim/tools/<tool>`.
//!
//! A fault is asked for by the header `x-sim-fault`, by a path that begins with `/fault/<fault>`, or hits the share of answers that
//! the plan says. Connections are tasks of one set that ends with the server.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body_util::{BodyExt, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request as HttpRequest, Response as HttpResponse,
    body::{Frame, Incoming as IncomingBody},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use lacon_llm::{Client, StreamEvent, Tags};
use lacon_market::{Semantics, answer, vendor::Vendor};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};

use crate::{
    Fault, FaultPlan, SimClient, SimOptions, World,
    client::draw,
    models::{self, Incoming},
    tool_seconds,
    vendors::{self, Question, Reply},
};

/// The largest request body.
const MAX_REQUEST: usize = 32 << 20;
/// How long the first half of a cut answer is given to leave.
const FLUSH: Duration = Duration::from_millis(5);
/// The longest silence of a stalled answer.
const STALL: Duration = Duration::from_secs(600);

/// How the world is served.
#[derive(Debug)]
pub struct ServeOptions {
    /// The companies.
    pub world: Arc<World>,
    /// The model; its own faults are left to `faults`.
    pub sim: SimOptions,
    /// What goes wrong by chance.
    pub faults: FaultPlan,
}

struct State {
    world: Arc<World>,
    client: SimClient,
    sim: SimOptions,
    faults: FaultPlan,
    served: AtomicU64,
}

type Body = UnsyncBoxBody<Bytes, Broken>;

/// Ends a connection in the middle of an answer.
#[derive(Debug, thiserror::Error)]
#[error("simulated: the connection breaks")]
struct Broken;

/// Serves until the future is dropped.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(listener: TcpListener, options: ServeOptions) -> std::io::Error {
    let ServeOptions { world, sim, faults } = options;
    let state =
        Arc::new(State { world, client: SimClient::new(sim), sim, faults, served: AtomicU64::new(0) });
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            // A peer that left before it was accepted is no reason to stop; running out of files is one to wait.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => continue,
            Err(error) if error.raw_os_error() == Some(24) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            Err(error) => return error,
        };
        let _ = socket.set_nodelay(true);
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let state = Arc::clone(&state);
                async move { state.respond(request).await }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// A server on a thread of its own, for tests; it ends when this is dropped.
#[derive(Debug)]
pub struct Background {
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Background {
    /// Starts a server on a free port of the loopback address.
    ///
    /// # Errors
    /// When no port or no thread can be had.
    pub fn start(options: ServeOptions) -> std::io::Result<Self> {
        let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new().name("lacon-sim".into()).spawn(move || {
            runtime.block_on(async {
                if let Ok(listener) = TcpListener::from_std(socket) {
                    let serving = std::pin::pin!(serve(listener, options));
                    let _ = futures_util::future::select(serving, stopped).await;
                }
            });
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// The address, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl State {
    async fn respond(&self, request: HttpRequest<IncomingBody>) -> Result<HttpResponse<Body>, Broken> {
        let n = self.served.fetch_add(1, Ordering::Relaxed);
        let (head, body) = request.into_parts();
        let path = vendors::decode(head.uri.path());
        let (fault, path) = match path.strip_prefix("/fault/").and_then(|r| r.split_once('/')) {
            Some((fault, rest)) => (fault.parse().map(Some), format!("/{rest}")),
            None => match head.headers.get("x-sim-fault").and_then(|v| v.to_str().ok()) {
                Some(fault) => (fault.parse().map(Some), path),
                None => {
                    let role = head.headers.get("x-lacon-role").and_then(|v| v.to_str().ok());
                    let place = role.unwrap_or_else(|| path.split('/').nth(1).unwrap_or_default());
                    let u = draw(self.sim.seed, &format!("served/{n}"));
                    (Ok(self.faults.draw(u, place)), path)
                }
            },
        };
        let fault: Option<Fault> = match fault {
            Ok(fault) => fault,
            Err(message) => {
                return Ok(whole(
                    400,
                    "application/json",
                    &[],
                    json!({"error": message}).to_string().into_bytes(),
                ));
            }
        };
        let body = match Limited::new(body, MAX_REQUEST).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => {
                return Ok(whole(
                    413,
                    "application/json",
                    &[],
                    b"{\"error\": \"request too large\"}".to_vec(),
                ));
            }
        };
        if fault == Some(Fault::Drop) {
            return Err(Broken);
        }
        if let Some(Fault::Slow(seconds)) = fault {
            self.wait(seconds).await;
        }
        if fault == Some(Fault::Endless) {
            return Ok(endless());
        }
        if path.ends_with("/embeddings") {
            return Ok(match models::embeddings(&body) {
                Ok(answer) => whole(200, "application/json", &[], answer.to_string().into_bytes()),
                Err(message) => {
                    let refusal = models::refusal(models::Dialect::Chat, 400, &message);
                    whole(400, "application/json", &[], refusal.to_string().into_bytes())
                }
            });
        }
        if let Some((dialect, model, stream)) = models::dialect_of(&path) {
            let header = |name: &str| {
                head.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
            };
            let tags = Tags {
                run: header("x-lacon-run"),
                role: header("x-lacon-role"),
                labels: [("ticker".to_owned(), header("x-lacon-ticker"))].into(),
            };
            return Ok(match models::read(dialect, model, stream, tags, &body) {
                Err(message) => whole(
                    400,
                    "application/json",
                    &[],
                    models::refusal(dialect, 400, &message).to_string().into_bytes(),
                ),
                Ok(incoming) if incoming.wants_search => {
                    let ask = self.question(&head, "/responses", &body);
                    self.vendor(Vendor::WebSearch, &ask, fault, n).await
                }
                Ok(incoming) => self.model(incoming, fault).await,
            });
        }
        if let Some((vendor, rest)) = vendors::split_path(&path) {
            let ask = self.question(&head, rest, &body);
            return Ok(self.vendor(vendor, &ask, fault, n).await);
        }
        if let Some(tool) = path.strip_prefix("/sim/tools/") {
            self.wait(tool_seconds(tool, draw(self.sim.seed, &format!("tool/{n}")))).await;
            let (status, value) = self.tool(tool, &body);
            return Ok(whole(status, "application/json", &[], value.to_string().into_bytes()));
        }
        let value = match path.trim_end_matches('/') {
            "" => self.about(),
            p if p.ends_with("/models") => {
                json!({"object": "list", "data": [{"id": "simulated", "object": "model"}]})
            }
            "/api/tags" => json!({"models": [{"name": "simulated", "model": "simulated"}]}),
            _ => {
                let what = json!({"error": format!("nothing stands at {path}")});
                return Ok(whole(404, "application/json", &[], what.to_string().into_bytes()));
            }
        };
        Ok(whole(200, "application/json", &[], value.to_string().into_bytes()))
    }

    fn about(&self) -> Value {
        json!({
            "simulated": true, "seed": self.world.seed(), "last_day": self.world.today().to_string(),
            "models": ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1beta/models/{model}:generateContent", "/api/chat"],
            "vendors": Vendor::ALL.iter().map(|v| format!("/{v}")).collect::<Vec<_>>(),
            "tools": "/sim/tools/{tool}", "special_symbols": ["NEWCO", "GONE", "STALE", "ZZ…"],
        })
    }

    async fn wait(&self, seconds: f64) {
        tokio::time::sleep(Duration::from_secs_f64((seconds * self.sim.time_scale).clamp(0.0, 3600.0))).await;
    }

    fn question(&self, head: &hyper::http::request::Parts, path: &str, body: &Bytes) -> Question {
        Question {
            post: head.method == hyper::Method::POST,
            path: path.to_owned(),
            query: vendors::read_query(head.uri.query().unwrap_or_default()),
            headers: head
                .headers
                .iter()
                .map(|(n, v)| (n.as_str().to_owned(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
                .collect(),
            body: body.to_vec(),
        }
    }

    async fn vendor(
        &self,
        vendor: Vendor,
        ask: &Question,
        fault: Option<Fault>,
        n: u64,
    ) -> HttpResponse<Body> {
        let u = if self.sim.noise { draw(self.sim.seed, &format!("vendor/{vendor}/{n}")) } else { 0.5 };
        self.wait(match vendor {
            Vendor::WebSearch => tool_seconds("get_stock_news_openai", u),
            _ => tool_seconds("get_google_news", u) / 4.0,
        })
        .await;
        let mut reply = match fault {
            Some(Fault::ErrorInside) => vendors::error_inside(vendor),
            Some(Fault::Consent) => vendors::consent_first(vendor, ask)
                .unwrap_or_else(|| vendors::reply(&self.world, vendor, ask)),
            _ => vendors::reply(&self.world, vendor, ask),
        };
        if fault.is_none() && reply.status == 200 && !ask.post {
            let tag = format!("\"{}\"", &blake3::hash(&reply.body).to_hex()[..16]);
            let known = ask.headers.iter().any(|(n, v)| n == "if-none-match" && *v == tag);
            reply.headers.push(("etag", tag));
            if known {
                reply = Reply { status: 304, body: Vec::new(), ..reply };
            }
        }
        broken(reply, fault)
    }

    async fn model(&self, incoming: Incoming, fault: Option<Fault>) -> HttpResponse<Body> {
        let dialect = incoming.dialect;
        let json_reply = |status: u16, value: &Value| Reply {
            status,
            content_type: "application/json",
            headers: Vec::new(),
            body: value.to_string().into_bytes(),
        };
        match fault {
            Some(Fault::Status(status, wait)) => {
                let mut reply = json_reply(status, &models::refusal(dialect, status, "simulated refusal"));
                reply.headers.extend(wait.map(|w| ("retry-after", w.to_string())));
                return broken(reply, None);
            }
            Some(Fault::ErrorInside) => {
                return broken(
                    json_reply(200, &models::refusal(dialect, 200, "simulated error inside")),
                    None,
                );
            }
            Some(Fault::Html | Fault::BadJson) => return broken(json_reply(200, &json!({})), fault),
            _ => {}
        }
        if !incoming.stream {
            return match self.client.complete(&incoming.request, &lacon_llm::ignore_events).await {
                Ok(answer) => broken(json_reply(200, &models::whole(&incoming, &answer)), fault),
                Err(error) => broken(json_reply(500, &models::refusal(dialect, 500, error.message())), None),
            };
        }
        let stream = self.streamed(incoming, fault);
        respond(200, models::stream_type(dialect), &[], StreamBody::new(stream).boxed_unsync())
    }

    /// The answer as the model writes it. The stream drives the model: when the reader leaves, the model stops.
    fn streamed(
        &self,
        incoming: Incoming,
        fault: Option<Fault>,
    ) -> impl Stream<Item = Result<Frame<Bytes>, Broken>> + use<> {
        let (send, mut receive) = mpsc::unbounded_channel::<Bytes>();
        // A client of its own would forget the prefixes that were sent: the shared one is asked through its handle.
        let client = self.client.clone();
        let mut work: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = Some(Box::pin(async move {
            let put = |text: String| {
                if !text.is_empty() {
                    let _ = send.send(Bytes::from(text));
                }
            };
            put(models::opening(&incoming));
            let first = std::sync::atomic::AtomicBool::new(true);
            let on_event = |event: StreamEvent<'_>| {
                if let StreamEvent::Delta(text) = event {
                    put(models::delta(&incoming, text, first.swap(false, Ordering::Relaxed)));
                }
            };
            match client.complete(&incoming.request, &on_event).await {
                Ok(answer) => put(models::closing(&incoming, &answer)),
                Err(error) => {
                    put(format!("data: {}\n\n", models::refusal(incoming.dialect, 500, error.message())))
                }
            }
        }));
        let mut left = match fault {
            Some(Fault::Cut | Fault::Stall | Fault::Length) => 6,
            _ => usize::MAX,
        };
        let mut stall = None;
        stream::poll_fn(move |context| {
            use std::task::Poll;
            if left == 0 {
                let silence = if fault == Some(Fault::Stall) { STALL } else { FLUSH };
                let sleep = stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(silence)));
                if sleep.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                return Poll::Ready(Some(Err(Broken)));
            }
            if let Some(running) = &mut work
                && running.as_mut().poll(context).is_ready()
            {
                work = None;
            }
            receive.poll_recv(context).map(|part| {
                left = left.saturating_sub(usize::from(left != usize::MAX));
                part.map(|bytes| Ok(Frame::data(bytes)))
            })
        })
    }

    /// A tool's answer from the world, for `--tools-url`.
    fn tool(&self, tool: &str, body: &[u8]) -> (u16, Value) {
        let Ok(Value::Object(arguments)) = serde_json::from_slice::<Value>(body) else {
            return (400, json!({"error": "the body is no JSON object"}));
        };
        let named = arguments.get("symbol").or_else(|| arguments.get("ticker")).and_then(Value::as_str);
        let symbol = named.unwrap_or("SPY");
        let data = self.world.dataset(symbol);
        match answer(&data, tool, &arguments, self.world.today(), Semantics::Standard) {
            Ok(answer) => (200, json!({"name": tool, "text": answer.text()})),
            Err(error) => (400, json!({"error": error.to_string()})),
        }
    }
}

fn respond(
    status: u16,
    content_type: &str,
    headers: &[(&'static str, String)],
    body: Body,
) -> HttpResponse<Body> {
    let mut response = HttpResponse::new(body);
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::OK);
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = value.parse() {
            response.headers_mut().append(name, value);
        }
    };
    put("content-type", content_type);
    headers.iter().for_each(|(name, value)| put(name, value));
    response
}

fn whole(
    status: u16,
    content_type: &str,
    headers: &[(&'static str, String)],
    body: Vec<u8>,
) -> HttpResponse<Body> {
    let body = Full::new(Bytes::from(body)).map_err(|never: Infallible| match never {}).boxed_unsync();
    respond(status, content_type, headers, body)
}

/// A body that never ends, in pieces of 64 KiB.
fn endless() -> HttpResponse<Body> {
    let piece = Bytes::from(vec![b'7'; 64 << 10]);
    let stream = stream::repeat_with(move || Ok(Frame::data(piece.clone())));
    respond(200, "application/json", &[], StreamBody::new(stream).boxed_unsync())
}

/// Half of a body, then silence or the end of the connection.
fn half(reply: &Reply, stall: bool) -> HttpResponse<Body> {
    let head = Bytes::copy_from_slice(&reply.body[..reply.body.len() / 2]);
    let rest = stream::once(async move {
        // Without a moment to send the first half, the reader would see a connection that ends before any answer.
        tokio::time::sleep(if stall { STALL } else { FLUSH }).await;
        Err(Broken)
    });
    let stream = stream::StreamExt::chain(stream::iter([Ok(Frame::data(head))]), rest);
    let mut headers = reply.headers.clone();
    headers.push(("content-length", reply.body.len().to_string()));
    respond(reply.status, reply.content_type, &headers, StreamBody::new(stream).boxed_unsync())
}

/// Puts a fault on a reply.
fn broken(reply: Reply, fault: Option<Fault>) -> HttpResponse<Body> {
    let Reply { status, content_type, headers, body } = reply.clone();
    match fault {
        None | Some(Fault::ErrorInside | Fault::Consent | Fault::Slow(_) | Fault::Drop | Fault::Endless) => {
            whole(status, content_type, &headers, body)
        }
        Some(Fault::Status(status, wait)) => {
            let headers: Vec<_> = wait.map(|w| ("retry-after", w.to_string())).into_iter().collect();
            whole(status, "application/json", &headers, b"{\"error\": \"simulated\"}".to_vec())
        }
        Some(Fault::Stall) => half(&reply, true),
        Some(Fault::Cut) => half(&reply, false),
        Some(Fault::BadJson) => whole(status, content_type, &headers, b"{\"unfinished\": [1, 2".to_vec()),
        Some(Fault::Html) => {
            let page =
                "<!doctype html><html><head><title>Log in</title></head><body>Please log in.</body></html>";
            whole(200, "text/html", &[], page.into())
        }
        Some(Fault::Length) => {
            // The rest of the body is never sent: a reader that believes the length has half of it.
            let short = body[..body.len() / 2].to_vec();
            whole(status, content_type, &headers, short)
        }
        Some(Fault::Nul) => {
            let text =
                String::from_utf8_lossy(&body).replace(": \"", ": \"\\u0000").replace(":\"", ":\"\\u0000");
            whole(status, content_type, &headers, text.into_bytes())
        }
        Some(Fault::Latin1) => {
            let mut bytes = body;
            let at = bytes.iter().position(|b| b.is_ascii_lowercase()).unwrap_or(0);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = 0xe9;
            }
            whole(status, content_type, &headers, bytes)
        }
    }
}
