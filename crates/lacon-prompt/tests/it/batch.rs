use lacon_prompt::batch::{BatchOptions, Done, ProcessedCache, run};
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
