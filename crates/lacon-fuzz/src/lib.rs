//! What any bytes must keep. Each target takes bytes and panics when a promise is broken; `fuzz/` holds their corpora.

use lacon_llm::sse::{Event, Framer};
use lacon_llm::{
    Endpoint, Message, Protocol, Request, Tape, TapeMode, TapeOptions, ignore_events, structured,
};

pub mod drive;
mod files;
mod prompt;
mod tokens;
mod vendors;

pub use files::{toml, traces};
pub use prompt::{bombs, compress, expand, extract, requests, trim, versions};
pub use tokens::{tokens, vocabularies};
pub use vendors::vendors;

/// A function that takes any bytes and panics when a promise is broken.
#[derive(Debug)]
pub struct Target {
    /// Its name, also that of its corpus.
    pub name: &'static str,
    /// The function.
    pub run: fn(&[u8]),
    /// Whether the first bytes choose among parsers.
    head: bool,
    /// Folders of the repository whose files are seeds too.
    more_seeds: &'static [&'static str],
}

const fn target(
    name: &'static str,
    run: fn(&[u8]),
    head: bool,
    more_seeds: &'static [&'static str],
) -> Target {
    Target { name, run, head, more_seeds }
}

const TRANSCRIPTS: &[&str] = &["testdata/transcripts"];
const PROMPTS: &[&str] = &["testdata/prompts"];

/// All targets.
pub const TARGETS: &[Target] = &[
    target("sse", sse, true, TRANSCRIPTS),
    target("answers", answers, true, TRANSCRIPTS),
    target("forms", forms, false, TRANSCRIPTS),
    target("tapes", tapes, false, TRANSCRIPTS),
    target("tokens", tokens, true, PROMPTS),
    target("vocabularies", vocabularies, false, &[]),
    target("expand", expand, false, PROMPTS),
    target("bombs", bombs, false, &[]),
    target("compress", compress, false, PROMPTS),
    target("versions", versions, true, PROMPTS),
    target("trim", trim, false, PROMPTS),
    target("requests", requests, false, &[]),
    target("extract", extract, true, PROMPTS),
    target("vendors", vendors, true, &["testdata/vendors"]),
    target("toml", toml, false, &["teams"]),
    target("traces", traces, false, &[]),
];

/// The framer gives the same events however the bytes are split, and never more data than came in.
pub fn sse(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else { return };
    let frame = |size: usize| {
        let mut framer = Framer::new(1 << 16);
        let mut events: Vec<Event> = Vec::new();
        for chunk in stream.chunks(size.max(1)) {
            let result = framer.push(chunk);
            events.extend(std::iter::from_fn(|| framer.next_event()));
            if result.is_err() {
                break;
            }
        }
        events
    };
    let whole = frame(stream.len());
    assert!(whole.iter().map(|event| event.data.len() + event.name.len()).sum::<usize>() <= stream.len());
    assert_eq!(whole, frame(size.into()));
    assert_eq!(whole, frame(1));
}

/// No answer panics a reader, a split changes nothing, and arguments that are handed out are JSON objects.
pub fn answers(data: &[u8]) {
    let [which, size, stream @ ..] = data else { return };
    let protocol = Protocol::ALL[usize::from(*which) % Protocol::ALL.len()];
    let request = Request { messages: vec![Message::user("?")], ..Request::new("gpt-5-mini") };
    let read =
        |size: usize| protocol.read(&request, stream.chunks(size.max(1)), &|event| ignore_events(event));
    let (whole, split) = (read(stream.len()), read(usize::from(*size)));
    match (whole, split) {
        (Ok(whole), Ok(split)) => {
            assert_eq!((&whole.text, &whole.tool_calls), (&split.text, &split.tool_calls));
            for call in &whole.tool_calls {
                let arguments: serde_json::Value =
                    serde_json::from_str(&call.arguments).expect("checked by the reader");
                assert!(arguments.is_object() && !call.name.is_empty());
            }
        }
        (Err(whole), Err(split)) => assert_eq!(whole.kind(), split.kind()),
        (whole, split) => panic!("a split changed the outcome: {whole:?}, {split:?}"),
    }
}

/// What a form accepts is JSON that it accepts again without changes.
pub fn forms(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let schema = serde_json::json!({
        "type": "object",
        "properties": {
            "action": {"enum": ["BUY", "SELL", "HOLD"]},
            "confidence": {"type": ["number", "null"]},
            "reasons": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["action"],
        "additionalProperties": false,
    });
    if let Ok(fitted) = structured::fit(&schema, &text) {
        let again = structured::fit(&schema, &fitted.value.to_string()).expect("what fits once fits again");
        assert_eq!((again.value, again.changes.len()), (fitted.value, 0));
    }
}

/// No file panics the reader of tapes, and patching a tape that can be read leaves one that can be read again.
pub fn tapes(data: &[u8]) {
    if let Ok(url) = std::str::from_utf8(data)
        && let Ok(endpoint) = Endpoint::parse(url)
    {
        assert!(!endpoint.authority().is_empty());
    }
    let path = std::env::temp_dir().join(format!("lacon-fuzz-{}.jsonl", std::process::id()));
    std::fs::write(&path, data).expect("the temporary folder can be written");
    let open = |mode| Tape::open(&path, mode, TapeOptions::default());
    if let Ok(tape) = open(TapeMode::Patch) {
        let again = open(TapeMode::Strict).expect("a patched tape can be read");
        assert_eq!((again.left(), again.warnings().len()), (tape.left(), 0));
    }
    std::fs::remove_file(&path).ok();
}
