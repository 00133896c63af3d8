//! The extended set: every entry computes, within its bounds, and says nothing before its window is full.

use lacon_market::{
    Bar, bars,
    extended::{EXTENDED, Extended},
};

fn series() -> Vec<Bar> {
    bars::parse_csv("aapl", include_str!("../../../../testdata/market/aapl.csv")).unwrap()
}

#[test]
fn every_entry_computes_over_a_real_series() {
    let bars = series();
    for indicator in EXTENDED {
        let values = indicator.compute(&bars);
        assert_eq!(values.len(), bars.len());
        assert!(values[760..].iter().all(Option::is_some), "{indicator:?}");
        assert!(values.iter().skip_while(|v| v.is_none()).all(Option::is_some), "{indicator:?} has a gap");
        assert_eq!(Extended::find(indicator.name).unwrap().name, indicator.name);
        for short in [0, 1, 2, 5] {
            assert_eq!(indicator.compute(&bars[..short]).len(), short);
        }
    }
    assert!(Extended::find("nothing").is_none());
    assert!(EXTENDED.is_sorted_by_key(|e| e.name), "by name");
}

#[test]
fn bounded_ones_stay_in_their_bounds() {
    let bars = series();
    for (name, low, high) in [
        ("adx", 0.0, 100.0),
        ("aroonosc", -100.0, 100.0),
        ("bop", -1.0, 1.0),
        ("cmo", -100.0, 100.0),
        ("ultosc", 0.0, 100.0),
        ("willr", -100.0, 0.0),
    ] {
        let values = Extended::find(name).unwrap().compute(&bars);
        assert!(values.iter().flatten().all(|v| (low..=high).contains(v)), "{name}");
    }
    let mom = Extended::find("mom").unwrap().compute(&bars);
    assert!((mom[50].unwrap() - (bars[50].close - bars[40].close)).abs() < 1e-9);
}
