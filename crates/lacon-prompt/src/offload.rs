//! Offloading: parts that no model reads go to a store, and a marker with a handle stays.
//!
//! A handle is a keyed hash of the content under the session's key. So text from outside cannot name an entry, a handle
//! of one session means nothing in another, and equal content has one entry.

#[cfg(feature = "sqlite")]
pub mod sqlite;

use std::collections::HashMap;

/// A handle's length in hex digits.
pub const HANDLE_LEN: usize = 16;

/// The name of one entry of a session's store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(String);

impl Handle {
    /// Returns the handle of content under a session's key.
    #[must_use]
    pub fn of(key: &[u8; 32], content: &str) -> Handle {
        let hash = blake3::keyed_hash(key, content.as_bytes()).to_hex();
        Handle(hash.as_str()[..HANDLE_LEN].to_owned())
    }

    /// Reads a handle as a user or a model writes it; `None` unless it has the right form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Handle> {
        let lower_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == HANDLE_LEN && text.bytes().all(lower_hex)).then(|| Handle(text.to_owned()))
    }

    /// Returns the handle's hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a store could not keep or return content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The content would not fit; nothing was stored or evicted.
    #[error(
        "store needs {needed} bytes, its limit is {limit}\nhint: raise the store's limit or start a new session"
    )]
    Full {
        /// Bytes in use with the refused content.
        needed: u64,
        /// The store's limit.
        limit: u64,
    },
    /// Two contents have the same handle, which no honest input reaches.
    #[error("store already holds another content as {handle}")]
    Collision {
        /// The handle in question.
        handle: Handle,
    },
    /// The storage medium failed.
    #[error("store failed: {0}")]
    Medium(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Keeps content for one session.
///
/// `put` is idempotent and fails closed: content that is not stored is not offloaded. `get` returns exactly what was
/// put, or nothing. Entries live at least as long as the session.
pub trait Store {
    /// Stores content and returns its handle.
    ///
    /// # Errors
    /// When the content does not fit or the medium fails.
    fn put(&mut self, content: &str) -> Result<Handle, StoreError>;

    /// Returns the content behind a handle of this session.
    ///
    /// # Errors
    /// When the medium fails; an unknown handle is `Ok(None)`.
    fn get(&self, handle: &Handle) -> Result<Option<String>, StoreError>;

    /// Whether what is put now, or was before, can be read by others too: a file may have been removed while it is open.
    ///
    /// # Errors
    /// When the medium is gone.
    fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A store in memory with a limit in bytes.
#[derive(Debug)]
pub struct MemoryStore {
    key: [u8; 32],
    limit: u64,
    used: u64,
    entries: HashMap<Handle, String>,
}

impl MemoryStore {
    /// Creates an empty store for the session that owns `key`.
    #[must_use]
    pub fn new(key: [u8; 32], limit: u64) -> Self {
        MemoryStore { key, limit, used: 0, entries: HashMap::new() }
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether the store is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Store for MemoryStore {
    fn put(&mut self, content: &str) -> Result<Handle, StoreError> {
        let handle = Handle::of(&self.key, content);
        match self.entries.get(&handle) {
            Some(known) if known == content => return Ok(handle),
            Some(_) => return Err(StoreError::Collision { handle }),
            None => {}
        }
        let needed = self.used + content.len() as u64;
        if needed > self.limit {
            return Err(StoreError::Full { needed, limit: self.limit });
        }
        self.used = needed;
        self.entries.insert(handle.clone(), content.to_owned());
        Ok(handle)
    }

    fn get(&self, handle: &Handle) -> Result<Option<String>, StoreError> {
        Ok(self.entries.get(handle).cloned())
    }
}
