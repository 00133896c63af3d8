//! The thirteen indicators, all in one pass over the bars.
//!
//! Two meanings of each name. [`Semantics::Compat`] gives what stockstats 0.6.10 gives (adjusted exponential
//! weights from the first bar, partial windows, sample deviation, money-flow index 0 to 1). [`Semantics::Standard`]
//! gives the textbook's: nothing before a window is full, averages seeded with the plain mean, population
//! deviation, money-flow index 0 to 100.
//!
//! O(bars) time; the rolling sums are kept exactly over the window (recomputed from the window, not by adding and
//! subtracting) so that a long series drifts by nothing.

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
    pub fn description(self) -> &'static str {
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

/// The values of one bar, in the order of [`Indicator::ALL`]; `None` where the definition gives none.
pub type Row = [Option<f64>; 13];

/// Computes all indicators for each bar.
pub fn compute(bars: &[Bar], semantics: Semantics) -> Vec<Row> {
    let mut engine = Streaming::new(semantics);
    bars.iter().map(|bar| engine.push(bar)).collect()
}

/// The same values bar by bar.
#[derive(Clone, Debug)]
pub struct Streaming {
    semantics: Semantics,
    bars: Vec<Bar>,
    ema10: Exponential,
    ema12: Exponential,
    ema26: Exponential,
    signal: Exponential,
    up: Exponential,
    down: Exponential,
    range: Exponential,
    flows: Vec<f64>,
}

/// How many past bars any window needs.
const KEEP: usize = 200;

impl Streaming {
    /// Starts without any bar.
    pub fn new(semantics: Semantics) -> Self {
        let ema = |n: usize| Exponential::new(semantics, n, 2.0 / (n as f64 + 1.0));
        let wilder = |n: usize| Exponential::new(semantics, n, 1.0 / n as f64);
        Self {
            semantics,
            bars: Vec::with_capacity(2 * KEEP),
            ema10: ema(10),
            ema12: ema(12),
            ema26: ema(26),
            signal: ema(9),
            up: wilder(14),
            down: wilder(14),
            range: wilder(14),
            flows: Vec::with_capacity(2 * KEEP),
        }
    }

    /// Adds the next bar and gives its values.
    pub fn push(&mut self, bar: &Bar) -> Row {
        let previous = self.bars.last().cloned();
        if self.bars.len() == 2 * KEEP {
            self.bars.drain(..KEEP);
            self.flows.drain(..KEEP);
        }
        self.bars.push(bar.clone());
        let compat = self.semantics == Semantics::Compat;

        let change = previous.as_ref().map(|p| bar.close - p.close);
        let (up, down) = match (change, compat) {
            (Some(change), _) => (self.up.push(change.max(0.0)), self.down.push((-change).max(0.0))),
            // stockstats counts the first bar as a change of 0, the textbook does not count it.
            (None, true) => (self.up.push(0.0), self.down.push(0.0)),
            (None, false) => (None, None),
        };
        let rsi = match (up, down) {
            (Some(up), Some(down)) if up + down == 0.0 => Some(50.0),
            (Some(up), Some(down)) => Some(100.0 * up / (up + down)),
            _ => None,
        };
        let true_range = previous.as_ref().map_or(bar.high - bar.low, |p| {
            (bar.high - bar.low).max((bar.high - p.close).abs()).max((bar.low - p.close).abs())
        });
        let atr = self.range.push(true_range);

        let ema10 = self.ema10.push(bar.close);
        let macd = match (self.ema12.push(bar.close), self.ema26.push(bar.close)) {
            (Some(short), Some(long)) => Some(short - long),
            _ => None,
        };
        let signal = macd.and_then(|macd| self.signal.push(macd));
        let flow = match &previous {
            Some(p) if bar.typical() > p.typical() => bar.typical() * bar.volume,
            Some(p) if bar.typical() < p.typical() => -bar.typical() * bar.volume,
            _ => 0.0,
        };
        self.flows.push(flow);

        let band = self.window(20);
        let middle = band.map(|window| mean(window.iter().map(|b| b.close)));
        let width = band.zip(middle).and_then(|(window, middle)| {
            let squares: f64 = window.iter().map(|b| (b.close - middle).powi(2)).sum();
            let divisor = if compat { window.len() - 1 } else { window.len() };
            (divisor > 0).then(|| 2.0 * (squares / divisor as f64).sqrt())
        });
        let sma = |n: usize| self.window(n).map(|window| mean(window.iter().map(|b| b.close)));
        [
            sma(50),
            sma(200),
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
        ]
    }

    /// The last `n` bars; in compat fewer at the start, in standard none until there are `n`.
    fn window(&self, n: usize) -> Option<&[Bar]> {
        let len = self.bars.len();
        (len >= n || self.semantics == Semantics::Compat).then(|| &self.bars[len.saturating_sub(n)..])
    }

    fn volume_weighted(&self) -> Option<f64> {
        let window = self.window(14)?;
        let volume: f64 = window.iter().map(|b| b.volume).sum();
        let price = |b: &Bar| if self.semantics == Semantics::Compat { b.typical() } else { b.close };
        match (volume == 0.0, self.semantics) {
            (false, _) => Some(window.iter().map(|b| price(b) * b.volume).sum::<f64>() / volume),
            (true, Semantics::Compat) => Some(0.0),
            (true, Semantics::Standard) => None,
        }
    }

    fn money_flow(&self) -> Option<f64> {
        let compat = self.semantics == Semantics::Compat;
        if self.bars.len() < 15 {
            return compat.then_some(0.5);
        }
        let window = &self.flows[self.flows.len() - 14..];
        let positive: f64 = window.iter().filter(|f| **f > 0.0).sum();
        let total: f64 = window.iter().map(|f| f.abs()).sum();
        let share = if total == 0.0 { 0.5 } else { positive / total };
        Some(if compat { share } else { 100.0 * share })
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
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
