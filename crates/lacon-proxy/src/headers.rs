//! Which headers are passed on, and which belong to one connection.

use hyper::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue};

/// Says that the client can call `/v1/retrieve` for what a marker stands for.
pub const RETRIEVE: HeaderName = HeaderName::from_static("x-lacon-retrieve");
/// Another policy for this request: `off`, `lossless` or `safe`.
pub const POLICY: HeaderName = HeaderName::from_static("x-lacon-policy");
/// Whose session of the store holds: handles of one client name nothing for another.
pub const SESSION: HeaderName = HeaderName::from_static("x-lacon-session");
/// The name under which the client will tell what came of the request.
pub const OUTCOME: HeaderName = HeaderName::from_static("x-lacon-outcome");
/// Whether the request was compressed, where a share is held out.
pub const ARM: HeaderName = HeaderName::from_static("x-lacon-arm");
/// Whose budget pays.
pub const TEAM: HeaderName = HeaderName::from_static("x-lacon-team");
/// The server's token, for our own routes.
pub const TOKEN: HeaderName = HeaderName::from_static("x-lacon-token");
/// Tokens of the texts that may change, before.
pub const TOKENS_BEFORE: HeaderName = HeaderName::from_static("x-lacon-tokens-before");
/// Tokens of the same texts, after.
pub const TOKENS_AFTER: HeaderName = HeaderName::from_static("x-lacon-tokens-after");
/// The proxy's own time in microseconds.
pub const OVERHEAD: HeaderName = HeaderName::from_static("x-lacon-overhead-us");

/// Headers of one connection, by RFC 9110.
const HOP: [&str; 8] = [
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Takes out what belongs to the connection that the message came on, also what `connection` names.
fn without_hops(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    for name in named.iter().map(String::as_str).chain(HOP) {
        headers.remove(name);
    }
    headers.remove(CONNECTION);
}

/// The client's headers as they go to the upstream. The body's length is set anew where the body is.
pub fn onward(headers: &mut HeaderMap) {
    without_hops(headers);
    // A body of no bytes has no frame that could say its length.
    let empty = headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() == b"0");
    for name in [HOST, CONTENT_LENGTH, EXPECT, RETRIEVE, POLICY, SESSION, OUTCOME, TEAM, TOKEN] {
        headers.remove(name);
    }
    if empty {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

/// The upstream's headers as they go to the client.
pub fn back(headers: &mut HeaderMap) {
    without_hops(headers);
}
