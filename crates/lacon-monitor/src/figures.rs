//! The figures of a text: value, unit, the words and days beside each.
//!
//! One reader for every page and grade that says where a figure comes from. In a table a figure is a cell: its words are those
//! of its column and of its row's first cell, its day is the row's.

use std::ops::Range;

/// Most words that are kept beside a figure.
const MOST_WORDS: usize = 16;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nothing is said.
    Plain,
    /// Per cent.
    Percent,
    /// A currency.
    Money,
    /// "35x".
    Times,
}

/// A figure in a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Where its digits stand.
    pub range: Range<usize>,
    /// Where its unit ends.
    pub unit_end: usize,
    /// As it is written: 1.2 of "1.2 billion".
    pub written: f64,
    /// What its unit multiplies it by: 1e9 of "1.2 billion".
    pub scale: f64,
    /// Digits behind the point.
    pub decimals: u32,
    /// Digits without those zeros that only hold a place.
    pub digits: u32,
    /// Its unit.
    pub unit: Unit,
    /// The words beside it, folded to compare them.
    pub words: Vec<Word>,
    /// Days in its row or sentence, as 20250730.
    pub days: Vec<u32>,
    /// The sentence or row that holds it, by number.
    pub sentence: usize,
}

/// The first four letters of a word in lower case, as one number: "closed" is "close".
pub type Word = u32;

impl Figure {
    /// With its scale.
    pub fn value(&self) -> f64 {
        self.written * self.scale
    }

    /// Half of its last digit's worth, with its scale.
    pub fn half(&self) -> f64 {
        0.5 * 10f64.powi(-(self.decimals as i32)) * self.scale
    }

    /// Whether it says enough to be looked up: a whole number below 100 is a day, a count or a window and would be found
    /// anywhere by chance, a year is a year.
    pub fn is_checked(&self) -> bool {
        let is_year =
            self.decimals == 0 && self.unit == Unit::Plain && (1900.0..2100.0).contains(&self.written);
        (self.decimals > 0 || self.written >= 100.0 || self.scale > 1.0) && !is_year
    }
}

/// The figures of a text in their order. Linear in the text.
pub fn figures(text: &str) -> Vec<Figure> {
    let mut found = Vec::new();
    let mut columns: Vec<Vec<Word>> = Vec::new();
    let mut heading: Vec<Word> = Vec::new();
    let (mut offset, mut sentence) = (0, 0);
    for line in text.split_inclusive('\n') {
        let body = line.trim_end_matches(['\n', '\r']);
        let cells = cells(body);
        if cells.len() > 1 {
            let is_rule = body.bytes().all(|b| matches!(b, b'|' | b'-' | b':' | b' '));
            let has_figure = cells.iter().skip(1).any(|cell| !numerals(&body[cell.clone()]).is_empty());
            let mut days = days(body);
            days.dedup();
            if !is_rule && !has_figure && days.is_empty() {
                columns = cells.iter().map(|cell| words(&body[cell.clone()])).collect();
            }
            let row = cells.first().map(|cell| words(&body[cell.clone()])).unwrap_or_default();
            for (i, cell) in cells.iter().enumerate() {
                let mut beside = columns.get(i).cloned().unwrap_or_default();
                if i > 0 {
                    beside.extend(&row);
                }
                let own = &body[cell.clone()];
                for mut figure in in_prose(own, &days, sentence) {
                    figure.words.extend(beside.iter().chain(&heading));
                    push(&mut found, figure, offset + cell.start);
                }
            }
            sentence += 1;
        } else {
            if body.is_empty() {
                columns.clear();
            }
            if body.starts_with('#') {
                heading = words(body);
            }
            for part in sentences(body) {
                let own = &body[part.clone()];
                let mut of_line = days(own);
                if of_line.is_empty() {
                    of_line = days(body);
                }
                of_line.dedup();
                for mut figure in in_prose(own, &of_line, sentence) {
                    figure.words.extend(&heading);
                    push(&mut found, figure, offset + part.start);
                }
                sentence += 1;
            }
        }
        offset += line.len();
    }
    found
}

fn push(found: &mut Vec<Figure>, mut figure: Figure, by: usize) {
    figure.range = figure.range.start + by..figure.range.end + by;
    figure.unit_end += by;
    figure.words.truncate(2 * MOST_WORDS);
    found.push(figure);
}

/// The cells of a row: between bars or tabs, or between commas where nothing but values stands in the line.
fn cells(line: &str) -> Vec<Range<usize>> {
    let trimmed = line.trim();
    let by = if trimmed.starts_with('|') {
        '|'
    } else if line.contains('\t') {
        '\t'
    } else if trimmed.matches(',').count() >= 2 && !trimmed.contains(char::is_whitespace) {
        ','
    } else {
        return Vec::new();
    };
    let mut cells = Vec::new();
    let mut at = 0;
    for cell in line.split(by) {
        cells.push(at..at + cell.len());
        at += cell.len() + 1;
    }
    if by == '|' {
        // What stands before the first bar and behind the last one is no cell.
        cells.retain(|cell| !cell.is_empty());
    }
    cells
}

/// A line's sentences: a point ends one where a blank and no small letter follows.
fn sentences(line: &str) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    let mut start = 0;
    for (at, _) in line.match_indices(['.', ';', '!', '?']) {
        let rest = &line[at + 1..];
        let ends = rest.starts_with(' ') && !rest.trim_start().starts_with(char::is_lowercase);
        if ends || line[at..].starts_with(';') {
            all.push(start..at + 1);
            start = at + 1;
        }
    }
    all.push(start..line.len());
    all
}

/// The figures of a sentence or cell, each with the words around it.
fn in_prose(text: &str, days: &[u32], sentence: usize) -> Vec<Figure> {
    let found = numerals(text);
    let spans: Vec<Range<usize>> = found.iter().map(|numeral| numeral.range.clone()).collect();
    let figures = found.into_iter().enumerate().map(|(i, numeral)| {
        let Numeral { range, plain } = numeral;
        let (scale, unit, unit_end) = unit(text, &range);
        // The words between the figure before and this one, and a few behind it.
        let mut from = if i > 0 { spans[i - 1].end } else { 0 };
        let mut before = words(&text[from..range.start]);
        let mut j = i;
        while before.is_empty() && j > 0 {
            j -= 1;
            from = if j > 0 { spans[j - 1].end } else { 0 };
            before = words(&text[from..spans[j].start]);
        }
        let until = spans.get(i + 1).map_or(text.len(), |next| next.start);
        let mut beside: Vec<Word> = before.iter().rev().take(MOST_WORDS - 6).copied().collect();
        // What a comma parts from it is said of another.
        let behind = text[unit_end.min(until)..until].split([',', '(', ')']).next().unwrap_or_default();
        beside.extend(words(behind).iter().take(4));
        let decimals = plain.split_once('.').map_or(0, |(_, fraction)| fraction.len() as u32);
        let digits = plain.trim_start_matches(['0', '.']).bytes().filter(u8::is_ascii_digit).count() as u32;
        let written = plain.parse().unwrap_or(0.0);
        Figure {
            range,
            unit_end,
            written,
            scale,
            decimals,
            digits,
            unit,
            words: beside,
            days: days.to_vec(),
            sentence,
        }
    });
    figures.collect()
}

/// Digits that are a number, and the same without commas.
struct Numeral {
    range: Range<usize>,
    plain: String,
}

/// The numbers of a text: days, times, addresses and the digits of names are none.
fn numerals(text: &str) -> Vec<Numeral> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut found = Vec::new();
    let mut i = 0;
    while i < bytes.len() {
        if !digit(i) {
            i += 1;
            continue;
        }
        let of_name = i > 0 && (bytes[i - 1].is_ascii_alphabetic() || bytes[i - 1] == b'_');
        if of_name {
            while digit(i) || bytes.get(i).is_some_and(|b| *b == b'_') {
                i += 1;
            }
            continue;
        }
        let start = i;
        let mut fraction = false;
        while i < bytes.len() {
            let three = digit(i + 1) && digit(i + 2) && digit(i + 3) && !digit(i + 4);
            match bytes[i] {
                b'0'..=b'9' => i += 1,
                // A comma divides thousands where three digits and no more follow.
                b',' if !fraction && three && (i - start <= 3 || bytes[start..i].contains(&b',')) => i += 1,
                b'.' if !fraction && digit(i + 1) => {
                    fraction = true;
                    i += 1;
                }
                _ => break,
            }
        }
        let dashed = |at: usize| bytes.get(at).is_some_and(|b| matches!(b, b'-' | b':'));
        let is_day = dashed(i) && digit(i + 1) || start > 1 && dashed(start - 1) && digit(start - 2);
        let word = text[..start].rfind(char::is_whitespace).map_or(0, |space| space + 1);
        if !is_day && !text[word..start].contains("://") {
            let plain = text[start..i].chars().filter(|c| *c != ',').collect();
            found.push(Numeral { range: start..i, plain });
        }
    }
    found
}

/// What a figure is multiplied by, its unit, and where that ends.
fn unit(text: &str, range: &Range<usize>) -> (f64, Unit, usize) {
    let before = text[..range.start].trim_end().chars().next_back();
    let money = before.is_some_and(|c| "$€£¥".contains(c));
    let behind = &text[range.end..];
    let rest = behind.strip_prefix([' ', '\u{a0}', '\u{202f}']).unwrap_or(behind);
    let space = behind.len() - rest.len();
    let length = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let word = rest[..length].to_lowercase();
    let scale = match word.as_str() {
        "trillion" | "tn" | "t" => 1e12,
        "billion" | "bn" | "b" => 1e9,
        "million" | "mn" | "mm" | "m" => 1e6,
        "thousand" | "k" => 1e3,
        _ => 1.0,
    };
    let end = |long: usize| range.end + space + long;
    if scale > 1.0 {
        let rest = rest[length..].trim_start();
        let money = money || rest.starts_with(['$', '€', '£']) || is_currency(rest);
        return (scale, if money { Unit::Money } else { Unit::Plain }, end(length));
    }
    if rest.starts_with('%') {
        return (1.0, Unit::Percent, end(1));
    }
    if word == "percent" || word == "pct" {
        return (1.0, Unit::Percent, end(length));
    }
    if let Some(cent) = rest.strip_prefix("per cent") {
        return (1.0, Unit::Percent, range.end + behind.len() - cent.len());
    }
    if let Some(sign) = rest.chars().next().filter(|c| "$€£¥".contains(*c)) {
        return (1.0, Unit::Money, end(sign.len_utf8()));
    }
    if is_currency(rest) {
        return (1.0, Unit::Money, end(length));
    }
    if space == 0 && (word == "x" || rest.starts_with('×')) {
        return (1.0, Unit::Times, end(rest.chars().next().map_or(0, char::len_utf8)));
    }
    (1.0, if money { Unit::Money } else { Unit::Plain }, range.end)
}

fn is_currency(text: &str) -> bool {
    let word = text.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    ["usd", "eur", "gbp", "jpy", "dollars", "dollar", "euros"]
        .iter()
        .any(|unit| word.eq_ignore_ascii_case(unit))
}

/// Words that say nothing of a figure.
const EMPTY: [&str; 36] = [
    "the", "and", "from", "with", "that", "this", "for", "was", "were", "are", "its", "has", "have", "had",
    "than", "over", "about", "below", "above", "into", "near", "last", "first", "per", "cent", "which",
    "while", "after", "before", "between", "both", "but", "not", "only", "more", "less",
];

/// The words of a text, folded; those that say nothing are left out.
pub fn words(text: &str) -> Vec<Word> {
    let mut all = Vec::new();
    for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| word.len() >= 2) {
        if EMPTY.iter().any(|empty| word.eq_ignore_ascii_case(empty)) {
            continue;
        }
        let mut folded: Word = 0;
        for letter in word.chars().take(4).flat_map(char::to_lowercase) {
            folded = folded.rotate_left(8) ^ u32::from(letter);
        }
        if !all.contains(&folded) {
            all.push(folded);
        }
        if all.len() == MOST_WORDS {
            break;
        }
    }
    all
}

/// The days that a text names as yyyy-mm-dd.
fn days(text: &str) -> Vec<u32> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    for (i, window) in bytes.windows(10).enumerate() {
        let shape = window.iter().enumerate().all(|(at, b)| match at {
            4 | 7 => *b == b'-',
            _ => b.is_ascii_digit(),
        });
        if shape && (i == 0 || !bytes[i - 1].is_ascii_digit()) {
            let of = |range: Range<usize>| window[range].iter().fold(0, |n, b| n * 10 + u32::from(b - b'0'));
            found.push(of(0..4) * 10_000 + of(5..7) * 100 + of(8..10));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_with_their_units() {
        let check = |text: &str, expected: &[(&str, f64, Unit)]| {
            let found: Vec<_> = figures(text)
                .into_iter()
                .map(|f| (text[f.range.start..f.unit_end].to_owned(), f.value(), f.unit))
                .collect();
            let expected: Vec<_> =
                expected.iter().map(|(text, value, unit)| ((*text).to_owned(), *value, *unit)).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("close 181.640 on 2025-07-30 at 10:15", &[("181.640", 181.64, Unit::Plain)]);
        check("$1,234.5 and 0.05 %", &[("1,234.5", 1234.5, Unit::Money), ("0.05 %", 0.05, Unit::Percent)]);
        check(
            "1.2B USD, 35x, 3 per cent",
            &[("1.2B", 1.2e9, Unit::Money), ("35x", 35.0, Unit::Times), ("3 per cent", 3.0, Unit::Percent)],
        );
        check("ROLE2 close_50_sma: 7 https://a.b/77", &[("7", 7.0, Unit::Plain)]);
        check("5 mm, 12 USD", &[("5 mm", 5e6, Unit::Plain), ("12 USD", 12.0, Unit::Money)]);
        check("", &[]);
    }

    #[test]
    fn a_cell_has_the_words_of_its_column_and_the_day_of_its_row() {
        let text = "Date,Open,Close\n2025-07-29,190.5,181.64\n";
        let found = figures(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].words, words("Close"));
        assert_eq!(found[1].days, [20_250_729]);
        let table = figures("| Firm | Target |\n|---|---|\n| Mizuho | 85 USD |\n");
        assert_eq!(table[0].words, [words("Target"), words("Mizuho")].concat());
        assert_eq!(table[0].unit, Unit::Money);
    }

    #[test]
    fn days_belong_to_their_sentence() {
        let found = figures("It was 5.5 on 2025-07-01. Later 6.5 on 2025-07-02.");
        assert_eq!((found[0].days.clone(), found[1].days.clone()), (vec![20_250_701], vec![20_250_702]));
        assert!(words("The closing price").contains(&words("closed")[0]));
    }
}
