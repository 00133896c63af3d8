use lacon_prompt::batch::{BatchOptions, Done, ProcessedCache, run, run_async};
use lacon_prompt::compress::{Options, compress};
use lacon_tokens::EncodingName;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[test]
fn order_is_kept_and_failures_stay_alone() {
    let cancel = AtomicBool::new(false);
    let mut got = Vec::new();
    let summary = run(
        0..1_000u32,
        BatchOptions::jobs(4),
        &cancel,
        |n| match n {
            13 => panic!("a bug"),
            n if n % 100 == 7 => Err("odd"),
            n => Ok(n * 2),
        },
        |index, done| {
            got.push((index, done));
            Ok::<(), ()>(())
        },
    )
    .expect("the sink never fails");
    assert_eq!((summary.items, summary.failed, summary.cancelled), (1_000, 11, false));
    for (i, (index, done)) in got.iter().enumerate() {
        assert_eq!(*index, i as u64);
        let n = i as u32;
        match n {
            13 => assert_eq!(*done, Done::Panicked(13)),
            n if n % 100 == 7 => assert_eq!(*done, Done::Failed(n, "odd")),
            n => assert_eq!(*done, Done::Ok(n * 2)),
        }
    }
}

#[test]
fn memory_is_bounded_and_cancelling_ends_the_reading() {
    let cancel = AtomicBool::new(false);
    let read = AtomicUsize::new(0);
    let written = AtomicUsize::new(0);
    let most = AtomicUsize::new(0);
    let input = std::iter::from_fn(|| {
        let n = read.fetch_add(1, Ordering::SeqCst) + 1 - written.load(Ordering::SeqCst);
        most.fetch_max(n, Ordering::SeqCst);
        Some(())
    });
    let summary = run(
        input,
        BatchOptions { jobs: 2, window: 8 },
        &cancel,
        |()| Ok::<(), ()>(()),
        |index, _| {
            written.fetch_add(1, Ordering::SeqCst);
            if index == 500 {
                cancel.store(true, Ordering::SeqCst);
            }
            Ok::<(), ()>(())
        },
    )
    .expect("the sink never fails");
    assert!(summary.cancelled);
    assert!(summary.items > 500 && summary.items <= 509, "{}", summary.items);
    assert!(most.load(Ordering::SeqCst) <= 8);
}

#[test]
fn a_sink_that_fails_ends_the_batch() {
    let cancel = AtomicBool::new(false);
    let result = run(
        0..,
        BatchOptions::jobs(2),
        &cancel,
        |n| Ok::<u64, ()>(*n),
        |index, _| if index < 3 { Ok(()) } else { Err("disk full") },
    );
    assert_eq!(result, Err("disk full"));
}

#[test]
fn processed_texts_are_found_again_within_the_limit() {
    let encoding = lacon_tokens::encoding(EncodingName::O200kBase);
    let cache = ProcessedCache::new(100);
    let get = |text: &str| {
        cache
            .get_or("lossless/o200k_base", text, || compress(text, Options::default(), None, encoding))
            .expect("compresses")
    };
    let long = "x".repeat(60);
    assert_eq!(get(&long).text, long);
    assert_eq!(get(&long).text, long);
    assert_eq!((cache.stats().hits, cache.stats().misses), (1, 1));
    get(&"y".repeat(60));
    assert_eq!((cache.stats().entries, cache.stats().bytes), (1, 60));
    get(&long);
    assert_eq!(cache.stats().misses, 3);
}

#[test]
fn results_are_the_same_in_every_thread() {
    let encoding = lacon_tokens::encoding(EncodingName::O200kBase);
    let text = "[{\"id\": 1, \"name\": \"a\"}, {\"id\": 2, \"name\": \"b\"}, {\"id\": 3, \"name\": \"c\"}]";
    let cancel = AtomicBool::new(false);
    let expected = compress(text, Options::default(), None, encoding).expect("compresses").text;
    run(
        std::iter::repeat_n(text, 64),
        BatchOptions::jobs(4),
        &cancel,
        |text| compress(text, Options::default(), None, encoding),
        |_, done| {
            let Done::Ok(short) = done else { return Err(()) };
            if short.text == expected { Ok(()) } else { Err(()) }
        },
    )
    .expect("all are equal");
}

/// Polls a future on this thread, which sleeps in between.
fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::task::Waker::from(std::sync::Arc::new(Unpark(std::thread::current())));
    let mut context = std::task::Context::from_waker(&waker);
    loop {
        match std::pin::Pin::new(&mut future).poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn the_future_gives_what_the_call_gives() {
    let work = |n: &u32| if n % 10 == 3 { Err("odd") } else { Ok(n * 2) };
    let (done, summary) = block_on(run_async((0..500).collect(), BatchOptions::jobs(3), work));
    assert_eq!((done.len(), summary.items, summary.failed, summary.cancelled), (500, 500, 50, false));
    assert!(done.iter().enumerate().all(|(i, d)| {
        let n = i as u32;
        *d == if n % 10 == 3 { Done::Failed(n, "odd") } else { Done::Ok(n * 2) }
    }));
}

#[test]
fn a_dropped_future_stops_reading() {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let work = |_: &u32| {
        STARTED.fetch_add(1, Ordering::SeqCst);
        std::thread::yield_now();
        Ok::<(), ()>(())
    };
    let mut batch = run_async((0..1_000_000).collect(), BatchOptions::jobs(2), work);
    let waker = std::task::Waker::noop();
    let mut context = std::task::Context::from_waker(waker);
    assert!(std::pin::Pin::new(&mut batch).poll(&mut context).is_pending());
    drop(batch);
    let mut last = usize::MAX;
    // Items under way end; then the number stands still.
    while STARTED.load(Ordering::SeqCst) != last {
        last = STARTED.load(Ordering::SeqCst);
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
    assert!(last < 1_000_000, "{last}");
    // A batch that is never polled does nothing at all.
    drop(run_async(vec![1u32], BatchOptions::jobs(1), |_: &u32| -> Result<(), ()> {
        panic!("it was started")
    }));
}
