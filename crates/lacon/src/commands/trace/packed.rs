//! Unpacks trace files: gzip, zstd, and the rows of Parquet.

use std::io::Read;

/// A packed file may hold no more than this: a few bytes can stand for any number.
const MOST: u64 = 1 << 30;
/// Files are packed at most this often.
const DEEPEST: usize = 3;

/// The bytes of a file, unpacked where they are packed.
pub fn unpacked(mut bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    for _ in 0..DEEPEST {
        bytes = match bytes.as_slice() {
            [0x1f, 0x8b, ..] => bounded(flate2::read::MultiGzDecoder::new(bytes.as_slice()), "gzip")?,
            #[cfg(feature = "parquet")]
            [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                let reader = zstd::stream::read::Decoder::new(bytes.as_slice());
                bounded(reader.map_err(|e| format!("the zstd file cannot be unpacked: {e}"))?, "zstd")?
            }
            #[cfg(feature = "parquet")]
            [b'P', b'A', b'R', b'1', ..] => return rows(&bytes),
            _ => return Ok(bytes),
        };
    }
    Ok(bytes)
}

/// All that a reader gives, up to the bound. What comes before a damaged place is kept.
fn bounded(reader: impl Read, what: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = reader.take(MOST + 1).read_to_end(&mut bytes);
    if bytes.len() as u64 > MOST {
        return Err(format!(
            "the {what} file holds more than {} MiB\nhint: unpack it and give a part",
            MOST >> 20
        ));
    }
    match read {
        Err(error) if bytes.is_empty() => Err(format!("the {what} file cannot be unpacked: {error}")),
        _ => Ok(bytes),
    }
}

/// The rows of a Parquet file as JSON lines.
#[cfg(feature = "parquet")]
fn rows(bytes: &[u8]) -> Result<Vec<u8>, String> {
    use std::io::Write;

    use parquet::{
        errors::ParquetError,
        file::{reader::FileReader, serialized_reader::SerializedFileReader},
    };

    let unread = |error: ParquetError| format!("the Parquet file cannot be read: {error}");
    let mut file = tempfile::tempfile().map_err(ParquetError::from).map_err(unread)?;
    file.write_all(bytes).map_err(ParquetError::from).map_err(unread)?;
    let reader = SerializedFileReader::new(file).map_err(unread)?;
    let mut lines = Vec::new();
    for row in reader.get_row_iter(None).map_err(unread)? {
        let value = row.map_err(unread)?.to_json_value();
        serde_json::to_writer(&mut lines, &value).map_err(|e| e.to_string())?;
        lines.push(b'\n');
        if lines.len() as u64 > MOST {
            return Err(format!("the Parquet file holds more than {} MiB\nhint: give a part", MOST >> 20));
        }
    }
    Ok(lines)
}
