//! TLS and HTTP/2 against a server with a certificate of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lacon_llm::{
    Client, ErrorKind, Message, Protocol, Provider, ProviderOptions, Request, StreamEvent, ignore_events,
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    versions: Mutex<Vec<Version>>,
}

struct TlsServer {
    address: SocketAddr,
    root: String,
    seen: Arc<Seen>,
    _tasks: JoinSet<()>,
}

/// Starts a server; a prompt with `stall` gets half an answer and then nothing.
async fn start(protocols: &[&[u8]]) -> TlsServer {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    let shared = Arc::clone(&seen);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, seen) = (acceptor.clone(), Arc::clone(&shared));
            connections.spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                seen.connections.fetch_add(1, Ordering::Relaxed);
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let service = service_fn(|request| answer(request, Arc::clone(&seen)));
                let io = TokioIo::new(stream);
                if http2 {
                    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(io, service)
                        .await;
                } else {
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                }
            });
        }
    });
    TlsServer { address, root: cert.pem(), seen, _tasks: tasks }
}

async fn answer(
    request: hyper::Request<Incoming>,
    seen: Arc<Seen>,
) -> Result<Response<Channel<Bytes>>, Infallible> {
    seen.versions.lock().unwrap().push(request.version());
    let prompt = request.into_body().collect().await.unwrap().to_bytes();
    let stalls = String::from_utf8_lossy(&prompt).contains("stall");
    let (mut sender, body) = Channel::new(4);
    sender
        .send_data(Bytes::from("data: {\"choices\":[{\"delta\":{\"content\":\"Hold\"}}]}\n\n"))
        .await
        .unwrap();
    if stalls {
        // Kept open until the client goes away.
        std::mem::forget(sender);
    } else {
        let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
        sender.send_data(Bytes::from(end)).await.unwrap();
    }
    Ok(Response::new(body))
}

fn provider(server: &TlsServer, change: impl FnOnce(&mut ProviderOptions)) -> Provider {
    let mut options = ProviderOptions {
        base_url: format!("https://localhost:{}/v1", server.address.port()),
        ..ProviderOptions::default()
    };
    options.transport.extra_roots = Some(server.root.clone().into_bytes());
    change(&mut options);
    Provider::new(Protocol::Chat, options).unwrap()
}

fn ask(text: &str) -> Request {
    Request { messages: vec![Message::user(text)], ..Request::new("gpt-4o-mini") }
}

#[tokio::test]
async fn http2_is_chosen_and_its_connection_is_shared() {
    let server = start(&[b"h2", b"http/1.1"]).await;
    let provider = Arc::new(provider(&server, |_| ()));
    provider.complete(&ask("one"), &ignore_events).await.unwrap();
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let provider = Arc::clone(&provider);
        calls.spawn(async move {
            provider.complete(&ask("more"), &ignore_events).await.map(|response| response.text)
        });
    }
    for text in calls.join_all().await {
        assert_eq!(text.unwrap(), "Hold");
    }
    assert_eq!(server.seen.connections.load(Ordering::Relaxed), 1);
    assert!(server.seen.versions.lock().unwrap().iter().all(|version| *version == Version::HTTP_2));
}

#[tokio::test]
async fn http1_is_used_when_http2_is_off_or_not_offered() {
    for (protocols, http2) in
        [(&[&b"h2"[..], b"http/1.1"][..], false), (&[&b"http/1.1"[..]][..], true), (&[][..], true)]
    {
        let server = start(protocols).await;
        let provider = provider(&server, |options| options.transport.http2 = http2);
        for _ in 0..2 {
            assert_eq!(provider.complete(&ask("one"), &ignore_events).await.unwrap().text, "Hold");
        }
        assert_eq!(*server.seen.versions.lock().unwrap(), [Version::HTTP_11; 2]);
        assert_eq!(server.seen.connections.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn dropping_a_call_leaves_the_others_of_its_connection_alone() {
    let server = start(&[b"h2"]).await;
    let provider = provider(&server, |_| ());
    let seen = tokio::sync::Notify::new();
    let note = |event: StreamEvent<'_>| {
        if matches!(event, StreamEvent::Delta(_)) {
            seen.notify_one();
        }
    };
    let stalled = ask("stall");
    tokio::select! {
        _ = provider.complete(&stalled, &note) => panic!("the server stalls"),
        () = seen.notified() => {}
    }
    assert_eq!(provider.complete(&ask("one"), &ignore_events).await.unwrap().text, "Hold");
    assert_eq!(server.seen.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_unknown_certificate_is_refused_and_not_tried_again() {
    let server = start(&[b"h2"]).await;
    let stranger = provider(&server, |options| options.transport.extra_roots = None);
    let error = stranger.complete(&ask("one"), &ignore_events).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Tls, false), "{error}");
    assert!(
        error.to_string().contains("hint: check the host name; if a company proxy signs its traffic"),
        "{error}"
    );
    let url = format!("https://127.0.0.1:{}/v1", server.address.port());
    let other_name = provider(&server, |options| options.base_url = url);
    let error = other_name.complete(&ask("one"), &ignore_events).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
}

#[test]
fn roots_that_are_no_certificates() {
    for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let mut options = ProviderOptions::default();
        options.transport.extra_roots = Some(pem.into());
        let error = Provider::new(Protocol::Chat, options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
        assert!(error.message().starts_with("extra root certificates: "), "{error}");
    }
}
