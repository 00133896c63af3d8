//! Batches from and to object stores. The input is fetched into a temporary file. JSON lines go out in parts beside the output, and
//! the parts become one object at the end, so that `--resume` goes on from any machine. Parquet is made here and goes out whole.
//!
//! The part of no rows is made first and removed first. While it is there, the output is not finished, whatever lies in its place.

use std::{path::Path, process::ExitCode, sync::atomic::AtomicBool, time::Instant};

use lacon_prompt::batch::{BatchOptions, run as run_batch};
use lacon_tokens::Encoding;
use object_store::path::Path as Key;

use super::{is_remote, line_of, lines, local, progress, told, work};
use crate::{
    args::prompt::BatchArgs,
    failure::Failure,
    stores::{Object, event_loop},
};

/// Bytes of a part. A stop repeats at most one.
const PART: usize = 8 << 20;

/// Runs a batch one of whose ends is an object.
pub fn run(args: &BatchArgs, jobs: usize, encoding: &'static Encoding) -> Result<ExitCode, Failure> {
    let runtime = event_loop()?;
    let object =
        |path: &Path| is_remote(path).then(|| Object::at(&path.to_string_lossy(), &runtime)).transpose();
    if args.output.to_str().is_some_and(|output| output.starts_with("http")) {
        return Err(Failure::input(format!(
            "{}: http addresses are only read\nhint: write to s3://, gs://, az:// or a file",
            args.output.display()
        )));
    }
    let (input, output) = (object(&args.input)?, object(&args.output)?);
    if let (Some(input), Some(output)) = (&input, &output)
        && output.holds(input, &folder(output))
    {
        return Err(Failure::input(format!(
            "{} is the input {}, which writing would destroy\nhint: name another output",
            output.address, input.address
        )));
    }
    let scratch =
        tempfile::tempdir().map_err(|e| Failure::input(format!("cannot make a temporary folder: {e}")))?;
    let mut here = args.clone();
    if let Some(input) = input {
        here.input = scratch.path().join("input");
        here.fetched_from = Some(args.input.clone());
        input.fetch(&here.input)?;
    }
    match output {
        None => local(&here, jobs, encoding),
        Some(object) if args.output.extension().is_some_and(|end| end.eq_ignore_ascii_case("parquet")) => {
            here.output = scratch.path().join("output.parquet");
            here.resume = false;
            let code = local(&here, jobs, encoding)?;
            object.send(&here.output)?;
            Ok(code)
        }
        Some(object) => to_parts(&here, jobs, encoding, &object),
    }
}

/// Where the parts of an output lie.
fn folder(object: &Object) -> Key {
    Key::from(format!("{}.part", object.key))
}

/// The name of the part of these rows.
fn part(object: &Object, start: u64, end: u64) -> Key {
    Key::from(format!("{}/{start:012}-{end:012}", folder(object)))
}

/// What an earlier batch left: the objects that follow each other from the first row on, and how many rows they hold.
struct Left {
    chain: Vec<(Key, u64)>,
    rows: u64,
    /// Objects of no use, such as those of a batch that was given up.
    stale: Vec<Key>,
    /// Whether the output is whole and holds these rows.
    finished: bool,
}

impl Left {
    fn find(object: &Object, resume: bool) -> Result<Self, Failure> {
        let mut parts: Vec<(u64, u64, Key, u64)> = Vec::new();
        let mut left = Self { chain: Vec::new(), rows: 0, stale: Vec::new(), finished: false };
        for (key, size) in object.list(&folder(object))? {
            let rows = key.filename().and_then(|name| name.split_once('-'));
            match rows.and_then(|(start, end)| Some((start.parse().ok()?, end.parse().ok()?))) {
                Some((start, end)) if resume || end == 0 => parts.push((start, end, key, size)),
                _ => left.stale.push(key),
            }
        }
        parts.sort_unstable();
        let begun = parts.first().is_some_and(|(_, end, ..)| *end == 0);
        if resume
            && !begun
            && let Some(size) = object.size()?
        {
            left = Self {
                rows: object.lines()?,
                chain: vec![(object.key.clone(), size)],
                finished: true,
                ..left
            };
        }
        for (start, end, key, size) in parts {
            if (begun || left.finished) && start == left.rows && end >= start {
                left.chain.push((key, size));
                left.rows = end;
            } else {
                left.stale.push(key);
            }
        }
        Ok(left)
    }
}

fn to_parts(
    args: &BatchArgs,
    jobs: usize,
    encoding: &'static Encoding,
    object: &Object,
) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let Left { mut chain, rows: done, stale, finished } = Left::find(object, args.resume)?;
    let send = |start: u64, end: u64, content: Vec<u8>, chain: &mut Vec<(Key, u64)>| {
        let (key, size) = (part(object, start, end), content.len() as u64);
        if !object.create(&key, content)? {
            return Err(Failure::input(format!(
                "{} has rows {start} to {end} already, and they are others\nhint: another batch writes it; wait for it, or name another output",
                object.address
            )));
        }
        chain.push((key, size));
        Ok(())
    };
    if chain.is_empty() {
        send(0, 0, Vec::new(), &mut chain)?;
    }
    // In their order: without the first one, the others follow nothing.
    stale.iter().try_for_each(|key| object.remove(key))?;
    let found = chain.len();
    let (mut held, mut from, mut at) = (Vec::new(), done, done);
    let (bar, mut failed) = (progress(), None);
    let summary = run_batch(
        lines(args, done, &bar, &mut failed)?,
        BatchOptions::jobs(jobs),
        &AtomicBool::new(false),
        |line| work(line, args, encoding),
        |index, item| {
            held.extend_from_slice(line_of(done + index, item, args).as_bytes());
            at = done + index + 1;
            if held.len() >= PART {
                send(from, at, std::mem::take(&mut held), &mut chain)?;
                from = at;
            }
            Ok::<(), Failure>(())
        },
    )?;
    if !held.is_empty() {
        send(from, at, held, &mut chain)?;
    }
    if let Some(failure) = failed {
        return Err(failure);
    }
    bar.finish_and_clear();
    if !(finished && chain.len() == found && found == 1) {
        object.join(&chain)?;
        chain.iter().filter(|(key, _)| *key != object.key).try_for_each(|(key, _)| object.remove(key))?;
    }
    Ok(told(args, jobs, summary, done, started))
}
