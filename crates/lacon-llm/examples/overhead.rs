//! Measures what the client itself costs: `cargo run --release -p lacon-llm --example overhead`.
//!
//! A server on loopback in a thread of its own answers at once with a stream of 200 chunks; what a call takes is then our time,
//! the kernel's and the server's. The full stack of layers is around the client.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use lacon_llm::{
    Error, Message, Protocol, Provider, ProviderOptions, Request, Stack, StackOptions, ignore_events,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const CHUNKS: usize = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (tell, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            tell.send(listener.local_addr()?).ok();
            let answer: Arc<[u8]> = answer().into();
            let mut connections = JoinSet::new();
            loop {
                connections.spawn(serve(listener.accept().await?.0, Arc::clone(&answer)));
            }
        })
    });
    let address = address.recv()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let options =
            ProviderOptions { base_url: format!("http://{address}/v1"), ..ProviderOptions::default() };
        let provider = Provider::new(Protocol::Chat, options)?;
        let stack = Stack::new(Arc::new(provider), StackOptions::full());
        let request = Arc::new(Request {
            messages: vec![Message::system("You are an analyst."), Message::user("words ".repeat(4000))],
            ..Request::new("gpt-4o-mini")
        });
        measure(&stack, &request, 200).await?;
        let mut times = measure(&stack, &request, 2000).await?;
        times.sort_unstable();
        let at = |share: f64| times[(times.len() as f64 * share) as usize].as_micros();
        println!("one call after another: p50 {} us, p99 {} us, {CHUNKS} chunks each", at(0.5), at(0.99));
        let begin = Instant::now();
        let mut calls = JoinSet::new();
        for _ in 0..1000 {
            let (client, request) = (Arc::clone(&stack.client), Arc::clone(&request));
            calls.spawn(async move { client.complete(&request, &ignore_events).await.map(|_| ()) });
        }
        for result in calls.join_all().await {
            result?;
        }
        println!("1000 calls at once: {} us a call", begin.elapsed().as_micros() / 1000);
        let begin = Instant::now();
        let digests: usize = (0..1000).map(|_| request.digest().len()).sum();
        println!("digest of a prompt of 24 kB: {} us", begin.elapsed().as_micros() / (digests as u128 / 64));
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        println!(
            "{}",
            status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("peak memory unknown")
        );
        Ok::<_, Box<dyn std::error::Error>>(())
    })
}

async fn measure(stack: &Stack, request: &Request, n: usize) -> Result<Vec<Duration>, Error> {
    let mut times = Vec::with_capacity(n);
    for _ in 0..n {
        let begin = Instant::now();
        stack.client.complete(request, &ignore_events).await?;
        times.push(begin.elapsed());
    }
    Ok(times)
}

fn answer() -> Vec<u8> {
    let mut answer =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let mut event = |data: &str| {
        let event = format!("data: {data}\n\n");
        answer.extend_from_slice(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
    };
    for _ in 0..CHUNKS {
        event(
            r#"{"id":"c","model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"five words of the answer "},"finish_reason":null}]}"#,
        );
    }
    event(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#);
    event(r#"{"choices":[],"usage":{"prompt_tokens":4010,"completion_tokens":1000,"total_tokens":5010}}"#);
    event("[DONE]");
    answer.extend_from_slice(b"0\r\n\r\n");
    answer
}

async fn serve(mut stream: TcpStream, answer: Arc<[u8]>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let n = stream.read(&mut chunk).await?;
        if n == 0 {
            return Ok(());
        }
        buffer.extend_from_slice(&chunk[..n]);
        // A request's body is JSON without line breaks: it has come when the length in the head has.
        let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok())
            .unwrap_or(0usize);
        if buffer.len() >= head + 4 + length {
            buffer.drain(..head + 4 + length);
            stream.write_all(&answer).await?;
        }
    }
}
