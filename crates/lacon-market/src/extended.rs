//! More than the thirteen indicators, computed by the `ta-lib` crate with their textbook definitions.
//!
//! One list names them. Each uses its usual periods, has no value before its window is full, and is computed over a
//! whole series at once.

use ta_lib::{Core, MAType, OutRange, RetCode};

use crate::Bar;

/// The columns that an indicator reads.
struct Columns {
    open: Vec<f64>,
    high: Vec<f64>,
    low: Vec<f64>,
    close: Vec<f64>,
    volume: Vec<f64>,
}

type Compute = fn(&Core, &Columns, usize, &mut [f64]) -> Result<OutRange, RetCode>;

/// An indicator of the extended set.
#[derive(Clone, Copy)]
pub struct Extended {
    /// Its name.
    pub name: &'static str,
    /// What it measures and how it is read, in one line.
    pub description: &'static str,
    compute: Compute,
}

impl std::fmt::Debug for Extended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All of them, by name.
pub const EXTENDED: &[Extended] = &[
    Extended {
        name: "adx",
        description: "average directional index of 14 sessions, 0 to 100; above 25 a trend, of either direction",
        compute: |t, c, end, out| t.adx(0, end, &c.high, &c.low, &c.close, 14, out),
    },
    Extended {
        name: "aroonosc",
        description: "Aroon oscillator of 14 sessions, -100 to 100; positive while highs are younger than lows",
        compute: |t, c, end, out| t.aroonosc(0, end, &c.high, &c.low, 14, out),
    },
    Extended {
        name: "bop",
        description: "balance of power, -1 to 1: where in the day's range the close lies from the open",
        compute: |t, c, end, out| t.bop(0, end, &c.open, &c.high, &c.low, &c.close, out),
    },
    Extended {
        name: "cci",
        description: "commodity channel index of 20 sessions; beyond 100 or -100 far from its mean",
        compute: |t, c, end, out| t.cci(0, end, &c.high, &c.low, &c.close, 20, out),
    },
    Extended {
        name: "close_20_wma",
        description: "weighted mean close of 20 sessions; the latest weigh most",
        compute: |t, c, end, out| t.wma(0, end, &c.close, 20, out),
    },
    Extended {
        name: "close_30_kama",
        description: "Kaufman's adaptive mean close of 30 sessions; still in noise, quick in trends",
        compute: |t, c, end, out| t.kama(0, end, &c.close, 30, out),
    },
    Extended {
        name: "cmo",
        description: "Chande momentum of 14 sessions, -100 to 100",
        compute: |t, c, end, out| t.cmo(0, end, &c.close, 14, out),
    },
    Extended {
        name: "minus_di",
        description: "downward movement of 14 sessions, 0 to 100; above plus_di sellers lead",
        compute: |t, c, end, out| t.minus_di(0, end, &c.high, &c.low, &c.close, 14, out),
    },
    Extended {
        name: "mom",
        description: "close less the close 10 sessions ago, in price units",
        compute: |t, c, end, out| t.mom(0, end, &c.close, 10, out),
    },
    Extended {
        name: "natr",
        description: "average true range of 14 sessions in percent of the close",
        compute: |t, c, end, out| t.natr(0, end, &c.high, &c.low, &c.close, 14, out),
    },
    Extended {
        name: "obv",
        description: "on-balance volume; its slope shows whether volume comes on rising or on falling days",
        compute: |t, c, end, out| t.obv(0, end, &c.close, &c.volume, out),
    },
    Extended {
        name: "plus_di",
        description: "upward movement of 14 sessions, 0 to 100; above minus_di buyers lead",
        compute: |t, c, end, out| t.plus_di(0, end, &c.high, &c.low, &c.close, 14, out),
    },
    Extended {
        name: "ppo",
        description: "EMA 12 less EMA 26 in percent of EMA 26; MACD that can be compared between stocks",
        compute: |t, c, end, out| t.ppo(0, end, &c.close, 12, 26, MAType::EMA, out),
    },
    Extended {
        name: "roc",
        description: "change over 10 sessions in percent",
        compute: |t, c, end, out| t.roc(0, end, &c.close, 10, out),
    },
    Extended {
        name: "sar",
        description: "parabolic stop and reverse; below the price the trend is up",
        compute: |t, c, end, out| t.sar(0, end, &c.high, &c.low, 0.02, 0.2, out),
    },
    Extended {
        name: "trix",
        description: "change of a triple EMA of 15 sessions in percent",
        compute: |t, c, end, out| t.trix(0, end, &c.close, 15, out),
    },
    Extended {
        name: "ultosc",
        description: "ultimate oscillator of 7, 14 and 28 sessions, 0 to 100; above 70 overbought, below 30 oversold",
        compute: |t, c, end, out| t.ultosc(0, end, &c.high, &c.low, &c.close, 7, 14, 28, out),
    },
    Extended {
        name: "willr",
        description: "Williams' %R of 14 sessions, -100 to 0; above -20 overbought, below -80 oversold",
        compute: |t, c, end, out| t.willr(0, end, &c.high, &c.low, &c.close, 14, out),
    },
];

impl Extended {
    /// The indicator of a name.
    pub fn find(name: &str) -> Option<&'static Self> {
        EXTENDED.iter().find(|e| e.name == name)
    }

    /// One value for each bar; `None` before the window is full.
    pub fn compute(&self, bars: &[Bar]) -> Vec<Option<f64>> {
        let mut values = vec![None; bars.len()];
        let Some(end) = bars.len().checked_sub(1) else { return values };
        let column = |part: fn(&Bar) -> f64| bars.iter().map(part).collect();
        let columns = Columns {
            open: column(|b| b.open),
            high: column(|b| b.high),
            low: column(|b| b.low),
            close: column(|b| b.close),
            volume: column(|b| b.volume),
        };
        let mut out = vec![0.0; bars.len()];
        // The periods above are within the library's bounds, and the columns have one length.
        if let Ok(range) = (self.compute)(&Core::new(), &columns, end, &mut out) {
            for (slot, value) in values.iter_mut().skip(range.beg_idx).zip(&out[..range.count]) {
                *slot = value.is_finite().then_some(*value);
            }
        }
        values
    }
}
