//! Checks of failures: faults at every stage, kills, planted keys, long series of runs.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use lacon_llm::{
    BoxFuture, Client, ClientInfo, Error, ErrorKind, Malformed, Request, Response, Stack, StackOptions,
    StreamEvent,
};
use lacon_monitor::RunRecord;
use lacon_runtime::{ToolError, ToolRequest, ToolSource, ToolText};
use lacon_trading::{Role, decide};
use serde_json::{Value, json};

use super::{Bench, Outcome, runs};
use lacon::{commands::block_on, failure::Failure};

/// Fails the first calls of one role in one way, below the retry.
struct Faulty {
    inner: Arc<dyn Client>,
    role: Role,
    kind: ErrorKind,
    left: AtomicU32,
    hit: AtomicU32,
}

impl Client for Faulty {
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        on_event: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>> {
        let hits = request.tags.role == self.role.name()
            && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if !hits {
            return self.inner.complete(request, on_event);
        }
        self.hit.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            // A cut stream has shown a part of an answer before it breaks.
            if self.kind == ErrorKind::Malformed(Malformed::CutStream) {
                on_event(StreamEvent::Delta("The outlook is"));
            }
            Err(Error::new(self.kind, "a planted fault"))
        })
    }

    fn describe(&self) -> ClientInfo {
        self.inner.describe()
    }
}

/// The faults of a model call, and whether another try may succeed.
const FAULTS: [(&str, ErrorKind); 11] = [
    ("429", ErrorKind::RateLimited),
    ("500", ErrorKind::Status(500)),
    ("503", ErrorKind::Status(503)),
    ("no connection", ErrorKind::Connect),
    ("no first token", ErrorKind::Timeout(lacon_llm::Timeout::FirstToken)),
    ("stalled stream", ErrorKind::Timeout(lacon_llm::Timeout::Idle)),
    ("cut stream", ErrorKind::Malformed(Malformed::CutStream)),
    ("no JSON", ErrorKind::Malformed(Malformed::Json)),
    ("200 with an error", ErrorKind::Malformed(Malformed::ErrorInBody)),
    ("HTML", ErrorKind::Malformed(Malformed::Html)),
    ("wrong key", ErrorKind::Auth),
];

/// Fails every call of one tool.
struct FaultyTools {
    inner: Arc<dyn ToolSource>,
    role: Role,
}

impl ToolSource for FaultyTools {
    fn call<'a>(&'a self, request: &'a ToolRequest) -> BoxFuture<'a, Result<ToolText, ToolError>> {
        if request.role == self.role.name() {
            return Box::pin(async { Err(ToolError::BadRequest("a planted fault".into())) });
        }
        self.inner.call(request)
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn simulated(&self) -> bool {
        self.inner.simulated()
    }
}

/// Each fault once, and for good, at each of the thirteen roles; and each analyst's tools failing.
pub fn faults(bench: &Bench<'_>) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let (mut runs_made, mut recovered, mut isolated, mut stopped) = (0, 0, 0, 0);
    for (name, kind) in FAULTS {
        for role in Role::ANSWERING {
            for times in [1, u32::MAX] {
                let mut settings =
                    runs::settings(bench, &format!("fault-{runs_made}"), &["--disable", "hedge"])?;
                settings.journal = false;
                let inner = Arc::new(lacon_sim::SimClient::new(lacon_sim::SimOptions {
                    time_scale: 0.0,
                    ..lacon_sim::SimOptions::default()
                }));
                let faulty = Arc::new(Faulty {
                    inner,
                    role,
                    kind,
                    left: AtomicU32::new(times),
                    hit: AtomicU32::new(0),
                });
                let retry = lacon_llm::RetryOptions {
                    base: Duration::from_micros(50),
                    cap: Duration::from_micros(200),
                    ..lacon_llm::RetryOptions::default()
                };
                let layers = StackOptions {
                    breaker: None,
                    limit: None,
                    hedge: None,
                    retry: Some(retry),
                    structured: None,
                    tape: None,
                };
                settings.client = Stack::new(Arc::clone(&faulty) as Arc<dyn Client>, layers).client;
                let decided = block_on(decide(settings))?;
                runs_made += 1;
                let run = &decided.record;
                let at = format!("{name} at {role}, {}", if times == 1 { "once" } else { "always" });
                outcome.require(faulty.hit.load(Ordering::SeqCst) > 0, || {
                    format!("{at}: the fault was never met")
                });
                let answered = run.reports.iter().filter(|r| r.words > 0).count();
                let fatal = !kind.is_retryable()
                    && matches!(kind, ErrorKind::Auth | ErrorKind::Malformed(Malformed::Html));
                match &decided.failure {
                    None if answered == 13 => {
                        recovered += 1;
                        outcome.require(times == 1 && kind.is_retryable(), || {
                            format!("{at}: 13 answers, 12 were expected")
                        });
                    }
                    None => {
                        isolated += 1;
                        outcome.require(answered == 12 && role.may_fail() && !fatal, || {
                            format!("{at}: {answered} answers")
                        });
                        let said = run.warnings.iter().any(|w| w.contains(role.name()));
                        outcome.require(said, || format!("{at}: the lost answer is not mentioned"));
                        outcome.require(run.grade.content != "A+", || {
                            format!("{at}: graded A+ with an answer missing")
                        });
                    }
                    Some(_) => {
                        stopped += 1;
                        let expected = fatal || !role.may_fail();
                        outcome.require(expected && (times > 1 || !kind.is_retryable()), || {
                            format!("{at}: the run stopped")
                        });
                        // What was finished before is kept.
                        outcome.require(runs::folder(bench, run).join("run.json").exists(), || {
                            format!("{at}: no record")
                        });
                    }
                }
                runs::calls_within_total(&mut outcome, &at, run);
            }
        }
    }
    for role in Role::ANALYSTS {
        let mut settings = runs::settings(bench, &format!("tool-fault-{role}"), &[])?;
        settings.tools = Arc::new(FaultyTools { inner: settings.tools, role });
        let decided = block_on(decide(settings))?;
        runs_made += 1;
        outcome.require(decided.failure.is_none(), || format!("tools of {role}: the run stopped"));
        let lost = decided.record.grade.reasons.iter().any(|r| r.evidence.contains(role.name()));
        outcome.require(lost, || format!("tools of {role}: the grade does not name them"));
    }
    outcome.line(format!(
        "{runs_made} runs: {} faults x 13 roles, once and always, and each analyst's tools",
        FAULTS.len()
    ));
    outcome.line(format!("{recovered} recovered by another try, {isolated} lost one answer and said so, {stopped} stopped as they must"));
    outcome.data =
        json!({ "runs": runs_made, "recovered": recovered, "isolated": isolated, "stopped": stopped });
    Ok(outcome)
}

/// What a journal holds: answered calls by key, and the tokens of all its calls, requests that lost included.
fn journal(folder: &Path) -> (BTreeMap<String, u32>, u64) {
    let (mut keys, mut tokens) = (BTreeMap::new(), 0);
    for line in std::fs::read_to_string(folder.join("journal.jsonl")).unwrap_or_default().lines() {
        let Ok(line) = serde_json::from_str::<Value>(line.get(9..).unwrap_or_default()) else { continue };
        if line["kind"] == "call" {
            tokens += line["fact"]["tokens"]["total"].as_u64().unwrap_or(0);
            if !line["answer"].is_null() {
                *keys.entry(line["key"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
            }
        }
    }
    (keys, tokens)
}

/// Whether the first line of a run's journal is whole.
fn begun(folder: &Path) -> bool {
    std::fs::read(folder.join("journal.jsonl")).is_ok_and(|bytes| bytes.contains(&b'\n'))
}

/// Starts `lacon` with this line and waits for nothing.
fn start(line: &[&str]) -> Result<Child, Failure> {
    std::env::current_exe()
        .and_then(|program| {
            Command::new(program)
                .args(line)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
        })
        .map_err(|e| Failure::input(format!("this program cannot be started again: {e}")))
}

/// Runs killed (SIGKILL) at random instants and resumed: no finished call repeated, the same result.
///
/// A second request beside a slow call goes out or not as the clock has it: what the answers hold is the same in every
/// run, and the sum of a run is that of all calls in its journal, those of the killed process included.
pub fn kill(bench: &Bench<'_>) -> Result<Outcome, Failure> {
    let kills = bench.args.kills.unwrap_or(if bench.args.full_test { 40 } else { 10 });
    let mut outcome = Outcome::default();
    let out = bench.scratch.path().display().to_string();
    let fresh = |name: &str| {
        start(&[
            "run",
            &bench.args.ticker,
            "--run-id",
            name,
            "--llm",
            "sim",
            "--out",
            &out,
            "--time-scale",
            "0.003",
        ])
    };
    let found = |name: &str| -> Option<(Option<RunRecord>, PathBuf)> {
        let of_ticker =
            std::fs::read_dir(bench.scratch.path().join(bench.args.ticker.to_uppercase())).ok()?;
        let folder = of_ticker.flatten().map(|date| date.path().join(name)).find(|path| path.exists())?;
        let text = std::fs::read(folder.join("run.json")).unwrap_or_default();
        Some((serde_json::from_slice(&text).ok(), folder))
    };
    let began = Instant::now();
    let _ = fresh("kill-whole")?.wait();
    let took = began.elapsed();
    let Some((Some(reference), folder)) = found("kill-whole") else {
        return Err(Failure::input("the first run left nothing"));
    };
    let (expected, _) = journal(&folder);
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let (mut resumed, mut early, mut late, mut hedged) = (0, 0, 0, 0);
    for i in 0..kills {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let instant = took.mul_f64((state >> 11) as f64 / (1u64 << 53) as f64);
        let at = format!("kill after {instant:?}");
        let name = format!("kill-{i}");
        let mut process = fresh(&name)?;
        block_on(async { tokio::time::sleep(instant).await })?;
        let _ = process.kill();
        let _ = process.wait();
        // A run begins with the first line of its journal: before it there is nothing to go on from.
        let Some((run, folder)) = found(&name).filter(|(_, folder)| begun(folder)) else {
            early += 1;
            continue;
        };
        if run.is_some_and(|run| run.status == "done") {
            late += 1;
            continue;
        }
        let (before, _) = journal(&folder);
        let ended = start(&["run", "--out", &out, "--resume", &name])?.wait();
        outcome.require(ended.as_ref().is_ok_and(std::process::ExitStatus::success), || {
            format!("{at}: the resumed run ended with {ended:?}")
        });
        let Some((Some(run), folder)) = found(&name) else {
            outcome.require(false, || format!("{at}: the resumed run left no record"));
            continue;
        };
        let (after, tokens) = journal(&folder);
        outcome.require(before.iter().all(|(key, n)| after.get(key) == Some(n)), || {
            format!("{at}: a finished call was repeated or lost")
        });
        outcome.require(after == expected, || format!("{at}: other calls than in a run that was not killed"));
        let decided = |run: &RunRecord| (run.decision.action.clone(), run.decision.reasons.clone());
        outcome.require(decided(&run) == decided(&reference), || format!("{at}: the decision differs"));
        let (ours, whole) = (runs::answered_tokens(&run), runs::answered_tokens(&reference));
        outcome.require(ours == whole, || format!("{at}: answers hold {ours} tokens, not {whole}"));
        outcome.require(run.tokens.total == tokens, || {
            format!("{at}: the run counts {} tokens, its journal {tokens}", run.tokens.total)
        });
        hedged += u32::from(run.tokens.total != ours);
        resumed += 1;
    }
    outcome.line(format!(
        "{kills} runs killed at random instants: {resumed} resumed to the same result without repeating a call, {early} had not begun, {late} were done"
    ));
    outcome.line(format!("{hedged} of the resumed runs had paid for a second request; it is in their sums"));
    outcome.data =
        json!({ "kills": kills, "resumed": resumed, "early": early, "late": late, "hedged": hedged });
    Ok(outcome)
}

/// A key planted in the settings is in nothing that a run leaves or prints, whatever goes wrong.
pub fn secrets(bench: &Bench<'_>) -> Result<Outcome, Failure> {
    const KEY: &str = "sk-planted-7Qm2xV9tB4wZ";
    let mut outcome = Outcome::default();
    let mut scanned = 0u64;
    let program = std::env::current_exe()
        .map_err(|e| Failure::input(format!("this program cannot be started again: {e}")))?;
    let out = bench.scratch.path().join("secrets");
    let tape = bench.scratch.path().join("secrets.tape").display().to_string();
    let closed = "http://127.0.0.1:9/v1";
    let lines: [&[&str]; 6] = [
        &["run", "CRCL", "--llm", "sim", "--time-scale", "0", "--log-level", "info"],
        &["run", "CRCL", "--llm", "sim", "--time-scale", "0", "--tape", &tape, "--record"],
        &["run", "CRCL", "--base-url", closed, "--log-level", "info"],
        &["run", "CRCL", "--base-url", closed, "--llm", "anthropic"],
        &["config", "show", "--origin"],
        &["doctor", "--base-url", closed],
    ];
    for line in lines {
        let mut command = Command::new(&program);
        command
            .args(line)
            .env("OPENAI_API_KEY", KEY)
            .env("LACON_LLM_MAX_ATTEMPTS", "1")
            .current_dir(bench.scratch.path());
        if line[0] == "run" {
            command.arg("--out").arg(&out);
        }
        let ran = command
            .output()
            .map_err(|e| Failure::input(format!("this program cannot be started again: {e}")))?;
        for (stream, bytes) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
            scanned += 1;
            outcome.require(!holds(bytes, KEY), || {
                format!("the key is in {stream} of lacon {}", line.join(" "))
            });
        }
    }
    let mut folders = vec![out, bench.scratch.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = std::fs::read(&path) {
                scanned += 1;
                outcome.require(!holds(&bytes, KEY), || format!("the key is in {}", path.display()));
            }
        }
    }
    outcome.line(format!("a planted key is in none of {scanned} files and outputs, error paths included"));
    outcome.data = json!({ "scanned": scanned });
    Ok(outcome)
}

fn holds(bytes: &[u8], key: &str) -> bool {
    bytes.windows(key.len()).any(|window| window == key.as_bytes())
}

/// Memory and open files after a tenth of many runs, and after all of them.
pub fn soak(bench: &Bench<'_>) -> Result<Outcome, Failure> {
    let n = bench.args.soak_runs.unwrap_or(if bench.args.full_test { 2_000 } else { 200 }).max(20);
    let mut outcome = Outcome::default();
    let seen: Mutex<Vec<(f64, usize)>> = Mutex::new(Vec::new());
    let began = Instant::now();
    for i in 0..n {
        let mut settings = runs::settings(bench, &format!("soak-{}", i % 4), &["--log-level", "error"])?;
        settings.seed = i as u64;
        let decided = block_on(decide(settings))?;
        outcome.require(decided.failure.is_none(), || format!("run {i} failed"));
        if i == n / 10 || i + 1 == n {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push((resident_mb(), descriptors()));
        }
    }
    let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let [(early_mb, early_files), (late_mb, late_files)] = seen[..] {
        outcome.require(late_mb <= early_mb + 8.0, || {
            format!("memory grew from {early_mb:.1} to {late_mb:.1} MB")
        });
        outcome.require(late_files <= early_files, || {
            format!("open files grew from {early_files} to {late_files}")
        });
        outcome.line(format!(
            "{n} runs in {:.1} s: resident {early_mb:.1} MB after a tenth, {late_mb:.1} MB after all; {early_files} and {late_files} open files",
            began.elapsed().as_secs_f64()
        ));
        outcome.data = json!({ "runs": n, "early_mb": early_mb, "late_mb": late_mb, "early_files": early_files, "late_files": late_files });
    }
    Ok(outcome)
}

/// Resident memory of this process in MB; 0 where the system does not tell.
fn resident_mb() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kb =
        text.lines().find_map(|l| l.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
    kb.unwrap_or(0.0) / 1024.0
}

/// Open descriptors of this process; 0 where the system does not tell.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
