//! Objects of a store: an address, how it is reached, and what goes wrong there as errors for a person.

use std::{
    fs::File,
    io::{Read, Write as _},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use object_store::{
    Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, Result, WriteMultipart, path::Path as Key,
};
use tokio::runtime::Runtime;

use crate::failure::{AUTH, Failure, INPUT, UPSTREAM};

/// Bytes of a piece of an upload, where that is enough: a store takes 10,000 pieces.
const PIECE: u64 = 5 << 20;
/// Pieces under way at once; they bound the memory.
const AT_ONCE: usize = 4;
/// Longest error of a store that is shown. Some answer with a page.
const TOLD: usize = 400;

/// An object, and how it is reached.
pub struct Object {
    store: Box<dyn ObjectStore>,
    pub key: Key,
    pub address: String,
    /// Scheme and host: with the key, what tells two objects apart.
    place: String,
    runtime: Arc<Runtime>,
}

/// An event loop for calls to stores.
pub fn event_loop() -> std::result::Result<Arc<Runtime>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.map(Arc::new).map_err(|e| Failure::input(format!("cannot start the event loop: {e}")))
}

/// Reads an address. Keys and endpoints are in the environment, as the clouds' own tools have them.
pub fn open(address: &str) -> std::result::Result<(Box<dyn ObjectStore>, Key, url::Url), Failure> {
    // An error only says that the process has one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let bad = |error: &dyn std::fmt::Display| Failure::input(format!("{address}: {error}"));
    let url = url::Url::parse(address).map_err(|error| bad(&error))?;
    if url.query().is_some() || url.password().is_some() {
        let hint = "hint: keys go into environment variables, such as AWS_ACCESS_KEY_ID";
        return Err(bad(&format!("an address has no query and no password\n{hint}")));
    }
    // Under their full names alone: a variable REGION may mean anything.
    let of_clouds = |name: &str| ["AWS_", "AZURE_", "GOOGLE_"].iter().any(|start| name.starts_with(start));
    let texts = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut options: Vec<(String, String)> = texts.filter(|(name, _)| of_clouds(name)).collect();
    // Whoever names a place without TLS wants it so.
    let plain = |(name, value): &(String, String)| {
        (name.contains("ENDPOINT") || name == "GOOGLE_BASE_URL") && value.starts_with("http://")
    };
    if url.scheme() == "http" || options.iter().any(plain) {
        options.push(("allow_http".to_owned(), "true".to_owned()));
    }
    let (store, key) = object_store::parse_url_opts(&url, options).map_err(|error| bad(&error))?;
    if key.as_ref().is_empty() {
        return Err(bad(&"names no object\nhint: write it as s3://bucket/name"));
    }
    Ok((store, key, url))
}

/// What a store says, for a person.
pub fn explained(error: &Error) -> String {
    match error {
        Error::NotFound { .. } => "there is no such object".to_owned(),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            "the store refused the keys\nhint: its keys come from the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                .to_owned()
        }
        other => {
            let text = other.to_string();
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            line.chars().take(TOLD).collect()
        }
    }
}

/// Makes a new object, and says whether it is as given: a call that was repeated finds its own bytes there.
pub async fn create(store: &dyn ObjectStore, key: &Key, content: Vec<u8>) -> Result<bool> {
    let content = Bytes::from(content);
    let how = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match store.put_opts(key, content.clone().into(), how).await {
        Err(Error::AlreadyExists { .. }) => Ok(store.get(key).await?.bytes().await? == content),
        made => made.map(|_| true),
    }
}

impl Object {
    pub fn at(address: &str, runtime: &Arc<Runtime>) -> std::result::Result<Self, Failure> {
        let (store, key, url) = open(address)?;
        let place = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
        Ok(Self { store, key, address: address.to_owned(), place, runtime: Arc::clone(runtime) })
    }

    /// Whether it is that object, or lies below it as a folder.
    pub fn holds(&self, other: &Self, folder: &Key) -> bool {
        self.place == other.place && (self.key == other.key || other.key.prefix_matches(folder))
    }

    pub fn failed(&self, what: &str, error: &Error) -> Failure {
        let code = match error {
            Error::NotFound { .. } => INPUT,
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => AUTH,
            _ => UPSTREAM,
        };
        Failure { message: format!("cannot {what} {}: {}", self.address, explained(error)), code }
    }

    /// Fetches it into a file.
    pub fn fetch(&self, file: &Path) -> std::result::Result<(), Failure> {
        let unwritable = |error| Failure::input(format!("cannot write {}: {error}", file.display()));
        let unreadable = |error| self.failed("read", &error);
        let mut out = File::create(file).map_err(unwritable)?;
        let mut content = self.runtime.block_on(self.store.get(&self.key)).map_err(unreadable)?.into_stream();
        while let Some(bytes) = self.runtime.block_on(content.try_next()).map_err(unreadable)? {
            out.write_all(&bytes).map_err(unwritable)?;
        }
        Ok(())
    }

    /// Sends a file as it: the object is there whole, or as it was before.
    pub fn send(&self, file: &Path) -> std::result::Result<(), Failure> {
        let opened = File::open(file).and_then(|opened| Ok((opened.metadata()?.len(), opened)));
        let (size, content) =
            opened.map_err(|error| Failure::input(format!("cannot read {}: {error}", file.display())))?;
        let broken = |source| Error::Generic { store: "file", source: Box::new(source) };
        let pieces = futures_util::stream::unfold(content, |mut content| async move {
            let mut piece = Vec::new();
            match std::io::Read::by_ref(&mut content).take(1 << 20).read_to_end(&mut piece) {
                Ok(0) => None,
                Ok(_) => Some((Ok(Bytes::from(piece)), content)),
                Err(error) => Some((Err(error), content)),
            }
        });
        let pieces = std::pin::pin!(pieces.map_err(broken));
        self.runtime.block_on(self.upload(size, pieces)).map_err(|error| self.failed("write", &error))
    }

    /// Makes it of other objects of its store, one behind the other.
    pub fn join(&self, parts: &[(Key, u64)]) -> std::result::Result<(), Failure> {
        let content = futures_util::stream::iter(parts)
            .then(|(part, _)| async { Ok::<_, Error>(self.store.get(part).await?.into_stream()) })
            .try_flatten();
        let size = parts.iter().map(|(_, size)| size).sum();
        let content = std::pin::pin!(content);
        self.runtime.block_on(self.upload(size, content)).map_err(|error| self.failed("write", &error))
    }

    async fn upload(&self, size: u64, mut content: impl Stream<Item = Result<Bytes>> + Unpin) -> Result<()> {
        let piece = usize::try_from(PIECE.max(size / 9_000)).unwrap_or(usize::MAX);
        let begun = self.store.put_multipart(&self.key).await?;
        let mut upload = WriteMultipart::new_with_chunk_size(begun, piece);
        let sent = async {
            while let Some(bytes) = content.try_next().await? {
                upload.wait_for_capacity(AT_ONCE).await?;
                upload.put(bytes);
            }
            Ok(())
        };
        if let Err(error) = sent.await {
            // What was sent takes room and costs until it is taken back; that this fails too is no news.
            let _ = upload.abort().await;
            return Err(error);
        }
        upload.finish().await.map(|_| ())
    }

    /// Its size; nothing where it is not there.
    pub fn size(&self) -> std::result::Result<Option<u64>, Failure> {
        match self.runtime.block_on(self.store.head(&self.key)) {
            Ok(found) => Ok(Some(found.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", &error)),
        }
    }

    /// How many lines it has.
    pub fn lines(&self) -> std::result::Result<u64, Failure> {
        let counted = self.runtime.block_on(async {
            let mut content = self.store.get(&self.key).await?.into_stream();
            let mut lines = 0;
            while let Some(bytes) = content.try_next().await? {
                lines += bytes.iter().filter(|b| **b == b'\n').count() as u64;
            }
            Ok(lines)
        });
        counted.map_err(|error| self.failed("read", &error))
    }

    /// The objects in a folder with their sizes.
    pub fn list(&self, folder: &Key) -> std::result::Result<Vec<(Key, u64)>, Failure> {
        let found = self.store.list(Some(folder)).map_ok(|found| (found.location, found.size));
        self.runtime.block_on(found.try_collect()).map_err(|error| self.failed("list the parts of", &error))
    }

    /// Takes an object away; one that is gone already is as good.
    pub fn remove(&self, key: &Key) -> std::result::Result<(), Failure> {
        match self.runtime.block_on(self.store.delete(key)) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("remove a part of", &error)),
        }
    }

    /// Makes a new object, and says whether it is as given: a call that was repeated finds its own bytes there.
    pub fn create(&self, key: &Key, content: Vec<u8>) -> std::result::Result<bool, Failure> {
        let made = self.runtime.block_on(create(&*self.store, key, content));
        made.map_err(|error| self.failed("write", &error))
    }
}
