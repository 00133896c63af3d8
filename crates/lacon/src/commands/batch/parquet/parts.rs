//! The parts of an output: whole files that outlive a crash, and their joining at the end.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use parquet::{
    basic::{Compression, ZstdLevel},
    column::writer::ColumnCloseResult,
    errors::ParquetError,
    file::{
        metadata::{ColumnChunkMetaData, KeyValue},
        properties::{EnabledStatistics, WriterProperties},
        reader::FileReader,
        serialized_reader::SerializedFileReader,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::TypePtr,
};
use serde_json::json;

use super::{absent, bad_output, count};
use crate::{
    args::prompt::{BatchArgs, BatchOp},
    failure::Failure,
};

/// Name of the metadata entry that says which batch wrote a file.
const KEY: &str = "lacon.batch";

/// The folder of a batch's parts.
pub(super) struct Parts<'a> {
    args: &'a BatchArgs,
    pub(super) folder: PathBuf,
    /// What the batch does to which input; parts of another one are refused.
    identity: String,
}

impl<'a> Parts<'a> {
    /// The parts of an earlier batch to the same output with `--resume`, none otherwise.
    pub(super) fn open(args: &'a BatchArgs) -> Result<Self, Failure> {
        let bytes = fs::metadata(&args.input).map_err(|e| super::super::unreadable(args, &e))?.len();
        let op = match args.op {
            BatchOp::Count => "count",
            BatchOp::Compress => "compress",
        };
        let identity =
            json!({"op": op, "field": args.field, "encoding": args.encoding, "input_bytes": bytes})
                .to_string();
        let parts = Parts { args, folder: lacon_files::beside(&args.output, ".parts"), identity };
        lacon_files::check(&lacon_files::beside(&args.output, ".unfinished"), [args.input.as_path()])?;
        if !args.resume {
            let gone = fs::remove_dir_all(&parts.folder).or_else(absent);
            gone.map_err(|e| super::super::unwritable(args, &e))?;
        }
        Ok(parts)
    }

    /// Rows of the output if an earlier batch finished it.
    pub(super) fn finished(&self) -> Result<Option<u64>, Failure> {
        let there = self.args.resume && !self.folder.exists() && self.args.output.exists();
        if there { self.rows_of(&self.args.output).map(Some) } else { Ok(None) }
    }

    /// Rows of each part that is there, from the first on.
    pub(super) fn done(&self) -> Result<Vec<u64>, Failure> {
        let mut rows = Vec::new();
        while self.path(rows.len()).exists() {
            rows.push(self.rows_of(&self.path(rows.len()))?);
        }
        Ok(rows)
    }

    fn path(&self, part: usize) -> PathBuf {
        self.folder.join(format!("{part:06}.parquet"))
    }

    fn rows_of(&self, path: &Path) -> Result<u64, Failure> {
        let file = File::open(path).map_err(ParquetError::from);
        let reader = file.and_then(SerializedFileReader::new).map_err(|error| {
            Failure::input(format!(
                "cannot read {}: {error}\nhint: leave out --resume to start again",
                path.display()
            ))
        })?;
        let metadata = reader.metadata().file_metadata();
        let known = metadata.key_value_metadata().into_iter().flatten();
        let of = known.filter(|entry| entry.key == KEY).find_map(|entry| entry.value.as_deref());
        if of == Some(self.identity.as_str()) {
            return Ok(count(metadata.num_rows()));
        }
        Err(Failure::input(format!(
            "{} was written by {}, this batch is {}\nhint: name the output of the same batch, or leave out --resume",
            path.display(),
            of.unwrap_or("something else"),
            self.identity
        )))
    }

    fn create(
        &self,
        path: &Path,
        schema: &TypePtr,
        fill: impl FnOnce(&mut SerializedFileWriter<BufWriter<File>>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let written = |error: ParquetError| bad_output(self.args, &error);
        let failed = |error: std::io::Error| super::super::unwritable(self.args, &error);
        let unfinished = lacon_files::beside(path, ".unfinished");
        // Texts differ from row to row: a dictionary would hold them all, and their minimum says nothing.
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_key_value_metadata(Some(vec![KeyValue::new(KEY.to_owned(), self.identity.clone())]))
            .build();
        let file = File::create(&unfinished).map_err(failed)?;
        let mut writer =
            SerializedFileWriter::new(BufWriter::new(file), schema.clone(), Arc::new(properties))
                .map_err(written)?;
        fill(&mut writer)?;
        let mut out = writer.into_inner().map_err(written)?;
        out.flush().map_err(failed)?;
        out.get_ref().sync_all().map_err(failed)?;
        fs::rename(&unfinished, path).map_err(failed)
    }

    /// Writes a part of one row group; it is there as a whole or not at all.
    pub(super) fn put(
        &self,
        part: usize,
        schema: &TypePtr,
        fill: impl FnOnce(&mut SerializedRowGroupWriter<'_, BufWriter<File>>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        fs::create_dir_all(&self.folder).map_err(|e| super::super::unwritable(self.args, &e))?;
        self.create(&self.path(part), schema, |writer| {
            let written = |error: ParquetError| bad_output(self.args, &error);
            let mut group = writer.next_row_group().map_err(written)?;
            fill(&mut group)?;
            group.close().map_err(written)?;
            Ok(())
        })
    }

    /// Puts the encoded columns of all parts into the output, then removes the parts.
    pub(super) fn join(&self, schema: &TypePtr) -> Result<(), Failure> {
        let written = |error: ParquetError| bad_output(self.args, &error);
        let n = self.done()?.len();
        self.create(&self.args.output, schema, |writer| {
            for part in 0..n {
                let file =
                    File::open(self.path(part)).map_err(|e| super::super::unwritable(self.args, &e))?;
                let reader = file.try_clone().map_err(ParquetError::from).and_then(SerializedFileReader::new);
                for source in reader.map_err(written)?.metadata().row_groups() {
                    let mut group = writer.next_row_group().map_err(written)?;
                    for column in source.columns() {
                        copy(&mut group, &file, column, source.num_rows()).map_err(written)?;
                    }
                    group.close().map_err(written)?;
                }
            }
            Ok(())
        })?;
        fs::remove_dir_all(&self.folder).or_else(absent).map_err(|e| super::super::unwritable(self.args, &e))
    }
}

/// Copies a column as it is encoded.
pub(super) fn copy<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    file: &File,
    column: &ColumnChunkMetaData,
    rows: i64,
) -> Result<(), ParquetError> {
    let close = ColumnCloseResult {
        bytes_written: count(column.compressed_size()),
        rows_written: count(rows),
        metadata: column.clone(),
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    group.append_column(file, close)
}
