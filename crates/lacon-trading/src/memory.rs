//! What earlier runs decided and what came of it: one SQLite file beside the results.
//!
//! A decision is pending until five trading days have passed in the data; then its return, and its alpha over a
//! benchmark, are computed and one sentence is kept as its lesson. Plan and risk manager read lessons of the same ticker,
//! newest first, and those of others whose situation was most alike. Nothing that was decided or resolved on or after
//! the run's date is ever recalled, so a back-test remembers no future; simulated and real runs do not mix.
//!
//! Situations are compared by the cosine of hashed TF-IDF vectors: no model, no network, the same on every machine. Where a
//! provider's embedding of both is known, from the same model, its cosine counts instead.

use std::{collections::HashMap, path::Path};

use crate::Action;
use jiff::civil::Date;
use lacon_market::Bar;
use rusqlite::{Connection, OptionalExtension, params};

/// Trading days after which a decision is judged.
pub const HORIZON: usize = 5;
/// Dimensions of the hashed vectors.
const DIMENSIONS: u64 = 1024;
/// Situations less alike than this teach nothing.
const LEAST_ALIKE: f64 = 0.15;
/// The same for embeddings, which put any two financial texts near each other.
const LEAST_ALIKE_BY_MODEL: f64 = 0.4;

/// Why the memory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("memory {path}: {source}")]
pub struct MemoryError {
    path: String,
    #[source]
    source: rusqlite::Error,
}

/// A decision to remember.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// The ticker.
    pub ticker: String,
    /// The day it was decided for.
    pub date: Date,
    /// What was decided.
    pub action: Action,
    /// The run.
    pub run_id: String,
    /// The reports that it rested on.
    pub situation: String,
    /// What carried it, in its own words; may be empty.
    pub thesis: String,
    /// The situation as a provider's model sees it.
    pub embedding: Option<Embedding>,
    /// Whether model or data were simulated.
    pub simulated: bool,
}

/// A text as a vector of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// Which model; vectors of different ones cannot be compared.
    pub model: String,
    /// The vector.
    pub vector: Vec<f32>,
}

/// Most characters of a thesis.
const MOST_THESIS: usize = 240;

/// A decision with what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// The ticker.
    pub ticker: String,
    /// The day it was decided for.
    pub date: Date,
    /// One sentence.
    pub text: String,
    /// How alike the situation was, 0 to 1; 1 for the same ticker.
    pub alike: f64,
}

/// A decision as the log shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// The ticker.
    pub ticker: String,
    /// The day it was decided for.
    pub date: String,
    /// What was decided.
    pub action: String,
    /// The run.
    pub run_id: String,
    /// Whether model or data were simulated.
    pub simulated: bool,
    /// The last of the days that judged it; nothing while it is pending.
    pub resolved: Option<String>,
    /// Its return over those days.
    pub gain: Option<f64>,
    /// Its return less the benchmark's.
    pub alpha: Option<f64>,
    /// The benchmark.
    pub benchmark: Option<String>,
    /// What it teaches, computed.
    pub lesson: Option<String>,
    /// What it teaches, in a model's words.
    pub reflection: Option<String>,
    /// The reports that it rested on.
    pub situation: String,
}

/// The open file.
#[derive(Debug)]
pub struct Memory {
    connection: Connection,
    path: String,
}

impl Memory {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// When it cannot be used or is none of ours.
    pub fn open(path: &Path) -> Result<Self, MemoryError> {
        let name = path.display().to_string();
        let fail = |source| MemoryError { path: name.clone(), source };
        let connection = Connection::open(path).map_err(fail)?;
        // Several runs of a batch write to one file; each waits for its turn.
        connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(fail)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL;
                 CREATE TABLE IF NOT EXISTS decisions (
                     ticker TEXT NOT NULL, date TEXT NOT NULL, simulated INTEGER NOT NULL, action TEXT NOT NULL,
                     run_id TEXT NOT NULL, situation TEXT NOT NULL,
                     resolved TEXT, return REAL, alpha REAL, benchmark TEXT, lesson TEXT,
                     thesis TEXT NOT NULL DEFAULT '', model TEXT, vector BLOB, reflection TEXT,
                     PRIMARY KEY (ticker, date, simulated));",
            )
            .map_err(fail)?;
        // A file of an earlier version lacks the last of these; that one is there already is the only error here.
        for column in ["thesis TEXT NOT NULL DEFAULT ''", "model TEXT", "vector BLOB", "reflection TEXT"] {
            let added = connection.execute_batch(&format!("ALTER TABLE decisions ADD COLUMN {column}"));
            if let Err(error) = added
                && !error.to_string().contains("duplicate column")
            {
                return Err(fail(error));
            }
        }
        Ok(Self { connection, path: name })
    }

    fn fail(&self) -> impl Fn(rusqlite::Error) -> MemoryError + '_ {
        |source| MemoryError { path: self.path.clone(), source }
    }

    /// Keeps a decision; a later run for the same ticker and day takes its place and is pending again.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn store(&self, decided: &Decided) -> Result<(), MemoryError> {
        self.connection
            .execute(
                "INSERT OR REPLACE INTO decisions (ticker, date, simulated, action, run_id, situation, thesis, model, vector)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    decided.ticker,
                    decided.date.to_string(),
                    decided.simulated,
                    decided.action.as_str(),
                    decided.run_id,
                    decided.situation,
                    decided.thesis,
                    decided.embedding.as_ref().map(|e| e.model.as_str()),
                    decided.embedding.as_ref().map(|e| to_bytes(&e.vector))
                ],
            )
            .map(|_| ())
            .map_err(self.fail())
    }

    /// Judges what is pending of a ticker, with bars up to a day; returns how many were resolved. Idempotent.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn resolve(
        &self,
        ticker: &str,
        bars: &[Bar],
        benchmark: Option<(&str, &[Bar])>,
        as_of: Date,
    ) -> Result<usize, MemoryError> {
        let pending: Vec<(String, bool, String, String)> = self
            .connection
            .prepare("SELECT date, simulated, action, thesis FROM decisions WHERE ticker = ?1 AND resolved IS NULL AND date < ?2")
            .and_then(|mut query| {
                let rows = query.query_map(params![ticker, as_of.to_string()], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })?;
                rows.collect()
            })
            .map_err(self.fail())?;
        let mut resolved = 0;
        for (date, simulated, action, thesis) in pending {
            let Ok(day) = date.parse::<Date>() else { continue };
            let Some((end, gain)) = outcome(bars, day, as_of) else { continue };
            let market = benchmark.and_then(|(name, bars)| Some((name, outcome(bars, day, as_of)?.1)));
            let alpha = market.map(|(_, market)| gain - market);
            let lesson = lesson(ticker, day, &action, gain, market, &thesis);
            self.connection
                .execute(
                    "UPDATE decisions SET resolved = ?4, return = ?5, alpha = ?6, benchmark = ?7, lesson = ?8
                     WHERE ticker = ?1 AND date = ?2 AND simulated = ?3",
                    params![
                        ticker,
                        date,
                        simulated,
                        end.to_string(),
                        gain,
                        alpha,
                        market.map(|(n, _)| n),
                        lesson
                    ],
                )
                .map_err(self.fail())?;
            resolved += 1;
        }
        Ok(resolved)
    }

    /// Up to five lessons of the ticker, newest first, then up to three of others, the most alike first; all decided
    /// and resolved before the day.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn recall(
        &self,
        ticker: &str,
        situation: &str,
        embedding: Option<&Embedding>,
        before: Date,
        simulated: bool,
    ) -> Result<Vec<Lesson>, MemoryError> {
        type Row = (String, String, String, String, Option<Embedding>);
        let rows: Vec<Row> = self
            .connection
            .prepare(
                "SELECT ticker, date, situation, lesson || coalesce(' Looking back: ' || reflection, ''), model, vector FROM decisions
                 WHERE resolved IS NOT NULL AND resolved < ?1 AND date < ?1 AND simulated = ?2 ORDER BY date DESC",
            )
            .and_then(|mut query| {
                let rows = query.query_map(params![before.to_string(), simulated], |row| {
                    let (model, vector): (Option<String>, Option<Vec<u8>>) = (row.get(4)?, row.get(5)?);
                    let embedding = model
                        .zip(vector)
                        .map(|(model, bytes)| Embedding { model, vector: from_bytes(&bytes) });
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, embedding))
                })?;
                rows.collect()
            })
            .map_err(self.fail())?;
        let lesson = |(ticker, date, _, text, _): &Row, alike: f64| {
            Some(Lesson { ticker: ticker.clone(), date: date.parse().ok()?, text: text.clone(), alike })
        };
        let mut lessons: Vec<Lesson> =
            rows.iter().filter(|r| r.0 == ticker).take(5).filter_map(|r| lesson(r, 1.0)).collect();
        let others: Vec<&Row> = rows.iter().filter(|r| r.0 != ticker).collect();
        let texts: Vec<&str> = others.iter().map(|r| r.2.as_str()).collect();
        let by_words = alike(situation, &texts).into_iter().map(|alike| (alike, LEAST_ALIKE));
        let mut ranked: Vec<(f64, usize)> = by_words
            .zip(&others)
            .map(|(by_words, row)| {
                let by_model = embedding.zip(row.4.as_ref()).and_then(|(a, b)| a.cosine(b));
                by_model.map_or(by_words, |alike| (alike, LEAST_ALIKE_BY_MODEL))
            })
            .zip(0..)
            .filter(|((alike, least), _)| alike >= least)
            .map(|((alike, _), i)| (alike, i))
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        lessons.extend(ranked.into_iter().take(3).filter_map(|(alike, i)| lesson(others[i], alike)));
        Ok(lessons)
    }

    /// The log: decisions of some tickers, or of all, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn log(&self, tickers: &[String]) -> Result<Vec<Logged>, MemoryError> {
        let rows: Vec<Logged> = self
            .connection
            .prepare(
                "SELECT ticker, date, action, run_id, simulated, resolved, return, alpha, benchmark, lesson, reflection, situation
                 FROM decisions ORDER BY date DESC, ticker, simulated",
            )
            .and_then(|mut query| {
                let rows = query.query_map([], |row| {
                    Ok(Logged {
                        ticker: row.get(0)?,
                        date: row.get(1)?,
                        action: row.get(2)?,
                        run_id: row.get(3)?,
                        simulated: row.get(4)?,
                        resolved: row.get(5)?,
                        gain: row.get(6)?,
                        alpha: row.get(7)?,
                        benchmark: row.get(8)?,
                        lesson: row.get(9)?,
                        reflection: row.get(10)?,
                        situation: row.get(11)?,
                    })
                })?;
                rows.collect()
            })
            .map_err(self.fail())?;
        Ok(rows.into_iter().filter(|row| tickers.is_empty() || tickers.contains(&row.ticker)).collect())
    }

    /// Keeps a look back at a judged decision; nothing changes where one is kept already, or where the decision was made anew.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn reflect(&self, of: &Logged, text: &str) -> Result<bool, MemoryError> {
        self.connection
            .execute(
                "UPDATE decisions SET reflection = ?5 WHERE ticker = ?1 AND date = ?2 AND simulated = ?3 AND run_id = ?4
                 AND resolved IS NOT NULL AND reflection IS NULL",
                params![of.ticker, of.date, of.simulated, of.run_id, text],
            )
            .map(|changed| changed > 0)
            .map_err(self.fail())
    }

    /// Return and alpha of a decision, once resolved.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn result(
        &self,
        ticker: &str,
        date: Date,
        simulated: bool,
    ) -> Result<Option<(f64, Option<f64>)>, MemoryError> {
        self.connection
            .query_row(
                "SELECT return, alpha FROM decisions WHERE ticker = ?1 AND date = ?2 AND simulated = ?3 AND resolved IS NOT NULL",
                params![ticker, date.to_string(), simulated],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
            .map_err(self.fail())
    }
}

/// Last day and return of the [`HORIZON`] trading days after a day: from its close to theirs. Nothing while fewer have
/// passed before `as_of`.
fn outcome(bars: &[Bar], day: Date, as_of: Date) -> Option<(Date, f64)> {
    let at = bars.iter().rposition(|bar| bar.date <= day)?;
    let end = bars.get(at + HORIZON).filter(|bar| bar.date < as_of)?;
    (bars[at].close > 0.0).then(|| (end.date, end.close / bars[at].close - 1.0))
}

/// A short look back: what was done, what came of it, what it had rested on.
fn lesson(
    ticker: &str,
    day: Date,
    action: &str,
    gain: f64,
    market: Option<(&str, f64)>,
    thesis: &str,
) -> String {
    let percent = |x: f64| format!("{:+.1} %", x * 100.0);
    let right = match action {
        "BUY" => gain > 0.0,
        "SELL" => gain < 0.0,
        _ => gain.abs() < 0.03,
    };
    let verdict = match (action, right) {
        (_, true) => "the decision was right",
        ("HOLD", false) => "waiting missed a move of more than 3 %",
        _ => "the decision was wrong",
    };
    let beside =
        market.map(|(name, m)| format!(", {} against {name}", percent(gain - m))).unwrap_or_default();
    let mut rested = thesis.split_whitespace().collect::<Vec<_>>().join(" ");
    if rested.chars().count() > MOST_THESIS {
        rested = rested.chars().take(MOST_THESIS).collect::<String>() + "…";
    }
    let rested = if rested.is_empty() { rested } else { format!(" It rested on: {rested}") };
    format!(
        "{action} of {ticker} on {day}: {} in {HORIZON} trading days{beside}; {verdict}.{rested}",
        percent(gain)
    )
}

impl Embedding {
    /// How alike two texts are; nothing when their vectors are of different models.
    fn cosine(&self, other: &Self) -> Option<f64> {
        if self.model != other.model || self.vector.len() != other.vector.len() {
            return None;
        }
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
        let lengths = (dot(&self.vector, &self.vector) * dot(&other.vector, &other.vector)).sqrt();
        Some(if lengths > 0.0 { dot(&self.vector, &other.vector) / lengths } else { 0.0 })
    }
}

fn to_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Cosine of hashed TF-IDF vectors between a text and others; the documents are all of them.
fn alike(text: &str, others: &[&str]) -> Vec<f64> {
    let counts: Vec<HashMap<u64, f64>> = others.iter().copied().chain([text]).map(terms).collect();
    let mut frequency: HashMap<u64, f64> = HashMap::new();
    counts.iter().flat_map(HashMap::keys).for_each(|term| *frequency.entry(*term).or_default() += 1.0);
    let n = counts.len() as f64;
    let vectors: Vec<HashMap<u64, f64>> = counts
        .into_iter()
        .map(|terms| {
            let weighted = terms.into_iter().map(|(term, tf)| {
                // Smoothed, so that two documents that share everything are still alike.
                let idf = ((1.0 + n) / (1.0 + frequency[&term])).ln() + 1.0;
                (term, (1.0 + tf.ln()) * idf)
            });
            weighted.collect()
        })
        .collect();
    let length = |v: &HashMap<u64, f64>| v.values().map(|x| x * x).sum::<f64>().sqrt();
    let Some((query, documents)) = vectors.split_last() else { return Vec::new() };
    documents
        .iter()
        .map(|document| {
            let dot: f64 = document.iter().filter_map(|(term, x)| Some(x * query.get(term)?)).sum();
            let lengths = length(document) * length(query);
            if lengths > 0.0 { dot / lengths } else { 0.0 }
        })
        .collect()
}

/// Words of three letters and more, hashed (FNV-1a), with how often each occurs.
fn terms(text: &str) -> HashMap<u64, f64> {
    let mut terms = HashMap::new();
    for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| word.chars().count() > 2) {
        let hash = word.to_lowercase().bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        *terms.entry(hash % DIMENSIONS).or_default() += 1.0;
    }
    terms
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn bars(from: Date, closes: &[f64]) -> Vec<Bar> {
        let mut day = from;
        closes
            .iter()
            .map(|close| {
                let bar =
                    Bar { date: day, open: *close, high: *close, low: *close, close: *close, volume: 1.0 };
                day = day.tomorrow().unwrap();
                bar
            })
            .collect()
    }

    fn decided(ticker: &str, day: Date, action: Action, situation: &str) -> Decided {
        Decided {
            ticker: ticker.into(),
            date: day,
            action,
            run_id: "r".into(),
            situation: situation.into(),
            thesis: String::new(),
            embedding: None,
            simulated: false,
        }
    }

    #[test]
    fn pending_then_resolved_once_with_return_and_alpha() {
        let folder = std::env::temp_dir().join(format!("lacon-memory-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("memory.db");
        let memory = Memory::open(&path).unwrap();
        let day = date(2025, 7, 1);
        memory.store(&decided("A", day, Action::Buy, "chips demand rises")).unwrap();
        memory.store(&decided("A", day, Action::Buy, "chips demand rises")).unwrap();
        let own = bars(day, &[100.0, 101.0, 102.0, 103.0, 104.0, 110.0, 90.0]);
        let market = bars(day, &[50.0, 50.0, 50.0, 50.0, 50.0, 51.0, 51.0]);
        // Five trading days have not passed before the sixth day.
        assert_eq!(memory.resolve("A", &own, None, date(2025, 7, 6)).unwrap(), 0);
        assert!(memory.recall("A", "", None, date(2025, 7, 6), false).unwrap().is_empty());
        assert_eq!(memory.resolve("A", &own, Some(("SPY", &market)), date(2025, 7, 8)).unwrap(), 1);
        assert_eq!(memory.resolve("A", &own, Some(("SPY", &market)), date(2025, 7, 8)).unwrap(), 0);
        let (gain, alpha) = memory.result("A", day, false).unwrap().unwrap();
        assert!((gain - 0.1).abs() < 1e-9 && (alpha.unwrap() - 0.08).abs() < 1e-9);
        let lessons = memory.recall("A", "", None, date(2025, 7, 8), false).unwrap();
        assert_eq!(
            lessons[0].text,
            "BUY of A on 2025-07-01: +10.0 % in 5 trading days, +8.0 % against SPY; the decision was right."
        );
        drop(memory);
        // It persists.
        assert_eq!(
            Memory::open(&path).unwrap().recall("A", "", None, date(2025, 7, 8), false).unwrap().len(),
            1
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_back_test_remembers_no_future_and_a_simulation_nothing_real() {
        let memory = Memory::open(Path::new(":memory:")).unwrap();
        let day = date(2025, 7, 1);
        memory.store(&decided("A", day, Action::Sell, "x")).unwrap();
        let own = bars(day, &[100.0; 10]);
        memory.resolve("A", &own, None, date(2025, 8, 1)).unwrap();
        for before in [date(2025, 6, 30), day, date(2025, 7, 5), date(2025, 7, 6)] {
            assert!(memory.recall("A", "", None, before, false).unwrap().is_empty(), "{before}");
        }
        assert_eq!(memory.recall("A", "", None, date(2025, 7, 7), false).unwrap().len(), 1);
        assert!(memory.recall("A", "", None, date(2025, 7, 7), true).unwrap().is_empty());
    }

    #[test]
    fn other_tickers_teach_by_likeness() {
        let memory = Memory::open(Path::new(":memory:")).unwrap();
        let day = date(2025, 7, 1);
        let own = bars(day, &[100.0; 10]);
        for (ticker, situation) in [
            ("OIL", "crude oil inventories fall, refinery margins widen, drilling slows"),
            ("GPU", "data center demand for accelerators, supply of chips, export rules"),
        ] {
            memory.store(&decided(ticker, day, Action::Buy, situation)).unwrap();
            memory.resolve(ticker, &own, None, date(2025, 8, 1)).unwrap();
        }
        let found = memory.recall(
            "NVDA",
            "chips and accelerators for the data center, export rules",
            None,
            date(2025, 8, 1),
            false,
        );
        let found = found.unwrap();
        assert_eq!(found.iter().map(|l| l.ticker.as_str()).collect::<Vec<_>>(), ["GPU"]);
        assert!(found[0].alike > 0.3);
    }

    #[test]
    fn a_lesson_says_what_the_decision_rested_on() {
        let memory = Memory::open(Path::new(":memory:")).unwrap();
        let day = date(2025, 7, 1);
        let thesis = format!("Close 181.64,\n down from 235.08. {}", "x".repeat(400));
        memory.store(&Decided { thesis, ..decided("A", day, Action::Buy, "") }).unwrap();
        memory
            .resolve("A", &bars(day, &[100.0, 99.0, 98.0, 97.0, 96.0, 95.0]), None, date(2025, 8, 1))
            .unwrap();
        let text = memory.recall("A", "", None, date(2025, 8, 1), false).unwrap().remove(0).text;
        assert!(text.contains(
            "-5.0 % in 5 trading days; the decision was wrong. It rested on: Close 181.64, down from 235.08."
        ));
        assert!(text.ends_with('…') && text.chars().count() < 360, "{text}");
    }

    #[test]
    fn embeddings_of_one_model_count_before_words() {
        let memory = Memory::open(Path::new(":memory:")).unwrap();
        let day = date(2025, 7, 1);
        let embedding =
            |model: &str, vector: &[f32]| Some(Embedding { model: model.into(), vector: vector.into() });
        for (ticker, words, vector) in [
            ("NEAR", "nothing in common at all", embedding("m", &[1.0, 0.1])),
            ("FAR", "chips and accelerators", embedding("m", &[-1.0, 0.5])),
            ("OTHER", "chips and accelerators", embedding("n", &[1.0, 0.0])),
            ("PLAIN", "chips and accelerators", None),
        ] {
            memory
                .store(&Decided { embedding: vector, ..decided(ticker, day, Action::Hold, words) })
                .unwrap();
            memory.resolve(ticker, &bars(day, &[100.0; 10]), None, date(2025, 8, 1)).unwrap();
        }
        let asked = embedding("m", &[1.0, 0.0]);
        let found =
            memory.recall("X", "chips and accelerators", asked.as_ref(), date(2025, 8, 1), false).unwrap();
        let mut names: Vec<&str> = found.iter().map(|l| l.ticker.as_str()).collect();
        names.sort_unstable();
        // FAR is unlike by the model; vectors of another model are not compared, its words are.
        assert_eq!(names, ["NEAR", "OTHER", "PLAIN"]);
        let before = memory.recall("X", "chips", asked.as_ref(), date(2025, 7, 6), false).unwrap();
        assert!(before.is_empty(), "no embedding opens the future");
    }

    #[test]
    fn a_file_of_an_earlier_version_is_taken_over() {
        let folder = std::env::temp_dir().join(format!("lacon-memory-old-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("memory.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(
            "CREATE TABLE decisions (ticker TEXT NOT NULL, date TEXT NOT NULL, simulated INTEGER NOT NULL, action TEXT NOT NULL,
             run_id TEXT NOT NULL, situation TEXT NOT NULL, resolved TEXT, return REAL, alpha REAL, benchmark TEXT, lesson TEXT,
             PRIMARY KEY (ticker, date, simulated));
             INSERT INTO decisions VALUES ('A', '2025-07-01', 0, 'BUY', 'r', 's', '2025-07-08', 0.1, NULL, NULL, 'kept');",
        )
        .unwrap();
        drop(old);
        let memory = Memory::open(&path).unwrap();
        assert_eq!(memory.recall("A", "", None, date(2025, 8, 1), false).unwrap()[0].text, "kept");
        drop(memory);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
