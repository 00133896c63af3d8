//! `lacon count --tokenizer FILE`: counts by a vocabulary of pieces of text, from GGUF or `tokenizer.json`.

use std::{fs::File, io::BufReader, path::Path, process::ExitCode};

use lacon_tokens::{SentencePiece, VocabularyFile};
use serde_json::json;

use super::inputs;
use crate::{args::CountArgs, failure, failure::Failure, text};

/// Reads the vocabulary of a model file, under a name.
pub fn read(file: &Path, name: &str) -> Result<VocabularyFile, Failure> {
    let fault = |error: &dyn std::fmt::Display| Failure::input(format!("{}: {error}", file.display()));
    let source = File::open(file)
        .map_err(|error| Failure::input(format!("cannot read {}: {error}", file.display())))?;
    VocabularyFile::read(name, BufReader::new(source)).map_err(|error| fault(&error))
}

/// Counts and prints.
pub fn run(args: &CountArgs, file: &Path, pieces: &SentencePiece) -> Result<ExitCode, Failure> {
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
