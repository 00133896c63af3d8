//! Shows how a request that is not on the tape differs from the most similar recorded one.

use std::fmt;

use crate::request::Request;

/// How much text is shown on each side of a difference.
const SHOWN: usize = 60;

/// The recorded request that is most like the one asked, and where they part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// Role of the recorded request.
    pub role: String,
    /// What differs, such as `model` or `message 2`.
    pub place: String,
    /// The recorded side, from shortly before the difference.
    pub recorded: String,
    /// The asked side, from shortly before the difference.
    pub asked: String,
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = if self.role.is_empty() { "a call" } else { &self.role };
        write!(
            f,
            "nearest is {role}, where {} differs: recorded {:?}, asked {:?}",
            self.place, self.recorded, self.asked
        )
    }
}

/// Finds the nearest of the recorded requests; none when there are none.
pub(super) fn nearest<'a>(asked: &Request, recorded: impl Iterator<Item = &'a Request>) -> Option<Miss> {
    let best = recorded.max_by_key(|candidate| likeness(asked, candidate))?;
    let (place, recorded, ours) = difference(asked, best);
    Some(Miss { role: best.tags.role.clone(), place, recorded, asked: ours })
}

/// Same role first, then the share of text that is the same from the start or the end of each message.
fn likeness(asked: &Request, recorded: &Request) -> (bool, usize) {
    let same: usize = asked
        .messages
        .iter()
        .zip(&recorded.messages)
        .map(|(a, b)| {
            let (a, b) = (a.content.as_bytes(), b.content.as_bytes());
            let start = a.iter().zip(b).take_while(|(x, y)| x == y).count();
            let rest = a.len().min(b.len()) - start;
            let end = a.iter().rev().zip(b.iter().rev()).take(rest).take_while(|(x, y)| x == y).count();
            start + end
        })
        .sum();
    (asked.tags.role == recorded.tags.role, same)
}

fn difference(asked: &Request, recorded: &Request) -> (String, String, String) {
    let pair = |place: &str, recorded: String, asked: String| (place.to_owned(), recorded, asked);
    if asked.model != recorded.model {
        return pair("the model", recorded.model.clone(), asked.model.clone());
    }
    for (n, (a, b)) in asked.messages.iter().zip(&recorded.messages).enumerate() {
        let place = format!("message {}", n + 1);
        if a.role != b.role {
            return (format!("the role of {place}"), b.role.as_str().to_owned(), a.role.as_str().to_owned());
        }
        if a.content != b.content {
            let at = a.content.bytes().zip(b.content.bytes()).take_while(|(x, y)| x == y).count();
            return (format!("{place} from byte {at} on"), excerpt(&b.content, at), excerpt(&a.content, at));
        }
        if a.tool_calls != b.tool_calls || a.tool_call_id != b.tool_call_id || a.name != b.name {
            return (
                format!("the tool part of {place}"),
                format!("{:?}", b.tool_calls),
                format!("{:?}", a.tool_calls),
            );
        }
    }
    if asked.messages.len() != recorded.messages.len() {
        let count = |request: &Request| request.messages.len().to_string();
        return pair("the number of messages", count(recorded), count(asked));
    }
    if asked.tools != recorded.tools {
        let names =
            |request: &Request| request.tools.iter().map(|tool| &*tool.name).collect::<Vec<_>>().join(", ");
        return pair("the tools", names(recorded), names(asked));
    }
    let settings = |request: &Request| {
        format!(
            "choice {:?}, max_tokens {:?}, temperature {:?}, effort {:?}, format {:?}",
            request.tool_choice,
            request.max_tokens,
            request.temperature,
            request.effort,
            request.response_format.as_ref().map(|format| &format.name)
        )
    };
    pair("a setting", settings(recorded), settings(asked))
}

/// Returns a piece of `text` around byte `at`, on character boundaries.
fn excerpt(text: &str, at: usize) -> String {
    let start = text.floor_char_boundary(at.saturating_sub(SHOWN / 3));
    let end = text.floor_char_boundary((start + SHOWN).min(text.len()));
    text[start..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;
    use crate::request::Tags;

    fn request(role: &str, text: &str) -> Request {
        Request {
            messages: vec![Message::system("be brief"), Message::user(text)],
            tags: Tags { role: role.into(), ..Tags::default() },
            ..Request::new("m")
        }
    }

    #[test]
    fn the_same_role_is_nearer_than_the_same_text() {
        let recorded = [request("bear", "price is 12.5 today"), request("bull", "price is 99 todax")];
        let miss = nearest(&request("bull", "price is 12.5 today"), recorded.iter()).unwrap();
        assert_eq!(
            miss.to_string(),
            "nearest is bull, where message 2 from byte 9 on differs: recorded \"price is 99 todax\", asked \"price is 12.5 today\""
        );
        assert_eq!(nearest(&request("bull", "x"), [].iter()), None);
    }

    #[test]
    fn every_kind_of_difference_is_named() {
        let base = request("bull", "é€ text");
        let check = |change: fn(&mut Request), place: &str| {
            let mut other = base.clone();
            change(&mut other);
            assert_eq!(nearest(&other, [&base].into_iter()).unwrap().place, place);
        };
        check(|r| r.model.push('x'), "the model");
        check(|r| r.messages[1].content = "ê€ text".into(), "message 2 from byte 1 on");
        check(|r| r.messages.push(Message::user("x")), "the number of messages");
        check(|r| r.max_tokens = Some(1), "a setting");
        check(|r| r.messages[1].tool_call_id = Some("x".into()), "the tool part of message 2");
    }
}
