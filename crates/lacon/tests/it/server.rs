//! A small OpenAI-compatible server on loopback that plays one kind of answer per role.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

/// What the server does with a call.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Streams this text and ends properly.
    Text(String),
    /// Answers with this status and a JSON error.
    Status(u16),
    /// Answers 200 with a web page.
    Html,
    /// Streams half of an answer and closes the connection.
    Cut,
    /// Ends properly without any text.
    Empty,
    /// Answers whole, and bills so many tokens of prompt.
    Billed(i64),
    /// Takes this long, then answers.
    Slow(Duration),
}

pub type Decide = dyn Fn(&str) -> Reply + Send + Sync;

/// Starts the server; it ends with the test process. Gives the base URL.
pub fn start(decide: impl Fn(&str) -> Reply + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let decide: Arc<Decide> = Arc::new(decide);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let decide = Arc::clone(&decide);
            std::thread::spawn(move || serve(stream, &*decide));
        }
    });
    url
}

fn serve(stream: TcpStream, decide: &Decide) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let mut head = String::new();
        let (mut length, mut role) = (0, String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let lower = line.to_lowercase();
            if let Some(n) = lower.strip_prefix("content-length:") {
                length = n.trim().parse().ok()?;
            }
            if let Some(r) = lower.strip_prefix("x-lacon-role:") {
                role = r.trim().to_owned();
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        if head.starts_with("GET") {
            whole(&mut stream, 200, "application/json", r#"{"object":"list","data":[{"id":"m"}]}"#)?;
            continue;
        }
        match decide(&role) {
            Reply::Text(text) => sse(&mut stream, &text, true)?,
            Reply::Empty => sse(&mut stream, "", true)?,
            Reply::Cut => {
                sse(&mut stream, "half of an answer", false)?;
                return None;
            }
            Reply::Html => {
                whole(&mut stream, 200, "text/html", "<!doctype html><html><body>Login</body></html>")?
            }
            Reply::Status(status) => {
                let error = r#"{"error":{"message":"refused","type":"invalid_request_error","code":"x"}}"#;
                whole(&mut stream, status, "application/json", error)?;
            }
            Reply::Billed(tokens) => {
                let usage = serde_json::json!({"prompt_tokens": tokens, "completion_tokens": 1});
                let answer = serde_json::json!({"choices": [], "usage": usage});
                whole(&mut stream, 200, "application/json", &answer.to_string())?;
            }
            Reply::Slow(wait) => {
                let _ = stream.set_read_timeout(Some(wait));
                // Waits, but notices when the client goes away.
                let _ = reader.fill_buf();
                sse(&mut stream, &format!("{role} is late. Recommendation: HOLD"), true)?;
            }
        }
    }
}

fn whole(stream: &mut TcpStream, status: u16, kind: &str, body: &str) -> Option<()> {
    write!(
        stream,
        "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .ok()
}

fn sse(stream: &mut TcpStream, text: &str, finish: bool) -> Option<()> {
    let mut body = String::new();
    let chunk = |delta: &str, reason: &str| {
        format!(
            "data: {{\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{reason}}}]}}\n\n"
        )
    };
    if !text.is_empty() {
        body.push_str(&chunk(&serde_json::json!({"content": text}).to_string(), "null"));
    }
    if finish {
        body.push_str(&chunk("{}", "\"stop\""));
        body.push_str("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":50,\"completion_tokens\":10,\"total_tokens\":60}}\n\ndata: [DONE]\n\n");
    }
    let length = if finish { body.len() } else { body.len() + 100 };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    stream.flush().ok()
}
