//! The gain of a second thread: the time of one thread to the time of two, in turn and on the same text.
//!
//! Every timed pass has an untimed one before it, for one thread and for two, so both find their tables in the nearest
//! caches. The ratio of plain arithmetic, which needs no memory, stands beside the others: the machine gives no more
//! than that at the time.

use std::{hint::black_box, num::NonZeroUsize, time::Instant};

use lacon_tokens::Encoding;

use super::{
    checks::Check,
    corpora::{Corpus, Gates},
};

/// Bytes of the long texts, which are repetitions.
const LONG: usize = 32_000_000;
/// Bytes of a document of the batches.
const DOCUMENT: usize = 4 << 10;

/// Ratios of all operations on each text.
pub fn ratios(
    encoding: &Encoding,
    corpora: &[Corpus],
    rounds: usize,
    gates: &Gates,
    checks: &mut Vec<Check>,
) {
    let one = NonZeroUsize::MIN;
    let two = one.saturating_add(1);
    let mut arithmetic = Ratio::default();
    for corpus in corpora {
        let text = corpus.text.as_str();
        let long = text.repeat(LONG.div_ceil(text.len()));
        let documents = documents(text);
        let operations: [(String, &dyn Fn(NonZeroUsize) -> usize); 4] = [
            (size_of("count", text), &|threads| encoding.count_parallel(text, threads)),
            (size_of("count", &long), &|threads| encoding.count_parallel(&long, threads)),
            (size_of("count_batch", text), &|threads| encoding.count_batch(&documents, threads).len()),
            (size_of("encode_batch", text), &|threads| encoding.encode_batch(&documents, threads).len()),
        ];
        for (name, operation) in operations {
            let mut ratio = Ratio::default();
            for _ in 0..rounds {
                for (threads, seconds) in [(one, &mut ratio.one), (two, &mut ratio.two)] {
                    operation(threads);
                    seconds.push(seconds_of(|| operation(threads)));
                }
                arithmetic.one.push(seconds_of(|| loop_of(ARITHMETIC) ^ loop_of(ARITHMETIC)));
                arithmetic.two.push(seconds_of(|| two_loops(ARITHMETIC)));
            }
            let name = format!("two threads, {name} of {}", corpus.name);
            checks.push(Check::told(format!("{name}, median"), ratio.median()));
            checks.push(Check::at_least(&format!("{name}, best rounds"), ratio.best(), gates.two_threads));
        }
    }
    checks.push(Check::told("two loops of arithmetic, median".to_owned(), arithmetic.median()));
    checks.push(Check::told("two loops of arithmetic, best rounds".to_owned(), arithmetic.best()));
}

/// Seconds of one thread and of two, a figure a round.
#[derive(Default)]
struct Ratio {
    one: Vec<f64>,
    two: Vec<f64>,
}

impl Ratio {
    /// Of the medians: both are taken in the same rounds.
    fn median(&mut self) -> f64 {
        let median = |seconds: &mut Vec<f64>| {
            seconds.sort_by(f64::total_cmp);
            seconds[seconds.len() / 2]
        };
        median(&mut self.one) / median(&mut self.two)
    }

    fn best(&self) -> f64 {
        let best = |seconds: &[f64]| seconds.iter().copied().fold(f64::MAX, f64::min);
        best(&self.one) / best(&self.two)
    }
}

fn size_of(name: &str, text: &str) -> String {
    format!("{name}, {:.1} MB", text.len() as f64 / 1e6)
}

fn seconds_of<T>(work: impl FnOnce() -> T) -> f64 {
    let began = Instant::now();
    black_box(work());
    began.elapsed().as_secs_f64()
}

fn documents(text: &str) -> Vec<&str> {
    let mut documents = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (document, behind) = rest.split_at(rest.ceil_char_boundary(DOCUMENT.min(rest.len())));
        documents.push(document);
        rest = behind;
    }
    documents
}

/// Steps of a loop: some ten milliseconds, beside which the start of a thread is little.
const ARITHMETIC: u64 = 4_000_000;

/// Eight independent chains, so that it takes as much of a processor as counting does, which a chain would not.
#[inline(never)]
fn loop_of(steps: u64) -> u64 {
    let mut chains = [1_u64, 2, 3, 4, 5, 6, 7, 8];
    for step in 0..black_box(steps) {
        for (chain, by) in chains.iter_mut().zip(3..) {
            *chain = (*chain ^ step).rotate_left(by).wrapping_add(0x9E37);
        }
    }
    chains.iter().fold(0, |all, chain| all ^ chain)
}

fn two_loops(steps: u64) -> u64 {
    std::thread::scope(|scope| {
        let other = scope.spawn(|| loop_of(steps));
        let mine = loop_of(steps);
        mine ^ other.join().unwrap_or_default()
    })
}
