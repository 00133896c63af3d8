//! Reads a large file in parallel parts: lines, or the elements of a document's long list.
//!
//! The values of a part become loose spans at once and are dropped, so memory holds the text and the spans, never the
//! whole tree. Anything but plain JSON of one known format is left to the sequential reader in `forms`. That reader is
//! also the oracle of this one: both give the same spans in the same order.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, value::RawValue};

use super::{
    Form, Problem,
    batch::{Batch, join},
    forms::Tally,
    json, langfuse, langsmith, otlp,
    skeleton::Skeleton,
};

/// What was found.
#[derive(Default)]
pub struct Found {
    /// Spans and what else was read.
    pub batch: Batch,
    /// What was wrong with the text.
    pub problems: Vec<Problem>,
    /// How the values of the file are spread over the forms.
    pub tally: Tally,
}

impl Found {
    fn add(&mut self, form: Form, value: Value) {
        self.tally.add(&value);
        form.add(value, &mut self.batch);
    }

    fn append(&mut self, next: Self) {
        self.batch.append(next.batch);
        join(&mut self.problems, next.problems);
        self.tally.append(next.tally);
    }
}

/// Reads a text in about `n` parts; nothing when it is not plain enough for that.
pub fn read(text: &str, n: usize) -> Option<(Form, Found)> {
    let text = json::trimmed(text);
    let size = text.len() / n.max(1) + 1;
    let mut first_lines = text.lines();
    let first = first_lines.next()?;
    let (form, found) = if first_lines.next().is_some() && json::is_by_line(first) {
        lines(text, first, size)?
    } else {
        list(text, size).or_else(|| document(text, size))?
    };
    // The first value's form was a guess. Analyzer files are small, and each is a run of its own.
    (found.tally.form() == Some(form) && form != Form::Analyzer).then_some((form, found))
}

fn lines(text: &str, first: &str, size: usize) -> Option<(Form, Found)> {
    let form = Tally::of(&serde_json::from_str(first).ok()?).form()?;
    let mut parts: Vec<(usize, &str)> = Vec::new();
    let (mut rest, mut n_before) = (text, 0);
    while !rest.is_empty() {
        let from = size.min(rest.len());
        let newline = rest.as_bytes()[from..].iter().position(|b| *b == b'\n');
        let (part, after) = rest.split_at(newline.map_or(rest.len(), |i| from + i + 1));
        parts.push((n_before, part));
        n_before += part.bytes().filter(|b| *b == b'\n').count();
        rest = after;
    }
    let found = each(parts, |(n_before, part)| {
        let mut found = Found::default();
        for (i, line) in part.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            match serde_json::from_str(line) {
                Ok(value) => found.add(form, value),
                // Not one whole value: what can be read of it is read.
                Err(_) => {
                    let mut values = Vec::new();
                    json::line(line, n_before + i + 1, &mut values, &mut found.problems);
                    values.into_iter().for_each(|value| found.add(form, value));
                }
            }
        }
        Some(found)
    })?;
    // One value alone may be a wrapper around others.
    (found.tally.n_values > 1).then_some((form, found))
}

/// Reads a document that is one list of objects, cut where an object seems to begin as the first one does: that takes no
/// pass over the whole text before. Each part must end exactly where the next one begins, or nothing is given: a cut inside
/// of an element shows in the part before it, which then ends in the middle of a value.
fn list(text: &str, size: usize) -> Option<(Form, Found)> {
    let text = text.strip_prefix('[')?.trim_start_matches(SPACE);
    let mark = text.get(..=text.bytes().take(MOST_MARK).position(|b| b == b':')?)?;
    if !mark.starts_with('{') {
        return None;
    }
    // One that is longer than a part is taken apart itself.
    let start = &text[..text.floor_char_boundary(size)];
    let first: Value = serde_json::Deserializer::from_str(start).into_iter().next()?.ok()?;
    let form = Tally::of(&first).form()?;
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let cut = next_element(rest, mark, size).unwrap_or(rest.len());
        let (part, after) = rest.split_at(cut);
        // Elements that do not begin alike would leave most of the text to one thread.
        if part.len() > 2 * size {
            return None;
        }
        parts.push((part, after.is_empty()));
        rest = after;
    }
    let found = each(parts, |(part, is_last)| {
        let mut found = Found::default();
        let mut rest = part;
        loop {
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            found.add(form, values.next()?.ok()?);
            rest = rest[values.byte_offset()..].trim_start_matches(SPACE);
            if let Some(end) = rest.strip_prefix(']') {
                return (is_last && end.trim_start_matches(SPACE).is_empty()).then_some(found);
            }
            rest = rest.strip_prefix(',')?.trim_start_matches(SPACE);
            if rest.is_empty() {
                return (!is_last).then_some(found);
            }
        }
    })?;
    Some((form, found))
}

/// White space of JSON.
const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];
/// The longest beginning of an element, up to the colon behind its first key, that is looked for.
const MOST_MARK: usize = 64;

/// Where, from byte `from` on, an element seems to begin: behind a comma, as `mark` does.
fn next_element(text: &str, mark: &str, from: usize) -> Option<usize> {
    let from = text.floor_char_boundary(from);
    let mut found = text[from..].match_indices(mark).map(|(i, _)| from + i);
    found.find(|i| text[..*i].trim_end_matches(SPACE).ends_with(','))
}

/// A piece of a document that is read alone.
enum Piece<'a> {
    /// A value of the file.
    Value(&'a RawValue),
    /// A span of an OTLP document.
    Span(&'a RawValue, Arc<otlp::Source>),
    /// An observation of the Langfuse trace with this identifier.
    Observation(&'a RawValue, Arc<str>),
    /// A LangSmith run below another one.
    Child(&'a RawValue, Arc<langsmith::Above>),
    /// What was read while the document was taken apart.
    Done(Box<Batch>),
}

impl Piece<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Value(raw) | Self::Span(raw, _) | Self::Observation(raw, _) | Self::Child(raw, _) => {
                raw.get().len()
            }
            Self::Done(_) => 0,
        }
    }

    fn read(self, form: Form, into: &mut Found) -> Option<()> {
        let value = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).ok();
        match self {
            Self::Value(raw) => into.add(form, value(raw)?),
            Self::Span(raw, source) => into.batch.raws.push(otlp::span(&value(raw)?, &source)),
            Self::Observation(raw, id) => into.batch.raws.push(langfuse::observed(&value(raw)?, Some(&id))),
            Self::Child(raw, above) => langsmith::add(&value(raw)?, Some(&above), &mut into.batch),
            Self::Done(batch) => into.batch.append(*batch),
        }
        Some(())
    }
}

fn document(text: &str, size: usize) -> Option<(Form, Found)> {
    let whole = Skeleton::of(text)?;
    let mut apart = Apart { size, pieces: Vec::new(), tally: Tally::default(), form: None };
    let list = ["data", "runs", "items"].iter().find_map(|key| whole.get(key)?.elements());
    match whole.elements().or(list) {
        Some(elements) => elements.iter().try_for_each(|element| apart.value(element))?,
        None => {
            let data = whole.get("data").filter(|d| {
                matches!(d, Skeleton::Object(_))
                    && d.head().is_some_and(|h| otlp::is_document(&h) || langfuse::is_ours(&h))
            });
            apart.object(data.unwrap_or(&whole))?;
        }
    }
    drop(whole);
    let form = apart.form?;
    let mut parts: Vec<Vec<Piece<'_>>> = vec![Vec::new()];
    let mut n_bytes = 0;
    for piece in apart.pieces {
        n_bytes += piece.len();
        if n_bytes > size {
            parts.push(Vec::new());
            n_bytes = piece.len();
        }
        parts.last_mut()?.push(piece);
    }
    let mut found = each(parts, |pieces| {
        let mut found = Found::default();
        pieces.into_iter().try_for_each(|piece| piece.read(form, &mut found))?;
        Some(found)
    })?;
    found.tally.append(apart.tally);
    Some((form, found))
}

/// A document on its way to pieces.
struct Apart<'a> {
    /// Larger values are taken apart.
    size: usize,
    pieces: Vec<Piece<'a>>,
    tally: Tally,
    form: Option<Form>,
}

impl<'a> Apart<'a> {
    fn value(&mut self, value: &Skeleton<'a>) -> Option<()> {
        let Skeleton::Raw(raw) = value else { return None };
        if raw.get().len() > self.size && raw.get().starts_with('{') {
            return self.object(&Skeleton::of(raw.get())?);
        }
        if self.form.is_none() {
            self.form = Tally::of(&serde_json::from_str(raw.get()).ok()?).form();
        }
        self.pieces.push(Piece::Value(raw));
        Some(())
    }

    /// A value of the file that is most of it; its form is known by what it holds beside its list.
    fn object(&mut self, value: &Skeleton<'a>) -> Option<()> {
        let head = value.head()?;
        let form = Tally::of(&head).form()?;
        self.tally.add(&head);
        if *self.form.get_or_insert(form) != form {
            return None;
        }
        match form {
            Form::Otlp => {
                for resource in value.first_list(&otlp::RESOURCES) {
                    for scope in resource.first_list(&otlp::SCOPES) {
                        let head = |of: &Skeleton<'_>, names: &[&str]| {
                            names.iter().find_map(|name| of.get(name)?.head()).filter(|v| !v.is_null())
                        };
                        let scope_of = head(scope, &["scope", "instrumentationLibrary"]);
                        let source =
                            otlp::Source::of(head(resource, &["resource"]).as_ref(), scope_of.as_ref());
                        let source = Arc::new(source);
                        for span in scope.get("spans").and_then(Skeleton::elements).unwrap_or(&[]) {
                            let Skeleton::Raw(raw) = span else { return None };
                            self.pieces.push(Piece::Span(raw, Arc::clone(&source)));
                        }
                    }
                }
                Some(())
            }
            Form::Langfuse => {
                let outer = langfuse::outer(&head);
                let id: Arc<str> = outer.id.as_str().into();
                self.pieces.push(Piece::Done(Box::new(Batch { outer: vec![outer], ..Batch::default() })));
                for observation in value.get("observations")?.elements()? {
                    let Skeleton::Raw(raw) = observation else { return None };
                    self.pieces.push(Piece::Observation(raw, Arc::clone(&id)));
                }
                Some(())
            }
            Form::Langsmith => self.run(value, &head, None, 0),
            _ => None,
        }
    }

    fn run(
        &mut self,
        value: &Skeleton<'a>,
        head: &Value,
        above: Option<&langsmith::Above>,
        depth: usize,
    ) -> Option<()> {
        let children = value.get("child_runs").and_then(Skeleton::elements);
        let mut batch = Batch::default();
        let above = Arc::new(langsmith::run(head, children.map(<[_]>::len), above, &mut batch));
        self.pieces.push(Piece::Done(Box::new(batch)));
        for child in children.unwrap_or(&[]) {
            let Skeleton::Raw(raw) = child else { return None };
            // Each level is one more pass over the text.
            if raw.get().len() > self.size && depth < 8 && raw.get().starts_with('{') {
                let child = Skeleton::of(raw.get())?;
                self.run(&child, &child.head()?, Some(&above), depth + 1)?;
            } else {
                self.pieces.push(Piece::Child(raw, Arc::clone(&above)));
            }
        }
        Some(())
    }
}

/// Reads the parts on all processors and joins what they give in their order; nothing when one of them gives nothing.
fn each<T: Send>(parts: Vec<T>, read: impl Fn(T) -> Option<Found> + Sync) -> Option<Found> {
    let n_threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(parts.len());
    let done: Mutex<Vec<Option<Found>>> = Mutex::new(parts.iter().map(|_| None).collect());
    let waiting = Mutex::new(parts.into_iter().enumerate());
    let failed = AtomicBool::new(false);
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((i, part)) = next else { break };
            let found = read(part);
            failed.fetch_or(found.is_none(), Ordering::Relaxed);
            done.lock().unwrap_or_else(PoisonError::into_inner)[i] = found;
        }
    };
    std::thread::scope(|scope| {
        // This thread works too.
        (1..n_threads).for_each(|_| {
            scope.spawn(work);
        });
        work();
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut whole = Found::default();
    whole.batch.raws.reserve_exact(done.iter().flatten().map(|f| f.batch.raws.len()).sum());
    for found in done {
        whole.append(found?);
    }
    Some(whole)
}
