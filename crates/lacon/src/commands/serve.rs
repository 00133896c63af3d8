//! `lacon serve`: a proxy that compresses requests on their way to a provider.

use std::{
    cell::Cell,
    fs::File,
    io::Write,
    path::Path,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::{Either, select};
use jiff::Timestamp;
use lacon_prompt::{
    offload::{Store, sqlite::OffloadStore},
    receipt::PassReport,
};
use lacon_proxy::{Access, Policy, Proxy, ProxyOptions, Served};
use lacon_runtime::Config;
use serde_json::json;

use super::{Common, compress::pass_set, prompt_input::STORE_LIMIT};
use crate::{
    args::serve::{CacheMarks, ServeArgs, ServePolicy},
    failure::Failure,
    memory,
    signals::Signals,
    text,
};

/// Longest wait for another process that has locked the store's file.
const STORE_PATIENCE: Duration = Duration::from_millis(250);

/// Time between two exchanges of what proxies learn of token counts.
#[cfg(feature = "shared")]
const EXCHANGE: Duration = Duration::from_secs(30);
/// Time between two rounds of storing what was learned.
const KEEP_EVERY: Duration = Duration::from_secs(60);

/// Runs the subcommand.
pub fn run(common: &Common, args: &ServeArgs) -> Result<ExitCode, Failure> {
    let config = common.settings(&[])?;
    // A store in memory is one of the same kind without a file.
    let path = if args.store == "memory" { Path::new(":memory:") } else { Path::new(&args.store) };
    let store = OffloadStore::open(path, &args.session, STORE_LIMIT).map_err(|e| {
        Failure::input(format!(
            "{}: {e}\nhint: name another file with --store, or use --store memory",
            args.store
        ))
    })?;
    let policy = match args.policy {
        ServePolicy::Off => Policy::Off,
        ServePolicy::Lossless => Policy::Lossless,
        ServePolicy::Safe => Policy::Safe,
    };
    // Another process's lock on the file is not waited for longer than a client notices.
    store.wait_at_most(STORE_PATIENCE).map_err(Failure::input)?;
    let sessions = store.other_session(&args.session, false).map_err(Failure::input)?;
    let mut options = ProxyOptions::new(&args.upstream, policy, Box::new(store));
    if let Some(sessions) = sessions {
        options.sessions = Some(Box::new(move |name, make| {
            // Apart from the sessions of the command line in the same file.
            let found = sessions.other_session(&format!("client:{name}"), make)?;
            Ok(found.map(|store| Box::new(store) as Box<dyn Store + Send>))
        }));
    }
    if args.shared.is_some() {
        share(args, &mut options)?;
    }
    options.passes =
        super::eval::limit(pass_set(args.disable.as_deref(), args.enable.as_deref())?, &args.forms)?;
    options.cache_marks = args.cache_marks == CacheMarks::Auto;
    options.protect.clone_from(&args.protect);
    (options.shorten_user, options.shorten_quotable) = (args.shorten_user, args.shorten_quotable);
    options.legend = args.legend;
    options.learn = config.flag("models.learn");
    if !(0.0..=1.0).contains(&args.holdout) {
        return Err(Failure::input(format!("--holdout is {}, it must lie between 0 and 1", args.holdout)));
    }
    options.holdout = (args.holdout * 1000.0).round() as u16;
    if args.token.as_ref().is_some_and(|token| token.trim().is_empty()) {
        return Err(Failure::input("--token is empty\nhint: choose a word that is hard to guess"));
    }
    options.access = Access {
        hosts: args.allow_host.clone(),
        origins: args.allow_origin.clone(),
        token: args.token.as_ref().map(|token| token.trim().to_owned()),
    };
    options.work_timeout = seconds("--work-timeout", args.work_timeout)?;
    options.max_body = args.max_body;
    options.max_connections = args.max_connections;
    options.header_timeout = seconds("--header-timeout", args.header_timeout)?;
    options.body_timeout = seconds("--body-timeout", args.body_timeout)?;
    options.answer_timeout = seconds("--answer-timeout", args.answer_timeout)?;
    if args.notice > 0.0 {
        options.notice = seconds("--notice", args.notice)?;
    }
    options.drain = seconds("--drain", args.drain)?;
    if let Some(path) = &args.receipts {
        lacon_files::check(path, [Path::new(&args.store)])?;
        let file = File::options().create(true).append(true).open(path);
        let file = file.map_err(|e| Failure::input(format!("cannot write {}: {e}", path.display())))?;
        let receipts = Receipts { file: Mutex::new(file), warned: AtomicBool::new(false) };
        options.on_served = Some(Arc::new(move |served| receipts.write(served)));
    }
    let proxy = Proxy::new(options).map_err(Failure::input)?;
    // Loaded before the first request waits for it.
    lacon_tokens::encoding(lacon_tokens::EncodingName::O200kBase);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::input(format!("cannot start the event loop: {e}")))?;
    let code = runtime.block_on(serve(args, &config, &proxy));
    super::models::keep_learned(&config);
    // Work on a thread of its own may take longer than a server that is to stop may wait.
    runtime.shutdown_background();
    code
}

/// Content, limits and budgets of all proxies that name the same server.
#[cfg(feature = "shared")]
fn share(args: &ServeArgs, options: &mut ProxyOptions) -> Result<(), Failure> {
    use lacon_proxy::shared::{Limits, Server, SharedContent, SharedCounts, SharedGate, SharedOptions};
    let server = Server::new(args.shared.as_deref().unwrap_or_default()).map_err(Failure::input)?;
    let keep = seconds("--keep", args.keep)?;
    options.store = Box::new(SharedContent::new(server.clone(), &args.session, keep));
    let others = server.clone();
    options.sessions = Some(Box::new(move |name, _| {
        let content = SharedContent::new(others.clone(), &format!("client:{name}"), keep);
        Ok(Some(Box::new(content) as Box<dyn Store + Send>))
    }));
    share_counts(SharedCounts::new(server.clone()))?;
    let budgets = args.team_budget.iter().map(|word| {
        let parts = word.split_once('=').map(|(team, usd)| (team.trim(), usd.trim().parse::<f64>()));
        match parts {
            Some((team, Ok(usd))) if !team.is_empty() && usd.is_finite() && usd >= 0.0 => {
                Ok((team.to_owned(), (usd * 1e6) as u64))
            }
            _ => Err(Failure::input(format!(
                "--team-budget has {word:?}\nhint: TEAM=USD, such as research=20"
            ))),
        }
    });
    let wanted = SharedOptions {
        requests: args.limit_requests,
        tokens: args.limit_tokens,
        budgets: budgets.collect::<Result<_, _>>()?,
    };
    if wanted.requests.is_some() || wanted.tokens.is_some() || !wanted.budgets.is_empty() {
        options.gate =
            Some(std::sync::Arc::new(SharedGate(Limits::new(server, wanted).map_err(Failure::input)?)));
    }
    Ok(())
}

/// Gives what this proxy learns of token counts to all, and takes what all have learned, now and then until the process ends.
#[cfg(feature = "shared")]
#[expect(clippy::disallowed_methods, reason = "the thread does nothing else")]
fn share_counts(counts: lacon_proxy::shared::SharedCounts) -> Result<(), Failure> {
    let exchange = move || loop {
        // Without the server the counts of this process stay as they are.
        if let Ok(all) = counts.add().and_then(|()| counts.learned()) {
            lacon_tokens::set_learned(all);
        }
        std::thread::sleep(EXCHANGE);
    };
    let thread = std::thread::Builder::new().name("shared counts".into()).spawn(exchange);
    thread.map(drop).map_err(|e| Failure::input(format!("cannot start a thread: {e}")))
}

#[cfg(not(feature = "shared"))]
fn share(_: &ServeArgs, _: &mut ProxyOptions) -> Result<(), Failure> {
    Err(Failure::input("this build of lacon shares nothing\nhint: build it with --features shared"))
}

/// Stores what was learned from usage, so that a killed server loses a minute of it.
async fn keep(config: Arc<Config>) {
    loop {
        tokio::time::sleep(KEEP_EVERY).await;
        let config = Arc::clone(&config);
        if tokio::task::spawn_blocking(move || super::models::keep_learned(&config)).await.is_err() {
            return;
        }
    }
}

async fn serve(args: &ServeArgs, config: &Config, proxy: &Proxy) -> Result<ExitCode, Failure> {
    let listener = tokio::net::TcpListener::bind(args.listen).await.map_err(|e| {
        Failure::input(format!(
            "cannot listen on {}: {e}\nhint: choose another address with --listen",
            args.listen
        ))
    })?;
    let address =
        listener.local_addr().map_err(|e| Failure::input(format!("the listener has no address: {e}")))?;
    if !address.ip().is_loopback() {
        text::warn(&format!(
            "{address} is reachable from outside: anyone can use the proxy with their own key and read the store"
        ));
    }
    let policy = format!("{:?}", args.policy).to_lowercase();
    text::out(&format!("proxy at http://{address}, upstream {}, policy {policy}", args.upstream));
    text::note(&format!("OPENAI_BASE_URL=http://{address}/v1 points a client at it"));
    let code = Cell::new(0);
    let told = tokio::sync::Notify::new();
    // One listener for both: a signal between two listeners would be lost.
    let signals = tokio::sync::Mutex::new(Signals::new());
    let stop = async {
        code.set(signals.lock().await.next().await);
        text::note("stopping: open answers may finish; a second signal stops at once");
        told.notify_one();
    };
    let again = async {
        told.notified().await;
        signals.lock().await.next().await;
    };
    let mut giving = tokio::task::JoinSet::new();
    giving.spawn(memory::give_back());
    giving.spawn(keep(Arc::new(config.clone())));
    let (serving, again) = (std::pin::pin!(proxy.serve(listener, stop)), std::pin::pin!(again));
    if let Either::Left((Err(error), _)) = select(serving, again).await {
        return Err(Failure::input(error));
    }
    Ok(ExitCode::from(code.get()))
}

fn seconds(flag: &str, value: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(value)
        .ok()
        .filter(|time| !time.is_zero())
        .ok_or_else(|| Failure::input(format!("{flag} is {value}\nhint: give seconds above 0, such as 30")))
}

/// One line a request: figures and places, never a text or a key.
struct Receipts {
    file: Mutex<File>,
    warned: AtomicBool,
}

impl Receipts {
    fn write(&self, served: &Served) {
        let mut line = json!({
            "schema_version": 1,
            "at": Timestamp::now().to_string(),
            "route": served.route.as_str(),
            "status": served.status,
            "overhead_us": u64::try_from(served.overhead.as_micros()).unwrap_or(u64::MAX),
            "waited_us": u64::try_from(served.waited.as_micros()).unwrap_or(u64::MAX),
            "took_us": u64::try_from(served.took.as_micros()).unwrap_or(u64::MAX),
            "model": served.model,
            "usage": served.usage,
            "cost_usd": served.micro_usd.map(|micros| micros as f64 / 1e6),
            "unchanged": served.unchanged,
            "arm": served.arm.map(lacon_proxy::Arm::as_str),
            "outcome": served.outcome,
        });
        if let Some(figures) = &served.figures {
            line["tokens_before"] = json!(figures.tokens_before);
            line["tokens_after"] = json!(figures.tokens_after);
            line["handles"] = figures.handles.iter().map(|handle| handle.as_str()).collect();
            line["passes"] = figures.passes.iter().map(PassReport::to_json).collect();
        }
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(format!("{line}\n").as_bytes())
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            text::warn(&format!("receipts cannot be written: {error}"));
        }
    }
}
