//! A provider of one's own, with retries around it: `cargo run -p lacon-llm --example custom_provider`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use lacon_llm::{
    BoxFuture, Client, ClientInfo, Error, ErrorKind, Message, Request, Response, Stack, StackOptions,
    StreamEvent, Usage, ignore_events,
};

/// Says back what it was asked, and is overloaded at first. A provider makes one attempt; layers make the others.
#[derive(Default)]
struct Parrot {
    asked: AtomicU32,
}

impl Client for Parrot {
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        on_event: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>> {
        Box::pin(async move {
            if self.asked.fetch_add(1, Ordering::Relaxed) == 0 {
                return Err(Error::new(ErrorKind::RateLimited, "the parrot eats"));
            }
            let text = request.messages.last().map(|m| m.content.clone()).unwrap_or_default();
            on_event(StreamEvent::Delta(&text));
            let usage = Usage { input: Some(4), output: Some(4), ..Usage::default() };
            Ok(Response { usage: Some(usage), ..Response::new(&request.model, text) })
        })
    }

    fn describe(&self) -> ClientInfo {
        ClientInfo { provider: "parrot".into(), base_url: String::new(), simulated: true }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let parrot = Arc::new(Parrot::default());
    let stack = Stack::new(parrot.clone(), StackOptions::full());
    let request = Request { messages: vec![Message::user("Polly?")], ..Request::new("parrot-1") };
    let response = stack.client.complete(&request, &ignore_events).await?;
    println!("{} after {} attempts", response.text, parrot.asked.load(Ordering::Relaxed));
    Ok(())
}
