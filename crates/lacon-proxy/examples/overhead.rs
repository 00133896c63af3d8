//! What the proxy adds to a call on loopback: `cargo run --release -p lacon-proxy --example overhead [ROUNDS]`.
//!
//! An upstream that answers at once, a proxy before it and one client that waits for each answer. Every round sends one request
//! of each row, directly and through the proxy, so that whatever else the machine does meets all rows alike. `new` texts were
//! never seen before; `grown` is a conversation of 64 KiB with one message more.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark is a command line, and ends where it fails"
)]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use lacon_prompt::offload::MemoryStore;
use lacon_proxy::{Policy, Proxy, ProxyOptions};
use serde_json::{Value, json};

fn main() {
    let rounds: usize =
        std::env::args().nth(1).map_or(Some(400), |n| n.parse().ok()).expect("ROUNDS is a number");
    let upstream = upstream();
    let (off, lossless) = (proxy(upstream, Policy::Off), proxy(upstream, Policy::Lossless));
    let small = |i: usize| chat(&[format!("What is {i} times seven?")]);
    let grown = |i: usize| {
        let mut texts: Vec<String> = (0..8).map(|part| rows(part, 8 << 10)).collect();
        texts.push(format!("And the price of T{i}?"));
        chat(&texts)
    };
    type Make<'a> = &'a dyn Fn(usize) -> Vec<u8>;
    let rows: [(&str, SocketAddr, Make<'_>); 10] = [
        ("small, direct", upstream, &small),
        ("small, off", off, &small),
        ("small, lossless", lossless, &small),
        ("64 KiB, direct", upstream, &|i| chat(&[rows(1000 + i, 64 << 10)])),
        ("64 KiB, off", off, &|i| chat(&[rows(1000 + i, 64 << 10)])),
        ("64 KiB, lossless, new", lossless, &|i| chat(&[rows(1000 + i, 64 << 10)])),
        ("64 KiB, lossless, grown", lossless, &grown),
        ("64 KiB of prose, lossless, new", lossless, &|i| chat(&[prose(i, 64 << 10)])),
        ("512 KiB, direct", upstream, &|i| chat(&[rows(9000 + i, 512 << 10)])),
        ("512 KiB, lossless, new", lossless, &|i| chat(&[rows(9000 + i, 512 << 10)])),
    ];
    let mut clients: Vec<TcpStream> = rows.iter().map(|(_, to, _)| connect(*to)).collect();
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); rows.len()];
    let mut own: Vec<Vec<u64>> = vec![Vec::new(); rows.len()];
    for round in 0..rounds + 20 {
        for (i, (name, _, make)) in rows.iter().enumerate() {
            if name.starts_with("512") && round % 8 != 0 {
                continue;
            }
            let request = make(round);
            let started = Instant::now();
            clients[i].write_all(&request).unwrap();
            let head = answer(&mut clients[i]);
            let took = started.elapsed();
            // The first rounds warm up.
            if round >= 20 {
                times[i].push(took);
                let overhead = head.split("x-lacon-overhead-us: ").nth(1);
                own[i].extend(overhead.and_then(|rest| rest.split('\r').next()?.parse::<u64>().ok()));
            }
        }
    }
    println!(
        "{:<34} {:>6} {:>10} {:>10} {:>14} {:>14}",
        "", "calls", "p50 ms", "p99 ms", "own p50 ms", "own p99 ms"
    );
    for ((name, ..), (times, own)) in rows.iter().zip(times.iter_mut().zip(&mut own)) {
        times.sort_unstable();
        own.sort_unstable();
        let ms = |q: usize| times[(times.len() - 1) * q / 100].as_secs_f64() * 1e3;
        let own = |q: usize| {
            own.get((own.len().max(1) - 1) * q / 100)
                .map_or("–".into(), |us| format!("{:.3}", *us as f64 / 1e3))
        };
        println!(
            "{name:<34} {:>6} {:>10.3} {:>10.3} {:>14} {:>14}",
            times.len(),
            ms(50),
            ms(99),
            own(50),
            own(99)
        );
    }
}

/// A request on a connection that stays open.
fn chat(texts: &[String]) -> Vec<u8> {
    let messages: Vec<Value> = texts.iter().map(|text| json!({"role": "user", "content": text})).collect();
    let body = json!({"model": "gpt-5-mini", "messages": messages}).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: p\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body.into_bytes()].concat()
}

/// A tool's result in JSON.
fn rows(seed: usize, bytes: usize) -> String {
    let row = |i: usize| {
        let x = (seed * 7919 + i * 104_729) % 100_003;
        json!({"ticker": format!("T{x}"), "price": x as f64 / 7.0, "venue": "XNAS", "volume": x * i, "halted": x.is_multiple_of(50)})
    };
    let mut list = Vec::new();
    let mut size = 0;
    while size < bytes {
        let row = row(list.len());
        size += row.to_string().len() + 2;
        list.push(row);
    }
    Value::Array(list).to_string()
}

fn prose(seed: usize, bytes: usize) -> String {
    const WORDS: [&str; 12] = [
        "margins", "rose", "because", "the", "supplier", "did", "not", "raise", "prices", "in", "that",
        "quarter",
    ];
    let mut text = String::new();
    let mut x = seed * 2 + 1;
    while text.len() < bytes {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(WORDS[(x >> 33) % WORDS.len()]);
        text.push(if (x >> 40).is_multiple_of(11) { '\n' } else { ' ' });
    }
    text
}

/// Answers every request with the same few bytes.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            socket.set_nodelay(true).unwrap();
            std::thread::spawn(
                move || while message(&mut socket).is_some() && socket.write_all(ANSWER).is_ok() {},
            );
        }
    });
    address
}

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 27\r\n\r\n{\"choices\":[],\"usage\":null}";

fn proxy(upstream: SocketAddr, policy: Policy) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Box::new(MemoryStore::new([7; 32], 1 << 20));
            let proxy =
                Proxy::new(ProxyOptions::new(format!("http://{upstream}/v1"), policy, store)).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            proxy.serve(listener, std::future::pending()).await.unwrap();
        });
    });
    address
}

fn connect(to: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(to).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

fn answer(socket: &mut TcpStream) -> String {
    message(socket).expect("an answer")
}

/// Reads one message with a length and gives its head.
fn message(socket: &mut TcpStream) -> Option<String> {
    let mut all = Vec::with_capacity(64 << 10);
    let mut buffer = [0; 64 << 10];
    let mut missing = None;
    loop {
        if missing == Some(0) {
            let end = all.windows(4).position(|w| w == b"\r\n\r\n")?;
            return String::from_utf8(all[..end].to_vec()).ok();
        }
        let n = socket.read(&mut buffer).ok().filter(|n| *n > 0)?;
        all.extend_from_slice(&buffer[..n]);
        if let Some(left) = &mut missing {
            *left -= n;
        } else if let Some(end) = all.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = std::str::from_utf8(&all[..end]).ok()?.to_ascii_lowercase();
            let length: usize = head.split("content-length: ").nth(1)?.split('\r').next()?.parse().ok()?;
            missing = Some((end + 4 + length).checked_sub(all.len())?);
        }
    }
}
