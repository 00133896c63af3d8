//! The thirteen indicators, all in one pass over the bars.
//!
//! Two meanings of each name. [`Semantics::Compat`] gives what stockstats 0.6.10 gives (adjusted exponential
//! weights from the first bar, partial windows, sample deviation, money-flow index 0 to 1). [`Semantics::Standard`]
//! gives the textbook's: nothing before a window is full, averages seeded with the plain mean, population
//! deviation, money-flow index 0 to 100.
//!
//! O(bars) time, one pass for all of them. Tried and lost: windows added up anew for each bar (300 additions a bar), plain
//! adding and subtracting (drifts by 1e-9 within a year of large volumes), bars kept as structures (windows are then no slices).

use std::str::FromStr;

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
            // The origin showed this number under a legend for 0 to 100.
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
/// windows are kept by adding what enters and taking off what leaves, with the rounding of each step carried along (`Sum`): adding
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
    sum20: Sum,
    sum50: Sum,
    sum200: Sum,
    volume14: Sum,
    money14: Sum,
    flow14: Sum,
    inflow14: Sum,
    /// Bars of the last 14 with a volume, with a flow, with an inflow: a sum of nothing is exactly nothing.
    counts: [usize; 3],
    ema10: Exponential,
    ema12: Exponential,
    ema26: Exponential,
    signal: Exponential,
    up: Exponential,
    down: Exponential,
    range: Exponential,
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
        let ema = |n: usize| Exponential::new(semantics, n, 2.0 / (n as f64 + 1.0));
        let wilder = |n: usize| Exponential::new(semantics, n, 1.0 / n as f64);
        let column = || Vec::with_capacity(BUFFER);
        Self {
            semantics,
            seen: 0,
            previous_typical: 0.0,
            closes: column(),
            volumes: column(),
            money: column(),
            flows: column(),
            sum20: Sum::default(),
            sum50: Sum::default(),
            sum200: Sum::default(),
            volume14: Sum::default(),
            money14: Sum::default(),
            flow14: Sum::default(),
            inflow14: Sum::default(),
            counts: [0; 3],
            ema10: ema(10),
            ema12: ema(12),
            ema26: ema(26),
            signal: ema(9),
            up: wilder(14),
            down: wilder(14),
            range: wilder(14),
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
        let flow = match previous {
            Some(_) if typical > self.previous_typical => typical * bar.volume,
            Some(_) if typical < self.previous_typical => -typical * bar.volume,
            _ => 0.0,
        };
        self.previous_typical = typical;
        self.closes.push(bar.close);
        self.volumes.push(bar.volume);
        self.money.push(if compat { typical } else { bar.close } * bar.volume);
        self.flows.push(flow);
        self.seen += 1;
        self.roll(bar, flow);

        let (up, down) = match (previous, compat) {
            (Some(previous), _) => {
                let change = bar.close - previous;
                (self.up.push(change.max(0.0)), self.down.push((-change).max(0.0)))
            }
            // stockstats counts the first bar as a change of 0, the textbook does not count it.
            (None, true) => (self.up.push(0.0), self.down.push(0.0)),
            (None, false) => (None, None),
        };
        let rsi = match (up, down) {
            (Some(up), Some(down)) if up + down == 0.0 => Some(50.0),
            (Some(up), Some(down)) => Some(100.0 * up / (up + down)),
            _ => None,
        };
        let height = bar.high - bar.low;
        let true_range =
            previous.map_or(height, |p| height.max((bar.high - p).abs()).max((bar.low - p).abs()));
        let atr = self.range.push(true_range);

        let ema10 = self.ema10.push(bar.close);
        let macd = match (self.ema12.push(bar.close), self.ema26.push(bar.close)) {
            (Some(short), Some(long)) => Some(short - long),
            _ => None,
        };
        let signal = macd.and_then(|macd| self.signal.push(macd));
        let middle = self.mean(&self.sum20, 20);
        let width = middle.and_then(|middle| self.deviation(middle)).map(|deviation| 2.0 * deviation);
        let values = [
            self.mean(&self.sum50, 50),
            self.mean(&self.sum200, 200),
            ema10,
            macd,
            signal,
            macd.zip(signal).map(|(macd, signal)| macd - signal),
            rsi,
            middle,
            middle.zip(width).map(|(middle, width)| middle + width),
            middle.zip(width).map(|(middle, width)| middle - width),
            atr,
            self.volume_weighted(),
            self.money_flow(),
        ];
        Row(values.map(|value| value.unwrap_or(f64::NAN)))
    }

    /// Takes the new bar into the windows and the oldest ones out.
    fn roll(&mut self, bar: &Bar, flow: f64) {
        let last = self.closes.len() - 1;
        for (sum, n) in [(&mut self.sum20, 20), (&mut self.sum50, 50), (&mut self.sum200, 200)] {
            sum.add(bar.close);
            if self.seen > n {
                sum.add(-self.closes[last - n]);
            }
        }
        self.volume14.add(bar.volume);
        self.money14.add(self.money[last]);
        self.flow14.add(flow.abs());
        self.inflow14.add(flow.max(0.0));
        let marks = |volume: f64, flow: f64| [volume != 0.0, flow != 0.0, flow > 0.0].map(usize::from);
        for (count, mark) in self.counts.iter_mut().zip(marks(bar.volume, flow)) {
            *count += mark;
        }
        if self.seen > FLOW {
            let (volume, money, flow) =
                (self.volumes[last - FLOW], self.money[last - FLOW], self.flows[last - FLOW]);
            self.volume14.add(-volume);
            self.money14.add(-money);
            self.flow14.add(-flow.abs());
            self.inflow14.add(-flow.max(0.0));
            for (count, mark) in self.counts.iter_mut().zip(marks(volume, flow)) {
                *count -= mark;
            }
        }
    }

    /// The mean of the last `n` closes; in compat of fewer at the start, in standard none until there are `n`.
    fn mean(&self, sum: &Sum, n: usize) -> Option<f64> {
        let full = self.seen >= n;
        (full || self.semantics == Semantics::Compat).then(|| sum.value() / self.seen.min(n) as f64)
    }

    /// The deviation of the last 20 closes: of a sample in compat, of the whole in standard.
    fn deviation(&self, mean: f64) -> Option<f64> {
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
        (divisor > 0).then(|| (total / divisor as f64).sqrt())
    }

    fn volume_weighted(&self) -> Option<f64> {
        match (self.counts[0] > 0, self.semantics) {
            (_, Semantics::Standard) if self.seen < FLOW => None,
            (true, _) => Some(self.money14.value() / self.volume14.value()),
            (false, Semantics::Compat) => Some(0.0),
            (false, Semantics::Standard) => None,
        }
    }

    fn money_flow(&self) -> Option<f64> {
        let compat = self.semantics == Semantics::Compat;
        if self.seen < FLOW + 1 {
            return compat.then_some(0.5);
        }
        let [_, moving, inflowing] = self.counts;
        let share = match (moving, inflowing) {
            (0, _) => 0.5,
            (_, 0) => 0.0,
            (all, inflowing) if all == inflowing => 1.0,
            _ => self.inflow14.value() / self.flow14.value(),
        };
        Some(if compat { share } else { 100.0 * share })
    }
}

/// A sum with the rounding that its additions lost (Knuth's two-sum): what was added and taken off again leaves nothing behind.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    high: f64,
    low: f64,
}

impl Sum {
    fn add(&mut self, x: f64) {
        let sum = self.high + x;
        let back = sum - self.high;
        self.low += (self.high - (sum - back)) + (x - back);
        self.high = sum;
    }

    fn value(&self) -> f64 {
        self.high + self.low
    }
}

/// An exponential mean: adjusted weights from the first value (compat), or seeded with a plain mean (standard).
#[derive(Clone, Debug)]
struct Exponential {
    semantics: Semantics,
    n: usize,
    alpha: f64,
    seen: usize,
    sum: f64,
    weight: f64,
}

impl Exponential {
    fn new(semantics: Semantics, n: usize, alpha: f64) -> Self {
        Self { semantics, n, alpha, seen: 0, sum: 0.0, weight: 0.0 }
    }

    fn push(&mut self, value: f64) -> Option<f64> {
        self.seen += 1;
        match self.semantics {
            Semantics::Compat => {
                self.sum = self.sum * (1.0 - self.alpha) + value;
                self.weight = self.weight * (1.0 - self.alpha) + 1.0;
                Some(self.sum / self.weight)
            }
            Semantics::Standard if self.seen <= self.n => {
                self.sum += value;
                if self.seen < self.n {
                    return None;
                }
                self.sum /= self.n as f64;
                Some(self.sum)
            }
            Semantics::Standard => {
                self.sum += self.alpha * (value - self.sum);
                Some(self.sum)
            }
        }
    }
}
