//! Offloaded content that every proxy can give back, for as long as it is asked for now and then.

use std::time::Duration;

use lacon_prompt::offload::{Handle, Store, StoreError};
use redis::{RedisError, Script};

use super::Server;

/// The content of one session.
pub struct SharedContent {
    server: Server,
    session: String,
    keep: u64,
    key: Option<[u8; 32]>,
    put: Script,
}

impl SharedContent {
    /// The content of a session; entries are kept for so long after they were last put. Asks nothing yet.
    #[must_use]
    pub fn new(server: Server, session: &str, keep: Duration) -> Self {
        let put = Script::new(include_str!("put.lua"));
        Self { server, session: session.to_owned(), keep: keep.as_secs().max(1), key: None, put }
    }

    fn entry(&self, handle: &Handle) -> String {
        format!("lacon:content:{}:{handle}", self.session)
    }

    /// The key that handles of the session are made with: the first proxy that asks makes it.
    fn key(&mut self) -> Result<[u8; 32], StoreError> {
        if let Some(key) = self.key {
            return Ok(key);
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| StoreError::Medium(error.to_string().into()))?;
        let name = self.session_key();
        let held = self.server.ask(|connection| {
            redis::cmd("SET")
                .arg(&name)
                .arg(&key)
                .arg("EX")
                .arg(self.keep * 10)
                .arg("NX")
                .query::<()>(connection)?;
            redis::cmd("GET").arg(&name).query::<Vec<u8>>(connection)
        });
        let held = held.map_err(medium)?;
        let key =
            <[u8; 32]>::try_from(held).map_err(|_| StoreError::Medium("the session's key is none".into()))?;
        self.key = Some(key);
        Ok(key)
    }

    fn session_key(&self) -> String {
        format!("lacon:session:{}", self.session)
    }
}

fn medium(error: RedisError) -> StoreError {
    StoreError::Medium(Box::new(error))
}

impl Store for SharedContent {
    fn put(&mut self, content: &str) -> Result<Handle, StoreError> {
        let handle = Handle::of(&self.key()?, content);
        let (entry, session) = (self.entry(&handle), self.session_key());
        let kept = self.server.ask(|connection| {
            self.put.key(&entry).key(&session).arg(content).arg(self.keep).invoke::<u8>(connection)
        });
        match kept.map_err(medium)? {
            1 => Ok(handle),
            _ => Err(StoreError::Collision { handle }),
        }
    }

    fn get(&self, handle: &Handle) -> Result<Option<String>, StoreError> {
        let entry = self.entry(handle);
        self.server.ask(|connection| redis::cmd("GET").arg(&entry).query(connection)).map_err(medium)
    }

    fn ready(&self) -> Result<(), StoreError> {
        self.server.ask(|connection| redis::cmd("PING").query::<()>(connection)).map_err(medium)
    }
}
