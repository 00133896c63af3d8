//! An append-only, checksummed journal of outputs: a killed run goes on where it stopped.
//!
//! One line per finished node: an eight-digit checksum, a space, a JSON object. A line is written before its output
//! enters the state, in one write, so a killed process leaves at most one torn line at the end, which is ignored.
//! The journal is not synced to disk at each line: it survives the process, not a power cut.

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
    /// How often it had been started.
    pub visit: u32,
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
    /// A line in the middle is damaged: going on would repeat or lose work in silence.
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

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Opens or makes the file and returns what it holds. A torn last line is cut off.
    ///
    /// # Errors
    /// When the file cannot be used, or a line before the last one is damaged.
    pub fn open<U: DeserializeOwned>(path: &Path) -> Result<(Self, Vec<Record<U>>), JournalError> {
        let io = |source| JournalError::Io { path: path.into(), source };
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(io)?;
        let mut records = Vec::new();
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
                Some(record) => {
                    records.push(record);
                    good += n as u64;
                }
                None => damaged = Some(number),
            }
        }
        file.set_len(good).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        Ok((Self { file, path: path.into() }, records))
    }

    /// Adds one finished node in one write.
    ///
    /// # Errors
    /// When the update cannot be encoded or the disk does not take the line.
    pub fn append<U: Serialize>(
        &mut self,
        node: &str,
        visit: u32,
        route: Option<&str>,
        update: &U,
    ) -> Result<(), JournalError> {
        let record = Record { node: node.into(), visit, route: route.map(Into::into), update };
        let json = serde_json::to_string(&record)
            .map_err(|source| JournalError::Encode { node: node.into(), source })?;
        let line = format!("{:08x} {json}\n", checksum(json.as_bytes()));
        self.file
            .write_all(line.as_bytes())
            .map_err(|source| JournalError::Io { path: self.path.clone(), source })
    }
}

fn parse<U: DeserializeOwned>(line: &[u8]) -> Option<Record<U>> {
    let line = line.strip_suffix(b"\n")?;
    let (sum, json) = (line.get(..8)?, line.get(9..)?);
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    (checksum(json) == sum).then(|| serde_json::from_slice(json).ok()).flatten()
}

/// CRC-32 (IEEE 802.3, reflected), bit by bit: journals are small and this needs no table.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::checksum;

    #[test]
    fn checksum_equals_the_published_check_value() {
        assert_eq!(checksum(b"123456789"), 0xCBF4_3926);
    }
}
