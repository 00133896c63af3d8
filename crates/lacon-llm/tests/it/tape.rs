//! The tape: what was recorded comes back byte for byte, and nothing else does.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lacon_llm::{
    Client, Error, ErrorKind, Message, Request, Response, Tags, Tape, TapeMode, TapeOptions, Taped,
    ignore_events,
};
use serde_json::json;

use crate::scripted::{Scripted, fails, says};

/// A file that is deleted at the end of its test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static N: AtomicUsize = AtomicUsize::new(0);
        let n = N.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("lacon-tape-{}-{n}.jsonl", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    fn open(&self, mode: TapeMode) -> Arc<Tape> {
        Arc::new(Tape::open(&self.0, mode, TapeOptions::default()).unwrap())
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn ask(text: &str) -> Request {
    let tags = Tags { role: "bull".into(), ..Tags::default() };
    Request { messages: vec![Message::user(text)], tags, ..Request::new("m") }
}

async fn complete(client: &impl Client, text: &str) -> Result<Response, Error> {
    client.complete(&ask(text), &ignore_events).await
}

async fn record(file: &Scratch) {
    let script = [says("one", 40), says("twö €\n", 40), says("again", 20), fails(ErrorKind::Status(503), 10)];
    let taped = Taped::new(Scripted::new(script), file.open(TapeMode::Record));
    for text in ["a", "b", "b"] {
        complete(&taped, text).await.unwrap();
    }
    complete(&taped, "c").await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_replay_is_byte_equal_in_any_order() {
    let file = Scratch::new();
    record(&file).await;
    let tape = file.open(TapeMode::Strict);
    let client = Taped::replay_only(Arc::clone(&tape));
    let info = client.describe();
    assert_eq!((info.provider.as_str(), info.simulated), ("scripted", true));
    let error = complete(&client, "c").await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Status(500), "scripted status"));
    assert_eq!(complete(&client, "b").await.unwrap().text, "twö €\n");
    let one = complete(&client, "a").await.unwrap();
    assert_eq!((one.text.as_str(), one.usage.unwrap().total(), one.attempts.len()), ("one", Some(110), 1));
    assert_eq!(one.elapsed, Duration::ZERO);
    assert_eq!(tape.left(), 1);
    assert_eq!(complete(&client, "b").await.unwrap().text, "again");
    let error = complete(&client, "b").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TapeMiss);
    assert!(error.message().contains("recorded fewer times than it is asked"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_miss_names_the_nearest_call_and_the_difference() {
    let file = Scratch::new();
    record(&file).await;
    let error = complete(&Taped::replay_only(file.open(TapeMode::Strict)), "ax").await.unwrap_err();
    let expected = "; nearest is bull, where message 1 from byte 1 on differs: recorded \"a\", asked \"ax\"";
    assert!(error.message().ends_with(expected), "{error}");
    assert!(!error.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn lenient_makes_missing_calls_and_patch_adds_them() {
    let file = Scratch::new();
    record(&file).await;
    let before = file.text();
    for (mode, grows) in [(TapeMode::Lenient, false), (TapeMode::Patch, true)] {
        let scripted = Arc::new(Scripted::new([says("new", 5)]));
        let client = Taped::new(Arc::clone(&scripted), file.open(mode));
        assert_eq!(complete(&client, "a").await.unwrap().text, "one");
        assert_eq!(complete(&client, "z").await.unwrap().text, "new");
        assert_eq!(scripted.calls.lock().unwrap().len(), 1);
        assert_eq!(file.text().len() > before.len(), grows);
        assert!(file.text().starts_with(&before));
    }
    assert_eq!(complete(&Taped::replay_only(file.open(TapeMode::Strict)), "z").await.unwrap().text, "new");
}

#[tokio::test(start_paused = true)]
async fn tools_are_taped_too() {
    let file = Scratch::new();
    let tape = file.open(TapeMode::Record);
    let good = async || Ok::<_, String>("12.5".to_owned());
    let bad = async || Err::<String, _>("no data".to_owned());
    tape.tool("price", &json!({"t": "AAPL", "n": 1}), good()).await.unwrap().unwrap();
    tape.tool("news", &json!({}), bad()).await.unwrap().unwrap_err();
    let tape = file.open(TapeMode::Strict);
    let never = async || -> Result<String, String> { panic!("a replay runs no tool") };
    assert_eq!(
        tape.tool("price", &json!({"n": 1, "t": "AAPL"}), never()).await.unwrap(),
        Ok("12.5".to_owned())
    );
    assert_eq!(tape.tool("news", &json!({}), never()).await.unwrap(), Err("no data".to_owned()));
    let error = tape.tool("price", &json!({"t": "FIG"}), never()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TapeMiss);
    assert!(error.message().contains("no answer of tool price to {\"t\":\"FIG\"}"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn secrets_stay_out_of_the_file_and_another_key_still_replays() {
    let file = Scratch::new();
    let options = |secret: &str| TapeOptions { secrets: vec![secret.into()], ..TapeOptions::default() };
    let tape = Tape::open(&file.0, TapeMode::Record, options("key\"one1")).unwrap();
    complete(&Taped::new(Scripted::new([says("your key is key\"one1", 5)]), Arc::new(tape)), "key\"one1?")
        .await
        .unwrap();
    assert!(!file.text().contains("one1"), "{}", file.text());
    let tape = Tape::open(&file.0, TapeMode::Strict, options("otherkey2")).unwrap();
    let response = complete(&Taped::replay_only(Arc::new(tape)), "otherkey2?").await.unwrap();
    assert_eq!(response.text, "your key is [redacted]");
}

#[tokio::test(start_paused = true)]
async fn the_recorded_speed_can_be_kept() {
    let file = Scratch::new();
    record(&file).await;
    let options = TapeOptions { pace: 0.5, ..TapeOptions::default() };
    let tape = Tape::open(&file.0, TapeMode::Strict, options).unwrap();
    let response = complete(&Taped::replay_only(Arc::new(tape)), "a").await.unwrap();
    assert_eq!(
        (response.first_token, response.elapsed),
        (Some(Duration::from_millis(10)), Duration::from_millis(20))
    );
}

#[tokio::test(start_paused = true)]
async fn a_cut_last_line_is_left_out_and_a_broken_one_is_named() {
    let file = Scratch::new();
    record(&file).await;
    let whole = file.text();
    std::fs::write(&file.0, &whole[..whole.len() - 30]).unwrap();
    let tape = file.open(TapeMode::Patch);
    assert_eq!((tape.left(), tape.warnings().len()), (3, 1));
    let client = Taped::new(Scripted::new([says("new", 5)]), tape);
    assert_eq!(complete(&client, "c").await.unwrap().text, "new");
    // The cut line is gone and its call is recorded again.
    assert_eq!(file.open(TapeMode::Strict).left(), 4);
    let whole = file.text();
    std::fs::write(&file.0, whole.trim_end()).unwrap();
    let client = Taped::new(Scripted::new([says("more", 5)]), file.open(TapeMode::Patch));
    complete(&client, "d").await.unwrap();
    assert_eq!(file.open(TapeMode::Strict).left(), 5);
    std::fs::write(&file.0, whole.replacen("\"kind\":\"llm\"", "\"kind\":\"foo\"", 1)).unwrap();
    let error = Tape::open(&file.0, TapeMode::Strict, TapeOptions::default()).unwrap_err();
    assert!(error.message().contains("line 2 is not a recorded call"), "{error}");
}

#[test]
fn files_that_cannot_be_used() {
    let file = Scratch::new();
    let open = |mode| Tape::open(&file.0, mode, TapeOptions::default());
    assert!(open(TapeMode::Strict).unwrap_err().to_string().contains("hint: record one first"));
    std::fs::write(
        &file.0,
        "{\"kind\":\"tape\",\"version\":9,\"provider\":\"\",\"base_url\":\"\",\"simulated\":true}\n",
    )
    .unwrap();
    assert!(open(TapeMode::Strict).unwrap_err().message().contains("has version 9, this is 1"));
    let error = open(TapeMode::Record).unwrap_err();
    assert!(error.message().contains("bytes already"), "{error}");
    assert!(
        Tape::open(&file.0, TapeMode::Record, TapeOptions { overwrite: true, ..TapeOptions::default() })
            .is_ok()
    );
    std::fs::write(&file.0, [0xff, 0xfe, b'\n']).unwrap();
    assert_eq!(open(TapeMode::Lenient).unwrap_err().kind(), ErrorKind::Io);
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_full_disk_costs_no_answer() {
    let options = TapeOptions { overwrite: true, ..TapeOptions::default() };
    let tape = Arc::new(Tape::open(std::path::Path::new("/dev/full"), TapeMode::Record, options).unwrap());
    let response =
        complete(&Taped::new(Scripted::new([says("ok", 5)]), Arc::clone(&tape)), "a").await.unwrap();
    assert_eq!(response.text, "ok");
    assert!(response.warnings[0].contains("the recording stops"), "{:?}", response.warnings);
    assert!(tape.trouble().is_some());
}
