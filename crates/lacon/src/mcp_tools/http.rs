//! A server over streamable HTTP: every message is a POST, answered by JSON or by a stream of events.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, header};
use lacon_llm::{Endpoint, Transport as HttpTransport, TransportOptions, sse::Framer};
use rmcp::{
    RoleClient,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use serde_json::Value;
use tokio::sync::mpsc;

use super::message;

const SESSION: &str = "mcp-session-id";
const VERSION: &str = "mcp-protocol-version";
/// Messages that nobody has taken yet.
const WAITING: usize = 64;

pub(super) struct Http {
    client: Client,
    from: mpsc::Receiver<RxJsonRpcMessage<RoleClient>>,
}

#[derive(Clone)]
struct Client {
    transport: HttpTransport,
    url: Arc<str>,
    /// What the server drew for this connection, and the version that it speaks.
    session: Arc<Mutex<(Option<String>, Option<String>)>>,
    to: mpsc::Sender<RxJsonRpcMessage<RoleClient>>,
    most: usize,
}

impl Http {
    /// Prepares the connection; connects nowhere yet.
    pub fn new(url: &str, most: usize) -> Result<Self, String> {
        Endpoint::parse(url).map_err(|error| error.to_string())?;
        let transport =
            HttpTransport::new(&TransportOptions::default()).map_err(|error| error.to_string())?;
        let (to, from) = mpsc::channel(WAITING);
        let client = Client { transport, url: url.into(), session: Arc::default(), to, most };
        Ok(Self { client, from })
    }
}

impl Client {
    async fn post(&self, item: TxJsonRpcMessage<RoleClient>) -> Result<(), String> {
        let value = serde_json::to_value(&item).map_err(|error| error.to_string())?;
        let waits_for = value.get("id").filter(|_| value.get("method").is_some()).cloned();
        let mut request = Request::post(&*self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream");
        {
            let known = self.session.lock().unwrap_or_else(PoisonError::into_inner);
            for (name, value) in [(SESSION, &known.0), (VERSION, &known.1)] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
        }
        let request =
            request.body(Full::new(Bytes::from(value.to_string()))).map_err(|error| error.to_string())?;
        let response =
            self.transport.send(request, &mut None).await.map_err(|error| error.message().to_owned())?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("{} answered {}", self.url, status.as_u16()));
        }
        if let Some(session) = response.headers().get(SESSION).and_then(|value| value.to_str().ok()) {
            self.session.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(session.to_owned());
        }
        let Some(id) = waits_for.filter(|_| status != StatusCode::ACCEPTED) else { return Ok(()) };
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            self.events(response, &id).await
        } else {
            self.whole(response).await
        }
    }

    /// Takes the messages of a stream until it has the answer; what follows is nobody's.
    async fn events(&self, mut response: Response<Incoming>, id: &Value) -> Result<(), String> {
        let mut framer = Framer::new(self.most);
        let mut bytes = 0;
        while let Some(frame) = response.body_mut().frame().await {
            let frame = frame.map_err(|error| format!("its answer was cut: {error}"))?;
            let Some(data) = frame.data_ref() else { continue };
            bytes += data.len();
            if bytes > self.most || framer.push(data).is_err() {
                return Err(self.too_long());
            }
            while let Some(event) = framer.next_event() {
                if self.take(&event.data).await == Some(id.clone()) {
                    return Ok(());
                }
            }
        }
        Err("its stream ended without an answer".into())
    }

    async fn whole(&self, mut response: Response<Incoming>) -> Result<(), String> {
        let mut whole = Vec::new();
        while let Some(frame) = response.body_mut().frame().await {
            let frame = frame.map_err(|error| format!("its answer was cut: {error}"))?;
            let Some(data) = frame.data_ref() else { continue };
            if whole.len() + data.len() > self.most {
                return Err(self.too_long());
            }
            whole.extend_from_slice(data);
        }
        match self.take(&whole).await {
            Some(_) => Ok(()),
            None => Err("its answer is no message".into()),
        }
    }

    /// Hands a message on; gives the id where it is an answer.
    async fn take(&self, bytes: &[u8]) -> Option<Value> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        if let Some(version) = value.pointer("/result/protocolVersion").and_then(Value::as_str) {
            self.session.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(version.to_owned());
        }
        let id = value.get("id").filter(|_| value.get("method").is_none()).cloned();
        self.to.send(message(bytes)?).await.ok()?;
        id
    }

    fn too_long(&self) -> String {
        format!("it sent a message of more than {} bytes", self.most)
    }
}

impl Transport<RoleClient> for Http {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let client = self.client.clone();
        async move { client.post(item).await.map_err(io::Error::other) }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        self.from.recv().await
    }

    /// Tells the server that the session is over, as far as that is quick.
    async fn close(&mut self) -> io::Result<()> {
        let session = self.client.session.lock().unwrap_or_else(PoisonError::into_inner).0.take();
        let Some(session) = session else { return Ok(()) };
        let request = Request::delete(&*self.client.url).header(SESSION, session).body(Full::default());
        if let Ok(request) = request {
            let transport = &self.client.transport;
            let sent = async { drop(transport.send(request, &mut None).await) };
            let _ = tokio::time::timeout(std::time::Duration::from_millis(500), sent).await;
        }
        Ok(())
    }
}
