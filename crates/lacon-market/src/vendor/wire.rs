//! The layer between a client and the network: keys, waits per host, retry, one flight for equal requests, cache.
//!
//! A fresh answer is served from disk, or from another process. Later the vendor is asked whether the kept answer still holds, if
//! it named a version. Equal requests at the same moment become one. Only answers that pass the vendor's own check are kept: an
//! error inside a 200 is an error, and errors are never kept.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{Timestamp, civil::Date};
use tokio::{
    sync::{OnceCell, Semaphore},
    time::Instant,
};

use super::{
    Key, Problem, Source, Vendor, VendorError, body,
    disk::{self, DiskCache, Stored},
    fetch::{BoxFuture, Fetch, FetchError, HttpAnswer, HttpRequest, Method},
};

/// Looks at an answer before it is believed: the problem that it states, whatever its status.
pub type Check = fn(u16, &[u8]) -> Option<(Problem, String)>;

/// A request to a vendor.
#[derive(Clone, Debug)]
pub struct Ask {
    vendor: Vendor,
    method: Method,
    url: String,
    keys: Vec<(&'static str, Key)>,
    key_headers: Vec<(&'static str, &'static str, Key)>,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    fresh_for: Duration,
    max_bytes: usize,
    repeatable: bool,
    window: (Option<Date>, Option<Date>),
    check: Check,
    also: Option<u16>,
    redirects: bool,
    kept_as: Option<String>,
}

/// The largest body of a usual answer.
pub const MAX_BYTES: usize = 8 << 20;

impl Ask {
    /// Reads `url`, which holds no query yet.
    pub fn get(vendor: Vendor, url: impl Into<String>) -> Self {
        Self {
            vendor,
            method: Method::Get,
            url: url.into(),
            keys: Vec::new(),
            key_headers: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
            fresh_for: Duration::from_secs(300),
            max_bytes: MAX_BYTES,
            repeatable: true,
            window: (None, None),
            check: |_, _| None,
            also: None,
            redirects: false,
            kept_as: None,
        }
    }

    /// Asks with a body. The calls of this crate read by POST, so they may be repeated, unless [`Ask::once`] says no.
    pub fn post(vendor: Vendor, url: impl Into<String>, content_type: &str, body: Vec<u8>) -> Self {
        let ask = Self { method: Method::Post, body, ..Self::get(vendor, url) };
        ask.header("content-type", content_type)
    }

    /// Adds a pair to the query.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.push(if self.url.contains('?') { '&' } else { '?' });
        let _ = write!(self.url, "{}={}", body::encode(name), body::encode(value));
        self
    }

    /// Adds a key to the query; it is in no name, error or report of the request.
    #[must_use]
    pub fn key(mut self, name: &'static str, key: &Key) -> Self {
        self.keys.push((name, key.clone()));
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Adds a header whose value is a key behind a word such as `Bearer `.
    #[must_use]
    pub fn key_header(mut self, name: &'static str, before: &'static str, key: &Key) -> Self {
        self.key_headers.push((name, before, key.clone()));
        self
    }

    /// How long a kept answer needs no asking; zero keeps nothing.
    #[must_use]
    pub fn fresh_for(mut self, time: Duration) -> Self {
        self.fresh_for = time;
        self
    }

    /// The largest body that is read.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sends the request once only: it costs money or changes something.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.repeatable = false;
        self
    }

    /// The days that are asked for, both inclusive; for the source.
    #[must_use]
    pub fn window(mut self, from: Option<Date>, until: Option<Date>) -> Self {
        self.window = (from, until);
        self
    }

    /// How the vendor says that something went wrong.
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.check = check;
        self
    }

    /// Takes an answer of this status for a good one, such as a 404 that is asked for its cookie.
    #[must_use]
    pub fn any_status(mut self, status: u16) -> Self {
        self.also = Some(status);
        self
    }

    /// Takes an answer that leads elsewhere for a good one; nothing is followed here, the caller reads [`Got::location`].
    #[must_use]
    pub fn redirects(mut self) -> Self {
        self.redirects = true;
        self
    }

    /// Keeps the answer under this name instead of its address, which is one of the moment.
    #[must_use]
    pub fn kept_as(mut self, name: String) -> Self {
        self.kept_as = Some(name);
        self
    }

    fn name(&self) -> String {
        if let Some(name) = &self.kept_as {
            return name.clone();
        }
        let method = if self.method == Method::Get { "GET" } else { "POST" };
        let body = if self.body.is_empty() {
            String::new()
        } else {
            format!(" {}", &blake3::hash(&self.body).to_hex()[..16])
        };
        // Answers may differ by key: another plan, another account.
        let mut keys = blake3::Hasher::new();
        self.keys.iter().map(|(_, k)| k).chain(self.key_headers.iter().map(|(_, _, k)| k)).for_each(|k| {
            keys.update(k.expose().as_bytes());
        });
        format!("{} {method} {}{body} {}", self.vendor, self.url, &keys.finalize().to_hex()[..8])
    }

    fn redact(&self, text: &str) -> String {
        let keys = self.keys.iter().map(|(_, k)| k).chain(self.key_headers.iter().map(|(_, _, k)| k));
        keys.fold(text.to_owned(), |text, key| key.redact(&text))
    }

    fn error(&self, problem: Problem, message: &str) -> VendorError {
        VendorError::new(self.vendor, problem, self.redact(message))
    }
}

/// A text that may be kept for some time, or what went wrong.
pub type Made = Result<(String, Option<Duration>), VendorError>;

/// Answers that processes share. What fails there is no failure of a request: its vendor is asked then.
pub trait Elsewhere: Send + Sync {
    /// Gives the text with a name: that of another process, or what `make` gives, which others may have for as long as it says.
    fn answer<'a>(
        &'a self,
        name: &'a str,
        make: BoxFuture<'a, Made>,
    ) -> BoxFuture<'a, Result<String, VendorError>>;
}

/// Steers a [`Wire`].
pub struct WireOptions {
    /// Longest time of one request.
    pub timeout: Duration,
    /// Tries of a request that found the vendor down, the first one included.
    pub max_attempts: u32,
    /// First wait before another try; doubles each time.
    pub wait: Duration,
    /// The longest wait that a vendor may ask for; a longer one fails at once.
    pub max_wait: Duration,
    /// Requests at once per host.
    pub per_host: usize,
    /// After how many failed asks in a row a host is left alone, and for how long; the next ask then tries it once.
    pub breaker: Option<(u32, Duration)>,
    /// Who asks; several vendors refuse clients without a name.
    pub agent: String,
    /// Where answers are kept.
    pub cache: Option<DiskCache>,
    /// What processes share.
    pub elsewhere: Option<Arc<dyn Elsewhere>>,
}

impl Default for WireOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(20),
            max_attempts: 3,
            wait: Duration::from_millis(400),
            max_wait: Duration::from_secs(30),
            per_host: 4,
            breaker: Some((3, Duration::from_secs(30))),
            agent: concat!("lacon/", env!("CARGO_PKG_VERSION"), " (market data reader)").into(),
            cache: None,
            elsewhere: None,
        }
    }
}

/// An answer that passed its vendor's check.
#[derive(Clone, Debug)]
pub struct Got {
    /// The body.
    pub body: Arc<Vec<u8>>,
    /// Cookies that were set, as `name=value`.
    pub cookies: Vec<String>,
    /// What the server says the body is.
    pub content_type: String,
    /// Where the answer leads, when it is a redirect.
    pub location: Option<String>,
    /// Where it comes from.
    pub source: Source,
}

struct Host {
    places: Semaphore,
    next: Mutex<Instant>,
    /// Failed asks in a row, and when the last one failed.
    down: Mutex<(u32, Instant)>,
}

type Flight = Arc<OnceCell<Got>>;

/// The way to all vendors; one per process, so that its limits hold for all runs.
pub struct Wire {
    fetch: Arc<dyn Fetch>,
    options: WireOptions,
    cache: Option<Arc<DiskCache>>,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    flights: Mutex<HashMap<String, Flight>>,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl Wire {
    /// Puts the rules in front of a [`Fetch`].
    pub fn new(fetch: Arc<dyn Fetch>, mut options: WireOptions) -> Self {
        let cache = options.cache.take().map(Arc::new);
        Self { fetch, options, cache, hosts: Mutex::default(), flights: Mutex::default() }
    }

    /// Sends an ask, or gives what is known of it. Dropping the future gives the request up; another caller who waits
    /// for the same answer then asks in its place.
    ///
    /// # Errors
    /// The last failure, typed and without keys.
    pub async fn send(&self, ask: &Ask) -> Result<Got, VendorError> {
        let name = ask.name();
        let flight = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(flights.entry(name.clone()).or_default())
        };
        let _landing = Landing { wire: self, name: &name, flight: &flight };
        flight.get_or_try_init(|| self.through_cache(ask, &name)).await.cloned()
    }

    async fn through_cache(&self, ask: &Ask, name: &str) -> Result<Got, VendorError> {
        if ask.fresh_for.is_zero() || (self.cache.is_none() && self.options.elsewhere.is_none()) {
            let answer = self.tried(ask, &[]).await?;
            return Ok(self.got(ask, answer, Timestamp::now(), false));
        }
        let key = name.to_owned();
        let known = self.aside(move |shelf| shelf?.get(&key)).await.flatten();
        if let Some((stored, body)) = &known {
            let age = Timestamp::now().duration_since(stored.retrieved_at);
            if !age.is_negative() && age.unsigned_abs() <= ask.fresh_for {
                return Ok(self.kept(ask, stored, body.clone()));
            }
        }
        let Some(elsewhere) = &self.options.elsewhere else {
            return Ok(self.renewed(ask, name, known.as_ref()).await?.0);
        };
        let mut own = None;
        let make = async {
            let (got, file) = self.renewed(ask, name, known.as_ref()).await?;
            own = Some(got);
            // What is no text stays here.
            let text = file.and_then(|file| String::from_utf8(file).ok());
            let keep = text.is_some().then_some(ask.fresh_for);
            Ok((text.unwrap_or_default(), keep))
        };
        let file = elsewhere.answer(name, Box::pin(make)).await?.into_bytes();
        if let Some(got) = own {
            return Ok(got);
        }
        let key = name.to_owned();
        let found = self.aside(move |shelf| {
            let found = disk::unpacked(&key, &file)?;
            shelf.inspect(|shelf| shelf.put(&key, &file));
            Some(found)
        });
        match found.await.flatten() {
            Some((stored, body)) => Ok(self.kept(ask, &stored, body)),
            None => Ok(self.renewed(ask, name, known.as_ref()).await?.0),
        }
    }

    /// Asks the vendor, who may say that what is known still holds. Gives the answer, and what others may have of it.
    async fn renewed(
        &self,
        ask: &Ask,
        name: &str,
        known: Option<&(Stored, Vec<u8>)>,
    ) -> Result<(Got, Option<Vec<u8>>), VendorError> {
        let mut conditions = Vec::new();
        if let Some((stored, _)) = known {
            conditions.extend(stored.etag.clone().map(|v| ("if-none-match", v)));
            conditions.extend(stored.last_modified.clone().map(|v| ("if-modified-since", v)));
        }
        let mut answer = self.tried(ask, &conditions).await?;
        let at = Timestamp::now();
        let mut cached = false;
        let header = |answer: &HttpAnswer, name: &str| answer.header(name).map(ToOwned::to_owned);
        let (mut etag, mut modified) = (header(&answer, "etag"), header(&answer, "last-modified"));
        if answer.status == 304
            && let Some((stored, body)) = known
        {
            (etag, modified) = (etag.or(stored.etag.clone()), modified.or(stored.last_modified.clone()));
            answer.body.clone_from(body);
            cached = true;
        }
        if (300..400).contains(&answer.status) && !cached {
            return Ok((self.got(ask, answer, at, false), None));
        }
        let (key, body) = (name.to_owned(), answer.body.clone());
        let file = self.aside(move |shelf| {
            let file = disk::packed(&key, at, etag.as_deref(), modified.as_deref(), &body);
            shelf.inspect(|shelf| shelf.put(&key, &file));
            file
        });
        let file = file.await;
        Ok((self.got(ask, answer, at, cached), file))
    }

    /// Does work with files and whole bodies off the event loop; `None` where that ends early, which is no reason to fail.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(Option<&DiskCache>) -> T + Send + 'static,
    ) -> Option<T> {
        let shelf = self.cache.clone();
        tokio::task::spawn_blocking(move || work(shelf.as_deref())).await.ok()
    }

    /// An answer that was kept.
    fn kept(&self, ask: &Ask, stored: &Stored, body: Vec<u8>) -> Got {
        let answer = HttpAnswer { status: 200, body, ..HttpAnswer::default() };
        self.got(ask, answer, stored.retrieved_at, true)
    }

    fn got(&self, ask: &Ask, answer: HttpAnswer, retrieved_at: Timestamp, cached: bool) -> Got {
        let cookies = answer
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
            .filter_map(|(_, value)| Some(value.split(';').next()?.trim().to_owned()))
            .collect();
        Got {
            cookies,
            content_type: answer.header("content-type").unwrap_or_default().to_owned(),
            location: answer
                .header("location")
                .filter(|_| (300..400).contains(&answer.status))
                .map(ToOwned::to_owned),
            source: Source {
                vendor: ask.vendor.name().into(),
                url: ask.url.clone(),
                from: ask.window.0,
                until: ask.window.1,
                retrieved_at,
                cached,
            },
            body: Arc::new(answer.body),
        }
    }

    /// Asks until it works or asking again cannot help: a vendor that is down gets all tries, one that asks for
    /// patience gets one more.
    async fn tried(&self, ask: &Ask, conditions: &[(&str, String)]) -> Result<HttpAnswer, VendorError> {
        let host = self.host(ask);
        let mut most = self.options.max_attempts;
        if let Some((limit, pause)) = self.options.breaker {
            let (failed, last) = host.failures();
            if failed >= limit {
                let rest = pause.saturating_sub(last.elapsed());
                if !rest.is_zero() {
                    let seconds = rest.as_secs() + 1;
                    let what =
                        format!("not asked: {failed} asks in a row failed, left alone for {seconds} s more");
                    return Err(ask.error(Problem::UpstreamDown, &what));
                }
                // One try shows whether the host is back.
                most = 1;
            }
        }
        let result = self.repeated(ask, conditions, most).await;
        let is_down = result.as_ref().is_err_and(|e| e.problem == Problem::UpstreamDown);
        host.settle(is_down);
        result
    }

    async fn repeated(
        &self,
        ask: &Ask,
        conditions: &[(&str, String)],
        most: u32,
    ) -> Result<HttpAnswer, VendorError> {
        let mut attempt = 1;
        loop {
            let error = match self.once(ask, conditions).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let tries = match error.problem {
                Problem::RateLimited => most.min(2),
                _ => most,
            };
            let too_long = error.retry_after.is_some_and(|wait| wait > self.options.max_wait);
            if attempt >= tries || !ask.repeatable || !error.is_retryable() || too_long {
                return Err(error);
            }
            let doubled = self.options.wait.saturating_mul(1 << (attempt - 1).min(8));
            // Agents that were refused together do not come back together: the name spreads them.
            let spread = f64::from(blake3::hash(ask.name().as_bytes()).as_bytes()[0]) / 255.0;
            tokio::time::sleep(error.retry_after.unwrap_or_else(|| doubled.mul_f64(0.5 + spread / 2.0)))
                .await;
            attempt += 1;
        }
    }

    async fn once(&self, ask: &Ask, conditions: &[(&str, String)]) -> Result<HttpAnswer, VendorError> {
        let mut url = ask.url.clone();
        for (name, key) in &ask.keys {
            url.push(if url.contains('?') { '&' } else { '?' });
            let _ = write!(url, "{name}={}", body::encode(key.expose()));
        }
        let mut headers = vec![("user-agent".to_owned(), self.options.agent.clone())];
        headers.push(("accept".into(), "*/*".into()));
        headers.extend(ask.headers.iter().map(|(n, v)| ((*n).to_owned(), v.clone())));
        headers.extend(
            ask.key_headers
                .iter()
                .map(|(n, before, key)| ((*n).to_owned(), format!("{before}{}", key.expose()))),
        );
        headers.extend(conditions.iter().map(|(n, v)| ((*n).to_owned(), v.clone())));
        let request = HttpRequest {
            method: ask.method,
            url,
            headers,
            body: ask.body.clone(),
            timeout: self.options.timeout,
            max_bytes: ask.max_bytes,
        };
        let host = self.host(ask);
        // The semaphore is never closed.
        let _place = host.places.acquire().await;
        host.wait_turn(gap(ask)).await;
        let answer = self.fetch.fetch(&request).await.map_err(|error| {
            let problem = match error {
                FetchError::BadUrl(_) => Problem::BadRequest,
                // Asking again would give the same.
                FetchError::TooLarge { .. } => Problem::Malformed,
                _ => Problem::UpstreamDown,
            };
            ask.error(problem, &error.to_string())
        })?;
        if answer.status == 304 && !conditions.is_empty() {
            return Ok(answer);
        }
        let stated = (ask.check)(answer.status, &answer.body).or_else(|| {
            let problem = match answer.status {
                200..=299 => return None,
                status if ask.also == Some(status) => return None,
                300..=399 if ask.redirects => return None,
                401 | 403 => Problem::Unauthorised,
                404 | 410 => Problem::NoData,
                429 => Problem::RateLimited,
                400..=499 => Problem::BadRequest,
                _ => Problem::UpstreamDown,
            };
            Some((problem, format!("answered {}{}", answer.status, body::excerpt(&answer.body))))
        });
        match stated {
            None => Ok(answer),
            Some((problem, message)) => {
                let wait = answer.header("retry-after").and_then(|v| v.trim().parse().ok());
                Err(VendorError {
                    retry_after: wait.map(Duration::from_secs),
                    ..ask.error(problem, &message)
                })
            }
        }
    }

    fn host(&self, ask: &Ask) -> Arc<Host> {
        let authority = ask.url.split("://").nth(1).and_then(|r| r.split('/').next()).unwrap_or_default();
        let name = format!("{}@{authority}", ask.vendor);
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            Arc::new(Host {
                places: Semaphore::new(self.options.per_host.max(1)),
                next: Mutex::new(Instant::now()),
                down: Mutex::new((0, Instant::now())),
            })
        };
        Arc::clone(hosts.entry(name).or_insert_with(made))
    }
}

/// Scheme and authority of an address.
pub(super) fn origin(url: &str) -> &str {
    let after = url.find("://").map_or(0, |at| at + 3);
    url[after..].find('/').map_or(url, |end| &url[..after + end])
}

/// The address that an answer from `base` leads to.
pub(super) fn resolve(base: &str, location: &str) -> Option<String> {
    if location.contains("://") {
        return Some(location.to_owned());
    }
    location.starts_with('/').then(|| format!("{}{location}", origin(base)))
}

/// A server on this machine needs no courtesy.
fn gap(ask: &Ask) -> Duration {
    let local = ["://127.", "://localhost", "://[::1]"].iter().any(|l| ask.url.contains(l));
    if local { Duration::ZERO } else { ask.vendor.min_gap() }
}

impl Host {
    fn failures(&self) -> (u32, Instant) {
        *self.down.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, is_down: bool) {
        let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        *down = if is_down { (down.0.saturating_add(1), Instant::now()) } else { (0, Instant::now()) };
    }

    async fn wait_turn(&self, gap: Duration) {
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let at = (*next).max(Instant::now());
            *next = at + gap;
            at
        };
        tokio::time::sleep_until(at).await;
    }
}

/// Forgets a flight when the caller has its answer or gives up; others who wait hold it themselves.
struct Landing<'a> {
    wire: &'a Wire,
    name: &'a str,
    flight: &'a Flight,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        let mut flights = self.wire.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if flights.get(self.name).is_some_and(|f| Arc::ptr_eq(f, self.flight))
            && (self.flight.initialized() || Arc::strong_count(self.flight) <= 2)
        {
            flights.remove(self.name);
        }
    }
}
