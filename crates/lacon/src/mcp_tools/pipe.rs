//! A server that is a program: messages as lines over its standard input and output.

use std::{io, process::Stdio, sync::Arc};

use lacon_agents::team::Mcp;
use rmcp::{
    RoleClient,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::Mutex,
};

use super::{Fault, message};

/// What every program is given of the environment. Keys of others are not its business.
const PASSED_ON: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TZ",
    "SYSTEMROOT",
    "APPDATA",
    "LOCALAPPDATA",
    "TEMP",
];
/// How much of what it says on standard error is kept for the message of a fault.
const TAIL: usize = 1 << 10;

/// The program and both ends of the connection. Dropping it kills the program.
pub(super) struct Pipe {
    child: Child,
    read: BufReader<ChildStdout>,
    /// The line that is being read. It outlives a call of `receive`, which may be dropped at any wait.
    line: Vec<u8>,
    write: Arc<Mutex<ChildStdin>>,
    said: Option<ChildStderr>,
    tail: Vec<u8>,
    most: usize,
    fault: Fault,
}

impl Pipe {
    /// Starts the program.
    pub fn start(mcp: &Mcp, most: usize, fault: Fault) -> Result<Self, String> {
        let (program, arguments) = mcp.command.split_first().ok_or("it has no command")?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in std::env::vars_os() {
            let passed_on = name.to_str().is_some_and(|name| {
                PASSED_ON.iter().any(|known| name.eq_ignore_ascii_case(known))
                    || mcp.env.iter().any(|own| own == name)
            });
            if passed_on {
                command.env(name, value);
            }
        }
        let mut child = command.spawn().map_err(|error| format!("{program:?} cannot be started: {error}"))?;
        let (Some(write), Some(read), said) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(format!("{program:?} has no standard input and output"));
        };
        Ok(Self {
            child,
            read: BufReader::new(read),
            line: Vec::new(),
            write: Arc::new(Mutex::new(write)),
            said,
            tail: Vec::new(),
            most,
            fault,
        })
    }

    /// The next whole line; none when the program has ended or writes a line that is too long.
    async fn next(&mut self) -> Option<Vec<u8>> {
        let mut said = [0; 512];
        loop {
            tokio::select! {
                biased;
                found = self.read.fill_buf() => {
                    let found = found.ok().filter(|found| !found.is_empty())?;
                    let end = found.iter().position(|byte| *byte == b'\n');
                    let taken = end.unwrap_or(found.len());
                    if self.line.len() + taken > self.most {
                        self.fault.set(format!("it sent a message of more than {} bytes", self.most));
                        return None;
                    }
                    self.line.extend_from_slice(&found[..taken]);
                    self.read.consume(end.map_or(taken, |end| end + 1));
                    if end.is_some() {
                        return Some(std::mem::take(&mut self.line));
                    }
                }
                n = heard(self.said.as_mut(), &mut said) => {
                    if n == 0 {
                        self.said = None;
                    }
                    keep(&mut self.tail, &said[..n]);
                }
            }
        }
    }

    /// Says why there is nothing more, with the last words of the program.
    async fn ended(&mut self) {
        if self.fault.get().is_some() {
            let _ = self.child.start_kill();
            return;
        }
        let mut said = [0; 512];
        // Its last words may come after its last answer; nobody waits for them long.
        let rest = async {
            while self.said.is_some() {
                let n = heard(self.said.as_mut(), &mut said).await;
                if n == 0 {
                    self.said = None;
                }
                keep(&mut self.tail, &said[..n]);
            }
            self.child.wait().await
        };
        let status = tokio::time::timeout(std::time::Duration::from_millis(500), rest).await;
        let status = match status {
            Ok(Ok(status)) => format!(" with {status}"),
            _ => String::new(),
        };
        let tail = String::from_utf8_lossy(&self.tail);
        let last = tail.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let last = if last.is_empty() { String::new() } else { format!(": {}", last.trim()) };
        self.fault.set(format!("it ended{status}{last}"));
    }
}

/// Keeps the last words.
fn keep(tail: &mut Vec<u8>, said: &[u8]) {
    tail.extend_from_slice(said);
    let over = tail.len().saturating_sub(TAIL);
    tail.drain(..over);
}

/// Reads what a program says on standard error; waits for ever where it says nothing more.
async fn heard(said: Option<&mut ChildStderr>, buffer: &mut [u8]) -> usize {
    match said {
        Some(said) => said.read(buffer).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

/// Writes a message as one line, whole.
pub async fn write_line(
    write: &Mutex<impl AsyncWrite + Unpin>,
    message: &impl serde::Serialize,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut write = write.lock().await;
    write.write_all(&line).await?;
    write.flush().await
}

impl Transport<RoleClient> for Pipe {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let write = Arc::clone(&self.write);
        async move { write_line(&write, &item).await }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            let Some(line) = self.next().await else {
                self.ended().await;
                return None;
            };
            // Some programs print other things before they begin.
            if let Some(message) = message(&line) {
                return Some(message);
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        let _ = self.child.start_kill();
        Ok(())
    }
}
