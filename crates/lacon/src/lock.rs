//! One run folder, one writer: a lock file with the writer's identity, held for as long as a run writes.
//!
//! The operating system holds the lock and gives it back when the process ends, however it ends, so that no stale lock
//! needs a guess. What the file says is for people, and decides only where the file system knows no locks.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use lacon_trading::Settings;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The file's name in a run's folder.
pub const LOCK: &str = "run.lock";

/// Where a run's results go.
pub fn folder(settings: &Settings) -> PathBuf {
    settings.out.join(&settings.ticker).join(settings.date.to_string()).join(&settings.run_id)
}

/// A process, told apart from a later one with the same number.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    pid: u32,
    host: String,
    /// When the process began, as its system tells it; nothing where it does not.
    process_start: Option<u64>,
    since: String,
}

impl Identity {
    fn own() -> Self {
        let pid = std::process::id();
        Self { pid, host: host(), process_start: process_start(pid), since: Timestamp::now().to_string() }
    }

    /// Whether the process may still run: another host's cannot be looked at from here.
    fn may_run(&self) -> bool {
        if self.host != host() {
            return true;
        }
        match process_start(self.pid) {
            Some(start) => self.process_start.is_none_or(|own| own == start),
            None => process_start(std::process::id()).is_none(),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}, since {}", self.pid, self.host, self.since)
    }
}

/// The name of this machine, where the system tells it in a file.
pub fn host() -> String {
    let named =
        ["/proc/sys/kernel/hostname", "/etc/hostname"].iter().find_map(|f| fs::read_to_string(f).ok());
    named.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or("this host".into())
}

/// When a process began, in its system's ticks; nothing where there is no such process or no `/proc`.
fn process_start(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold blanks and brackets itself.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// The right to write into a run's folder, given back when dropped.
#[derive(Debug)]
pub struct RunLock {
    /// Nothing where the folder cannot be written: then no other run can either, and writing tells why.
    held: Option<(File, PathBuf)>,
}

impl RunLock {
    /// Takes the folder of a run.
    ///
    /// # Errors
    /// When another process writes into it; the message says which.
    pub fn of(settings: &Settings) -> Result<Self, Failure> {
        Self::take(&folder(settings))
    }

    /// Takes a folder; errors as [`RunLock::of`].
    pub fn take(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(LOCK);
        // Whoever ends removes the file: one that was opened before that is no longer the lock.
        for _ in 0..100 {
            let opened = fs::create_dir_all(folder).and_then(|()| {
                File::options().read(true).write(true).create(true).truncate(false).open(&path)
            });
            let Ok(mut file) = opened else { return Ok(Self { held: None }) };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(held(folder, identity(&mut file))),
                Err(TryLockError::Error(_)) => {
                    if let Some(other) = identity(&mut file).filter(Identity::may_run) {
                        return Err(held(folder, Some(other)));
                    }
                }
            }
            if !is_at(&file, &path) {
                continue;
            }
            // On a full disk the lock holds without saying whose it is.
            let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| {
                let identity = serde_json::to_string(&Identity::own()).unwrap_or_default();
                file.write_all(identity.as_bytes())
            });
            return Ok(Self { held: Some((file, path)) });
        }
        Err(held(folder, None))
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        if let Some((file, path)) = self.held.take() {
            // Removed while it is held. A lock that stays behind is taken over by the next run.
            let _ = fs::remove_file(&path);
            drop(file);
            // A run that left nothing leaves no folders: run, day and ticker, as far as they are empty.
            let _ = path.ancestors().skip(1).take(3).try_for_each(fs::remove_dir);
        }
    }
}

fn identity(file: &mut File) -> Option<Identity> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Whether an open file is the one that its name stands for.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let (Ok(own), Ok(named)) = (file.metadata(), fs::metadata(path)) else { return false };
    (own.dev(), own.ino()) == (named.dev(), named.ino())
}

/// An open file cannot be removed here.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

fn held(folder: &Path, by: Option<Identity>) -> Failure {
    let who = by.as_ref().map_or("another process".to_owned(), ToString::to_string);
    Failure::input(format!(
        "run folder {} is in use by {who}\nhint: wait until that run ends, stop it, or choose another --run-id",
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_writer_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("AAA/2025-01-02/x");
        let first = RunLock::take(&folder).unwrap();
        let refused = RunLock::take(&folder).unwrap_err();
        assert!(refused.message.contains(&format!("process {} on ", std::process::id())), "{refused:?}");
        assert!(refused.message.contains("\nhint: "), "{refused:?}");
        drop(first);
        assert!(!root.path().join("AAA").exists(), "a run that left nothing leaves no folders");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("run.json"), "{}").unwrap();
        drop(RunLock::take(&folder).unwrap());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn a_lock_without_a_holder_is_taken_over() {
        let root = tempfile::tempdir().unwrap();
        let stale = Identity { pid: 1, process_start: Some(0), ..Identity::own() };
        for left in [String::new(), "{".into(), serde_json::to_string(&stale).unwrap()] {
            fs::write(root.path().join(LOCK), left).unwrap();
            let lock = RunLock::take(root.path()).unwrap();
            assert!(lock.held.is_some());
            std::mem::forget(lock);
            fs::remove_file(root.path().join(LOCK)).unwrap();
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_is_told_from_a_later_one_with_its_number() {
        let own = Identity::own();
        assert!(own.may_run());
        assert!(!Identity { process_start: Some(1), ..Identity::own() }.may_run());
        assert!(!Identity { pid: u32::MAX, ..Identity::own() }.may_run());
        assert!(Identity { pid: u32::MAX, host: "elsewhere".into(), ..own }.may_run());
    }

    /// Many processes start and end at once: never do two of them hold the folder.
    #[test]
    fn a_removed_lock_is_never_held_beside_a_new_one() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("kept"), "").unwrap();
        let (inside, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let Ok(lock) = RunLock::take(root.path()) else { continue };
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        taken.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(taken.into_inner() > 0);
    }
}
