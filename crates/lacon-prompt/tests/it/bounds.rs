//! No text and no request expands to more than its budget, work ends when nobody waits for it, and it grows with the text.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::generators::{GENERATORS, lines, noise};
use lacon_prompt::Error;
use lacon_prompt::compress::{Options, compress};
use lacon_prompt::offload::MemoryStore;
use lacon_prompt::passes::{Pass, PassSet};
use lacon_prompt::receipt::Outcome;
use lacon_prompt::request::{Request, RequestOptions, splice};
use lacon_tokens::{Encoding, EncodingName};
use serde_json::{Value, json};

fn encoding() -> &'static Encoding {
    lacon_tokens::encoding(EncodingName::O200kBase)
}

fn tool(content: &str) -> Value {
    json!({"role": "tool", "tool_call_id": "a", "content": content})
}

#[test]
fn a_request_is_restored_within_one_limit_for_all_its_texts() {
    let file = "line of a file that is read again\n".repeat(3_000);
    let same = "@same text as the one above that begins \"line of a file that is read again\"";
    let messages: Vec<_> = [tool(&file)].into_iter().chain((0..2_000).map(|_| tool(same))).collect();
    let json = serde_json::to_string(&messages).unwrap();
    let changed: Vec<String> = (1..=2_000).map(|i| format!("/{i}/content")).collect();
    let error = Request::parse(&json).unwrap().restore(&changed, None).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[test]
fn what_shrink_makes_is_always_restored() {
    // A file that is read again and again, and edited between: far more than 16 times what is left of it.
    let file = |v: usize| {
        "the module that computes values, as it stands in the tree\n".to_owned()
            + &(0..2_000)
                .map(|i| {
                    format!("    let value_{i} = compute(\"{i}\", {});\n", if i == v * 7 { v } else { 0 })
                })
                .collect::<String>()
    };
    for messages in [
        (0..60).map(|_| tool(&file(0))).collect::<Vec<_>>(),
        (0..40).map(|v| tool(&file(v))).collect(),
        (0..80).map(|v| tool(&"one line, always the same, as a test prints it\n".repeat(900 + v))).collect(),
    ] {
        let json = json!({"model": "m", "messages": messages}).to_string();
        let request = Request::parse(&json).unwrap();
        let mut store = MemoryStore::new([7; 32], 64 << 20);
        let shrunk = request.shrink(&RequestOptions::default(), Some(&mut store), encoding()).unwrap();
        assert!(
            shrunk.tokens_after * 4 < shrunk.tokens_before,
            "{} {}",
            shrunk.tokens_before,
            shrunk.tokens_after
        );
        let short = splice(&json, &shrunk.edits);
        let changed: Vec<String> = shrunk.edits.iter().map(|edit| edit.pointer.clone()).collect();
        let back = Request::parse(&short).unwrap().restore(&changed, Some(&store)).unwrap();
        assert!(splice(&short, &back) == json);
    }
}

/// A later version of a long file is a list of changes, however long the file is.
#[test]
fn a_second_version_of_a_long_file_is_written_as_its_changes() {
    let file = |changed: usize| {
        (0..6_000)
            .map(|i| format!("    let value_{i} = compute(\"{i}\", {});\n", usize::from(i == changed)))
            .collect::<String>()
    };
    let json = json!({"model": "m", "messages": [tool(&file(9_999)), tool(&file(3_000))]}).to_string();
    assert!(file(0).len() > 200_000);
    let request = Request::parse(&json).unwrap();
    let shrunk = request.shrink(&RequestOptions::default(), None, encoding()).unwrap();
    let edit = shrunk.edits.iter().find(|edit| edit.pointer == "/messages/1/content").unwrap();
    assert!(edit.text.len() < 1_000, "{}", edit.text.len());
    let short = splice(&json, &shrunk.edits);
    let changed: Vec<String> = shrunk.edits.iter().map(|edit| edit.pointer.clone()).collect();
    let back = Request::parse(&short).unwrap().restore(&changed, None).unwrap();
    assert!(splice(&short, &back) == json);
}

/// Twice the text, at most 2.2 times the steps: counted, so that no machine's load plays a part.
#[test]
fn work_grows_with_the_text() {
    let sizes = if option_env!("RUN_SLOW_TESTS").is_some() {
        [1 << 19, 1 << 20, 1 << 21]
    } else {
        [1 << 15, 1 << 16, 1 << 17]
    };
    for (name, make) in GENERATORS {
        let mut last: Option<(usize, u64)> = None;
        for size in sizes {
            let text = make(size);
            let done = compress(&text, Options::default(), None, encoding()).unwrap();
            assert!(done.steps >= text.len() as u64, "{name}");
            // No text takes more than the sum of all budgets.
            assert!(
                done.steps < 300 * text.len() as u64,
                "{name}: {} steps for {} bytes",
                done.steps,
                text.len()
            );
            if let Some((len, steps)) = last {
                let (more, work) = (text.len() as f64 / len as f64, done.steps as f64 / steps as f64);
                println!(
                    "{name:>24} {:>8} bytes {:>10} steps, {:>5.1} a byte, {work:.2} times for {more:.2}",
                    text.len(),
                    done.steps,
                    done.steps as f64 / text.len() as f64
                );
                assert!(work <= 1.1 * more, "{name}: {work:.2} times the steps for {more:.2} times the text");
            }
            last = Some((text.len(), done.steps));
        }
    }
}

#[test]
fn a_pass_that_gives_up_says_so() {
    let text = lines(1 << 18, |i| {
        let word = |k: usize| {
            (0..2).map(|c| char::from(b'a' + (noise(i * 31 + k * 7 + c) % 26) as u8)).collect::<String>()
        };
        // One shape for all lines, whose first words agree: each is compared with many peers to its end.
        format!(
            "10:00 a b c d e f g h i j k l m n o p q r {}",
            (0..14).map(|k| word(k) + " ").collect::<String>()
        )
    });
    let only = Options {
        passes: PassSet::default().without(Pass::Repeats).without(Pass::Edits),
        ..Options::default()
    };
    let done = compress(&text, only, None, encoding()).unwrap();
    let report = done.passes.iter().find(|report| report.pass == Pass::Logs).expect("a report of the pass");
    assert_eq!(report.outcome, Outcome::GaveUp);
    assert_eq!(report.to_json()["outcome"], "gave_up");
    assert_eq!(done.text, text);
}

/// The flag is looked at inside of each pass: a long one ends soon after it is set.
#[test]
fn a_long_pass_ends_when_nobody_waits_for_it() {
    let text = GENERATORS.iter().map(|(_, make)| make(1 << 19)).collect::<String>();
    let json = json!({"model": "m", "messages": [tool(&text)]}).to_string();
    let stop = AtomicBool::new(false);
    let (started, begun) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let stop = &stop;
        let json = &json;
        let work = scope.spawn(move || {
            let _begun = started;
            let options = RequestOptions { stop: Some(stop), ..RequestOptions::default() };
            let result = Request::parse(json).unwrap().shrink(&options, None, encoding());
            (result.map(|_| ()), Instant::now())
        });
        // Nothing is ever sent: this waits for some of the work to be done.
        let _ = begun.recv_timeout(Duration::from_millis(300));
        let told = Instant::now();
        stop.store(true, Ordering::Relaxed);
        let (result, ended) = work.join().unwrap();
        assert!(matches!(result, Err(Error::Stopped)), "{result:?}");
        // Generous for a debug build on a busy machine; to its end the work takes minutes there.
        assert!(ended - told < Duration::from_secs(5), "{:?}", ended - told);
    });
}

/// With `once`, a second time changes nothing, whatever the first one did; also with a store.
#[test]
fn once_twice_is_once() {
    for (name, make) in GENERATORS {
        let once = Options { once: true, ..Options::default() };
        for stored in [false, true] {
            let mut store = MemoryStore::new([7; 32], 64 << 20);
            let mut shorten = |text: &str| {
                let store = stored.then_some(&mut store as &mut dyn lacon_prompt::offload::Store);
                compress(text, once, store, encoding()).unwrap().text
            };
            let first = shorten(&make(1 << 13));
            assert!(shorten(&first) == first, "{name}, store: {stored}");
        }
    }
}
