//! `lacon bench tokens`: megabytes of UTF-8 a second on texts of four kinds, in interleaved rounds.
//!
//! Texts come from files that every machine has, so that nobody can tune to them: documentation, source code,
//! message catalogs of many languages, and seeded numeric tables. The rivals live in a program of their own
//! (`benchmarks/rivals`), which keeps them out of this one; it is asked for one measurement at a time, so that each
//! round has every contender in turn.

use std::{
    hint::black_box,
    io::{BufRead, BufReader, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    time::Instant,
};

use lacon_tokens::{Encoding, EncodingName, Vectors, encoding, loads};
use serde_json::{Value, json};

use crate::{args::BenchTokensArgs, failure::Failure, text};

/// Measures and prints.
pub fn run(args: &BenchTokensArgs) -> Result<ExitCode, Failure> {
    let name: EncodingName = args.encoding.parse().map_err(Failure::input)?;
    let folder = TextFolder::new()?;
    let corpora = corpora(args, &folder.0)?;
    let ours = encoding(name);
    let load_ms = loads().iter().find(|l| l.encoding == name).map_or(0.0, |l| l.took.as_secs_f64() * 1e3);
    let mut contenders = vec![
        Contender::lacon("lacon count", ours.clone(), Operation::Count),
        Contender::lacon("lacon count, no vectors", ours.with_vectors(Vectors::None), Operation::Count),
        Contender::lacon("lacon encode", ours.clone(), Operation::Encode),
        Contender::lacon("lacon count, 2 threads", ours.clone(), Operation::TwoThreads),
    ];
    for program in &args.rivals {
        contenders.extend(Rivals::start(program, name)?);
    }
    let mut table = Vec::new();
    for corpus in &corpora {
        let text = &corpus.text;
        let firsts: Vec<Sample> =
            contenders.iter_mut().map(|c| c.measure(corpus, true)).collect::<Result<_, _>>()?;
        let mut seconds = vec![Vec::new(); contenders.len()];
        for _ in 0..args.rounds.max(1) {
            for (contender, seconds) in contenders.iter_mut().zip(&mut seconds) {
                seconds.push(contender.measure(corpus, false)?.seconds);
            }
        }
        for ((contender, first), mut seconds) in contenders.iter().zip(firsts).zip(seconds) {
            seconds.sort_by(f64::total_cmp);
            let speed = |seconds: f64| text.len() as f64 / 1e6 / seconds;
            table.push(Row {
                contender: contender.name.clone(),
                corpus: corpus.name.clone(),
                tokens: first.tokens,
                warm: speed(seconds[seconds.len() / 2]),
                first: speed(first.seconds),
            });
        }
    }
    let short_ns = short_prompt(ours, &corpora);
    if args.json {
        text::out(&as_json(name, &corpora, &table, load_ms, short_ns).to_string());
    } else {
        print(name, &corpora, &table, load_ms, short_ns);
    }
    Ok(ExitCode::SUCCESS)
}

struct Corpus {
    name: String,
    /// Where the rivals read it.
    path: PathBuf,
    text: String,
}

struct Row {
    contender: String,
    corpus: String,
    tokens: usize,
    warm: f64,
    first: f64,
}

struct Sample {
    tokens: usize,
    seconds: f64,
}

#[derive(Clone, Copy)]
enum Operation {
    Count,
    Encode,
    TwoThreads,
}

struct Contender {
    name: String,
    kind: Kind,
}

enum Kind {
    Lacon(Box<Encoding>, Operation),
    Rival(std::rc::Rc<std::cell::RefCell<Rivals>>, String),
}

impl Contender {
    fn lacon(name: &str, encoding: Encoding, operation: Operation) -> Self {
        Self { name: name.to_owned(), kind: Kind::Lacon(Box::new(encoding), operation) }
    }

    fn measure(&mut self, corpus: &Corpus, first: bool) -> Result<Sample, Failure> {
        let text = corpus.text.as_str();
        match &self.kind {
            Kind::Rival(rivals, name) => rivals.borrow_mut().ask(name, &corpus.path),
            Kind::Lacon(encoding, operation) => {
                let work = || {
                    let began = Instant::now();
                    let tokens = match operation {
                        Operation::Count => encoding.count(black_box(text)),
                        Operation::Encode => encoding.encode(black_box(text)).len(),
                        Operation::TwoThreads => {
                            encoding.count_parallel(black_box(text), NonZeroUsize::MIN.saturating_add(1))
                        }
                    };
                    Sample { tokens, seconds: began.elapsed().as_secs_f64() }
                };
                // A thread of its own has seen no text yet.
                let fresh = || {
                    std::thread::scope(|scope| {
                        scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                    })
                };
                Ok(if first { fresh() } else { work() })
            }
        }
    }
}

/// The running program of the rivals: a request and an answer are a line each.
struct Rivals {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Rivals {
    fn start(program: &Path, name: EncodingName) -> Result<Vec<Contender>, Failure> {
        let cannot = |e: &dyn std::fmt::Display| {
            Failure::input(format!(
                "{}: the rivals cannot be run: {e}\nhint: cargo build --release --manifest-path benchmarks/rivals/Cargo.toml",
                program.display()
            ))
        };
        let mut child = Command::new(program)
            .arg(name.as_str())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| cannot(&e))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(cannot(&"no pipe to it"));
        };
        let mut rivals = Self { child, input, output: BufReader::new(output) };
        let names = rivals.line()?;
        let shared = std::rc::Rc::new(std::cell::RefCell::new(rivals));
        Ok(names
            .split('\t')
            .filter(|name| !name.is_empty())
            .map(|name| Contender {
                name: name.to_owned(),
                kind: Kind::Rival(std::rc::Rc::clone(&shared), name.to_owned()),
            })
            .collect())
    }

    fn ask(&mut self, name: &str, corpus: &Path) -> Result<Sample, Failure> {
        writeln!(self.input, "{name}\t{}", corpus.display())
            .and_then(|()| self.input.flush())
            .map_err(|e| Failure::input(format!("the rivals' program ended: {e}")))?;
        let line = self.line()?;
        let mut fields = line.split('\t');
        let mut next = || fields.next().and_then(|field| field.parse::<f64>().ok());
        match (next(), next()) {
            (Some(tokens), Some(seconds)) => Ok(Sample { tokens: tokens as usize, seconds }),
            _ => Err(Failure::input(format!("the rivals' program answered {line:?}"))),
        }
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        let n = self.output.read_line(&mut line).map_err(|e| Failure::input(format!("rivals: {e}")))?;
        if n == 0 {
            return Err(Failure::input("the rivals' program ended without an answer"));
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Rivals {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nanoseconds to count the first kilobyte of the first text, again and again.
fn short_prompt(encoding: &Encoding, corpora: &[Corpus]) -> f64 {
    let Some(corpus) = corpora.first() else { return 0.0 };
    let text = &corpus.text[..corpus.text.floor_char_boundary(1024)];
    let mut best = f64::MAX;
    for _ in 0..200 {
        let began = Instant::now();
        for _ in 0..100 {
            black_box(encoding.count(black_box(text)));
        }
        best = best.min(began.elapsed().as_secs_f64() / 100.0);
    }
    best * 1e9
}

/// A folder for the made texts, gone with the value.
struct TextFolder(PathBuf);

impl TextFolder {
    fn new() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("lacon-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)
            .map_err(|e| Failure::input(format!("{}: cannot be made: {e}", folder.display())))?;
        Ok(Self(folder))
    }
}

impl Drop for TextFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What the made texts consist of: name, folders, endings of file names.
const SOURCES: [(&str, &[&str], &[&str]); 3] = [
    (
        "prompts",
        &["../shared", "docs", "/usr/share/doc", "/usr/lib/node_modules"],
        &["md", "txt", "rst", "html"],
    ),
    ("code", &["crates", "/usr/include", "/usr/lib/python3"], &["rs", "h", "py", "js"]),
    (
        "multilingual",
        &[
            "/usr/lib/systemd/catalog",
            "/usr/share/vim",
            "/usr/share/polkit-1",
            "/var/lib/dpkg/info",
            "/usr/share/i18n/locales",
        ],
        &["catalog", "utf-8", "policy", "templates"],
    ),
];

fn corpora(args: &BenchTokensArgs, folder: &Path) -> Result<Vec<Corpus>, Failure> {
    let limit = args.megabytes.clamp(1, 1024) * 1_000_000;
    if !args.corpus.is_empty() {
        return args
            .corpus
            .iter()
            .map(|given| {
                let (name, path) = given
                    .split_once('=')
                    .ok_or_else(|| Failure::input(format!("--corpus is {given:?}, NAME=FILE is needed")))?;
                let mut text = super::super::read_text(Path::new(path))?;
                text.truncate(text.floor_char_boundary(limit));
                Ok(Corpus { name: name.to_owned(), path: PathBuf::from(path), text })
            })
            .collect();
    }
    let mut corpora = Vec::new();
    for (name, folders, endings) in SOURCES {
        let mut text = String::new();
        for source in folders {
            // Each folder gives its share, so that one kind of file does not fill the text.
            let share = text.len() + limit / folders.len();
            gather(Path::new(source), endings, share.min(limit), &mut text);
        }
        if text.len() > 10_000 {
            corpora.push((name, text));
        } else {
            text::warn(&format!("no files for the text {name:?} on this machine: left out"));
        }
    }
    corpora.push(("tables", tables(limit)));
    corpora
        .into_iter()
        .map(|(name, text)| {
            let path = folder.join(name);
            std::fs::write(&path, &text)
                .map_err(|e| Failure::input(format!("{}: cannot be written: {e}", path.display())))?;
            Ok(Corpus { name: name.to_owned(), path, text })
        })
        .collect()
}

/// Appends the text files below `folder` in order of their names, until there are `limit` bytes.
fn gather(folder: &Path, endings: &[&str], limit: usize, text: &mut String) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if text.len() >= limit || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            gather(&path, endings, limit, text);
        } else if path.extension().is_some_and(|e| endings.iter().any(|ending| e == *ending))
            && let Ok(more) = std::fs::read_to_string(&path)
        {
            text.push_str(&more[..more.floor_char_boundary(60_000.min(limit - text.len()))]);
        }
    }
}

/// Daily prices and ratios as CSV and Markdown, the same on every machine.
fn tables(limit: usize) -> String {
    use std::fmt::Write as _;
    let mut state = 7_u64;
    let mut next = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let mut text = String::from("Date,Open,High,Low,Close,Volume\n");
    while text.len() < limit {
        let (cents, volume) = (next(90_000) + 500, next(90_000_000));
        let _ = writeln!(
            text,
            "2025-{:02}-{:02},{}.{:02},{}.{:02},{}.{:02},{}.{:04},{volume}",
            next(12) + 1,
            next(28) + 1,
            cents / 100,
            cents % 100,
            (cents + 90) / 100,
            next(100),
            (cents - 90) / 100,
            next(100),
            cents / 100,
            next(10_000),
        );
        if next(4) == 0 {
            let (a, b, c) = (next(1000), next(1_000_000), next(400));
            let _ =
                writeln!(text, "| EBITDA | {a} | {},{:03} | {}.{}% |", b / 1000, b % 1000, c / 10, c % 10);
        }
    }
    text
}

fn print(name: EncodingName, corpora: &[Corpus], table: &[Row], load_ms: f64, short_ns: f64) {
    text::out(&format!("{name}: MB/s of UTF-8, median of rounds (first pass over unseen text)"));
    let mut head = format!("{:28}", "");
    for corpus in corpora {
        head += &format!("{:>20}", corpus.name);
    }
    text::out(&head);
    let mut contenders: Vec<&str> = Vec::new();
    for row in table {
        if !contenders.contains(&row.contender.as_str()) {
            contenders.push(&row.contender);
        }
    }
    for contender in contenders {
        let mut line = format!("{contender:28}");
        for corpus in corpora {
            let row = table.iter().find(|row| row.contender == contender && row.corpus == corpus.name);
            line += &format!(
                "{:>20}",
                row.map_or(String::new(), |row| format!("{:.0} ({:.0})", row.warm, row.first))
            );
        }
        text::out(&line);
    }
    for corpus in corpora {
        let counts: Vec<&Row> = table.iter().filter(|row| row.corpus == corpus.name).collect();
        if let Some(other) = counts.iter().find(|row| row.tokens != counts[0].tokens) {
            text::warn(&format!(
                "{} counts {} tokens in {:?}, lacon {}",
                other.contender, other.tokens, corpus.name, counts[0].tokens
            ));
        }
    }
    text::out(&format!("load {load_ms:.1} ms, 1 KB prompt {short_ns:.0} ns"));
}

fn as_json(name: EncodingName, corpora: &[Corpus], table: &[Row], load_ms: f64, short_ns: f64) -> Value {
    let rows: Vec<Value> = table
        .iter()
        .map(|row| {
            json!({
                "contender": row.contender, "corpus": row.corpus, "tokens": row.tokens,
                "warm_mb_per_s": row.warm, "first_mb_per_s": row.first,
            })
        })
        .collect();
    let corpora: Vec<Value> =
        corpora.iter().map(|c| json!({ "name": c.name, "bytes": c.text.len() })).collect();
    json!({
        "schema_version": 1, "encoding": name.as_str(), "corpora": corpora, "rows": rows,
        "load_ms": load_ms, "short_prompt_ns": short_ns,
    })
}
