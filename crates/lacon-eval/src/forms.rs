//! The forms that are compared: ours, one pass each, and those of others.

use lacon_prompt::{
    compress::{LEGEND, Options, compress},
    passes::{Pass, PassSet},
};
use lacon_tokens::Encoding;
use serde_json::Value;

use crate::material::{Kind, Material};

/// A way to write a text.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a few words.
    pub about: &'static str,
    /// The passes that write it; none for the forms of others.
    pub passes: &'static [Pass],
    /// How running text is written in it, for a form that another crate owns.
    pub writes: Option<fn(&str, &Encoding) -> String>,
    /// The kinds of questions that it has to answer; all if there are none.
    pub kinds: &'static [&'static str],
}

const fn form(name: &'static str, about: &'static str, passes: &'static [Pass]) -> Form {
    Form { name, about, passes, writes: None, kinds: &[] }
}

/// All forms. The original is not in the list, because each of them is compared with it.
pub const FORMS: &[Form] = &[
    form("minified", "JSON without white space", &[]),
    form("json", "@json and @jsonl: records as a table", &[Pass::Json, Pass::JsonLines]),
    form("columns", "@csv: what a whole column says stands in its heading", &[Pass::Columns]),
    form("hits", "@hits: each path once above its lines", &[Pass::Hits]),
    form("diffs", "@diff: each file's name once", &[Pass::Diffs]),
    form("logs", "@log: templates and their values", &[Pass::Logs]),
    form("grids", "@grid: tables without bars and padding", &[Pass::Grids]),
    form("edits", "@edit: a second version as its changes", &[Pass::Edits]),
    form("repeats", "@ref: passages that occur again, by name", &[Pass::Repeats]),
    form("csv", "records as CSV, the usual rival", &[]),
    form("toon", "records as TOON, another rival", &[]),
];

/// The form of a name.
pub fn named(name: &str) -> Option<&'static Form> {
    FORMS.iter().find(|form| form.name == name)
}

impl Form {
    /// Writes a text in this form; `None` where that changes or saves nothing.
    pub fn write(&self, material: &Material, encoding: &Encoding) -> Option<String> {
        let text = match self.name {
            _ if self.writes.is_some() => {
                let write = self.writes.filter(|_| material.kind == Kind::Document)?;
                write(&material.text, encoding)
            }
            "minified" => {
                let value: Value = serde_json::from_str(&material.text).ok()?;
                (material.kind == Kind::Json).then(|| value.to_string())?
            }
            "csv" => rows(material, |cells| cells.join(","), |columns, _| columns.join(","))?,
            "toon" => rows(
                material,
                |cells| format!("  {}", cells.join(",")),
                |columns, n| format!("[{n}]{{{}}}:", columns.join(",")),
            )?,
            _ => {
                let passes = self.passes.iter().fold(PassSet::NONE, |set, pass| set.with(*pass));
                let options = Options { passes, ..Options::default() };
                compress(&material.text, options, None, encoding).ok()?.text
            }
        };
        (text != material.text && encoding.count(&text) < encoding.count(&material.text)).then_some(text)
    }

    /// Whether a question of a kind is one that the form has to answer.
    pub fn answers(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    /// Whether the form is one of ours, so that a legend can explain it.
    pub fn has_legend(&self) -> bool {
        !self.passes.is_empty()
    }
}

/// A text with the line above it that explains our forms.
pub fn with_legend(text: &str) -> String {
    format!("{LEGEND}\n{text}")
}

/// Records as rows; only where every cell is a plain value without a separator.
fn rows(
    material: &Material,
    row: impl Fn(&[&str]) -> String,
    heading: impl Fn(&[String], usize) -> String,
) -> Option<String> {
    if !matches!(material.kind, Kind::Json | Kind::JsonLines) {
        return None;
    }
    let records = &material.records;
    let mut lines = vec![heading(&records.columns, records.rows.len())];
    for cells in &records.rows {
        let cells: Option<Vec<&str>> = cells.iter().map(|cell| cell.as_deref()).collect();
        let cells = cells.filter(|cells| !cells.iter().any(|cell| cell.contains([',', '"', '\n'])))?;
        lines.push(row(&cells));
    }
    Some(lines.join("\n"))
}
