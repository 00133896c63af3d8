//! A paper portfolio: what decisions would have earned on the days that followed, costs included.
//!
//! A decision of a day is acted on at the next trading day's first price, never at a price that was known when it was
//! made. BUY puts all cash into the stock, SELL sells all of it, HOLD changes nothing; there is no short selling.

use crate::Action;
use jiff::civil::Date;
use lacon_market::Bar;
use serde::Serialize;

/// What a portfolio starts with and pays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PaperOptions {
    /// Cash at the beginning.
    pub cash: f64,
    /// Costs of a trade in hundredths of a percent of its value.
    pub cost_bps: f64,
    /// Days without trading interest earn nothing; trading days over which a decision is judged.
    pub horizon: usize,
}

impl Default for PaperOptions {
    fn default() -> Self {
        Self { cash: 100_000.0, cost_bps: 10.0, horizon: crate::memory::HORIZON }
    }
}

/// One trade.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trade {
    /// The day whose decision it follows.
    pub decided: String,
    /// The day it was made.
    pub date: String,
    /// BUY or SELL.
    pub action: Action,
    /// At this price.
    pub price: f64,
    /// So many shares.
    pub shares: f64,
    /// What it cost.
    pub cost: f64,
}

/// What became of a portfolio.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Performance {
    /// Value at the close of each day.
    pub equity: Vec<(String, f64)>,
    /// The trades.
    pub trades: Vec<Trade>,
    /// Gain as a share of the cash.
    pub total_return: f64,
    /// Gain of buying at the first opportunity and holding, with the same costs.
    pub buy_and_hold: f64,
    /// The difference of both.
    pub alpha: f64,
    /// The deepest fall from a high, as a share of it.
    pub max_drawdown: f64,
    /// BUY and SELL decisions whose following days are known, and those of them that moved the right way.
    pub judged: usize,
    /// See `judged`.
    pub hits: usize,
}

/// Plays decisions, in the order of their days, on the bars of one stock.
pub fn play(bars: &[Bar], decisions: &[(Date, Action)], options: PaperOptions) -> Performance {
    let mut performance = Performance::default();
    let Some((first, _)) = decisions.first() else { return performance };
    let days: Vec<&Bar> = bars.iter().filter(|bar| bar.date > *first).collect();
    let rate = options.cost_bps / 10_000.0;
    let (mut cash, mut shares) = (options.cash, 0.0);
    let mut next = 0;
    let mut held = None;
    let mut high = options.cash;
    for bar in days {
        // All decisions made before this day; the last of them counts.
        let mut wanted = None;
        while let Some((date, action)) = decisions.get(next).filter(|(date, _)| *date < bar.date) {
            wanted = Some((*date, *action));
            next += 1;
        }
        held.get_or_insert_with(|| options.cash / (bar.open * (1.0 + rate)));
        match wanted {
            Some((decided, Action::Buy)) if cash > 0.0 && bar.open > 0.0 => {
                let bought = cash / (bar.open * (1.0 + rate));
                performance.trades.push(trade(decided, bar, Action::Buy, bought, rate));
                shares += bought;
                cash = 0.0;
            }
            Some((decided, Action::Sell)) if shares > 0.0 => {
                performance.trades.push(trade(decided, bar, Action::Sell, shares, rate));
                cash += shares * bar.open * (1.0 - rate);
                shares = 0.0;
            }
            _ => {}
        }
        let value = cash + shares * bar.close;
        high = high.max(value);
        performance.max_drawdown = performance.max_drawdown.max(1.0 - value / high);
        performance.equity.push((bar.date.to_string(), value));
    }
    let last = bars.last().map_or(0.0, |bar| bar.close);
    if let (Some((_, value)), Some(held)) = (performance.equity.last(), held) {
        performance.total_return = value / options.cash - 1.0;
        performance.buy_and_hold = held * last / options.cash - 1.0;
        performance.alpha = performance.total_return - performance.buy_and_hold;
    }
    for (date, action) in decisions.iter().filter(|(_, action)| *action != Action::Hold) {
        let Some(at) = bars.iter().rposition(|bar| bar.date <= *date) else { continue };
        let Some(end) = bars.get(at + options.horizon) else { continue };
        performance.judged += 1;
        let rose = end.close > bars[at].close;
        performance.hits += usize::from(rose == (*action == Action::Buy) && end.close != bars[at].close);
    }
    performance
}

fn trade(decided: Date, bar: &Bar, action: Action, shares: f64, rate: f64) -> Trade {
    Trade {
        decided: decided.to_string(),
        date: bar.date.to_string(),
        action,
        price: bar.open,
        shares,
        cost: shares * bar.open * rate,
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn bars(prices: &[(f64, f64)]) -> Vec<Bar> {
        let mut day = date(2025, 7, 1);
        prices
            .iter()
            .map(|(open, close)| {
                let bar =
                    Bar { date: day, open: *open, high: *close, low: *open, close: *close, volume: 1.0 };
                day = day.tomorrow().unwrap();
                bar
            })
            .collect()
    }

    #[test]
    fn a_decision_is_acted_on_at_the_next_first_price() {
        let bars = bars(&[(10.0, 10.0), (20.0, 22.0), (24.0, 25.0), (30.0, 30.0)]);
        let options = PaperOptions { cash: 1000.0, cost_bps: 0.0, horizon: 1 };
        let decisions = [(date(2025, 7, 1), Action::Buy), (date(2025, 7, 3), Action::Sell)];
        let p = play(&bars, &decisions, options);
        assert_eq!(
            p.trades.iter().map(|t| (t.date.as_str(), t.price)).collect::<Vec<_>>(),
            [("2025-07-02", 20.0), ("2025-07-04", 30.0)]
        );
        assert!((p.total_return - 0.5).abs() < 1e-12);
        assert_eq!(p.equity.len(), 3);
        // Buying at 20 and holding to 30 is the same here.
        assert!(p.alpha.abs() < 1e-12);
        assert_eq!((p.judged, p.hits), (2, 1));
    }

    #[test]
    fn costs_are_paid_and_falls_are_measured() {
        let bars = bars(&[(10.0, 10.0), (10.0, 10.0), (10.0, 5.0), (5.0, 8.0)]);
        let options = PaperOptions { cash: 1000.0, cost_bps: 100.0, horizon: 5 };
        let p = play(&bars, &[(date(2025, 7, 1), Action::Buy)], options);
        assert!((p.trades[0].cost - 1000.0 * 0.01 / 1.01).abs() < 1e-9);
        assert!((p.max_drawdown - (1.0 - 500.0 / 1.01 / 1000.0)).abs() < 1e-9, "{}", p.max_drawdown);
        assert_eq!((p.judged, play(&bars, &[], options)), (0, Performance::default()));
    }
}
