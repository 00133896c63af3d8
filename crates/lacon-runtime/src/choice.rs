//! What an agent decides by a line of its own: the tag of the line, and the question for the line alone.
//!
//! The tag is drawn for the run and for the agent, and stands in that agent's instruction alone. A text that talks of what
//! others decided, or an input that tries to decide, has no such line.

use lacon_llm::{Capabilities, Message, Request};

/// The tag of an agent's line in a run that drew `nonce`.
pub fn tag(nonce: &str, agent: &str) -> String {
    blake3::hash(format!("{nonce}/{agent}").as_bytes()).to_hex()[..6].to_owned()
}

/// The question for the line alone, about an agent's own text: `rule` says what is asked, `line` how to answer, and the
/// answer has at most so many tokens.
pub fn question(request: &Request, text: &str, rule: &str, line: &str, tokens: u32) -> Request {
    Request {
        messages: vec![
            Message::system(rule),
            Message::user(format!("<text>\n{}\n</text>\n\n{line}", text.trim())),
        ],
        tools: Vec::new(),
        max_tokens: Some(tokens + Capabilities::reasoning_room(&request.model)),
        enough: None,
        response_format: None,
        reuse: request.reuse.alone(),
        ..request.clone()
    }
}
