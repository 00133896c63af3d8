//! `lacon count --tokenizer FILE.gguf`: counts by the vocabulary of a model file.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
    process::ExitCode,
};

use lacon_tokens::SentencePiece;
use serde_json::json;

use super::inputs;
use crate::{args::CountArgs, failure, failure::Failure, text};

fn open(file: &Path) -> Result<File, Failure> {
    File::open(file).map_err(|error| Failure::input(format!("cannot read {}: {error}", file.display())))
}

/// Whether a file begins as GGUF does.
pub fn is_gguf(file: &Path) -> Result<bool, Failure> {
    let mut magic = Vec::new();
    let read = open(file)?.take(4).read_to_end(&mut magic);
    read.map_err(|error| Failure::input(format!("cannot read {}: {error}", file.display())))?;
    Ok(magic == b"GGUF")
}

/// Counts and prints.
pub fn run(args: &CountArgs, file: &Path) -> Result<ExitCode, Failure> {
    let pieces = SentencePiece::from_gguf(BufReader::new(open(file)?))
        .map_err(|error| Failure::input(format!("{}: {error}", file.display())))?;
    let rows: Vec<_> =
        inputs(&args.files)?.into_iter().map(|input| (pieces.count(&input.text), input)).collect();
    let total: usize = rows.iter().map(|(tokens, _)| tokens).sum();
    if args.json {
        let files: Vec<_> = rows
            .iter()
            .map(|(tokens, input)| json!({"path": input.path, "bytes": input.text.len(), "tokens": tokens}))
            .collect();
        let value = json!({"schema_version": 1, "tokenizer": file.display().to_string(), "files": files, "tokens": total});
        text::out(&value.to_string());
    } else {
        if args.by.is_some() {
            rows.iter().for_each(|(tokens, input)| text::out(&format!("{tokens}\t{}", input.path)));
        }
        text::out(&total.to_string());
    }
    match args.fail_over {
        Some(limit) if total > limit => {
            Err(Failure { message: format!("{total} tokens, limit is {limit}"), code: failure::GATE })
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
