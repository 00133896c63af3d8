//! `lacon batch`: counts or compresses JSON Lines or Parquet in threads, and resumes after an interruption.
//!
//! The output has one line per input line, in order, so its number of whole lines tells how far an earlier batch came.
//! A line cut off by a crash is removed and repeated. [`parquet`] explains how Parquet resumes.

#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "stores")]
mod remote;

use std::{
    borrow::Cow,
    fmt::Write as _,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, IsTerminal, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
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
use serde_json::{Value, json, value::RawValue};

use super::prompt_input as input;
use crate::{
    args::prompt::{BatchArgs, BatchOp},
    failure::{Failure, GATE},
    text,
};

/// What is said of a line or row whose work panicked.
const BUG: &str = "a bug ended the work on this line";

fn unreadable(args: &BatchArgs, error: &std::io::Error) -> Failure {
    Failure::input(format!("cannot read {}: {error}", args.named().display()))
}

fn unwritable(args: &BatchArgs, error: &std::io::Error) -> Failure {
    Failure::input(format!("cannot write {}: {error}", args.output.display()))
}

fn too_many_done(args: &BatchArgs, done: u64) -> Failure {
    Failure::input(format!(
        "{} has {done} rows, more than {}\nhint: name the output of the same input, or leave out --resume",
        args.output.display(),
        args.named().display()
    ))
}

/// Runs the subcommand.
pub fn run(args: &BatchArgs) -> Result<ExitCode, Failure> {
    let encoding = input::encoding(&args.encoding)?;
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    if is_remote(&args.input) || is_remote(&args.output) {
        return remote(args, jobs, encoding);
    }
    local(args, jobs, encoding)
}

/// Whether a path is the address of an object.
fn is_remote(path: &Path) -> bool {
    const SCHEMES: [&str; 5] = ["s3", "gs", "az", "http", "https"];
    path.to_str().and_then(|path| path.split_once("://")).is_some_and(|(scheme, _)| SCHEMES.contains(&scheme))
}

#[cfg(feature = "stores")]
use remote::run as remote;

#[cfg(not(feature = "stores"))]
fn remote(args: &BatchArgs, _: usize, _: &'static Encoding) -> Result<ExitCode, Failure> {
    let at = [&args.input, &args.output].into_iter().find(|path| is_remote(path)).unwrap_or(&args.input);
    Err(Failure::input(format!(
        "{}: this build of lacon reads and writes no object stores\nhint: build it with --features stores",
        at.display()
    )))
}

fn local(args: &BatchArgs, jobs: usize, encoding: &'static Encoding) -> Result<ExitCode, Failure> {
    std::fs::metadata(&args.input).map_err(|e| unreadable(args, &e))?;
    lacon_files::check(&args.output, [args.input.as_path()])?;
    let bar = progress();
    let started = Instant::now();
    let (summary, done) = if args.output.extension().is_some_and(|end| end.eq_ignore_ascii_case("parquet")) {
        to_parquet(args, jobs, encoding, &bar)?
    } else {
        to_lines(args, jobs, encoding, &bar)?
    };
    bar.finish_and_clear();
    Ok(told(args, jobs, summary, done, started))
}

/// Says what was done.
fn told(args: &BatchArgs, jobs: usize, summary: BatchSummary, done: u64, started: Instant) -> ExitCode {
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
            "{} rows done, {} failed, {done} done before; {elapsed:.2} s with {jobs} threads",
            summary.items, summary.failed
        ));
    }
    if summary.failed > 0 { ExitCode::from(GATE) } else { ExitCode::SUCCESS }
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
    Err(Failure::input("this build of lacon cannot write Parquet\nhint: build it with --features parquet"))
}

/// Runs a batch whose output is JSON lines; gives what was done and how many lines were there.
fn to_lines(
    args: &BatchArgs,
    jobs: usize,
    encoding: &'static Encoding,
    bar: &ProgressBar,
) -> Result<(BatchSummary, u64), Failure> {
    let mut failed = None;
    let written = |e: std::io::Error| unwritable(args, &e);
    let (output, done, part) = open_output(args)?;
    let result = lines(args, done, bar, &mut failed).and_then(|lines| {
        let mut out = BufWriter::new(output);
        let summary = run_batch(
            lines,
            BatchOptions::jobs(jobs),
            &AtomicBool::new(false),
            |line| work(line, args, encoding),
            |index, item| out.write_all(line_of(done + index, item, args).as_bytes()),
        );
        let file = out.into_inner().map_err(std::io::IntoInnerError::into_error).map_err(written)?;
        Ok((summary.map_err(written)?, file))
    })?;
    if let Some(failure) = failed {
        return Err(failure);
    }
    match part {
        Some(part) => lacon_files::finish(&result.1, &part, &args.output).map_err(written)?,
        None if lacon_files::is_special(&args.output) => {}
        None => result.1.sync_all().map_err(written)?,
    }
    Ok((result.0, done))
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
    Ok(Box::new(std::iter::from_fn(move || match next_line(&mut source) {
        Ok((line, n)) => {
            bar.inc(n as u64);
            line
        }
        Err(error) => {
            *failed = Some(unreadable(args, &error));
            None
        }
    })))
}

/// The next line that is not blank, and the bytes that were read for it. A byte order mark belongs to no line.
fn next_line(source: &mut impl BufRead) -> std::io::Result<(Option<Vec<u8>>, usize)> {
    let (mut line, mut bytes) = (Vec::new(), 0);
    loop {
        let n = source.read_until(b'\n', &mut line)?;
        bytes += n;
        if line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        if n == 0 {
            return Ok((None, bytes));
        }
        if !line.trim_ascii().is_empty() {
            return Ok((Some(line), bytes));
        }
        line.clear();
    }
}

/// Reads past lines that an earlier batch did.
fn skip_lines(args: &BatchArgs, source: &mut impl BufRead, skip: u64) -> Result<(), Failure> {
    for _ in 0..skip {
        if next_line(source).map_err(|e| unreadable(args, &e))?.0.is_none() {
            return Err(too_many_done(args, skip));
        }
    }
    Ok(())
}

/// Opens the output and says how many whole lines it holds already, and which file is to be renamed into its place.
///
/// A batch writes beside the output; one that was stopped leaves that file for `--resume`.
fn open_output(args: &BatchArgs) -> Result<(File, u64, Option<PathBuf>), Failure> {
    let failed = |e: std::io::Error| unwritable(args, &e);
    let part = lacon_files::beside(&args.output, ".part");
    lacon_files::check(&part, [args.input.as_path()])?;
    if lacon_files::is_special(&args.output) {
        let file = OpenOptions::new().write(true).open(&args.output).map_err(failed)?;
        return Ok((file, 0, None));
    }
    if !args.resume {
        return Ok((File::create(&part).map_err(failed)?, 0, Some(part)));
    }
    let part = (part.exists() || !args.output.exists()).then_some(part);
    let (file, lines) = open_lines(part.as_ref().unwrap_or(&args.output)).map_err(failed)?;
    Ok((file, lines, part))
}

/// Opens a file behind its last whole line, of which there are so many.
fn open_lines(path: &Path) -> std::io::Result<(File, u64)> {
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

/// A row that was done: its members as they came, and what was counted.
#[derive(Default)]
struct Row<'a> {
    /// Names and values, each as JSON. The text is among them where it is kept.
    members: Vec<(String, Cow<'a, str>)>,
    counts: Vec<i64>,
}

impl Row<'_> {
    /// A name of ours, or another one where the user's row has it.
    fn free_name(&self, name: &str) -> String {
        let mut name = name.to_owned();
        while self.members.iter().any(|(taken, _)| *taken == name) {
            name = format!("lacon_{name}");
        }
        name
    }

    /// The members as an object; `None` where there are none.
    #[cfg(feature = "parquet")]
    fn to_json(&self) -> Option<String> {
        let member =
            |(name, value): &(String, Cow<'_, str>)| format!("{}:{value}", Value::from(name.as_str()));
        let members: Vec<String> = self.members.iter().map(member).collect();
        (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
    }

    fn into_owned(self) -> Row<'static> {
        let owned = |(name, value): (String, Cow<'_, str>)| (name, Cow::Owned(value.into_owned()));
        Row { members: self.members.into_iter().map(owned).collect(), counts: self.counts }
    }
}

fn work(line: &[u8], args: &BatchArgs, encoding: &'static Encoding) -> Result<Row<'static>, String> {
    let line = utf8(line)?.trim();
    let no_text = |value: &str| match serde_json::from_str::<Value>(value) {
        Ok(_) => format!("field {:?} is not a string", args.field),
        Err(error) => format!("field {:?} is not text: {error}", args.field),
    };
    if line.starts_with('"') {
        let source: String = serde_json::from_str(line).map_err(|e| format!("no JSON: {e}"))?;
        let (short, counts) = shorten(&source, args, encoding)?;
        let members = short.map(|short| (args.field.clone(), Value::from(short).to_string().into()));
        return Ok(Row { members: members.into_iter().collect(), counts });
    }
    let Members(mut members) = match serde_json::from_str(line) {
        Ok(members) => members,
        Err(_) if serde_json::from_str::<&RawValue>(line).is_ok() && !line.starts_with('{') => {
            return Err("is neither a string nor an object".to_owned());
        }
        Err(error) => return Err(format!("no JSON: {error}")),
    };
    // Of doubled members the last one counts, as everywhere.
    let Some(at) = members.iter().rposition(|(name, _)| *name == args.field) else {
        return Err(format!("has no field {:?}", args.field));
    };
    let source: String = serde_json::from_str(members[at].1).map_err(|_| no_text(members[at].1))?;
    let (short, counts) = shorten(&source, args, encoding)?;
    let short = short.map(|short| Value::from(short).to_string());
    if short.is_none() {
        members.retain(|(name, _)| *name != args.field);
    }
    let mut members: Vec<(String, Cow<'_, str>)> =
        members.into_iter().map(|(name, value)| (name, value.into())).collect();
    if let Some(short) = short {
        members[at].1 = short.into();
    }
    Ok(Row { members, counts }.into_owned())
}

/// The members of an object in their order, doubled ones too, with their values as they stand there.
struct Members<'j>(Vec<(String, &'j str)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> serde::de::Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((name, value.get()));
                }
                Ok(Members(members))
            }
        }
        json.deserialize_map(Reader)
    }
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
fn line_of(index: u64, item: Done<Vec<u8>, Row<'static>, String>, args: &BatchArgs) -> String {
    let failed = |line: Vec<u8>, error: String| {
        let line = String::from_utf8_lossy(&line);
        format!("{}\n", json!({"index": index, "error": error, "line": line.trim_end_matches('\n')}))
    };
    match item {
        Done::Ok(row) => {
            let mut out = format!("{{{}:{index}", Value::from(row.free_name("index")));
            for (name, value) in &row.members {
                let _ = write!(out, ",{}:{value}", Value::from(name.as_str()));
            }
            for (name, count) in args.op.counts().iter().zip(&row.counts) {
                let _ = write!(out, ",{}:{count}", Value::from(row.free_name(name)));
            }
            out.push_str("}\n");
            out
        }
        Done::Failed(line, error) => failed(line, error),
        Done::Panicked(line) => failed(line, BUG.to_owned()),
    }
}
