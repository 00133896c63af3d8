//! An append-only, checksummed journal of outputs, from which a killed run resumes.
//!
//! Each finished node is one line: an eight-digit checksum (CRC-32 of IEEE 802.3), a space, a JSON object. A line is
//! written before its output enters the state, in one write. A killed process therefore leaves at most one torn line at
//! the end, which is ignored. Lines are not synced to disk: the journal survives the process, not a power cut.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// One finished node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record<U> {
    /// The node's name.
    pub node: String,
    /// Number of its starts.
    pub visit: u32,
    /// The item, for a node that fans out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<usize>,
    /// The route it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// What it added to the state.
    pub update: U,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error("cannot use journal {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line in the middle is damaged; going on would silently repeat or lose work.
    #[error("journal {} is damaged at line {line}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// An output cannot be written as JSON.
    #[error("cannot write the output of node {node:?} as JSON")]
    Encode {
        /// The node.
        node: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// An open file of checksummed lines, each a JSON value of one type.
#[derive(Debug)]
pub struct Log {
    file: File,
    path: PathBuf,
}

impl Log {
    /// Opens or creates the file and returns its content. A torn last line is cut off.
    ///
    /// # Errors
    /// When the file cannot be used, or a line before the last one is damaged.
    pub fn open<T: DeserializeOwned>(path: &Path) -> Result<(Self, Vec<T>), JournalError> {
        let io = |source| JournalError::Io { path: path.into(), source };
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(io)?;
        let mut lines = Vec::new();
        let mut good = 0u64;
        let mut damaged = None;
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let n = reader.read_until(b'\n', &mut line).map_err(io)?;
            if n == 0 {
                break;
            }
            if let Some(line) = damaged {
                return Err(JournalError::Damaged { path: path.into(), line });
            }
            match parse(&line) {
                Some(value) => {
                    lines.push(value);
                    good += n as u64;
                }
                None => damaged = Some(number),
            }
        }
        file.set_len(good).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        Ok((Self { file, path: path.into() }, lines))
    }

    /// Appends one line in one write. `about` names the line in an error.
    ///
    /// # Errors
    /// When the value cannot be encoded or the disk does not take the line.
    pub fn append<T: Serialize>(&mut self, about: &str, value: &T) -> Result<(), JournalError> {
        self.append_lines(&line(about, value)?)
    }

    /// Appends whole lines, each made by [`line()`], in one write.
    ///
    /// # Errors
    /// When the disk does not take them.
    pub fn append_lines(&mut self, lines: &str) -> Result<(), JournalError> {
        let written = self.file.write_all(lines.as_bytes());
        written.map_err(|source| JournalError::Io { path: self.path.clone(), source })
    }
}

/// Formats a value as a line of a [`Log`], with checksum and line end. `about` names it in an error.
///
/// # Errors
/// When the value cannot be encoded.
pub fn line<T: Serialize>(about: &str, value: &T) -> Result<String, JournalError> {
    // The checksum stands before what it is of: its place is kept.
    let mut line = b"00000000 ".to_vec();
    let encode = |source| JournalError::Encode { node: about.into(), source };
    serde_json::to_writer(&mut line, value).map_err(encode)?;
    let sum = format!("{:08x}", crc32fast::hash(&line[9..]));
    line[..8].copy_from_slice(sum.as_bytes());
    line.push(b'\n');
    String::from_utf8(line).map_err(|e| encode(serde::ser::Error::custom(e)))
}

/// An open journal of finished nodes.
#[derive(Debug)]
pub struct Journal {
    log: Log,
}

impl Journal {
    /// Opens or creates the file and returns its content. A torn last line is cut off.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open<U: DeserializeOwned>(path: &Path) -> Result<(Self, Vec<Record<U>>), JournalError> {
        let (log, records) = Log::open(path)?;
        Ok((Self { log }, records))
    }

    /// Appends one finished node in one write.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append<U: Serialize>(&mut self, record: &Record<U>) -> Result<(), JournalError> {
        self.log.append(&record.node, record)
    }
}

/// Copies the first lines of a journal to a path that must not exist. A run that starts there resumes from that
/// checkpoint; the old journal does not change.
///
/// # Errors
/// When a file cannot be used, the journal is damaged, or it holds fewer lines.
pub fn fork(from: &Path, to: &Path, lines: usize) -> Result<(), JournalError> {
    let io = |path: &Path, source| JournalError::Io { path: path.into(), source };
    let mut text = Vec::new();
    let mut reader = BufReader::new(File::open(from).map_err(|e| io(from, e))?);
    for number in 1..=lines {
        let before = text.len();
        reader.read_until(b'\n', &mut text).map_err(|e| io(from, e))?;
        if parse::<serde::de::IgnoredAny>(&text[before..]).is_none() {
            return Err(JournalError::Damaged { path: from.into(), line: number });
        }
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(to).map_err(|e| io(to, e))?;
    file.write_all(&text).map_err(|e| io(to, e))
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    let line = line.strip_suffix(b"\n")?;
    let (sum, json) = (line.get(..8)?, line.get(9..)?);
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    (crc32fast::hash(json) == sum).then(|| serde_json::from_slice(json).ok()).flatten()
}
