//! `lacon models`: the encoding of each model, and how exact its counts are.

use std::{path::Path, process::ExitCode};

use lacon_tokens::{ESTIMATORS, FAMILIES, add_models, for_model};
use serde_json::{Value, json};

use crate::{args::ModelsArgs, failure::Failure, text};

/// Prints the table of families, or what counts for the models named.
pub fn run(args: &ModelsArgs) -> Result<ExitCode, Failure> {
    add(args.models_file.as_deref())?;
    let rows = if args.models.is_empty() { table() } else { args.models.iter().map(|m| one(m)).collect() };
    if args.json {
        text::out(&json!({ "schema_version": 1, "models": rows }).to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let width = |key: &str| rows.iter().map(|row| field(row, key).len()).max().unwrap_or(0);
    let (model, encoding, how) = (width("model"), width("encoding"), width("how"));
    for row in &rows {
        let line = format!(
            "{:model$}  {:encoding$}  {:how$}  {}",
            field(row, "model"),
            field(row, "encoding"),
            field(row, "how"),
            field(row, "note"),
        );
        text::out(line.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds the models of a file of the user, if there is one.
pub fn add(file: Option<&Path>) -> Result<(), Failure> {
    let Some(file) = file else { return Ok(()) };
    add_models(&super::read_text(file)?)
        .map_err(|e| Failure::input(format!("{}: {e}", file.display())))
        .map(drop)
}

fn field<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or("")
}

fn table() -> Vec<Value> {
    let estimated = ESTIMATORS.iter().map(|estimator| {
        let note = format!("× {} ± {:.0} %", estimator.factor, estimator.error * 100.0);
        json!({
            "model": format!("{}*", estimator.prefix), "encoding": "o200k_base", "how": "calibrated", "note": note,
            "factor": estimator.factor, "error": estimator.error, "source": estimator.source,
        })
    });
    let families = FAMILIES.iter().map(|family| {
        json!({
            "model": format!("{}*", family.prefix),
            "encoding": family.encoding.as_str(),
            "how": family.how.as_str(),
        })
    });
    families.chain(estimated).collect()
}

fn one(name: &str) -> Value {
    let model = for_model(name);
    json!({
        "model": name,
        "encoding": model.encoding.name(),
        "how": model.how.as_str(),
        "note": model.warning.as_deref().and_then(|w| w.lines().next()),
    })
}
