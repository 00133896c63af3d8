//! Server-sent events: bytes in, events out, however the network splits them.
//!
//! Data stays as bytes. The framer follows the HTML standard: lines end in LF, CRLF or CR; a byte order mark is
//! skipped; comments and unknown fields are ignored; data lines are joined by LF; an event without a blank line at its
//! end is dropped. The cost is one pass over the bytes and one copy of the data.

use std::collections::VecDeque;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Name of the event; empty when the stream gives none.
    pub name: Vec<u8>,
    /// The data lines, joined by LF.
    pub data: Vec<u8>,
}

/// An event was longer than the limit; the framer gives nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong {
    /// The limit in bytes.
    pub limit: usize,
}

/// Splits a stream of bytes into events.
#[derive(Debug)]
pub struct Framer {
    /// The line that has begun, as far as it came.
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was a CR: a LF that follows belongs to it.
    after_cr: bool,
    at_start: bool,
    limit: usize,
    ready: VecDeque<Event>,
    failed: bool,
}

impl Framer {
    /// Makes a framer that refuses events of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            line: Vec::new(),
            name: Vec::new(),
            data: Vec::new(),
            has_data: false,
            after_cr: false,
            at_start: true,
            limit,
            ready: VecDeque::new(),
            failed: false,
        }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), TooLong> {
        if self.failed {
            return Err(TooLong { limit: self.limit });
        }
        while !bytes.is_empty() {
            if self.after_cr {
                self.after_cr = false;
                if bytes[0] == b'\n' {
                    bytes = &bytes[1..];
                    continue;
                }
            }
            let end = bytes.iter().position(|&byte| byte == b'\n' || byte == b'\r');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if self.line.len() + self.data.len() + part.len() > self.limit {
                self.failed = true;
                return Err(TooLong { limit: self.limit });
            }
            let Some(end) = end else {
                self.line.extend_from_slice(part);
                break;
            };
            self.after_cr = bytes[end] == b'\r';
            if self.line.is_empty() {
                self.take_line(part);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(part);
                self.take_line(&line);
                line.clear();
                self.line = line;
            }
            bytes = &bytes[end + 1..];
        }
        Ok(())
    }

    /// Returns the next whole event, if one has come.
    pub fn next_event(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn take_line(&mut self, mut line: &[u8]) {
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            let event = Event { name: std::mem::take(&mut self.name), data: std::mem::take(&mut self.data) };
            if std::mem::take(&mut self.has_data) {
                self.ready.push_back(event);
            }
            return;
        }
        let (field, value) = match line.iter().position(|&byte| byte == b':') {
            Some(colon) => {
                let value = &line[colon + 1..];
                (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &line[line.len()..]),
        };
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => self.name = value.to_vec(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The slow obvious reading of a whole stream.
    fn oracle(stream: &[u8]) -> Vec<Event> {
        let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
        let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
        let mut at = 0;
        while at < stream.len() {
            match stream[at] {
                b'\r' if stream.get(at + 1) == Some(&b'\n') => {
                    at += 1;
                    lines.push(Vec::new());
                }
                b'\r' | b'\n' => lines.push(Vec::new()),
                byte => lines.last_mut().unwrap().push(byte),
            }
            at += 1;
        }
        lines.pop();
        let (mut events, mut name, mut data): (Vec<Event>, Vec<u8>, Vec<Vec<u8>>) = Default::default();
        for line in lines {
            if line.is_empty() {
                if !data.is_empty() {
                    events.push(Event { name: name.clone(), data: data.join(&b'\n') });
                }
                name.clear();
                data.clear();
                continue;
            }
            let mut parts = line.splitn(2, |&byte| byte == b':');
            let field = parts.next().unwrap();
            let value = parts.next().unwrap_or(b"");
            let value = value.strip_prefix(b" ").unwrap_or(value).to_vec();
            match field {
                b"data" => data.push(value),
                b"event" => name = value,
                _ => {}
            }
        }
        events
    }

    fn frame(chunks: &[&[u8]]) -> Vec<Event> {
        let mut framer = Framer::new(1 << 20);
        let mut events = Vec::new();
        for chunk in chunks {
            framer.push(chunk).unwrap();
            events.extend(std::iter::from_fn(|| framer.next_event()));
        }
        events
    }

    fn check(stream: &str, expected: &[(&str, &str)]) {
        let events = frame(&[stream.as_bytes()]);
        let shown: Vec<_> = events
            .iter()
            .map(|e| (std::str::from_utf8(&e.name).unwrap(), std::str::from_utf8(&e.data).unwrap()))
            .collect();
        assert_eq!(shown, expected, "{stream:?}");
        assert_eq!(events, oracle(stream.as_bytes()), "{stream:?}");
    }

    #[test]
    fn events_of_the_standard() {
        check("data: a\n\ndata: b\n\n", &[("", "a"), ("", "b")]);
        check("data:a\r\n\r\n", &[("", "a")]);
        check("data: a\r\rdata: b\r\r", &[("", "a"), ("", "b")]);
        check("event: x\ndata: a\ndata\ndata: b\n\n", &[("x", "a\n\nb")]);
        check(": comment\n\nid: 3\nretry: 5\nfoo: bar\ndata:  two spaces\n\n", &[("", " two spaces")]);
        check("event: lost\n\ndata: a\n\n", &[("", "a")]);
        check("\u{feff}data: a\n\n", &[("", "a")]);
        check("data: cut", &[]);
        check("data: cut\n", &[]);
        check("data\n\n", &[("", "")]);
        check("", &[]);
    }

    #[test]
    fn a_long_event_is_refused_and_stays_refused() {
        let mut framer = Framer::new(16);
        assert_eq!(framer.push(b"data: 0123456789\n\n"), Ok(()));
        assert!(framer.next_event().is_some());
        assert_eq!(framer.push(b"data: 0123456789\ndata: 012345"), Err(TooLong { limit: 16 }));
        assert_eq!(framer.push(b"\n\n"), Err(TooLong { limit: 16 }));
    }

    #[test]
    fn comments_without_end_do_not_grow_the_buffer() {
        let mut framer = Framer::new(64);
        for _ in 0..1000 {
            framer.push(b": still working\n\n").unwrap();
        }
        assert!(framer.line.capacity() <= 64 && framer.data.is_empty());
    }

    proptest! {
        #[test]
        fn every_split_gives_the_same_events(
            parts in prop::collection::vec(
                prop_oneof![
                    Just("data: ".to_owned()), Just("data".to_owned()), Just("event: e".to_owned()), Just(":".to_owned()),
                    Just("\n".to_owned()), Just("\r".to_owned()), Just("\r\n".to_owned()), Just("\n\n".to_owned()),
                    Just("\u{feff}".to_owned()), "[a-zäöü€😀 {}\":]{0,6}",
                ],
                0..40,
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let stream = parts.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(frame(&chunks), oracle(&stream));
        }

        #[test]
        fn any_bytes_are_read_as_the_oracle_reads_them(stream in prop::collection::vec(any::<u8>(), 0..300)) {
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            prop_assert_eq!(frame(&bytes), oracle(&stream));
        }
    }
}
