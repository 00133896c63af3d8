//! A server on loopback that plays scripts: one script per request, byte by byte as the test wants it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use lacon_llm::{Protocol, Provider, ProviderOptions, Secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// One thing the server does.
#[derive(Debug, Clone)]
pub enum Step {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Says nothing more until the client goes away.
    Stall,
    /// Closes the connection in good order.
    Close,
    /// Resets the connection.
    Reset,
}

/// What a client sent.
#[derive(Debug, Clone)]
pub struct Received {
    pub head: String,
    pub body: String,
}

impl Received {
    /// Returns a header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Default)]
struct State {
    scripts: VecDeque<Vec<Step>>,
    received: Vec<Received>,
    connections: usize,
    /// Connections that the client closed while the server stalled.
    left: usize,
}

/// The server; it stops when dropped.
pub struct Server {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Starts a server that plays the scripts in order, whatever the connection, and then stalls.
    pub async fn start(scripts: impl IntoIterator<Item = Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state =
            Arc::new(Mutex::new(State { scripts: scripts.into_iter().collect(), ..State::default() }));
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&state);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state, _tasks: tasks }
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.lock().unwrap().received.clone()
    }

    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    /// Waits until `n` clients have gone away from a stalled answer.
    pub async fn wait_for_left(&self, n: usize) {
        while self.state.lock().unwrap().left < n {
            tokio::task::yield_now().await;
        }
    }

    pub fn provider(&self, change: impl FnOnce(&mut ProviderOptions)) -> Provider {
        self.provider_of(Protocol::Chat, change)
    }

    pub fn provider_of(&self, protocol: Protocol, change: impl FnOnce(&mut ProviderOptions)) -> Provider {
        let mut options = ProviderOptions {
            base_url: self.base_url(),
            key: Secret::new("sk-test-secret"),
            ..ProviderOptions::default()
        };
        change(&mut options);
        Provider::new(protocol, options).unwrap()
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut buffer = Vec::new();
    while let Some(received) = read_request(&mut stream, &mut buffer).await {
        let script = {
            let mut state = state.lock().unwrap();
            state.received.push(received);
            state.scripts.pop_front().unwrap_or_else(|| vec![Step::Stall])
        };
        for step in script {
            match step {
                Step::Send(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                    stream.flush().await.unwrap();
                    tokio::task::yield_now().await;
                }
                Step::Stall => {
                    let _ = stream.read(&mut [0; 64]).await;
                    state.lock().unwrap().left += 1;
                    return;
                }
                Step::Close => return,
                Step::Reset => {
                    stream.set_zero_linger().unwrap();
                    return;
                }
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
                })
                .unwrap_or(0usize);
            let total = end + 4 + length;
            if buffer.len() >= total {
                let body = String::from_utf8(buffer[end + 4..total].to_vec()).unwrap();
                buffer.drain(..total);
                return Some(Received { head, body });
            }
        }
        let mut chunk = [0; 8192];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => buffer.extend_from_slice(&chunk[..n]),
        }
    }
}

/// A whole answer with a status, headers and a body.
pub fn answer(status: u16, headers: &str, body: &str) -> Vec<Step> {
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    vec![Step::Send([head.as_bytes(), body.as_bytes()].concat())]
}

/// The head of a stream.
pub fn stream_head() -> Step {
    Step::Send(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(),
    )
}

/// One chunk of a stream.
pub fn chunk(bytes: impl AsRef<[u8]>) -> Step {
    let bytes = bytes.as_ref();
    let mut sent = format!("{:x}\r\n", bytes.len()).into_bytes();
    sent.extend_from_slice(bytes);
    sent.extend_from_slice(b"\r\n");
    Step::Send(sent)
}

/// One event of a stream.
pub fn event(data: &str) -> Step {
    chunk(format!("data: {data}\n\n"))
}

/// The end of a stream.
pub fn stream_end() -> Step {
    Step::Send(b"0\r\n\r\n".to_vec())
}

/// A chunk that adds text.
pub fn text_event(text: &str) -> Step {
    let delta = serde_json::json!({"id": "c1", "model": "m-1", "choices": [{"index": 0, "delta": {"content": text}}]});
    event(&delta.to_string())
}

/// A chunk that ends the answer.
pub fn finish_event(reason: &str) -> Step {
    event(&serde_json::json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}).to_string())
}

/// A whole stream that says `text`.
pub fn good_stream(text: &str) -> Vec<Step> {
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":2000,"completion_tokens":300,"total_tokens":2300,"prompt_tokens_details":{"cached_tokens":1536},"completion_tokens_details":{"reasoning_tokens":120}}}"#;
    let mut steps = vec![stream_head()];
    steps.extend(text.split_inclusive(' ').map(text_event));
    steps.extend([finish_event("stop"), event(usage), event("[DONE]"), stream_end()]);
    steps
}
