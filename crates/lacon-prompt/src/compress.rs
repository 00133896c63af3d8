//! One text, made shorter and back: the three layers in their order, each checked by its inverse.

use crate::codec::edits::{self, Above, Search};
use crate::codec::{self, CODECS, GaveUp, Passage, blobs, repeats};
use crate::error::{Error, Result};
use crate::json;
use crate::offload::Store;
use crate::passes::{Pass, PassSet};
use crate::receipt::{Outcome, PassReport};
use crate::span::{self, Span, SpanKind};
use crate::work::{Meter, OVER, steps::Steps};
use lacon_tokens::Encoding;
use std::cell::RefCell;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

pub use crate::work::Budget;

/// How to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// The passes that may run.
    pub passes: PassSet,
    /// Whether only the reports are wanted: the result's text is the input.
    pub audit: bool,
    /// Whether a text that [`compress`] made under these options stays as it is, so that compressing twice is
    /// compressing once.
    ///
    /// Off by default, because nothing can be both idempotent and exact for every text: if compressing a result gave
    /// that result again, expanding it would have to give both the result and what it was made from. With `once`,
    /// [`expand`] gives what it was made from, which is wrong for a reader who holds such a text as plain data (say,
    /// this documentation).
    pub once: bool,
    /// Whether every byte must come back: JSON that is laid out by hand then stays as it is.
    pub exact: bool,
}

/// The line that tells a model how to read the forms below it. It stands above all else and expands to nothing.
pub const LEGEND: &str = "@legend A line that begins with @json, @jsonl, @csv, @hits, @log, @grid, @diff, @ref, @edit or @same tells how to read what follows: all data is there, what repeats is named once.";

/// Control lines of all forms of lines: the fuzzer tries any text below each.
#[doc(hidden)]
pub fn control_lines() -> impl Iterator<Item = &'static str> {
    codec::heads()
}

/// What [`compress`] did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Compressed {
    /// The shorter text, or the input where nothing was saved.
    pub text: String,
    /// Tokens of the input.
    pub tokens_before: usize,
    /// Tokens of `text`; in an audit, of what it would be.
    pub tokens_after: usize,
    /// Whether [`expand`] gives back every byte of the input; otherwise it gives the same JSON value in another layout
    /// or, with [`Options::once`], what the input was made from.
    pub exact: bool,
    /// One report per pass that changed something, or gave up.
    pub passes: Vec<PassReport>,
    /// Steps of work: lines, words and bytes that were looked at. The same for the same text on every machine.
    pub steps: u64,
}

impl Compressed {
    /// Puts [`LEGEND`] above a text that has a form to explain; whole texts and markers stay without it.
    ///
    /// False where the text would no longer be shorter than the input. It is then to be sent whole.
    pub fn add_legend(&mut self, encoding: &Encoding) -> bool {
        if self.tokens_after >= self.tokens_before || !codec::needs_stuffing(&self.text) {
            return true;
        }
        let text = format!("{LEGEND}\n{}", self.text);
        let tokens = encoding.count(&text);
        if tokens < self.tokens_before {
            (self.text, self.tokens_after) = (text, tokens);
            return true;
        }
        false
    }
}

/// A text without the legend above it.
fn below_legend(text: &str) -> &str {
    text.strip_prefix(LEGEND).and_then(|rest| rest.strip_prefix('\n')).unwrap_or(text)
}

/// What the passes on one text share.
struct Work<'a> {
    passes: PassSet,
    exact: bool,
    encoding: &'a Encoding,
    steps: &'a Steps<'a>,
    /// Passes that gave up on a span.
    gave_up: RefCell<Vec<Pass>>,
}

impl Work<'_> {
    /// An error where nobody waits for the work any more.
    fn go_on(&self) -> Result<()> {
        if self.steps.is_stopped() { Err(Error::Stopped) } else { Ok(()) }
    }

    /// What a form may cost its reader: a form that needs more is not made.
    fn meter(&self, form: &str) -> Meter<'_> {
        Meter::new(Budget::untrusted(form.len()), Some(self.steps))
    }

    /// Notes the passes that gave up since the last time.
    fn note_gave_up(&self, reports: &mut Vec<PassReport>) {
        for pass in self.gave_up.borrow_mut().drain(..) {
            let is_its = |report: &&mut PassReport| report.pass == pass && report.outcome == Outcome::GaveUp;
            match reports.iter_mut().find(is_its) {
                Some(report) => report.spans += 1,
                None => {
                    let mut report = PassReport::new(pass);
                    (report.spans, report.outcome) = (1, Outcome::GaveUp);
                    reports.push(report);
                }
            }
        }
    }
}

/// Shortens a text so that [`expand`] restores it. With a store, opaque runs are offloaded to it.
///
/// The result is never longer in tokens than the input unless the input holds a control line of its own (which is
/// then marked by one character), and equal input gives equal output.
///
/// # Errors
/// When the store's medium fails; a full store only keeps a run in the text.
///
/// ```
/// use lacon_prompt::compress::{compress, expand, Options};
/// let encoding = lacon_tokens::encoding(lacon_tokens::EncodingName::O200kBase);
/// let text = r#"[{"fruit": "pear", "price": 1.50}, {"fruit": "plum", "price": 2.25}, {"fruit": "fig", "price": 3.00}]"#;
/// let short = compress(text, Options::default(), None, encoding).unwrap();
/// assert_eq!(short.text, "@json p\n[#3 fruit|price\npear|1.50\nplum|2.25\nfig|3.00\n]");
/// assert_eq!(expand(&short.text, None).unwrap(), text);
/// ```
pub fn compress(
    text: &str,
    options: Options,
    store: Option<&mut dyn Store>,
    encoding: &Encoding,
) -> Result<Compressed> {
    compress_below(&Above::default(), text, options, store, encoding, None)
}

/// As [`compress`], for a text below others that its reader has read, and until somebody says to stop.
pub(crate) fn compress_below(
    above: &Above,
    text: &str,
    options: Options,
    store: Option<&mut dyn Store>,
    encoding: &Encoding,
    stop: Option<&AtomicBool>,
) -> Result<Compressed> {
    let steps = Steps::new(stop);
    let compressed = compress_in(above, text, options, store, encoding, &steps)?;
    Ok(Compressed { steps: steps.used(), ..compressed })
}

fn compress_in(
    above: &Above,
    text: &str,
    options: Options,
    store: Option<&mut dyn Store>,
    encoding: &Encoding,
    steps: &Steps<'_>,
) -> Result<Compressed> {
    let tokens_before = encoding.count(text);
    let offloads =
        [Pass::Outline, Pass::Progress, Pass::Blobs].into_iter().any(|pass| options.passes.has(pass));
    let mut store = store.filter(|_| offloads && !options.audit);
    let mut passes = Vec::new();
    if options.once {
        let store = store.as_mut().map(|store| &mut **store as &mut dyn Store);
        if is_result(above, text, options, store, encoding, steps)? {
            let text = text.to_owned();
            return Ok(Compressed {
                text,
                tokens_before,
                tokens_after: tokens_before,
                exact: false,
                passes,
                steps: 0,
            });
        }
    }

    let started = Instant::now();
    let current = match &mut store {
        Some(store) => {
            let (current, runs) = blobs::encode(text, options.passes, *store)?;
            offload_reports(text, &current, &runs, tokens_before, encoding, started, &mut passes);
            current
        }
        None => blobs::stuff(text),
    };

    let work =
        Work { passes: options.passes, exact: options.exact, encoding, steps, gave_up: RefCell::default() };
    work.go_on()?;
    // Each of three linear passes reads every byte: what goes to the store, what the spans are, and the count.
    steps.take(3 * text.len() as u64);
    let spans = span::blocks(&current);
    // What tells the model how to behave is read word by word; its tables and its repetitions stay as they are.
    let orders = spans.iter().any(|span| {
        span.kind == SpanKind::Instruction && current[span.range.clone()].lines().any(span::is_order)
    });
    let mut work = work;
    if orders {
        work.passes = work.passes.without(Pass::Grids).without(Pass::Repeats);
    }
    let work = work;
    work.go_on()?;
    let framed = frames(&current, spans, &work)?;
    let exact = framed.exact;
    passes.extend(framed.passes);
    let mut out = framed.text;
    let mut tokens = match framed.tokens {
        Some(tokens) => tokens,
        None if out == text => tokens_before,
        None => encoding.count(&out),
    };

    let edited = work.passes.has(Pass::Edits).then(|| edit(above, &out, tokens, &work)).flatten();
    let repeated =
        |text: &str, tokens| work.passes.has(Pass::Repeats).then(|| repeat(text, tokens, &work)).flatten();
    work.go_on()?;
    let named = repeated(&out, tokens);
    work.go_on()?;
    // Naming the passages of a second version may be shorter than its changes. Changes read better, so they win a tie.
    let layers = match edited {
        Some(edited) => {
            let on_top = repeated(&edited.text, edited.report.tokens_after);
            let least = on_top.as_ref().map_or(edited.report.tokens_after, |layer| layer.report.tokens_after);
            let without = named.as_ref().map_or(tokens, |layer| layer.report.tokens_after);
            if least <= without + without / 100 { vec![Some(edited), on_top] } else { vec![named] }
        }
        None => vec![named],
    };
    // One frame that stands for the whole text was decoded when it was made.
    let mut decoded = framed.tokens.is_some() && exact && current == text && !blobs::has_marker(&out);
    let mut below = (String::new(), usize::MAX);
    for layer in layers.into_iter().flatten() {
        if layer.report.outcome == Outcome::Kept {
            let framed = std::mem::replace(&mut out, layer.text);
            if below.1 == usize::MAX {
                below = (framed, tokens);
            }
            tokens = layer.report.tokens_after;
            decoded = false;
        }
        passes.push(layer.report);
    }

    work.note_gave_up(&mut passes);

    let shared = store.as_deref().map(|store| store as &dyn Store);
    let restores = |out: &str| restores(above, out, text, exact, shared, &work);
    let mut whole = tokens < tokens_before && (decoded || restores(&out)?);
    // Frames and layers on top of them can say more than any reader has to expand.
    if !whole && below.1 < tokens_before && below.0 != out && restores(&below.0)? {
        (out, tokens) = below;
        whole = true;
        let layers = |r: &&mut PassReport| {
            matches!(r.pass, Pass::Edits | Pass::Repeats) && r.outcome != Outcome::GaveUp
        };
        for report in passes.iter_mut().filter(layers) {
            report.outcome = Outcome::RolledBack("decoding did not restore the text");
        }
    }
    if whole && !options.audit {
        return Ok(Compressed { text: out, tokens_before, tokens_after: tokens, exact, passes, steps: 0 });
    }
    for report in &mut passes {
        report.outcome = match report.outcome {
            Outcome::Kept if whole => Outcome::Audited,
            Outcome::Kept if tokens >= tokens_before => Outcome::RolledBack("the text would not be shorter"),
            Outcome::Kept => Outcome::RolledBack("decoding did not restore the text"),
            other => other,
        };
    }
    let mut plain = String::with_capacity(text.len());
    codec::push_literal(&mut plain, &blobs::stuff(text));
    let tokens_after = match (whole, plain == text) {
        (true, _) => tokens,
        (false, true) => tokens_before,
        (false, false) => encoding.count(&plain),
    };
    let text = if options.audit { text.to_owned() } else { plain };
    Ok(Compressed { text, tokens_before, tokens_after, exact: true, passes, steps: 0 })
}

/// Reports what went to the store, a pass each.
fn offload_reports(
    text: &str,
    current: &str,
    runs: &[blobs::Offloaded],
    tokens: usize,
    encoding: &Encoding,
    started: Instant,
    reports: &mut Vec<PassReport>,
) {
    let Some(first) = runs.first() else { return };
    if runs.iter().all(|run| run.pass == first.pass) {
        let mut report = PassReport::new(first.pass);
        report.spans = runs.len();
        report.tokens_before = tokens;
        report.tokens_after = encoding.count(current);
        report.elapsed = started.elapsed();
        reports.push(report);
        return;
    }
    for pass in [Pass::Outline, Pass::Progress, Pass::Blobs] {
        let mut report = PassReport::new(pass);
        for run in runs.iter().filter(|run| run.pass == pass) {
            report.spans += 1;
            report.tokens_before += encoding.count(&text[run.range.clone()]);
            report.tokens_after += encoding.count(&run.marker);
        }
        report.elapsed = started.elapsed();
        if report.spans > 0 {
            reports.push(report);
        }
    }
}

/// Whether compressing some other text under these options gives this one, to the byte.
fn is_result(
    above: &Above,
    text: &str,
    options: Options,
    store: Option<&mut dyn Store>,
    encoding: &Encoding,
    steps: &Steps<'_>,
) -> Result<bool> {
    if !blobs::has_marker(text) && !codec::needs_stuffing(text) {
        return Ok(false);
    }
    let shared = store.as_deref().map(|store| store as &dyn Store);
    let back = match expand_all(above, text, shared, budget_below(above, text.len()), Some(steps)) {
        Ok(back) if back != text => back,
        Err(Error::Store(error)) => return Err(error.into()),
        _ => return Ok(false),
    };
    let once = Options { once: false, audit: false, ..options };
    Ok(compress_in(above, &back, once, store, encoding, steps)?.text == below_legend(text))
}

/// Whether a text belongs to the share, in thousandths, that is left alone so that savings can be compared honestly.
///
/// The same text always does or does not.
#[must_use]
pub fn held_out(text: &str, permille: u16) -> bool {
    let hash = blake3::hash(text.as_bytes());
    let bytes = hash.as_bytes();
    u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])) * 1000 < u64::from(permille) << 32
}

/// Restores what [`compress`] was given, within [`Budget::untrusted`].
///
/// # Errors
/// When the text is damaged or would become too large, or a marker's content is not in the store.
pub fn expand(text: &str, store: Option<&dyn Store>) -> Result<String> {
    expand_below(&Above::default(), text, store)
}

/// As [`expand`], within a budget of the caller's.
///
/// # Errors
/// As [`expand`].
pub fn expand_within(text: &str, store: Option<&dyn Store>, budget: Budget) -> Result<String> {
    expand_all(&Above::default(), text, store, budget, None)
}

/// As [`expand`], for a text below others that its reader has read.
pub(crate) fn expand_below(above: &Above, text: &str, store: Option<&dyn Store>) -> Result<String> {
    expand_all(above, text, store, budget_below(above, text.len()), None)
}

/// What a text of this length may cost below others: a list of changes stands for lines from above, and looks for them in
/// all of it.
pub(crate) fn budget_below(above: &Above, len: usize) -> Budget {
    let mut budget = Budget::of_size(Budget::untrusted(len).bytes.saturating_add(above.bytes()));
    budget.steps = budget.steps.saturating_add(256 * above.n_lines() as u64);
    budget
}

pub(crate) fn expand_all(
    above: &Above,
    text: &str,
    store: Option<&dyn Store>,
    budget: Budget,
    steps: Option<&Steps<'_>>,
) -> Result<String> {
    let meter = Meter::new(budget, steps);
    let expanded = || -> Result<String> {
        let edited = repeats::decode(below_legend(text), &meter)?;
        let framed = edits::decode(above, &edited, &meter)?;
        let marked = codec::decode(&framed, &meter)?;
        blobs::decode(&marked, store, &meter)
    };
    match expanded() {
        Err(Error::Damaged { what: OVER, .. }) => Err(Error::TooLarge { limit: budget.bytes }),
        other => other,
    }
}

/// A text in another form that is shorter by what its report says.
struct Layer {
    text: String,
    report: PassReport,
}

/// Checks a layer by its inverse. A layer costs its reader something, so a few tokens in a long text are not worth it.
fn layer(
    pass: Pass,
    (text, spans): (String, usize),
    tokens: usize,
    restored: bool,
    started: Instant,
    encoding: &Encoding,
) -> Option<Layer> {
    let mut report = PassReport::new(pass);
    report.spans = spans;
    report.tokens_before = tokens;
    report.tokens_after = encoding.count(&text);
    if !restored {
        report.outcome = Outcome::RolledBack("decoding did not restore the text");
    }
    report.elapsed = started.elapsed();
    (report.tokens_after + 8 + tokens / 50 < tokens).then_some(Layer { text, report })
}

fn edit(above: &Above, text: &str, tokens: usize, work: &Work<'_>) -> Option<Layer> {
    let started = Instant::now();
    let edited = match edits::encode(above, text, &work.steps.share(text.len(), edits::STEPS_PER_BYTE)) {
        Search::Found(edited) => edited,
        Search::Nothing => return None,
        Search::GaveUp => return Some(given_up(Pass::Edits, text, tokens, started)),
    };
    let meter = Meter::new(budget_below(above, edited.text.len()), Some(work.steps));
    let restored = edits::decode(above, &edited.text, &meter).as_deref() == Ok(text);
    let layer = layer(Pass::Edits, (edited.text, edited.n_lists), tokens, restored, started, work.encoding)?;
    (layer.report.outcome == Outcome::Kept).then_some(layer)
}

fn repeat(text: &str, tokens: usize, work: &Work<'_>) -> Option<Layer> {
    let started = Instant::now();
    let share = work.steps.share(text.len(), repeats::STEPS_PER_BYTE);
    let named = repeats::encode(text, &share);
    if share.is_over() {
        return Some(given_up(Pass::Repeats, text, tokens, started));
    }
    let named = named?;
    let restored = repeats::decode(&named.text, &work.meter(&named.text)).as_deref() == Ok(text);
    layer(Pass::Repeats, (named.text, named.n_repeats), tokens, restored, started, work.encoding)
}

/// The text as it is, and that a pass gave up on it.
fn given_up(pass: Pass, text: &str, tokens: usize, started: Instant) -> Layer {
    let mut report = PassReport::new(pass);
    (report.tokens_before, report.tokens_after) = (tokens, tokens);
    (report.elapsed, report.outcome) = (started.elapsed(), Outcome::GaveUp);
    Layer { text: text.to_owned(), report }
}

fn restores(
    above: &Above,
    out: &str,
    text: &str,
    exact: bool,
    store: Option<&dyn Store>,
    work: &Work<'_>,
) -> Result<bool> {
    let back = match expand_all(above, out, store, budget_below(above, out.len()), Some(work.steps)) {
        Ok(back) => back,
        Err(Error::Store(error)) => return Err(error.into()),
        Err(_) => return work.go_on().map(|()| false),
    };
    Ok(back == text || (!exact && same_json(&back, text)))
}

/// Whether two texts hold the same JSON value, lexeme for lexeme.
pub(crate) fn same_json(a: &str, b: &str) -> bool {
    matches!((json::parse(a.trim()), json::parse(b.trim())), (Some(a), Some(b)) if a == b)
}

struct Framed {
    text: String,
    exact: bool,
    /// Tokens of the text, where they are known because it is one frame.
    tokens: Option<usize>,
    passes: Vec<PassReport>,
}

fn frames(text: &str, spans: Vec<Span>, work: &Work<'_>) -> Result<Framed> {
    let mut framed =
        Framed { text: String::with_capacity(text.len()), exact: true, tokens: None, passes: Vec::new() };
    for span in merge_lines(spans).into_iter().flat_map(|span| split_log(text, span)) {
        work.go_on()?;
        let started = Instant::now();
        let part = &text[span.range.clone()];
        let (body, tail) = match part.strip_suffix('\n') {
            Some(body) => (body, "\n"),
            None => (part, ""),
        };
        let whole = !work.exact && span.range.start == 0 && text[span.range.end..].trim().is_empty();
        let found = frame(span.kind, body, whole, work);
        work.note_gave_up(&mut framed.passes);
        let Some(frame) = found else {
            codec::push_literal(&mut framed.text, part);
            continue;
        };
        framed.exact &= frame.exact;
        framed.text.push_str(&frame.text);
        framed.text.push_str(tail);
        if span.range == (0..text.len()) && tail.is_empty() {
            framed.tokens = Some(frame.tokens_after);
        }
        let is_its = |report: &&mut PassReport| report.pass == frame.pass && report.outcome == Outcome::Kept;
        let report = match framed.passes.iter_mut().find(is_its) {
            Some(report) => report,
            None => {
                framed.passes.push(PassReport::new(frame.pass));
                framed.passes.last_mut().expect("just pushed")
            }
        };
        report.spans += 1;
        report.tokens_before += frame.tokens_before;
        report.tokens_after += frame.tokens_after;
        report.elapsed += started.elapsed();
    }
    Ok(framed)
}

/// Joins the prose, rows and instructions between other spans, so that lines of one make are seen together.
fn merge_lines(spans: Vec<Span>) -> Vec<Span> {
    let mut out: Vec<Span> = Vec::new();
    let plain = |kind| matches!(kind, SpanKind::Prose | SpanKind::Instruction | SpanKind::Quote);
    for span in spans {
        match out.last_mut() {
            Some(last) if plain(last.kind) && plain(span.kind) => last.range.end = span.range.end,
            _ => out.push(Span { kind: if plain(span.kind) { SpanKind::Prose } else { span.kind }, ..span }),
        }
    }
    out
}

/// Lines of a log that one frame holds.
const MAX_LOG_LINES: usize = 100_000;

/// Splits a log that is too long for one frame.
fn split_log(text: &str, span: Span) -> Vec<Span> {
    if span.kind != SpanKind::Log {
        return vec![span];
    }
    let part = &text[span.range.clone()];
    let ends = part.match_indices('\n').map(|(i, _)| span.range.start + i + 1).skip(MAX_LOG_LINES - 1);
    let mut out = Vec::new();
    let mut start = span.range.start;
    for end in ends.step_by(MAX_LOG_LINES).chain([span.range.end]) {
        if start < end {
            out.push(Span { kind: span.kind, range: start..end });
        }
        start = end;
    }
    out
}

/// What stands for a span, checked and counted.
struct Frame {
    pass: Pass,
    text: String,
    exact: bool,
    tokens_before: usize,
    tokens_after: usize,
}

/// The shortest form of a passage that restores it.
fn frame(kind: SpanKind, body: &str, whole: bool, work: &Work<'_>) -> Option<Frame> {
    let passage = Passage { kind, body, any_layout: whole };
    // Every form is made and read back in linear time; what searches counts its own steps.
    work.steps.take(2 * body.len() as u64);
    let mut forms: Vec<(usize, Pass, String)> = Vec::new();
    for codec in CODECS.iter().filter(|codec| codec.of.contains(&kind) && work.passes.has(codec.pass)) {
        match (codec.make)(&passage, work.steps) {
            Ok(made) => {
                forms.extend(made.into_iter().map(|text| (work.encoding.count(&text), codec.pass, text)))
            }
            Err(GaveUp) => work.gave_up.borrow_mut().push(codec.pass),
        }
    }
    if forms.is_empty() {
        return None;
    }
    let tokens_before = work.encoding.count(body);
    // Counting costs less than decoding, so what is not shorter is not decoded.
    forms.retain(|(tokens, ..)| *tokens < tokens_before);
    forms.sort_by_key(|(tokens, ..)| *tokens);
    forms.into_iter().find_map(|(tokens_after, pass, text)| {
        let back = codec::decode(&text, &work.meter(&text)).ok()?;
        let exact = back == body;
        (exact || (whole && kind == SpanKind::Json && same_json(&back, body))).then_some(Frame {
            pass,
            text,
            exact,
            tokens_before,
            tokens_after,
        })
    })
}
