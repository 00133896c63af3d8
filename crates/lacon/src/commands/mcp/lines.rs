//! MCP messages as lines over stdin and stdout. A malformed line gets an answer: the library's own transport ignores
//! broken JSON, and a client would wait forever.

use std::{io, sync::Arc};

use rmcp::{
    RoleServer,
    model::ClientJsonRpcMessage,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    sync::{Mutex, OwnedMutexGuard},
};

use crate::mcp_tools::write_line;

/// Longest line that is read, as in the library's transport.
const MAX_LINE: usize = 16 << 20;
/// How much of a longer line is kept to find its id.
const HEAD: usize = 64 << 10;

/// How much is kept of its end.
const TAIL: usize = 1 << 10;

const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;

/// Both ends of the connection.
pub struct Lines<R, W> {
    read: BufReader<R>,
    /// The line that is being read. It outlives a call of `receive`, which may be dropped at any wait.
    line: Vec<u8>,
    too_long: bool,
    write: Arc<Mutex<W>>,
    /// What is being written, with the right to write: also kept when `receive` is dropped, so that no line is torn.
    answering: Option<(Vec<u8>, usize, Option<OwnedMutexGuard<W>>)>,
    begun: bool,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Lines<R, W> {
    pub fn new(read: R, write: W) -> Self {
        let write = Arc::new(Mutex::new(write));
        Self {
            read: BufReader::new(read),
            line: Vec::new(),
            too_long: false,
            write,
            answering: None,
            begun: false,
        }
    }

    /// Reads on until a whole line is there; the last one needs no end. Says whether there was one.
    async fn read_line(&mut self) -> io::Result<bool> {
        loop {
            let found = self.read.fill_buf().await?;
            if found.is_empty() {
                return Ok(!self.line.is_empty());
            }
            let end = memchr(found);
            let taken = end.unwrap_or(found.len());
            if self.too_long || self.line.len() + taken > MAX_LINE {
                // Its id stands near its begin or, as some clients write it, at its end: what is between goes.
                self.too_long = true;
                self.line.extend_from_slice(&found[..taken]);
                let len = self.line.len();
                if len > HEAD + 2 * TAIL {
                    self.line.drain(HEAD..len - TAIL);
                }
            } else {
                self.line.extend_from_slice(&found[..taken]);
            }
            self.read.consume(end.map_or(taken, |end| end + 1));
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    async fn answer(&mut self) -> io::Result<()> {
        if let Some((bytes, at, guard)) = &mut self.answering {
            let out = match guard {
                Some(out) => out,
                None => guard.insert(Arc::clone(&self.write).lock_owned().await),
            };
            while *at < bytes.len() {
                let n = out.write(&bytes[*at..]).await?;
                if n == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                *at += n;
            }
            out.flush().await?;
        }
        self.answering = None;
        Ok(())
    }

    /// Takes the next message that a line holds.
    async fn next(&mut self) -> io::Result<Option<ClientJsonRpcMessage>> {
        loop {
            self.answer().await?;
            if !self.read_line().await? {
                return Ok(None);
            }
            let too_long = std::mem::take(&mut self.too_long);
            let line = std::mem::take(&mut self.line);
            let read = if too_long { Err(Some(too_long_refusal(&line))) } else { message(&line) };
            match read {
                // Only a request opens the connection; the library ends it on anything else.
                Ok(message) if self.begun || matches!(message, ClientJsonRpcMessage::Request(_)) => {
                    self.begun = true;
                    return Ok(Some(message));
                }
                Ok(_) | Err(None) => {}
                Err(Some(answer)) => self.answering = Some((answer.into_bytes(), 0, None)),
            }
        }
    }
}

impl<R, W> Transport<RoleServer> for Lines<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let write = Arc::clone(&self.write);
        async move { write_line(&write, &item).await }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        // Who can neither be heard nor answered is gone.
        self.next().await.ok().flatten()
    }

    async fn close(&mut self) -> io::Result<()> {
        self.write.lock().await.flush().await
    }
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|b| *b == b'\n')
}

/// The message of a line; else what is answered, if anything is.
fn message(line: &[u8]) -> Result<ClientJsonRpcMessage, Option<String>> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
    if line.is_empty() {
        return Err(None);
    }
    let Ok(value) = serde_json::from_slice::<Value>(line) else { return Err(Some(refusal(line, true))) };
    let has = |name: &str| value.get(name).is_some();
    let (has_id, has_method, is_object) = (has("id"), has("method"), value.is_object());
    let is_answer = has("result") || has("error");
    match serde_json::from_value::<ClientJsonRpcMessage>(value) {
        // A notification has no id: one with an id that is none, such as null, is waited for.
        Ok(ClientJsonRpcMessage::Notification(_)) if has_id => Err(Some(refusal(line, false))),
        Ok(message) => Ok(message),
        // An unknown notification and an unreadable answer wait for nothing.
        Err(_) if is_object && (!has_id && has_method || is_answer) => Err(None),
        Err(_) => Err(Some(refusal(line, false))),
    }
}

/// The answer to a line that is no message.
fn refusal(line: &[u8], broken: bool) -> String {
    let (code, why) = if broken {
        (PARSE_ERROR, "the line is no JSON that can be read")
    } else {
        (INVALID_REQUEST, "the line is no request")
    };
    error(id(line), code, why)
}

/// The answer to a line of which only both ends were kept.
fn too_long_refusal(ends: &[u8]) -> String {
    let (head, tail) = ends.split_at(ends.len().min(HEAD));
    let why = format!("the line has more than {MAX_LINE} bytes");
    error(id(head).or_else(|| last_id(tail)), PARSE_ERROR, &why)
}

fn error(id: Option<&str>, code: i32, why: &str) -> String {
    let error = json!({"code": code, "message": why});
    // The id goes back as it was written: a number may have more digits than any type here.
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{error}}}\n", id.unwrap_or("null"))
}

/// The id in `"id":1}` at the end of a message, whose last bracket closes the outermost object.
fn last_id(tail: &[u8]) -> Option<&str> {
    let inner = tail.trim_ascii_end().strip_suffix(b"}")?;
    let at = (0..inner.len()).rev().find(|at| inner[*at..].starts_with(b"\"id\""))?;
    let id = value_after_colon(tail, at + 4)?;
    let rest = &inner[at..];
    rest.ends_with(id).then(|| as_id(id)).flatten()
}

fn as_id(id: &[u8]) -> Option<&str> {
    let id = std::str::from_utf8(id).ok()?;
    let value: Value = serde_json::from_str(id).ok()?;
    (value.is_string() || value.is_number()).then_some(id)
}

/// The id of a message that may be broken or cut: the only member `id` of the outermost object, if it is a whole string
/// or number.
fn id(line: &[u8]) -> Option<&str> {
    let (mut depth, mut at, mut found) = (0usize, 0, None);
    let mut is_key = false;
    while let Some(&byte) = line.get(at) {
        match byte {
            b'"' => {
                let Some(end) = string_end(line, at) else { break };
                let next = line[end..].iter().find(|b| !b" \t\r".contains(b));
                if next.is_some_and(|b| !b":,}]".contains(b)) {
                    // A quotation mark is missing: what follows is read inside out.
                    break;
                }
                let name = is_key && depth == 1 && is_id(&line[at..end]);
                (at, is_key) = (end, false);
                let Some(value) = name.then(|| value_after_colon(line, end)).flatten() else { continue };
                if found.is_some_and(|found| found != value) {
                    return None;
                }
                found = Some(value);
                continue;
            }
            b'{' | b'[' => (depth, is_key) = (depth + 1, byte == b'{'),
            b'}' | b']' => (depth, is_key) = (depth.saturating_sub(1), false),
            b',' => is_key = true,
            b' ' | b'\t' | b'\r' => {}
            // No JSON has this outside of a string: a quote is missing, and what follows cannot be told apart.
            _ if !byte.is_ascii_alphanumeric() && !b"+-.:".contains(&byte) => break,
            _ => is_key = false,
        }
        at += 1;
    }
    as_id(found?)
}

/// A name may be written with escapes.
fn is_id(name: &[u8]) -> bool {
    serde_json::from_slice::<String>(name).is_ok_and(|name| name == "id")
}

/// Where a string ends that begins here; nothing if it is cut.
fn string_end(line: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match line.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// A string or a number behind a colon, with what ends it in sight.
fn value_after_colon(line: &[u8], at: usize) -> Option<&[u8]> {
    let blanks = |at: usize| at + line[at..].iter().take_while(|b| b" \t\r".contains(b)).count();
    let colon = blanks(at);
    if line.get(colon) != Some(&b':') {
        return None;
    }
    let start = blanks(colon + 1);
    let end = match line.get(start)? {
        b'"' => string_end(line, start)?,
        _ => start + line[start..].iter().take_while(|b| b"+-.eE0123456789".contains(b)).count(),
    };
    // A number at a cut may lack its last digits.
    matches!(line.get(blanks(end))?, b',' | b'}').then_some(&line[start..end])
}

#[cfg(test)]
mod tests;
