//! Futures on a hand-made executor: results, cancellation, and a loop that is not held up.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use lacon_tokens::future::{count_async, encode_async};
use lacon_tokens::{Cancel, EncodingName, encoding};

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(result) => return result,
            Poll::Pending => std::thread::park_timeout(Duration::from_secs(5)),
        }
    }
}

#[test]
fn futures_give_the_same() {
    let o200k = encoding(EncodingName::O200kBase);
    for text in ["", "short", &"many things in few words. ".repeat(20_000), &"x".repeat(50_000)] {
        assert_eq!(block_on(count_async(o200k, text)), o200k.count(text));
        assert_eq!(block_on(encode_async(o200k, text)), o200k.encode(text));
    }
}

#[test]
fn polling_never_takes_the_time_of_a_long_count() {
    let o200k = encoding(EncodingName::O200kBase);
    let text: Arc<str> = "many things, in few words: 1,234 times\n".repeat(2_700).into();
    let mut context = Context::from_waker(Waker::noop());
    let mut futures: Vec<_> = (0..100).map(|_| Box::pin(count_async(o200k, Arc::clone(&text)))).collect();
    let expected = o200k.count(&text);
    for future in &mut futures {
        // A long text is never counted in a poll: the first one hands it over.
        assert!(future.as_mut().poll(&mut context).is_pending());
    }
    for future in futures {
        assert_eq!(block_on(future), expected);
    }
}

#[test]
fn cancelled_work_stops() {
    let o200k = encoding(EncodingName::O200kBase);
    let text = "many things, in few words\n".repeat(400_000);
    let cancel = Cancel::new();
    cancel.cancel();
    assert_eq!(o200k.count_cancellable(&text, &cancel), None);
    let mut context = Context::from_waker(Waker::noop());
    let text: Arc<str> = text.into();
    for _ in 0..50 {
        let mut future = Box::pin(count_async(o200k, Arc::clone(&text)));
        assert!(future.as_mut().poll(&mut context).is_pending());
    }
    // All fifty are dropped: the text is let go soon, long before fifty counts of 10 MB are through.
    let began = Instant::now();
    while Arc::strong_count(&text) > 1 && began.elapsed() < Duration::from_secs(20) {
        std::thread::yield_now();
    }
    assert_eq!(Arc::strong_count(&text), 1);
}
