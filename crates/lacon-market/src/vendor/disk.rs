//! Answers on disk: one file each, written whole, checked when read, bounded by bytes.
//!
//! A file is a line of JSON followed by the body; processes share answers in the same form. Its digest covers both, so a
//! cut, changed or foreign file counts as missing. It is written beside its place and renamed: a crash leaves the old answer or the whole new one. The folder
//! is bounded, oldest out first.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A folder of answers.
#[derive(Debug)]
pub struct DiskCache {
    folder: PathBuf,
    limit_bytes: u64,
}

/// What is known of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// What was asked, without keys.
    pub key: String,
    /// When the vendor sent it, or last said that it still holds.
    pub retrieved_at: Timestamp,
    /// The vendor's name of this version.
    pub etag: Option<String>,
    /// When the vendor last changed it.
    pub last_modified: Option<String>,
    digest: String,
}

impl DiskCache {
    /// Uses a folder, which is made when the first answer is kept. 0 bytes keeps nothing.
    pub fn new(folder: impl Into<PathBuf>, limit_bytes: u64) -> Self {
        Self { folder: folder.into(), limit_bytes }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{}.answer", &blake3::hash(key.as_bytes()).to_hex()[..32]))
    }

    /// The answer to a key, sound but of any age.
    pub fn get(&self, key: &str) -> Option<(Stored, Vec<u8>)> {
        let path = self.path(key);
        // Never more is read than is ever written.
        if fs::metadata(&path).ok()?.len() > self.limit_bytes {
            return None;
        }
        unpacked(key, &fs::read(&path).ok()?)
    }

    /// Keeps an answer as [`packed`] made it. A disk that does not take it is no reason to fail: nothing is kept then.
    pub fn put(&self, key: &str, file: &[u8]) {
        if file.len() as u64 > self.limit_bytes || fs::create_dir_all(&self.folder).is_err() {
            return;
        }
        let path = self.path(key);
        self.make_room(file.len() as u64, &path);
        let _ = lacon_files::write(&path, file, [], lacon_files::Flush::Later);
    }

    fn make_room(&self, needed: u64, replaced: &Path) {
        let mut files = files(&self.folder);
        files.retain(|(path, ..)| path != replaced);
        files.sort_by_key(|(_, modified, _)| *modified);
        let mut total: u64 = files.iter().map(|(_, _, bytes)| bytes).sum();
        for (path, _, bytes) in files {
            if total + needed <= self.limit_bytes {
                break;
            }
            if fs::remove_file(path).is_ok() {
                total -= bytes;
            }
        }
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        files(&self.folder).iter().map(|(_, _, bytes)| bytes).sum()
    }

    /// Removes every answer; gives how many there were.
    pub fn clear(&self) -> usize {
        files(&self.folder).into_iter().filter(|(path, ..)| fs::remove_file(path).is_ok()).count()
    }
}

/// An answer with what is known of it, as it is kept.
pub fn packed(
    key: &str,
    retrieved_at: Timestamp,
    etag: Option<&str>,
    last_modified: Option<&str>,
    body: &[u8],
) -> Vec<u8> {
    let mut stored = Stored {
        key: key.into(),
        retrieved_at,
        etag: etag.map(Into::into),
        last_modified: last_modified.map(Into::into),
        digest: String::new(),
    };
    stored.digest = digest(&stored, body);
    let mut file = serde_json::to_vec(&stored).unwrap_or_default();
    file.push(b'\n');
    file.extend_from_slice(body);
    file
}

/// What [`packed`] made of the answer to a key; nothing where it was cut or changed, or belongs to another key.
pub fn unpacked(key: &str, file: &[u8]) -> Option<(Stored, Vec<u8>)> {
    let end = file.iter().position(|b| *b == b'\n')?;
    let stored: Stored = serde_json::from_slice(&file[..end]).ok()?;
    let body = &file[end + 1..];
    (stored.key == key && stored.digest == digest(&stored, body)).then(|| (stored, body.to_vec()))
}

fn digest(stored: &Stored, body: &[u8]) -> String {
    let mut hash = blake3::Hasher::new();
    for part in [
        stored.key.as_str(),
        &stored.retrieved_at.to_string(),
        stored.etag.as_deref().unwrap_or("\u{1}"),
        stored.last_modified.as_deref().unwrap_or("\u{1}"),
    ] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(body);
    hash.finalize().to_hex()[..32].to_owned()
}

fn files(folder: &Path) -> Vec<(PathBuf, SystemTime, u64)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let meta = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
            Some((entry.path(), meta.modified().ok()?, meta.len()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_753_900_000).unwrap()
    }

    #[test]
    fn keeps_gives_back_and_forgets() {
        let folder = tempfile::tempdir().unwrap();
        let cache = DiskCache::new(folder.path(), 1 << 20);
        cache.put("a", &packed("a", now(), Some("\"v1\""), None, b"body\nwith lines"));
        let (stored, body) = cache.get("a").unwrap();
        assert_eq!((stored.etag.as_deref(), body.as_slice()), (Some("\"v1\""), &b"body\nwith lines"[..]));
        assert!(cache.get("b").is_none());
        assert_eq!(cache.clear(), 1);
        assert!(cache.get("a").is_none());
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = DiskCache::new(folder.path(), 1 << 20);
        cache.put("a", &packed("a", now(), None, None, b"close 181.64"));
        let path = cache.path("a");
        let good = fs::read(&path).unwrap();
        let mut changed = good.clone();
        *changed.last_mut().unwrap() = b'5';
        let older = String::from_utf8(good.clone()).unwrap().replace("2025-07-30", "2025-07-29");
        for bad in [&changed[..], &good[..good.len() - 3], &good[..10], b"", older.as_bytes()] {
            fs::write(&path, bad).unwrap();
            assert!(cache.get("a").is_none());
        }
        // A crash between writing and renaming leaves a file beside, which is never read.
        fs::write(path.with_extension("1-x.tmp"), &good[..5]).unwrap();
        cache.put("a", &packed("a", now(), None, None, b"close 181.64"));
        assert_eq!(cache.get("a").unwrap().1, b"close 181.64");
    }

    #[test]
    fn bytes_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let cache = DiskCache::new(folder.path(), 5_000);
        for i in 0..60 {
            let key = format!("k{i}");
            cache.put(&key, &packed(&key, now(), None, None, &[b'x'; 300]));
        }
        assert!(cache.bytes() <= 5_000 && cache.bytes() > 0, "{}", cache.bytes());
        cache.put("huge", &packed("huge", now(), None, None, &[b'x'; 6_000]));
        assert!(cache.get("huge").is_none());
    }
}
