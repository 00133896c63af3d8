//! Lacon's count of a request's prompt, before it is sent.

use lacon_tokens::{ChatMessage, ModelEncoding, count_request};

use crate::request::Request;

/// Counts the prompt tokens of a request: messages, framing, tool calls, declared tools and the answer's schema.
///
/// O(bytes of the request). `encoding.how` tells how exact the count is.
pub fn count_prompt(request: &Request, encoding: &ModelEncoding) -> usize {
    let calls: Vec<Vec<(&str, &str)>> = request
        .messages
        .iter()
        .map(|m| m.tool_calls.iter().map(|c| (c.name.as_str(), c.arguments.as_str())).collect())
        .collect();
    let messages: Vec<ChatMessage<'_>> = request
        .messages
        .iter()
        .zip(&calls)
        .map(|(m, calls)| ChatMessage {
            role: m.role.as_str(),
            content: &m.content,
            name: m.name.as_deref(),
            tool_calls: calls,
        })
        .collect();
    let tools: Vec<serde_json::Value> = request
        .tools
        .iter()
        .map(
            |t| serde_json::json!({"name": t.name, "description": t.description, "parameters": t.parameters}),
        )
        .collect();
    let parts = lacon_tokens::Request {
        messages: &messages,
        tools: &tools,
        response_schema: request.response_format.as_ref().map(|format| &format.schema),
        ..lacon_tokens::Request::default()
    };
    count_request(encoding, &parts).total
}
