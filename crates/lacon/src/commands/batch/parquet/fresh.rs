//! JSON Lines to Parquet: some thousand rows a part, in columns of known type, with the rest of each row as JSON.

use std::{fs::File, io::BufReader, sync::atomic::AtomicBool};

use lacon_prompt::batch::{BatchOptions, BatchSummary, Done, run as run_batch};
use parquet::{
    basic::{LogicalType, Repetition},
    errors::ParquetError,
    schema::types::{Type, TypePtr},
};
use serde_json::Value;

use super::{super::Row, Parts, Work, add, bad_output, number_column, put_numbers, put_texts, text_column};
use crate::{args::prompt::BatchOp, failure::Failure};

/// Rows of a part.
const PART_ROWS: usize = 4096;
/// Bytes of input after which a part ends early.
const PART_BYTES: usize = 64 << 20;

/// The columns of the output.
fn schema(work: &Work<'_>) -> Result<TypePtr, ParquetError> {
    let mut fields = vec![number_column("index", Repetition::REQUIRED)?];
    if work.args.op == BatchOp::Compress {
        fields.push(text_column(&work.args.field, LogicalType::String)?);
    }
    for name in work.args.op.counts() {
        fields.push(number_column(name, Repetition::OPTIONAL)?);
    }
    fields.push(text_column("error", LogicalType::String)?);
    fields.push(text_column("row", LogicalType::Json)?);
    Ok(Type::group_type_builder("rows").with_fields(fields).build()?.into())
}

/// What a part holds, column by column.
#[derive(Default)]
struct Columns {
    texts: Vec<Option<Vec<u8>>>,
    counts: Vec<Vec<Option<i64>>>,
    errors: Vec<Option<Vec<u8>>>,
    rest: Vec<Option<Vec<u8>>>,
}

impl Columns {
    fn push(&mut self, work: &Work<'_>, done: Done<Vec<u8>, Row<'static>, String>) {
        self.counts.resize(work.args.op.counts().len(), Vec::new());
        let mut fail = |line: Vec<u8>, error: String| {
            let line = String::from_utf8_lossy(&line);
            self.rest.push(Some(Value::from(line.trim_end_matches('\n')).to_string().into_bytes()));
            self.errors.push(Some(error.into_bytes()));
            Row::default()
        };
        let mut row = match done {
            Done::Ok(row) => row,
            Done::Failed(line, error) => fail(line, error),
            Done::Panicked(line) => fail(line, super::super::BUG.to_owned()),
        };
        for (i, column) in self.counts.iter_mut().enumerate() {
            column.push(row.counts.get(i).copied());
        }
        if work.args.op == BatchOp::Compress {
            let at = row.members.iter().rposition(|(name, _)| *name == work.args.field);
            let text = at.and_then(|at| serde_json::from_str(&row.members.remove(at).1).ok());
            self.texts.push(text.map(String::into_bytes));
        }
        if self.errors.len() < self.counts[0].len() {
            self.errors.push(None);
            self.rest.push(row.to_json().map(String::into_bytes));
        }
    }
}

/// Writes the parts that are not there yet; gives what was done, the rows that were there, and the schema.
pub(super) fn write(work: &Work<'_>, parts: &Parts<'_>) -> Result<(BatchSummary, u64, TypePtr), Failure> {
    let unreadable = |error: std::io::Error| super::super::unreadable(work.args, &error);
    let written = |error: ParquetError| bad_output(work.args, &error);
    let schema = schema(work).map_err(written)?;
    let done = parts.done()?;
    let skip: u64 = done.iter().sum();
    let file = File::open(&work.args.input).map_err(unreadable)?;
    work.bar.set_length(file.metadata().map_or(0, |metadata| metadata.len()));
    let mut source = BufReader::new(file);
    super::super::skip_lines(work.args, &mut source, skip)?;
    let mut total = BatchSummary::default();
    let mut at = skip;
    for part in done.len().. {
        let mut columns = Columns::default();
        let (mut rows, mut bytes, mut failed) = (0, 0, None);
        let lines = std::iter::from_fn(|| {
            if rows == PART_ROWS || bytes >= PART_BYTES {
                return None;
            }
            match super::super::next_line(&mut source) {
                Ok((line, n)) => {
                    (rows, bytes) = (rows + usize::from(line.is_some()), bytes + n);
                    work.bar.inc(n as u64);
                    line
                }
                Err(error) => {
                    failed = Some(error);
                    None
                }
            }
        });
        let summary = run_batch(
            lines,
            BatchOptions::jobs(work.jobs),
            &AtomicBool::new(false),
            |line| super::super::work(line, work.args, work.encoding),
            |_, done| {
                columns.push(work, done);
                Ok::<(), std::convert::Infallible>(())
            },
        );
        let Ok(summary) = summary;
        if let Some(error) = failed {
            return Err(unreadable(error));
        }
        if summary.items == 0 {
            break;
        }
        add(&mut total, summary);
        parts.put(part, &schema, |group| {
            let index: Vec<Option<i64>> =
                (at..at + summary.items).map(|index| i64::try_from(index).ok()).collect();
            put_numbers(group, &index, true).map_err(written)?;
            if work.args.op == BatchOp::Compress {
                put_texts(group, &columns.texts).map_err(written)?;
            }
            for counts in &columns.counts {
                put_numbers(group, counts, false).map_err(written)?;
            }
            put_texts(group, &columns.errors).map_err(written)?;
            put_texts(group, &columns.rest).map_err(written)
        })?;
        at += summary.items;
    }
    Ok((total, skip, schema))
}
