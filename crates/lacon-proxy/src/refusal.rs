//! Lacon's own answers to a request that cannot be served: errors in the format of OpenAI's and Anthropic's clients.

use std::fmt::Display;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde_json::json;

use crate::answer::Answer;

/// A refusal. `kind` is one of OpenAI's types of errors, `code` says what to look for in a log.
pub fn refuse(status: StatusCode, kind: &str, code: &str, message: impl Display) -> Response<Answer> {
    let error = json!({"type": kind, "message": message.to_string(), "param": null, "code": code});
    json_answer(status, json!({"type": "error", "error": error}).to_string())
}

/// A refusal of what the client sent.
pub fn invalid(status: StatusCode, code: &str, message: impl Display) -> Response<Answer> {
    refuse(status, "invalid_request_error", code, message)
}

/// An answer of JSON.
pub fn json_answer(status: StatusCode, json: String) -> Response<Answer> {
    text_answer(status, "application/json", json)
}

/// An answer of text.
pub fn text_answer(status: StatusCode, content_type: &'static str, text: String) -> Response<Answer> {
    let mut response = Response::new(Answer::Own(Full::new(Bytes::from(text))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
