//! `lacon encode`: text in, token ids out.

use std::{path::Path, process::ExitCode};

use lacon_tokens::{SpecialSet, encoding};
use serde_json::json;

use crate::{args::EncodeArgs, failure::Failure, text};

/// Encodes and prints the ids on one line.
pub fn run(args: &EncodeArgs) -> Result<ExitCode, Failure> {
    let input = super::read_text(args.file.as_deref().unwrap_or(Path::new("-")))?;
    let encoding = encoding(args.encoding.parse().map_err(Failure::input)?);
    let ids = if args.special {
        encoding.encode_with_special(&input, SpecialSet::All, SpecialSet::None).map_err(Failure::input)?
    } else {
        encoding.encode(&input)
    };
    if args.json {
        let json =
            json!({ "schema_version": 1, "encoding": encoding.name(), "tokens": ids.len(), "ids": ids });
        text::out(&json.to_string());
    } else {
        let words: Vec<String> = ids.iter().map(u32::to_string).collect();
        text::out(&words.join(" "));
    }
    Ok(ExitCode::SUCCESS)
}
