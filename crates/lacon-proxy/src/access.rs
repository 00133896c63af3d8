//! Access control: no browser page unless it is allowed, and for Lacon's own routes only clients with the token.
//!
//! A page can send requests to any address, also on this machine. It cannot forge `host` and `origin`. The first
//! reveals a name that was rebound to this address, the second a page from elsewhere.

use std::net::IpAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD,
        AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN, UPGRADE, VARY,
    },
};

use crate::{answer::Answer, headers, refusal::invalid};

/// Who may call.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Names and addresses under which the server may be called, beside `localhost`, loopback and the address that a
    /// connection came to.
    pub hosts: Vec<String>,
    /// Origins whose pages may call, such as `http://localhost:3000`.
    pub origins: Vec<String>,
    /// The token for Lacon's own routes.
    pub token: Option<String>,
}

impl Access {
    /// A refusal, the answer to a browser's question before a request, or nothing where the request may go on. `here` is
    /// the address that the connection came to.
    pub fn check<B>(&self, request: &Request<B>, here: Option<IpAddr>) -> Option<Response<Answer>> {
        let headers = request.headers();
        if let Err(host) = self.host(request, here) {
            return Some(invalid(
                StatusCode::MISDIRECTED_REQUEST,
                "bad_host",
                format!(
                    "host {host:?} is not this server\nhint: call it by the address that it listens on, or start it with --allow-host NAME"
                ),
            ));
        }
        if let Some(origin) = self.stranger(headers) {
            return Some(invalid(
                StatusCode::FORBIDDEN,
                "bad_origin",
                format!("a page from {origin:?} may not ask\nhint: --allow-origin ORIGIN lets it"),
            ));
        }
        let websocket =
            |value: &HeaderValue| value.to_str().is_ok_and(|v| v.to_ascii_lowercase().contains("websocket"));
        if headers.get_all(UPGRADE).iter().any(websocket) {
            return Some(invalid(
                StatusCode::NOT_IMPLEMENTED,
                "websocket",
                "WebSockets are not passed on\nhint: use the HTTP routes, or call the provider itself",
            ));
        }
        let asks_before =
            request.method() == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if asks_before && headers.contains_key(ORIGIN) {
            let mut answer = Response::new(Answer::Own(Full::new(Bytes::new())));
            *answer.status_mut() = StatusCode::NO_CONTENT;
            let allowed = answer.headers_mut();
            allowed
                .insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE, OPTIONS"));
            if let Some(wanted) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
                allowed.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
            }
            self.share(headers.get(ORIGIN), allowed);
            return Some(answer);
        }
        None
    }

    /// The host that is none of ours.
    fn host<B>(&self, request: &Request<B>, here: Option<IpAddr>) -> Result<(), String> {
        let mut named: Vec<String> = Vec::new();
        for value in request.headers().get_all(HOST) {
            named.push(value.to_str().map_err(|_| "?".to_owned())?.to_owned());
        }
        named.extend(request.uri().authority().map(|authority| authority.as_str().to_owned()));
        if named.is_empty() {
            return Err(String::new());
        }
        let ours = |named: &String| {
            let host = without_port(named).to_ascii_lowercase();
            let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
            // A page at another server's address may reach this one through a forwarded port.
            let is_here = |ip: IpAddr| ip.is_loopback() || here.is_some_and(|here| here.to_canonical() == ip);
            address.is_some_and(is_here)
                || host == "localhost"
                || self.hosts.iter().any(|allowed| host.eq_ignore_ascii_case(without_port(allowed)))
        };
        named.iter().find(|named| !ours(named)).map_or(Ok(()), |host| Err(host.clone()))
    }

    /// The origin of a page that was not allowed.
    fn stranger(&self, headers: &HeaderMap) -> Option<String> {
        let allowed = |origin: &str| self.origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin));
        let mut none = true;
        for origin in headers.get_all(ORIGIN) {
            none = false;
            match origin.to_str() {
                Ok(origin) if allowed(origin) => {}
                other => return Some(other.unwrap_or("?").to_owned()),
            }
        }
        // An image or a script of a page comes without an origin.
        let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
        let foreign = none && matches!(site, Some("cross-site" | "same-site"));
        foreign.then(|| "elsewhere".to_owned())
    }

    /// Lets an allowed page read the answer.
    pub fn share(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        let Some(origin) = origin else { return };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
        answer.append(VARY, HeaderValue::from_static("origin"));
    }

    /// A refusal where one of our own routes is asked without the token.
    pub fn own<B>(&self, request: &Request<B>) -> Option<Response<Answer>> {
        let token = self.token.as_ref()?;
        let shown = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
        let bearer = shown(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        let same = |shown: &str| equal(shown.trim().as_bytes(), token.as_bytes());
        let known = bearer.is_some_and(same) || shown(headers::TOKEN).is_some_and(same);
        (!known).then(|| {
            let hint = "hint: send it as x-lacon-token, or as authorization: Bearer";
            invalid(
                StatusCode::UNAUTHORIZED,
                "bad_token",
                format!("this route needs the server's token\n{hint}"),
            )
        })
    }
}

/// Whether a body is declared as JSON. A page may send any other kind without a preflight request.
pub fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => {
            if name.contains(':') && !name.starts_with('[') { host } else { name }
        }
        _ => host,
    }
}

/// Compares in constant time.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}
