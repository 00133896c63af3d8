//! The traces of a folder: found again and again, read when they change, kept as one row each.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use lacon_monitor::{
    analyze::{Analysis, Scorers, analyze, groups},
    trace::{Form, Kind, Shown, Span, Trace},
};
use serde_json::{Value, json};

use crate::{ReadTraces, detail};

/// More files of a folder are not looked at.
const MOST_FILES: usize = 10_000;
/// Runs that are kept in memory with all their spans.
const KEPT: usize = 4;
/// A journal that was written to within this time belongs to a run that goes on.
const GOES_ON: Duration = Duration::from_secs(30);
/// Ends of names of files that may hold a trace.
const ENDS: [&str; 10] =
    [".json", ".jsonl", ".ndjson", ".gz", ".zst", ".parquet", ".traj", ".pb", ".binpb", ".otlp"];

/// A state of a file: when it was written, and how long it is.
type Stamp = (Option<SystemTime>, u64);

/// What is known of a file.
struct File {
    stamp: Stamp,
    runs: Vec<Run>,
    /// Why nothing was read from it.
    why: Option<String>,
}

/// One run of a file, without its spans.
struct Run {
    id: String,
    row: Value,
    /// Its analysis without calls and nodes, for comparisons of many runs.
    analysis: Analysis,
}

/// A run with all its spans.
pub struct Loaded {
    /// Where it is.
    pub file: PathBuf,
    /// Its spans.
    pub trace: Trace,
    /// What is found out about it.
    pub analysis: Analysis,
    stamp: Stamp,
}

/// The traces of a folder.
pub struct Library {
    folder: PathBuf,
    read: ReadTraces,
    pub(crate) scorers: Scorers<'static>,
    files: Mutex<BTreeMap<PathBuf, File>>,
    recent: Mutex<Vec<(String, Arc<Loaded>)>>,
}

fn open<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Library {
    /// An empty one; [`refresh`](Self::refresh) fills it.
    pub fn new(folder: PathBuf, read: ReadTraces, scorers: Scorers<'static>) -> Self {
        Self { folder, read, scorers, files: Mutex::default(), recent: Mutex::default() }
    }

    /// Looks through the folder and reads what is new or has changed; `told` is called after each file that was. Blocks
    /// while it reads.
    pub fn refresh(&self, told: &dyn Fn()) {
        let found = find(&self.folder);
        {
            let mut files = open(&self.files);
            let before = files.len();
            files.retain(|path, _| found.contains_key(path));
            if files.len() != before {
                told();
            }
        }
        for (path, stamp) in found {
            if open(&self.files).get(&path).is_some_and(|file| file.stamp == stamp) {
                continue;
            }
            let file = self.file(&path, stamp);
            open(&self.files).insert(path, file);
            told();
        }
    }

    fn file(&self, path: &Path, stamp: Stamp) -> File {
        match (self.read)(path) {
            Ok(traces) => {
                let runs =
                    traces.iter().enumerate().map(|(i, trace)| self.run(path, i, stamp, trace)).collect();
                File { stamp, runs, why: None }
            }
            Err(why) => File { stamp, runs: Vec::new(), why: Some(why) },
        }
    }

    fn run(&self, path: &Path, i: usize, stamp: Stamp, trace: &Trace) -> Run {
        let mut analysis = analyze(trace, self.scorers);
        let id = id_of(path, i);
        let row = self.row(&id, path, stamp, trace, &analysis);
        analysis.calls = Vec::new();
        Run { id, row, analysis }
    }

    /// A run as the list shows it.
    fn row(&self, id: &str, path: &Path, stamp: Stamp, trace: &Trace, analysis: &Analysis) -> Value {
        let unix =
            |time: Option<SystemTime>| Some(time?.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs_f64());
        let mut row = detail::row(trace, analysis);
        row["id"] = id.into();
        row["file"] = self.name(path).into();
        if row["began"].is_null() {
            row["began"] = json!(unix(stamp.0));
        }
        if trace.form == Form::Journal {
            let has_ended = path.with_file_name("run.json").exists();
            let written = stamp.0.and_then(|time| time.elapsed().ok());
            let is_live = !has_ended && written.is_some_and(|ago| ago < GOES_ON);
            row["live"] = is_live.into();
            row["status"] = if is_live {
                "running"
            } else if has_ended {
                "ended"
            } else {
                "interrupted"
            }
            .into();
        }
        row
    }

    /// A file as the page names it.
    fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.folder).unwrap_or(path).display().to_string()
    }

    /// Every run, those files that gave none, and the runs by shape.
    pub fn list(&self) -> Value {
        let files = open(&self.files);
        let runs: Vec<&Run> = files.values().flat_map(|file| &file.runs).collect();
        let analyses: Vec<&Analysis> = runs.iter().map(|run| &run.analysis).collect();
        let groups: Vec<Value> = groups(&analyses)
            .into_iter()
            .map(|group| {
                let ids: Vec<&str> = group.runs.iter().map(|i| runs[*i].id.as_str()).collect();
                json!({"runs": ids, "models": group.models, "shape": group.shape, "median_s": group.median_s,
                    "p90_s": group.p90_s, "median_tokens": group.median_tokens, "cost": group.cost_usd,
                    "failed": group.n_failed, "nodes": group.nodes, "calls": group.calls})
            })
            .collect();
        let unread: Vec<Value> = files
            .iter()
            .filter_map(|(path, file)| {
                let why = file.why.as_ref()?;
                Some(json!({"file": self.name(path), "why": why}))
            })
            .collect();
        let rows: Vec<&Value> = runs.iter().map(|run| &run.row).collect();
        json!({"folder": self.folder.display().to_string(), "runs": rows, "groups": groups, "unread": unread})
    }

    /// The row of a run.
    pub fn row_of(&self, id: &str) -> Option<Value> {
        open(&self.files)
            .values()
            .flat_map(|file| &file.runs)
            .find(|run| run.id == id)
            .map(|run| run.row.clone())
    }

    /// A run with its spans, read again where the file has changed. Blocks while it reads.
    pub fn load(&self, id: &str) -> Option<Arc<Loaded>> {
        let (path, i, stamp) = {
            let files = open(&self.files);
            files.iter().find_map(|(path, file)| {
                let i = file.runs.iter().position(|run| run.id == id)?;
                Some((path.clone(), i, file.stamp))
            })?
        };
        let is_this = |(known, run): &(String, Arc<Loaded>)| known == id && run.stamp == stamp;
        if let Some((_, run)) = open(&self.recent).iter().find(|recent| is_this(recent)) {
            return Some(Arc::clone(run));
        }
        let mut trace = (self.read)(&path).ok()?.into_iter().nth(i)?;
        self.texts_of_journal(&path, &mut trace);
        let loaded = Arc::new(Loaded { analysis: analyze(&trace, self.scorers), file: path, trace, stamp });
        let mut recent = open(&self.recent);
        recent.retain(|(known, _)| known != id);
        recent.insert(0, (id.to_owned(), Arc::clone(&loaded)));
        recent.truncate(KEPT);
        Some(loaded)
    }
}

impl Library {
    /// Lacon's own traces hold no text. Answers and results of tools stand in the journal beside them.
    fn texts_of_journal(&self, path: &Path, trace: &mut Trace) {
        let journal = path.with_file_name("journal.jsonl");
        if trace.form != Form::Lacon || journal.metadata().map_or(u64::MAX, |meta| meta.len()) > MOST_JOURNAL
        {
            return;
        }
        let Ok(found) = (self.read)(&journal) else { return };
        let place = |span: &Span| ((span.start_s * 1e5).round() as i64, span.kind == Kind::Model);
        let mut texts: HashMap<(i64, bool), Vec<Shown>> = HashMap::new();
        for span in
            found.into_iter().flat_map(|trace| trace.spans).filter(|span| span.is_call() || span.is_tool())
        {
            texts.insert(place(&span), span.shown);
        }
        for span in trace.spans.iter_mut().filter(|span| span.is_call() || span.is_tool()) {
            if let Some(shown) = texts.remove(&place(span)) {
                span.shown = shown;
            }
        }
    }
}

/// Bytes of a journal from which texts are taken.
const MOST_JOURNAL: u64 = 64 << 20;

/// The same for the same place, so that an address of the page stays good.
fn id_of(path: &Path, i: usize) -> String {
    let mut hasher = DefaultHasher::new();
    (path, i).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Files that may hold a trace. In a run's folder this is its trace, or its journal while it has none.
fn find(folder: &Path) -> HashMap<PathBuf, Stamp> {
    let mut found = HashMap::new();
    if folder.is_file() {
        found.extend(stamp(folder).map(|stamp| (folder.to_owned(), stamp)));
        return found;
    }
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let of_run =
            ["trace.jsonl", "journal.jsonl"].into_iter().map(|name| folder.join(name)).find(|p| p.is_file());
        if let Some(path) = of_run {
            found.extend(stamp(&path).map(|stamp| (path, stamp)));
            continue;
        }
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().to_lowercase();
            if found.len() + folders.len() >= MOST_FILES {
                return found;
            }
            // Links are not followed: a folder may link to itself.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !name.starts_with('.') => folders.push(entry.path()),
                Ok(kind) if kind.is_file() && ENDS.iter().any(|end| name.ends_with(end)) => {
                    found.extend(stamp(&entry.path()).map(|stamp| (entry.path(), stamp)));
                }
                _ => {}
            }
        }
    }
    found
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = path.metadata().ok()?;
    Some((meta.modified().ok(), meta.len()))
}
