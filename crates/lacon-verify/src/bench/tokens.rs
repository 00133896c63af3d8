//! `lacon bench tokens`: megabytes of UTF-8 a second on four kinds of text, in interleaved rounds, beside other
//! tokenizers.
//!
//! The others live in their own programs (`benchmarks/rivals`) and are asked for one measurement at a time, so each
//! round has every program in turn. Before the first pass over a text every program is started afresh, because one that
//! has seen another text knows its words.

mod checks;
mod corpora;
mod rivals;
mod threads;

use std::{cell::RefCell, hint::black_box, num::NonZeroUsize, process::ExitCode, rc::Rc, time::Instant};

use lacon_tokens::{Encoding, EncodingName, Vectors, encoding, loads};
use serde_json::{Value, json};

use self::{
    checks::Check,
    corpora::{Corpus, Definition, TextFolder, corpora},
    rivals::Rivals,
};
use crate::args::bench::BenchTokensArgs;
use lacon::{failure::Failure, text};

/// Measures and prints.
pub fn run(args: &BenchTokensArgs) -> Result<ExitCode, Failure> {
    let name: EncodingName = args.encoding.parse().map_err(Failure::input)?;
    let definition = Definition::built_in()?;
    let ours = encoding(name);
    let load = loads().into_iter().find(|l| l.encoding == name);
    let mut checks = Vec::new();
    if let Some(load) = load {
        checks.push(Check::at_most("load, ms", load.took.as_secs_f64() * 1e3, definition.gates.load_ms));
        checks.push(Check::at_most("tables, MB", load.bytes as f64 / 1e6, definition.gates.resident_mb));
    }
    if args.checks {
        checks::growth(ours, &definition.gates, &mut checks);
        checks::event_loop(ours, &definition.gates, &mut checks)?;
        checks::cache_threshold(ours, &mut checks);
        print_checks(args, name, &checks);
        return Ok(ExitCode::SUCCESS);
    }
    let folder = TextFolder::new()?;
    let corpora = corpora(args, &definition, &folder.0)?;
    let rounds = args.rounds.max(1);
    if args.threads {
        threads::ratios(ours, &corpora, rounds, &definition.gates, &mut checks);
        print_checks(args, name, &checks);
        return Ok(ExitCode::SUCCESS);
    }
    let mut contenders = contenders(args, name)?;
    let mut table = Vec::new();
    for corpus in &corpora {
        for contender in &contenders {
            contender.forget()?;
        }
        let firsts: Vec<Sample> =
            contenders.iter_mut().map(|c| c.measure(corpus)).collect::<Result<_, _>>()?;
        let mut seconds = vec![Vec::new(); contenders.len()];
        for _ in 0..rounds {
            for (contender, seconds) in contenders.iter_mut().zip(&mut seconds) {
                seconds.push(contender.measure(corpus)?.seconds);
            }
        }
        for ((contender, first), mut seconds) in contenders.iter().zip(firsts).zip(seconds) {
            seconds.sort_by(f64::total_cmp);
            let speed = |seconds: f64| corpus.text.len() as f64 / 1e6 / seconds;
            table.push(Row {
                contender: contender.name.clone(),
                corpus: corpus.name.clone(),
                tokens: first.tokens,
                rival: contender.is_rival(),
                warm: speed(seconds[seconds.len() / 2]),
                best: speed(seconds[0]),
                first: speed(first.seconds),
            });
        }
    }
    short_prompts(ours, &mut contenders, &corpora, &folder, &definition, &mut checks)?;
    verdicts(&corpora, &definition, &table, &mut checks);
    threads::ratios(ours, &corpora, rounds, &definition.gates, &mut checks);
    if args.json {
        text::out(&as_json(name, &corpora, &table, &checks).to_string());
    } else {
        print(name, &corpora, &table);
        print_checks(args, name, &checks);
    }
    Ok(ExitCode::SUCCESS)
}

/// One contender on one text.
struct Row {
    contender: String,
    corpus: String,
    tokens: usize,
    rival: bool,
    /// MB/s: median of the rounds, best round, first pass.
    warm: f64,
    best: f64,
    first: f64,
}

/// One measurement.
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

const COUNT: &str = "lacon count";
const ENCODE: &str = "lacon encode";
/// In the table, amid the other contenders; its ratio to one thread is measured apart.
const TWO_THREADS: &str = "lacon count, 2 threads";

struct Contender {
    name: String,
    kind: Kind,
}

enum Kind {
    Lacon(RefCell<Encoding>, Vectors, Operation),
    Rival(Rc<RefCell<Rivals>>, String),
}

fn contenders(args: &BenchTokensArgs, name: EncodingName) -> Result<Vec<Contender>, Failure> {
    let ours = encoding(name);
    let lacon = |name: &str, vectors: Vectors, operation| Contender {
        name: name.to_owned(),
        kind: Kind::Lacon(RefCell::new(ours.with_vectors(vectors)), vectors, operation),
    };
    let mut contenders = vec![
        lacon(COUNT, Vectors::detect(), Operation::Count),
        lacon("lacon count, no vectors", Vectors::None, Operation::Count),
        lacon(ENCODE, Vectors::detect(), Operation::Encode),
        lacon(TWO_THREADS, Vectors::detect(), Operation::TwoThreads),
    ];
    for program in &args.rivals {
        let (rivals, names) = Rivals::start(program, name)?;
        let shared = Rc::new(RefCell::new(rivals));
        contenders.extend(
            names
                .into_iter()
                .map(|name| Contender { name: name.clone(), kind: Kind::Rival(Rc::clone(&shared), name) }),
        );
    }
    Ok(contenders)
}

impl Contender {
    fn is_rival(&self) -> bool {
        matches!(self.kind, Kind::Rival(..))
    }

    /// Leaves behind what was seen of other texts.
    fn forget(&self) -> Result<(), Failure> {
        match &self.kind {
            // An encoding with tables of its own.
            Kind::Lacon(encoding, vectors, _) => {
                let fresh = encoding.borrow().with_vectors(*vectors);
                encoding.replace(fresh);
                Ok(())
            }
            Kind::Rival(rivals, _) => rivals.borrow_mut().restart(),
        }
    }

    fn measure(&mut self, corpus: &Corpus) -> Result<Sample, Failure> {
        let text = corpus.text.as_str();
        match &self.kind {
            Kind::Rival(rivals, name) => rivals.borrow_mut().ask(name, &corpus.path),
            Kind::Lacon(encoding, _, operation) => {
                let encoding = encoding.borrow();
                let began = Instant::now();
                let tokens = match operation {
                    Operation::Count => encoding.count(black_box(text)),
                    Operation::Encode => encoding.encode(black_box(text)).len(),
                    Operation::TwoThreads => {
                        encoding.count_parallel(black_box(text), NonZeroUsize::MIN.saturating_add(1))
                    }
                };
                Ok(Sample { tokens, seconds: began.elapsed().as_secs_f64() })
            }
        }
    }
}

/// Nanoseconds for the first kilobyte of the first text, again and again: the best of many.
fn short_prompts(
    ours: &Encoding,
    contenders: &mut [Contender],
    corpora: &[Corpus],
    folder: &TextFolder,
    definition: &Definition,
    checks: &mut Vec<Check>,
) -> Result<(), Failure> {
    const TIMES: usize = 400;
    // Reading the clock takes some tens of nanoseconds: ours alone is also timed over so many counts at once.
    const IN_A_ROW: usize = 16;
    let Some(corpus) = corpora.first() else { return Ok(()) };
    let text = corpus.text[..corpus.text.floor_char_boundary(1024)].to_owned();
    let path = folder.0.join("short");
    std::fs::write(&path, &text)
        .map_err(|e| Failure::input(format!("{}: cannot be written: {e}", path.display())))?;
    let short = Corpus { name: "short".to_owned(), gate: 0.0, target: 0.0, path, text };
    for contender in contenders {
        let wanted = contender.is_rival() || contender.name == COUNT;
        let mut best = f64::MAX;
        for _ in 0..if wanted { TIMES } else { 0 } {
            best = best.min(contender.measure(&short)?.seconds);
        }
        if contender.name == COUNT {
            let in_a_row = || {
                let began = Instant::now();
                for _ in 0..IN_A_ROW {
                    black_box(ours.count(black_box(&short.text)));
                }
                began.elapsed().as_secs_f64() / IN_A_ROW as f64
            };
            let mean = (0..TIMES).map(|_| in_a_row()).fold(f64::MAX, f64::min);
            checks.push(Check::at_most("1 KB prompt, ns", mean * 1e9, definition.gates.short_prompt_ns));
            let name = "1 KB prompt as the rivals' is timed, one count at a time, ns".to_owned();
            checks.push(Check::told(name, best * 1e9));
        } else if wanted {
            checks.push(Check::told(format!("1 KB prompt of {}, ns", contender.name), best * 1e9));
        }
    }
    Ok(())
}

/// Ratios to the fastest rival on each text.
fn verdicts(corpora: &[Corpus], definition: &Definition, table: &[Row], checks: &mut Vec<Check>) {
    let gates = &definition.gates;
    for corpus in corpora {
        let rows = || table.iter().filter(|row| row.corpus == corpus.name);
        let ours = |name: &str| rows().find(|row| row.contender == name);
        let fastest = |speed: fn(&Row) -> f64| {
            rows().filter(|row| row.rival).max_by(|a, b| speed(a).total_cmp(&speed(b)))
        };
        let (Some(count), Some(encode)) = (ours(COUNT), ours(ENCODE)) else { continue };
        let mut ratio = |what: &str, ours: &Row, speed: fn(&Row) -> f64, gate: f64, target: Option<f64>| {
            let Some(rival) = fastest(speed) else { return };
            let name = format!("{what} of {}, to {}", corpus.name, rival.contender);
            let mut check = Check::at_least(&name, speed(ours) / speed(rival), gate);
            check.target = target;
            checks.push(check);
        };
        ratio("count", count, |row| row.warm, corpus.gate, Some(corpus.target));
        ratio("count, best rounds", count, |row| row.best, corpus.gate, Some(corpus.target));
        ratio("first pass", count, |row| row.first, gates.first, None);
        ratio("encode", encode, |row| row.warm, gates.encode, None);
        ratio("encode, best rounds", encode, |row| row.best, gates.encode, None);
    }
}

fn print(name: EncodingName, corpora: &[Corpus], table: &[Row]) {
    text::out(&format!("{name}: MB/s of UTF-8, median of rounds / best round (first pass over unseen text)"));
    let mut head = format!("{:26}", "");
    for corpus in corpora {
        head += &format!("{:>22}", corpus.name);
    }
    text::out(&head);
    let mut contenders: Vec<&str> = Vec::new();
    for row in table {
        if !contenders.contains(&row.contender.as_str()) {
            contenders.push(&row.contender);
        }
    }
    for contender in contenders {
        let mut line = format!("{contender:26}");
        for corpus in corpora {
            let row = table.iter().find(|row| row.contender == contender && row.corpus == corpus.name);
            line += &format!(
                "{:>22}",
                row.map_or(String::new(), |row| format!(
                    "{:.0} / {:.0} ({:.0})",
                    row.warm, row.best, row.first
                ))
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
}

fn print_checks(args: &BenchTokensArgs, name: EncodingName, checks: &[Check]) {
    if args.json {
        if args.checks || args.threads {
            let checks: Vec<Value> = checks.iter().map(Check::as_json).collect();
            text::out(
                &json!({ "schema_version": 1, "encoding": name.as_str(), "checks": checks }).to_string(),
            );
        }
        return;
    }
    for check in checks {
        text::out(&check.line());
    }
}

fn as_json(name: EncodingName, corpora: &[Corpus], table: &[Row], checks: &[Check]) -> Value {
    let rows: Vec<Value> = table
        .iter()
        .map(|row| {
            json!({
                "contender": row.contender, "corpus": row.corpus, "tokens": row.tokens, "rival": row.rival,
                "warm_mb_per_s": row.warm, "best_mb_per_s": row.best, "first_mb_per_s": row.first,
            })
        })
        .collect();
    let corpora: Vec<Value> =
        corpora.iter().map(|c| json!({ "name": c.name, "bytes": c.text.len() })).collect();
    let checks: Vec<Value> = checks.iter().map(Check::as_json).collect();
    json!({
        "schema_version": 1, "encoding": name.as_str(), "corpora": corpora, "rows": rows, "checks": checks,
    })
}
