//! The statistics of paired answers: exact where that is possible, and otherwise the score methods of the field.
//!
//! Both arms answer the same questions, so only the questions count that one arm got right and the other did not. The
//! interval for the difference is Tango's (1998), which inverts a score test and holds its level with few pairs.

/// Questions that both arms answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pairs {
    /// All of them.
    pub n: u32,
    /// Right in the original alone.
    pub lost: u32,
    /// Right in the form alone.
    pub won: u32,
}

/// The quantile of the normal distribution for the chance of a false verdict on one side, 5 %.
pub const Z_ERROR: f64 = 1.644_853_626_951_472_2;
/// The one for 95 % on both sides.
pub const Z_95: f64 = 1.959_963_984_540_054;
/// The one for the chance of 80 % to reach a verdict where there is no difference.
const Z_POWER: f64 = 0.841_621_233_572_914_3;

/// Wilson's interval for a share; the whole range where nothing was counted.
pub fn wilson(right: u32, n: u32, z: f64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (f64::from(n), f64::from(right.min(n)) / f64::from(n));
    let middle = p + z * z / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let below = 1.0 + z * z / n;
    // The share lies in its interval, also where rounding would put it beside an end.
    (((middle - half) / below).max(0.0).min(p), ((middle + half) / below).min(1.0).max(p))
}

/// Newcombe's interval for the difference of two shares that are not paired: first minus second, with its ends.
pub fn newcombe(first: (u32, u32), second: (u32, u32), z: f64) -> (f64, f64, f64) {
    if first.1 == 0 || second.1 == 0 {
        return (0.0, -1.0, 1.0);
    }
    let share = |(right, n): (u32, u32)| f64::from(right.min(n)) / f64::from(n);
    let (p, q) = (share(first), share(second));
    let ((p_low, p_high), (q_low, q_high)) = (wilson(first.0, first.1, z), wilson(second.0, second.1, z));
    let below = ((p - p_low).powi(2) + (q_high - q).powi(2)).sqrt();
    let above = ((p_high - p).powi(2) + (q - q_low).powi(2)).sqrt();
    (p - q, (p - q - below).max(-1.0), (p - q + above).min(1.0))
}

impl Pairs {
    /// Accuracy in the form minus accuracy in the original.
    pub fn difference(self) -> f64 {
        if self.n == 0 { 0.0 } else { (f64::from(self.won) - f64::from(self.lost)) / f64::from(self.n) }
    }

    /// The chance that a question is lost, as likely as can be where the difference is `delta`.
    pub fn likeliest_lost(self, delta: f64) -> f64 {
        let n = f64::from(self.n);
        likeliest_lost(f64::from(self.lost) / n, f64::from(self.won) / n, delta)
    }

    /// How many standard errors the counted difference lies above `delta`.
    pub fn score(self, delta: f64) -> f64 {
        if self.n == 0 {
            return 0.0;
        }
        let n = f64::from(self.n);
        let variance = n * (2.0 * self.likeliest_lost(delta) + delta * (1.0 - delta));
        let above = n * (self.difference() - delta);
        if variance > 0.0 {
            above / variance.sqrt()
        } else if above == 0.0 {
            0.0
        } else {
            above.signum() * f64::INFINITY
        }
    }

    /// The differences that the score test does not rule out at `z`.
    pub fn interval(self, z: f64) -> (f64, f64) {
        if self.n == 0 {
            return (-1.0, 1.0);
        }
        let d = self.difference();
        // The score falls as delta grows: 60 halvings find where it crosses z to the last digit.
        let crossing = |mut low: f64, mut high: f64, z: f64| {
            for _ in 0..60 {
                let middle = f64::midpoint(low, high);
                if self.score(middle) > z { low = middle } else { high = middle }
            }
            f64::midpoint(low, high)
        };
        (crossing(-1.0, d, z), crossing(d, 1.0, -z))
    }

    /// Share of questions that only one of the arms got right.
    pub fn discordant(self) -> f64 {
        if self.n == 0 { 0.0 } else { f64::from(self.won + self.lost) / f64::from(self.n) }
    }
}

/// The closed form of Tango for shares of lost and won questions.
fn likeliest_lost(lost: f64, won: f64, delta: f64) -> f64 {
    let b = -won - lost + (2.0 - won + lost) * delta;
    let c = -lost * delta * (1.0 - delta);
    let q = ((b * b - 8.0 * c).max(0.0).sqrt() - b) / 4.0;
    q.clamp((-delta).max(0.0), ((1.0 - delta) / 2.0).max(0.0))
}

/// Questions for a verdict in four of five experiments where the form costs nothing.
///
/// `discordant` is the share of questions that only one arm gets right. Even with none the interval needs some width.
pub fn needed(margin: f64, discordant: f64) -> u32 {
    let each = discordant / 2.0;
    let at_margin = 2.0 * likeliest_lost(each, each, -margin) - margin * (1.0 + margin);
    let width = Z_ERROR * at_margin.max(0.0).sqrt() + Z_POWER * discordant.sqrt();
    (width / margin).powi(2).ceil().clamp(1.0, 1e9) as u32
}
