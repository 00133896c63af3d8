//! What earlier calls teach: when a call counts as slow.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::HedgeOptions;
use crate::capabilities::Capabilities;
use crate::watch::Seen;

/// Most roles and models that are told apart; the one unused longest is forgotten.
const MAX_KEYS: usize = 256;
/// Answers to learn a speed from must have taken this long to write.
const MIN_WRITING: Duration = Duration::from_millis(50);

/// The times of one earlier call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// From the sent request to the first token.
    pub first_token: Duration,
    /// Longest wait between two parts of the answer; absent for calls that were given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Duration>,
    /// Bytes of the answer; absent for calls that were given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Bytes written per second after the first token; absent when too little was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_s: Option<u32>,
}

impl Sample {
    /// Makes a sample of what was seen of a request that was under way for `elapsed`; nothing if it was never sent.
    pub(super) fn of(seen: Seen, elapsed: Duration, answered: bool) -> Option<Self> {
        let sent = seen.sent?;
        let writing = seen.first.zip(seen.last).map(|(first, last)| last.saturating_sub(first));
        let speed = writing
            .filter(|writing| *writing >= MIN_WRITING)
            .map(|writing| seen.received as f64 / writing.as_secs_f64());
        Some(Self {
            // A call that was given up would have taken longer still: without its time the quantile would shrink from hedge to
            // hedge.
            first_token: seen.first.unwrap_or(elapsed).saturating_sub(sent),
            gap: answered.then_some(seen.gap),
            bytes: answered.then_some(seen.received),
            bytes_per_s: speed.map(|speed| speed as u32),
        })
    }
}

/// When a call counts as slow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    first_token: Option<Duration>,
    gap: Option<Duration>,
    usual: Option<Usual>,
}

/// What calls of this role and model are usually like.
#[derive(Debug, Clone, Copy)]
struct Usual {
    bytes: f64,
    /// Seconds that a call of this length usually takes as a whole.
    seconds: f64,
    after: Duration,
    factor: f64,
}

impl Patience {
    /// Returns when the call will count as slow if nothing more comes; never while it waits for its turn.
    pub(super) fn due(&self, seen: Seen) -> Option<Duration> {
        let sent = seen.sent?;
        match seen.last {
            None => sent.checked_add(self.first_token?),
            Some(last) => last.checked_add(self.gap?),
        }
    }

    /// Says whether an answer is being written so slowly that a new request would probably be done well before it.
    pub(super) fn is_crawling(&self, seen: Seen, now: Duration) -> bool {
        let (Some(usual), Some(first)) = (self.usual, seen.first) else { return false };
        let writing = now.saturating_sub(first);
        if writing < usual.after || seen.received == 0 {
            return false;
        }
        let speed = seen.received as f64 / writing.as_secs_f64();
        // An answer that is already as long as usual is about to end, as far as one can tell.
        let left = (usual.bytes - seen.received as f64).max(0.0) / speed;
        left > usual.factor * usual.seconds
    }
}

/// Times of earlier calls by model and role; the model alone has the empty role.
#[derive(Debug, Default)]
pub(super) struct History {
    by_key: HashMap<(String, String), VecDeque<Sample>>,
    /// Keys, the one used last at the end.
    order: VecDeque<(String, String)>,
}

impl History {
    pub(super) fn learn(&mut self, model: &str, role: &str, sample: Sample, window: usize) {
        for role in if role.is_empty() { vec![""] } else { vec![role, ""] } {
            let key = (model.to_owned(), role.to_owned());
            self.order.retain(|other| *other != key);
            self.order.push_back(key.clone());
            let samples = self.by_key.entry(key).or_default();
            if samples.len() >= window.max(1) {
                samples.pop_front();
            }
            samples.push_back(sample);
        }
        while self.order.len() > MAX_KEYS {
            if let Some(key) = self.order.pop_front() {
                self.by_key.remove(&key);
            }
        }
    }

    /// Returns all samples by model and role.
    pub(super) fn all(&self) -> Vec<(String, String, Vec<Sample>)> {
        let known = self.order.iter().filter(|(_, role)| !role.is_empty());
        known
            .filter_map(|key| {
                let samples = self.by_key.get(key)?;
                Some((key.0.clone(), key.1.clone(), samples.iter().copied().collect()))
            })
            .collect()
    }

    /// Decides by the calls of the role, or of the model when the role is too little known, or by the defaults.
    pub(super) fn patience(&self, model: &str, role: &str, options: &HedgeOptions) -> Patience {
        let samples = |role: &str, least: usize| {
            let samples = self.by_key.get(&(model.to_owned(), role.to_owned()))?;
            (samples.len() >= least.max(1)).then_some(samples)
        };
        let known = samples(role, options.min_samples).or_else(|| samples("", options.min_samples));
        let usual = self.usual(samples(role, options.min_lengths), samples("", options.min_samples), options);
        let Some(known) = known else {
            // Hidden thinking sends nothing and is billed: it must not be taken for a stall.
            let factor = if Capabilities::of(model).effort { 4 } else { 1 };
            let first_token = options.first_token.map(|first| first.saturating_mul(factor));
            return Patience { first_token, gap: options.gap, usual };
        };
        let firsts = known.iter().map(|sample| sample.first_token).collect();
        let gaps = known.iter().filter_map(|sample| sample.gap).collect();
        let gap = quantile(gaps, options.quantile)
            .map(|gap| gap.mul_f64(options.gap_factor.clamp(0.0, 1e6)).max(options.min_wait));
        Patience {
            first_token: quantile(firsts, options.quantile)
                .map(|first| first.mul_f64(options.first_factor.clamp(0.0, 1e6)).max(options.min_wait)),
            gap: gap.or(options.gap),
            usual,
        }
    }

    /// Takes the length from the role, which differs much from role to role, and the speed from the model, which does not.
    fn usual(
        &self,
        of_role: Option<&VecDeque<Sample>>,
        of_model: Option<&VecDeque<Sample>>,
        options: &HedgeOptions,
    ) -> Option<Usual> {
        let (of_role, of_model) = (of_role?, of_model?);
        let bytes = quantile(of_role.iter().filter_map(|sample| sample.bytes).collect(), 0.5)? as f64;
        let speed =
            f64::from(quantile(of_model.iter().filter_map(|sample| sample.bytes_per_s).collect(), 0.5)?);
        let first = quantile(of_model.iter().map(|sample| sample.first_token).collect(), 0.5)?;
        let seconds = first.as_secs_f64() + bytes / speed.max(1.0);
        Some(Usual { bytes, seconds, after: options.crawl_after, factor: options.crawl_factor? })
    }
}

/// Returns the smallest sample that at least `q` of all samples do not exceed.
fn quantile<T: Ord + Copy>(mut samples: Vec<T>, q: f64) -> Option<T> {
    samples.sort_unstable();
    let rank = (samples.len() as f64 * q.clamp(0.0, 1.0)).ceil() as usize;
    samples.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn quantiles() {
        let samples: Vec<_> = (1..=20).map(ms).collect();
        assert_eq!(quantile(samples.clone(), 0.95), Some(ms(19)));
        assert_eq!(quantile(samples.clone(), 0.0), Some(ms(1)));
        assert_eq!(quantile(samples, 1.0), Some(ms(20)));
        assert_eq!(quantile(Vec::<u32>::new(), 0.5), None);
    }

    #[test]
    fn a_crawl_is_told_by_what_is_left_to_write() {
        let mut history = History::default();
        // Usual: first token after a second, then 4000 bytes at 200 a second: 21 s.
        let sample =
            Sample { first_token: ms(1000), gap: Some(ms(50)), bytes: Some(4000), bytes_per_s: Some(200) };
        (0..12).for_each(|_| history.learn("m", "bull", sample, 100));
        let judging = HedgeOptions { crawl_factor: Some(1.5), ..HedgeOptions::default() };
        let patience = history.patience("m", "bull", &judging);
        let check = |received: u64, at: u64, expected: bool| {
            let seen = Seen {
                sent: Some(ms(0)),
                first: Some(ms(1000)),
                last: Some(ms(at)),
                received,
                ..Seen::default()
            };
            assert_eq!(patience.is_crawling(seen, ms(at)), expected, "{received} bytes at {at} ms");
        };
        check(2000, 11_000, false); // as usual
        check(1400, 11_000, false); // slower, but done before a new one
        check(800, 11_000, true); // at 80 a second: 40 s left
        check(100, 2000, false); // too early to tell
        check(3900, 60_000, false); // slow, but nearly done
        check(5000, 60_000, false); // longer than usual
        let stranger = history.patience("m", "new", &judging);
        assert!(
            !stranger.is_crawling(Seen { first: Some(ms(0)), received: 1, ..Seen::default() }, ms(60_000))
        );
        assert!(history.patience("m", "bull", &HedgeOptions::default()).usual.is_none());
    }

    #[test]
    fn models_that_think_first_get_more_time() {
        let history = History::default();
        let options = HedgeOptions { first_token: Some(ms(100)), ..HedgeOptions::default() };
        let sent = Seen { sent: Some(ms(7)), ..Seen::default() };
        assert_eq!(history.patience("gpt-4o", "bull", &options).due(sent), Some(ms(107)));
        assert_eq!(history.patience("gpt-5", "bull", &options).due(sent), Some(ms(407)));
        assert_eq!(history.patience("gpt-5", "bull", &options).due(Seen::default()), None);
    }

    #[test]
    fn a_window_and_a_number_of_keys_bound_what_is_kept() {
        let mut history = History::default();
        for n in 0..1000 {
            history.learn("m", &format!("role {n}"), Sample::default(), 8);
            history.learn("m", "bull", Sample::default(), 8);
        }
        assert!(history.by_key.len() <= MAX_KEYS && history.by_key.len() == history.order.len());
        assert!(history.all().iter().all(|(_, _, samples)| samples.len() <= 8));
        assert!(history.all().iter().any(|(_, role, samples)| role == "bull" && samples.len() == 8));
    }
}
