//! Parquet to Parquet: one row group in, one row group out; only the column with the text is decoded.

use std::{fs::File, io::BufWriter, sync::atomic::AtomicBool};

use lacon_prompt::batch::{BatchOptions, BatchSummary, Done, run as run_batch};
use parquet::{
    basic::{LogicalType, Repetition, Type as Physical},
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{ByteArray, ByteArrayType},
    errors::ParquetError,
    file::{reader::FileReader, serialized_reader::SerializedFileReader, writer::SerializedRowGroupWriter},
    schema::types::{Type, TypePtr},
};

use super::{
    CHUNK, Parts, Work, add, bad_input, bad_output, count, no_column, number_column, parts::copy,
    put_numbers, put_texts, text_column,
};
use crate::{args::prompt::BatchOp, failure::Failure};

/// The input, and what becomes of its columns.
struct Source<'a> {
    work: &'a Work<'a>,
    file: File,
    reader: SerializedFileReader<File>,
    schema: TypePtr,
    /// Leaf column of the text.
    text: usize,
    /// Whether the text may be missing.
    optional: bool,
    /// Whether a column with the index is written; the input may have one of its own.
    index: bool,
}

/// Writes the parts that are not there yet; gives what was done, the rows that were there, and the schema.
pub(super) fn write(work: &Work<'_>, parts: &Parts<'_>) -> Result<(BatchSummary, u64, TypePtr), Failure> {
    let source = open(work)?;
    let rows: Vec<u64> =
        source.reader.metadata().row_groups().iter().map(|group| count(group.num_rows())).collect();
    let done = parts.done()?;
    if !rows.starts_with(&done) {
        return Err(super::super::too_many_done(work.args, done.iter().sum()));
    }
    let skip: u64 = done.iter().sum();
    work.bar.set_length(rows.iter().sum());
    work.bar.set_position(skip);
    let mut total = BatchSummary::default();
    let mut at = skip;
    for (part, rows) in rows.iter().enumerate().skip(done.len()) {
        parts.put(part, &source.schema, |group| {
            add(&mut total, source.put_group(part, at, *rows, group)?);
            Ok(())
        })?;
        at += rows;
    }
    Ok((total, skip, source.schema))
}

fn open<'a>(work: &'a Work<'a>) -> Result<Source<'a>, Failure> {
    let args = work.args;
    let unread = |error: ParquetError| bad_input(args, &error);
    let file = File::open(&args.input).map_err(|e| super::super::unreadable(args, &e))?;
    let reader = file.try_clone().map_err(ParquetError::from).and_then(SerializedFileReader::new);
    let reader = reader.map_err(unread)?;
    let descriptor = reader.metadata().file_metadata().schema_descr_ptr();
    let fields = descriptor.root_schema().get_fields();
    let names = || fields.iter().map(|field| field.name()).collect::<Vec<_>>().join(", ");
    let text = descriptor.columns().iter().position(|column| column.path().parts() == [args.field.clone()]);
    let text = text.ok_or_else(|| {
        Failure::input(format!(
            "{} has no text column {:?}, only {}\nhint: name one with --field",
            args.named().display(),
            args.field,
            names()
        ))
    })?;
    let column = descriptor.column(text);
    if column.physical_type() != Physical::BYTE_ARRAY || column.max_rep_level() > 0 {
        return Err(Failure::input(format!(
            "column {:?} of {} has {:?}, not text\nhint: name a text column with --field",
            args.field,
            args.named().display(),
            column.physical_type()
        )));
    }
    // A column of the input keeps its name.
    let free = |name: &str| {
        let mut name = name.to_owned();
        while fields.iter().any(|field| field.name() == name) {
            name = format!("lacon_{name}");
        }
        name
    };
    let index = !fields.iter().any(|field| field.name() == "index");
    let schema = || -> Result<TypePtr, ParquetError> {
        let mut columns = Vec::new();
        if index {
            columns.push(number_column("index", Repetition::REQUIRED)?);
        }
        let kept = |field: &&TypePtr| args.op == BatchOp::Compress || field.name() != args.field;
        columns.extend(fields.iter().filter(kept).cloned());
        for name in args.op.counts() {
            columns.push(number_column(&free(name), Repetition::OPTIONAL)?);
        }
        columns.push(text_column(&free("error"), LogicalType::String)?);
        Ok(Type::group_type_builder("rows").with_fields(columns).build()?.into())
    };
    let schema = schema().map_err(|error| bad_output(args, &error))?;
    Ok(Source { work, file, schema, text, optional: column.max_def_level() > 0, index, reader })
}

/// What a row group's texts became, apart from the texts.
struct Facts {
    counts: Vec<Vec<Option<i64>>>,
    errors: Vec<Option<Vec<u8>>>,
    summary: BatchSummary,
}

impl Source<'_> {
    fn put_group(
        &self,
        part: usize,
        at: u64,
        rows: u64,
        group: &mut SerializedRowGroupWriter<'_, BufWriter<File>>,
    ) -> Result<BatchSummary, Failure> {
        let args = self.work.args;
        let written = |error: ParquetError| bad_output(args, &error);
        let metadata = self.reader.metadata().row_group(part);
        if self.index {
            let index: Vec<Option<i64>> = (at..at + rows).map(|index| i64::try_from(index).ok()).collect();
            put_numbers(group, &index, true).map_err(written)?;
        }
        let mut facts = None;
        for (i, column) in metadata.columns().iter().enumerate() {
            if i != self.text {
                copy(group, &self.file, column, metadata.num_rows()).map_err(written)?;
            } else if args.op == BatchOp::Compress {
                let mut out = group.next_column().map_err(written)?.ok_or_else(no_column).map_err(written)?;
                let put = |texts: &mut Vec<Option<ByteArray>>| {
                    let levels: Vec<i16> = texts.iter().map(|text| i16::from(text.is_some())).collect();
                    let some: Vec<ByteArray> = texts.drain(..).flatten().collect();
                    let levels = self.optional.then_some(levels.as_slice());
                    out.typed::<ByteArrayType>().write_batch(&some, levels, None).map(drop)
                };
                facts = Some(self.texts(part, put)?);
                out.close().map_err(written)?;
            }
        }
        let facts = match facts {
            Some(facts) => facts,
            None => self.texts(part, |texts| {
                texts.clear();
                Ok(())
            })?,
        };
        for counts in &facts.counts {
            put_numbers(group, counts, false).map_err(written)?;
        }
        put_texts(group, &facts.errors).map_err(written)?;
        Ok(facts.summary)
    }

    /// Works on the texts of a row group in their order; `put` takes them chunk by chunk.
    fn texts(
        &self,
        part: usize,
        mut put: impl FnMut(&mut Vec<Option<ByteArray>>) -> Result<(), ParquetError>,
    ) -> Result<Facts, Failure> {
        let args = self.work.args;
        let group = self.reader.get_row_group(part).map_err(|error| bad_input(args, &error))?;
        let ColumnReader::ByteArrayColumnReader(column) =
            group.get_column_reader(self.text).map_err(|error| bad_input(args, &error))?
        else {
            return Err(bad_input(args, &no_column()));
        };
        let mut failed = None;
        let texts =
            Texts { column, optional: self.optional, chunk: Vec::new().into_iter(), failed: &mut failed };
        let mut facts = Facts {
            counts: vec![Vec::new(); args.op.counts().len()],
            errors: Vec::new(),
            summary: BatchSummary::default(),
        };
        let mut waiting: Vec<Option<ByteArray>> = Vec::new();
        facts.summary = run_batch(
            texts,
            BatchOptions::jobs(self.work.jobs),
            &AtomicBool::new(false),
            |text| {
                let text = text.as_ref().ok_or_else(|| "is null".to_owned())?;
                super::super::shorten(super::super::utf8(text.data())?, args, self.work.encoding)
            },
            |_, done| {
                self.work.bar.inc(1);
                let (text, counts, error) = match done {
                    Done::Ok((text, counts)) => {
                        (text.map(|text| ByteArray::from(text.into_bytes())), counts, None)
                    }
                    Done::Failed(text, error) => (text, Vec::new(), Some(error)),
                    Done::Panicked(text) => (text, Vec::new(), Some(super::super::BUG.to_owned())),
                };
                for (i, column) in facts.counts.iter_mut().enumerate() {
                    column.push(counts.get(i).copied());
                }
                facts.errors.push(error.map(String::into_bytes));
                waiting.push(text);
                if waiting.len() < CHUNK { Ok(()) } else { put(&mut waiting) }
            },
        )
        .and_then(|summary| put(&mut waiting).map(|()| summary))
        .map_err(|error| bad_output(args, &error))?;
        match failed {
            Some(error) => Err(bad_input(args, &error)),
            None => Ok(facts),
        }
    }
}

/// The texts of a column, decoded chunk by chunk.
struct Texts<'a> {
    column: ColumnReaderImpl<ByteArrayType>,
    optional: bool,
    chunk: std::vec::IntoIter<Option<ByteArray>>,
    failed: &'a mut Option<ParquetError>,
}

impl Texts<'_> {
    fn read(&mut self) -> Result<Vec<Option<ByteArray>>, ParquetError> {
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        self.column.read_records(CHUNK, self.optional.then_some(&mut levels), None, &mut values)?;
        if !self.optional {
            return Ok(values.into_iter().map(Some).collect());
        }
        let mut values = values.into_iter();
        Ok(levels.into_iter().map(|level| if level > 0 { values.next() } else { None }).collect())
    }
}

impl Iterator for Texts<'_> {
    type Item = Option<ByteArray>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(text) = self.chunk.next() {
            return Some(text);
        }
        match self.read() {
            Ok(chunk) => self.chunk = chunk.into_iter(),
            Err(error) => *self.failed = Some(error),
        }
        self.chunk.next()
    }
}
