//! Confidence interval of a difference of means: Welch's, for unequal variances.

use serde::Serialize;

/// A difference with its interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// How it was made.
    pub method: &'static str,
    /// Mean of B less mean of A.
    pub difference: f64,
    /// Lower end at 95 %.
    pub low: f64,
    /// Upper end at 95 %.
    pub high: f64,
    /// Degrees of freedom.
    pub degrees: f64,
    /// Whether zero lies outside.
    pub significant: bool,
}

/// Welch's interval at 95 %; `None` with less than two values a side.
pub fn welch(a: &[f64], b: &[f64]) -> Option<Interval> {
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let share = |v: &[f64]| {
        let m = mean(v);
        v.iter().map(|x| (x - m).powi(2)).sum::<f64>() / (v.len() - 1) as f64 / v.len() as f64
    };
    let (va, vb) = (share(a), share(b));
    let difference = mean(b) - mean(a);
    let spread = va + vb;
    let degrees = if spread > 0.0 {
        spread.powi(2) / (va.powi(2) / (a.len() - 1) as f64 + vb.powi(2) / (b.len() - 1) as f64)
    } else {
        (a.len() + b.len() - 2) as f64
    };
    let half = t_quantile(0.975, degrees) * spread.sqrt();
    let (low, high) = (difference - half, difference + half);
    Some(Interval {
        method: "Welch's t, 95 %",
        difference,
        low,
        high,
        degrees,
        significant: low > 0.0 || high < 0.0,
    })
}

/// The quantile of Student's t, by halving on its distribution function.
fn t_quantile(p: f64, degrees: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1e4);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if t_below(middle, degrees) < p { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The share of Student's t below a positive value, by Simpson's rule on the density over an angle.
///
/// With x = sqrt(d) tan(a) the density becomes cos(a)^(d-1), smooth on a bounded range.
fn t_below(x: f64, degrees: f64) -> f64 {
    let integral = |to: f64| {
        let n = 400;
        let h = to / f64::from(n);
        let f = |a: f64| a.cos().max(0.0).powf(degrees - 1.0);
        let inner: f64 = (1..n).map(|i| f(h * f64::from(i)) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
        h / 3.0 * (f(0.0) + inner + f(to))
    };
    let angle = (x / degrees.sqrt()).atan();
    0.5 + 0.5 * integral(angle) / integral(std::f64::consts::FRAC_PI_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (degrees, expected) in [(2.0, 4.303), (4.0, 2.776), (10.0, 2.228), (30.0, 2.042), (1000.0, 1.962)]
        {
            assert!(
                (t_quantile(0.975, degrees) - expected).abs() < 2e-3,
                "{degrees}: {}",
                t_quantile(0.975, degrees)
            );
        }
    }

    #[test]
    fn the_interval_of_a_textbook_pair() {
        let found =
            welch(&[27.5, 21.0, 19.0, 23.6, 17.0, 17.9], &[27.1, 22.0, 20.8, 23.4, 23.4, 23.5]).unwrap();
        assert!((found.difference - 2.366_666).abs() < 1e-3 && !found.significant);
        assert!(found.low < 0.0 && found.high > 4.0);
        assert!(welch(&[1.0], &[2.0, 3.0]).is_none());
        assert!(welch(&[1.0, 1.0], &[2.0, 2.0]).unwrap().significant);
    }
}
