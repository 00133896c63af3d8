//! What a provider's prompt cache reads and writes, by its rule.
//!
//! A cache knows beginnings of prompts by their tokens. Which beginnings it keeps is the rule: all, in steps; those that end
//! at a breakpoint; those that end at a mark. [`predict`] follows requests and says of each how many tokens it reads and
//! writes; [`marks_for`] chooses the marks that they want.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use lacon_models::{CacheKind, CacheRow};
use lacon_tokens::{ANSWER, Encoding, PER_MESSAGE, PER_TOOL_CALL, tools_text};

use crate::prompt::{Prompt, Role};

/// Beginnings of a request that a cache is asked for, the longest ones.
const CANDIDATES: usize = 80;

/// What a request says about its cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheMarks {
    /// Places that prefixes end at: a message, and how many bytes of its content stand before the place.
    pub after: Vec<(usize, usize)>,
    /// Whether nothing is kept but what ends at a mark.
    pub only: bool,
}

/// A request, and when it was sent.
#[derive(Debug, Clone)]
pub struct Sent<'p> {
    /// What was sent.
    pub prompt: &'p Prompt,
    /// What it says about its cache.
    pub marks: CacheMarks,
    /// Requests of other scopes find nothing of each other: the model's name.
    pub scope: &'p str,
    /// When it was sent, in seconds.
    pub at_s: f64,
    /// From when on others read what it has written: its first token.
    pub ready_s: f64,
}

impl<'p> Sent<'p> {
    /// Requests of one scope that were sent one after another, without marks.
    pub fn in_turn(prompts: &'p [Prompt]) -> Vec<Self> {
        let sent = |prompt| Self { prompt, marks: CacheMarks::default(), scope: "", at_s: 0.0, ready_s: 0.0 };
        prompts.iter().map(sent).collect()
    }
}

/// Predicted effect of caching on one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Predicted {
    /// Tokens of the request.
    pub prompt: usize,
    /// Tokens that an earlier request has left in the cache.
    pub cached: usize,
    /// Tokens that are written to the cache and billed for it.
    pub written: usize,
    /// Cost of the request, in thousandths of an uncached token.
    pub cost_permille: u64,
}

/// A request as tokens, with the places that matter to a cache.
struct Measured {
    ids: Vec<u32>,
    /// Ends of the user's and the tools' messages.
    ends: Vec<usize>,
    marks: Vec<usize>,
}

/// Stands for a token of the chat format.
const FRAME: u32 = u32::MAX;

fn measured(prompt: &Prompt, marks: &CacheMarks, encoding: &Encoding) -> Measured {
    let mut ids = Vec::new();
    let frame = |ids: &mut Vec<u32>, n: usize| ids.extend(std::iter::repeat_n(FRAME, n));
    let (mut ends, mut places) = (Vec::new(), Vec::new());
    if !prompt.tools.is_empty() {
        encoding.encode_into(&tools_text(&prompt.tools), &mut ids);
    }
    for (i, message) in prompt.messages.iter().enumerate() {
        frame(&mut ids, PER_MESSAGE);
        encoding.encode_into(message.role.as_str(), &mut ids);
        let content = message.content();
        for (_, byte) in marks.after.iter().filter(|(of, _)| *of == i) {
            let byte = content.floor_char_boundary((*byte).min(content.len()));
            places.push(ids.len() + encoding.count(&content[..byte]));
        }
        encoding.encode_into(&content, &mut ids);
        encoding.encode_into(message.name.as_deref().unwrap_or(""), &mut ids);
        for call in &message.tool_calls {
            encoding.encode_into(&call.name, &mut ids);
            encoding.encode_into(&call.arguments, &mut ids);
            frame(&mut ids, PER_TOOL_CALL);
        }
        if matches!(message.role, Role::User | Role::Tool) {
            ends.push(ids.len());
        }
    }
    frame(&mut ids, ANSWER);
    places.sort_unstable();
    places.dedup();
    Measured { ids, ends, marks: places }
}

/// Beginnings that a cache holds: since when one can be read, and until when.
type Entries = HashMap<u64, (f64, f64)>;

/// Beginnings that a cache remembers at most; more are of requests that are long over.
const REMEMBERED: usize = 200_000;

/// A provider's cache: which beginnings it holds.
#[derive(Debug, Default)]
pub struct Cache(Entries);

impl Cache {
    /// Takes a request in, and says what it reads, writes and costs by `rule`, against those before it.
    pub fn send(&mut self, request: &Sent<'_>, rule: &CacheRow, encoding: &Encoding) -> Predicted {
        let measured = measured(request.prompt, &request.marks, encoding);
        let prompt = measured.ids.len();
        if self.0.len() > REMEMBERED {
            self.0.retain(|_, (_, until)| request.at_s < *until);
        }
        let (cached, written) = match rule.kind {
            _ if (prompt as u64) < rule.least => (0, 0),
            CacheKind::Automatic => (by_itself(&mut self.0, request, &measured, rule), 0),
            CacheKind::Breakpoints | CacheKind::Marks => at_marks(&mut self.0, request, &measured, rule),
        };
        let plain = (prompt - cached).saturating_sub(written);
        let cost_permille =
            cached as u64 * rule.read_permille + written as u64 * rule.write_permille + plain as u64 * 1000;
        Predicted { prompt, cached, written, cost_permille }
    }
}

/// Predicts what requests read, write and cost by `rule`, each against all that were sent before it.
#[must_use]
pub fn predict(requests: &[Sent<'_>], rule: &CacheRow, encoding: &Encoding) -> Vec<Predicted> {
    let mut cache = Cache::default();
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by(|a, b| requests[*a].at_s.total_cmp(&requests[*b].at_s));
    let mut out = vec![Predicted { prompt: 0, cached: 0, written: 0, cost_permille: 0 }; requests.len()];
    for i in order {
        out[i] = cache.send(&requests[i], rule, encoding);
    }
    out
}

/// Digests of the beginnings with these lengths, which are in order.
fn keys(request: &Sent<'_>, ids: &[u32], lengths: &[usize]) -> Vec<u64> {
    let mut hash = DefaultHasher::new();
    request.scope.hash(&mut hash);
    let mut from = 0;
    let mut all = Vec::with_capacity(lengths.len());
    for n in lengths {
        ids[from..*n].iter().for_each(|id| hash.write_u32(*id));
        from = *n;
        all.push(hash.clone().finish());
    }
    all
}

fn by_itself(entries: &mut Entries, request: &Sent<'_>, measured: &Measured, rule: &CacheRow) -> usize {
    let (step, least) = (rule.step.max(1) as usize, rule.least as usize);
    let lengths: Vec<usize> =
        (1..=measured.ids.len() / step).map(|i| i * step).filter(|n| *n >= least).collect();
    let keys = keys(request, &measured.ids, &lengths);
    let until = request.at_s + rule.keep_s as f64;
    let is_there = |known: Option<&(f64, f64)>| known.is_some_and(|(_, until)| request.at_s < *until);
    let mut cached = 0;
    for (n, key) in lengths.iter().zip(&keys) {
        match entries.get(key) {
            Some((ready, known)) if *ready <= request.at_s && request.at_s < *known => cached = *n,
            _ => break,
        }
    }
    for key in keys {
        let ready = entries.get(&key).filter(|known| is_there(Some(known))).map_or(request.ready_s, |e| e.0);
        entries.insert(key, (ready, until));
    }
    cached
}

fn at_marks(
    entries: &mut Entries,
    request: &Sent<'_>,
    measured: &Measured,
    rule: &CacheRow,
) -> (usize, usize) {
    let implicit = rule.kind == CacheKind::Breakpoints && !request.marks.only;
    let newest = measured.ends.last().copied().filter(|_| implicit);
    let mut read: Vec<usize> = measured.marks.clone();
    read.extend(measured.ends.iter().filter(|_| implicit));
    read.sort_unstable();
    read.dedup();
    read.drain(..read.len().saturating_sub(CANDIDATES));
    let most = (rule.marks as usize).saturating_sub(usize::from(implicit));
    let mut write: Vec<usize> = measured.marks[measured.marks.len().saturating_sub(most)..].to_vec();
    write.extend(newest);
    write.sort_unstable();
    let least = rule.least as usize;
    let until = request.at_s + rule.keep_s as f64;
    let mut cached = 0;
    for (n, key) in read.iter().zip(keys(request, &measured.ids, &read)) {
        if let Some((ready, known)) = entries.get_mut(&key)
            && *n >= least
            && *ready <= request.at_s
            && request.at_s < *known
        {
            (cached, *known) = (*n, until);
        }
    }
    let mut far = 0;
    for (n, key) in write.iter().zip(keys(request, &measured.ids, &write)) {
        let known = entries.get(&key).is_some_and(|(_, until)| request.at_s < *until);
        if *n >= least && !known {
            entries.insert(key, (request.ready_s, until));
            far = *n;
        }
    }
    (cached, far.saturating_sub(cached))
}

/// What calls are to each other, which decides their marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// It begins like others that part from it later.
    Sibling,
    /// Another one repeats all of it and adds to it, or it repeats another one.
    Grows,
    /// Nobody begins like it.
    Alone,
}

impl Shape {
    /// The shape's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sibling => "sibling",
            Self::Grows => "grows",
            Self::Alone => "alone",
        }
    }
}

/// Chooses the marks of requests that are known together, and says what each is to the others.
///
/// A mark stands behind each segment that others have too and after which one of them goes on differently. What nobody
/// reads again gets none, and is not written.
#[must_use]
pub fn marks_for(prompts: &[Prompt], rule: &CacheRow, encoding: &Encoding) -> Vec<(Shape, CacheMarks)> {
    // Beginnings by digest: how many requests have each.
    let mut shared: HashMap<u64, usize> = HashMap::new();
    let beginnings: Vec<Vec<Beginning>> = prompts.iter().map(beginnings).collect();
    beginnings.iter().flatten().for_each(|one| *shared.entry(one.digest).or_default() += 1);
    let whole: HashMap<u64, usize> =
        beginnings.iter().enumerate().filter_map(|(i, all)| Some((all.last()?.digest, i))).collect();
    let mut out = Vec::new();
    for (i, all) in beginnings.iter().enumerate() {
        let count = |one: &Beginning| shared.get(&one.digest).copied().unwrap_or(0);
        let is_repeated = all.last().is_some_and(|last| count(last) > 1);
        let repeats = all.iter().rev().skip(1).any(|one| whole.get(&one.digest).is_some_and(|at| *at != i));
        let mut after: Vec<(usize, usize)> = Vec::new();
        for (n, one) in all.iter().enumerate() {
            let next = all.get(n + 1).map_or(0, count);
            if count(one) > 1 && next < count(one) && one.is_boundary {
                after.push(one.place);
            }
        }
        let grows = is_repeated || repeats;
        let most = (rule.marks as usize).saturating_sub(usize::from(grows));
        after.drain(..after.len().saturating_sub(most));
        // A beginning that no cache keeps is none.
        let marked = CacheMarks { after: after.clone(), only: true };
        let long = |marks: &CacheMarks| {
            measured(&prompts[i], marks, encoding).marks.last().is_some_and(|n| *n as u64 >= rule.least)
        };
        let (shape, marks) = match (grows, rule.kind) {
            (true, CacheKind::Marks) => {
                let last = prompts[i].messages.len().saturating_sub(1);
                if after.last().is_none_or(|(message, _)| *message < last) {
                    after.push((last, usize::MAX));
                }
                (Shape::Grows, CacheMarks { after, only: true })
            }
            (true, _) => (Shape::Grows, CacheMarks { after, only: false }),
            (false, _) if !after.is_empty() && long(&marked) => (Shape::Sibling, marked),
            (false, _) => (Shape::Alone, CacheMarks { after: Vec::new(), only: true }),
        };
        out.push((shape, marks));
    }
    out
}

/// A beginning of a request that ends with a segment.
struct Beginning {
    digest: u64,
    place: (usize, usize),
    /// Whether a mark can stand there: behind a text.
    is_boundary: bool,
}

fn beginnings(prompt: &Prompt) -> Vec<Beginning> {
    let mut hash = DefaultHasher::new();
    prompt.tools.iter().for_each(|tool| tool.to_string().hash(&mut hash));
    let mut all = Vec::new();
    for (i, message) in prompt.messages.iter().enumerate() {
        (message.role.as_str(), &message.name).hash(&mut hash);
        let mut byte = 0;
        for (n, segment) in message.segments.iter().enumerate() {
            hash.write(segment.text.as_bytes());
            byte += segment.text.len();
            let is_last = n + 1 == message.segments.len();
            let digest = if is_last { hash.clone() } else { tagged(&hash, 1) };
            all.push(Beginning { digest: digest.finish(), place: (i, byte), is_boundary: byte > 0 });
        }
        for call in &message.tool_calls {
            (&call.id, &call.name, &call.arguments).hash(&mut hash);
        }
        message.tool_call_id.hash(&mut hash);
        if !message.tool_calls.is_empty() || message.segments.is_empty() {
            all.push(Beginning { digest: tagged(&hash, 2).finish(), place: (i, byte), is_boundary: false });
        }
    }
    all
}

fn tagged(hash: &DefaultHasher, tag: u8) -> DefaultHasher {
    let mut tagged = hash.clone();
    tag.hash(&mut tagged);
    tagged
}

/// Returns the net saving of a change minus its lost cache hits and its writes, in thousandths of an uncached token;
/// negative if the change does not repay the cache that it breaks.
#[must_use]
pub fn net_saving(before: &[Predicted], after: &[Predicted]) -> i64 {
    let cost = |list: &[Predicted]| {
        list.iter().map(|p| i64::try_from(p.cost_permille).unwrap_or(i64::MAX)).sum::<i64>()
    };
    cost(before) - cost(after)
}
