//! The offload store on disk: one SQLite file for many sessions.
//!
//! Each session has its own key that never leaves the file. Handles are hashes under it, so a handle of another
//! session, or an invented one, names nothing. Entries are added and never changed. A write that would exceed the limit
//! is refused before anything is written.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::offload::{Handle, Store, StoreError};
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};

/// A session's part of a store file.
#[derive(Debug)]
pub struct OffloadStore {
    db: Arc<Mutex<Connection>>,
    /// The file and what it was when it was opened; nothing for a store in memory.
    file: Option<(PathBuf, FileId)>,
    session: String,
    key: [u8; 32],
    limit: u64,
}

/// Tells a file from another one of its name.
type FileId = Option<(u64, u64)>;

#[cfg(unix)]
fn file_id(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).ok().map(|file| Some((file.dev(), file.ino())))
}

/// An open file cannot be removed here.
#[cfg(not(unix))]
fn file_id(path: &Path) -> Option<FileId> {
    path.exists().then_some(None)
}

/// Most sessions of a file: a client may name one for each request.
const MAX_SESSIONS: i64 = 10_000;

fn medium(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Medium(Box::new(error))
}

/// The bytes of all entries are kept as a sum: adding them up at each write would read the whole store. The triggers come
/// before the first sum, so that no entry of another process is missed.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS sessions (name TEXT PRIMARY KEY, key BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS entries (
    session TEXT NOT NULL, handle TEXT NOT NULL, content TEXT NOT NULL, bytes INTEGER NOT NULL,
    PRIMARY KEY (session, handle)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS used (bytes INTEGER NOT NULL) STRICT;
CREATE TRIGGER IF NOT EXISTS entries_in AFTER INSERT ON entries BEGIN UPDATE used SET bytes = bytes + NEW.bytes; END;
CREATE TRIGGER IF NOT EXISTS entries_out AFTER DELETE ON entries BEGIN UPDATE used SET bytes = bytes - OLD.bytes; END;
INSERT INTO used SELECT COALESCE(SUM(bytes), 0) FROM entries WHERE NOT EXISTS (SELECT 1 FROM used);
";

impl OffloadStore {
    /// Opens a session of a store file; both are made if they are not there. All sessions of the file together hold at
    /// most `limit` bytes.
    ///
    /// # Errors
    /// When the file cannot be opened, is no store, or the system has no random numbers for a new session's key.
    pub fn open(path: &Path, session: &str, limit: u64) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(medium)?;
        }
        let mut db = Connection::open(path).map_err(medium)?;
        // Several processes may write; each waits for the other's transaction.
        db.busy_timeout(Duration::from_secs(10)).map_err(medium)?;
        db.execute_batch(SCHEMA).map_err(medium)?;
        let key = make_session(&mut db, session)?;
        let file = file_id(path).map(|id| (path.to_owned(), id)).filter(|_| path != Path::new(":memory:"));
        Ok(Self { db: Arc::new(Mutex::new(db)), file, session: session.to_owned(), key, limit })
    }

    /// Another session of the same store, over the same connection; it is made if it is not there and `make` says so.
    ///
    /// # Errors
    /// When the file cannot be used, or has as many sessions as it may have.
    pub fn other_session(&self, session: &str, make: bool) -> Result<Option<Self>, StoreError> {
        let mut db = self.db();
        let key = match known_key(&db, session)? {
            Some(key) => key,
            None if !make => return Ok(None),
            None => {
                let n: i64 =
                    db.query_row("SELECT COUNT(*) FROM sessions", [], |row| row.get(0)).map_err(medium)?;
                if n >= MAX_SESSIONS {
                    return Err(medium(std::io::Error::other(format!("{n} sessions, there can be no more"))));
                }
                make_session(&mut db, session)?
            }
        };
        let (db, file, limit) = (Arc::clone(&self.db), self.file.clone(), self.limit);
        Ok(Some(Self { db, file, session: session.to_owned(), key, limit }))
    }

    /// Sets how long another process's lock on the file is waited for; ten seconds at first.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn wait_at_most(&self, time: Duration) -> Result<(), StoreError> {
        self.db().busy_timeout(time).map_err(medium)
    }

    fn db(&self) -> MutexGuard<'_, Connection> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session for reading; `None` where the file or the session is not there.
    ///
    /// # Errors
    /// When the file is there but cannot be read as a store.
    pub fn open_for_reading(path: &Path, session: &str) -> Result<Option<Self>, StoreError> {
        if !path.exists() {
            return Ok(None);
        }
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(medium)?;
        db.busy_timeout(Duration::from_secs(10)).map_err(medium)?;
        let Some(key) = known_key(&db, session)? else { return Ok(None) };
        let db = Arc::new(Mutex::new(db));
        Ok(Some(Self { db, file: None, session: session.to_owned(), key, limit: 0 }))
    }

    /// Begins to collect writes, which [`Self::commit`] makes durable together; many small ones are much faster so. Without
    /// it each write is durable on its own. Other writers wait meanwhile.
    ///
    /// # Errors
    /// When another process keeps the file for more than ten seconds.
    pub fn begin(&mut self) -> Result<(), StoreError> {
        self.db().execute_batch("BEGIN IMMEDIATE").map_err(medium)
    }

    /// Makes the collected writes durable. A store that is dropped before forgets them.
    ///
    /// # Errors
    /// When the file cannot be written; nothing collected is kept then.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        let db = self.db();
        if db.is_autocommit() {
            return Ok(());
        }
        db.execute_batch("COMMIT").map_err(medium)
    }

    fn write(&self, db: &Connection, handle: &Handle, content: &str) -> Result<(), StoreError> {
        let used: i64 = db.query_row("SELECT bytes FROM used", [], |row| row.get(0)).map_err(medium)?;
        let bytes = i64::try_from(content.len()).map_err(medium)?;
        let needed = used.saturating_add(bytes).unsigned_abs();
        if needed > self.limit {
            return Err(StoreError::Full { needed, limit: self.limit });
        }
        db.execute(
            "INSERT OR IGNORE INTO entries (session, handle, content, bytes) VALUES (?1, ?2, ?3, ?4)",
            params![self.session, handle.as_str(), content, bytes],
        )
        .map_err(medium)?;
        Ok(())
    }

    fn find(&self, db: &Connection, handle: &Handle) -> Result<Option<String>, StoreError> {
        db.query_row(
            "SELECT content FROM entries WHERE session = ?1 AND handle = ?2",
            params![self.session, handle.as_str()],
            |row| row.get(0),
        )
        .optional()
        .map_err(medium)
    }
}

fn known_key(db: &Connection, session: &str) -> Result<Option<[u8; 32]>, StoreError> {
    let known: Option<Vec<u8>> = db
        .query_row("SELECT key FROM sessions WHERE name = ?1", params![session], |row| row.get(0))
        .optional()
        .map_err(medium)?;
    known.map(key_of).transpose()
}

/// The key of a session, which is made if it is not there.
fn make_session(db: &mut Connection, session: &str) -> Result<[u8; 32], StoreError> {
    let write = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(medium)?;
    let key = match known_key(&write, session)? {
        Some(key) => key,
        None => {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(|e| medium(std::io::Error::other(e.to_string())))?;
            write
                .execute("INSERT INTO sessions (name, key) VALUES (?1, ?2)", params![session, key])
                .map_err(medium)?;
            key
        }
    };
    write.commit().map_err(medium)?;
    Ok(key)
}

fn key_of(key: Vec<u8>) -> Result<[u8; 32], StoreError> {
    key.try_into().map_err(|_| medium(std::io::Error::other("a session's key has the wrong length")))
}

impl Store for OffloadStore {
    fn put(&mut self, content: &str) -> Result<Handle, StoreError> {
        self.ready()?;
        let handle = Handle::of(&self.key, content);
        // Held to the end: sessions share the connection, and a transaction is the connection's.
        let db = self.db();
        match self.find(&db, &handle)? {
            Some(known) if known == content => return Ok(handle),
            Some(_) => return Err(StoreError::Collision { handle }),
            None => {}
        }
        let alone = db.is_autocommit();
        if alone {
            db.execute_batch("BEGIN IMMEDIATE").map_err(medium)?;
        }
        let mut written = self.write(&db, &handle, content);
        if alone {
            if written.is_ok() {
                written = db.execute_batch("COMMIT").map_err(medium);
            }
            // The refused write is undone; if even that fails, closing the file undoes it.
            if written.is_err() {
                drop(db.execute_batch("ROLLBACK"));
            }
        }
        written?;
        Ok(handle)
    }

    fn get(&self, handle: &Handle) -> Result<Option<String>, StoreError> {
        let content = self.find(&self.db(), handle)?;
        // A content that no longer has its handle was changed on disk, which must not pass as the original.
        Ok(content.filter(|content| Handle::of(&self.key, content) == *handle))
    }

    fn ready(&self) -> Result<(), StoreError> {
        match &self.file {
            Some((path, id)) if file_id(path) != Some(*id) => {
                let gone = format!("{} was removed or replaced", path.display());
                Err(medium(std::io::Error::other(gone)))
            }
            _ => Ok(()),
        }
    }
}

/// A session of a store file that is opened by the first thing put into it, so that a text without anything to offload
/// leaves no file behind.
#[derive(Debug)]
pub struct LazyStore {
    path: PathBuf,
    session: String,
    limit: u64,
    open: Option<OffloadStore>,
}

impl LazyStore {
    /// A store that is not open yet; its arguments are those of [`OffloadStore::open`].
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, session: impl Into<String>, limit: u64) -> Self {
        Self { path: path.into(), session: session.into(), limit, open: None }
    }

    /// Makes what was put durable; to be called before a marker is shown to anyone.
    ///
    /// # Errors
    /// When the file cannot be written; nothing put since the last call is kept then.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        self.open.as_mut().map_or(Ok(()), OffloadStore::commit)
    }
}

impl Store for LazyStore {
    fn put(&mut self, content: &str) -> Result<Handle, StoreError> {
        let store = match &mut self.open {
            Some(store) => store,
            None => self.open.insert(OffloadStore::open(&self.path, &self.session, self.limit)?),
        };
        if store.db().is_autocommit() {
            store.begin()?;
        }
        store.put(content)
    }

    fn get(&self, handle: &Handle) -> Result<Option<String>, StoreError> {
        match &self.open {
            Some(store) => store.get(handle),
            None => match OffloadStore::open_for_reading(&self.path, &self.session)? {
                Some(store) => store.get(handle),
                None => Ok(None),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_outlive_the_process_and_stay_in_their_session() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/store.db");
        let handle = OffloadStore::open(&path, "a", 100).unwrap().put("content").unwrap();
        let again = OffloadStore::open_for_reading(&path, "a").unwrap().unwrap();
        assert_eq!(again.get(&handle).unwrap().as_deref(), Some("content"));
        let mut other = OffloadStore::open(&path, "b", 100).unwrap();
        assert_eq!(other.get(&handle).unwrap(), None);
        assert_ne!(other.put("content").unwrap(), handle);
        assert!(OffloadStore::open_for_reading(&path, "c").unwrap().is_none());
        assert!(OffloadStore::open_for_reading(&folder.path().join("none"), "a").unwrap().is_none());
    }

    #[test]
    fn a_full_store_refuses_and_keeps_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = OffloadStore::open(&folder.path().join("store.db"), "a", 10).unwrap();
        let handle = store.put("12345678").unwrap();
        assert_eq!(store.put("12345678").unwrap(), handle);
        assert!(matches!(store.put("abc"), Err(StoreError::Full { needed: 11, limit: 10 })));
        assert_eq!(store.get(&handle).unwrap().as_deref(), Some("12345678"));
    }

    #[test]
    fn the_sum_of_all_entries_is_kept_also_of_a_store_that_had_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        OffloadStore::open(&path, "a", 100).unwrap().put("12345").unwrap();
        let db = Connection::open(&path).unwrap();
        db.execute_batch("DROP TRIGGER entries_in; DROP TRIGGER entries_out; DROP TABLE used").unwrap();
        let mut store = OffloadStore::open(&path, "b", 100).unwrap();
        for content in ["12345678", "123", "123", ""] {
            store.put(content).unwrap();
        }
        store.begin().unwrap();
        store.put("forgotten").unwrap();
        drop(store);
        db.execute("DELETE FROM entries WHERE content = '123'", []).unwrap();
        let of = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((of("SELECT bytes FROM used"), of("SELECT SUM(bytes) FROM entries")), (13, 13));
        assert_eq!(of("SELECT COUNT(*) FROM used"), 1);
    }

    #[test]
    fn collected_writes_are_kept_by_the_commit_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let mut store = OffloadStore::open(&path, "a", 100).unwrap();
        store.begin().unwrap();
        let lost = store.put("lost").unwrap();
        drop(store);
        let mut store = OffloadStore::open(&path, "a", 100).unwrap();
        assert_eq!(store.get(&lost).unwrap(), None);
        store.begin().unwrap();
        let kept = store.put("kept").unwrap();
        assert_eq!(store.get(&kept).unwrap().as_deref(), Some("kept"));
        store.commit().unwrap();
        drop(store);
        let store = OffloadStore::open_for_reading(&path, "a").unwrap().unwrap();
        assert_eq!(store.get(&kept).unwrap().as_deref(), Some("kept"));
    }

    #[test]
    fn a_file_that_is_no_store_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        std::fs::write(&path, "this is a text and no database, whatever its name says").unwrap();
        assert!(matches!(OffloadStore::open(&path, "a", 10), Err(StoreError::Medium(_))));
        assert!(matches!(OffloadStore::open_for_reading(&path, "a"), Err(StoreError::Medium(_))));
    }

    #[test]
    fn a_lazy_store_is_made_by_the_first_put_and_kept_by_the_commit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let mut store = LazyStore::new(&path, "a", 100);
        assert_eq!(store.get(&Handle::of(&[0; 32], "x")).unwrap(), None);
        store.commit().unwrap();
        assert!(!path.exists());
        let first = store.put("first").unwrap();
        assert_eq!(store.get(&first).unwrap().as_deref(), Some("first"));
        assert_eq!(LazyStore::new(&path, "a", 100).get(&first).unwrap(), None);
        store.commit().unwrap();
        assert_eq!(LazyStore::new(&path, "a", 100).get(&first).unwrap().as_deref(), Some("first"));
        let second = store.put("second").unwrap();
        store.commit().unwrap();
        assert_eq!(LazyStore::new(&path, "a", 100).get(&second).unwrap().as_deref(), Some("second"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_is_gone_or_replaced_takes_nothing_and_gives_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let mut store = OffloadStore::open(&path, "a", 100).unwrap();
        let handle = store.put("content").unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(store.ready().is_err() && store.put("more").is_err());
        assert_eq!(store.get(&handle).unwrap().as_deref(), Some("content"));
        OffloadStore::open(&path, "a", 100).unwrap();
        assert!(store.ready().is_err() && store.put("more").is_err());
    }

    #[test]
    fn sessions_of_one_connection_share_the_limit_and_nothing_else() {
        let mut first = OffloadStore::open(Path::new(":memory:"), "a", 20).unwrap();
        assert!(first.other_session("b", false).unwrap().is_none());
        let mut second = first.other_session("b", true).unwrap().unwrap();
        let handle = first.put("content").unwrap();
        assert_eq!(second.get(&handle).unwrap(), None);
        assert_ne!(second.put("content").unwrap(), handle);
        assert!(matches!(second.put("seven .."), Err(StoreError::Full { .. })));
        let again = first.other_session("b", false).unwrap().unwrap();
        assert_eq!(again.key, second.key);
    }
}
