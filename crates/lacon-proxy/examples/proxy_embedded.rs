//! The proxy inside of a program of one's own: `cargo run -p lacon-proxy --example proxy_embedded`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::io::{Read, Write};

use lacon_llm::{Endpoint, Fetch, FetchOptions, Transport, TransportOptions};
use lacon_prompt::offload::MemoryStore;
use lacon_proxy::{Policy, Proxy, ProxyOptions};
use serde_json::{Value, json};

/// Stands for a provider: answers one request with how many bytes came.
fn double(listener: std::net::TcpListener) -> std::io::Result<()> {
    let (mut socket, _) = listener.accept()?;
    let mut request = Vec::new();
    while !request.ends_with(b"]}") {
        let mut buffer = [0; 4096];
        let n = socket.read(&mut buffer)?;
        request.extend_from_slice(&buffer[..n]);
    }
    let body = json!({"choices": [], "bytes": request.len()}).to_string();
    write!(
        socket,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let upstream = std::net::TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/v1", upstream.local_addr()?);
    std::thread::spawn(move || double(upstream));

    let store = Box::new(MemoryStore::new([7; 32], 1 << 20));
    let proxy = Proxy::new(ProxyOptions::new(url, Policy::Lossless, store))?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = async { proxy.serve(listener, async { drop(stopped.await) }).await };

    let rows: Vec<Value> = (0..50).map(|i| json!({"day": i, "close": 100 + i, "venue": "XNAS"})).collect();
    let call = json!({"id": "c", "type": "function", "function": {"name": "prices", "arguments": "{}"}});
    let messages = json!([{"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": Value::Array(rows).to_string()}]);
    let request = json!({"model": "gpt-4o-mini", "messages": messages}).to_string();
    let asking = async {
        let endpoint = Endpoint::parse(&format!("http://{address}"))?;
        let fetch =
            Fetch::new(Transport::new(&TransportOptions::default())?, endpoint, FetchOptions::default());
        println!("the client sends {} bytes", request.len());
        let headers = [("content-type", "application/json")];
        let answer = fetch.post("/v1/chat/completions", &headers, request.into_bytes()).await;
        drop(stop);
        answer
    };
    let (served, answer) = tokio::join!(serving, asking);
    served?;
    println!("the provider answers {}", String::from_utf8_lossy(&answer?));
    Ok(())
}
