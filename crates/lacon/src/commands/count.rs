//! `lacon count`: tokens of files, folders and standard input, for one or many models.

use std::{
    collections::BTreeSet,
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    process::ExitCode,
};

use lacon_prompt::meter;
use lacon_tokens::{Encoding, EncodingName, Exactness, ModelEncoding, RequestCount, encoding, for_model};
use serde_json::{Value, json};

use crate::{args::CountArgs, failure, failure::Failure, text};

/// Counts and prints.
pub fn run(args: &CountArgs) -> Result<ExitCode, Failure> {
    let read = |file: &PathBuf| vocabulary(file, &file.display().to_string());
    let vocabulary = args.tokenizer.as_ref().map(read).transpose()?;
    let mut requests = Vec::new();
    for path in &args.request {
        requests.push((path, super::read_text(path)?));
    }
    let columns = columns(args, vocabulary, requests.iter().map(|(_, json)| json.as_str()))?;
    let mut rows = Vec::new();
    for (path, json) in &requests {
        rows.push(request_row(path, json, &columns)?);
    }
    if !args.files.is_empty() || args.request.is_empty() {
        rows.extend(inputs(&args.files)?.iter().map(|input| Row::new(input, &columns)));
    }
    let totals = totals(&rows, &columns);
    if args.json {
        text::out(&as_json(&columns, &rows, &totals, args).to_string());
    } else {
        for warning in columns.iter().filter_map(|column| column.model.warning.as_ref()) {
            text::warn(warning);
        }
        print(&columns, &rows, &totals, args);
    }
    let most = columns.iter().zip(&totals).map(|(column, total)| (column.upper(*total), *total)).max();
    match (args.fail_over, most) {
        (Some(limit), Some((upper, total))) if upper > limit => {
            let most =
                if upper > total { format!("up to {upper} tokens") } else { format!("{total} tokens") };
            Err(Failure { message: format!("{most}, limit is {limit}"), code: failure::GATE })
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Reads the vocabulary of a model's file, under a name.
pub fn vocabulary(file: &Path, name: &str) -> Result<Encoding, Failure> {
    let source = File::open(file)
        .map_err(|error| Failure::input(format!("cannot read {}: {error}", file.display())))?;
    Encoding::read(name, BufReader::new(source))
        .map_err(|error| Failure::input(format!("{}: {error}", file.display())))
}

/// Counts one text as the flags say, as the JSON of `--json`; prints nothing.
#[cfg(feature = "mcp")]
pub(in crate::commands) fn count_text(args: &CountArgs, text: &str) -> Result<Value, Failure> {
    let columns = columns(args, None, std::iter::empty())?;
    let rows = [Row::new(&Input { path: "text".into(), text: text.to_owned() }, &columns)];
    let totals = totals(&rows, &columns);
    Ok(as_json(&columns, &rows, &totals, args))
}

fn totals(rows: &[Row], columns: &[Column]) -> Vec<usize> {
    (0..columns.len()).map(|i| rows.iter().map(|row| row.counts[i]).sum()).collect()
}

/// Counts a request, part by part.
fn request_row(path: &Path, json: &str, columns: &[Column]) -> Result<Row, Failure> {
    let fault = |error| Failure::input(format!("{}: {error}", path.display()));
    let parts: Vec<RequestCount> = columns
        .iter()
        .map(|column| meter::count(json, &column.model).map_err(fault))
        .collect::<Result<_, _>>()?;
    let counts = parts.iter().map(|part| part.total).collect();
    Ok(Row { path: path.display().to_string(), bytes: json.len(), counts, parts })
}

/// One way to count.
struct Column {
    /// As the user named it.
    name: String,
    model: ModelEncoding,
}

impl Column {
    /// The largest number of tokens that `total`, perhaps an estimate, may stand for.
    fn upper(&self, total: usize) -> usize {
        match &self.model.estimator {
            Some(known) => (total as f64 * (1.0 + known.error)).ceil() as usize,
            None => total,
        }
    }
}

/// The encodings and models that the flags name, else the models that the requests name.
fn columns<'a>(
    args: &CountArgs,
    vocabulary: Option<Encoding>,
    requests: impl Iterator<Item = &'a str>,
) -> Result<Vec<Column>, Failure> {
    #[derive(serde::Deserialize)]
    struct Named {
        model: String,
    }
    let mut columns = Vec::new();
    for name in &args.encoding {
        let parsed: EncodingName = name.parse().map_err(Failure::input)?;
        columns.push(Column { name: parsed.as_str().to_owned(), model: encoding(parsed).into() });
    }
    for name in &args.model {
        columns.push(Column { name: name.clone(), model: for_model(name) });
    }
    if let Some(read) = vocabulary {
        let name = read.name().to_owned();
        // One vocabulary a process, which lives as long as it.
        columns.push(Column { name, model: ModelEncoding::from(&*Box::leak(Box::new(read))) });
    }
    if columns.is_empty() {
        // A request without a name is counted like a text.
        let names: BTreeSet<String> = requests
            .filter_map(|json| serde_json::from_str::<Named>(json).ok())
            .map(|named| named.model)
            .collect();
        columns.extend(names.into_iter().map(|name| Column { model: for_model(&name), name }));
    }
    if columns.is_empty() {
        let base = EncodingName::O200kBase;
        columns.push(Column { name: base.as_str().to_owned(), model: encoding(base).into() });
    }
    Ok(columns)
}

struct Input {
    path: String,
    text: String,
}

struct Row {
    path: String,
    bytes: usize,
    counts: Vec<usize>,
    /// Of a request: what its tokens are of.
    parts: Vec<RequestCount>,
}

impl Row {
    fn new(input: &Input, columns: &[Column]) -> Self {
        let counts = columns.iter().map(|column| column.model.count(&input.text).tokens).collect();
        Self { path: input.path.clone(), bytes: input.text.len(), counts, parts: Vec::new() }
    }
}

fn inputs(paths: &[PathBuf]) -> Result<Vec<Input>, Failure> {
    let dash = [PathBuf::from("-")];
    let paths = if paths.is_empty() { &dash[..] } else { paths };
    let mut inputs = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut files = Vec::new();
            walk(path, &mut files)?;
            let before = inputs.len();
            for file in &files {
                match super::read_text(file) {
                    Ok(text) => inputs.push(Input { path: file.display().to_string(), text }),
                    // In a folder, what is not text is passed over, and said.
                    Err(failure) => {
                        text::note(&format!("skipped: {}", failure.message.lines().next().unwrap_or("")))
                    }
                }
            }
            if inputs.len() == before {
                return Err(Failure::input(format!("{}: no text file in this folder", path.display())));
            }
        } else {
            inputs.push(Input { path: path.display().to_string(), text: super::read_text(path)? });
        }
    }
    Ok(inputs)
}

/// Files below a folder in order of their names; hidden ones and links are left out.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let cannot = |e: std::io::Error| Failure::input(format!("{}: cannot be listed: {e}", folder.display()));
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(cannot)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(cannot)?;
    entries.sort();
    for path in entries {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

fn print(columns: &[Column], rows: &[Row], totals: &[usize], args: &CountArgs) {
    let number = |column: &Column, count: usize| {
        let mark = if column.model.how == Exactness::Exact { "" } else { "~" };
        format!("{mark}{count}")
    };
    if columns.len() == 1 && rows.len() == 1 && args.by.is_none() {
        text::out(&number(&columns[0], totals[0]));
        return;
    }
    let widths: Vec<usize> = columns
        .iter()
        .zip(totals)
        .map(|(column, total)| column.name.len().max(number(column, *total).len()))
        .collect();
    let line = |cells: &mut dyn Iterator<Item = String>, label: &str| {
        let cells: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        format!("{}  {label}", cells.join("  "))
    };
    if columns.len() > 1 {
        text::out(line(&mut columns.iter().map(|column| column.name.clone()), "").trim_end());
    }
    let listed = args.by.is_some() || args.files.len() + args.request.len() == rows.len();
    for row in rows.iter().filter(|_| listed) {
        let mut cells = columns.iter().zip(&row.counts).map(|(column, count)| number(column, *count));
        text::out(&line(&mut cells, &row.path));
    }
    if rows.len() > 1 {
        let mut cells = columns.iter().zip(totals).map(|(column, total)| number(column, *total));
        text::out(&line(&mut cells, &format!("total of {} files", rows.len())));
    }
}

fn part_json(part: &RequestCount) -> Value {
    json!({
        "messages": part.messages,
        "framing": part.framing,
        "tools": part.tools,
        "media": part.images,
        "how": part.how.as_str(),
    })
}

fn as_json(columns: &[Column], rows: &[Row], totals: &[usize], args: &CountArgs) -> Value {
    // A sum is worth what its least certain part is.
    let how = |i: usize| {
        let parts = rows.iter().filter_map(|row| row.parts.get(i)).map(|part| part.how);
        parts.fold(columns[i].model.how, std::cmp::max)
    };
    let columns_json: Vec<Value> = columns
        .iter()
        .zip(totals)
        .enumerate()
        .map(|(i, (column, total))| {
            let mut value = json!({
                "name": column.name,
                "encoding": column.model.encoding.name(),
                "how": how(i).as_str(),
                "tokens": total,
            });
            if let Some(estimator) = &column.model.estimator {
                value["upper"] = json!(column.upper(*total));
                value["error"] = json!(estimator.error);
                value["source"] = json!(estimator.source);
            }
            if let Some(warning) = &column.model.warning {
                value["warning"] = json!(warning.lines().next());
            }
            value
        })
        .collect();
    let files: Vec<Value> = rows
        .iter()
        .map(|row| {
            let mut value = json!({ "path": row.path, "bytes": row.bytes, "tokens": row.counts });
            if !row.parts.is_empty() {
                value["parts"] = row.parts.iter().map(part_json).collect();
            }
            value
        })
        .collect();
    json!({
        "schema_version": 1,
        "counts": columns_json,
        "files": files,
        "limit": args.fail_over,
        "over": args.fail_over.is_some_and(|limit| {
            columns.iter().zip(totals).any(|(column, total)| column.upper(*total) > limit)
        }),
    })
}
