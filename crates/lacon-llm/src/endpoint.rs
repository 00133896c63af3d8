//! The base URL of an endpoint and the addresses under it.

use hyper::Uri;

use crate::error::{Error, ErrorKind};

/// A base URL with any path and query, such as `https://host/v1` or `https://host/deployments/x?api-version=1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    scheme: String,
    authority: String,
    path: String,
    query: Option<String>,
}

impl Endpoint {
    /// Checks a base URL.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let invalid = |what: &str| {
            Error::new(ErrorKind::InvalidRequest, format!("base url {:?} {what}", without_credentials(url)))
        };
        let trimmed = url.trim();
        let uri: Uri = trimmed.parse().map_err(|error| invalid(&format!("is not a url: {error}")))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(invalid("has no scheme or host")
                .with_hint("write it as http://host:port/v1 or https://host/v1"));
        };
        if !matches!(scheme, "http" | "https") {
            return Err(invalid("is neither http nor https").with_hint("write it as https://host/v1"));
        }
        if authority.as_str().contains('@') {
            return Err(invalid("holds credentials").with_hint("pass the key as the api key, not in the url"));
        }
        Ok(Self {
            scheme: scheme.to_owned(),
            authority: authority.as_str().to_owned(),
            path: uri.path().trim_end_matches('/').to_owned(),
            query: uri.query().map(str::to_owned),
        })
    }

    /// Returns the host and port as written.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns the base URL without its query, which may hold a key.
    pub fn base_url(&self) -> String {
        format!("{}://{}{}", self.scheme, self.authority, self.path)
    }

    /// Returns the address of `path` (with a leading slash) below the base; a base that already ends in it is kept.
    pub(crate) fn join(&self, path: &str, query: Option<&str>) -> Result<Uri, Error> {
        let base = self.path.strip_suffix(path).unwrap_or(&self.path);
        let mut address = format!("{}://{}{base}{path}", self.scheme, self.authority);
        for (n, part) in self.query.as_deref().into_iter().chain(query).enumerate() {
            address.push(if n == 0 { '?' } else { '&' });
            address.push_str(part);
        }
        address.parse().map_err(|error| {
            Error::new(ErrorKind::InvalidRequest, format!("path {path:?} gives no valid address: {error}"))
        })
    }
}

fn without_credentials(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://[redacted]{}", &url[..scheme], &url[at..]),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_joined() {
        let check = |base: &str, expected: &str| {
            let uri = Endpoint::parse(base).unwrap().join("/chat/completions", None).unwrap();
            assert_eq!(uri.to_string(), expected);
        };
        check("http://127.0.0.1:8090/v1", "http://127.0.0.1:8090/v1/chat/completions");
        check("http://127.0.0.1:8090/v1/", "http://127.0.0.1:8090/v1/chat/completions");
        check("https://h", "https://h/chat/completions");
        check("https://h/v1/chat/completions", "https://h/v1/chat/completions");
        check("https://h/d/x?api-version=1", "https://h/d/x/chat/completions?api-version=1");
        let gemini = Endpoint::parse("https://h/v1beta?k=1")
            .unwrap()
            .join("/models/m:stream", Some("alt=sse"))
            .unwrap();
        assert_eq!(gemini.to_string(), "https://h/v1beta/models/m:stream?k=1&alt=sse");
    }

    #[test]
    fn bad_urls_are_refused_without_showing_credentials() {
        for url in ["", "h/v1", "ftp://h", "http://", "127.0.0.1:80", "http://a b"] {
            assert_eq!(Endpoint::parse(url).unwrap_err().kind(), ErrorKind::InvalidRequest, "{url}");
        }
        let error = Endpoint::parse("https://user:hunter2@h/v1").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
