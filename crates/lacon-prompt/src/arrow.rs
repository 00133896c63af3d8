//! Counts, cuts and shortens a column of texts: an Arrow record batch in, one out, with as many rows.
//!
//! Texts are read where they lie. A row that fails is null in the new column and says why in the column of errors, so engines
//! for tables of any size can call this and lose no row. Neighboring rows share a thread; nothing here waits.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow_array::builder::{GenericListBuilder, GenericStringBuilder, UInt32Builder};
use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, GenericStringArray, Int64Array, OffsetSizeTrait, RecordBatch, RecordBatchOptions,
    StringArray, StringViewArray,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use lacon_tokens::{Encoding, ModelEncoding, Side};
use serde_json::Value;

use crate::batch::{self, BatchOptions, Done};
use crate::shorten::{ShortenOptions, shorten};
use crate::trim::{TrimOptions, trim, trim_text};
use crate::{chat, compress};

/// Bytes of neighboring rows that a thread takes at a time; below it a second thread costs more than it gains.
const SHARE: usize = 64 << 10;
/// Rows that a thread takes at most, however short they are.
const SHARE_ROWS: usize = 4096;

/// What is done to each text of a column.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Work {
    /// Its tokens.
    Count(&'static Encoding),
    /// Prompt tokens of the messages that it holds as a JSON array.
    CountMessages(ModelEncoding),
    /// Its ids.
    Encode(&'static Encoding),
    /// Its beginning, end or both, of so many tokens.
    Truncate(&'static Encoding, usize, Side),
    /// Consecutive parts of so many tokens.
    Chunk(&'static Encoding, usize),
    /// A shorter form, without a store. The options lend the question that stands beside them.
    Compress(&'static Encoding, ShortenOptions<'static>, String),
    /// The text that a shorter form was made of.
    Expand,
    /// At most so many tokens; the text is a JSON array of messages where `messages` is true.
    Trim {
        /// Counts.
        encoding: &'static Encoding,
        /// Most tokens.
        max_tokens: usize,
        /// Whether texts are lists of messages.
        messages: bool,
    },
}

/// Why a batch cannot be worked on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No column, or several, have the name.
    #[error("{n} columns are named {name:?}, one is needed\nhint: the columns are {known}")]
    Column {
        /// The name as given.
        name: String,
        /// Columns of this name.
        n: usize,
        /// All names.
        known: String,
    },
    /// The column holds no texts.
    #[error(
        "column {name:?} holds {kind}, texts are needed\nhint: cast it to string, large_string, string_view or a dictionary of them"
    )]
    NotText {
        /// The column.
        name: String,
        /// Its type.
        kind: DataType,
    },
    /// A new column would stand beside one of its name.
    #[error("there is a column {name:?} already\nhint: give the new one another name")]
    Taken {
        /// The name of both.
        name: String,
    },
    /// The new column passes what 32-bit offsets reach.
    #[error(
        "the new column holds more than 2^31 bytes or items\nhint: use smaller batches, or cast the text to large_string"
    )]
    TooLarge,
    /// A row failed, and there is no column for errors.
    #[error("row {row}: {what}")]
    Row {
        /// The row, from 0.
        row: usize,
        /// What failed.
        what: String,
    },
    /// The batch contradicts itself.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

/// What one row became.
enum Cell<'t> {
    Null,
    Number(i64),
    Text(Cow<'t, str>),
    Parts(Vec<&'t str>),
    Failed(String),
}

impl Cell<'_> {
    fn number(&self) -> Option<i64> {
        if let Cell::Number(number) = self { Some(*number) } else { None }
    }

    fn text(&self) -> Option<&str> {
        if let Cell::Text(text) = self { Some(text) } else { None }
    }
}

/// Work on one column of texts.
#[derive(Debug, Clone)]
pub struct Task {
    /// What is done.
    pub work: Work,
    /// The column of texts.
    pub column: String,
    /// The column that is made; the same name replaces the texts.
    pub out: String,
    /// The column for what failed, by row. Without one the first failure is that of the batch.
    pub errors: Option<String>,
}

impl Task {
    /// The schema that [`Task::apply`] gives for one.
    ///
    /// # Errors
    /// When the column is missing or no text, or a name is taken.
    pub fn schema(&self, schema: &Schema) -> Result<SchemaRef, Error> {
        let at = self.position(schema)?;
        let is_taken = |name: &str| schema.fields().iter().any(|field| field.name() == name);
        let mut fields = schema.fields().to_vec();
        let made = Arc::new(Field::new(&self.out, self.made(is_large(fields[at].data_type())), true));
        if self.out == self.column {
            fields[at] = made;
        } else if is_taken(&self.out) {
            return Err(Error::Taken { name: self.out.clone() });
        } else {
            fields.push(made);
        }
        if let Some(errors) = &self.errors {
            if is_taken(errors) || *errors == self.out {
                return Err(Error::Taken { name: errors.clone() });
            }
            fields.push(Arc::new(Field::new(errors, DataType::Utf8, true)));
        }
        Ok(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
    }

    /// The batch with the new column, over at most so many threads.
    ///
    /// # Errors
    /// As [`Task::schema`]; when a row fails and there is no column of errors; when the result is too large for its type.
    pub fn apply(&self, batch: &RecordBatch, threads: NonZeroUsize) -> Result<RecordBatch, Error> {
        let schema = self.schema(batch.schema_ref())?;
        let at = self.position(batch.schema_ref())?;
        let texts =
            texts(batch.column(at)).ok_or_else(|| self.not_text(batch.schema_ref().field(at).data_type()))?;
        let (made, errors) = match is_large(batch.column(at).data_type()) {
            true => self.columns::<i64>(&texts, threads)?,
            false => self.columns::<i32>(&texts, threads)?,
        };
        let mut columns = batch.columns().to_vec();
        match self.out == self.column {
            true => columns[at] = made,
            false => columns.push(made),
        }
        if self.errors.is_some() {
            columns.push(errors);
        }
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(schema, columns, &rows)?)
    }

    fn position(&self, schema: &Schema) -> Result<usize, Error> {
        let named = |field: &Arc<Field>| *field.name() == self.column;
        let n = schema.fields().iter().filter(|field| named(field)).count();
        match schema.fields().iter().position(named) {
            Some(at) if n == 1 => match is_text(schema.field(at).data_type()) {
                true => Ok(at),
                false => Err(self.not_text(schema.field(at).data_type())),
            },
            _ => {
                let known: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                Err(Error::Column { name: self.column.clone(), n, known: known.join(", ") })
            }
        }
    }

    fn not_text(&self, kind: &DataType) -> Error {
        Error::NotText { name: self.column.clone(), kind: kind.clone() }
    }

    /// The type of the new column; large offsets stay large.
    fn made(&self, large: bool) -> DataType {
        let text = if large { DataType::LargeUtf8 } else { DataType::Utf8 };
        let list = |item| {
            let item = Arc::new(Field::new_list_field(item, true));
            if large { DataType::LargeList(item) } else { DataType::List(item) }
        };
        match self.work {
            Work::Count(_) | Work::CountMessages(_) => DataType::Int64,
            Work::Encode(_) => list(DataType::UInt32),
            Work::Chunk(..) => list(text),
            Work::Truncate(..) | Work::Compress(..) | Work::Expand | Work::Trim { .. } => text,
        }
    }

    /// The new column and that of errors.
    fn columns<O: OffsetSizeTrait>(
        &self,
        texts: &[Text<'_>],
        threads: NonZeroUsize,
    ) -> Result<(ArrayRef, ArrayRef), Error> {
        if let Work::Encode(encoding) = self.work {
            return self.encoded::<O>(encoding, texts, threads);
        }
        if let (Work::Count(encoding), false) = (&self.work, texts.iter().any(Result::is_err)) {
            let present: Vec<&str> = texts.iter().filter_map(|text| *text.as_ref().ok()?).collect();
            let mut counts = encoding.count_batch(&present, threads).into_iter();
            let rows = texts.iter().map(|text| match text {
                Ok(Some(_)) => counts.next().map(whole),
                _ => None,
            });
            return Ok((Arc::new(Int64Array::from_iter(rows)), none(texts.len())));
        }
        let cells =
            shares(texts, threads, |rows| rows.iter().map(|text| self.cell(text)).collect::<Vec<_>>());
        let cells: Vec<Cell<'_>> = cells.into_iter().flatten().collect();
        let errors = self.failures(cells.iter().map(|cell| match cell {
            Cell::Failed(why) => Some(why.as_str()),
            _ => None,
        }))?;
        let made: ArrayRef = match self.work {
            Work::Chunk(..) => {
                let parts =
                    cells.iter().map(|cell| if let Cell::Parts(parts) = cell { &**parts } else { &[] });
                fits::<O>(parts.clone().flatten().map(|part| part.len().max(1)).sum())?;
                let mut lists = GenericListBuilder::<O, _>::new(GenericStringBuilder::<O>::new());
                for (cell, parts) in cells.iter().zip(parts) {
                    parts.iter().for_each(|part| lists.values().append_value(part));
                    lists.append(matches!(cell, Cell::Parts(_)));
                }
                Arc::new(lists.finish())
            }
            Work::Count(_) | Work::CountMessages(_) => {
                Arc::new(Int64Array::from_iter(cells.iter().map(Cell::number)))
            }
            _ => {
                let bytes = cells.iter().filter_map(Cell::text).map(str::len).sum();
                fits::<O>(bytes)?;
                let mut made = GenericStringBuilder::<O>::with_capacity(cells.len(), bytes);
                cells.iter().for_each(|cell| made.append_option(cell.text()));
                Arc::new(made.finish())
            }
        };
        Ok((made, errors))
    }

    /// Ids in one run a share, so that a row allocates nothing.
    fn encoded<O: OffsetSizeTrait>(
        &self,
        encoding: &Encoding,
        texts: &[Text<'_>],
        threads: NonZeroUsize,
    ) -> Result<(ArrayRef, ArrayRef), Error> {
        let shares = shares(texts, threads, |rows| {
            let mut ids = Vec::new();
            let ends: Vec<usize> = rows
                .iter()
                .map(|text| {
                    if let Ok(Some(text)) = text {
                        encoding.encode_into(text, &mut ids);
                    }
                    ids.len()
                })
                .collect();
            (ids, ends)
        });
        let errors = self.failures(texts.iter().map(|text| text.err().map(|_| NOT_UTF8)))?;
        let n_ids = shares.iter().map(|(ids, _)| ids.len()).sum();
        fits::<O>(n_ids)?;
        let ids = UInt32Builder::with_capacity(n_ids);
        let mut lists = GenericListBuilder::<O, _>::with_capacity(ids, texts.len());
        let mut rows = texts.iter();
        for (ids, ends) in &shares {
            let mut start = 0;
            for (end, text) in ends.iter().zip(rows.by_ref()) {
                lists.values().append_slice(&ids[start..*end]);
                lists.append(matches!(text, Ok(Some(_))));
                start = *end;
            }
        }
        Ok((Arc::new(lists.finish()), errors))
    }

    fn failures<'e>(&self, rows: impl Iterator<Item = Option<&'e str>> + Clone) -> Result<ArrayRef, Error> {
        if self.errors.is_none()
            && let Some((row, what)) = rows.clone().enumerate().find_map(|(row, what)| Some((row, what?)))
        {
            return Err(Error::Row { row, what: what.to_owned() });
        }
        Ok(Arc::new(StringArray::from_iter(rows)))
    }

    fn cell<'t>(&self, text: &Text<'t>) -> Cell<'t> {
        match *text {
            Ok(None) => Cell::Null,
            Err(NotUtf8) => Cell::Failed(NOT_UTF8.to_owned()),
            Ok(Some(text)) => match catch_unwind(AssertUnwindSafe(|| self.one(text))) {
                Ok(Ok(cell)) => cell,
                Ok(Err(why)) => Cell::Failed(why),
                Err(_) => Cell::Failed("a bug ended the work on this row".to_owned()),
            },
        }
    }

    fn one<'t>(&self, text: &'t str) -> Result<Cell<'t>, String> {
        let said = |error: crate::Error| error.to_string();
        Ok(match &self.work {
            Work::Count(encoding) => Cell::Number(whole(encoding.count(text))),
            Work::CountMessages(model) => {
                let counted = chat::count(&messages(text)?, &[], None, model).map_err(said)?;
                Cell::Number(whole(counted.total))
            }
            Work::Encode(_) => unreachable!("ids are made by the share"),
            Work::Truncate(encoding, most, side) => Cell::Text(encoding.truncate(text, *most, *side)),
            Work::Chunk(encoding, most) => Cell::Parts(encoding.chunks(text, *most)),
            Work::Compress(encoding, options, query) => {
                let options = ShortenOptions { query, ..*options };
                Cell::Text(Cow::Owned(shorten(text, &options, None, encoding).map_err(said)?.text))
            }
            Work::Expand => Cell::Text(Cow::Owned(compress::expand(text, None).map_err(said)?)),
            Work::Trim { encoding, max_tokens, messages: false } => {
                Cell::Text(Cow::Owned(trim_text(text, *max_tokens, encoding).map_err(said)?.text))
            }
            Work::Trim { encoding, max_tokens, messages: true } => {
                let fitting =
                    trim(&messages(text)?, &TrimOptions::new(*max_tokens), encoding).map_err(said)?;
                Cell::Text(Cow::Owned(Value::Array(fitting.messages).to_string()))
            }
        })
    }
}

fn messages(text: &str) -> Result<Vec<Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("no JSON array of messages: {error}"))
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn none(rows: usize) -> ArrayRef {
    Arc::new(StringArray::new_null(rows))
}

fn fits<O: OffsetSizeTrait>(n: usize) -> Result<(), Error> {
    O::from_usize(n).map(|_| ()).ok_or(Error::TooLarge)
}

/// Works on shares of neighboring rows; results are in their order.
fn shares<'a, 't, R: Send>(
    texts: &'a [Text<'t>],
    threads: NonZeroUsize,
    work: impl Fn(&'a [Text<'t>]) -> R + Sync,
) -> Vec<R> {
    let mut rest = texts;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let mut bytes = 0;
        let full = rest.iter().take(SHARE_ROWS).position(|text| {
            bytes += text.ok().flatten().map_or(0, str::len);
            bytes >= SHARE
        });
        let (share, behind) = rest.split_at(full.map_or(SHARE_ROWS.min(rest.len()), |at| at + 1));
        all.push(share);
        rest = behind;
    }
    if threads.get() == 1 || all.len() < 2 {
        return all.into_iter().map(work).collect();
    }
    let mut made = Vec::with_capacity(all.len());
    let options = BatchOptions::jobs(threads.get().min(all.len()));
    let done = batch::run(
        all,
        options,
        &AtomicBool::new(false),
        |share| Ok::<R, std::convert::Infallible>(work(share)),
        |_, done| {
            match done {
                Done::Ok(result) => made.push(result),
                // Rows catch their own panics; what is left is a bug here, which the caller's guard reports.
                Done::Failed(..) | Done::Panicked(_) => panic!("a share of rows was lost"),
            }
            Ok::<(), std::convert::Infallible>(())
        },
    );
    let Ok(_) = done;
    made
}

/// Bytes that are no UTF-8, which the format forbids and a producer can still send.
#[derive(Debug, Clone, Copy)]
struct NotUtf8;
const NOT_UTF8: &str = "the text is no valid UTF-8";

type Text<'t> = Result<Option<&'t str>, NotUtf8>;

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

fn is_large(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_large(values),
        _ => matches!(kind, DataType::LargeUtf8),
    }
}

/// The texts of a column where they lie; None where it holds others.
fn texts(column: &dyn Array) -> Option<Vec<Text<'_>>> {
    if let Some(strings) = column.as_string_opt::<i32>() {
        return Some(plain(strings));
    }
    if let Some(strings) = column.as_string_opt::<i64>() {
        return Some(plain(strings));
    }
    if let Some(strings) = column.as_string_view_opt() {
        return Some((0..strings.len()).map(|row| viewed(strings, row)).collect());
    }
    let dictionary = column.as_any_dictionary_opt()?;
    let values = texts(dictionary.values())?;
    if values.is_empty() {
        return Some(vec![Ok(None); column.len()]);
    }
    let keys = dictionary.normalized_keys();
    Some(
        keys.into_iter()
            .enumerate()
            .map(|(row, key)| if column.is_null(row) { Ok(None) } else { values[key] })
            .collect(),
    )
}

/// Reads bytes and looks whether they are UTF-8: nothing has, where another library made them.
fn plain<O: OffsetSizeTrait>(strings: &GenericStringArray<O>) -> Vec<Text<'_>> {
    let (bytes, offsets) = (strings.value_data(), strings.value_offsets());
    let text = |row: usize| match strings.is_null(row) {
        true => Ok(None),
        false => checked(&bytes[offsets[row].as_usize()..offsets[row + 1].as_usize()]),
    };
    (0..strings.len()).map(text).collect()
}

fn viewed(strings: &StringViewArray, row: usize) -> Text<'_> {
    if strings.is_null(row) {
        return Ok(None);
    }
    // Length, then up to 12 bytes in place, else four bytes of prefix, the buffer and the place in it.
    let view = &strings.views().inner().as_slice()[16 * row..16 * row + 16];
    let word = |at: usize| u32::from_le_bytes([view[at], view[at + 1], view[at + 2], view[at + 3]]) as usize;
    match word(0) {
        short @ 0..=12 => checked(&view[4..4 + short]),
        long => checked(&strings.data_buffers()[word(8)].as_slice()[word(12)..word(12) + long]),
    }
}

fn checked(bytes: &[u8]) -> Text<'_> {
    std::str::from_utf8(bytes).map(Some).map_err(|_| NotUtf8)
}
