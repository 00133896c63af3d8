//! The lessons that a run reads: loaded during the first calls, chosen once its reports exist.

use std::{
    path::PathBuf,
    sync::{Mutex, OnceLock, PoisonError},
    thread::JoinHandle,
};

use jiff::civil::Date;
use lacon_llm::BoxFuture;
use lacon_market::Bar;

use crate::{
    Role,
    memory::{Embedding, Memory, MemoryError},
    state::TradeState,
};

/// Turns a text into a vector; the network is behind it.
pub trait Embedder: Send + Sync {
    /// The vector of a text, or why there is none.
    fn embed<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<Embedding, String>>;
}

/// What the memory is opened with.
#[derive(Clone, Debug)]
pub struct RecallOptions {
    /// The file.
    pub path: PathBuf,
    /// The run's ticker.
    pub ticker: String,
    /// The run's date.
    pub date: Date,
    /// Whether model or data are simulated.
    pub simulated: bool,
    /// Daily bars of the ticker, to judge what is pending.
    pub bars: Vec<Bar>,
    /// A benchmark's name and bars.
    pub benchmark: Option<(String, Vec<Bar>)>,
}

type Opening = JoinHandle<Result<Memory, MemoryError>>;

/// The memory of a run.
#[derive(Debug)]
pub struct Recall {
    options: RecallOptions,
    opening: Mutex<Option<Opening>>,
    embedding: OnceLock<Embedding>,
    lessons: OnceLock<Result<String, String>>,
}

impl Recall {
    /// Opens the memory on a thread of its own and judges there what is pending.
    pub fn start(options: RecallOptions) -> Self {
        let given = options.clone();
        let work = move || {
            if let Some(folder) = given.path.parent() {
                // A folder that cannot be made shows in the next line, with its reason.
                let _ = std::fs::create_dir_all(folder);
            }
            let memory = Memory::open(&given.path)?;
            let benchmark = given.benchmark.as_ref().map(|(name, bars)| (name.as_str(), bars.as_slice()));
            memory.resolve(&given.ticker, &given.bars, benchmark, given.date)?;
            Ok(memory)
        };
        // Where nothing was ever decided there is nothing to open, and no thread to pay for.
        let known = options.path.exists();
        let opening =
            known.then(|| std::thread::Builder::new().name("memory".into()).spawn(work).ok()).flatten();
        Self { options, opening: Mutex::new(opening), embedding: OnceLock::new(), lessons: OnceLock::new() }
    }

    /// Takes the situation's embedding over, before the lessons are chosen.
    pub fn know(&self, embedding: Embedding) {
        let _ = self.embedding.set(embedding);
    }

    /// The situation's embedding, where one was made.
    pub fn embedding(&self) -> Option<&Embedding> {
        self.embedding.get()
    }

    /// The lessons as a part of a prompt; empty when there are none. The same text for every caller.
    pub fn text(&self, state: &TradeState) -> &str {
        let lessons = self.lessons.get_or_init(|| self.choose(state).map_err(|e| e.to_string()));
        lessons.as_ref().map_or("", |text| text)
    }

    /// Chooses the lessons ahead of the first prompt that holds them, unless the memory is still being opened.
    pub fn ahead(&self, state: &TradeState) {
        let opened = |opening: &Option<Opening>| opening.as_ref().is_none_or(JoinHandle::is_finished);
        if opened(&self.opening.lock().unwrap_or_else(PoisonError::into_inner)) {
            self.text(state);
        }
    }

    /// Why the memory could not be read.
    pub fn problem(&self) -> Option<&str> {
        self.lessons.get()?.as_ref().err().map(String::as_str)
    }

    fn choose(&self, state: &TradeState) -> Result<String, MemoryError> {
        let opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(memory) = opening.and_then(|opening| opening.join().ok()) else { return Ok(String::new()) };
        let options = &self.options;
        let lessons = memory?.recall(
            &options.ticker,
            &situation(state),
            self.embedding.get(),
            options.date,
            options.simulated,
        )?;
        if lessons.is_empty() {
            return Ok(String::new());
        }
        let lines: Vec<String> = lessons.iter().map(|lesson| format!("- {}", lesson.text)).collect();
        Ok(format!("## What came of earlier decisions\n{}\n", lines.join("\n")))
    }
}

/// What a decision rests on: the reports.
pub fn situation(state: &TradeState) -> String {
    let texts = Role::ANALYSTS.into_iter().filter_map(|role| state.text(role));
    let own = state.said.iter().flatten().filter(|said| matches!(said.agent.parse(), Ok(Role::Own(_))));
    texts
        .chain(own.filter_map(|said| said.texts.first()))
        .map(|text| text.text.as_str())
        .collect::<Vec<_>>()
        .join("\n")
}
