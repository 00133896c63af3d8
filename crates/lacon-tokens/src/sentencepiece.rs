//! SentencePiece vocabularies: with scores, as in Gemma, Llama 2 and Mistral, from GGUF files, and from `tokenizer.json`
//! (`json.rs`). The rest of this page is about scores.
//!
//! A text is cut at the tokens that the vocabulary names as whole words. What lies between is merged from single characters: of
//! all neighbors whose joined text is a token, those with the highest score first, and the first of equals. A character
//! that is no token becomes one token a byte. The counts equal those of llama.cpp's `/tokenize` with `parse_special` off: a control token in a text is text.

mod json;
mod model;
mod normalize;

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::io::Read;

use crate::error::Error;
use crate::gguf::{self, Value};

/// How SentencePiece writes a space.
const SPACE: &str = "\u{2581}";
/// Kinds of tokens in a GGUF file.
const CONTROL: f64 = 3.0;
const UNKNOWN: f64 = 2.0;
const WHOLE: f64 = 4.0;

/// A vocabulary of pieces of text, for counting.
#[derive(Debug)]
pub struct SentencePiece {
    model: Model,
    /// What a `tokenizer.json` does around its model.
    around: Option<json::Around>,
}

#[derive(Debug)]
enum Model {
    Scores(Scores),
    Merges(model::Merges),
    Unigram(model::Unigram),
}

/// A vocabulary with scores.
#[derive(Debug)]
struct Scores {
    scores: HashMap<String, (u32, f64)>,
    whole: Whole,
    bytes: Vec<Option<u32>>,
    unknown: u32,
    /// Whether a text begins with a space that is not there.
    prefix: bool,
}

/// Tokens that stand for themselves wherever they occur, by their first byte, the longest first. One without an id is text
/// as it stands.
#[derive(Debug, Default)]
struct Whole(HashMap<u8, Vec<(String, Option<u32>)>>);

impl Whole {
    fn add(&mut self, token: &str, id: Option<u32>) {
        if let Some(&first) = token.as_bytes().first() {
            self.0.entry(first).or_default().push((token.to_owned(), id));
        }
    }

    fn sorted(mut self) -> Self {
        for tokens in self.0.values_mut() {
            tokens.sort_by_key(|(token, _)| std::cmp::Reverse(token.len()));
        }
        self
    }

    /// Calls back with each token and each text between them, and where it begins.
    fn split<'t>(&self, text: &'t str, found: &mut dyn FnMut(usize, Result<u32, &'t str>)) {
        let (mut begin, mut at) = (0, 0);
        while at < text.len() {
            let rest = &text[at..];
            let tokens = self.0.get(&rest.as_bytes()[0]).map(Vec::as_slice).unwrap_or_default();
            match tokens.iter().find(|(token, _)| rest.starts_with(token.as_str())) {
                Some((token, Some(id))) => {
                    if begin < at {
                        found(begin, Err(&text[begin..at]));
                    }
                    found(at, Ok(*id));
                    at += token.len();
                    begin = at;
                }
                Some((token, None)) => at += token.len(),
                None => at += rest.chars().next().map_or(1, char::len_utf8),
            }
        }
        if begin < text.len() {
            found(begin, Err(&text[begin..]));
        }
    }
}

/// Two neighbors that could be one token.
#[derive(Debug, PartialEq)]
struct Pair {
    score: f64,
    left: usize,
    right: usize,
    bytes: usize,
}

impl Eq for Pair {}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A part of a text, linked to its neighbors; one without bytes was merged into another.
#[derive(Debug, Clone, Copy)]
struct Part {
    begin: usize,
    bytes: usize,
    before: Option<usize>,
    after: Option<usize>,
}

impl SentencePiece {
    /// Reads the vocabulary at the head of a GGUF file.
    ///
    /// # Errors
    /// When the file is none, is damaged, or holds a tokenizer of another kind.
    pub fn from_gguf(source: impl Read) -> Result<Self, Error> {
        let mut head = gguf::head(source)?;
        let bad = |what: &str| Error::Gguf { what: what.to_owned() };
        match head.get("tokenizer.ggml.model") {
            Some(Value::Text(model)) if model == "llama" => {}
            Some(Value::Text(model)) => {
                return Err(bad(&format!("its tokenizer is of the kind {model:?}, only \"llama\" is read")));
            }
            _ => return Err(bad("it names no tokenizer")),
        }
        let flag = |name: &str| match head.get(name) {
            Some(Value::Number(n)) => Some(*n != 0.0),
            _ => None,
        };
        let prefix = flag("tokenizer.ggml.add_space_prefix").unwrap_or(true);
        let unknown = match head.get("tokenizer.ggml.unknown_token_id") {
            Some(Value::Number(n)) => *n as u32,
            _ => 0,
        };
        let mut numbers = |name: &str| match head.remove(name) {
            Some(Value::Numbers(numbers)) => numbers,
            _ => Vec::new(),
        };
        let (values, kinds) = (numbers("tokenizer.ggml.scores"), numbers("tokenizer.ggml.token_type"));
        let Some(Value::Texts(tokens)) = head.remove("tokenizer.ggml.tokens") else {
            return Err(bad("it has no tokens"));
        };
        if values.len() != tokens.len() || kinds.len() != tokens.len() {
            return Err(bad(&format!(
                "{} tokens, {} scores, {} kinds: their numbers differ",
                tokens.len(),
                values.len(),
                kinds.len()
            )));
        }
        let mut made = Scores {
            scores: HashMap::new(),
            whole: Whole::default(),
            bytes: vec![None; 256],
            unknown,
            prefix,
        };
        for (id, ((token, score), kind)) in tokens.into_iter().zip(values).zip(kinds).enumerate() {
            let id = id as u32;
            let byte =
                token.strip_prefix("<0x").and_then(|hex| u8::from_str_radix(hex.strip_suffix('>')?, 16).ok());
            if let Some(byte) = byte {
                made.bytes[usize::from(byte)] = Some(id);
            }
            if kind == WHOLE {
                made.whole.add(&token, Some(id));
            }
            // A text may not hold what only a template may write.
            if kind != CONTROL && kind != UNKNOWN {
                made.scores.insert(token, (id, score));
            }
        }
        made.whole = std::mem::take(&mut made.whole).sorted();
        Ok(Self { model: Model::Scores(made), around: None })
    }

    /// Counts the tokens of a text, without a token at its beginning.
    pub fn count(&self, text: &str) -> usize {
        self.encode(text).len()
    }

    /// The tokens of a text, without a token at its beginning.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        match (&self.around, &self.model) {
            (Some(around), _) => self.encode_around(around, text),
            (None, Model::Scores(model)) => {
                let mut ids = Vec::new();
                model.encode(text, &mut ids);
                ids
            }
            (None, _) => Vec::new(),
        }
    }
}

impl Scores {
    fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        self.whole.split(text, &mut |_, part| match part {
            Ok(id) => ids.push(id),
            Err(text) => self.between(text, ids),
        });
    }

    /// The tokens of a text in which no whole word occurs.
    fn between(&self, text: &str, ids: &mut Vec<u32>) {
        if text.is_empty() {
            return;
        }
        let text = if self.prefix { format!("{SPACE}{text}") } else { text.to_owned() }.replace(' ', SPACE);
        let mut parts: Vec<Part> = Vec::with_capacity(text.len());
        for (begin, c) in text.char_indices() {
            let n = parts.len();
            if let Some(last) = parts.last_mut() {
                last.after = Some(n);
            }
            parts.push(Part { begin, bytes: c.len_utf8(), before: n.checked_sub(1), after: None });
        }
        let mut pairs = BinaryHeap::new();
        (1..parts.len()).for_each(|right| pairs.extend(self.pair(&text, &parts, right - 1, right)));
        while let Some(pair) = pairs.pop() {
            let (left, right) = (parts[pair.left], parts[pair.right]);
            // One of them has been merged with another since.
            if left.bytes == 0 || right.bytes == 0 || left.bytes + right.bytes != pair.bytes {
                continue;
            }
            parts[pair.left].bytes = pair.bytes;
            parts[pair.left].after = right.after;
            parts[pair.right].bytes = 0;
            if let Some(after) = right.after {
                parts[after].before = Some(pair.left);
                pairs.extend(self.pair(&text, &parts, pair.left, after));
            }
            if let Some(before) = left.before {
                pairs.extend(self.pair(&text, &parts, before, pair.left));
            }
        }
        for part in parts.iter().filter(|part| part.bytes > 0) {
            let piece = &text[part.begin..part.begin + part.bytes];
            match self.scores.get(piece) {
                Some((id, _)) => ids.push(*id),
                None => ids
                    .extend(piece.bytes().map(|byte| self.bytes[usize::from(byte)].unwrap_or(self.unknown))),
            }
        }
    }

    fn pair(&self, text: &str, parts: &[Part], left: usize, right: usize) -> Option<Pair> {
        let begin = parts[left].begin;
        let bytes = parts[left].bytes + parts[right].bytes;
        let (_, score) = self.scores.get(&text[begin..begin + bytes])?;
        Some(Pair { score: *score, left, right, bytes })
    }
}
