//! `lacon batch`: counts or compresses JSON lines or Parquet in threads, and can go on where it was stopped.
//!
//! The output has one line per input line, in order, so the number of whole lines in it says how far an earlier batch
//! came. A line that was cut off by a crash is cut away and done again. How Parquet goes on is said in [`parquet`].

#[cfg(feature = "parquet")]
mod parquet;

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, IsTerminal, Read, Seek, SeekFrom, Write},
    process::ExitCode,
    sync::atomic::AtomicBool,
    time::Instant,
};

use indicatif::{ProgressBar, ProgressStyle};
use lacon_prompt::{
    batch::{BatchOptions, BatchSummary, Done, run as run_batch},
    compress::{Options, compress},
};
use lacon_tokens::Encoding;
use serde_json::{Map, Value, json};

use super::prompt_input as input;
use crate::{
    args::prompt::{BatchArgs, BatchOp},
    failure::{Failure, GATE},
    text,
};

/// What is said of a line or row whose work panicked.
const BUG: &str = "a bug ended the work on this line";

fn unreadable(args: &BatchArgs, error: &std::io::Error) -> Failure {
    Failure::input(format!("cannot read {}: {error}", args.input.display()))
}

fn unwritable(args: &BatchArgs, error: &std::io::Error) -> Failure {
    Failure::input(format!("cannot write {}: {error}", args.output.display()))
}

fn too_many_done(args: &BatchArgs, done: u64) -> Failure {
    Failure::input(format!(
        "{} has {done} rows, more than {}\nhint: name the output of the same input, or leave out --resume",
        args.output.display(),
        args.input.display()
    ))
}

/// Runs the subcommand.
pub fn run(args: &BatchArgs) -> Result<ExitCode, Failure> {
    let encoding = input::encoding(&args.encoding)?;
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let bar = progress();
    let started = Instant::now();
    let (summary, done) = if args.output.extension().is_some_and(|end| end.eq_ignore_ascii_case("parquet")) {
        to_parquet(args, jobs, encoding, &bar)?
    } else {
        to_lines(args, jobs, encoding, &bar)?
    };
    bar.finish_and_clear();
    let elapsed = started.elapsed().as_secs_f64();
    if args.json {
        text::out(
            &json!({
                "schema_version": 1,
                "items": summary.items,
                "failed": summary.failed,
                "skipped": done,
                "jobs": jobs,
                "elapsed_s": elapsed,
            })
            .to_string(),
        );
    } else {
        text::note(&format!(
            "{} rows done, {} failed, {done} were there already; {elapsed:.2} s with {jobs} threads",
            summary.items, summary.failed
        ));
    }
    Ok(if summary.failed > 0 { ExitCode::from(GATE) } else { ExitCode::SUCCESS })
}

#[cfg(feature = "parquet")]
use parquet::write as to_parquet;

#[cfg(not(feature = "parquet"))]
fn to_parquet(
    _: &BatchArgs,
    _: usize,
    _: &'static Encoding,
    _: &ProgressBar,
) -> Result<(BatchSummary, u64), Failure> {
    Err(Failure::input("this build of lacon writes no Parquet\nhint: build it with --features parquet"))
}

/// Runs a batch whose output is JSON lines; gives what was done and how many lines were there.
fn to_lines(
    args: &BatchArgs,
    jobs: usize,
    encoding: &'static Encoding,
    bar: &ProgressBar,
) -> Result<(BatchSummary, u64), Failure> {
    let mut failed = None;
    let (output, done) = open_output(args).map_err(|e| unwritable(args, &e))?;
    let result = lines(args, done, bar, &mut failed).and_then(|lines| {
        let mut out = BufWriter::new(output);
        let summary = run_batch(
            lines,
            BatchOptions::jobs(jobs),
            &AtomicBool::new(false),
            |line| work(line, args, encoding),
            |index, item| {
                serde_json::to_writer(&mut out, &row_of(done + index, item)).map_err(std::io::Error::from)?;
                out.write_all(b"\n")
            },
        );
        let flushed = summary.and_then(|summary| {
            out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
            Ok(summary)
        });
        flushed.map_err(|e| unwritable(args, &e))
    })?;
    match failed {
        Some(failure) => Err(failure),
        None => Ok((result, done)),
    }
}

/// The lines of the input from line `skip` on; an error ends them and is left in `failed`.
fn lines<'a>(
    args: &'a BatchArgs,
    skip: u64,
    bar: &'a ProgressBar,
    failed: &'a mut Option<Failure>,
) -> Result<Box<dyn Iterator<Item = Vec<u8>> + 'a>, Failure> {
    #[cfg(feature = "parquet")]
    if parquet::is_parquet(args).map_err(|e| unreadable(args, &e))? {
        return Ok(Box::new(parquet::lines(args, skip, bar, failed)?));
    }
    let file = File::open(&args.input).map_err(|e| unreadable(args, &e))?;
    bar.set_length(file.metadata().map_or(0, |metadata| metadata.len()));
    let mut source = BufReader::new(file);
    skip_lines(args, &mut source, skip)?;
    Ok(Box::new(std::iter::from_fn(move || {
        let mut line = Vec::new();
        match source.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(n) => {
                bar.inc(n as u64);
                Some(line)
            }
            Err(error) => {
                *failed = Some(unreadable(args, &error));
                None
            }
        }
    })))
}

/// Reads past lines that an earlier batch did.
fn skip_lines(args: &BatchArgs, source: &mut impl BufRead, skip: u64) -> Result<(), Failure> {
    for _ in 0..skip {
        let n = source.skip_until(b'\n').map_err(|e| unreadable(args, &e))?;
        if n == 0 {
            return Err(too_many_done(args, skip));
        }
    }
    Ok(())
}

/// Opens the output and says how many whole lines it holds already.
fn open_output(args: &BatchArgs) -> std::io::Result<(File, u64)> {
    if !args.resume {
        return Ok((File::create(&args.output)?, 0));
    }
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&args.output)?;
    let (mut lines, mut whole, mut at) = (0, 0, 0);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        for (i, b) in buffer[..n].iter().enumerate() {
            if *b == b'\n' {
                lines += 1;
                whole = at + i as u64 + 1;
            }
        }
        at += n as u64;
    }
    file.set_len(whole)?;
    file.seek(SeekFrom::Start(whole))?;
    Ok((file, lines))
}

/// A bar over the bytes of lines, or the rows of Parquet.
fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent}% {eta}") {
        bar.set_style(style);
    }
    bar
}

fn utf8(text: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(text).map_err(|e| format!("no UTF-8 from byte {} on", e.valid_up_to()))
}

fn work(line: &[u8], args: &BatchArgs, encoding: &'static Encoding) -> Result<Map<String, Value>, String> {
    let value: Value = serde_json::from_str(utf8(line)?).map_err(|e| format!("no JSON: {e}"))?;
    let (mut row, source) = match value {
        Value::String(source) => (Map::new(), source),
        Value::Object(mut row) => match row.remove(&args.field) {
            Some(Value::String(source)) => (row, source),
            Some(_) => return Err(format!("field {:?} is no string", args.field)),
            None => return Err(format!("has no field {:?}", args.field)),
        },
        _ => return Err("is neither a string nor an object".to_owned()),
    };
    let (short, counts) = shorten(&source, args, encoding)?;
    if let Some(short) = short {
        row.insert(args.field.clone(), short.into());
    }
    for (name, count) in args.op.counts().iter().zip(counts) {
        row.insert((*name).to_owned(), count.into());
    }
    Ok(row)
}

/// What the operation makes of a text: the text that is kept, and the counts in the order of their names.
fn shorten(
    source: &str,
    args: &BatchArgs,
    encoding: &'static Encoding,
) -> Result<(Option<String>, Vec<i64>), String> {
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    match args.op {
        BatchOp::Count => Ok((None, vec![number(encoding.count(source))])),
        BatchOp::Compress => {
            let short = compress(source, Options::default(), None, encoding).map_err(|e| e.to_string())?;
            Ok((Some(short.text), vec![number(short.tokens_before), number(short.tokens_after)]))
        }
    }
}

/// One line of the output; a line that failed keeps what it was.
fn row_of(index: u64, item: Done<Vec<u8>, Map<String, Value>, String>) -> Value {
    let failed = |line: Vec<u8>, error: String| json!({"index": index, "error": error, "line": String::from_utf8_lossy(&line).trim_end_matches('\n')});
    match item {
        Done::Ok(fields) => {
            let mut row = Map::new();
            row.insert("index".to_owned(), index.into());
            row.extend(fields);
            Value::Object(row)
        }
        Done::Failed(line, error) => failed(line, error),
        Done::Panicked(line) => failed(line, BUG.to_owned()),
    }
}
