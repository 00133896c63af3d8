//! The few regular expressions that model names need: literals, classes, groups, alternation, repetition, anchors and
//! lookahead, searched as Python's `re.search` does.
//!
//! The crate `regex` has no lookahead, which the price data uses. Names are short, so plain backtracking is enough.

/// A compiled expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Regex(Vec<Sequence>);

type Sequence = Vec<Node>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Any,
    /// Bytes within one of the ranges, or outside of all.
    Class(Vec<(u8, u8)>, bool),
    Start,
    End,
    Group(Vec<Sequence>),
    /// What must follow, or must not.
    Ahead(Vec<Sequence>, bool),
    Repeat(Box<Node>, usize, usize),
}

impl Regex {
    /// Compiles a pattern; absent where it uses what is not supported.
    pub(crate) fn new(pattern: &str) -> Option<Self> {
        let mut reader = Reader { pattern: pattern.as_bytes(), at: 0 };
        let whole = reader.choice()?;
        (reader.at == pattern.len()).then_some(Self(whole))
    }

    /// Returns whether the expression is found anywhere in `text`.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        let text = text.as_bytes();
        (0..=text.len()).any(|from| any(&self.0, text, from, &mut |_| true))
    }
}

struct Reader<'a> {
    pattern: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn eat(&mut self, text: &[u8]) -> bool {
        let found = self.pattern[self.at..].starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.pattern.get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    fn choice(&mut self) -> Option<Vec<Sequence>> {
        let mut all = vec![Vec::new()];
        while let Some(&byte) = self.pattern.get(self.at) {
            match byte {
                b')' => break,
                b'|' => {
                    self.at += 1;
                    all.push(Vec::new());
                }
                _ => {
                    let node = self.repeated()?;
                    all.last_mut()?.push(node);
                }
            }
        }
        Some(all)
    }

    fn repeated(&mut self) -> Option<Node> {
        let node = self.single()?;
        let (least, most) = match self.pattern.get(self.at) {
            Some(b'?') => (0, 1),
            Some(b'*') => (0, usize::MAX),
            Some(b'+') => (1, usize::MAX),
            Some(b'{') => {
                let rest = self.pattern.get(self.at + 1..)?;
                let end = rest.iter().position(|byte| *byte == b'}')?;
                self.at += end + 1;
                let count = std::str::from_utf8(&rest[..end]).ok()?;
                let (least, most) = count.split_once(',').unwrap_or((count, count));
                let most = if most.is_empty() { usize::MAX } else { most.parse().ok()? };
                (least.parse().ok()?, most)
            }
            _ => return Some(node),
        };
        self.at += 1;
        // A lazy or possessive form is not supported, and an empty repetition would not end.
        let further = matches!(self.pattern.get(self.at), Some(b'?' | b'+' | b'*'));
        let empty = matches!(node, Node::Start | Node::End | Node::Ahead(..));
        (!further && !empty).then(|| Node::Repeat(Box::new(node), least, most))
    }

    fn single(&mut self) -> Option<Node> {
        match self.next()? {
            b'.' => Some(Node::Any),
            b'^' => Some(Node::Start),
            b'$' => Some(Node::End),
            b'[' => self.class(),
            b'\\' => match self.next()? {
                b'd' => Some(Node::Class(vec![(b'0', b'9')], false)),
                byte if byte.is_ascii_alphanumeric() => None,
                byte => Some(Node::Class(vec![(byte, byte)], false)),
            },
            b'(' => {
                let ahead = if self.eat(b"?!") { Some(false) } else { self.eat(b"?=").then_some(true) };
                if ahead.is_none() && !self.eat(b"?:") && self.pattern.get(self.at) == Some(&b'?') {
                    return None;
                }
                let inner = self.choice()?;
                (self.next()? == b')').then_some(match ahead {
                    Some(wanted) => Node::Ahead(inner, wanted),
                    None => Node::Group(inner),
                })
            }
            b'*' | b'+' | b'?' | b'{' => None,
            byte => Some(Node::Class(vec![(byte, byte)], false)),
        }
    }

    fn class(&mut self) -> Option<Node> {
        let negated = self.eat(b"^");
        let mut ranges = Vec::new();
        loop {
            let low = match self.next()? {
                b']' => return Some(Node::Class(ranges, negated)),
                b'\\' => match self.next()? {
                    b'd' => {
                        ranges.push((b'0', b'9'));
                        continue;
                    }
                    byte if byte.is_ascii_alphanumeric() => return None,
                    byte => byte,
                },
                byte => byte,
            };
            let is_range =
                self.pattern.get(self.at) == Some(&b'-') && self.pattern.get(self.at + 1) != Some(&b']');
            let high = if is_range { self.pattern.get(self.at + 1).copied()? } else { low };
            self.at += if is_range { 2 } else { 0 };
            ranges.push((low, high));
        }
    }
}

fn any(choices: &[Sequence], text: &[u8], at: usize, then: &mut dyn FnMut(usize) -> bool) -> bool {
    choices.iter().any(|nodes| all(nodes, text, at, then))
}

fn all(nodes: &[Node], text: &[u8], at: usize, then: &mut dyn FnMut(usize) -> bool) -> bool {
    match nodes.split_first() {
        None => then(at),
        Some((node, rest)) => one(node, text, at, &mut |end| all(rest, text, end, then)),
    }
}

fn one(node: &Node, text: &[u8], at: usize, then: &mut dyn FnMut(usize) -> bool) -> bool {
    match node {
        Node::Any => at < text.len() && then(at + 1),
        Node::Class(ranges, negated) => {
            let inside = |byte: &u8| ranges.iter().any(|(low, high)| (low..=high).contains(&byte));
            text.get(at).is_some_and(|byte| inside(byte) != *negated) && then(at + 1)
        }
        Node::Start => at == 0 && then(at),
        Node::End => at == text.len() && then(at),
        Node::Group(inner) => any(inner, text, at, then),
        Node::Ahead(inner, wanted) => any(inner, text, at, &mut |_| true) == *wanted && then(at),
        Node::Repeat(inner, least, most) => repeat(inner, *least, *most, text, at, then),
    }
}

fn repeat(
    inner: &Node,
    least: usize,
    most: usize,
    text: &[u8],
    at: usize,
    then: &mut dyn FnMut(usize) -> bool,
) -> bool {
    let more = most > 0
        && one(inner, text, at, &mut |end| {
            end > at && repeat(inner, least.saturating_sub(1), most.saturating_sub(1), text, end, then)
        });
    more || (least == 0 && then(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let regex = Regex::new(pattern).expect(pattern);
        for text in yes {
            assert!(regex.is_match(text), "{pattern} must match {text:?}");
        }
        for text in no {
            assert!(!regex.is_match(text), "{pattern} must not match {text:?}");
        }
    }

    #[test]
    fn what_the_price_data_uses() {
        check(
            r"^claude-opus-5[-@]\d{8}$",
            &["claude-opus-5-20260101", "claude-opus-5@20260101"],
            &["claude-opus-5-2026010", "x-claude-opus-5-20260101", "claude-opus-5-202601011"],
        );
        check(r"^(?!.*-[tT][tT][sS](?:$|-))", &["gemini-2.5-pro", "a-ttsx"], &["gemini-tts", "x-tts-y"]);
        check(
            r"^(?![^/]+/)(?:labs-)?(?:(?:mi|code)stral|mixtral)",
            &["mistral-large", "labs-codestral", "mixtral-8x7b"],
            &["mistralai/mistral-large", "amistral", ""],
        );
        check(
            r"^(typesafe/)?jev-1\.13(-\d{8})?$",
            &["jev-1.13", "typesafe/jev-1.13-20260101"],
            &["jev-1x13"],
        );
        check(r"^composer\[fast=true\]$", &["composer[fast=true]"], &["composer"]);
    }

    #[test]
    fn repetition_backtracks_and_ends() {
        check(r"^a+ab{1,2}$", &["aab", "aaabb"], &["ab", "aabbb"]);
        check(r"(a|b)*c", &["c", "ababc"], &["ab"]);
        check(r"^(a*)*$", &["", "aaaa"], &["b"]);
        check(r"b{2,}$", &["abb", "bbb"], &["ab"]);
    }

    #[test]
    fn what_is_not_supported_is_no_expression() {
        for pattern in ["a*?", "(?<=a)b", r"\w", "(a", "a)", "[a", "a{x}", "*", r"\"] {
            assert_eq!(Regex::new(pattern), None, "{pattern}");
        }
    }
}
