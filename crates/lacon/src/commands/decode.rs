//! `lacon decode`: token ids in, text out.

use std::{path::Path, process::ExitCode};

use lacon_tokens::{Error, encoding};

use crate::{args::DecodeArgs, failure::Failure, text};

/// Decodes ids divided by anything that is not a digit, and writes the text as it is, with no line end added.
pub fn run(args: &DecodeArgs) -> Result<ExitCode, Failure> {
    let input = super::read_text(args.file.as_deref().unwrap_or(Path::new("-")))?;
    let encoding = encoding(args.encoding.parse().map_err(Failure::input)?);
    let ids = ids(&input)?;
    let decoded = if args.lossy { encoding.decode_lossy(&ids) } else { encoding.decode(&ids) };
    match decoded {
        Ok(decoded) => text::raw(decoded.as_bytes()),
        Err(Error::NotUtf8 { valid_up_to }) => {
            return Err(Failure::input(format!(
                "decoded bytes are not valid UTF-8 from byte {valid_up_to} on\nhint: --lossy replaces such bytes"
            )));
        }
        Err(e) => return Err(Failure::input(e)),
    }
    Ok(ExitCode::SUCCESS)
}

fn ids(input: &str) -> Result<Vec<u32>, Failure> {
    input
        .split(|c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']'))
        .filter(|word| !word.is_empty())
        .map(|word| {
            word.parse().map_err(|_| {
                let shown: String = word.chars().take(40).collect();
                Failure::input(format!(
                    "{shown:?} is not a token id\nhint: ids are whole numbers, separated by spaces or commas"
                ))
            })
        })
        .collect()
}
