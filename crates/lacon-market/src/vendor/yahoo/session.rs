//! Cookie and crumb of a session, also if the vendor asks for consent first.
//!
//! Where law requires it, the cookie host sets nothing, or redirects to a page that asks for consent, and there is no
//! crumb without an answer. The page is a form with its own token. It is answered once per process, with its default.
//! Its cookie stays in memory and is sent only to this vendor.

use std::{collections::BTreeMap, time::Duration};

use super::{Ask, ME, Problem, VendorError, Yahoo, body};
use crate::vendor::wire::{Got, origin, resolve};

/// The most pages that are gone through for one answer.
const MOST_HOPS: usize = 6;

/// Cookies by name: a later one takes the place of an earlier one.
#[derive(Debug, Default)]
struct Jar(BTreeMap<String, String>);

impl Jar {
    fn take(&mut self, got: &Got) {
        for cookie in &got.cookies {
            if let Some((name, value)) = cookie.split_once('=') {
                self.0.insert(name.trim().to_owned(), value.to_owned());
            }
        }
    }

    fn header(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }
}

impl Yahoo {
    /// Opens a session: a cookie, and the crumb that goes with it.
    pub(super) async fn open(&self) -> Result<(String, String), VendorError> {
        let mut jar = Jar::default();
        // The cookie host answers 404 and sets the cookie all the same.
        let ask = Ask::get(ME, format!("{}/cookie", self.cookie_url)).fresh_for(Duration::ZERO);
        let got = self.wire.send(&ask.any_status(404).redirects()).await?;
        jar.take(&got);
        let refused = if jar.0.is_empty() || got.location.is_some() {
            VendorError::new(ME, Problem::Unauthorised, "the vendor sets no cookie without consent")
        } else {
            match self.crumb(&jar).await {
                Ok(crumb) => return Ok((jar.header(), crumb)),
                // A page instead of a crumb asks for consent too; a vendor that is down or overrun does not.
                Err(error) if matches!(error.problem, Problem::Unauthorised | Problem::Malformed) => error,
                Err(error) => return Err(error),
            }
        };
        match self.consent(&mut jar).await {
            Ok(()) => Ok((jar.header(), self.crumb(&jar).await?)),
            Err(error) => Err(VendorError {
                problem: if error.problem == Problem::Malformed { error.problem } else { refused.problem },
                message: format!(
                    "{}, and its consent page cannot be used: {}",
                    refused.message, error.message
                ),
                ..refused
            }),
        }
    }

    async fn crumb(&self, jar: &Jar) -> Result<String, VendorError> {
        let ask = self.get("/v1/test/getcrumb").header("cookie", &jar.header()).fresh_for(Duration::ZERO);
        let got = self.wire.send(&ask).await?;
        let crumb = String::from_utf8_lossy(&got.body).trim().to_owned();
        let sound =
            (1..=64).contains(&crumb.len()) && crumb.bytes().all(|b| b.is_ascii_graphic() && b != b'<');
        if sound { Ok(crumb) } else { Err(body::malformed(ME, "the crumb is no short word")) }
    }

    /// Reads the consent page and answers its form.
    async fn consent(&self, jar: &mut Jar) -> Result<(), VendorError> {
        let first = Ask::get(ME, format!("{}/consent", self.consent_url));
        let (page, url) = self.follow(first, format!("{}/consent", self.consent_url), jar).await?;
        let page = String::from_utf8_lossy(&page.body);
        let (Some(token), Some(id)) = (form_value(&page, "csrfToken"), form_value(&page, "sessionId")) else {
            return Err(body::malformed(ME, "the page holds no form of consent"));
        };
        // A form without an address of its own is answered where it was read.
        let to = if url.contains("/collectConsent") {
            url
        } else {
            format!("{}/v2/collectConsent?sessionId={}", self.collect_url, body::encode(&id))
        };
        let done = format!("{}/", self.news_url);
        let fields = [
            ("csrfToken", token.as_str()),
            ("sessionId", &id),
            ("consentUUID", "default"),
            ("originalDoneUrl", &done),
            ("namespace", "yahoo"),
            ("agree", "agree"),
        ];
        let form = fields.map(|(name, value)| format!("{name}={}", body::encode(value))).join("&");
        let answer = Ask::post(ME, to.clone(), "application/x-www-form-urlencoded", form.into_bytes()).once();
        self.follow(answer, to, jar).await?;
        Ok(())
    }

    /// Sends an ask and follows where it leads, within the pages of consent and within the vendor's own hosts; gives the last page
    /// and its address.
    async fn follow(&self, ask: Ask, url: String, jar: &mut Jar) -> Result<(Got, String), VendorError> {
        let (mut ask, mut url) = (ask, url);
        for _ in 0..MOST_HOPS {
            let sent = ask.header("cookie", &jar.header()).fresh_for(Duration::ZERO).redirects();
            let got = self.wire.send(&sent).await?;
            jar.take(&got);
            let next = got.location.as_deref().and_then(|location| resolve(&url, location));
            let Some(next) = next.filter(|next| self.is_consent(next)) else { return Ok((got, url)) };
            ask = Ask::get(ME, next.clone());
            url = next;
        }
        Err(body::malformed(ME, format!("more than {MOST_HOPS} pages lead on")))
    }

    fn is_consent(&self, url: &str) -> bool {
        let Some((scheme, rest)) = url.split_once("://") else { return false };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let ours = [&self.consent_url, &self.collect_url];
        let own = ours.iter().any(|base| url.starts_with(&format!("{}/", origin(base))));
        let vendors = scheme == "https" && authority.ends_with(".yahoo.com");
        let path = path.split('?').next().unwrap_or_default();
        (own || vendors)
            && ["/consent", "/collectConsent", "/copyConsent"].iter().any(|end| path.ends_with(end))
    }
}

/// The value of a form's hidden field.
fn form_value(page: &str, wanted: &str) -> Option<String> {
    page.split("<input").skip(1).find_map(|rest| {
        let tag = &rest[..rest.find('>')?];
        let attribute = |name: &str| {
            let at = tag.find(&format!(" {name}=\""))? + name.len() + 3;
            tag[at..].split('"').next()
        };
        (attribute("name")? == wanted).then(|| body::plain(attribute("value").unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read() {
        let page = "<form><input type=\"hidden\" name=\"csrfToken\" value=\"a&amp;b\"><input name=\"x\"><input value=\"7_cc\" name=\"sessionId\"/>";
        assert_eq!(form_value(page, "csrfToken").as_deref(), Some("a&b"));
        assert_eq!(form_value(page, "sessionId").as_deref(), Some("7_cc"));
        assert_eq!(form_value(page, "x").as_deref(), Some(""));
        assert_eq!(form_value("<input name=\"x", "x"), None);
        assert_eq!(form_value(page, "other"), None);
    }

    #[test]
    fn addresses_are_resolved() {
        let check = |base: &str, location: &str, expected: Option<&str>| {
            assert_eq!(resolve(base, location).as_deref(), expected, "{base} {location}");
        };
        check("https://a.yahoo.com/b?c", "/d", Some("https://a.yahoo.com/d"));
        check("https://a.yahoo.com", "/d", Some("https://a.yahoo.com/d"));
        check("http://127.0.0.1:1/yahoo/x", "https://b.yahoo.com/", Some("https://b.yahoo.com/"));
        check("https://a.yahoo.com/b", "d", None);
    }
}
