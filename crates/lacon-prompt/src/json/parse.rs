//! A strict JSON parser that borrows every lexeme from its input.

/// Deepest nesting that is read; anything deeper is no JSON to us and passes through unchanged.
pub(crate) const MAX_DEPTH: usize = 96;

/// One JSON value, with its scalars as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node<'a> {
    /// `null`, `true`, `false` or a number, as written.
    Literal(&'a str),
    /// A string's inside, still escaped.
    String(&'a str),
    /// An array.
    Array(Vec<Node<'a>>),
    /// An object's members in their order; names are still escaped and may repeat.
    Object(Vec<(&'a str, Node<'a>)>),
}

/// Parses a whole text; leading and trailing blanks are refused, so the caller trims.
pub(crate) fn parse(text: &str) -> Option<Node<'_>> {
    let (node, end) = parse_prefix(text);
    node.filter(|_| end == text.len())
}

/// Parses the value that `text` begins with and says where it ends, or how far it was read when it is none.
pub(crate) fn parse_prefix(text: &str) -> (Option<Node<'_>>, usize) {
    let mut parser = Parser { text, bytes: text.as_bytes(), at: 0 };
    let node = parser.value(0);
    (node, parser.at)
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self, depth: usize) -> Option<Node<'a>> {
        if depth > MAX_DEPTH {
            return None;
        }
        match *self.bytes.get(self.at)? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Node::String),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => {
                let len = number_len(&self.bytes[self.at..])?;
                let start = self.at;
                self.at += len;
                Some(Node::Literal(&self.text[start..self.at]))
            }
        }
    }

    fn word(&mut self, word: &'static str) -> Option<Node<'a>> {
        let end = self.at + word.len();
        if self.text.get(self.at..end)? != word {
            return None;
        }
        let start = self.at;
        self.at = end;
        Some(Node::Literal(&self.text[start..end]))
    }

    fn blanks(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn string(&mut self) -> Option<&'a str> {
        let start = self.at + 1;
        let mut at = start;
        loop {
            match *self.bytes.get(at)? {
                b'"' => break,
                b'\\' => {
                    at += match *self.bytes.get(at + 1)? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
                        b'u' => {
                            let hex = self.bytes.get(at + 2..at + 6)?;
                            if !hex.iter().all(u8::is_ascii_hexdigit) {
                                return None;
                            }
                            6
                        }
                        _ => return None,
                    };
                }
                0..=0x1f => return None,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        Some(&self.text[start..at])
    }

    fn array(&mut self, depth: usize) -> Option<Node<'a>> {
        self.at += 1;
        let mut items = Vec::new();
        self.blanks();
        if self.bytes.get(self.at) == Some(&b']') {
            self.at += 1;
            return Some(Node::Array(items));
        }
        loop {
            self.blanks();
            items.push(self.value(depth + 1)?);
            self.blanks();
            match *self.bytes.get(self.at)? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Some(Node::Array(items));
                }
                _ => return None,
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Node<'a>> {
        self.at += 1;
        let mut members = Vec::new();
        self.blanks();
        if self.bytes.get(self.at) == Some(&b'}') {
            self.at += 1;
            return Some(Node::Object(members));
        }
        loop {
            self.blanks();
            if *self.bytes.get(self.at)? != b'"' {
                return None;
            }
            let name = self.string()?;
            self.blanks();
            if *self.bytes.get(self.at)? != b':' {
                return None;
            }
            self.at += 1;
            self.blanks();
            members.push((name, self.value(depth + 1)?));
            self.blanks();
            match *self.bytes.get(self.at)? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Some(Node::Object(members));
                }
                _ => return None,
            }
        }
    }
}

/// Length of the JSON number that `bytes` begins with.
pub(super) fn number_len(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    match bytes.get(at)? {
        b'0' => at += 1,
        b'1'..=b'9' => at += digits(at),
        _ => return None,
    }
    if bytes.get(at) == Some(&b'.') {
        let n = digits(at + 1);
        if n == 0 {
            return None;
        }
        at += 1 + n;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let n = digits(at + 1 + sign);
        if n == 0 {
            return None;
        }
        at += 1 + sign + n;
    }
    Some(at)
}
