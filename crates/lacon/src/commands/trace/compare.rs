//! `lacon trace compare`.

use std::{path::Path, process::ExitCode};

use lacon_monitor::{compare::compare, render, trace::Trace};
use lacon_trading::traces::SCORERS;

use super::traces;
use crate::{
    args::trace::CompareArgs,
    failure::{self, Failure},
    text,
};

/// Compares two sides.
pub fn run(args: &CompareArgs) -> Result<ExitCode, Failure> {
    let side = |list: &str, more: &[std::path::PathBuf]| -> Result<Vec<Trace>, Failure> {
        let mut found = Vec::new();
        // A file whose name holds a comma is taken as it is.
        let parts: Vec<&str> = if Path::new(list).exists() { vec![list] } else { list.split(',').collect() };
        for file in parts.into_iter().map(Path::new).chain(more.iter().map(std::path::PathBuf::as_path)) {
            let files = super::files(file)?;
            for one in &files {
                match traces(one) {
                    Ok(traces) => found.extend(traces),
                    Err(failure) if files.len() == 1 => return Err(failure),
                    Err(failure) => text::warn(&failure.message),
                }
            }
        }
        Ok(found)
    };
    let [a, b] = args.sides.as_slice() else {
        return Err(Failure::input("two sides are needed\nhint: lacon trace compare A.json B.json"));
    };
    let found = compare(&side(a, &args.more_a)?, &side(b, &args.more_b)?, SCORERS).map_err(Failure::input)?;
    if args.json {
        let json = serde_json::to_string_pretty(&found);
        text::out(&json.map_err(|e| Failure::input(format!("cannot write the comparison: {e}")))?);
    } else {
        text::out(&render::comparison(&found));
    }
    Ok(if args.gate && found.confounded { ExitCode::from(failure::GATE) } else { ExitCode::SUCCESS })
}
