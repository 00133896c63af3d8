//! Fits a conversation into a budget and leaves it valid.
//!
//! A call and its results are one block and stay or go together, with every provider. Where users and model must take
//! turns, they still do. System messages, the first user turn, the last block and pinned messages always stay.
//!
//! First, tool results get their short exact form. Then old results shrink to the values they held. Then blocks are
//! dropped, the most redundant first. At last, results that must stay are cut. Whatever stays keeps its bytes.

use crate::compress::{Options, compress};
use crate::conversation::{Block, Conversation, Item, Kind, Side, begins_as_request, blocks, strings};
use crate::error::{Error, Result};
use crate::guard;
use crate::meter::Meter;
use crate::offload::{Store, StoreError};
use crate::passes::{Pass, PassSet};
use crate::wire::{object, place};
use lacon_tokens::{Encoding, Side as TextSide};
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use std::ops::Range;

/// Options of a trim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrimOptions {
    /// Most tokens of the result, tools included.
    pub budget: usize,
    /// Indexes of messages that must stay unchanged.
    pub pinned: Vec<usize>,
    /// Tokens of tools that a list of messages goes with. Those that a request declares are counted without this.
    pub tool_tokens: usize,
    /// Drop the oldest groups in strides of this size, so that later trims cut at the same place and a cached prefix
    /// survives. Zero: drop the most redundant.
    pub stride: usize,
    /// Whether the first user turn may be dropped if the budget requires it and a later one can start the conversation.
    /// It often holds what the user wants, so it is kept by default.
    pub drop_first: bool,
}

impl TrimOptions {
    /// Creates options with a budget only.
    #[must_use]
    pub fn new(budget: usize) -> Self {
        TrimOptions { budget, pinned: Vec::new(), tool_tokens: 0, stride: 0, drop_first: false }
    }
}

/// A trimmed conversation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Trimmed {
    /// The messages to send.
    pub messages: Vec<Value>,
    /// Tokens before, with the three that open the answer.
    pub tokens_before: usize,
    /// Tokens after.
    pub tokens_after: usize,
    /// Indexes of messages in another exact form.
    pub reformed: Vec<usize>,
    /// Indexes of tool results reduced to their values.
    pub digested: Vec<usize>,
    /// Indexes of dropped messages.
    pub dropped: Vec<usize>,
}

/// A request that was trimmed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrimmedRequest {
    /// The request to send. What stays in it keeps every byte.
    pub json: String,
    /// Tokens before.
    pub tokens_before: usize,
    /// Tokens after.
    pub tokens_after: usize,
    /// Positions of messages in another exact form.
    pub reformed: Vec<usize>,
    /// Positions of messages whose results were cut.
    pub digested: Vec<usize>,
    /// Positions of dropped messages.
    pub dropped: Vec<usize>,
}

/// A text that was fitted into a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrimmedText {
    /// The text, its exact short form, or its start and end.
    pub text: String,
    /// Tokens before.
    pub tokens_before: usize,
    /// Tokens after.
    pub tokens_after: usize,
    /// Tokens that were left out of the middle.
    pub left_out: usize,
}

/// Fits a text into a budget: unchanged, else in its exact short form, else its start and end around a line that tells
/// how much is missing.
///
/// # Errors
/// When the budget has no room for that line and something beside it.
pub fn trim_text(text: &str, budget: usize, encoding: &Encoding) -> Result<TrimmedText> {
    let tokens_before = encoding.count(text);
    let short = compress(text, Options::default(), None, encoding)?;
    let (text, left_out) = if tokens_before <= budget {
        (text.to_owned(), 0)
    } else if short.tokens_after <= budget {
        (short.text, 0)
    } else {
        cut(text, tokens_before, budget, encoding)?
    };
    Ok(TrimmedText { tokens_before, tokens_after: encoding.count(&text), text, left_out })
}

/// The start and the end of a text, whole lines of both, and between them a line that says what is missing.
fn cut(text: &str, tokens: usize, budget: usize, encoding: &Encoding) -> Result<(String, usize)> {
    let mark = |n: usize| format!("[… {n} tokens left out …]\n");
    // Seams may cost a token or two more than their sides; the loop takes them off again.
    let mut room = budget.saturating_sub(encoding.count(&mark(tokens)) + 1);
    loop {
        if room < 2 {
            return Err(Error::Uncuttable { minimum: encoding.count(&mark(tokens)) + 3, budget });
        }
        let head = encoding.truncate(text, room * 7 / 10, TextSide::Back);
        let tail = encoding.truncate(text, room - room * 7 / 10, TextSide::Front);
        let head = head.rfind('\n').filter(|i| i * 2 > head.len()).map_or(&*head, |i| &head[..=i]);
        let tail = tail.find('\n').filter(|i| i * 2 < tail.len()).map_or(&*tail, |i| &tail[i + 1..]);
        let left_out = tokens.saturating_sub(encoding.count(head) + encoding.count(tail));
        let seam = if head.ends_with('\n') { "" } else { "\n" };
        let result = format!("{head}{seam}{}{tail}", mark(left_out));
        if encoding.count(&result) <= budget {
            return Ok((result, left_out));
        }
        room -= 1;
    }
}

/// Tokens of one message, with its framing.
#[must_use]
pub fn message_tokens(message: &Value, encoding: &Encoding) -> usize {
    let json = Value::Array(vec![message.clone()]).to_string();
    let Ok(conversation) = Conversation::parse(&json) else { return encoding.count(&json) };
    let meter = Meter { encoding, kind: conversation.kind };
    conversation.items.iter().map(|item| meter.item(&item.members).total()).sum()
}

/// Fits a list of messages into a budget.
///
/// # Errors
/// When the list is not one that can be sent, or cannot be made to fit.
pub fn trim(messages: &[Value], options: &TrimOptions, encoding: &Encoding) -> Result<Trimmed> {
    trim_with_store(messages, options, None, encoding)
}

/// Fits a list of messages, and keeps removed parts of tool results in a store.
///
/// # Errors
/// As [`trim`], and when the store's medium fails; a full store keeps nothing and is no error.
pub fn trim_with_store(
    messages: &[Value],
    options: &TrimOptions,
    store: Option<&mut dyn Store>,
    encoding: &Encoding,
) -> Result<Trimmed> {
    let json = Value::Array(messages.to_vec()).to_string();
    let done = trim_request(&json, options, store, encoding)?;
    let messages = serde_json::from_str(&done.json).map_err(|error| Error::BadRequest {
        what: format!("is no JSON: {error}"),
        hint: "a message may hold 100 levels of lists and objects",
    })?;
    Ok(Trimmed {
        messages,
        tokens_before: done.tokens_before,
        tokens_after: done.tokens_after,
        reformed: done.reformed,
        digested: done.digested,
        dropped: done.dropped,
    })
}

/// Returns whether a text is a request, or starts as one and would be refused by [`trim_request`].
#[must_use]
pub fn is_request(text: &str) -> bool {
    begins_as_request(text)
}

/// Fits a request of OpenAI (chat, Responses), Anthropic or Gemini, or a list of its messages.
///
/// # Errors
/// When the text is no request, its messages cannot be sent, or they cannot be made to fit.
///
/// ```
/// use lacon_prompt::trim::{TrimOptions, trim_request};
/// let encoding = lacon_tokens::encoding(lacon_tokens::EncodingName::O200kBase);
/// let json = r#"[{"role":"user","content":"What is 1.10?"}]"#;
/// assert_eq!(trim_request(json, &TrimOptions::new(100), None, encoding).unwrap().json, json);
/// ```
pub fn trim_request(
    json: &str,
    options: &TrimOptions,
    store: Option<&mut dyn Store>,
    encoding: &Encoding,
) -> Result<TrimmedRequest> {
    let json = json.trim_start_matches('\u{feff}');
    let conversation = Conversation::parse(json)?;
    let meter = Meter { encoding, kind: conversation.kind };
    let around = meter.around(conversation.body.as_ref()).total() + options.tool_tokens;
    let tokens: Vec<usize> =
        conversation.items.iter().map(|item| meter.item(&item.members).total()).collect();
    let tokens_before = around + tokens.iter().sum::<usize>();
    let json_calls: Vec<usize> = conversation
        .items
        .iter()
        .map(|item| {
            let calls = item.members.get("tool_calls").filter(|calls| calls.get() != "null");
            calls.map_or(0, |calls| encoding.count(calls.get()).saturating_sub(meter.calls(&item.members)))
        })
        .collect();
    // What fits is not looked at any closer, except for what no provider would take.
    let blocks = blocks(&conversation)?;
    let mut state = State {
        json,
        items: &conversation.items,
        kind: conversation.kind,
        blocks,
        gone: vec![false; tokens.len()],
        tokens,
        total: tokens_before,
        caution: json_calls.iter().sum(),
        json_calls,
        meter,
        edits: vec![Vec::new(); conversation.items.len()],
        reformed: BTreeSet::new(),
        digested: BTreeSet::new(),
        note: None,
    };
    if state.total > options.budget {
        state.shrink(options, store, &conversation)?;
    }
    let gone = state.gone.clone();
    let listed = |set: &BTreeSet<usize>| set.iter().copied().filter(|i| !gone[*i]).collect::<Vec<usize>>();
    Ok(TrimmedRequest {
        json: state.print(),
        tokens_before,
        tokens_after: state.total,
        reformed: listed(&state.reformed),
        digested: listed(&state.digested),
        dropped: (0..gone.len()).filter(|i| gone[*i]).collect(),
    })
}

/// Where it is said that messages were left out. It is never said in the user's name.
enum Note {
    /// A message of the system in front of a message.
    Message { before: usize, json: String },
    /// At the end of the system's text.
    System { at: usize, json: String },
}

struct State<'e> {
    json: &'e str,
    items: &'e [Item<'e>],
    kind: Kind,
    blocks: Vec<Block>,
    gone: Vec<bool>,
    tokens: Vec<usize>,
    total: usize,
    /// What calls would count more as JSON. Some count them so, and what is dropped anyway makes room for that too.
    json_calls: Vec<usize>,
    /// Its sum over what stays.
    caution: usize,
    meter: Meter<'e>,
    /// Texts of each message that change.
    edits: Vec<Vec<(Range<usize>, String)>>,
    reformed: BTreeSet<usize>,
    digested: BTreeSet<usize>,
    note: Option<Note>,
}

impl State<'_> {
    /// Tokens by the more cautious count.
    fn bound(&self) -> usize {
        self.total + self.caution
    }

    fn shrink(
        &mut self,
        options: &TrimOptions,
        mut store: Option<&mut dyn Store>,
        conversation: &Conversation<'_>,
    ) -> Result<()> {
        let mut first = self.blocks.iter().position(|block| block.side == Side::User && !block.is_pair);
        let mut kept = self.kept(first, options);
        if options.drop_first
            && let Some(later) = self.later_start(first, &kept, options.budget)
        {
            let end = self.blocks[later].items[0];
            let from = self.blocks[first.unwrap_or(0)].items[0];
            for i in from..end {
                if self.items[i].side != Side::System {
                    self.drop_item(i);
                }
            }
            first = Some(later);
            kept = self.kept(first, options);
        }
        let stale: Vec<usize> = (0..self.blocks.len())
            .filter(|b| !kept[*b])
            .flat_map(|b| self.blocks[b].items.clone())
            .filter(|i| !self.gone[*i])
            .collect();
        self.reform(&stale);
        self.digest(&stale, options.budget, &mut store)?;
        if self.bound() > options.budget {
            self.drop_blocks(&kept, options);
        }
        if self.total > options.budget {
            let needed: Vec<usize> = (0..self.blocks.len())
                .filter(|b| kept[*b])
                .flat_map(|b| self.blocks[b].items.clone())
                .filter(|i| !self.gone[*i] && !options.pinned.contains(i))
                .collect();
            self.reform(&needed);
            self.cut_results(&needed, options.budget, &mut store)?;
        }
        if self.total > options.budget {
            let largest = (0..self.items.len()).filter(|i| !self.gone[*i]).max_by_key(|i| self.tokens[*i]);
            let largest =
                largest.map_or_else(String::new, |i| format!("message {i} ({})", self.items[i].role));
            return Err(Error::OverBudget { minimum: self.total, budget: options.budget, largest });
        }
        self.add_note(conversation, options.budget);
        Ok(())
    }

    /// The exchange that each block belongs to: it begins with what a user asks.
    fn exchanges(&self) -> Vec<usize> {
        let mut exchange = 0;
        let asks = |block: &Block| block.side == Side::User && !block.is_pair;
        self.blocks
            .iter()
            .enumerate()
            .map(|(i, block)| {
                exchange += usize::from(i > 0 && asks(block));
                exchange
            })
            .collect()
    }

    /// Which blocks must stay.
    fn kept(&self, first: Option<usize>, options: &TrimOptions) -> Vec<bool> {
        let pinned: HashSet<usize> = options.pinned.iter().copied().collect();
        let last = self.blocks.len().saturating_sub(1);
        let mut kept: Vec<bool> = self
            .blocks
            .iter()
            .enumerate()
            .map(|(i, block)| {
                Some(i) == first || i == last || block.items.iter().any(|item| pinned.contains(item))
            })
            .collect();
        if self.kind.alternates() {
            // Pairs may go one by one; what else an exchange holds goes together with them or stays.
            let exchanges = self.exchanges();
            let mut held: HashSet<usize> =
                kept.iter().zip(&exchanges).filter(|(kept, _)| **kept).map(|(_, e)| *e).collect();
            held.insert(0);
            for (i, block) in self.blocks.iter().enumerate() {
                kept[i] |= !block.is_pair && held.contains(&exchanges[i]);
            }
            if let Some(kept) = kept.first_mut() {
                *kept = true;
            }
        }
        kept
    }

    /// The first later turn of a user that a conversation in the budget can begin with; else the one that comes nearest.
    fn later_start(&self, first: Option<usize>, kept: &[bool], budget: usize) -> Option<usize> {
        let first = first?;
        let size = |b: usize| self.blocks[b].items.iter().map(|i| self.tokens[*i]).sum::<usize>();
        let exchanges = self.exchanges();
        let own = |b: usize| exchanges[b] == exchanges[first] && b + 1 < kept.len();
        // What stays whatever the conversation begins with.
        let free: usize = (0..kept.len()).filter(|b| !kept[*b] || own(*b)).map(size).sum();
        let rest = self.total - free;
        if rest + (0..kept.len()).filter(|b| own(*b) && kept[*b]).map(size).sum::<usize>() <= budget {
            return None;
        }
        let mut best: Option<(usize, usize)> = None;
        for b in first + 1..kept.len() {
            if exchanges[b] == exchanges[b - 1] {
                if kept[b] && !own(b) && b + 1 < kept.len() && exchanges[b] != exchanges[kept.len() - 1] {
                    break;
                }
                continue;
            }
            let whole: usize = if self.kind.alternates() {
                (b..kept.len())
                    .take_while(|other| exchanges[*other] == exchanges[b])
                    .filter(|other| !kept[*other] && !self.blocks[*other].is_pair)
                    .map(size)
                    .sum()
            } else if kept[b] {
                0
            } else {
                size(b)
            };
            let needed = rest + whole;
            if best.is_none_or(|(least, _)| needed < least) {
                best = Some((needed, b));
            }
            if needed <= budget || kept[b] {
                break;
            }
        }
        best.map(|(_, b)| b)
    }

    fn drop_item(&mut self, item: usize) {
        if !std::mem::replace(&mut self.gone[item], true) {
            self.total -= self.tokens[item];
            self.caution -= self.json_calls[item];
        }
    }

    fn text_at(&self, range: &Range<usize>) -> Option<String> {
        serde_json::from_str(&self.json[range.clone()]).ok()
    }

    /// The text that stands at a place now.
    fn current(&self, item: usize, range: &Range<usize>) -> Option<String> {
        let edited = self.edits[item].iter().find(|(place, _)| place == range);
        edited.map(|(_, text)| text.clone()).or_else(|| self.text_at(range))
    }

    /// Puts a text in the place of another, where that saves something.
    fn set(&mut self, item: usize, range: &Range<usize>, text: String) -> bool {
        let known = self.edits[item].clone();
        match self.edits[item].iter_mut().find(|(place, _)| place == range) {
            Some((_, old)) => *old = text,
            None => self.edits[item].push((range.clone(), text)),
        }
        self.edits[item].sort_by_key(|(place, _)| place.start);
        let json = self.printed(item);
        let tokens = object(&json).map_or(usize::MAX, |members| self.meter.item(&members).total());
        if tokens >= self.tokens[item] {
            self.edits[item] = known;
            return false;
        }
        self.total -= self.tokens[item] - tokens;
        self.tokens[item] = tokens;
        true
    }

    /// Gives tool results their shorter exact form. Repeats are not named: a later message would change an earlier one.
    fn reform(&mut self, items: &[usize]) {
        let passes = PassSet::default().without(Pass::Repeats).without(Pass::Duplicates);
        let options = Options { passes, ..Options::default() };
        for i in items {
            for range in &self.items[*i].texts {
                let Some(content) = self.current(*i, range) else { continue };
                if let Ok(short) = compress(&content, options, None, self.meter.encoding)
                    && short.exact
                    && short.tokens_after < short.tokens_before
                    && self.set(*i, range, short.text)
                {
                    self.reformed.insert(*i);
                }
            }
        }
    }

    /// Leaves of stale tool results only the values they held, oldest first, until the budget is met.
    fn digest(&mut self, items: &[usize], budget: usize, store: &mut Option<&mut dyn Store>) -> Result<()> {
        for i in items {
            for range in &self.items[*i].texts {
                if self.bound() <= budget {
                    return Ok(());
                }
                let Some(whole) = self.text_at(range) else { continue };
                if self.meter.encoding.count(&whole) < 60 {
                    continue;
                }
                let place = stored(&whole, store)?;
                let values = guard::values(&whole);
                let own: Vec<&str> = values.iter().map(String::as_str).collect();
                let digest = format!("[result left out{place}; values in it: {}]", own.join(" "));
                if self.set(*i, range, digest) {
                    self.digested.insert(*i);
                }
            }
        }
        Ok(())
    }

    /// Cuts results that must stay, the largest first: their start and end, or a line about what is missing.
    fn cut_results(
        &mut self,
        items: &[usize],
        budget: usize,
        store: &mut Option<&mut dyn Store>,
    ) -> Result<()> {
        let encoding = self.meter.encoding;
        let mut texts: Vec<(usize, usize, Range<usize>)> = Vec::new();
        for i in items {
            for range in &self.items[*i].texts {
                let tokens = self.current(*i, range).map_or(0, |text| encoding.count(&text));
                texts.push((tokens, *i, range.clone()));
            }
        }
        texts.sort_by_key(|(tokens, item, range)| (Reverse(*tokens), *item, range.start));
        for (tokens, i, range) in texts {
            if self.total <= budget {
                break;
            }
            let Some(whole) = self.text_at(&range) else { continue };
            let all = encoding.count(&whole);
            let place = if tokens > 30 { stored(&whole, store)? } else { String::new() };
            let mark = if place.is_empty() { String::new() } else { format!("[whole result{place}]\n") };
            let room = tokens.saturating_sub(self.total - budget).saturating_sub(if mark.is_empty() {
                0
            } else {
                encoding.count(&mark) + 1
            });
            let cut = cut(&whole, all, room, encoding).map(|(text, _)| format!("{mark}{text}"));
            let done = cut.is_ok_and(|text| self.set(i, &range, text)) && self.total <= budget;
            if done || self.set(i, &range, format!("[{all} tokens left out{place}]")) {
                self.digested.insert(i);
            }
        }
        Ok(())
    }

    /// Drops blocks until the budget is met: the oldest in strides, else those that say least that no other block says.
    fn drop_blocks(&mut self, kept: &[bool], options: &TrimOptions) {
        let exchanges = self.exchanges();
        // Where turns must alternate, what an exchange holds beside its pairs goes last and at once.
        let together = |b: usize| self.kind.alternates() && !self.blocks[b].is_pair;
        let mut units: Vec<Vec<usize>> = Vec::new();
        let mut rests: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut pairs: HashMap<usize, usize> = HashMap::new();
        let alive = |b: usize| !self.gone[self.blocks[b].items[0]];
        for b in 0..self.blocks.len() {
            if together(b) && !kept[b] && alive(b) {
                rests.entry(exchanges[b]).or_default().push(b);
            } else if !together(b) && alive(b) {
                *pairs.entry(exchanges[b]).or_default() += 1;
            }
        }
        let mut waits: HashMap<usize, usize> = HashMap::new();
        let mut left: HashMap<usize, usize> = HashMap::new();
        for b in 0..self.blocks.len() {
            if !together(b) && !kept[b] && alive(b) {
                units.push(vec![b]);
            }
            let ends = exchanges.get(b + 1) != Some(&exchanges[b]);
            if ends && let Some(rest) = rests.remove(&exchanges[b]) {
                let n = pairs.get(&exchanges[b]).copied().unwrap_or(0);
                left.insert(exchanges[b], n);
                waits.insert(exchanges[b], units.len());
                units.push(rest);
            }
        }
        if options.stride > 0 {
            for stride in units.chunks(options.stride) {
                if self.bound() <= options.budget {
                    return;
                }
                for b in stride.concat() {
                    self.drop_block(b);
                }
            }
            // A stride may have left pairs without what they belong to only where some of them must stay.
            return;
        }
        let exchange = |unit: usize| exchanges[units[unit][0]];
        let values: Vec<BTreeSet<String>> = (0..self.items.len()).map(|i| self.values(i)).collect();
        // How many units say a value, and the sum of their numbers, which is the last one's when one is left.
        let mut said: HashMap<&str, (usize, usize)> = HashMap::new();
        let items: Vec<Vec<usize>> = units
            .iter()
            .map(|unit| unit.iter().flat_map(|b| self.blocks[*b].items.clone()).collect())
            .collect();
        let in_units: HashSet<usize> = items.iter().flatten().copied().collect();
        let fixed: HashSet<&str> = (0..self.items.len())
            .filter(|i| !in_units.contains(i) && !self.gone[*i])
            .flat_map(|i| values[i].iter().map(String::as_str))
            .collect();
        let own: Vec<BTreeSet<&str>> = items
            .iter()
            .map(|items| {
                let all = items.iter().flat_map(|i| values[*i].iter().map(String::as_str));
                all.filter(|value| !fixed.contains(value)).collect()
            })
            .collect();
        for (unit, set) in own.iter().enumerate() {
            for value in set {
                let (n, sum) = said.entry(value).or_default();
                (*n, *sum) = (*n + 1, *sum + unit);
            }
        }
        let mut unique: Vec<usize> =
            own.iter().map(|set| set.iter().filter(|value| said[*value].0 == 1).count()).collect();
        let n_units = units.len().max(1) as f64;
        let sizes: Vec<usize> = items
            .iter()
            .map(|items| items.iter().map(|i| self.tokens[*i] + self.json_calls[*i]).sum::<usize>().max(1))
            .collect();
        // Of two that say as much, the older one goes. What a unit is worth only grows, so an old figure is a lower bound.
        let worth = |unit: usize, unique: &[usize]| {
            Worth((unique[unit] as f64 + 0.2 + 0.2 * unit as f64 / n_units) / sizes[unit] as f64)
        };
        let ready = |unit: usize, left: &HashMap<usize, usize>| {
            waits.get(&exchange(unit)) != Some(&unit) || left[&exchange(unit)] == 0
        };
        let mut heap: BinaryHeap<Reverse<(Worth, usize)>> = (0..units.len())
            .filter(|unit| ready(*unit, &left))
            .map(|unit| Reverse((worth(unit, &unique), unit)))
            .collect();
        while self.bound() > options.budget
            && let Some(Reverse((known, unit))) = heap.pop()
        {
            let now = worth(unit, &unique);
            if now > known {
                heap.push(Reverse((now, unit)));
                continue;
            }
            for value in &own[unit] {
                let (n, sum) = said.get_mut(value).expect("every value was counted");
                (*n, *sum) = (*n - 1, *sum - unit);
                if *n == 1 {
                    unique[*sum] += 1;
                }
            }
            for b in &units[unit] {
                self.drop_block(*b);
            }
            if let Some(rest) = waits.get(&exchange(unit)).filter(|rest| **rest != unit) {
                let left = left.get_mut(&exchange(unit)).expect("an exchange that waits is counted");
                *left -= 1;
                if *left == 0 {
                    heap.push(Reverse((worth(*rest, &unique), *rest)));
                }
            }
        }
    }

    fn drop_block(&mut self, block: usize) {
        for i in self.blocks[block].items.clone() {
            self.drop_item(i);
        }
    }

    /// The facts of a message, those of its calls aside.
    fn values(&self, item: usize) -> BTreeSet<String> {
        let mut places = Vec::new();
        for key in ["content", "parts", "output"] {
            if let Some(value) = self.items[item].members.get(key) {
                strings(self.json, value, &mut places);
            }
        }
        let texts = places.iter().filter_map(|range| self.text_at(range));
        texts.flat_map(|text| guard::values(&text)).collect()
    }

    /// Says that messages are missing, where there is room for it and a place that is not the user's.
    fn add_note(&mut self, conversation: &Conversation<'_>, budget: usize) {
        let n = self.gone.iter().filter(|gone| **gone).count();
        let Some(first) = self.gone.iter().position(|gone| *gone) else { return };
        let text = format!("[{n} earlier messages were left out here to fit the context]");
        let quoted = Value::from(text.as_str()).to_string();
        let (note, tokens) = match self.kind {
            Kind::Chat | Kind::Responses => {
                let developer = self.items.iter().any(|item| item.role == "developer")
                    || (self.kind == Kind::Responses && !self.items.iter().any(|item| item.role == "system"));
                let role = if developer { "developer" } else { "system" };
                let json = format!("{{\"role\":\"{role}\",\"content\":{quoted}}}");
                let tokens = object(&json).map_or(0, |members| self.meter.item(&members).total());
                (Note::Message { before: first, json }, tokens)
            }
            Kind::Anthropic => {
                let Some(system) = conversation.body.as_ref().and_then(|body| body.get("system")) else {
                    return;
                };
                let at = place(self.json, system).end - 1;
                let text = text.replace(" here", "");
                let tokens = self.meter.encoding.count(&text) + 2;
                let quoted = Value::from(text).to_string();
                match system.get().as_bytes() {
                    [b'"', ..] => {
                        let json = format!("\\n\\n{}", &quoted[1..quoted.len() - 1]);
                        (Note::System { at, json }, tokens)
                    }
                    [b'[', inner @ .., _] => {
                        let comma = if inner.iter().all(u8::is_ascii_whitespace) { "" } else { "," };
                        let json = format!("{comma}{{\"type\":\"text\",\"text\":{quoted}}}");
                        (Note::System { at, json }, tokens)
                    }
                    _ => return,
                }
            }
            Kind::Gemini | Kind::Plain => return,
        };
        if self.bound() + tokens <= budget {
            self.total += tokens;
            self.note = Some(note);
        }
    }

    /// A message with its changes.
    fn printed(&self, item: usize) -> String {
        let Range { start, end } = self.items[item].range;
        let mut out = String::with_capacity(end - start);
        let mut at = start;
        for (range, text) in &self.edits[item] {
            out.push_str(&self.json[at..range.start]);
            out.push_str(&Value::from(text.as_str()).to_string());
            at = range.end;
        }
        out.push_str(&self.json[at..end]);
        out
    }

    /// The request with what stays, and the white space that stood before it.
    fn print(&self) -> String {
        let (Some(first), Some(last)) = (self.items.first(), self.items.last()) else {
            return self.json.to_owned();
        };
        let (start, end) = (first.range.start, last.range.end);
        // The system's text stands before or after the messages.
        let around = |part: Range<usize>| match &self.note {
            Some(Note::System { at, json }) if part.contains(at) => {
                format!("{}{json}{}", &self.json[part.start..*at], &self.json[*at..part.end])
            }
            _ => self.json[part].to_owned(),
        };
        let mut out = around(0..start);
        let mut some = false;
        for (i, item) in self.items.iter().enumerate() {
            let note = match &self.note {
                Some(Note::Message { before, json }) if *before == i => Some(json.clone()),
                _ => None,
            };
            let between =
                if i == 0 { "," } else { &self.json[self.items[i - 1].range.end..item.range.start] };
            for json in note.into_iter().chain((!self.gone[i]).then(|| self.printed(i))) {
                if std::mem::replace(&mut some, true) {
                    out.push_str(between);
                }
                out.push_str(&json);
            }
        }
        out.push_str(&around(end..self.json.len()));
        out
    }
}

/// A worth that can be ordered.
#[derive(Clone, Copy, PartialEq)]
struct Worth(f64);

impl Eq for Worth {}

impl PartialOrd for Worth {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Worth {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Puts a text into the store, where there is one with room: how to name it.
fn stored(text: &str, store: &mut Option<&mut dyn Store>) -> Result<String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    Ok(match store.as_deref_mut().map(|store| store.put(text)) {
        Some(Ok(handle)) => format!(", ref={handle}"),
        None | Some(Err(StoreError::Full { .. } | StoreError::Collision { .. })) => String::new(),
        Some(Err(error)) => return Err(error.into()),
    })
}
