//! Parquet in and out of `lacon batch`: one row group at a time; other columns are copied undecoded.
//!
//! The footer of a Parquet file is written last, so a file cut off by a crash is unreadable. A batch therefore writes
//! one whole file per row group into `OUT.parts`, each renamed when it is on disk. At the end their encoded columns are
//! joined in `OUT`. A killed batch leaves whole parts and one unfinished file, which is written again, so no row is
//! lost or doubled.

mod fresh;
mod groups;
mod parts;

use std::{
    fs::{self, File},
    io::{Read, Write},
};

use indicatif::ProgressBar;
use lacon_prompt::batch::BatchSummary;
use lacon_tokens::Encoding;
use parquet::{
    basic::{LogicalType, Repetition, Type as Physical},
    data_type::{ByteArray, ByteArrayType, Int64Type},
    errors::ParquetError,
    file::{
        reader::FileReader,
        serialized_reader::{ReadOptionsBuilder, SerializedFileReader},
        writer::SerializedRowGroupWriter,
    },
    record::reader::RowIter,
    schema::types::{Type, TypePtr},
};

use self::parts::Parts;
use crate::{args::prompt::BatchArgs, failure::Failure};

/// Records that are decoded or encoded at once.
const CHUNK: usize = 256;

/// Whether a file begins as Parquet does.
pub fn is_parquet(args: &BatchArgs) -> std::io::Result<bool> {
    let mut magic = Vec::new();
    File::open(&args.input)?.take(4).read_to_end(&mut magic)?;
    Ok(magic == b"PAR1")
}

fn bad_input(args: &BatchArgs, error: &ParquetError) -> Failure {
    let text = error.to_string();
    let hint = if text.contains("codec") || text.contains("feature") {
        "\nhint: write it with snappy, zstd or no compression"
    } else {
        ""
    };
    Failure::input(format!("cannot read {}: {text}{hint}", args.named().display()))
}

fn bad_output(args: &BatchArgs, error: &ParquetError) -> Failure {
    Failure::input(format!("cannot write {}: {error}", args.output.display()))
}

/// The rows of a Parquet file as JSON lines, from row `skip` on; an error ends them and is left in `failed`.
///
/// Whole row groups that are skipped are not decoded.
pub fn lines<'a>(
    args: &BatchArgs,
    skip: u64,
    bar: &'a ProgressBar,
    failed: &'a mut Option<Failure>,
) -> Result<impl Iterator<Item = Vec<u8>> + use<'a>, Failure> {
    let open = || File::open(&args.input).map_err(ParquetError::from);
    let unread = |error: ParquetError| bad_input(args, &error);
    let whole = open().and_then(SerializedFileReader::new).map_err(unread)?;
    let rows: Vec<u64> = whole.metadata().row_groups().iter().map(|group| count(group.num_rows())).collect();
    let (first, before) = first_group(&rows, skip);
    let options = ReadOptionsBuilder::new().with_predicate(Box::new(move |_, group| group >= first)).build();
    let reader =
        open().and_then(|file| SerializedFileReader::new_with_options(file, options)).map_err(unread)?;
    let total: u64 = rows.iter().sum();
    if skip > total {
        return Err(super::too_many_done(args, skip));
    }
    bar.set_length(total);
    bar.set_position(skip);
    let mut rows = RowIter::from_file_into(Box::new(reader));
    let mut left = skip - before;
    let name = args.named().display().to_string();
    Ok(std::iter::from_fn(move || {
        loop {
            match rows.next()? {
                Ok(_) if left > 0 => left -= 1,
                Ok(row) => {
                    bar.inc(1);
                    return Some(row.to_json_value().to_string().into_bytes());
                }
                Err(error) => {
                    *failed = Some(Failure::input(format!("cannot read {name}: {error}")));
                    return None;
                }
            }
        }
    }))
}

/// The row group that holds row `skip`, and how many rows are before it.
fn first_group(rows: &[u64], skip: u64) -> (usize, u64) {
    let mut before = 0;
    for (group, rows) in rows.iter().enumerate() {
        if before + rows > skip {
            return (group, before);
        }
        before += rows;
    }
    (rows.len(), before)
}

fn count(rows: i64) -> u64 {
    u64::try_from(rows).unwrap_or(0)
}

/// Runs a batch whose output is Parquet.
pub fn write(
    args: &BatchArgs,
    jobs: usize,
    encoding: &'static Encoding,
    bar: &ProgressBar,
) -> Result<(BatchSummary, u64), Failure> {
    let from_parquet = is_parquet(args).map_err(|e| super::unreadable(args, &e))?;
    let parts = Parts::open(args)?;
    if let Some(rows) = parts.finished()? {
        fs::remove_dir_all(&parts.folder).or_else(absent).map_err(|e| super::unwritable(args, &e))?;
        return Ok((BatchSummary::default(), rows));
    }
    let work = Work { args, jobs, encoding, bar };
    let (summary, done, schema) =
        if from_parquet { groups::write(&work, &parts)? } else { fresh::write(&work, &parts)? };
    parts.join(&schema)?;
    Ok((summary, done))
}

/// What a batch works with.
struct Work<'a> {
    args: &'a BatchArgs,
    jobs: usize,
    encoding: &'static Encoding,
    bar: &'a ProgressBar,
}

fn absent(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Adds one batch's summary to another's.
fn add(total: &mut BatchSummary, part: BatchSummary) {
    total.items += part.items;
    total.failed += part.failed;
    total.cancelled |= part.cancelled;
}

/// A required or optional column of whole numbers.
fn number_column(name: &str, repetition: Repetition) -> Result<TypePtr, ParquetError> {
    Ok(Type::primitive_type_builder(name, Physical::INT64).with_repetition(repetition).build()?.into())
}

/// An optional column of text.
fn text_column(name: &str, kind: LogicalType) -> Result<TypePtr, ParquetError> {
    let column = Type::primitive_type_builder(name, Physical::BYTE_ARRAY)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(Some(kind));
    Ok(column.build()?.into())
}

fn put_numbers<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[Option<i64>],
    required: bool,
) -> Result<(), ParquetError> {
    let mut column = group.next_column()?.ok_or_else(no_column)?;
    for chunk in values.chunks(CHUNK) {
        let some: Vec<i64> = chunk.iter().flatten().copied().collect();
        let levels: Vec<i16> = chunk.iter().map(|value| i16::from(value.is_some())).collect();
        let levels = (!required).then_some(levels.as_slice());
        column.typed::<Int64Type>().write_batch(&some, levels, None)?;
    }
    column.close()
}

fn put_texts<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[Option<Vec<u8>>],
) -> Result<(), ParquetError> {
    let mut column = group.next_column()?.ok_or_else(no_column)?;
    for chunk in values.chunks(CHUNK) {
        let some: Vec<ByteArray> = chunk.iter().flatten().cloned().map(ByteArray::from).collect();
        let levels: Vec<i16> = chunk.iter().map(|value| i16::from(value.is_some())).collect();
        column.typed::<ByteArrayType>().write_batch(&some, Some(&levels), None)?;
    }
    column.close()
}

fn no_column() -> ParquetError {
    ParquetError::General("the schema has fewer columns than were written".to_owned())
}
