//! Query-aware extraction: the rows and sentences of a long text that answer a question.
//!
//! This is the only lossy step of the crate, and it is opt-in. It selects whole sentences and table rows in their order
//! and rewords nothing. A row brings its table head along, instructions stay, short texts are left alone, and gaps show
//! as `…`.
//!
//! Ranking is BM25 over the units, smoothed over neighbors and raised by the passage around them. A table's row is one
//! unit also where its cells stand below its label, one on each line. The first picks cover as many words of the
//! question as possible. There is no recency term, because documents are not conversations. Others
//! measured an embedding tier for tables, and it lost to plain BM25.

use crate::guard::{self, is_unspaced};
use crate::span;
use lacon_tokens::Encoding;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Options of an extract.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExtractOptions {
    /// Largest share of the tokens to keep, between 0 and 1. Relevance can keep less.
    pub share: f64,
    /// Texts below this many tokens are returned as they are.
    pub min_tokens: usize,
}

impl Default for ExtractOptions {
    fn default() -> Self {
        ExtractOptions { share: 0.5, min_tokens: 200 }
    }
}

/// An extract and its gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extracted {
    /// The extract, or the input if nothing was left out.
    pub text: String,
    /// Tokens of the input.
    pub tokens_before: usize,
    /// Tokens of the extract.
    pub tokens_after: usize,
    /// Units (sentences, rows, blocks) of the input.
    pub units: usize,
    /// Units that were kept.
    pub kept: usize,
    /// Byte ranges of the input that were left out.
    pub left_out: Vec<Range<usize>>,
}

#[derive(Debug)]
struct Unit {
    range: Range<usize>,
    tokens: usize,
    /// Which passage (text between blank lines or rules) it belongs to.
    passage: usize,
    /// Which document (text between rules) it belongs to.
    document: usize,
    /// The units that must be kept with it: a table's head, a row's section label.
    needs: Vec<usize>,
    /// Whether it is a row or a label of a table.
    row: bool,
    must: bool,
    terms: Vec<u32>,
    /// Footnote marks that a row carries.
    marks: Vec<u8>,
    /// The footnote that the unit begins.
    note: Option<u8>,
}

/// Selects the parts of a text that answer a question.
#[must_use]
pub fn extract(text: &str, query: &str, options: ExtractOptions, encoding: &Encoding) -> Extracted {
    let tokens_before = encoding.count(text);
    let unchanged = |units: usize| Extracted {
        text: text.to_owned(),
        tokens_before,
        tokens_after: tokens_before,
        units,
        kept: units,
        left_out: Vec::new(),
    };
    let budget = (tokens_before as f64 * options.share.clamp(0.0, 1.0)) as usize;
    if tokens_before < options.min_tokens || budget >= tokens_before {
        return unchanged(0);
    }
    let mut terms = Terms::default();
    let units = split(text, encoding, &mut terms);
    let question = terms.question(query);
    if question.is_empty() || units.len() < 3 {
        return unchanged(units.len());
    }
    let ranked = rank(&units, &question, terms.names.len());
    // Gaps and seams cost tokens that no unit owns, and neighbors that are kept cost less than alone. So the room is
    // corrected by what the extract really has, until it fits and is nearly full.
    let mut room = budget;
    let mut best = None;
    for _ in 0..MAX_PRINTS {
        let kept = with_needs(&units, &choose(&units, &ranked, room));
        let out = print(text, &units, &kept);
        let tokens = encoding.count(&out.0);
        let fits = tokens <= budget;
        if best.as_ref().is_none_or(
            |(_, _, known)| if fits { *known > budget || tokens > *known } else { tokens < *known },
        ) {
            best = Some((kept, out, tokens));
        }
        if fits && budget - tokens <= budget / 50 || room == 0 {
            break;
        }
        room = if fits { room + (budget - tokens) } else { room.saturating_sub((tokens - budget).max(1)) };
    }
    let Some((kept, out, tokens_after)) = best else { return unchanged(units.len()) };
    // Selected slices can neither reword nor invent; if a value is new all the same, the split cut one in two.
    if tokens_after >= tokens_before || !guard::invented(text, &out.0).is_empty() {
        return unchanged(units.len());
    }
    let n_kept = kept.iter().filter(|kept| **kept).count();
    Extracted { text: out.0, tokens_before, tokens_after, units: units.len(), kept: n_kept, left_out: out.1 }
}

/// Words as numbers.
#[derive(Default)]
struct Terms {
    names: HashMap<String, u32>,
}

const STOP: [&str; 56] = [
    "a",
    "an",
    "the",
    "of",
    "in",
    "on",
    "at",
    "to",
    "for",
    "and",
    "or",
    "is",
    "are",
    "was",
    "were",
    "be",
    "been",
    "by",
    "with",
    "from",
    "as",
    "that",
    "this",
    "these",
    "those",
    "it",
    "its",
    "what",
    "which",
    "who",
    "whom",
    "how",
    "why",
    "when",
    "where",
    "did",
    "do",
    "does",
    "has",
    "have",
    "had",
    "s",
    "their",
    "there",
    "than",
    "then",
    "into",
    "between",
    "respectively",
    "much",
    "many",
    "during",
    "about",
    "per",
    "used",
    "consist",
];

impl Terms {
    fn of(&mut self, text: &str) -> Vec<u32> {
        let mut out = Vec::new();
        for word in text.split(|c: char| !c.is_alphanumeric()) {
            for stem in stems(word) {
                if STOP.contains(&stem.as_str()) {
                    continue;
                }
                let next = self.names.len() as u32;
                out.push(*self.names.entry(stem).or_insert(next));
            }
        }
        out
    }

    /// The question's words that the text knows, with a weight each: numbers and names count more.
    fn question(&self, query: &str) -> HashMap<u32, f64> {
        let mut out = HashMap::new();
        for (i, word) in
            query.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).enumerate()
        {
            let name = i > 0 && word.chars().next().is_some_and(char::is_uppercase);
            for stem in stems(word) {
                let Some(term) = self.names.get(&stem) else { continue };
                let number = stem.bytes().any(|b| b.is_ascii_digit());
                out.insert(*term, if number || name { 1.5 } else { 1.0 });
            }
        }
        out
    }
}

/// The terms of a word: its stem; where a script has no spaces, each two characters that stand side by side.
fn stems(word: &str) -> Vec<String> {
    if !word.contains(is_unspaced) {
        return vec![stem(word)];
    }
    let mut out = Vec::new();
    let mut run: Vec<char> = Vec::new();
    let mut kind = None;
    for c in word.chars().map(Some).chain([None]) {
        let here = c.map(is_unspaced);
        if here != kind {
            match kind {
                Some(true) if run.len() == 1 => out.push(run[0].to_string()),
                Some(true) => out.extend(run.windows(2).map(|two| two.iter().collect::<String>())),
                Some(false) => out.push(stem(&run.iter().collect::<String>())),
                None => {}
            }
            run.clear();
            kind = here;
        }
        run.extend(c);
    }
    out
}

/// Most characters of a sentence in a script without spaces; one that is longer is cut at a mark or a blank.
const MAX_UNSPACED: usize = 120;

/// Most bytes of a sentence. A page on one line has few ends of sentences, and none of its rows could be chosen alone.
const MAX_SENTENCE: usize = 600;

/// A sentence, or its pieces of about half of [`MAX_SENTENCE`], cut at blanks.
fn bounded(sentence: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = sentence;
    while rest.len() > MAX_SENTENCE {
        let blank = rest.bytes().skip(MAX_SENTENCE / 2).position(|b| b == b' ');
        let Some(at) = blank.map(|at| at + MAX_SENTENCE / 2 + 1).filter(|at| *at < rest.len()) else { break };
        let (head, tail) = rest.split_at(at);
        out.push(head);
        rest = tail;
    }
    out.push(rest);
    out
}

/// The sentences of a line, also where they end with `。` or, as in Thai, with a blank alone.
fn sentences(line: &str) -> Vec<&str> {
    let mut out = Vec::new();
    for sentence in guard::sentences(line) {
        if !sentence.contains(is_unspaced) {
            out.extend(bounded(sentence));
            continue;
        }
        let (mut start, mut chars) = (0, 0);
        let mut all = sentence.char_indices().peekable();
        while let Some((i, c)) = all.next() {
            chars += 1;
            let ends = matches!(c, '。' | '！' | '？' | '．' | '؟' | '។' | '။');
            let pauses = chars >= MAX_UNSPACED / 2
                && (c.is_whitespace() || matches!(c, '，' | '、' | '；' | '：' | '」'));
            // What closes a quotation belongs to the sentence.
            let closed = all.peek().is_some_and(|(_, next)| matches!(next, '」' | '』' | '”' | '）'));
            if ((ends && !closed) || pauses || chars >= MAX_UNSPACED) && all.peek().is_some() {
                let end = i + c.len_utf8();
                out.push(&sentence[start..end]);
                (start, chars) = (end, 0);
            }
        }
        out.push(&sentence[start..]);
    }
    out
}

/// A word without its case and its commonest endings.
fn stem(word: &str) -> String {
    let lower = word.to_lowercase();
    for (ending, min) in [
        ("ations", 4),
        ("ation", 4),
        ("ments", 4),
        ("ment", 4),
        ("ings", 4),
        ("ing", 4),
        ("ies", 3),
        ("ed", 4),
        ("es", 4),
        ("s", 3),
        ("ly", 4),
    ] {
        if let Some(base) = lower.strip_suffix(ending)
            && base.len() >= min
            && base.is_ascii()
        {
            return base.trim_end_matches('e').to_owned();
        }
    }
    if lower.len() > 4 && lower.is_ascii() { lower.trim_end_matches('e').to_owned() } else { lower }
}

/// Splits a text into units. Every byte that is no blank belongs to one.
fn split(text: &str, encoding: &Encoding, terms: &mut Terms) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let (mut passage, mut document) = (0, 0);
    let mut table: Option<Table> = None;
    let mut stacked: Option<Table> = None;
    let mut at = 0;
    while at < text.len() {
        let line = text[at..].split_inclusive('\n').next().unwrap_or_default();
        let start = at;
        at += line.len();
        let trimmed = line.trim();
        if trimmed.is_empty() {
            passage += usize::from(stacked.is_none());
            table = None;
            continue;
        }
        if trimmed.len() >= 3 && trimmed.bytes().all(|b| matches!(b, b'-' | b'=' | b'*' | b'_')) {
            document += 1;
            passage += 1;
            table = None;
            stacked = None;
            continue;
        }
        let row = stacked_row(&text[start..]);
        let is_label = trimmed.len() <= MAX_LABEL && !trimmed.ends_with('.');
        if row.is_none() && !is_label && stacked.take().is_some() {
            passage += 1;
        }
        let is_row = row.is_some() || stacked.is_some() || trimmed.starts_with('|');
        let mut push = |range: Range<usize>, needs: Vec<usize>, must: bool| {
            let part = &text[range.clone()];
            let (marks, note) = marks_of(part);
            units.push(Unit {
                marks,
                note,
                tokens: encoding.count(part) + 1,
                terms: terms.of(part),
                range,
                passage,
                document,
                needs,
                row: is_row,
                must,
            });
            units.len() - 1
        };
        if let Some(row) = row {
            let state = stacked.get_or_insert_with(Table::default);
            if row.is_head && state.body {
                *state = Table::default();
            }
            let mut needs = state.head.clone();
            needs.extend(state.label);
            let id = push(start..start + row.bytes, needs, false);
            if row.is_head {
                state.head.push(id);
            } else {
                state.body = true;
            }
            at = start + row.bytes;
            continue;
        }
        if let Some(state) = &mut stacked {
            state.label = Some(push(start..at, state.head.clone(), false));
            continue;
        }
        if trimmed.starts_with('|') {
            let cells: Vec<&str> = trimmed.trim_matches('|').split('|').map(str::trim).collect();
            let filled = cells.iter().skip(1).filter(|cell| !cell.is_empty()).count();
            let label = cells.first().is_some_and(|cell| !cell.is_empty());
            let state = table.get_or_insert_with(Table::default);
            // The head is what stands above the first row with a label and values.
            let numeric = cells.iter().skip(1).any(|cell| is_amount(cell));
            if !state.body && (state.head.is_empty() || !(label && numeric)) && state.head.len() < 4 {
                let id = push(start..at, state.head.clone(), false);
                state.head.push(id);
                continue;
            }
            state.body = true;
            let mut needs = state.head.clone();
            if label && filled == 0 {
                let id = push(start..at, needs, false);
                state.label = Some(id);
            } else {
                needs.extend(state.label);
                push(start..at, needs, false);
            }
            continue;
        }
        table = None;
        let mut from = start;
        let must = span::is_instruction(line)
            && !span::is_log_line(line)
            && document == 0
            && span::is_order(trimmed);
        for sentence in sentences(line) {
            push(from..from + sentence.len(), Vec::new(), must);
            from += sentence.len();
        }
    }
    units
}

/// Most bytes of a row's label.
const MAX_LABEL: usize = 160;
/// Most lines that one row of a table is looked for in.
const MAX_CELLS: usize = 64;

/// A table's row whose cells stand below its label, one on each line, as programs that read PDF files write it.
struct Stacked {
    bytes: usize,
    /// Whether its cells are years: what stands above amounts.
    is_head: bool,
}

fn stacked_row(text: &str) -> Option<Stacked> {
    let mut lines = text.split_inclusive('\n');
    let label = lines.next()?;
    let is_cell = |cell: &str| cell.len() <= 40 && !cell.contains(char::is_alphabetic) && !cell.contains('|');
    if label.trim().len() > MAX_LABEL || is_cell(label.trim()) {
        return None;
    }
    let (mut end, mut at) = (label.len(), label.len());
    let (mut amounts, mut years) = (0, 0);
    for line in lines.take(MAX_CELLS) {
        let cell = line.trim();
        at += line.len();
        if !is_cell(cell) {
            break;
        }
        if !cell.is_empty() {
            end = at;
            if is_amount(cell) {
                amounts += 1;
            } else if cell.contains(|c: char| c.is_ascii_digit()) {
                years += 1;
            }
        }
    }
    // One number alone may be that of a page.
    (amounts + years >= 2).then_some(Stacked { bytes: end, is_head: amounts == 0 })
}

#[derive(Default)]
struct Table {
    head: Vec<usize>,
    label: Option<usize>,
    body: bool,
}

/// Whether a cell holds an amount rather than a year or a word.
fn is_amount(cell: &str) -> bool {
    let digits = cell.bytes().filter(u8::is_ascii_digit).count();
    let year =
        digits == 4 && (cell.contains("19") || cell.contains("20")) && !cell.contains([',', '.', '%', '$']);
    digits > 0 && !year && cell.bytes().filter(u8::is_ascii_alphabetic).count() * 2 <= cell.len()
}

// BM25's constants, and weights tuned on the development set of TAT-QA (alone and among seven other contexts).
/// Picks that weigh what is covered already; each looks at every unit.
const MAX_ROUNDS: usize = 128;
/// How often an extract is printed to find the room that its gaps leave.
const MAX_PRINTS: usize = 4;
/// How many units to each side raise a unit: what answers a question stands together.
const NEAR: usize = 12;
const K1: f64 = 1.2;
const B: f64 = 0.5;

fn with_needs(units: &[Unit], picks: &[usize]) -> Vec<bool> {
    let mut kept = vec![false; units.len()];
    for i in picks {
        for j in units[*i].needs.iter().chain([i]) {
            kept[*j] = true;
        }
    }
    kept
}

/// What each unit is worth for the question.
struct Ranked {
    score: Vec<f64>,
    /// The question's words that each unit says, with what they are worth.
    says: Vec<Vec<(u32, f64)>>,
}

fn rank(units: &[Unit], question: &HashMap<u32, f64>, n_terms: usize) -> Ranked {
    let n = units.len();
    let mut frequency = vec![0u32; n_terms];
    for unit in units {
        let distinct: HashSet<u32> = unit.terms.iter().copied().collect();
        for term in distinct {
            frequency[term as usize] += 1;
        }
    }
    let idf = |term: u32| {
        let df = f64::from(frequency[term as usize]);
        (1.0 + (n as f64 - df + 0.5) / (df + 0.5)).ln()
    };
    let average = units.iter().map(|unit| unit.terms.len()).sum::<usize>() as f64 / n as f64;
    let bm25 = |terms: &[u32], average: f64| {
        let mut counts: HashMap<u32, f64> = HashMap::new();
        for term in terms.iter().filter(|term| question.contains_key(term)) {
            *counts.entry(*term).or_default() += 1.0;
        }
        // Summed in the question's order of terms, so that equal input gives equal bits.
        let mut matched: Vec<(u32, f64)> = counts.into_iter().collect();
        matched.sort_unstable_by_key(|(term, _)| *term);
        let length = 1.0 - B + B * terms.len() as f64 / average.max(1.0);
        matched
            .iter()
            .map(|(term, f)| question[term] * idf(*term) * f * (K1 + 1.0) / (f + K1 * length))
            .sum::<f64>()
    };
    let own: Vec<f64> = units.iter().map(|unit| bm25(&unit.terms, average)).collect();
    let passages = lift(units, |unit| unit.passage, &bm25);
    let documents = lift(units, |unit| unit.document, &bm25);
    let mut score: Vec<f64> = (0..n)
        .map(|i| {
            let near = |j: Option<usize>| {
                j.filter(|j| *j < n && units[*j].passage == units[i].passage).map_or(0.0, |j| own[j])
            };
            let heads: f64 = units[i].needs.iter().map(|head| own[*head]).sum();
            // Rows of a table that stand together answer different questions; sentences answer one.
            let around = |reach: usize| -> f64 {
                (1..=reach).map(|d| (near(i.checked_sub(d)) + near(Some(i + d))) / (d + 1) as f64).sum()
            };
            let with_near = match units[i].row {
                true => own[i] + 0.4 * around(1),
                false => 0.4 * (own[i] + around(NEAR)),
            };
            with_near + 0.25 * heads + 0.3 * passages[i] + 0.6 * documents[i]
        })
        .collect();
    for (note, rows) in footnotes(units) {
        let best = rows.into_iter().map(|row| score[row]).fold(0.0, f64::max);
        score[note] += 0.3 * best;
    }
    for (i, unit) in units.iter().enumerate() {
        if unit.must {
            score[i] = f64::INFINITY;
        }
    }
    let says = units
        .iter()
        .map(|unit| {
            let mut terms: Vec<u32> =
                unit.terms.iter().copied().filter(|term| question.contains_key(term)).collect();
            terms.sort_unstable();
            terms.dedup();
            terms.into_iter().map(|term| (term, question[&term] * idf(term))).collect()
        })
        .collect();
    Ranked { score, says }
}

/// Units that begin with a mark such as `(3)`, and the rows of the same document that carry it after a word.
fn footnotes(units: &[Unit]) -> Vec<(usize, Vec<usize>)> {
    let mut rows: HashMap<(usize, u8), Vec<usize>> = HashMap::new();
    for (i, unit) in units.iter().enumerate() {
        for mark in &unit.marks {
            rows.entry((unit.document, *mark)).or_default().push(i);
        }
    }
    let note = |unit: &Unit| unit.note.and_then(|mark| rows.get(&(unit.document, mark)).cloned());
    units.iter().enumerate().filter_map(|(i, unit)| Some((i, note(unit)?))).collect()
}

/// The footnote marks `(1)` … `(99)` that follow a letter in a table's row, and the one that a text begins with.
fn marks_of(text: &str) -> (Vec<u8>, Option<u8>) {
    let bytes = text.as_bytes();
    let mut marks = Vec::new();
    let mut note = None;
    for (i, _) in text.match_indices('(') {
        let digits = bytes[i + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        if !(1..=2).contains(&digits) || bytes.get(i + 1 + digits) != Some(&b')') {
            continue;
        }
        let Ok(mark) = text[i + 1..i + 1 + digits].parse() else { continue };
        if i == 0 {
            note = Some(mark);
        } else if text.starts_with('|') && text[..i].trim_end().ends_with(|c: char| c.is_alphabetic()) {
            marks.push(mark);
        }
    }
    (marks, note)
}

/// The score of the group that each unit belongs to, as one text.
fn lift(units: &[Unit], group: impl Fn(&Unit) -> usize, bm25: &impl Fn(&[u32], f64) -> f64) -> Vec<f64> {
    let mut terms: HashMap<usize, Vec<u32>> = HashMap::new();
    for unit in units {
        terms.entry(group(unit)).or_default().extend(&unit.terms);
    }
    let average = units.iter().map(|unit| unit.terms.len()).sum::<usize>() as f64 / terms.len().max(1) as f64;
    let mut scores: HashMap<usize, f64> =
        terms.iter().map(|(id, terms)| (*id, bm25(terms, average))).collect();
    // Only differences between groups say anything; a share that all have would only favor short units.
    let least = scores.values().copied().fold(f64::INFINITY, f64::min);
    scores.values_mut().for_each(|score| *score -= least);
    units.iter().map(|unit| scores[&group(unit)]).collect()
}

/// The units to keep in `budget` tokens, the best first.
fn choose(units: &[Unit], Ranked { score, says }: &Ranked, budget: usize) -> Vec<usize> {
    let mut picks = Vec::new();
    let mut kept = vec![false; units.len()];
    let mut used = 0;
    let mut covered: HashSet<u32> = HashSet::new();
    let mut open: Vec<usize> = (0..units.len()).collect();
    let mut rounds = 0;
    // What a unit adds: its score, and words of the question that nothing kept so far says.
    let gain = |i: usize, kept: &[bool], covered: &HashSet<u32>| {
        let fresh: f64 =
            says[i].iter().filter(|(term, _)| !covered.contains(term)).map(|(_, worth)| worth).sum();
        (score[i] + 0.8 * fresh) / (cost_of(units, kept, i) as f64).max(6.0).powf(0.15)
    };
    while !open.is_empty() && used < budget {
        // Coverage is settled after some rounds; from then on one sorted list will do.
        let next: Vec<usize> = if rounds < MAX_ROUNDS {
            rounds += 1;
            let best = open
                .iter()
                .copied()
                .map(|i| (gain(i, &kept, &covered), i))
                .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
            best.into_iter().map(|(_, i)| i).collect()
        } else {
            let mut rest: Vec<(f64, usize)> = open.iter().map(|i| (gain(*i, &kept, &covered), *i)).collect();
            rest.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            rest.into_iter().map(|(_, i)| i).collect()
        };
        match next.as_slice() {
            [one] => open.retain(|i| i != one),
            _ => open.clear(),
        }
        for i in next {
            let cost = cost_of(units, &kept, i);
            if kept[i] || (used + cost > budget && !units[i].must) {
                continue;
            }
            used += cost;
            picks.push(i);
            for j in units[i].needs.iter().copied().chain([i]) {
                kept[j] = true;
                covered.extend(says[j].iter().map(|(term, _)| *term));
            }
        }
    }
    picks
}

fn cost_of(units: &[Unit], kept: &[bool], i: usize) -> usize {
    units[i].needs.iter().chain([&i]).filter(|j| !kept[**j]).map(|j| units[*j].tokens).sum()
}

fn print(text: &str, units: &[Unit], kept: &[bool]) -> (String, Vec<Range<usize>>) {
    let mut out = String::new();
    let mut left_out: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    let mut gap = false;
    for (unit, kept) in units.iter().zip(kept) {
        let between = &text[at..unit.range.start];
        at = unit.range.end;
        if !kept {
            match left_out.last_mut() {
                Some(last) if gap => last.end = unit.range.end,
                _ => left_out.push(unit.range.clone()),
            }
            gap = true;
            continue;
        }
        if gap {
            let broken = between.contains('\n') || out.is_empty() || out.ends_with('\n');
            out.push_str(if broken || text[..unit.range.start].ends_with('\n') { "…\n" } else { "… " });
            gap = false;
        } else {
            out.push_str(between);
        }
        out.push_str(&text[unit.range.clone()]);
    }
    if gap {
        out.push('…');
    } else {
        out.push_str(&text[at..]);
    }
    (out, left_out)
}
