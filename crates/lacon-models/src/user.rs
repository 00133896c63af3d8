//! Rows of the user's own, which come before the table's.

use std::sync::{PoisonError, RwLock};

use serde_json::{Map, Value};

use crate::{clause::Clause, day::Day, name::plain_name, table::Source};

/// A model of the user's file.
#[derive(Debug, Clone, PartialEq)]
pub struct UserRow {
    /// The name of the model or of its family, in lower case.
    pub name: String,
    /// Name of its encoding, whose counts are taken as exact.
    pub encoding: Option<String>,
    /// Most tokens of a prompt.
    pub context: Option<u64>,
    /// USD for a million tokens by kind of token, as the price data writes it; empty if the file has none.
    pub price: Map<String, Value>,
    /// Where the user has it from.
    pub source: Source,
}

/// What is wrong with a file of models.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}: {text:?}")]
pub struct FileError {
    /// The line, from 1.
    pub line: usize,
    /// The line's text.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// The keys of a model's price. `storage` is for keeping a million cached tokens an hour.
pub const RATES: [&str; 8] =
    ["input", "cached", "cache_write", "cache_write_5m", "cache_write_1h", "output", "reasoning", "storage"];

/// The largest price that is taken for one, in USD for a million tokens: more is a mistake of unit.
const DEAREST: f64 = 1_000_000.0;

static ROWS: RwLock<Vec<UserRow>> = RwLock::new(Vec::new());

/// Adds rows for this process; later ones come before earlier ones.
pub fn add_rows(rows: Vec<UserRow>) {
    ROWS.write().unwrap_or_else(PoisonError::into_inner).extend(rows);
}

/// Returns the user's row of a model that has what `wanted` asks for: the longest name that fits, the latest of equals.
pub fn user_row(model: &str, wanted: impl Fn(&UserRow) -> bool) -> Option<UserRow> {
    let rows = ROWS.read().unwrap_or_else(PoisonError::into_inner);
    if rows.is_empty() {
        return None;
    }
    let (plain, whole) = (plain_name(model), model.trim().to_ascii_lowercase());
    let fits = |row: &&UserRow| {
        let clause = Clause::family(&row.name);
        clause.matches(&whole) || clause.matches(&plain)
    };
    rows.iter().filter(|row| wanted(row)).filter(fits).max_by_key(|row| row.name.len()).cloned()
}

/// Reads a file of models.
///
/// A line `NAME = ENCODING` gives the encoding of a family. A line `[NAME]` opens a model, with lines `encoding`,
/// `context`, `input`, `output`, `cached`, `cache_write`, `cache_write_5m`, `cache_write_1h`, `reasoning` (USD for a
/// million tokens), `storage` (USD for a million tokens an hour), `source` and `checked` below it. Names and words may
/// stand in quotes; `#` begins a comment.
pub fn read_rows(file: &str) -> Result<Vec<UserRow>, FileError> {
    let mut rows: Vec<UserRow> = Vec::new();
    let mut is_open = false;
    for (index, text) in file.lines().enumerate() {
        let bad = |why| FileError { line: index + 1, text: text.trim().chars().take(80).collect(), why };
        let line = text.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            let name = name.split_once(']').ok_or(bad("the bracket is not closed"))?;
            if !(name.1.trim().is_empty() || name.1.trim().starts_with('#')) {
                return Err(bad("something follows the bracket"));
            }
            rows.push(row(name.0).ok_or(bad("the model has no name"))?);
            is_open = true;
            continue;
        }
        let (key, value) = line.split_once('=').ok_or(bad("neither `NAME = ENCODING` nor `[NAME]`"))?;
        let value = word(value).ok_or(bad("no value"))?;
        if !is_open {
            let mut new = row(key).ok_or(bad("the model has no name"))?;
            new.encoding = Some(value);
            rows.push(new);
            continue;
        }
        let key = word(key).ok_or(bad("no key"))?;
        let open = rows.last_mut().expect("a model is open");
        match key.as_str() {
            "encoding" => open.encoding = Some(value),
            "context" => {
                let tokens = value.replace('_', "").parse().ok().filter(|tokens| *tokens > 0);
                open.context = Some(tokens.ok_or(bad("the context is a number of tokens"))?);
            }
            "source" => open.source.name = value,
            "checked" => open.source.checked = Some(Day::read(&value).ok_or(bad("a day is 2026-11-30"))?),
            rate if RATES.contains(&rate) => {
                let usd = value.parse::<f64>().ok().filter(|usd| (0.0..=DEAREST).contains(usd));
                let usd = usd.ok_or(bad("a price is 0 to 1000000 USD for a million tokens"))?;
                open.price.insert(key, usd.into());
            }
            _ => return Err(bad("unknown key")),
        }
    }
    Ok(rows)
}

fn row(name: &str) -> Option<UserRow> {
    let source = Source { name: "the user's file of models".to_owned(), url: String::new(), checked: None };
    let name = word(name)?.to_ascii_lowercase();
    Some(UserRow { name, encoding: None, context: None, price: Map::new(), source })
}

/// A word without its quotes, or bare up to a comment.
fn word(text: &str) -> Option<String> {
    let text = text.trim();
    let word = match text.chars().next()? {
        quote @ ('"' | '\'') => text[1..].split_once(quote)?.0,
        _ => text.split('#').next().unwrap_or(text).trim(),
    };
    (!word.is_empty()).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let file = "# mine\nacme = \"p50k_base\"\n\n[\"Acme-Large\"] # ours\nencoding = cl100k_base\ncontext = 200_000\n\
                    input = 1.5\noutput = 6 # list price\ncached = 0.15\nsource = \"contract\"\nchecked = 2026-11-01\n";
        let rows = read_rows(file).expect("a good file");
        assert_eq!((rows[0].name.as_str(), rows[0].encoding.as_deref()), ("acme", Some("p50k_base")));
        let large = &rows[1];
        assert_eq!((large.name.as_str(), large.context), ("acme-large", Some(200_000)));
        assert_eq!((&large.price["input"], &large.price["output"]), (&1.5.into(), &6.0.into()));
        assert_eq!(large.source.checked.map(|day| day.to_string()).as_deref(), Some("2026-11-01"));
    }

    #[test]
    fn faults_name_their_line() {
        for (file, line) in [
            ("a = x\nwhat", 2),
            ("[a]\ninput = -1", 2),
            ("[a]\ninput = nan", 2),
            ("[a]\ninput = 1e300", 2),
            ("[a]\nprize = 1", 2),
            ("[a\n", 1),
            ("[]\n", 1),
            ("[a]\ncontext = 0", 2),
            ("[a]\nchecked = 2026-02-30", 2),
            ("= x", 1),
            ("a =", 1),
        ] {
            assert_eq!(read_rows(file).expect_err(file).line, line, "{file}");
        }
    }

    #[test]
    fn the_longest_name_that_fits_wins() {
        let name = |model: &str| user_row(model, |_| true).map(|row| row.name);
        add_rows(read_rows("test-acme = a\ntest-acme-large = b\n").expect("good rows"));
        assert_eq!(name("gate/Test-Acme-Large-2").as_deref(), Some("test-acme-large"));
        assert_eq!(name("test-acme").as_deref(), Some("test-acme"));
        assert_eq!(name("test-acmes"), None);
    }
}
