use crate::inputs;
use lacon_prompt::compress::Options;
use lacon_prompt::offload::MemoryStore;
use lacon_prompt::optimize::{optimize, restore};
use lacon_prompt::prompt::{Message, Prompt, Role, Segment};
use lacon_tokens::{Encoding, EncodingName};
use proptest::prelude::*;

fn o200k() -> &'static Encoding {
    lacon_tokens::encoding(EncodingName::O200kBase)
}

const QUOTES: &str = "[{\"ticker\": \"AAPL\", \"price\": 1.5}, {\"ticker\": \"MSFT\", \"price\": 2.5}, {\"ticker\": \"AMD\", \"price\": 3.5}]";

#[test]
fn instructions_and_pinned_segments_stay() {
    let prompt = Prompt::new(vec![
        Message::new(Role::System, vec![Segment::instruction("role", QUOTES)]),
        Message::new(
            Role::User,
            vec![Segment::data("pinned", QUOTES).pinned(), Segment::data("quotes", QUOTES)],
        ),
    ]);
    let short = optimize(&prompt, Some(60), Options::default(), None, o200k()).expect("optimizes");
    assert_eq!(short.prompt.messages[0], prompt.messages[0]);
    assert_eq!(short.prompt.messages[1].segments[0], prompt.messages[1].segments[0]);
    assert!(short.prompt.messages[1].segments[1].text.starts_with("@json p\n"));
    assert_eq!(short.tokens_after, short.prompt.count(o200k()));
    assert_eq!(short.over_budget, short.tokens_after - 60);
    assert_eq!(short.passes.len(), 1);
    assert_eq!(short.passes[0].segment, "quotes");
    assert_eq!(restore(&short.prompt, None).expect("restores"), prompt);
}

#[test]
fn a_second_copy_becomes_one_line() {
    let report =
        "Apple's margin must not fall below 46% before the first quarter of 2026.\nRevenue grew.\n".repeat(4);
    let prompt = Prompt::new(vec![
        Message::new(Role::User, vec![Segment::data("news", report.as_str())]),
        Message::new(Role::User, vec![Segment::data("again", report.as_str())]),
    ]);
    let options = Options::default();
    let short = optimize(&prompt, None, options, None, o200k()).expect("optimizes");
    let line = &short.prompt.messages[1].segments[0].text;
    assert_eq!(
        line,
        "@same text as the one above that begins \"Apple's margin must not fall below 46% before the first quar\""
    );
    assert_eq!(restore(&short.prompt, None).expect("restores"), prompt);
}

proptest! {
    #[test]
    fn prompts_come_back(texts in prop::collection::vec(inputs::mixed(), 1..5), copies in prop::collection::vec(0usize..5, 0..5)) {
        let mut store = MemoryStore::new([1; 32], 1 << 24);
        let all = texts.iter().chain(copies.iter().map(|i| &texts[i % texts.len()]));
        let messages = all.map(|text| Message::new(Role::User, vec![Segment::data("part", text.as_str())])).collect();
        let prompt = Prompt::new(messages);
        let short = optimize(&prompt, None, Options::default(), Some(&mut store), o200k()).expect("optimizes");
        let back = restore(&short.prompt, Some(&store)).expect("restores");
        for (a, b) in back.messages.iter().zip(&prompt.messages) {
            let (a, b) = (a.content(), b.content());
            prop_assert!(a == b || serde_json::from_str::<serde_json::Value>(&a).ok() == serde_json::from_str(&b).ok());
        }
    }
}

#[test]
fn a_later_read_of_a_segment_becomes_its_changes() {
    let file = |budget: &str| {
        let line = |i: usize| match i {
            12 => format!("    let budget = {budget};\n"),
            _ => format!("    state.apply(step_{i}, &inputs[{}], Mode::Exact)?;\n", i * 37 % 11),
        };
        (0..40).map(line).collect::<String>()
    };
    let read = |name: &str, budget: &str| Message::new(Role::User, vec![Segment::data(name, file(budget))]);
    let prompt =
        Prompt::new(vec![read("first", "limits.run"), read("second", "9_000"), read("third", "8_500")]);
    let short = optimize(&prompt, None, Options::default(), None, o200k()).expect("optimizes");
    let text = |i: usize| short.prompt.messages[i].segments[0].text.as_str();
    assert_eq!(text(0), prompt.messages[0].segments[0].text);
    assert!(text(1).contains("±13\n    let budget = 9_000;\n±."), "{}", text(1));
    assert!(text(2).contains("±41 lines from \"    state.apply(step_0, &inputs[\":\n±13\n"), "{}", text(2));
    assert!(short.tokens_after * 2 < short.tokens_before);
    assert_eq!(restore(&short.prompt, None).expect("restores"), prompt);
}
