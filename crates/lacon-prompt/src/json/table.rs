//! Finds the columns that a run of records shares.

use super::Node;
use super::encode::looks_literal;
use foldhash::{HashMap, HashMapExt as _};

/// A record's members.
pub(super) type Row<'n, 'a> = &'n [(&'a str, Node<'a>)];

/// The columns of a table, in an order that every row follows.
pub(super) struct Schema<'n, 'a> {
    pub(super) columns: Vec<Column<'n, 'a>>,
}

/// One column.
pub(super) struct Column<'n, 'a> {
    pub(super) name: &'a str,
    pub(super) kind: Kind<'n, 'a>,
}

/// How a column's cells are written.
pub(super) enum Kind<'n, 'a> {
    /// One cell a row; with `strings`, a bare cell is a string even if it looks like a number.
    Leaf { strings: bool },
    /// The same value in every row; no cell.
    Constant(&'n Node<'a>),
    /// One cell a row, empty where it is this value.
    Default { value: &'n Node<'a>, strings: bool },
    /// An object in every row, its members written as cells of the row.
    Group(Schema<'n, 'a>),
    /// A list of records in every row that has it.
    List(Schema<'n, 'a>),
}

const MAX_COLUMNS: usize = 96;
/// Below this share of filled cells a table is harder to read than records, and no shorter.
const MIN_FILL: f64 = 0.5;

impl<'n, 'a> Schema<'n, 'a> {
    /// The shared columns, or `None` where a table would not pay or could not be undone.
    pub(super) fn of(rows: &[Row<'n, 'a>], keyed: bool) -> Option<Self> {
        if rows.len() < if keyed { 3 } else { 2 } {
            return None;
        }
        let schema = Self::columns_of(rows)?;
        let names: usize = rows.iter().flat_map(|row| row.iter()).map(|(name, _)| name.len() + 3).sum();
        let header: usize = schema.columns.iter().map(|c| c.name.len() + 1).sum();
        (names > header + 8).then_some(schema)
    }

    fn columns_of(rows: &[Row<'n, 'a>]) -> Option<Self> {
        if rows.is_empty() || rows.iter().any(|row| row.is_empty() || row.len() > MAX_COLUMNS) {
            return None;
        }
        let order = merged_order(rows)?;
        let mut cells: Vec<Vec<Option<&'n Node<'a>>>> = vec![Vec::with_capacity(rows.len()); order.len()];
        let index: HashMap<&str, usize> = order.iter().enumerate().map(|(i, name)| (*name, i)).collect();
        let mut filled = 0;
        for row in rows {
            let mut next = 0;
            for (name, value) in *row {
                let at = index[name];
                if at < next {
                    return None;
                }
                for column in &mut cells[next..at] {
                    column.push(None);
                }
                cells[at].push(Some(value));
                next = at + 1;
                filled += 1;
            }
            for column in &mut cells[next..] {
                column.push(None);
            }
        }
        if (filled as f64) < MIN_FILL * (rows.len() * order.len()) as f64 {
            return None;
        }
        let columns =
            order.iter().zip(&cells).map(|(name, cells)| Column { name, kind: kind_of(cells) }).collect();
        Some(Schema { columns })
    }
}

/// One order of names that each row is a subsequence of, found greedily.
fn merged_order<'a>(rows: &[Row<'_, 'a>]) -> Option<Vec<&'a str>> {
    let mut order: Vec<&'a str> = rows.first()?.iter().map(|(name, _)| *name).collect();
    for row in rows {
        let mut next = 0;
        for (name, _) in *row {
            match order.iter().position(|known| known == name) {
                Some(at) if at >= next => next = at + 1,
                Some(_) => return None,
                None if order.len() < MAX_COLUMNS => {
                    order.insert(next, name);
                    next += 1;
                }
                None => return None,
            }
        }
    }
    let mut sorted = order.clone();
    sorted.sort_unstable();
    sorted.windows(2).all(|pair| pair[0] != pair[1]).then_some(order)
}

fn kind_of<'n, 'a>(cells: &[Option<&'n Node<'a>>]) -> Kind<'n, 'a> {
    let present: Vec<&'n Node<'a>> = cells.iter().flatten().copied().collect();
    let full = present.len() == cells.len();
    if full && present.len() > 1 && present.iter().all(|value| *value == present[0]) {
        return Kind::Constant(present[0]);
    }
    if full && let Some(schema) = group(&present) {
        return Kind::Group(schema);
    }
    if let Some(schema) = list(&present) {
        return Kind::List(schema);
    }
    let strings = present.iter().all(|value| matches!(value, Node::String(_)))
        && present.iter().any(|value| matches!(value, Node::String(raw) if looks_literal(raw)));
    if full && let Some(value) = dominant(&present) {
        return Kind::Default { value, strings };
    }
    Kind::Leaf { strings }
}

fn group<'n, 'a>(values: &[&'n Node<'a>]) -> Option<Schema<'n, 'a>> {
    let rows: Option<Vec<Row<'n, 'a>>> = values
        .iter()
        .map(|value| match value {
            Node::Object(members) if !members.is_empty() => Some(members.as_slice()),
            _ => None,
        })
        .collect();
    Schema::columns_of(&rows?)
}

fn list<'n, 'a>(values: &[&'n Node<'a>]) -> Option<Schema<'n, 'a>> {
    let mut rows: Vec<Row<'n, 'a>> = Vec::new();
    for value in values {
        let Node::Array(items) = value else { return None };
        for item in items {
            let Node::Object(members) = item else { return None };
            rows.push(members);
        }
    }
    if rows.len() < 2 {
        return None;
    }
    Schema::columns_of(&rows)
}

/// A scalar that more than six rows in ten hold.
fn dominant<'n, 'a>(values: &[&'n Node<'a>]) -> Option<&'n Node<'a>> {
    let mut counts: HashMap<(bool, &str), (usize, &'n Node<'a>)> = HashMap::new();
    for value in values {
        let key = match value {
            Node::Literal(s) => (true, *s),
            Node::String(s) if s.len() < 200 => (false, *s),
            _ => continue,
        };
        counts.entry(key).or_insert((0, value)).0 += 1;
    }
    // Ties cannot pass the threshold, so the map's order does not show.
    counts.into_values().find(|(n, _)| n * 10 > values.len() * 6 && *n > 2).map(|(_, value)| value)
}
