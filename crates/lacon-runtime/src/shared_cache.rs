//! Answers on disk that several runs share: what does not depend on a run is fetched once.
//!
//! Each answer is one file, written whole and checked when read. A damaged, stale or foreign file counts as missing.
//! The folder is bounded by bytes, oldest out first. Two processes that ask at the same moment both ask the source.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::tools::ToolText;

/// A folder of answers.
#[derive(Debug)]
pub struct SharedCache {
    folder: PathBuf,
    limit_bytes: u64,
    applies: fn(&str) -> bool,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    key: String,
    text: String,
    no_data: bool,
    digest: String,
}

impl SharedCache {
    /// Uses a folder, which is made when the first answer is kept, for the tools whose name `applies` accepts.
    pub fn new(folder: impl Into<PathBuf>, limit_bytes: u64, applies: fn(&str) -> bool) -> Self {
        Self { folder: folder.into(), limit_bytes, applies }
    }

    /// Whether the answers of a tool are shared.
    pub fn applies(&self, tool: &str) -> bool {
        (self.applies)(tool)
    }

    fn path(&self, key: &str) -> PathBuf {
        let name = blake3::hash(key.as_bytes()).to_hex();
        self.folder.join(format!("{}.json", &name[..32]))
    }

    /// The answer to a key, if one is there that is younger than `time_to_live`.
    pub fn get(&self, key: &str, time_to_live: Duration) -> Option<ToolText> {
        let path = self.path(key);
        let age = fs::metadata(&path).ok()?.modified().ok()?.elapsed().ok()?;
        if age > time_to_live {
            return None;
        }
        let entry: Entry = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        let sound = entry.key == key && entry.digest == digest(&entry.text);
        sound.then_some(ToolText { text: entry.text, no_data: entry.no_data })
    }

    /// Keeps an answer. A disk that does not take it is no reason to fail a run: nothing is kept then.
    pub fn put(&self, key: &str, answer: &ToolText) {
        let entry = Entry {
            key: key.into(),
            text: answer.text.clone(),
            no_data: answer.no_data,
            digest: digest(&answer.text),
        };
        let Ok(json) = serde_json::to_vec(&entry) else { return };
        if json.len() as u64 > self.limit_bytes || fs::create_dir_all(&self.folder).is_err() {
            return;
        }
        self.make_room(json.len() as u64);
        let _ = lacon_files::write(&self.path(key), &json, [], lacon_files::Flush::Later);
    }

    fn make_room(&self, needed: u64) {
        let mut files = files(&self.folder);
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

    /// Removes every answer; gives how many there were.
    pub fn clear(&self) -> usize {
        files(&self.folder).into_iter().filter(|(path, ..)| fs::remove_file(path).is_ok()).count()
    }
}

fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

fn files(folder: &Path) -> Vec<(PathBuf, SystemTime, u64)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let meta = entry.metadata().ok()?;
            Some((entry.path(), meta.modified().ok()?, meta.len()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(name: &str, limit: u64) -> SharedCache {
        let folder = std::env::temp_dir().join(format!("lacon-shared-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        SharedCache::new(folder, limit, |_| true)
    }

    fn text(text: &str) -> ToolText {
        ToolText { text: text.into(), no_data: false }
    }

    #[test]
    fn keeps_gives_back_and_forgets() {
        let cache = cache("basic", 1 << 20);
        cache.put("news(2025-07-30)", &text("rates held at 4.25 %"));
        let minute = Duration::from_secs(60);
        assert_eq!(cache.get("news(2025-07-30)", minute), Some(text("rates held at 4.25 %")));
        assert_eq!(cache.get("news(2025-07-31)", minute), None);
        assert_eq!(cache.get("news(2025-07-30)", Duration::ZERO), None);
        assert_eq!(cache.clear(), 1);
        assert_eq!(cache.get("news(2025-07-30)", minute), None);
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let cache = cache("damaged", 1 << 20);
        cache.put("k", &text("12.50"));
        let path = cache.path("k");
        let json = fs::read_to_string(&path).unwrap();
        for bad in [json.replace("12.50", "12.51"), json[..json.len() / 2].to_owned(), String::new()] {
            fs::write(&path, bad).unwrap();
            assert_eq!(cache.get("k", Duration::from_secs(60)), None);
        }
        cache.clear();
    }

    #[test]
    fn bytes_are_bounded() {
        let cache = cache("bounded", 2_000);
        for i in 0..50 {
            cache.put(&format!("k{i}"), &text(&"x".repeat(300)));
        }
        let total: u64 = files(&cache.folder).iter().map(|(_, _, bytes)| bytes).sum();
        assert!(total <= 2_000 && total > 0, "{total}");
        cache.clear();
    }
}
