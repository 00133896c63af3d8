//! A request as it goes over the wire, made shorter in place: the JSON of a chat, a response or a message array, of which
//! only strings that hold material change and every other byte stays.
//!
//! Material is what a user's or a tool's message says. Texts of the system, of developers and of the model, calls, tool
//! schemas and whatever is not known here stay as they are; within a user's text [`compress`] leaves
//! instructions and prose alone. What becomes of a text depends on it and on the texts above it, never on what follows, so
//! a conversation that grows keeps its beginning byte for byte, and with it the provider's cache.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use lacon_tokens::Encoding;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

mod whole;

use self::whole::{Whole, beyond_limit};
use crate::batch::ProcessedCache;
use crate::codec::{self, blobs, edits::Above};
use crate::compress::{self, Compressed, Options};
use crate::error::{Error, Result};
use crate::marker::{self, Marker};
use crate::offload::{Handle, Store};
use crate::openings::Openings;
use crate::passes::Pass;
use crate::receipt::PassReport;
use crate::wire::{Object, array, is_string, object, objects, place, string};

/// Names under which a model calls for what was offloaded: as a tool of its own, and as the one of `lacon mcp`.
pub const RETRIEVERS: [&str; 2] = ["lacon_retrieve", "mcp__lacon__retrieve"];

/// Who says a text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owner {
    /// A user.
    User,
    /// A tool; its name where the request says it.
    Tool(Option<String>),
}

/// A string of a request that may change.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Text {
    /// Its place in the JSON, quotes included.
    range: Range<usize>,
    /// Its place as a JSON pointer.
    pointer: String,
    owner: Owner,
}

/// A request whose texts were found.
#[derive(Debug, Clone)]
pub struct Request<'j> {
    json: &'j str,
    texts: Vec<Text>,
    tools: HashSet<String>,
    free_choice: bool,
    /// Whether a tool edits by quoting what stands in a file.
    has_editor: bool,
    cut_upstream: bool,
    model: Option<String>,
}

/// How to shorten a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestOptions<'a> {
    /// How to shorten each text.
    pub compress: Options,
    /// Whose texts stay as they are: `user`, `tool`, or the name of a tool.
    pub protect: &'a [String],
    /// Whether what users say stays as it is: a task may be about its very words.
    pub keep_user: bool,
    /// Whether results of tools stay as they are that a later edit may have to quote to the byte: all of them where the
    /// request has a tool that edits, else those of tools that read files.
    pub keep_quotable: bool,
    /// Whether [`compress::LEGEND`] stands above the first text in a shorter form. Texts before it that do not save as much stay
    /// whole.
    pub legend: bool,
    /// Whose store it is: a cache may go with the stores of several sessions.
    pub session: &'a str,
    /// Results of texts that were seen before. One cache goes with one store, or with one of each session.
    pub cache: Option<&'a ProcessedCache>,
    /// Set by whoever does not want the result any more.
    pub stop: Option<&'a AtomicBool>,
}

/// A string that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The bytes of the JSON that it replaces, quotes included.
    pub range: Range<usize>,
    /// Where that is, as a JSON pointer.
    pub pointer: String,
    /// The text to be there.
    pub text: String,
}

/// What [`Request::shrink`] did.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Shrunk {
    /// The strings that change, in their order.
    pub edits: Vec<Edit>,
    /// Tokens of all texts that could have changed.
    pub tokens_before: usize,
    /// Tokens of the same texts after.
    pub tokens_after: usize,
    /// What each pass did to each text, which is named by its pointer.
    pub passes: Vec<PassReport>,
}

impl<'j> Request<'j> {
    /// Finds the texts of a request: an object with `messages` or `input`, or an array of messages. `None` for all else.
    #[must_use]
    pub fn parse(json: &'j str) -> Option<Self> {
        let mut request = Request {
            json,
            texts: Vec::new(),
            tools: HashSet::new(),
            free_choice: true,
            has_editor: false,
            cut_upstream: false,
            model: None,
        };
        let mut calls = HashMap::new();
        if json.trim_start().starts_with('[') {
            request.messages("", objects(json)?, &mut calls);
            request.has_editor = calls.values().any(|name| is_editor(name));
            return Some(request);
        }
        let body = Body::parse(json)?;
        match (body.messages, body.input) {
            (Some(Turns::List(messages)), _) => request.messages("/messages", messages, &mut calls),
            (None, Some(Turns::List(input))) => request.messages("/input", input, &mut calls),
            (None, Some(Turns::Other(input))) if is_string(input) => {
                request.found("/input".into(), input, Owner::User);
            }
            _ => return None,
        }
        for tool in body.tools.and_then(|tools| array(tools.get())).unwrap_or_default() {
            let Some(tool) = object(tool.get()) else { continue };
            let function = tool.get("function").and_then(|function| object(function.get()));
            let name = function.as_ref().and_then(|function| string(function, "name"));
            request.has_editor |= string(&tool, "type").is_some_and(|kind| is_editor(&kind));
            request.tools.extend(name.or_else(|| string(&tool, "name")));
        }
        request.has_editor |= request.tools.iter().chain(calls.values()).any(|name| is_editor(name));
        request.free_choice = body.tool_choice.is_none_or(|choice| {
            let kind = |choice: Object<'_>| string(&choice, "type");
            let word =
                serde_json::from_str(choice.get()).ok().or_else(|| object(choice.get()).and_then(kind));
            word.is_some_and(|word: String| matches!(word.as_str(), "auto" | "required" | "any"))
        });
        // Where the provider takes messages out of the middle, no text may lean on one above it.
        let word = |value: Option<&RawValue>| serde_json::from_str::<String>(value?.get()).ok();
        request.cut_upstream = body.context_management.is_some_and(|value| value.get() != "null")
            || word(body.truncation).is_some_and(|how| how == "auto");
        request.model = word(body.model);
        Some(request)
    }

    /// The model that is asked.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Whether the model can ask for what was offloaded: the request declares one of [`RETRIEVERS`] and its `tool_choice`
    /// lets the model call it.
    #[must_use]
    pub fn can_retrieve(&self) -> bool {
        self.free_choice && RETRIEVERS.iter().any(|name| self.tools.contains(*name))
    }

    /// Writes the texts that may change in their shorter exact form; with a store, opaque runs go there.
    ///
    /// Only the texts of this request are looked at, so that whoever reads it needs nothing else; equal requests give equal
    /// results, and so does the beginning that two requests share.
    ///
    /// # Errors
    /// When the store's medium fails.
    pub fn shrink(
        &self,
        options: &RequestOptions<'_>,
        mut store: Option<&mut dyn Store>,
        encoding: &'static Encoding,
    ) -> Result<Shrunk> {
        // A marker whose content nobody else could read is not made, nor taken from the cache.
        store = store.filter(|store| store.ready().is_ok());
        let mut shrunk = Shrunk::default();
        let mut reader = Reader::default();
        let mut markers = Known::default();
        // Whoever restores the request does it within one limit for all its texts.
        let (mut whole, mut written) = (Whole::default(), 0);
        let mut needs_legend = options.legend && !options.compress.audit;
        for text in &self.texts {
            if options.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                return Err(Error::Stopped);
            }
            let Some(source) = unquoted(self.json, text) else { continue };
            if self.stays(options, &text.owner) {
                written += source.len();
                reader.read(source, !self.cut_upstream, 0);
                continue;
            }
            let foreign = match &store {
                Some(store) => markers.is_foreign(&source, &**store),
                None => false,
            };
            // What holds a form of ours stays, without expanding it: who knows what it stands for.
            let formed =
                options.compress.once && (blobs::has_marker(&source) || codec::needs_stuffing(&source));
            if formed && !foreign {
                let tokens = encoding.count(&source);
                shrunk.tokens_before += tokens;
                shrunk.tokens_after += tokens;
                written += source.len();
                reader.read(source, !self.cut_upstream, tokens);
                continue;
            }
            let same = (!self.cut_upstream && options.compress.passes.has(Pass::Duplicates))
                .then(|| reader.same(&source, encoding))
                .flatten();
            let short = match same {
                Some(short) => short,
                None => {
                    let lent = store.as_mut().map(|store| &mut **store as &mut dyn Store);
                    match self.short(options, &source, &mut reader, lent, encoding) {
                        // A store that fails costs what it would have saved, and is not asked again.
                        Err(Error::Store(_)) => {
                            store = None;
                            self.short(options, &source, &mut reader, None, encoding)?
                        }
                        short => short?,
                    }
                }
            };
            let fits = whole.bytes + whole.new_bytes(&short.text, source.len())
                <= compress::Budget::untrusted(written + short.text.len()).bytes;
            let short = if fits || short.tokens_after >= short.tokens_before {
                short
            } else {
                beyond_limit(short, &source)
            };
            let mut short = short;
            if needs_legend && short.tokens_after < short.tokens_before {
                if short.add_legend(encoding) {
                    needs_legend = !short.text.starts_with(compress::LEGEND);
                } else {
                    short.tokens_after = short.tokens_before;
                }
            }
            shrunk.tokens_before += short.tokens_before;
            let named = |report: PassReport| PassReport { segment: text.pointer.clone(), ..report };
            shrunk.passes.extend(short.passes.into_iter().map(named));
            let saves = !options.compress.audit && short.tokens_after < short.tokens_before;
            let counted = saves || options.compress.audit;
            if foreign && !counted {
                // A marker that is none of ours must not be taken for one.
                let text_of = plain(&source);
                written += text_of.len();
                whole.add(&text_of, source.len());
                shrunk.tokens_after += encoding.count(&text_of);
                reader.read(source, false, short.tokens_before);
                let (range, pointer) = (text.range.clone(), text.pointer.clone());
                shrunk.edits.push(Edit { range, pointer, text: text_of });
                continue;
            }
            shrunk.tokens_after += if counted { short.tokens_after } else { short.tokens_before };
            written += if saves { short.text.len() } else { source.len() };
            if saves {
                whole.add(&short.text, source.len());
            }
            reader.read(source, !saves && !self.cut_upstream, short.tokens_before);
            if saves {
                reader.inexact |= !short.exact;
                shrunk.edits.push(Edit {
                    range: text.range.clone(),
                    pointer: text.pointer.clone(),
                    text: short.text,
                });
            }
        }
        Ok(shrunk)
    }

    /// One text in its shorter form, from the cache where what it refers to can still be read.
    fn short(
        &self,
        options: &RequestOptions<'_>,
        source: &str,
        reader: &mut Reader,
        mut store: Option<&mut dyn Store>,
        encoding: &'static Encoding,
    ) -> Result<Compressed> {
        let compute = |reader: &mut Reader, store: &mut Option<&mut dyn Store>| {
            let store = store.as_mut().map(|store| &mut **store as &mut dyn Store);
            let (above, exact) = (reader.above(), options.compress);
            compress::compress_below(above, source, exact, store, encoding, options.stop)
        };
        let Some(cache) = options.cache else { return compute(reader, &mut store) };
        let (name, chain) = (encoding.name(), reader.chain.to_hex());
        let settings =
            format!("{name}/{:?}/{}/{:?}/{chain}", options.compress, store.is_some(), options.session);
        let short = cache.get_or(&settings, source, || compute(reader, &mut store))?;
        match &store {
            Some(known) if !readable(&short.text, &**known) => compute(reader, &mut store),
            _ => Ok(short),
        }
    }

    /// Whether a text stays as it is because of who says it.
    fn stays(&self, options: &RequestOptions<'_>, owner: &Owner) -> bool {
        let quotable = match owner {
            Owner::User if options.keep_user => return true,
            Owner::User => false,
            Owner::Tool(name) => self.has_editor || name.as_deref().is_some_and(reads_files),
        };
        (quotable && options.keep_quotable) || protected(options.protect, owner)
    }

    /// Undoes [`Request::shrink`], given the pointers of what it changed: the edits that give each text back.
    ///
    /// # Errors
    /// When a text was edited since, all of them together stand for more than [`compress::Budget::untrusted`] allows for the
    /// request, or a marker's content is not in the store.
    pub fn restore(&self, changed: &[String], store: Option<&dyn Store>) -> Result<Vec<Edit>> {
        let mut edits: Vec<Edit> = Vec::new();
        let mut whole = Whole::default();
        let limit = compress::Budget::untrusted(self.json.len()).bytes;
        let too_large = || Error::TooLarge { limit };
        let mut reader = Reader::default();
        let mut missing: HashSet<&str> = changed.iter().map(String::as_str).collect();
        for text in &self.texts {
            let Some(short) = unquoted(self.json, text) else { continue };
            if !missing.remove(text.pointer.as_str()) {
                reader.read(short, !self.cut_upstream, 0);
                continue;
            }
            let original = match reader.texts.follow_same(&short)? {
                Some(original) if original.len() > limit - whole.bytes => return Err(too_large()),
                Some(original) => original.to_owned(),
                None => {
                    let above = reader.above();
                    let mut budget = compress::budget_below(above, short.len());
                    // A form on the way may be a little longer than what it becomes.
                    budget.bytes = budget.bytes.min(2 * (limit - whole.bytes) + (64 << 10));
                    let expanded = compress::expand_all(above, &short, store, budget, None);
                    expanded.map_err(|error| {
                        if matches!(error, Error::TooLarge { .. }) { too_large() } else { error }
                    })?
                }
            };
            whole.add(&short, original.len());
            if whole.bytes > limit {
                return Err(too_large());
            }
            reader.read(original.clone(), false, 0);
            edits.push(Edit { range: text.range.clone(), pointer: text.pointer.clone(), text: original });
        }
        if let Some(missing) = changed.iter().find(|pointer| missing.contains(pointer.as_str())) {
            let known = self.texts.len();
            return Err(Error::NoText { pointer: missing.clone(), known });
        }
        Ok(edits)
    }

    fn messages(&mut self, at: &str, messages: Vec<Option<Object<'j>>>, calls: &mut HashMap<String, String>) {
        for (i, message) in messages.into_iter().enumerate() {
            let Some(message) = message else { continue };
            let at = format!("{at}/{i}");
            let named = |calls: &HashMap<String, String>, key: &str| {
                string(&message, key)
                    .and_then(|id| calls.get(&id).cloned())
                    .or_else(|| string(&message, "name"))
            };
            match (string(&message, "role").as_deref(), string(&message, "type").as_deref()) {
                (Some("user"), _) => self.content(&at, "content", &message, &Owner::User, calls),
                (Some("tool" | "function"), _) => {
                    let owner = Owner::Tool(named(calls, "tool_call_id"));
                    self.content(&at, "content", &message, &owner, calls);
                }
                (Some("assistant"), _) => note_calls(&message, calls),
                (None, Some("function_call" | "custom_tool_call")) => {
                    calls.extend(string(&message, "call_id").zip(string(&message, "name")));
                }
                (None, Some("function_call_output" | "custom_tool_call_output")) => {
                    let owner = Owner::Tool(named(calls, "call_id"));
                    self.content(&at, "output", &message, &owner, calls);
                }
                _ => {}
            }
        }
    }

    /// A string, or parts of which those that are text or a tool's result count.
    fn content(
        &mut self,
        at: &str,
        key: &str,
        holder: &Object<'j>,
        owner: &Owner,
        calls: &HashMap<String, String>,
    ) {
        let Some(content) = holder.get(key) else { return };
        let at = format!("{at}/{key}");
        if is_string(content) {
            return self.found(at, content, owner.clone());
        }
        for (i, part) in array(content.get()).unwrap_or_default().into_iter().enumerate() {
            let Some(part) = object(part.get()) else { continue };
            match string(&part, "type").as_deref() {
                // Citations point into the text by position.
                Some("text" | "input_text") if !part.contains_key("citations") => {
                    if let Some(text) = part.get("text").filter(|text| is_string(text)) {
                        self.found(format!("{at}/{i}/text"), text, owner.clone());
                    }
                }
                Some("tool_result") if *owner == Owner::User => {
                    let name = string(&part, "tool_use_id").and_then(|id| calls.get(&id).cloned());
                    self.content(&format!("{at}/{i}"), "content", &part, &Owner::Tool(name), calls);
                }
                _ => {}
            }
        }
    }

    fn found(&mut self, pointer: String, text: &RawValue, owner: Owner) {
        self.texts.push(Text { range: place(self.json, text), pointer, owner });
    }
}

impl Shrunk {
    /// Handles of what the new texts refer to in the store, each once, in order.
    #[must_use]
    pub fn handles(&self) -> Vec<Handle> {
        let mut known = HashSet::new();
        let all = self.edits.iter().flat_map(|edit| marker::handles(&edit.text));
        all.filter(|handle| known.insert(handle.as_str().to_owned())).collect()
    }
}

/// The JSON with some of its strings replaced. The edits are in order, of strings of this JSON.
#[must_use]
pub fn splice(json: &str, edits: &[Edit]) -> String {
    let mut out = String::with_capacity(json.len());
    let mut end = 0;
    for edit in edits {
        out.push_str(&json[end..edit.range.start]);
        out.push_str(&serde_json::to_string(&edit.text).expect("a string is always JSON"));
        end = edit.range.end;
    }
    out.push_str(&json[end..]);
    out
}

/// What a reader of the request has read at some place of it.
struct Reader {
    /// The texts above, as they were.
    texts: Openings,
    /// Their tokens.
    tokens: Vec<usize>,
    /// Which of them stand there word for word and are not in `above` yet.
    verbatim: Vec<usize>,
    above: Above,
    /// Whether a text above would come back in another layout, so that a copy of it could not be found by its words.
    inexact: bool,
    /// Stands for all texts above.
    chain: blake3::Hash,
}

impl Default for Reader {
    fn default() -> Self {
        let chain = blake3::hash(b"");
        Reader {
            texts: Openings::default(),
            tokens: Vec::new(),
            verbatim: Vec::new(),
            above: Above::default(),
            inexact: false,
            chain,
        }
    }
}

impl Reader {
    fn above(&mut self) -> &Above {
        for i in self.verbatim.drain(..) {
            self.above.push(self.texts.get(i));
        }
        &self.above
    }

    fn read(&mut self, text: String, verbatim: bool, tokens: usize) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.chain.as_bytes());
        hasher.update(&[u8::from(verbatim)]);
        hasher.update(text.as_bytes());
        self.chain = hasher.finalize();
        if verbatim {
            self.verbatim.push(self.texts.len());
        }
        self.texts.push(text);
        self.tokens.push(tokens);
    }

    /// The line for a text that stands above.
    fn same(&self, text: &str, encoding: &Encoding) -> Option<Compressed> {
        if self.inexact {
            return None;
        }
        let (line, first) = self.texts.same_line(text)?;
        let tokens_before = self.tokens[first];
        let tokens_after = encoding.count(&line);
        let mut report = PassReport::new(Pass::Duplicates);
        report.spans = 1;
        (report.tokens_before, report.tokens_after) = (tokens_before, tokens_after);
        let found = Compressed {
            text: line,
            tokens_before,
            tokens_after,
            exact: true,
            passes: vec![report],
            steps: 0,
        };
        (tokens_after < tokens_before).then_some(found)
    }
}

/// Which markers of a request name what its store holds. A text can hold thousands of them that name nothing.
#[derive(Default)]
struct Known {
    markers: HashMap<String, bool>,
}

impl Known {
    /// Most markers of one request that are looked up; the others pass for foreign.
    const MOST: usize = 1000;

    /// Whether a text holds a marker that its store did not give.
    fn is_foreign(&mut self, text: &str, store: &dyn Store) -> bool {
        marker::all(text).any(|marker| {
            let key = marker.to_string();
            let room = self.markers.len() < Known::MOST;
            let known = self.markers.entry(key).or_insert_with(|| room && holds(store, &marker));
            !*known
        })
    }
}

/// Whether a store gives what a marker says.
fn holds(store: &dyn Store, marker: &Marker) -> bool {
    matches!(store.get(&marker.handle), Ok(Some(content)) if marker.check(&content).is_ok())
}

/// Whether all that a text refers to can be read now.
fn readable(text: &str, store: &dyn Store) -> bool {
    marker::all(text).all(|marker| holds(store, &marker))
}

/// A text in which nothing can be taken for a form of ours.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    codec::push_literal(&mut out, &blobs::stuff(text));
    out
}

/// The words of a tool's name, `readFile` and `read_file` alike.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && lower) {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().expect("one is always there").extend(c.to_lowercase());
        }
        lower = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a tool changes files by quoting them, by its name or type.
fn is_editor(name: &str) -> bool {
    const EDITS: [&str; 9] =
        ["edit", "edits", "editor", "multiedit", "replace", "patch", "diff", "substitute", "modify"];
    words(name).iter().any(|word| EDITS.contains(&word.as_str()))
}

/// Whether a tool gives what stands in files, by its name.
fn reads_files(name: &str) -> bool {
    let words = words(name);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    has(&["read", "reads", "readfile", "cat"])
        || (words.len() == 1 && has(&["view", "open", "cat"]))
        || (has(&["file", "files", "notebook", "document", "source", "code"])
            && has(&["view", "get", "open", "show", "load", "fetch", "print", "contents", "content"]))
}

fn protected(protect: &[String], owner: &Owner) -> bool {
    let listed = |name: &str| protect.iter().any(|p| p == name);
    match owner {
        Owner::User => listed("user"),
        // What a model asked for in full must not be taken from it again.
        Owner::Tool(Some(name)) => RETRIEVERS.contains(&name.as_str()) || listed("tool") || listed(name),
        Owner::Tool(None) => listed("tool"),
    }
}

/// Remembers which call is of which tool.
fn note_calls(message: &Object<'_>, calls: &mut HashMap<String, String>) {
    let list = |key: &str| message.get(key).and_then(|list| array(list.get())).unwrap_or_default();
    for call in list("tool_calls").into_iter().filter_map(|call| object(call.get())) {
        let function = call.get("function").and_then(|function| object(function.get()));
        calls.extend(string(&call, "id").zip(function.and_then(|function| string(&function, "name"))));
    }
    for part in list("content").into_iter().filter_map(|part| object(part.get())) {
        if string(&part, "type").is_some_and(|kind| kind == "tool_use") {
            calls.extend(string(&part, "id").zip(string(&part, "name")));
        }
    }
}

/// What is looked at of a request.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body<'j> {
    #[serde(borrow, deserialize_with = "turns")]
    messages: Option<Turns<'j>>,
    #[serde(borrow, deserialize_with = "turns")]
    input: Option<Turns<'j>>,
    #[serde(borrow, deserialize_with = "present")]
    tools: Option<&'j RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    tool_choice: Option<&'j RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    context_management: Option<&'j RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    truncation: Option<&'j RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    model: Option<&'j RawValue>,
}

/// A list of messages, of which those that are no object are `None`, or what stands in its place.
enum Turns<'j> {
    List(Vec<Option<Object<'j>>>),
    Other(&'j RawValue),
}

impl<'j> Body<'j> {
    /// Reads the usual body in one pass; a second one, member by member, is for any other.
    fn parse(json: &'j str) -> Option<Self> {
        if let Ok(body) = serde_json::from_str(json) {
            return Some(body);
        }
        let members = object(json)?;
        let get = |name: &str| members.get(name).copied();
        let turns =
            |name: &str| get(name).map(|value| objects(value.get()).map_or(Turns::Other(value), Turns::List));
        Some(Body {
            messages: turns("messages"),
            input: turns("input"),
            tools: get("tools"),
            tool_choice: get("tool_choice"),
            context_management: get("context_management"),
            truncation: get("truncation"),
            model: get("model"),
        })
    }
}

/// Reads a list of objects; anything else is for the second pass.
fn turns<'j, D: Deserializer<'j>>(json: D) -> std::result::Result<Option<Turns<'j>>, D::Error> {
    Vec::deserialize(json).map(|list| Some(Turns::List(list)))
}

/// Reads a member that is there, also one that is `null`.
fn present<'j, D: Deserializer<'j>>(json: D) -> std::result::Result<Option<&'j RawValue>, D::Error> {
    <&RawValue>::deserialize(json).map(Some)
}

/// `None` for a string that is no text, such as half of a surrogate pair.
fn unquoted(json: &str, text: &Text) -> Option<String> {
    serde_json::from_str(&json[text.range.clone()]).ok()
}
