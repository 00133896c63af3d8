//! The thirteen indicators, all in one pass over the bars.
//!
//! Each name has two definitions. [`Semantics::Compat`] equals stockstats 0.6.10: adjusted exponential weights from the
//! first bar, partial windows, sample deviation, money-flow index 0 to 1. [`Semantics::Standard`] is the textbook's: no
//! value before a window is full, averages seeded with the plain mean, population deviation, money-flow index 0 to 100.
//!
//! O(bars) time in one pass. Sums and exponential means lie side by side in arrays, which the compiler vectorizes;
//! undefined values are NaN. Tried and lost:
//!
//! - windows added up anew for each bar: 300 additions a bar
//! - plain adding and subtracting: drifts by 1e-9 within a year of large volumes
//! - bars kept as structures: windows are then no slices
//! - an `Option` for each value and a structure for each sum and mean: 6 % slower
//! - a branch on the direction of a day: 5 % slower

use std::{cmp::Ordering, str::FromStr};

use crate::Bar;

/// Whose definition of the indicators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Semantics {
    /// The textbook's.
    #[default]
    Standard,
    /// stockstats'.
    Compat,
}

/// An indicator, by the name that the tools use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Indicator {
    /// Mean close of 50 bars.
    Close50Sma,
    /// Mean close of 200 bars.
    Close200Sma,
    /// Exponential mean close of 10 bars.
    Close10Ema,
    /// EMA 12 less EMA 26.
    Macd,
    /// EMA 9 of the MACD.
    Macds,
    /// MACD less its signal.
    Macdh,
    /// Relative strength, 14 bars.
    Rsi,
    /// Middle Bollinger band, 20 bars.
    Boll,
    /// Upper Bollinger band, two deviations.
    BollUb,
    /// Lower Bollinger band, two deviations.
    BollLb,
    /// Average true range, 14 bars.
    Atr,
    /// Volume-weighted mean price, 14 bars.
    Vwma,
    /// Money-flow index, 14 bars.
    Mfi,
}

impl Indicator {
    /// All of them, in the order of [`Row`].
    pub const ALL: [Self; 13] = [
        Self::Close50Sma,
        Self::Close200Sma,
        Self::Close10Ema,
        Self::Macd,
        Self::Macds,
        Self::Macdh,
        Self::Rsi,
        Self::Boll,
        Self::BollUb,
        Self::BollLb,
        Self::Atr,
        Self::Vwma,
        Self::Mfi,
    ];

    /// The name in tool calls.
    pub fn name(self) -> &'static str {
        match self {
            Self::Close50Sma => "close_50_sma",
            Self::Close200Sma => "close_200_sma",
            Self::Close10Ema => "close_10_ema",
            Self::Macd => "macd",
            Self::Macds => "macds",
            Self::Macdh => "macdh",
            Self::Rsi => "rsi",
            Self::Boll => "boll",
            Self::BollUb => "boll_ub",
            Self::BollLb => "boll_lb",
            Self::Atr => "atr",
            Self::Vwma => "vwma",
            Self::Mfi => "mfi",
        }
    }

    /// What it measures and how it is read, in one line.
    pub fn description(self, semantics: Semantics) -> &'static str {
        if self == Self::Mfi && semantics == Semantics::Compat {
            // The original Python system showed this number under a legend for 0 to 100.
            return "money-flow index of 14 sessions, 0 to 1; above 0.8 overbought, below 0.2 oversold";
        }
        match self {
            Self::Close50Sma => "mean close of 50 sessions; the middle-term trend",
            Self::Close200Sma => "mean close of 200 sessions; the long-term trend",
            Self::Close10Ema => "exponential mean close of 10 sessions; the short-term trend",
            Self::Macd => "EMA 12 less EMA 26; above 0 the short trend leads",
            Self::Macds => "EMA 9 of the MACD; crossings mark turns",
            Self::Macdh => "MACD less its signal; its sign is the direction of momentum",
            Self::Rsi => "relative strength of 14 sessions, 0 to 100; above 70 overbought, below 30 oversold",
            Self::Boll => "mean close of 20 sessions; the middle of the Bollinger bands",
            Self::BollUb => "middle band plus two standard deviations",
            Self::BollLb => "middle band less two standard deviations",
            Self::Atr => "average true range of 14 sessions, in price units; the size of a usual day",
            Self::Vwma => "volume-weighted mean price of 14 sessions",
            Self::Mfi => "money-flow index of 14 sessions, 0 to 100; above 80 overbought, below 20 oversold",
        }
    }

    /// How many bars the standard value needs.
    pub fn bars_needed(self) -> usize {
        match self {
            Self::Close50Sma => 50,
            Self::Close200Sma => 200,
            Self::Close10Ema => 10,
            Self::Macd => 26,
            Self::Macds | Self::Macdh => 34,
            Self::Boll | Self::BollUb | Self::BollLb => 20,
            Self::Rsi | Self::Mfi => 15,
            Self::Atr | Self::Vwma => 14,
        }
    }
}

impl FromStr for Indicator {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|i| i.name() == text.trim()).ok_or(())
    }
}

/// The values of one bar, in the order of [`Indicator::ALL`].
///
/// A value that the definition does not give is kept as a NaN, not as an option: half the bytes, and a long series spends as long on
/// its memory as on its numbers.
#[derive(Clone, Copy, Debug)]
pub struct Row([f64; 13]);

impl Row {
    /// The value of the `n`-th of [`Indicator::ALL`]; `None` where the definition gives none.
    pub fn get(&self, n: usize) -> Option<f64> {
        self.0.get(n).copied().filter(|v| !v.is_nan())
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        (0..self.0.len()).all(|n| self.get(n) == other.get(n))
    }
}

/// Computes all indicators for each bar.
pub fn compute(bars: &[Bar], semantics: Semantics) -> Vec<Row> {
    let mut stream = Streaming::new(semantics);
    bars.iter().map(|bar| stream.push(bar)).collect()
}

/// The same values bar by bar.
///
/// The last bars lie column by column, so that a window is a slice, in buffers that are moved down when full. Sums over
/// windows are kept by adding what enters and taking off what leaves, with the rounding of each step carried along (`Sums`): adding
/// and subtracting alone drifts, adding up each window anew costs 300 additions a bar.
#[derive(Clone, Debug)]
pub struct Streaming {
    semantics: Semantics,
    seen: usize,
    previous_typical: f64,
    closes: Vec<f64>,
    volumes: Vec<f64>,
    money: Vec<f64>,
    flows: Vec<f64>,
    sums: Sums,
    /// Bars of the last 14 with a volume, with a flow, with an inflow: a sum of nothing is exactly nothing.
    counts: [usize; 3],
    means: Means<6>,
    signal: Means<1>,
}

/// How many past bars any window needs.
const KEEP: usize = 200;
/// Bars in the buffers before they are moved down; the more, the rarer.
const BUFFER: usize = 4 * KEEP;
/// The window of volume-weighted mean and money-flow index.
const FLOW: usize = 14;

impl Streaming {
    /// Starts without any bar.
    pub fn new(semantics: Semantics) -> Self {
        let ema = |n: u32| (n, 2.0 / (f64::from(n) + 1.0));
        let wilder = (14, 1.0 / 14.0);
        let column = || Vec::with_capacity(BUFFER);
        Self {
            semantics,
            seen: 0,
            previous_typical: 0.0,
            closes: column(),
            volumes: column(),
            money: column(),
            flows: column(),
            sums: Sums::default(),
            counts: [0; 3],
            means: Means::new(semantics, [ema(10), ema(12), ema(26), wilder, wilder, wilder]),
            signal: Means::new(semantics, [ema(9)]),
        }
    }

    /// Adds the next bar and gives its values.
    pub fn push(&mut self, bar: &Bar) -> Row {
        let compat = self.semantics == Semantics::Compat;
        let previous = self.closes.last().copied();
        if self.closes.len() == BUFFER {
            for column in [&mut self.closes, &mut self.volumes, &mut self.money, &mut self.flows] {
                column.copy_within(BUFFER - KEEP.., 0);
                column.truncate(KEEP);
            }
        }
        let typical = bar.typical();
        // Computed, not branched on: which way a day went is what no processor foresees.
        let before = previous.map_or(typical, |_| self.previous_typical);
        let way = i8::from(typical > before) - i8::from(typical < before);
        let flow = f64::from(way) * typical * bar.volume;
        self.previous_typical = typical;
        self.closes.push(bar.close);
        self.volumes.push(bar.volume);
        self.money.push(if compat { typical } else { bar.close } * bar.volume);
        self.flows.push(flow);
        self.seen += 1;
        self.roll();

        let height = bar.high - bar.low;
        let (true_range, change) = previous.map_or((height, 0.0), |p| {
            (height.max((bar.high - p).abs()).max((bar.low - p).abs()), bar.close - p)
        });
        // stockstats counts the first bar as a change of 0, the textbook does not count it.
        let changes = compat || previous.is_some();
        let values = [bar.close, bar.close, bar.close, change.max(0.0), (-change).max(0.0), true_range];
        let [ema10, ema12, ema26, up, down, atr] =
            self.means.push(values, [true, true, true, changes, changes, true]);
        let rsi = if up + down == 0.0 { 50.0 } else { 100.0 * up / (up + down) };
        let macd = ema12 - ema26;
        let [signal] = self.signal.push([macd], [!macd.is_nan()]);

        let [close20, close50, close200, ..] = self.sums.values();
        let middle = self.mean(close20, 20);
        let width = 2.0 * self.deviation(middle);
        Row([
            self.mean(close50, 50),
            self.mean(close200, 200),
            ema10,
            macd,
            signal,
            macd - signal,
            rsi,
            middle,
            middle + width,
            middle - width,
            atr,
            self.volume_weighted(),
            self.money_flow(),
        ])
    }

    /// Takes the newest bar into the windows and the oldest ones out.
    fn roll(&mut self) {
        let last = self.closes.len() - 1;
        // What has not been there yet leaves as nothing, which changes no sum.
        let seen = self.seen;
        let left = |column: &[f64], n: usize| if seen > n { column[last - n] } else { 0.0 };
        let close = self.closes[last];
        let entering = (self.volumes[last], self.money[last], self.flows[last]);
        let leaving = (left(&self.volumes, FLOW), left(&self.money, FLOW), left(&self.flows, FLOW));
        let windows = |closes: [f64; 3], (volume, money, flow): (f64, f64, f64)| {
            let [a, b, c] = closes;
            [a, b, c, volume, money, flow.abs(), flow.max(0.0), 0.0]
        };
        let closes = [20, 50, 200].map(|n| left(&self.closes, n));
        self.sums.add(windows([close; 3], entering));
        self.sums.add(windows(closes, leaving).map(|x| -x));
        let marks =
            |(volume, _, flow): (f64, f64, f64)| [volume != 0.0, flow != 0.0, flow > 0.0].map(usize::from);
        let (entered, went) = (marks(entering), marks(leaving));
        for (i, count) in self.counts.iter_mut().enumerate() {
            *count = *count + entered[i] - went[i];
        }
    }

    /// The mean of the last `n` closes; in compat of fewer at the start, in standard none until there are `n`.
    fn mean(&self, sum: f64, n: usize) -> f64 {
        if self.seen < n && self.semantics == Semantics::Standard {
            return f64::NAN;
        }
        sum / self.seen.min(n) as f64
    }

    /// The deviation of the last 20 closes: of a sample in compat, of the whole in standard.
    fn deviation(&self, mean: f64) -> f64 {
        let window = &self.closes[self.closes.len() - self.seen.min(20)..];
        // Four sums side by side: one alone would wait for each addition before the next.
        let mut squares = [0.0; 4];
        let mut four = window.chunks_exact(4);
        for part in &mut four {
            for (square, close) in squares.iter_mut().zip(part) {
                *square += (close - mean) * (close - mean);
            }
        }
        let rest: f64 = four.remainder().iter().map(|c| (c - mean) * (c - mean)).sum();
        let total = (squares[0] + squares[1]) + (squares[2] + squares[3]) + rest;
        let divisor = window.len() - usize::from(self.semantics == Semantics::Compat);
        if divisor > 0 { (total / divisor as f64).sqrt() } else { f64::NAN }
    }

    fn volume_weighted(&self) -> f64 {
        let [.., volume, money, _, _, _] = self.sums.values();
        match (self.counts[0] > 0, self.semantics) {
            (_, Semantics::Standard) if self.seen < FLOW => f64::NAN,
            (true, _) => money / volume,
            (false, Semantics::Compat) => 0.0,
            (false, Semantics::Standard) => f64::NAN,
        }
    }

    fn money_flow(&self) -> f64 {
        let compat = self.semantics == Semantics::Compat;
        if self.seen < FLOW + 1 {
            return if compat { 0.5 } else { f64::NAN };
        }
        let [.., flow, inflow, _] = self.sums.values();
        let [_, moving, inflowing] = self.counts;
        let share = match (moving, inflowing) {
            (0, _) => 0.5,
            (_, 0) => 0.0,
            (all, inflowing) if all == inflowing => 1.0,
            _ => inflow / flow,
        };
        if compat { share } else { 100.0 * share }
    }
}

/// Sums over windows, each with the rounding that its additions lost (Knuth's two-sum): what was added and taken off again leaves
/// nothing behind. In order: closes of 20, 50 and 200 bars; volume, money, flow and inflow of 14; one that is not used.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    high: [f64; 8],
    low: [f64; 8],
}

impl Sums {
    fn add(&mut self, values: [f64; 8]) {
        for (i, x) in values.into_iter().enumerate() {
            let (high, low) = (self.high[i], self.low[i]);
            let sum = high + x;
            let back = sum - high;
            self.low[i] = low + ((high - (sum - back)) + (x - back));
            self.high[i] = sum;
        }
    }

    fn values(&self) -> [f64; 8] {
        std::array::from_fn(|i| self.high[i] + self.low[i])
    }
}

/// Exponential means side by side: adjusted weights from the first value (compat), or seeded with a plain mean (standard).
#[derive(Clone, Debug)]
struct Means<const N: usize> {
    semantics: Semantics,
    lengths: [u32; N],
    alphas: [f64; N],
    seen: [u32; N],
    /// Whether each has its seed, so that all take the same step.
    warm: bool,
    sums: [f64; N],
    weights: [f64; N],
}

impl<const N: usize> Means<N> {
    fn new(semantics: Semantics, means: [(u32, f64); N]) -> Self {
        Self {
            semantics,
            lengths: means.map(|(n, _)| n),
            alphas: means.map(|(_, alpha)| alpha),
            seen: [0; N],
            warm: false,
            sums: [0.0; N],
            weights: [0.0; N],
        }
    }

    /// Adds a value to each mean that counts it, and gives all of them; NaN where there is none yet.
    fn push(&mut self, values: [f64; N], counts: [bool; N]) -> [f64; N] {
        if self.semantics == Semantics::Compat {
            for (i, value) in values.into_iter().enumerate() {
                self.sums[i] = self.sums[i] * (1.0 - self.alphas[i]) + value;
                self.weights[i] = self.weights[i] * (1.0 - self.alphas[i]) + 1.0;
            }
            return std::array::from_fn(|i| self.sums[i] / self.weights[i]);
        }
        if self.warm {
            for (i, value) in values.into_iter().enumerate() {
                self.sums[i] += self.alphas[i] * (value - self.sums[i]);
            }
            return self.sums;
        }
        for i in (0..N).filter(|i| counts[*i]) {
            self.seen[i] += 1;
            match self.seen[i].cmp(&self.lengths[i]) {
                Ordering::Less => self.sums[i] += values[i],
                Ordering::Equal => self.sums[i] = (self.sums[i] + values[i]) / f64::from(self.lengths[i]),
                Ordering::Greater => self.sums[i] += self.alphas[i] * (values[i] - self.sums[i]),
            }
        }
        let has_seed = |i: usize| self.seen[i] >= self.lengths[i];
        self.warm = (0..N).all(has_seed);
        std::array::from_fn(|i| if has_seed(i) { self.sums[i] } else { f64::NAN })
    }
}
