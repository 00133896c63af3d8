//! An upstream that answers with given bytes and remembers what it was sent, and a client that sends given bytes.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use lacon_prompt::offload::MemoryStore;
use lacon_proxy::{Policy, Proxy, ProxyOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::JoinSet,
};

/// Longer than anything here takes: what hangs fails.
pub const LIMIT: Duration = Duration::from_secs(30);

/// One thing that the upstream does once it has read a request.
#[derive(Clone)]
pub enum Act {
    Write(Vec<u8>),
    /// Waits until the test says so.
    Gate(Arc<Notify>),
    /// Waits until the peer is gone, and says that it is.
    Gone(Arc<Notify>),
}

pub struct Sent {
    pub head: String,
    pub body: Vec<u8>,
}

impl Sent {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (n, value) = line.split_once(':')?;
            n.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Reads one message: head, and the body that its length or its chunks say. `None` at the end of the connection.
async fn read_message(socket: &mut TcpStream, pending: &mut Vec<u8>) -> Option<Sent> {
    let mut buffer = vec![0; 64 << 10];
    let end = loop {
        if let Some(at) = pending.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => pending.extend_from_slice(&buffer[..n]),
        }
    };
    let head = String::from_utf8(pending.drain(..end).collect()).unwrap();
    let mut sent = Sent { head, body: Vec::new() };
    let length = sent.header("content-length").map(|n| n.parse::<usize>().unwrap());
    let chunked = sent.header("transfer-encoding").is_some();
    loop {
        let whole = match length {
            Some(length) => pending.len() >= length,
            None if chunked => pending.ends_with(b"0\r\n\r\n"),
            None => true,
        };
        if whole {
            break;
        }
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(n) => pending.extend_from_slice(&buffer[..n]),
        }
    }
    sent.body = std::mem::take(pending);
    Some(sent)
}

pub struct World {
    pub proxy: SocketAddr,
    pub seen: Arc<Mutex<Vec<Sent>>>,
    pub tasks: JoinSet<()>,
    pub stop: Option<oneshot::Sender<()>>,
}

/// A small answer.
pub fn ok() -> Vec<Act> {
    answer(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
}

pub fn answer(bytes: &[u8]) -> Vec<Act> {
    vec![Act::Write(bytes.to_vec())]
}

impl World {
    /// An upstream that does the same for each request, then closes the connection, and a proxy before it.
    pub async fn new(acts: Vec<Act>, policy: Policy) -> Self {
        Self::with(acts, policy, |_| {}).await
    }

    pub async fn with(acts: Vec<Act>, policy: Policy, change: impl FnOnce(&mut ProxyOptions)) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", upstream.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let log = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut socket, _)) = upstream.accept().await {
                let (acts, log) = (acts.clone(), Arc::clone(&log));
                connections.spawn(async move {
                    let Some(sent) = read_message(&mut socket, &mut Vec::new()).await else { return };
                    log.lock().unwrap().push(sent);
                    for act in acts {
                        match act {
                            Act::Write(bytes) => socket.write_all(&bytes).await.unwrap(),
                            Act::Gate(gate) => gate.notified().await,
                            Act::Gone(gone) => {
                                while !matches!(socket.read(&mut [0; 64]).await, Ok(0) | Err(_)) {}
                                gone.notify_one();
                            }
                        }
                    }
                });
            }
        });
        let store = Box::new(MemoryStore::new([7; 32], 1 << 24));
        let mut options = ProxyOptions::new(url, policy, store);
        change(&mut options);
        let proxy = Proxy::new(options).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        tasks.spawn(async move {
            let stopped = async {
                // A test that ends without saying stop is dropped with everything.
                if stopped.await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            proxy.serve(listener, stopped).await.unwrap();
        });
        Self { proxy: address, seen, tasks, stop: Some(stop) }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.proxy).await.unwrap()
    }

    /// Sends bytes and reads until the proxy closes the connection.
    pub async fn raw(&self, request: &[u8]) -> Vec<u8> {
        let mut socket = self.connect().await;
        // A refusal may come before all was sent.
        let _ = socket.write_all(request).await;
        let mut all = Vec::new();
        let _ = tokio::time::timeout(LIMIT, socket.read_to_end(&mut all)).await.expect("the connection ends");
        all
    }

    /// One request on a connection of its own.
    pub async fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Got {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        Got::parse(&self.raw(&request).await)
    }

    pub async fn post(&self, path: &str, body: &str) -> Got {
        self.send("POST", path, "content-type: application/json\r\n", body.as_bytes()).await
    }

    /// Body of the last request that the upstream saw.
    pub fn last(&self) -> String {
        String::from_utf8(self.seen.lock().unwrap().last().expect("a request came").body.clone()).unwrap()
    }
}

/// An answer.
pub struct Got {
    pub status: u16,
    sent: Sent,
}

impl Got {
    pub fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("an answer") + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, sent: Sent { head, body: bytes[end..].to_vec() } }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.sent.header(name)
    }

    pub fn body(&self) -> &[u8] {
        &self.sent.body
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(self.body()).unwrap()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(self.body()).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// A refusal as OpenAI's clients read it.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str, message: &str) {
        let error = &self.json()["error"];
        assert_eq!((self.status, error["code"].as_str()), (status, Some(code)), "{error}");
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
        assert!(error["type"].is_string(), "{error}");
    }
}

/// Material that a table is shorter for.
pub fn rows(n: usize) -> String {
    let row = |i| serde_json::json!({"ticker": format!("T{i}"), "price": i * 3, "venue": "XNAS"});
    serde_json::Value::Array((0..n).map(row).collect()).to_string()
}

/// An opaque run.
pub fn blob() -> String {
    (0..600u32)
        .map(|i| char::from(b"aB3xYz9QkL+/mN7p0RtUvW2CdEfGh"[(i * i % 29 + i % 3) as usize % 29]))
        .collect()
}

/// The chunks of a chunked body, joined; whether the last one said that it is the last.
pub fn dechunk(mut body: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    loop {
        let Some(end) = body.windows(2).position(|w| w == b"\r\n") else { return (out, false) };
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return (out, true);
        }
        let chunk = &body[end + 2..];
        out.extend_from_slice(&chunk[..size.min(chunk.len())]);
        if chunk.len() < size + 2 {
            return (out, false);
        }
        body = &chunk[size + 2..];
    }
}
