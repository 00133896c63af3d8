//! The thirteen indicators against stockstats and against their definitions.

use lacon_market::{Bar, Indicator, Semantics, bars, indicators};
use proptest::prelude::*;

fn nvda() -> Vec<Bar> {
    bars::parse_csv("nvda", include_str!("../../packs/NVDA/prices.csv")).unwrap()
}

/// `testdata/market/nvda_stockstats.csv` was written by stockstats 0.6.10 from the same prices.
#[test]
fn compat_equals_stockstats() {
    let golden = include_str!("../../../../testdata/market/nvda_stockstats.csv");
    let rows = indicators::compute(&nvda(), Semantics::Compat);
    let mut compared = 0;
    for (row, line) in rows.iter().zip(golden.lines().skip(1)) {
        for (i, cell) in line.split(',').skip(1).enumerate() {
            match (row[i], cell) {
                (None, "") => {}
                (Some(ours), theirs) => {
                    let theirs: f64 = theirs.parse().unwrap();
                    assert!(
                        (ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0),
                        "{:?}: {ours} {theirs}",
                        Indicator::ALL[i]
                    );
                    compared += 1;
                }
                other => panic!("{:?}: {other:?}", Indicator::ALL[i]),
            }
        }
    }
    assert_eq!(compared, 28 * 13 - 2);
}

#[test]
fn standard_gives_nothing_before_its_window_is_full() {
    for (i, indicator) in Indicator::ALL.into_iter().enumerate() {
        let bars: Vec<Bar> = (0..260).map(|n| flat(n, 10.0 + f64::from(n % 7))).collect();
        let rows = indicators::compute(&bars, Semantics::Standard);
        let first = rows.iter().position(|r| r[i].is_some()).unwrap();
        assert_eq!(first + 1, indicator.bars_needed(), "{}", indicator.name());
    }
}

fn flat(n: i32, price: f64) -> Bar {
    let date = jiff::civil::date(2020, 1, 1).checked_add(jiff::Span::new().days(n)).unwrap();
    Bar {
        date,
        open: price,
        high: price + 1.0,
        low: price - 1.0,
        close: price,
        volume: 1000.0 + f64::from(n),
    }
}

#[test]
fn a_constant_and_a_rising_series() {
    let at = |indicator| Indicator::ALL.iter().position(|i| *i == indicator).unwrap();
    let constant: Vec<Bar> = (0..250).map(|n| flat(n, 20.0)).collect();
    for semantics in [Semantics::Standard, Semantics::Compat] {
        let last = *indicators::compute(&constant, semantics).last().unwrap();
        assert_eq!(last[at(Indicator::Rsi)], Some(50.0));
        assert_eq!(last[at(Indicator::BollUb)], Some(20.0));
        assert_eq!(last[at(Indicator::Close200Sma)], Some(20.0));
        let rising: Vec<Bar> = (0..250).map(|n| flat(n, 20.0 + f64::from(n))).collect();
        assert_eq!(indicators::compute(&rising, semantics).last().unwrap()[at(Indicator::Rsi)], Some(100.0));
    }
    assert!(indicators::compute(&[], Semantics::Standard).is_empty());
}

proptest! {
    #[test]
    fn streaming_equals_batch_and_scale_is_respected(
        closes in prop::collection::vec(1.0f64..500.0, 1..450),
        scale in 0.01f64..100.0,
    ) {
        let bars: Vec<Bar> = closes.iter().enumerate().map(|(n, c)| flat(n as i32, *c + 1.0)).collect();
        let scaled: Vec<Bar> = bars.iter().map(|b| Bar {
            open: b.open * scale, high: b.high * scale, low: b.low * scale, close: b.close * scale, ..b.clone()
        }).collect();
        for semantics in [Semantics::Standard, Semantics::Compat] {
            let batch = indicators::compute(&bars, semantics);
            let mut stream = indicators::Streaming::new(semantics);
            for (bar, row) in bars.iter().zip(&batch) {
                prop_assert_eq!(&stream.push(bar), row);
            }
            for (row, big) in batch.iter().zip(indicators::compute(&scaled, semantics)) {
                for (i, indicator) in Indicator::ALL.into_iter().enumerate() {
                    let factor = if matches!(indicator, Indicator::Rsi | Indicator::Mfi) { 1.0 } else { scale };
                    if let (Some(a), Some(b)) = (row[i], big[i]) {
                        let size = 500.0 * factor.max(1.0);
                        prop_assert!((a * factor - b).abs() < 1e-7 * size, "{} {} {}", indicator.name(), a * factor, b);
                    }
                }
            }
        }
    }
}
