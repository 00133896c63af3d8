//! Price and indicators as one SVG, from the tables and windows that the tools showed.
//!
//! Trading days stand side by side, so weekends leave no gap. Colors are names of the page's style, so the picture follows
//! light and dark.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{Shown, escape};

/// A day's prices.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bar {
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    volume: f64,
}

/// What can be drawn.
pub struct Series {
    days: BTreeMap<String, Bar>,
    lines: BTreeMap<String, BTreeMap<String, f64>>,
    /// The tools that gave it.
    pub tools: Vec<String>,
}

/// Lines over the price: name of the indicator, its words, its class.
const OVER: [(&str, &str, &str); 7] = [
    ("boll_ub", "upper band", "c-band"),
    ("boll_lb", "lower band", "c-band"),
    ("boll", "band middle", "c-mid"),
    ("close_10_ema", "10 EMA", "c-a"),
    ("close_50_sma", "50 SMA", "c-b"),
    ("close_200_sma", "200 SMA", "c-c"),
    ("vwma", "VWMA", "c-d"),
];

/// A panel below the price: title, its lines with their classes, marks across.
type Panel = (&'static str, &'static [(&'static str, &'static str)], &'static [f64]);

/// The panels below.
const BELOW: [Panel; 4] = [
    ("RSI", &[("rsi", "c-a")], &[30.0, 70.0]),
    ("MACD", &[("macd", "c-a"), ("macds", "c-c"), ("macdh", "c-b")], &[0.0]),
    ("ATR", &[("atr", "c-d")], &[]),
    ("MFI", &[("mfi", "c-b")], &[20.0, 80.0]),
];

const WIDTH: f64 = 960.0;
const LEFT: f64 = 8.0;
const RIGHT: f64 = 64.0;

impl Series {
    /// Reads prices and indicator windows from tools' answers; nothing without at least two days of prices.
    pub fn read(shown: &[Shown]) -> Option<Self> {
        let mut series = Self { days: BTreeMap::new(), lines: BTreeMap::new(), tools: Vec::new() };
        for answer in shown {
            let indicator = answer.arguments.get("indicator").and_then(|v| v.as_str());
            let used = match indicator {
                Some(name) => series.window(name, &answer.text),
                None => series.prices(&answer.text),
            };
            if used && !series.tools.contains(&answer.name) {
                series.tools.push(answer.name.clone());
            }
        }
        (series.days.len() > 1).then_some(series)
    }

    fn prices(&mut self, text: &str) -> bool {
        let mut columns: Option<[usize; 5]> = None;
        let mut used = false;
        for line in text.lines() {
            let cells: Vec<&str> = line.split(',').map(str::trim).collect();
            if cells.first().is_some_and(|c| c.eq_ignore_ascii_case("date")) {
                let at = |name: &str| cells.iter().position(|c| c.eq_ignore_ascii_case(name));
                columns = at("open")
                    .zip(at("high"))
                    .zip(at("low"))
                    .zip(at("close"))
                    .map(|(((o, h), l), c)| [o, h, l, c, at("volume").unwrap_or(usize::MAX)]);
                continue;
            }
            let Some(columns) = columns.filter(|_| is_day(cells[0])) else { continue };
            let number =
                |at: usize| cells.get(at).and_then(|c| c.parse::<f64>().ok()).filter(|n| n.is_finite());
            let prices = columns[..4].iter().map(|at| number(*at)).collect::<Option<Vec<f64>>>();
            let Some([open, high, low, close]) = prices.as_deref() else { continue };
            let bar = Bar {
                open: *open,
                high: *high,
                low: *low,
                close: *close,
                volume: number(columns[4]).unwrap_or(0.0),
            };
            self.days.insert(cells[0].to_owned(), bar);
            used = true;
        }
        used
    }

    fn window(&mut self, name: &str, text: &str) -> bool {
        let values = text.lines().filter_map(|line| {
            let (day, value) = line.split_once(": ")?;
            let value = value.trim().parse::<f64>().ok().filter(|n| n.is_finite())?;
            is_day(day).then(|| (day.to_owned(), value))
        });
        let line = self.lines.entry(name.to_owned()).or_default();
        let before = line.len();
        line.extend(values);
        line.len() > before
    }

    /// The picture, with a legend and a description for who cannot see it.
    pub fn svg(&self, ticker: &str, action: &str) -> String {
        let days: Vec<(&String, &Bar)> = self.days.iter().collect();
        let n = days.len();
        let step = (WIDTH - LEFT - RIGHT) / n as f64;
        let x = |i: usize| LEFT + step * (i as f64 + 0.5);
        let mut out = String::new();
        let over: Vec<_> = OVER.iter().filter(|(name, ..)| self.drawn(name) > 1).collect();
        let mut legend = String::from("<ul class=\"legend\">");
        for (_, words, class) in over.iter().filter(|(name, ..)| *name != "boll_lb") {
            let words = if *words == "upper band" { "Bollinger bands" } else { words };
            let _ = write!(legend, "<li><i class=\"{class}\"></i>{words}</li>");
        }
        legend.push_str(
            "<li><i class=\"k-up\"></i>closed higher</li><li><i class=\"k-down\"></i>closed lower</li></ul>",
        );

        let below: Vec<_> =
            BELOW.iter().filter(|(_, lines, _)| lines.iter().any(|(name, _)| self.drawn(name) > 1)).collect();
        let has_volume = days.iter().any(|(_, bar)| bar.volume > 0.0);
        let (price_top, price_h) = (16.0, 300.0);
        let mut top = price_top + price_h;
        let volume_top = top + 8.0;
        if has_volume {
            top = volume_top + 56.0;
        }
        let panel_h = 84.0;
        let height = top + below.len() as f64 * (panel_h + 22.0) + 30.0;

        // Bands far outside the prices may not squeeze the prices into a line.
        let (mut low, mut high) =
            days.iter().fold((f64::MAX, f64::MIN), |(l, h), (_, b)| (l.min(b.low), h.max(b.high)));
        let room = (high - low).max(high.abs() * 0.005) * 0.6;
        for value in over.iter().flat_map(|(name, ..)| self.values(name)) {
            if value >= low - room && value <= high + room {
                (low, high) = (low.min(value), high.max(value));
            }
        }
        let first = days.first().map_or("", |(day, _)| day.as_str());
        let last = days.last().map(|(day, bar)| (day.as_str(), bar.close)).unwrap_or_default();
        let label = format!(
            "Prices of {ticker} from {first} to {}: last close {}, lowest {}, highest {}; decision {action}",
            last.0,
            last.1,
            short(low),
            short(high)
        );
        let _ = writeln!(
            out,
            "{legend}<div class=\"wide\"><svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{}\">",
            escape(&label)
        );
        let scale = Scale::new(low, high, price_top, price_h);
        scale.grid(&mut out, last.1);
        for (i, (day, bar)) in days.iter().enumerate() {
            let class = if bar.close >= bar.open { "up" } else { "down" };
            let (a, b) = (scale.y(bar.open.max(bar.close)), scale.y(bar.open.min(bar.close)));
            let body = (step * 0.62).clamp(1.0, 14.0);
            let _ = write!(
                out,
                "<g class=\"{class}\"><title>{}: open {}, high {}, low {}, close {}, volume {}</title><path d=\"M{x:.1} {:.1}V{:.1}\"/><rect x=\"{:.1}\" y=\"{a:.1}\" width=\"{body:.1}\" height=\"{:.1}\"/></g>",
                escape(day),
                bar.open,
                bar.high,
                bar.low,
                bar.close,
                bar.volume,
                scale.y(bar.high),
                scale.y(bar.low),
                x(i) - body / 2.0,
                (b - a).max(1.0),
                x = x(i)
            );
        }
        for (name, _, class) in &over {
            self.line(&mut out, name, class, &scale, &days, &x);
        }
        let y = scale.y(last.1);
        let _ = writeln!(
            out,
            "<path class=\"last\" d=\"M{LEFT} {y:.1}H{:.1}\"/><g class=\"tag\"><rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"16\" rx=\"3\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
            WIDTH - RIGHT,
            WIDTH - RIGHT + 4.0,
            y - 8.0,
            RIGHT - 6.0,
            WIDTH - RIGHT + 9.0,
            y + 4.0,
            short(last.1)
        );
        if has_volume {
            let most = days.iter().map(|(_, bar)| bar.volume).fold(1.0, f64::max);
            for (i, (_, bar)) in days.iter().enumerate() {
                let h = bar.volume / most * 52.0;
                let body = (step * 0.62).clamp(1.0, 14.0);
                let _ = write!(
                    out,
                    "<rect class=\"vol\" x=\"{:.1}\" y=\"{:.1}\" width=\"{body:.1}\" height=\"{h:.1}\"/>",
                    x(i) - body / 2.0,
                    volume_top + 52.0 - h
                );
            }
            let _ = writeln!(
                out,
                "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">volume, most {}</text>",
                WIDTH - RIGHT - 4.0,
                volume_top - 6.0,
                compact(most)
            );
        }
        for (i, (title, lines, marks)) in below.iter().enumerate() {
            let panel_top = top + 22.0 + i as f64 * (panel_h + 22.0);
            let values: Vec<f64> = lines.iter().flat_map(|(name, _)| self.values(name)).collect();
            let (mut low, mut high) =
                values.iter().fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
            // A mark is drawn where it is near; the axis is not stretched to a far one.
            let room = (high - low).max(1e-9);
            let near: Vec<f64> =
                marks.iter().copied().filter(|m| *m >= low - room && *m <= high + room).collect();
            near.iter().for_each(|m| (low, high) = (low.min(*m), high.max(*m)));
            let scale = Scale::new(low, high, panel_top, panel_h);
            for mark in &near {
                let y = scale.y(*mark);
                let _ = write!(
                    out,
                    "<path class=\"mark\" d=\"M{LEFT} {y:.1}H{:.1}\"/><text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\">{mark}</text>",
                    WIDTH - RIGHT,
                    WIDTH - RIGHT + 9.0,
                    y + 4.0
                );
            }
            let mut said = Vec::new();
            for (name, class) in *lines {
                self.line(&mut out, name, class, &scale, &days, &x);
                if let Some((day, value)) = self.lines.get(*name).and_then(|l| l.iter().next_back()) {
                    let own = if lines.len() > 1 { format!("{name} ") } else { String::new() };
                    said.push(format!("{own}{} on {}", short(*value), escape(day)));
                }
            }
            let _ = writeln!(
                out,
                "<path class=\"rule\" d=\"M{LEFT} {:.1}H{:.1}\"/><text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{title}: {}</text>",
                panel_top - 16.0,
                WIDTH - RIGHT,
                WIDTH - RIGHT - 4.0,
                panel_top - 3.0,
                said.join(", ")
            );
        }
        // As many dates as fit without touching.
        let every = ((72.0 / step).ceil() as usize).max(1);
        // A date that would reach over the left edge is left out.
        for (i, (day, _)) in days.iter().enumerate().rev().step_by(every).filter(|(i, _)| x(*i) >= 34.0) {
            let _ = write!(
                out,
                "<text class=\"date\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x(i),
                height - 8.0,
                escape(day)
            );
        }
        out.push_str("</svg></div>\n");
        out
    }

    /// How many values of a line fall on drawn days.
    fn drawn(&self, name: &str) -> usize {
        self.lines.get(name).map_or(0, |line| line.keys().filter(|day| self.days.contains_key(*day)).count())
    }

    fn values(&self, name: &str) -> Vec<f64> {
        let line = self.lines.get(name).into_iter().flatten();
        line.filter(|(day, _)| self.days.contains_key(*day)).map(|(_, value)| *value).collect()
    }

    fn line(
        &self,
        out: &mut String,
        name: &str,
        class: &str,
        scale: &Scale,
        days: &[(&String, &Bar)],
        x: &dyn Fn(usize) -> f64,
    ) {
        let Some(line) = self.lines.get(name) else { return };
        let mut path = String::new();
        let mut pen = 'M';
        for (i, (day, _)) in days.iter().enumerate() {
            match line.get(*day) {
                Some(value) => {
                    let _ = write!(
                        path,
                        "{pen}{:.1} {:.1}",
                        x(i),
                        scale.y(*value).clamp(scale.top - 2.0, scale.top + scale.height + 2.0)
                    );
                    pen = 'L';
                }
                None => pen = 'M',
            }
        }
        let _ = writeln!(out, "<path class=\"line {class}\" d=\"{path}\"/>");
    }

    /// The prices as a table, for who wants the numbers.
    pub fn table(&self) -> String {
        let mut names: Vec<&String> = self.lines.keys().filter(|name| self.drawn(name) > 0).collect();
        names.sort();
        let mut out = String::from(
            "<details class=\"data\"><summary>The numbers behind the chart</summary>\n<div class=\"scroll\"><table><thead><tr><th>day</th><th>open</th><th>high</th><th>low</th><th>close</th><th>volume</th>",
        );
        names.iter().for_each(|name| {
            let _ = write!(out, "<th>{}</th>", escape(name));
        });
        out.push_str("</tr></thead><tbody>\n");
        for (day, bar) in self.days.iter().rev() {
            let _ = write!(
                out,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
                escape(day),
                bar.open,
                bar.high,
                bar.low,
                bar.close,
                bar.volume
            );
            for name in &names {
                let value = self.lines[*name].get(day).map(ToString::to_string).unwrap_or_default();
                let _ = write!(out, "<td>{value}</td>");
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody></table></div></details>\n");
        out
    }
}

fn is_day(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

/// A value as an axis shows it.
fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 1000.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.2}"),
        _ => format!("{value:.4}").trim_end_matches('0').trim_end_matches('.').to_owned(),
    }
}

/// A large count in thousands or millions.
fn compact(value: f64) -> String {
    match value {
        v if v >= 1e9 => format!("{:.1} bn", v / 1e9),
        v if v >= 1e6 => format!("{:.1} m", v / 1e6),
        v if v >= 1e3 => format!("{:.0} k", v / 1e3),
        v => format!("{v:.0}"),
    }
}

/// Values to heights.
struct Scale {
    low: f64,
    high: f64,
    top: f64,
    height: f64,
}

impl Scale {
    fn new(low: f64, high: f64, top: f64, height: f64) -> Self {
        let room = ((high - low) * 0.05).max(high.abs() * 1e-6).max(1e-9);
        Self { low: low - room, high: high + room, top, height }
    }

    fn y(&self, value: f64) -> f64 {
        self.top + (self.high - value) / (self.high - self.low) * self.height
    }

    /// Lines at round values with their numbers.
    ///
    /// A number that would touch the tag of the value `tagged` is left out.
    fn grid(&self, out: &mut String, tagged: f64) {
        let rough = (self.high - self.low) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .into_iter()
            .map(|m| m * power)
            .find(|s| *s >= rough)
            .unwrap_or(power * 10.0);
        let mut value = (self.low / step).ceil() * step;
        while value <= self.high && step > 0.0 {
            let y = self.y(value);
            let _ = write!(out, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{:.1}\"/>", WIDTH - RIGHT);
            if (y - self.y(tagged)).abs() > 15.0 {
                let x = WIDTH - RIGHT + 9.0;
                let _ = write!(
                    out,
                    "<text class=\"axis\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                    y + 4.0,
                    short(value)
                );
            }
            value += step;
        }
    }
}
