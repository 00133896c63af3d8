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
            match (row.get(i), cell) {
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
        let first = rows.iter().position(|r| r.get(i).is_some()).unwrap();
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
        assert_eq!(last.get(at(Indicator::Rsi)), Some(50.0));
        assert_eq!(last.get(at(Indicator::BollUb)), Some(20.0));
        assert_eq!(last.get(at(Indicator::Close200Sma)), Some(20.0));
        let rising: Vec<Bar> = (0..250).map(|n| flat(n, 20.0 + f64::from(n))).collect();
        assert_eq!(
            indicators::compute(&rising, semantics).last().unwrap().get(at(Indicator::Rsi)),
            Some(100.0)
        );
    }
    assert!(indicators::compute(&[], Semantics::Standard).is_empty());
}

fn real_series() -> Vec<Bar> {
    bars::parse_csv("aapl", include_str!("../../../../testdata/market/aapl.csv")).unwrap()
}

/// Compares with a file that stockstats wrote; gives how many values were compared.
fn compare_with_golden(name: &str, bars: &[Bar], golden: &str) -> usize {
    let rows = indicators::compute(bars, Semantics::Compat);
    let lines: Vec<&str> = golden.lines().skip(1).collect();
    assert_eq!(rows.len(), lines.len(), "{name}");
    let mut compared = 0;
    for (n, (row, line)) in rows.iter().zip(lines).enumerate() {
        for (i, cell) in line.split(',').skip(1).enumerate() {
            let indicator = Indicator::ALL[i];
            match (row.get(i), cell) {
                (None, "") => {}
                (Some(ours), theirs) => {
                    let theirs: f64 = theirs.parse().unwrap();
                    let close = (ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0);
                    assert!(close, "{name} row {n} {indicator:?}: {ours} {theirs}");
                    compared += 1;
                }
                other => panic!("{name} row {n} {indicator:?}: {other:?}"),
            }
        }
    }
    compared
}

/// `testdata/market/aapl_stockstats.csv` was written by stockstats 0.6.10 from 800 real days (`testdata/market/golden.sh`).
#[test]
fn compat_equals_stockstats_on_a_real_series() {
    let golden = include_str!("../../../../testdata/market/aapl_stockstats.csv");
    assert_eq!(compare_with_golden("aapl", &real_series(), golden), 800 * 13 - 2);
}

/// The price texts of the recorded runs, where they are at hand.
#[test]
fn compat_equals_stockstats_on_the_recorded_price_texts() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let runs = ["../shared/workload/runs", "../../shared/workload/runs"].map(|p| root.join(p));
    let Some(runs) = runs.iter().find(|p| p.is_dir()) else {
        println!("skipped: no folder of recorded runs beside the checkout");
        return;
    };
    let mut compared = 0;
    for ticker in ["AAPL", "ETH", "NVDA", "UNH"] {
        let record = std::fs::read_dir(runs)
            .unwrap()
            .flatten()
            .find(|e| e.file_name().to_string_lossy().starts_with(&format!("{ticker}_")))
            .unwrap();
        let record: serde_json::Value =
            serde_json::from_slice(&std::fs::read(record.path()).unwrap()).unwrap();
        let tools = record["tools"]["get_YFin_data_online"].as_array().unwrap();
        let text = tools.iter().filter_map(|t| t["text"].as_str()).find(|t| t.contains("Date,")).unwrap();
        let bars = bars::parse_csv(ticker, &text[text.find("Date,").unwrap()..]).unwrap();
        let golden = root.join(format!("testdata/market/workload_{ticker}_stockstats.csv"));
        compared += compare_with_golden(ticker, &bars, &std::fs::read_to_string(golden).unwrap());
    }
    assert_eq!(compared, (4 + 37 + 28 + 5) * 13 - 8);
}

/// The textbook's meaning against the official Rust port of TA-Lib. Where both define the same start the whole series is equal;
/// ATR and MACD start their means elsewhere (TA-Lib leaves out the first day's range, and starts both EMAs on one day), so they
/// are equal once the start is forgotten.
#[test]
fn standard_equals_ta_lib() {
    let bars = real_series();
    let column = |part: fn(&Bar) -> f64| bars.iter().map(part).collect::<Vec<f64>>();
    let (high, low, close, volume) =
        (column(|b| b.high), column(|b| b.low), column(|b| b.close), column(|b| b.volume));
    let core = ta_lib::Core::new();
    let end = bars.len() - 1;
    let blank = || vec![0.0; bars.len()];
    let (mut sma50, mut sma200, mut ema10, mut rsi, mut atr, mut mfi) =
        (blank(), blank(), blank(), blank(), blank(), blank());
    let (mut macd, mut signal, mut histogram) = (blank(), blank(), blank());
    let (mut upper, mut middle, mut lower) = (blank(), blank(), blank());
    let ma = ta_lib::MAType::SMA;
    let ranges = [
        core.sma(0, end, &close, 50, &mut sma50).unwrap(),
        core.sma(0, end, &close, 200, &mut sma200).unwrap(),
        core.ema(0, end, &close, 10, &mut ema10).unwrap(),
        core.rsi(0, end, &close, 14, &mut rsi).unwrap(),
        core.atr(0, end, &high, &low, &close, 14, &mut atr).unwrap(),
        core.mfi(0, end, &high, &low, &close, &volume, 14, &mut mfi).unwrap(),
        core.macd(0, end, &close, 12, 26, 9, &mut macd, &mut signal, &mut histogram).unwrap(),
        core.bbands(0, end, &close, 20, 2.0, 2.0, ma, &mut upper, &mut middle, &mut lower).unwrap(),
    ];
    let rows = indicators::compute(&bars, Semantics::Standard);
    for (indicator, theirs, range, from) in [
        (Indicator::Close50Sma, &sma50, &ranges[0], 0),
        (Indicator::Close200Sma, &sma200, &ranges[1], 0),
        (Indicator::Close10Ema, &ema10, &ranges[2], 0),
        (Indicator::Rsi, &rsi, &ranges[3], 0),
        (Indicator::Atr, &atr, &ranges[4], 400),
        (Indicator::Mfi, &mfi, &ranges[5], 0),
        (Indicator::Macd, &macd, &ranges[6], 300),
        (Indicator::Macds, &signal, &ranges[6], 300),
        (Indicator::Macdh, &histogram, &ranges[6], 300),
        (Indicator::BollUb, &upper, &ranges[7], 0),
        (Indicator::Boll, &middle, &ranges[7], 0),
        (Indicator::BollLb, &lower, &ranges[7], 0),
    ] {
        let at = Indicator::ALL.iter().position(|i| *i == indicator).unwrap();
        let mut compared = 0;
        for (n, theirs) in theirs[..range.count].iter().enumerate() {
            let bar = range.beg_idx + n;
            if bar < from {
                continue;
            }
            let ours = rows[bar].get(at).unwrap();
            let close = (ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0);
            assert!(close, "{indicator:?} bar {bar}: {ours} {theirs}");
            compared += 1;
        }
        assert!(compared >= 380, "{indicator:?}: {compared}");
    }
}

/// The slow obvious way: each window added up anew.
#[test]
fn a_long_series_drifts_by_nothing() {
    let mut bars = Vec::new();
    let mut state = 7u64;
    for n in 0..20_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let price = 50.0 + (state >> 33) as f64 / 1e8;
        let mut bar = flat(n, price);
        // Days of enormous volume among days of none: what plain adding and subtracting loses digits on.
        bar.volume = if n % 50 == 0 { 1e13 } else { f64::from(n % 3) * 0.1 };
        bars.push(bar);
    }
    for semantics in [Semantics::Standard, Semantics::Compat] {
        let rows = indicators::compute(&bars, semantics);
        let at = |indicator| Indicator::ALL.iter().position(|i| *i == indicator).unwrap();
        for (n, row) in rows.iter().enumerate().skip(200) {
            let mean = |k: usize| bars[n + 1 - k..=n].iter().map(|b| b.close).sum::<f64>() / k as f64;
            assert!((row.get(at(Indicator::Close200Sma)).unwrap() - mean(200)).abs() < 1e-9);
            let window = &bars[n - 13..=n];
            let price = |b: &Bar| if semantics == Semantics::Compat { b.typical() } else { b.close };
            let volume: f64 = window.iter().map(|b| b.volume).sum();
            let weighted = window.iter().map(|b| price(b) * b.volume).sum::<f64>() / volume;
            assert!((row.get(at(Indicator::Vwma)).unwrap() - weighted).abs() < 1e-6, "bar {n}");
            let share = row.get(at(Indicator::Mfi)).unwrap();
            assert!((0.0..=100.0).contains(&share), "bar {n}: {share}");
        }
    }
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
                    if let (Some(a), Some(b)) = (row.get(i), big.get(i)) {
                        let size = 500.0 * factor.max(1.0);
                        prop_assert!((a * factor - b).abs() < 1e-7 * size, "{} {} {}", indicator.name(), a * factor, b);
                    }
                }
            }
        }
    }
}
