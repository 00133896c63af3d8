//! Volume analysis and support and resistance, computed from the bars.

use jiff::{Span, civil::Date};

use crate::Bar;

/// Volume against its own past.
#[derive(Clone, Debug, PartialEq)]
pub struct VolumeAnalysis {
    /// Volume of the last bar.
    pub last: f64,
    /// Mean volume of the (up to) 20 bars before it.
    pub mean: f64,
    /// Last volume over the mean.
    pub ratio: f64,
    /// Deviations from the mean; `None` with fewer than two bars before it or no spread.
    pub z_score: Option<f64>,
    /// On-balance volume over all bars.
    pub on_balance: f64,
    /// Accumulation and distribution line over all bars.
    pub accumulation: f64,
    /// How many bars the mean is taken over.
    pub window: usize,
}

/// Analyzes the volume; `None` with fewer than two bars.
pub fn volume_analysis(bars: &[Bar]) -> Option<VolumeAnalysis> {
    let (last, past) = bars.split_last()?;
    let window = &past[past.len().saturating_sub(20)..];
    if window.is_empty() {
        return None;
    }
    let n = window.len() as f64;
    let mean = window.iter().map(|b| b.volume).sum::<f64>() / n;
    let spread = (window.len() > 1)
        .then(|| (window.iter().map(|b| (b.volume - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
        .filter(|s| *s > 0.0);
    let on_balance = bars
        .windows(2)
        .map(|pair| match pair[1].close.total_cmp(&pair[0].close) {
            std::cmp::Ordering::Greater => pair[1].volume,
            std::cmp::Ordering::Less => -pair[1].volume,
            std::cmp::Ordering::Equal => 0.0,
        })
        .sum();
    let accumulation = bars
        .iter()
        .filter(|b| b.high > b.low)
        .map(|b| ((b.close - b.low) - (b.high - b.close)) / (b.high - b.low) * b.volume)
        .sum();
    Some(VolumeAnalysis {
        last: last.volume,
        mean,
        ratio: if mean > 0.0 { last.volume / mean } else { 0.0 },
        z_score: spread.map(|s| (last.volume - mean) / s),
        on_balance,
        accumulation,
        window: window.len(),
    })
}

/// A price level that was touched more than once, or a lone extreme.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// Mean price of the touches.
    pub price: f64,
    /// How many swing points lie there.
    pub touches: usize,
}

/// Support and resistance around the last close.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels {
    /// The last close.
    pub close: f64,
    /// Classic pivot of the last bar.
    pub pivot: f64,
    /// First and second pivot resistance.
    pub pivot_resistance: [f64; 2],
    /// First and second pivot support.
    pub pivot_support: [f64; 2],
    /// Swing levels below the close, nearest first.
    pub support: Vec<Level>,
    /// Swing levels above the close, nearest first.
    pub resistance: Vec<Level>,
    /// Lowest low and highest high of the last 52 weeks.
    pub range: (f64, f64),
    /// How many bars the range covers.
    pub range_bars: usize,
}

/// Finds the levels; `None` without bars. Swing points are highs above and lows below both neighbors; those within
/// half the mean daily range of each other are one level.
pub fn levels(bars: &[Bar]) -> Option<Levels> {
    let last = bars.last()?;
    // By the calendar: a year of a coin has more bars than one of a share.
    let year_ago = last.date.checked_sub(Span::new().days(364)).unwrap_or(Date::MIN);
    let recent = &bars[bars.partition_point(|b| b.date < year_ago)..];
    let mean_range = recent.iter().map(|b| b.high - b.low).sum::<f64>() / recent.len() as f64;
    let mut points: Vec<f64> = recent
        .windows(3)
        .flat_map(|w| {
            let high = (w[1].high > w[0].high && w[1].high > w[2].high).then_some(w[1].high);
            let low = (w[1].low < w[0].low && w[1].low < w[2].low).then_some(w[1].low);
            [high, low].into_iter().flatten()
        })
        .collect();
    points.sort_by(f64::total_cmp);
    let mut found: Vec<(f64, usize)> = Vec::new();
    for point in points {
        match found.last_mut() {
            Some((sum, n)) if point - *sum / *n as f64 <= mean_range / 2.0 => {
                *sum += point;
                *n += 1;
            }
            _ => found.push((point, 1)),
        }
    }
    let found = found.into_iter().map(|(sum, n)| Level { price: sum / n as f64, touches: n });
    let (mut support, mut resistance): (Vec<Level>, Vec<Level>) = found.partition(|l| l.price <= last.close);
    support.reverse();
    support.truncate(3);
    resistance.truncate(3);
    let pivot = last.typical();
    Some(Levels {
        close: last.close,
        pivot,
        pivot_resistance: [2.0 * pivot - last.low, pivot + (last.high - last.low)],
        pivot_support: [2.0 * pivot - last.high, pivot - (last.high - last.low)],
        support,
        resistance,
        range: (
            recent.iter().map(|b| b.low).fold(f64::INFINITY, f64::min),
            recent.iter().map(|b| b.high).fold(f64::NEG_INFINITY, f64::max),
        ),
        range_bars: recent.len(),
    })
}
