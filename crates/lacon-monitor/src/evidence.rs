//! Which text shows a figure: the one answer to "where does this figure come from", for pages, grades and traces.
//!
//! A figure is shown where it stands, or where a value stands that rounds to it and has its unit and one of its words. With
//! hundreds of values in the tables of a run an invented figure would meet one by chance, so that a meeting counts only where
//! chance makes it rarely: the values of that kind around the figure say how often.

use crate::figures::{Figure, Unit, Word, figures};

/// How often chance may make what counts as found: a value that rounds to the figure, and the figure itself, without and
/// with one of its words beside it.
const ROUNDED: f64 = 0.02;
const EXACT: f64 = 0.01;
const EXACT_WITH_WORD: f64 = 0.06;
/// So many digits are no chance.
const MANY_DIGITS: u32 = 6;
/// Most values that are kept of all texts, most figures of a text that are looked up for its share, and most values that are
/// looked at to say how often chance would meet one.
const MOST: usize = 200_000;
const MOST_FIGURES: usize = 2_000;
const MOST_ALIKE: usize = 10_000;

/// A value that a text shows.
#[derive(Clone, Debug)]
struct Cell {
    value: f64,
    unit: Unit,
    words: Vec<Word>,
    /// A bit for each word: texts without one in common share no word.
    bits: u64,
    day: Option<u32>,
    source: usize,
}

fn bits(words: &[Word]) -> u64 {
    words.iter().fold(0, |bits, word| bits | 1 << (word.wrapping_mul(0x9E37_79B9) >> 26))
}

/// Where a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The text that shows it, by its number.
    Shown(usize),
    /// The change between two figures beside it that are shown, or the share of one in the other.
    Computed,
    /// Nothing shows it.
    Nowhere,
    /// It says too little to be looked up, or the instruction itself names it.
    Unchecked,
}

/// How many figures come from where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// A text shows them.
    pub shown: usize,
    /// They are a change between two that are shown, or the share of one in the other.
    pub computed: usize,
    /// Nothing shows them.
    pub nowhere: usize,
    /// They say too little.
    pub unchecked: usize,
}

impl Counted {
    /// Counts one more.
    pub fn add(&mut self, found: Found) {
        *match found {
            Found::Shown(_) => &mut self.shown,
            Found::Computed => &mut self.computed,
            Found::Nowhere => &mut self.nowhere,
            Found::Unchecked => &mut self.unchecked,
        } += 1;
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self {
            shown: self.shown + other.shown,
            computed: self.computed + other.computed,
            nowhere: self.nowhere + other.nowhere,
            unchecked: self.unchecked + other.unchecked,
        }
    }

    /// The share of those that were checked which are shown or computed; 1 when none was.
    pub fn share(self) -> f64 {
        match self.shown + self.computed + self.nowhere {
            0 => 1.0,
            checked => (self.shown + self.computed) as f64 / checked as f64,
        }
    }
}

/// Texts by the figures in them.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Sorted by value once `seal` has run.
    cells: Vec<Cell>,
    /// Figures of an instruction: an answer that repeats one states nothing.
    wording: Vec<f64>,
    sealed: bool,
}

impl Evidence {
    /// Evidence of some texts, each numbered by its place, and of the wording of the instruction.
    pub fn of(texts: &[&str], wording: &str) -> Self {
        let mut evidence = Self::default();
        texts.iter().enumerate().for_each(|(i, text)| evidence.add(i, text));
        evidence.instruct(wording);
        evidence.seal();
        evidence
    }

    /// Adds what a text shows.
    pub fn add(&mut self, source: usize, text: &str) {
        let room = MOST.saturating_sub(self.cells.len());
        self.cells.extend(figures(text).into_iter().take(room).map(|figure| Cell {
            value: figure.value(),
            unit: figure.unit,
            day: figure.days.first().copied(),
            bits: bits(&figure.words),
            words: figure.words,
            source,
        }));
        self.sealed = false;
    }

    /// Figures of an instruction are no figures of an answer.
    pub fn instruct(&mut self, wording: &str) {
        self.wording.extend(figures(wording).iter().map(Figure::value));
    }

    /// To be called once everything is added.
    pub fn seal(&mut self) {
        self.cells.sort_by(|a, b| a.value.total_cmp(&b.value).then(a.source.cmp(&b.source)));
        self.sealed = true;
    }

    /// Whether it holds no value.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The figures of a text, each with where it comes from; texts for which `own` holds go before others.
    pub fn trace(&self, text: &str, own: impl Fn(usize) -> bool) -> Vec<(Figure, Found)> {
        self.trace_some(text, usize::MAX, own)
    }

    fn trace_some(&self, text: &str, most: usize, own: impl Fn(usize) -> bool) -> Vec<(Figure, Found)> {
        debug_assert!(self.sealed, "seal comes before trace");
        let mut all: Vec<(Figure, Found)> = figures(text)
            .into_iter()
            .take(most)
            .map(|figure| {
                let found = self.find(&figure, &own);
                (figure, found)
            })
            .collect();
        let beside = |at: usize| -> Vec<f64> {
            let sentence = all[at].0.sentence;
            let is_end = |(figure, found): &&(Figure, Found)| match found {
                Found::Shown(_) => true,
                // A small whole number may be one end of a change where an answer shows it.
                Found::Unchecked => self.shows(figure),
                _ => false,
            };
            let before = all[..at].iter().rev().take_while(|(f, _)| f.sentence + 1 >= sentence);
            let behind = all[at + 1..].iter().take_while(|(f, _)| f.sentence == sentence);
            let ends = before.filter(is_end).take(2).chain(behind.filter(is_end).take(2));
            ends.map(|(figure, _)| figure.value()).collect()
        };
        let is_computed = |at: &usize| all[*at].1 == Found::Nowhere && is_computed(&all[*at].0, &beside(*at));
        let computed: Vec<usize> = (0..all.len()).filter(is_computed).collect();
        computed.into_iter().for_each(|at| all[at].1 = Found::Computed);
        all
    }

    /// The share of the first 2,000 figures of a text that are shown or computed; 1 when none can be checked.
    pub fn share(&self, text: &str) -> f64 {
        let mut counted = Counted::default();
        self.trace_some(text, MOST_FIGURES, |_| false).iter().for_each(|(_, found)| counted.add(*found));
        counted.share()
    }

    /// Whether a value stands there just so, with one of its words.
    fn shows(&self, figure: &Figure) -> bool {
        let value = figure.value();
        let mut cells = self.between(value - 1e-9 * value, value + 1e-9 * value);
        cells.any(|cell| Tie::of(figure, cell, 1.0).is_some_and(|tie| tie.word))
    }

    fn find(&self, figure: &Figure, own: &impl Fn(usize) -> bool) -> Found {
        let value = figure.value();
        if !figure.is_checked() || self.wording.iter().any(|of| same(*of, value)) {
            return Found::Unchecked;
        }
        let as_share = (figure.unit == Unit::Percent).then_some(0.01);
        for by in std::iter::once(1.0).chain(as_share) {
            if let Some(source) = self.nearest(figure, by, own) {
                return Found::Shown(source);
            }
        }
        Found::Nowhere
    }

    /// The best of the values that are the figure times `by`, or round to it.
    fn nearest(&self, figure: &Figure, by: f64, own: &impl Fn(usize) -> bool) -> Option<usize> {
        let (value, half) = (figure.value() * by, figure.half() * by);
        let reach = half * (1.0 + 1e-9);
        let mut best: Option<(Rank, usize)> = None;
        for cell in self.between(value - reach, value + reach) {
            let Some(tie) = Tie::of(figure, cell, by) else { continue };
            let exact = same(cell.value, value);
            let allowed = match (exact, tie.word) {
                (true, true) => EXACT_WITH_WORD,
                (true, false) if by == 1.0 => EXACT,
                (false, true) if figure.digits >= 2 => ROUNDED,
                _ => continue,
            };
            let certain = exact && (figure.digits >= MANY_DIGITS || tie.word && tie.day == Some(true));
            if tie.day == Some(false) && !exact
                || !certain && self.chance(figure, tie, value, half, by) > allowed
            {
                continue;
            }
            let distance = (cell.value - value).abs();
            let rank = Rank { exact, own: own(cell.source), day: tie.day, word: tie.word, distance };
            if best.as_ref().is_none_or(|(other, _)| rank.beats(other)) {
                best = Some((rank, cell.source));
            }
        }
        best.map(|(_, source)| source)
    }

    /// How often a figure that is made up would meet a value of this kind: their number around it, by how near counts as met.
    fn chance(&self, figure: &Figure, tie: Tie, value: f64, half: f64, by: f64) -> f64 {
        // Around a small figure a quarter of it is less than its last digit's worth.
        let (low, high) = ((value * 0.8).min(value - 40.0 * half), (value * 1.25).max(value + 40.0 * half));
        let mut last = f64::NAN;
        let mut alike = 0_usize;
        for cell in self.between(low, high).take(MOST_ALIKE) {
            // The same value in several texts can be met once.
            if cell.value != last && Tie::of(figure, cell, by).is_some_and(|of| of.is_at_least(tie)) {
                alike += 1;
                last = cell.value;
            }
        }
        alike as f64 * 2.0 * half / (high - low).max(f64::MIN_POSITIVE)
    }

    fn between(&self, low: f64, high: f64) -> impl Iterator<Item = &Cell> {
        let from = self.cells.partition_point(|cell| cell.value < low);
        self.cells[from..].iter().take_while(move |cell| cell.value <= high)
    }
}

/// What a figure and a value have in common.
#[derive(Clone, Copy, Debug)]
struct Tie {
    word: bool,
    /// Whether the value's day is one that the figure's sentence names; nothing where either names none.
    day: Option<bool>,
}

impl Tie {
    /// `None` where the units differ.
    fn of(figure: &Figure, cell: &Cell, by: f64) -> Option<Self> {
        let fits = match (figure.unit, cell.unit) {
            (a, b) if a == b => by == 1.0,
            (Unit::Percent, Unit::Plain) | (_, Unit::Plain) => true,
            (Unit::Plain, _) => by == 1.0,
            _ => false,
        };
        let day = cell.day.filter(|_| !figure.days.is_empty()).map(|day| figure.days.contains(&day));
        let word =
            bits(&figure.words) & cell.bits != 0 && figure.words.iter().any(|word| cell.words.contains(word));
        fits.then_some(Self { word, day })
    }

    fn is_at_least(self, other: Self) -> bool {
        (self.word || !other.word) && (self.day == Some(true) || other.day != Some(true))
    }
}

struct Rank {
    exact: bool,
    own: bool,
    day: Option<bool>,
    word: bool,
    distance: f64,
}

impl Rank {
    fn beats(&self, other: &Self) -> bool {
        let key = |rank: &Self| (rank.exact, rank.own, rank.day == Some(true), rank.word);
        key(self) > key(other) || key(self) == key(other) && self.distance < other.distance
    }
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

/// Whether a percentage is the change between two of a few figures, or the share of one in the other.
fn is_computed(figure: &Figure, beside: &[f64]) -> bool {
    if figure.unit != Unit::Percent || figure.decimals == 0 {
        return false;
    }
    let reach = figure.half() * (1.0 + 1e-6);
    let is = |percent: f64| (percent - figure.value()).abs() <= reach;
    beside.iter().any(|a| {
        let others = beside.iter().filter(|b| **b != 0.0 && *b != a);
        others.into_iter().any(|b| is((a - b).abs() / b.abs() * 100.0) || is(a / b * 100.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICES: &str = "# ACME from 2025-07-01 to 2025-07-04\n\nDate,Open,High,Low,Close,Volume\n\
        2025-07-01,184.67,194,171.5,192.53,31252100\n2025-07-02,187.21,189,176,177.97,18546000\n\
        2025-07-03,182.17,192.5,181.39,188.77,17192000\n2025-07-04,193.75,208.6,186.6,207.46,31640800\n";

    fn found(evidence: &str, text: &str) -> Vec<Found> {
        Evidence::of(&[evidence], "").trace(text, |_| true).into_iter().map(|(_, found)| found).collect()
    }

    #[test]
    fn what_stands_there_and_what_it_rounds_to_is_found() {
        let text = "rsi 62.1834, revenue 1234567890, margin 0.2341, close 181.64, growth 3.0 %";
        let check = |figure: &str, expected: &[Found]| assert_eq!(found(text, figure), expected, "{figure}");
        let (shown, nowhere) = (Found::Shown(0), Found::Nowhere);
        check("RSI 62.18 or an RSI of 62.2", &[shown, shown]);
        check("RSI 62.19", &[nowhere]);
        check("revenue of 1.23 billion, revenue of 1235M", &[shown, shown]);
        check("a margin of 23.4 %", &[shown]);
        check("growth of 3.0 %", &[shown]);
        check("close 182, target 195.5", &[shown, nowhere]);
        // What a value rounds to has its word: this is no margin and no close.
        check("a yield of 23.4 %, debt of 182", &[nowhere, nowhere]);
        check("the RSI is 62.18 %", &[shown]);
        check("12 posts in 14 days of 2025", &[Found::Unchecked; 3]);
    }

    #[test]
    fn a_row_is_cells_and_a_day_is_a_row() {
        let check = |text: &str, expected: &[Found]| assert_eq!(found(PRICES, text), expected, "{text}");
        let (shown, nowhere) = (Found::Shown(0), Found::Nowhere);
        check("It closed at 192.53 on 2025-07-01.", &[shown]);
        check("The close of 177.97 rose to 207.46.", &[shown, shown]);
        check("On 2025-07-01 it closed at 192.5.", &[shown]);
        // The close of another day rounds to it.
        check("On 2025-07-02 it closed at 192.5.", &[nowhere]);
        check("The close fell 7.6 % from 192.53 to 177.97.", &[Found::Computed, shown, shown]);
        check(
            "The range of 18.25 on 2025-07-04 is small. It is 8.8 % of the close of 207.46.",
            &[nowhere, nowhere, shown],
        );
        check(
            "The close was 192.53 on 2025-07-01. It fell 7.6 % to 177.97.",
            &[shown, Found::Computed, shown],
        );
        check("The close fell 9.6 % from 192.53 to 177.97.", &[nowhere, shown, shown]);
        check("Volume was 31.25 million on 2025-07-01.", &[shown]);
    }

    #[test]
    fn the_instructions_figures_are_none_and_ones_own_texts_go_first() {
        let evidence =
            Evidence::of(&["the mean is 120.5", "the mean is 120.5"], "from -100 to 100, at most 150 words");
        let of = |text: &str, own: usize| evidence.trace(text, |i| i == own)[0].1;
        assert_eq!(of("a mood of 100", 0), Found::Unchecked);
        assert_eq!(of("a mean of 120.5", 0), Found::Shown(0));
        assert_eq!(of("a mean of 120.5", 1), Found::Shown(1));
        assert_eq!(evidence.share("a mean of 120.5, a mood of 77.7"), 0.5);
        assert_eq!(evidence.share("nothing"), 1.0);
    }
}
