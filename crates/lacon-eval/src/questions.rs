//! Questions with certain answers, made from a text, and the slow reader that answers them from the text again.
//!
//! Every question is one sentence with its values in quotes, so that [`solve`] can read it. The tests hold the two
//! against each other: what cannot be solved again is no question.

use std::collections::{BTreeMap, BTreeSet};

use crate::material::{Kind, Material, Records};

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// `look-up`, `filter`, `count`, `compare` or `locate`.
    pub kind: &'static str,
    /// What is asked.
    pub ask: String,
    /// The one right answer.
    pub answer: String,
}

/// Longest value that is asked for or named, in bytes.
const MAX_VALUE: usize = 60;
/// Tries for each question that is wanted, before a text has no more to give.
const TRIES: usize = 12;

/// A generator of numbers that are the same on every machine.
#[derive(Debug, Clone)]
pub struct Draw(u64);

impl Draw {
    /// Starts at a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `n`; 0 for 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % (n as u64).max(1)) as usize
    }
}

/// Makes up to `most` different questions about a text; equal seeds make equal questions.
pub fn questions(material: &Material, most: usize, seed: u64) -> Vec<Question> {
    let mut draw = Draw::new(seed);
    let mut known = BTreeSet::new();
    let mut made = Vec::new();
    for turn in 0..most.saturating_mul(TRIES) {
        if made.len() >= most {
            break;
        }
        let question = match material.kind {
            Kind::Json | Kind::JsonLines | Kind::Csv | Kind::Grid => {
                of_records(&material.records, turn, &mut draw)
            }
            Kind::Log => of_log(&material.text, turn, &mut draw),
            Kind::Diff => of_diff(&material.text, turn, &mut draw),
            Kind::Document => of_document(&material.text, turn, &mut draw),
        };
        let Some(question) = question.filter(|question| is_plain(&question.answer)) else { continue };
        if known.insert(question.ask.clone()) {
            made.push(question);
        }
    }
    made
}

/// A value that can be named in quotes and compared as a whole.
fn is_plain(value: &str) -> bool {
    !value.trim().is_empty() && value.len() <= MAX_VALUE && !value.contains(['"', '\n', '\r'])
}

fn number(value: &str) -> Option<f64> {
    value.parse().ok().filter(|n: &f64| n.is_finite())
}

impl Records {
    fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    fn cell(&self, row: usize, column: usize) -> Option<&str> {
        self.rows.get(row)?.get(column)?.as_deref()
    }

    /// Columns in which every value is plain and stands once.
    fn keys(&self) -> Vec<usize> {
        (0..self.columns.len())
            .filter(|&column| is_plain(&self.columns[column]))
            .filter(|&column| {
                let mut seen = BTreeSet::new();
                (0..self.rows.len()).all(|row| {
                    self.cell(row, column).is_some_and(|value| is_plain(value) && seen.insert(value))
                })
            })
            .collect()
    }

    fn rows_with(&self, column: usize, value: &str) -> Vec<usize> {
        (0..self.rows.len()).filter(|&row| self.cell(row, column) == Some(value)).collect()
    }

    /// The numbers of a column that has only numbers.
    fn numbers(&self, column: usize) -> Option<Vec<f64>> {
        (0..self.rows.len()).map(|row| number(self.cell(row, column)?)).collect()
    }
}

fn of_records(records: &Records, turn: usize, draw: &mut Draw) -> Option<Question> {
    let keys = records.keys();
    let key = *keys.get(draw.below(keys.len()))?;
    let name = &records.columns[key];
    let row = draw.below(records.rows.len());
    let id = records.cell(row, key)?;
    let column = draw.below(records.columns.len());
    let field = records.columns.get(column).filter(|name| is_plain(name))?;
    let value = records.cell(row, column).filter(|value| is_plain(value));
    let question = |kind, ask: String, answer: &str| Some(Question { kind, ask, answer: answer.to_owned() });
    match turn % 6 {
        0 if column != key => question(
            "look-up",
            format!("What is \"{field}\" of the record whose \"{name}\" is \"{id}\"?"),
            value?,
        ),
        1 if column != key && records.rows_with(column, value?).len() == 1 => question(
            "filter",
            format!("What is \"{name}\" of the only record whose \"{field}\" is \"{}\"?", value?),
            id,
        ),
        2 if column != key => {
            let n = records.rows_with(column, value?).len();
            question(
                "count",
                format!("How many records have \"{field}\" equal to \"{}\"?", value?),
                &n.to_string(),
            )
        }
        3 => {
            let numbers = records.numbers(column).filter(|_| column != key)?;
            let other = draw.below(records.rows.len());
            let larger = match numbers[row].total_cmp(&numbers[other]) {
                std::cmp::Ordering::Greater => id,
                std::cmp::Ordering::Less => records.cell(other, key)?,
                std::cmp::Ordering::Equal => return None,
            };
            question(
                "compare",
                format!(
                    "Which record has the larger \"{field}\": the one whose \"{name}\" is \"{id}\" or the one whose \"{name}\" is \"{}\"? \
                     Answer with its \"{name}\".",
                    records.cell(other, key)?
                ),
                larger,
            )
        }
        4 => question(
            "locate",
            format!("What is \"{name}\" of record number \"{}\", counted from 1?", row + 1),
            id,
        ),
        5 => {
            let numbers = records.numbers(column).filter(|_| column != key)?;
            let largest = numbers.iter().copied().max_by(f64::total_cmp)?;
            let at = numbers.iter().position(|n| *n == largest)?;
            if numbers.iter().filter(|n| **n == largest).count() > 1 {
                return None;
            }
            question(
                "filter",
                format!("What is \"{name}\" of the record with the largest \"{field}\"?"),
                records.cell(at, key)?,
            )
        }
        _ => None,
    }
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split_whitespace().filter(|word| is_plain(word))
}

fn of_log(text: &str, turn: usize, draw: &mut Draw) -> Option<Question> {
    let lines: Vec<&str> = text.lines().collect();
    let at = draw.below(lines.len());
    let found: Vec<&str> = words(lines.get(at)?).collect();
    let word = *found.get(draw.below(found.len()))?;
    let holding = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    let question = |kind, ask: String, answer: &str| Some(Question { kind, ask, answer: answer.to_owned() });
    match turn % 4 {
        0 if holding(word) == 1 => question(
            "locate",
            format!("What is the number, counted from 1, of the only line that contains \"{word}\"?"),
            &(at + 1).to_string(),
        ),
        1 if holding(word) == 1 && found.last() != Some(&word) => question(
            "look-up",
            format!("What is the last word of the only line that contains \"{word}\"?"),
            found.last()?,
        ),
        2 if holding(word) > 1 && word.len() >= 4 => {
            question("count", format!("How many lines contain \"{word}\"?"), &holding(word).to_string())
        }
        3 => {
            let fault = ["FATAL", "ERROR", "error", "FAILED", "failed", "Failed", "WARN"]
                .into_iter()
                .filter(|fault| holding(fault) > 0)
                .nth(draw.below(2))?;
            let first = lines.iter().position(|line| line.contains(fault))?;
            question(
                "failing line",
                format!("What is the number, counted from 1, of the first line that contains \"{fault}\"?"),
                &(first + 1).to_string(),
            )
        }
        _ => None,
    }
}

/// The files of a diff with the lines that it adds to each.
fn added(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut file = None;
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("+++ ") {
            file = Some(path.strip_prefix("b/").unwrap_or(path));
            files.entry(file.unwrap_or_default()).or_default();
        } else if let (Some(line), Some(file)) = (line.strip_prefix('+'), file) {
            files.entry(file).or_default().push(line.trim());
        }
    }
    files
}

fn of_diff(text: &str, turn: usize, draw: &mut Draw) -> Option<Question> {
    let files = added(text);
    let (path, lines) = files.iter().nth(draw.below(files.len()))?;
    let question = |kind, ask: String, answer: &str| Some(Question { kind, ask, answer: answer.to_owned() });
    match turn % 3 {
        0 => {
            let line = *lines.get(draw.below(lines.len())).filter(|line| is_plain(line) && line.len() > 8)?;
            let homes = files.values().flatten().filter(|other| **other == line).count();
            (homes == 1).then(|| {
                question("locate", format!("To which file does the diff add the line \"{line}\"?"), path)
            })?
        }
        1 => question(
            "count",
            format!("How many lines does the diff add to the file \"{path}\"?"),
            &lines.len().to_string(),
        ),
        _ => question("count", "How many files does the diff change?".to_owned(), &files.len().to_string()),
    }
}

/// Sentences of running text; lines of tables and headings are none.
fn sentences(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| !line.starts_with(['#', '|', ' ', '\t']))
        .flat_map(|line| line.split_inclusive(['.', '!', '?']))
        .flat_map(|part| part.split("; "))
        .map(str::trim)
        .filter(|part| part.split_whitespace().count() >= 7)
        .collect()
}

fn of_document(text: &str, turn: usize, draw: &mut Draw) -> Option<Question> {
    let all = sentences(text);
    let sentence = *all.get(draw.below(all.len()))?;
    let tokens: Vec<&str> = sentence.split_whitespace().collect();
    let question = |kind, ask: String, answer: &str| Some(Question { kind, ask, answer: answer.to_owned() });
    let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
    if turn.is_multiple_of(2) {
        let figures: Vec<String> =
            tokens.iter().map(|word| bare(word)).filter(|word| number(word).is_some()).collect();
        let start = tokens[..4].join(" ");
        let is_only = text.matches(start.as_str()).count() == 1 && figures.len() == 1 && is_plain(&start);
        is_only.then(|| {
            question(
                "look-up",
                format!("Which number stands in the sentence that begins with \"{start}\"?"),
                &figures[0],
            )
        })?
    } else {
        let at = draw.below(tokens.len() - 5);
        let before = tokens[at..at + 5].join(" ");
        let answer = bare(tokens[at + 5]);
        (is_plain(&before) && text.matches(before.as_str()).count() == 1)
            .then(|| question("locate", format!("Which word comes right after \"{before}\"?"), &answer))?
    }
}

/// Answers a question from the text alone, the slow way.
pub fn solve(material: &Material, ask: &str) -> Option<String> {
    let quoted: Vec<&str> = ask.split('"').skip(1).step_by(2).collect();
    let starts = |start: &str| ask.starts_with(start);
    let lines = || material.text.lines().enumerate();
    let records = &material.records;
    let cell = |row: &Vec<Option<String>>, column: usize| row.get(column).cloned().flatten();
    let the_row = |column: &str, value: &str| {
        let column = records.column(column)?;
        records.rows.iter().find(|row| cell(row, column).as_deref() == Some(value))
    };
    match quoted[..] {
        [] if starts("How many files") => Some(added(&material.text).len().to_string()),
        [field, key, id] if starts("What is \"") && ask.contains("of the record whose") => {
            cell(the_row(key, id)?, records.column(field)?)
        }
        [key, field, value] if ask.contains("of the only record whose") => {
            cell(the_row(field, value)?, records.column(key)?)
        }
        [field, value] if starts("How many records") => {
            let column = records.column(field)?;
            Some(
                records
                    .rows
                    .iter()
                    .filter(|row| cell(row, column).as_deref() == Some(value))
                    .count()
                    .to_string(),
            )
        }
        [field, key, a, _, b, _] if starts("Which record has the larger") => {
            let value = |id| number(&cell(the_row(key, id)?, records.column(field)?)?);
            Some(if value(a)? > value(b)? { a } else { b }.to_owned())
        }
        [key, n] if ask.contains("of record number") => {
            cell(records.rows.get(n.parse::<usize>().ok()?.checked_sub(1)?)?, records.column(key)?)
        }
        [key, field] if ask.contains("with the largest") => {
            let (key, field) = (records.column(key)?, records.column(field)?);
            let rows =
                records.rows.iter().filter_map(|row| Some((number(&cell(row, field)?)?, cell(row, key)?)));
            rows.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, id)| id)
        }
        [word] if starts("What is the number, counted from 1") => {
            lines().find(|(_, line)| line.contains(word)).map(|(n, _)| (n + 1).to_string())
        }
        [word] if starts("What is the last word") => lines()
            .find(|(_, line)| line.contains(word))
            .and_then(|(_, line)| Some(words(line).last()?.to_owned())),
        [word] if starts("How many lines contain") => {
            Some(lines().filter(|(_, line)| line.contains(word)).count().to_string())
        }
        [line] if starts("To which file") => added(&material.text)
            .into_iter()
            .find(|(_, all)| all.contains(&line))
            .map(|(path, _)| path.to_owned()),
        [path] if starts("How many lines does the diff") => {
            added(&material.text).get(path).map(|all| all.len().to_string())
        }
        [start] if starts("Which number stands") => {
            let sentence = sentences(&material.text).into_iter().find(|sentence| sentence.contains(start))?;
            let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
            sentence.split_whitespace().map(bare).find(|word| number(word).is_some())
        }
        [before] if starts("Which word comes right after") => {
            // White space may differ: the words are looked for one by one.
            let all: Vec<&str> = material.text.split_whitespace().collect();
            let sought: Vec<&str> = before.split_whitespace().collect();
            let at = all.windows(sought.len()).position(|window| window == sought)?;
            Some(all.get(at + sought.len())?.trim_matches(|c: char| !c.is_alphanumeric()).to_owned())
        }
        _ => None,
    }
}

/// Whether an answer says what is right: the value at the start of its first line, in any case and notation of numbers.
pub fn is_right(answer: &str, right: &str) -> bool {
    let line = answer.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line = line.strip_prefix("Answer:").unwrap_or(line);
    let plain = |text: &str| text.trim().trim_matches(|c| "\"'`*.".contains(c)).trim().to_lowercase();
    let (said, right) = (plain(line), plain(right));
    if right.is_empty() {
        return false;
    }
    let value = |text: &str| number(&text.replace(',', ""));
    if said == right || value(&said).is_some_and(|said| Some(said) == value(&right)) {
        return true;
    }
    // More words may follow, but the value itself must end: 42.5 is not 42.
    said.strip_prefix(&right).is_some_and(|rest| {
        let mut rest = rest.chars();
        match rest.next() {
            Some(c) if c.is_alphanumeric() || c == '-' || c == '_' => false,
            Some('.' | ',' | ':' | '/') => !rest.next().is_some_and(char::is_alphanumeric),
            _ => true,
        }
    })
}
