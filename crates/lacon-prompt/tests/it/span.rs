use crate::inputs;
use lacon_prompt::span::{SpanKind, parse, print};
use proptest::prelude::*;

fn kinds(text: &str) -> Vec<SpanKind> {
    let spans = parse(text);
    assert_eq!(print(text, &spans), text);
    spans.into_iter().map(|span| span.kind).collect()
}

#[test]
fn each_kind_is_found() {
    use SpanKind::*;
    assert_eq!(kinds("You must use {ticker} data.\n"), [Instruction]);
    assert_eq!(kinds("See https://a.b/c?d=1, for {ticker}.\n"), [Prose, Url, Prose, Placeholder, Prose]);
    assert_eq!(kinds("| a | b |\n|---|---|\n| 1 | 2 |\n\ntext"), [Table, Prose]);
    assert_eq!(kinds("text\n{\"a\": 1}\nmore"), [Prose, Json, Prose]);
    assert_eq!(kinds("{\"a\": 1}\n{\"a\": 2}\n"), [JsonLines]);
    assert_eq!(kinds("> quoted\n> too\n"), [Quote]);
    assert_eq!(kinds("```rust\nfn main() {}\n```\n"), [Code]);
    assert_eq!(kinds("```json\n{\"a\": 1}\n```\n"), [Code, Json, Code]);
    assert_eq!(kinds("a,b,c\n1,2,3\n1,2,3\n1,2,3\n"), [Csv]);
    assert_eq!(kinds(&"2026-01-02 10:00:01 INFO started\n".repeat(5)), [Log]);
    let blob = "aGVsbG8gd29ybGQhIEJhc2U2NCB0ZXh0IHdpdGggMDEyMzQ1Njc4OQ".repeat(4);
    assert_eq!(kinds(&format!("image: {blob} end")), [Prose, Blob, Prose]);
}

proptest! {
    #[test]
    fn parsing_and_printing_is_the_identity(text in inputs::mixed()) {
        let spans = parse(&text);
        prop_assert_eq!(print(&text, &spans), text.clone());
        let mut at = 0;
        for span in spans {
            prop_assert_eq!(span.range.start, at);
            prop_assert!(span.range.end > at);
            at = span.range.end;
        }
        prop_assert_eq!(at, text.len());
    }
}
