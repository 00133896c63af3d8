//! A tool's result in fewer tokens and back: `cargo run -p lacon-prompt --example compress_roundtrip`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use lacon_prompt::compress::{Options, compress, expand};
use lacon_tokens::{EncodingName, encoding};

fn main() -> Result<(), lacon_prompt::Error> {
    let text = r#"[{"day": "2026-11-02", "close": 101.50, "volume": 41200}, {"day": "2026-11-03", "close": 99.75, "volume": 38950}, {"day": "2026-11-04", "close": 102.10, "volume": 52010}]"#;
    let short = compress(text, Options::default(), None, encoding(EncodingName::O200kBase))?;
    println!("{}\n", short.text);
    println!("{} tokens before, {} after", short.tokens_before, short.tokens_after);
    for pass in &short.passes {
        println!("  {:?}: {} tokens to {}", pass.pass, pass.tokens_before, pass.tokens_after);
    }
    let back = expand(&short.text, None)?;
    assert!(short.exact && back == text, "every byte comes back");
    println!("expanded: {} bytes, as before", back.len());
    Ok(())
}
