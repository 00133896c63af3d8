//! `lacon batch`: counts or compresses JSON lines in threads, and can go on where it was stopped.
//!
//! The output has one line per input line, in order, so the number of whole lines in it says how far an earlier batch
//! came. A line that was cut off by a crash is cut away and done again.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, IsTerminal, Read, Seek, SeekFrom, Write},
    path::Path,
    process::ExitCode,
    sync::atomic::AtomicBool,
    time::Instant,
};

use indicatif::{ProgressBar, ProgressStyle};
use lacon_prompt::{
    batch::{BatchOptions, Done, run as run_batch},
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

/// Runs the subcommand.
pub fn run(args: &BatchArgs) -> Result<ExitCode, Failure> {
    let encoding = input::encoding(&args.encoding)?;
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let unreadable = |e: std::io::Error| Failure::input(format!("cannot read {}: {e}", args.input.display()));
    let unwritable =
        |e: std::io::Error| Failure::input(format!("cannot write {}: {e}", args.output.display()));
    let mut source = BufReader::new(File::open(&args.input).map_err(unreadable)?);
    let (output, done) = open_output(&args.output, args.resume).map_err(unwritable)?;
    for _ in 0..done {
        let mut line = Vec::new();
        if source.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            return Err(Failure::input(format!(
                "{} has {done} lines, more than {}\nhint: name the output of the same input, or leave out --resume",
                args.output.display(),
                args.input.display()
            )));
        }
    }
    let bar = progress(std::fs::metadata(&args.input).map_or(0, |m| m.len()));
    let started = Instant::now();
    let mut read_error = None;
    let mut read_bytes = 0u64;
    let lines = std::iter::from_fn(|| {
        let mut line = Vec::new();
        match source.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(n) => {
                read_bytes += n as u64;
                bar.set_position(read_bytes);
                Some(line)
            }
            Err(error) => {
                read_error = Some(error);
                None
            }
        }
    });
    let mut out = BufWriter::new(output);
    let cancel = AtomicBool::new(false);
    let summary = run_batch(
        lines,
        BatchOptions::jobs(jobs),
        &cancel,
        |line| work(line, args, encoding),
        |index, item| {
            let row = row_of(done + index, item);
            serde_json::to_writer(&mut out, &row).map_err(std::io::Error::from)?;
            out.write_all(b"\n")
        },
    )
    .map_err(unwritable)?;
    let file = out.into_inner().map_err(|e| unwritable(e.into_error()))?;
    file.sync_all().map_err(unwritable)?;
    bar.finish_and_clear();
    if let Some(error) = read_error {
        return Err(unreadable(error));
    }
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
            "{} lines done, {} failed, {done} were there already; {elapsed:.2} s with {jobs} threads",
            summary.items, summary.failed
        ));
    }
    Ok(if summary.failed > 0 { ExitCode::from(GATE) } else { ExitCode::SUCCESS })
}

/// Opens the output and says how many whole lines it holds already.
fn open_output(path: &Path, resume: bool) -> std::io::Result<(File, u64)> {
    if !resume {
        return Ok((File::create(path)?, 0));
    }
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
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

fn progress(bytes: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {eta}") {
        bar.set_style(style);
    }
    bar
}

fn work(line: &[u8], args: &BatchArgs, encoding: &'static Encoding) -> Result<Map<String, Value>, String> {
    let line = std::str::from_utf8(line).map_err(|e| format!("no UTF-8 from byte {} on", e.valid_up_to()))?;
    let value: Value = serde_json::from_str(line).map_err(|e| format!("no JSON: {e}"))?;
    let (mut row, source) = match value {
        Value::String(source) => (Map::new(), source),
        Value::Object(mut row) => match row.remove(&args.field) {
            Some(Value::String(source)) => (row, source),
            Some(_) => return Err(format!("field {:?} is no string", args.field)),
            None => return Err(format!("has no field {:?}", args.field)),
        },
        _ => return Err("is neither a string nor an object".to_owned()),
    };
    match args.op {
        BatchOp::Count => {
            row.insert("tokens".to_owned(), encoding.count(&source).into());
        }
        BatchOp::Compress => {
            let short = compress(&source, Options::default(), None, encoding).map_err(|e| e.to_string())?;
            row.insert(args.field.clone(), short.text.into());
            row.insert("tokens_before".to_owned(), short.tokens_before.into());
            row.insert("tokens_after".to_owned(), short.tokens_after.into());
        }
    }
    Ok(row)
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
        Done::Panicked(line) => failed(line, "a bug ended the work on this line".to_owned()),
    }
}
