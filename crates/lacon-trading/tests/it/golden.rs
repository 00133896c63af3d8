//! What goes over the wire, kept in `tests/golden/prompts.txt`: a change of the code that is to change no prompt is held
//! to it. Where they differ, what was found lies in the temporary folder, to be copied after a change that is meant.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use lacon_llm::{BoxFuture, Client, ClientInfo, Error, Request, Response, StreamEvent};
use lacon_trading::{Optimizations, Settings};

use super::support::{cast, run, settings, settings_for, sim};

/// Notes every request before it passes it on.
struct Recorder {
    inner: Arc<dyn Client>,
    sent: Mutex<Vec<(String, String)>>,
}

impl Client for Recorder {
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        on_event: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>> {
        // The digest leaves out where an answer may stop and where a cache may begin.
        let all = format!("{} {:?} {:?}", request.digest(), request.reuse, request.enough);
        let digest = blake3::hash(all.as_bytes()).to_hex()[..16].to_owned();
        self.sent.lock().unwrap().push((request.tags.role.clone(), digest));
        self.inner.complete(request, on_event)
    }

    fn describe(&self) -> ClientInfo {
        self.inner.describe()
    }
}

fn variants() -> Vec<(&'static str, Settings)> {
    let with = |name, profile: &str, disabled: &[&str]| {
        let optimizations = Optimizations::new(profile, disabled, &[]).unwrap();
        Settings { optimizations, ..settings(name, profile, &[], sim()) }
    };
    let upstream_rounds = cast("upstream", |options| {
        (options.research_rounds, options.risk_rounds) = (2, 2);
    });
    let rounds = cast("lacon", |options| options.research_rounds = 2);
    let german = cast("lacon", |options| options.language = "German".into());
    vec![
        ("lacon", with("g-lacon", "lacon", &[])),
        ("lacon other", settings_for("NVDA", "g-other", "lacon", sim())),
        ("lacon none", with("g-none", "lacon", &["all"])),
        ("lacon two rounds", Settings { cast: rounds, ..with("g-rounds", "lacon", &[]) }),
        ("lacon german", Settings { cast: german, ..with("g-german", "lacon", &[]) }),
        ("lacon limit", Settings { budget_tokens: 20_000, ..with("g-limit", "lacon", &[]) }),
        ("baseline", with("g-baseline", "baseline", &[])),
        ("upstream", with("g-upstream", "upstream", &[])),
        ("upstream two rounds", Settings { cast: upstream_rounds, ..with("g-upstream-2", "upstream", &[]) }),
    ]
}

#[tokio::test(start_paused = true)]
async fn prompts_decisions_and_tokens_are_those_of_the_golden_file() {
    let mut found = String::new();
    for (name, settings) in variants() {
        let recorder = Arc::new(Recorder { inner: sim(), sent: Mutex::default() });
        let decided = run(Settings { client: recorder.clone(), ..settings }).await;
        assert!(decided.failure.is_none(), "{name}: {:?}", decided.failure);
        let record = decided.record;
        let mut sent = std::mem::take(&mut *recorder.sent.lock().unwrap());
        sent.sort();
        writeln!(
            found,
            "{name}: {} {} tokens, plan {}, {} of {} prompts as planned",
            record.decision.word(),
            record.tokens.total,
            record.plan.digest,
            record.plan.equal,
            record.plan.compared
        )
        .unwrap();
        for (role, digest) in sent {
            writeln!(found, "  {role} {digest}").unwrap();
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/prompts.txt");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let differs = |(kept, found): &(&str, &str)| kept != found;
    let first = kept.lines().zip(found.lines()).find(differs);
    if kept != found {
        let other = std::env::temp_dir().join("lacon-golden-prompts.txt");
        std::fs::write(&other, &found).unwrap();
        panic!("{} differs, first in (kept, found) {first:?}", other.display());
    }
}
