//! Texts that questions are asked about: what they are, and windows of them that fit into one prompt.

use lacon_tokens::Encoding;
use serde_json::Value;

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A JSON text with an array of objects.
    Json,
    /// One JSON object a line.
    JsonLines,
    /// Separated rows below a heading.
    Csv,
    /// A markdown table.
    Grid,
    /// Lines of a program's log.
    Log,
    /// What `diff` prints.
    Diff,
    /// Anything else.
    Document,
}

/// A table in a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Records {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Cells row by row; `None` where a cell is no plain value.
    pub rows: Vec<Vec<Option<String>>>,
}

/// A text to ask about.
#[derive(Debug, Clone, PartialEq)]
pub struct Material {
    /// Where it is from.
    pub name: String,
    /// The text.
    pub text: String,
    /// What it is.
    pub kind: Kind,
    /// Its records, where it has some.
    pub records: Records,
}

/// Fewest rows that make a table.
const MIN_ROWS: usize = 3;
/// Most bytes that are read of one file.
pub const MAX_BYTES: usize = 16 << 20;

impl Material {
    /// Finds out what a text is.
    pub fn read(name: &str, text: &str) -> Self {
        let found = json(text)
            .map(|records| (Kind::Json, records))
            .or_else(|| Some((Kind::JsonLines, json_lines(text)?)))
            .or_else(|| Some((Kind::Grid, grid(text)?)))
            .or_else(|| Some((Kind::Csv, csv(text)?)));
        let (kind, records) = match found {
            Some(found) => found,
            None if text.starts_with("diff --git ") || text.contains("\n@@ -") => {
                (Kind::Diff, Records::default())
            }
            None if is_log(text) => (Kind::Log, Records::default()),
            None => (Kind::Document, Records::default()),
        };
        Self { name: name.to_owned(), text: text.to_owned(), kind, records }
    }

    /// Cuts the text into windows of at most `most` tokens, each a whole text of the same kind.
    pub fn windows(&self, most: usize, encoding: &Encoding) -> Vec<Self> {
        if encoding.count(&self.text) <= most {
            return vec![self.clone()];
        }
        let parts: Vec<String> = match self.kind {
            Kind::Json => {
                let Some(Value::Array(items)) = serde_json::from_str(&self.text)
                    .ok()
                    .and_then(|value| records_in(value).map(Value::Array))
                else {
                    return Vec::new();
                };
                let pretty = self.text.contains('\n');
                let written = |items: &[Value]| {
                    let written = match pretty {
                        true => serde_json::to_string_pretty(items),
                        false => serde_json::to_string(items),
                    };
                    written.unwrap_or_default()
                };
                grouped(&items, |items| encoding.count(&written(items)), most)
                    .into_iter()
                    .map(written)
                    .collect()
            }
            kind => {
                let lines: Vec<&str> = self.text.split_inclusive('\n').collect();
                let heading = match kind {
                    Kind::Csv => 1,
                    Kind::Grid => 2,
                    _ => 0,
                };
                let (head, body) = lines.split_at(heading.min(lines.len()));
                let head = head.concat();
                let room = most.saturating_sub(encoding.count(&head));
                grouped(body, |lines| lines.iter().map(|line| encoding.count(line)).sum(), room)
                    .into_iter()
                    .map(|lines| head.clone() + &lines.concat())
                    .collect()
            }
        };
        let named = |(n, text): (usize, String)| {
            let part = Self::read(&format!("{}#{}", self.name, n + 1), &text);
            (part.kind == self.kind).then_some(part)
        };
        parts.into_iter().enumerate().filter_map(named).collect()
    }
}

/// Groups neighbors so that each group takes at most `most`; one that is too large alone is left out.
fn grouped<T>(items: &[T], tokens: impl Fn(&[T]) -> usize, most: usize) -> Vec<&[T]> {
    let mut groups = Vec::new();
    let mut begin = 0;
    while begin < items.len() {
        // Doubling and halving: counting every length would be quadratic.
        let (mut fits, mut over) = (0, items.len() - begin + 1);
        while over - fits > 1 {
            let n =
                if fits == 0 { over.min(64).div_ceil(2) } else { usize::midpoint(fits, over).min(fits * 2) };
            if tokens(&items[begin..begin + n]) <= most { fits = n } else { over = n }
        }
        if fits > 0 {
            groups.push(&items[begin..begin + fits]);
        }
        begin += fits.max(1);
    }
    groups
}

fn records_in(value: Value) -> Option<Vec<Value>> {
    let is_table = |items: &Vec<Value>| items.len() >= MIN_ROWS && items.iter().all(Value::is_object);
    match value {
        Value::Array(items) => Some(items).filter(is_table),
        Value::Object(fields) => {
            fields.into_iter().filter_map(|(_, value)| records_in(value)).max_by_key(Vec::len)
        }
        _ => None,
    }
}

fn table(items: &[Value]) -> Option<Records> {
    let first = items.first()?.as_object()?;
    let columns: Vec<String> = first.keys().cloned().collect();
    let cell = |item: &Value, column: &String| match item.get(column)? {
        Value::String(text) => Some(text.clone()),
        value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
        _ => None,
    };
    let rows = items.iter().map(|item| columns.iter().map(|column| cell(item, column)).collect()).collect();
    Some(Records { columns, rows })
}

fn json(text: &str) -> Option<Records> {
    if !text.trim_start().starts_with(['[', '{']) {
        return None;
    }
    table(&records_in(serde_json::from_str(text).ok()?)?)
}

fn json_lines(text: &str) -> Option<Records> {
    let items: Option<Vec<Value>> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).ok().filter(Value::is_object))
        .collect();
    items.filter(|items| items.len() >= MIN_ROWS).and_then(|items| table(&items))
}

fn of_rows(mut rows: impl Iterator<Item = Vec<String>>) -> Option<Records> {
    let columns = rows.next()?;
    let rows: Vec<Vec<_>> = rows.map(|row| row.into_iter().map(Some).collect()).collect();
    let is_table = columns.len() >= 2
        && rows.len() >= MIN_ROWS
        && columns.iter().all(|name| !name.is_empty())
        && rows.iter().all(|row| row.len() == columns.len());
    is_table.then_some(Records { columns, rows })
}

fn grid(text: &str) -> Option<Records> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let is_grid = lines.iter().all(|line| line.starts_with('|') && line.ends_with('|') && line.len() > 1);
    if !is_grid || !lines.get(1)?.chars().all(|c| "|-: ".contains(c)) {
        return None;
    }
    let cells = |line: &&str| line[1..line.len() - 1].split('|').map(|cell| cell.trim().to_owned()).collect();
    of_rows(lines[..1].iter().chain(&lines[2..]).map(cells))
}

fn csv(text: &str) -> Option<Records> {
    // Quoted cells may hold separators; a table with them is left to the document questions.
    let heading = text.lines().next()?;
    let separator = [',', '\t', ';', '|'].into_iter().find(|c| heading.contains(*c))?;
    if text.contains('"') || heading.split(separator).any(|name| name.trim().contains(". ")) {
        return None;
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    of_rows(lines.map(|line| line.split(separator).map(|cell| cell.trim().to_owned()).collect()))
}

fn is_log(text: &str) -> bool {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let looks = |line: &&&str| {
        let start: String = line.chars().take(24).collect();
        start.chars().filter(char::is_ascii_digit).count() >= 4
            || ["INFO", "WARN", "ERROR", "DEBUG"].iter().any(|level| line.contains(level))
    };
    lines.len() >= 10 && lines.iter().filter(looks).count() * 2 >= lines.len()
}
