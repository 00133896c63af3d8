//! Figures with a limit: what `lacon bench tokens` judges, and what `--checks` measures without rivals.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use lacon_tokens::{Cancel, CountCache, CountCacheOptions, Encoding, future::count_async};
use serde_json::{Value, json};

use super::corpora::Gates;
use lacon::{commands::block_on, failure::Failure, text};

/// A figure beside what it must be.
pub struct Check {
    name: String,
    value: f64,
    gate: Gate,
    /// What it should reach beyond its gate.
    pub target: Option<f64>,
}

enum Gate {
    AtLeast(f64),
    AtMost(f64),
    None,
}

impl Check {
    /// A figure that must not be less.
    pub fn at_least(name: &str, value: f64, gate: f64) -> Self {
        Self { name: name.to_owned(), value, gate: Gate::AtLeast(gate), target: None }
    }

    /// A figure that must not be more.
    pub fn at_most(name: &str, value: f64, gate: f64) -> Self {
        Self { name: name.to_owned(), value, gate: Gate::AtMost(gate), target: None }
    }

    /// A figure without a gate.
    pub fn told(name: String, value: f64) -> Self {
        Self { name, value, gate: Gate::None, target: None }
    }

    fn holds(&self) -> Option<bool> {
        match self.gate {
            Gate::AtLeast(gate) => Some(self.value >= gate),
            Gate::AtMost(gate) => Some(self.value <= gate),
            Gate::None => None,
        }
    }

    /// `holds  1.52  gate ≥ 1.2  count of prompts, to …`
    pub fn line(&self) -> String {
        let verdict = match self.holds() {
            Some(true) => "holds",
            Some(false) => "MISSED",
            None => "",
        };
        let gate = match self.gate {
            Gate::AtLeast(gate) => format!("gate ≥ {gate}"),
            Gate::AtMost(gate) => format!("gate ≤ {gate}"),
            Gate::None => String::new(),
        };
        let target = self.target.map_or(String::new(), |target| format!(" (target {target})"));
        format!("{verdict:7}{:>12.2}  {gate:12}{}{target}", self.value, self.name)
    }

    /// The same for programs.
    pub fn as_json(&self) -> Value {
        let (at_least, at_most) = match self.gate {
            Gate::AtLeast(gate) => (Some(gate), None),
            Gate::AtMost(gate) => (None, Some(gate)),
            Gate::None => (None, None),
        };
        json!({
            "name": self.name, "value": self.value, "at_least": at_least, "at_most": at_most,
            "target": self.target, "holds": self.holds(),
        })
    }
}

/// Name of a hostile text and its characters, drawn at random.
const HOSTILE: [(&str, &[&str]); 9] = [
    ("one letter", &["a"]),
    ("spaces", &[" "]),
    ("line ends", &["\n", "\r", "\r\n", " \n"]),
    ("digits", &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
    ("emoji", &["🙂", "👩\u{200d}💻", "🎉", "🇩🇪"]),
    ("combining marks", &["\u{301}", "\u{300}", "e\u{301}"]),
    ("base64", &["QUJD", "REVG", "x9+/", "aGVs", "bG8h", "Zm9v"]),
    ("random letters", &["q", "z", "x", "j", "e", "t", "a", "o", "n", "s"]),
    ("CJK", &["中", "文", "的", "是", "不", "了", "在", "人"]),
];

/// Largest input of the growth measurement in MB.
const LARGEST: usize = 64;

/// Time of hostile texts at each doubling, and of their first megabyte.
pub fn growth(encoding: &Encoding, gates: &Gates, checks: &mut Vec<Check>) {
    for (name, parts) in HOSTILE {
        let mut state = 9_u64;
        let mut whole = String::with_capacity(LARGEST << 20);
        while whole.len() < LARGEST << 20 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            whole.push_str(parts[(state >> 33) as usize % parts.len()]);
        }
        let part = |shift: u32| &whole[..whole.floor_char_boundary(1 << (20 + shift))];
        let count = |part: &str| {
            let began = Instant::now();
            black_box(encoding.count(black_box(part)));
            began.elapsed().as_secs_f64()
        };
        let first = count(part(0));
        checks.push(Check::told(format!("first count of 1 MB of {name}, ms"), first * 1e3));
        let mut worst: f64 = 0.0;
        for shift in 1..=LARGEST.trailing_zeros() {
            let (mut once, mut twice) = (f64::MAX, f64::MAX);
            // A busy machine makes a time look longer, never shorter; in turn, so that it is as busy for both.
            for round in 0..8 {
                if round > 2 && twice / once <= gates.growth {
                    break;
                }
                once = once.min(count(part(shift - 1)));
                twice = twice.min(count(part(shift)));
            }
            worst = worst.max(twice / once);
        }
        checks.push(Check::at_most(&format!("growth at 2 × {name}, to {LARGEST} MB"), worst, gates.growth));
    }
}

/// What 100 counts of 100 kB at once do to the event loop, and how fast a canceled count ends.
pub fn event_loop(
    encoding: &'static Encoding,
    gates: &Gates,
    checks: &mut Vec<Check>,
) -> Result<(), Failure> {
    let text: std::sync::Arc<str> =
        "The quarterly report shows revenue of 1,234.56 million.\n".repeat(1786).into();
    let delay = block_on(async {
        let counts = join_all((0..100).map(|_| count_async(encoding, std::sync::Arc::clone(&text))));
        let mut counts = std::pin::pin!(counts);
        let mut longest = Duration::ZERO;
        let step = Duration::from_millis(1);
        loop {
            let began = Instant::now();
            let done = tokio::select! {
                biased;
                () = tokio::time::sleep(step) => false,
                _ = &mut counts => true,
            };
            // Timers of the loop are a millisecond coarse: the delay is what is beyond that.
            longest = longest.max(began.elapsed().saturating_sub(2 * step));
            if done {
                return longest;
            }
        }
    })?;
    checks.push(Check::at_most(
        "delay of the loop, 100 × 100 kB at once, ms",
        delay.as_secs_f64() * 1e3,
        gates.loop_delay_ms,
    ));
    let long = text.repeat(200);
    let mut best = f64::MAX;
    for _ in 0..10 {
        let cancel = Cancel::new();
        let (begun, stopped) = std::thread::scope(|scope| {
            let work = scope.spawn(|| {
                let done = encoding.count_cancellable(&long, &cancel);
                (done, Instant::now())
            });
            std::thread::park_timeout(Duration::from_millis(3));
            let begun = Instant::now();
            cancel.cancel();
            (begun, work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        match stopped {
            (None, stopped) => best = best.min((stopped.saturating_duration_since(begun)).as_secs_f64()),
            (Some(_), _) => text::warn("a count ended before it was canceled"),
        }
    }
    checks.push(Check::at_most("end of a canceled count, ms", best * 1e3, gates.cancel_ms));
    Ok(())
}

/// What a hit of the count cache costs beside a count, by length.
pub fn cache_threshold(encoding: &Encoding, checks: &mut Vec<Check>) {
    let cache = CountCache::new(CountCacheOptions { threshold: 0, ..Default::default() });
    let text =
        "def total(rows):\n    return sum(row.price * row.n for row in rows)  # in cents\n".repeat(400);
    let time = |work: &dyn Fn() -> usize| {
        let mut best = f64::MAX;
        for _ in 0..200 {
            let began = Instant::now();
            black_box(work());
            best = best.min(began.elapsed().as_secs_f64());
        }
        best
    };
    for len in [1024, 2048, 4096, 8192, 16384] {
        let text = &text[..len];
        let hit = time(&|| cache.count(encoding, black_box(text)));
        let count = time(&|| encoding.count(black_box(text)));
        checks.push(Check::told(format!("time of a cache hit to a count, {len} bytes"), hit / count));
    }
}
