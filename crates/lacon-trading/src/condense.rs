//! Tool results for a prompt: prices and indicators as one table by date, empty days left out, links by their label.
//!
//! Every value stays as it was written. What is left out carries nothing about the stock: days without trading,
//! columns of zeros, the fixed description of an indicator, the address behind a link. Each is counted in the
//! [`Receipt`], with the addresses, so that a reader can get them back. Where a text is not understood it is passed on
//! as it is.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::state::ToolResult;

/// What was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// Lines for days without trading.
    pub empty_days: usize,
    /// Columns that held nothing but zero.
    pub zero_columns: Vec<String>,
    /// Descriptions of indicators.
    pub descriptions: usize,
    /// Results that were equal to an earlier one.
    pub repeats: usize,
    /// Addresses of links.
    pub links: Vec<String>,
}

/// A result under its heading, as it came.
pub fn plain(results: &[ToolResult]) -> String {
    results
        .iter()
        .map(|r| format!("### {}\n{}\n", heading(r), r.text.trim_end()))
        .collect::<Vec<_>>()
        .join("\n")
}

fn heading(result: &ToolResult) -> String {
    let arguments: Vec<String> =
        result.arguments.values().map(|v| v.as_str().map_or_else(|| v.to_string(), Into::into)).collect();
    format!("{} {}", result.name, arguments.join(" ")).trim_end().to_owned()
}

/// All results of one analyst as one text.
pub fn condense(results: &[ToolResult]) -> (String, Receipt) {
    let mut receipt = Receipt::default();
    let mut table = Table::default();
    let mut rest: Vec<String> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for result in results {
        let text = result.text.trim();
        if seen.contains(&text) {
            receipt.repeats += 1;
            continue;
        }
        seen.push(text);
        let understood = table.add_prices(text, &mut receipt) || table.add_indicator(text, &mut receipt);
        if !understood {
            let text = shorten_links(text, &mut receipt);
            rest.push(format!("### {}\n{text}\n", result.name));
        }
    }
    let mut parts = Vec::new();
    if !table.columns.is_empty() {
        parts.push(format!("### prices and indicators by trading day\n{}", table.write()));
    }
    parts.extend(rest);
    (parts.join("\n"), receipt)
}

/// Cells by date and column, as they were written.
#[derive(Default)]
struct Table<'a> {
    columns: Vec<String>,
    rows: BTreeMap<&'a str, BTreeMap<usize, &'a str>>,
}

impl<'a> Table<'a> {
    fn column(&mut self, name: &str) -> usize {
        self.columns.iter().position(|c| c == name).unwrap_or_else(|| {
            self.columns.push(name.to_owned());
            self.columns.len() - 1
        })
    }

    /// Comment lines, a header that begins with `Date,`, rows that begin with a date.
    fn add_prices(&mut self, text: &'a str, receipt: &mut Receipt) -> bool {
        let mut lines = text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#'));
        let Some(header) = lines.next().filter(|l| l.starts_with("Date,")) else { return false };
        let header: Vec<&str> = header.split(',').map(str::trim).collect();
        let rows: Vec<Vec<&str>> = lines.map(|l| l.split(',').map(str::trim).collect()).collect();
        if rows.iter().any(|r| r.len() != header.len() || !is_date(r[0])) {
            return false;
        }
        for (i, name) in header.iter().enumerate().skip(1) {
            let all_zero = rows.iter().all(|r| r[i].parse::<f64>().is_ok_and(|v| v == 0.0));
            if all_zero && !matches!(*name, "Open" | "High" | "Low" | "Close" | "Volume") {
                receipt.zero_columns.push((*name).to_owned());
                continue;
            }
            let column = self.column(name);
            for row in &rows {
                self.rows.entry(row[0]).or_default().insert(column, row[i]);
            }
        }
        true
    }

    /// A heading `## name …`, lines `date: value`, a closing description.
    fn add_indicator(&mut self, text: &'a str, receipt: &mut Receipt) -> bool {
        let mut lines = text.lines().filter(|l| !l.trim().is_empty());
        let name = lines.next().and_then(|l| l.strip_prefix("## ")).and_then(|l| l.split_whitespace().next());
        let Some(name) = name else { return false };
        let mut values = Vec::new();
        let mut empty = 0;
        let mut descriptions = 0;
        for line in lines {
            match line.split_once(": ") {
                Some((date, value)) if is_date(date) => match value.parse::<f64>() {
                    Ok(_) => values.push((date, value)),
                    Err(_) if value.starts_with("N/A") => empty += 1,
                    Err(_) => return false,
                },
                _ if descriptions == 0 && !values.is_empty() => descriptions += 1,
                _ => return false,
            }
        }
        if values.is_empty() {
            return false;
        }
        receipt.empty_days += empty;
        receipt.descriptions += descriptions;
        let column = self.column(name);
        for (date, value) in values {
            self.rows.entry(date).or_default().insert(column, value);
        }
        true
    }

    fn write(&self) -> String {
        let mut text = format!("Date,{}\n", self.columns.join(","));
        for (date, cells) in &self.rows {
            text.push_str(date);
            for i in 0..self.columns.len() {
                text.push(',');
                text.push_str(cells.get(&i).copied().unwrap_or(""));
            }
            text.push('\n');
        }
        text
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() })
}

/// `[label](address)` becomes `label`; a link without a label, or an unclosed one, stays.
fn shorten_links(text: &str, receipt: &mut Receipt) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(middle) = rest.find("](http") {
        let (before, after) = rest.split_at(middle);
        let open = before.rfind('[');
        let close = after.find(')');
        match (open, close) {
            (Some(open), Some(close)) if open + 1 < middle && !before[open..].contains('\n') => {
                out.push_str(&before[..open]);
                out.push_str(&before[open + 1..]);
                receipt.links.push(after[2..close].to_owned());
                rest = &after[close + 1..];
            }
            _ => {
                out.push_str(before);
                out.push_str("](http");
                rest = &after[6..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(name: &str, text: &str) -> ToolResult {
        ToolResult {
            name: name.into(),
            arguments: serde_json::Map::new(),
            text: text.into(),
            unavailable: false,
        }
    }

    #[test]
    fn prices_and_indicators_become_one_table() {
        let prices = "# Stock data\n# Total records: 2\n\nDate,Open,Close,Dividends\n2025-07-28,1.5,2.25,0.0\n2025-07-29,2,3,0.0\n";
        let rsi = "## rsi values from 2025-07-27 to 2025-07-29:\n\n2025-07-29: 58.26615204485353\n2025-07-28: 37.38\n2025-07-27: N/A: Not a trading day\n\n\nRSI: Measures momentum.";
        let (text, receipt) = condense(&[result("p", prices), result("i", rsi), result("i", rsi)]);
        assert_eq!(
            text,
            "### prices and indicators by trading day\nDate,Open,Close,rsi\n2025-07-28,1.5,2.25,37.38\n2025-07-29,2,3,58.26615204485353\n"
        );
        assert_eq!(
            receipt,
            Receipt {
                empty_days: 1,
                zero_columns: vec!["Dividends".into()],
                descriptions: 1,
                repeats: 1,
                links: vec![]
            }
        );
    }

    #[test]
    fn links_keep_their_label_and_the_receipt_their_address() {
        let (text, receipt) =
            condense(&[result("n", "Up 3 % ([reuters.com](https://reuters.com/x?a=1)). [broken](http")]);
        assert_eq!(text, "### n\nUp 3 % (reuters.com). [broken](http\n");
        assert_eq!(receipt.links, ["https://reuters.com/x?a=1"]);
    }

    #[test]
    fn what_is_not_understood_is_passed_on() {
        for odd in ["## rsi\n2025-07-29: high\n", "Date,Open\n2025-07-28,1,2\n", "no data: x", "{\"a\": 1}"] {
            let (text, _) = condense(&[result("t", odd)]);
            assert_eq!(text, format!("### t\n{}\n", odd.trim()));
        }
    }
}
