//! `lacon models`: the encoding of each model, how exact its counts are, and what it costs.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Once,
    time::SystemTime,
};

use lacon_models::{EncodingRow, Worth, encodings};
use lacon_monitor::prices::Price;
use lacon_runtime::Config;
use lacon_tokens::{Learned, add_encoding, add_models, for_model, learned, set_learned, vocabulary_files};
use serde_json::{Value, json};

use super::Common;
use crate::{args::ModelsArgs, failure::Failure, shared, text, world};

/// Prints the table of families, or what counts for the models named.
pub fn run(common: &Common, args: &ModelsArgs) -> Result<ExitCode, Failure> {
    let config = common.settings(&[])?;
    if args.forget {
        shared::forget(&config)?;
        let path = learned_file(&config);
        if path.exists() {
            std::fs::remove_file(&path)
                .map_err(|e| Failure::input(format!("{}: cannot be removed: {e}", path.display())))?;
        }
        set_learned(Vec::new());
        text::note("forgot what was learned from the counts that providers billed");
    }
    let rows: Vec<Value> = if args.models.is_empty() {
        encodings().iter().map(family).collect()
    } else {
        args.models.iter().map(|model| one(model, args.prices)).collect()
    };
    if args.json {
        text::out(&json!({ "schema_version": 1, "models": rows }).to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let width = |key: &str| rows.iter().map(|row| field(row, key).chars().count()).max().unwrap_or(0);
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
        if args.prices && !args.models.is_empty() {
            price_lines(&row["price"]).iter().for_each(|line| text::out(&format!("  {line}")));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds the models of a user's file.
pub fn add(file: &Path) -> Result<(), Failure> {
    static ADDED: Once = Once::new();
    let mut result = Ok(());
    // One process has one file, however often its settings are resolved.
    ADDED.call_once(|| {
        result = super::read_text(file).and_then(|table| {
            vocabularies(file, &table)?;
            add_models(&table).map_err(|e| Failure::input(format!("{}: {e}", file.display()))).map(drop)
        });
    });
    result
}

/// Reads the vocabularies that rows name by a file, which may lie beside the file of models.
fn vocabularies(file: &Path, table: &str) -> Result<(), Failure> {
    for name in vocabulary_files(table) {
        let path = file.parent().unwrap_or(Path::new("")).join(&name);
        add_encoding(super::count::vocabulary(&path, &name)?);
    }
    Ok(())
}

/// Takes over what the settings say of models: the user's file, and what earlier runs learned.
pub fn load(config: &Config) -> Result<(), Failure> {
    static LEARNED: Once = Once::new();
    if config.flag("models.learn") {
        LEARNED.call_once(|| {
            let all = shared::learned(config).unwrap_or_else(|| stored(&learned_file(config)));
            set_learned(all);
        });
    }
    match config.text("models.file") {
        "" => Ok(()),
        file => add(Path::new(file)),
    }
}

/// Stores what this process learned from bills, for the next one. A simulator's bills say nothing of a model.
pub fn keep(config: &Config) {
    if !world::is_simulated(config) {
        keep_learned(config);
    }
}

/// As [`keep`], of a process that calls no simulator.
pub fn keep_learned(config: &Config) {
    if !config.flag("models.learn") {
        return;
    }
    let all = shared::learn(config).unwrap_or_else(learned);
    if all == stored(&learned_file(config)) {
        return;
    }
    let rows: serde_json::Map<String, Value> =
        all.into_iter().map(|known| (known.family, json!(known.ratios))).collect();
    let text = Value::Object(rows).to_string();
    // What was not kept is learned again.
    let _ = lacon_files::write(&learned_file(config), text.as_bytes(), [], lacon_files::Flush::Later);
}

/// The file of what was learned, beside the results.
fn learned_file(config: &Config) -> PathBuf {
    Path::new(config.text("run.out")).join(".cache/tokens.json")
}

/// What is stored; a missing or damaged file has taught nothing.
fn stored(path: &Path) -> Vec<Learned> {
    let text = std::fs::read(path).ok();
    let rows: Option<serde_json::Map<String, Value>> =
        text.and_then(|text| serde_json::from_slice(&text).ok());
    let learned = |(family, ratios): (String, Value)| Learned {
        family,
        ratios: ratios.as_array().into_iter().flatten().filter_map(Value::as_f64).collect(),
    };
    rows.into_iter().flatten().map(learned).collect()
}

fn field<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or("")
}

fn family(row: &'static EncodingRow) -> Value {
    let learned = learned().into_iter().find(|known| known.family == row.family);
    let how = match row.worth {
        Worth::Exact => "exact",
        Worth::Calibrated => "calibrated",
        Worth::Heuristic => "heuristic",
    };
    let factor = row.factor.map(|(factor, error)| format!("× {factor} ± {:.0} %", error * 100.0));
    let bills = learned.as_ref().map(|known| format!("{} bills compared", known.ratios.len()));
    let note: Vec<String> = factor.into_iter().chain(row.note.clone()).chain(bills).collect();
    json!({
        "model": format!("{}*", row.family), "family": row.family, "encoding": row.encoding, "how": how,
        "note": (!note.is_empty()).then(|| note.join("; ")),
        "factor": row.factor.map(|(factor, _)| factor), "error": row.factor.map(|(_, error)| error),
        "learned": learned.map(|known| known.ratios.len()),
        "source": row.source.name, "url": row.source.url,
        "date": row.source.checked.map(|day| day.to_string()),
    })
}

fn one(name: &str, with_price: bool) -> Value {
    let model = for_model(name);
    let price = Price::of(name, SystemTime::now());
    let mut row = json!({
        "model": name,
        "encoding": model.encoding.name(),
        "how": model.how.as_str(),
        "note": model.warning.as_deref().and_then(|w| w.lines().next()),
        "factor": model.estimator.as_ref().map(|known| known.factor),
        "error": model.estimator.as_ref().map(|known| known.error),
        "context": price.as_ref().and_then(|price| price.context),
        "cache_rule": lacon_models::cache_of(&lacon_models::plain_name(name)).map(|rule| rule.rule.as_str()),
    });
    if with_price {
        row["price"] = price.map_or(Value::Null, |price| price.to_json());
        if row["price"].is_null() {
            row["price_note"] = json!("no price is known");
        }
    }
    row
}

/// The price of a model in lines: one for each length of the prompt, one for a batch, and where it comes from.
fn price_lines(price: &Value) -> Vec<String> {
    if price.is_null() {
        return vec!["no price is known".into()];
    }
    let rates = |row: &Value| {
        let kinds = [
            ("input", "input"),
            ("cached", "cached"),
            ("cache_write", "cache write"),
            ("cache_write_1h", "cache write for 1 h"),
            ("output", "output"),
            ("reasoning", "reasoning"),
        ];
        let known = kinds.iter().filter_map(|(key, word)| Some(format!("{word} {}", row[*key].as_f64()?)));
        known.collect::<Vec<_>>().join(", ")
    };
    let mut lines = vec![format!("{} USD for 1 M tokens", rates(price))];
    for tier in price["tiers"].as_array().into_iter().flatten() {
        let above = tier["above_tokens"].as_u64().unwrap_or(0);
        lines.push(format!("above {} prompt tokens: {}", text::thousands(above), rates(tier)));
    }
    if !price["batch"].is_null() {
        lines.push(format!("batch: {}", rates(&price["batch"])));
    }
    if let Some(usd) = price["storage"].as_f64() {
        let date = price["storage_date"].as_str().map(|date| format!(", checked {date}")).unwrap_or_default();
        let source = price["storage_source"].as_str().unwrap_or_default();
        lines.push(format!("storage {usd} USD for 1 M cached tokens an hour; {source}{date}"));
    }
    let date = price["date"].as_str().map(|date| format!(", checked {date}")).unwrap_or_default();
    lines.push(format!(
        "{} of {}; {}{date}",
        field(price, "model"),
        field(price, "provider"),
        field(price, "source")
    ));
    lines
}
