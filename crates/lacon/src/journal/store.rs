//! Entries of runs as objects of a store: `FOLDER/RUN/00000000`, and beside them one object whose date says when the worker of a
//! claim last gave a sign. All times are those of the store.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use lacon_llm::BoxFuture;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, path::Path as Key};

use super::{Entry, Place};
use crate::{
    failure::Failure,
    stores::{create, explained, open},
};

/// Objects read at once.
const AT_ONCE: usize = 8;

pub struct Store {
    store: Box<dyn ObjectStore>,
    folder: Key,
    address: String,
}

impl Store {
    pub fn new(address: &str) -> Result<Self, Failure> {
        let (store, folder, _) = open(address)?;
        Ok(Self { store, folder, address: address.to_owned() })
    }

    fn key(&self, run: &str, name: &str) -> Key {
        Key::from(format!("{}/{run}/{name}", self.folder))
    }

    fn entry(&self, run: &str, n: u64) -> Key {
        self.key(run, &format!("{n:08}"))
    }

    fn failed(&self, error: &Error) -> String {
        format!("the journal at {} cannot be used: {}", self.address, explained(error))
    }
}

impl Place for Store {
    fn read<'a>(&'a self, run: &'a str) -> BoxFuture<'a, Result<Vec<Entry>, String>> {
        Box::pin(async move {
            let folder = self.key(run, "");
            let found = self.store.list(Some(&folder)).map_ok(|object| object.location);
            let found: Vec<Key> = found.try_collect().await.map_err(|error| self.failed(&error))?;
            let number = |key: &Key| key.filename().and_then(|name| name.parse::<u64>().ok());
            let count = found.iter().filter(|key| number(key).is_some()).count() as u64;
            let each = futures_util::stream::iter(0..count).map(|n| async move {
                let bytes = async { self.store.get(&self.entry(run, n)).await?.bytes().await };
                let bytes = bytes.await.map_err(|error| self.failed(&error))?;
                serde_json::from_slice(&bytes).map_err(|error| {
                    format!("entry {n} of run {run} at {} is damaged: {error}", self.address)
                })
            });
            each.buffered(AT_ONCE).try_collect().await
        })
    }

    fn add<'a>(&'a self, run: &'a str, n: u64, entry: &'a Entry) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async move {
            let content = serde_json::to_vec(entry).map_err(|error| error.to_string())?;
            create(&*self.store, &self.entry(run, n), content).await.map_err(|error| self.failed(&error))
        })
    }

    fn beat<'a>(&'a self, run: &'a str, claim: u64, next: u64) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async move {
            match self.store.head(&self.entry(run, next)).await {
                Ok(_) => return Ok(false),
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failed(&error)),
            }
            let beat = self.key(run, &format!("heard-{claim:08}"));
            self.store.put(&beat, Vec::new().into()).await.map_err(|error| self.failed(&error))?;
            Ok(true)
        })
    }

    fn silence<'a>(&'a self, run: &'a str, claim: u64) -> BoxFuture<'a, Result<Duration, String>> {
        Box::pin(async move {
            let silence = async {
                let now = self.key(run, &format!("now-{:08x}", rand_u32()));
                self.store.put(&now, Vec::new().into()).await?;
                let at = self.store.head(&now).await?.last_modified;
                self.store.delete(&now).await?;
                let heard = match self.store.head(&self.key(run, &format!("heard-{claim:08}"))).await {
                    Err(Error::NotFound { .. }) => self.store.head(&self.entry(run, claim)).await?,
                    found => found?,
                };
                // Dates of objects are whole seconds.
                let silence = (at - heard.last_modified).to_std().unwrap_or_default();
                Ok(silence.saturating_sub(Duration::from_secs(1)))
            };
            silence.await.map_err(|error| self.failed(&error))
        })
    }
}

fn rand_u32() -> u32 {
    let mut draw = [0; 4];
    // A name that two workers share costs nothing: each reads a date that is now.
    let _ = getrandom::fill(&mut draw);
    u32::from_le_bytes(draw)
}
