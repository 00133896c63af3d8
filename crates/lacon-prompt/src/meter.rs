//! Meters a request: one count for trimming, counting and budgets, on the bytes as they go over the wire.
//!
//! It reads requests of OpenAI (chat and Responses), Anthropic and Gemini. Texts count as they are, tools and schemas
//! as models see them, images by their size. A part of unknown size (an address, a file id, sound) counts by a rule of
//! thumb and makes the whole count an estimate.

use std::ops::AddAssign;

use lacon_tokens::{
    ANSWER, Encoding, Exactness, Image, ModelEncoding, PER_MESSAGE, PER_NAME, PER_TOOL_CALL, RequestCount,
    count_schema, count_tools, image_tokens, is_system,
};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::conversation::{Conversation, Kind};
use crate::error::Result;
use crate::wire::{Object, array, compact, is_string, list, member, object, string, text};

/// Tokens of a page of a document, where only its pages are known.
const PER_PAGE: usize = 1_500;
/// Tokens that a second of sound takes.
const PER_SECOND: usize = 10;
/// The same for Gemini.
const PER_SECOND_GEMINI: usize = 32;
/// Most of a picture's base64 that is looked at for its size.
const PICTURE_HEAD: usize = 256 << 10;

/// Tokens by what they are of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Metered {
    pub(crate) texts: usize,
    pub(crate) framing: usize,
    pub(crate) tools: usize,
    pub(crate) media: usize,
    /// Whether a part was guessed.
    pub(crate) guessed: bool,
}

impl Metered {
    pub(crate) fn total(self) -> usize {
        self.texts + self.framing + self.tools + self.media
    }

    pub(crate) fn priced(self, model: &ModelEncoding) -> RequestCount {
        let how = match model.how {
            _ if self.guessed => Exactness::Heuristic,
            Exactness::Exact => Exactness::Framed,
            how => how,
        };
        RequestCount {
            total: model.of(self.total()).tokens,
            messages: self.texts,
            framing: self.framing,
            tools: self.tools,
            images: self.media,
            how,
        }
    }
}

impl AddAssign for Metered {
    fn add_assign(&mut self, other: Self) {
        self.texts += other.texts;
        self.framing += other.framing;
        self.tools += other.tools;
        self.media += other.media;
        self.guessed |= other.guessed;
    }
}

/// Counts a request: an object with `messages`, `input` or `contents`, or a list of messages.
///
/// # Errors
/// When the text is no request.
///
/// ```
/// let model = lacon_tokens::for_model("gpt-4o");
/// let count = lacon_prompt::meter::count(r#"[{"role": "user", "content": "hello"}]"#, &model).unwrap();
/// assert_eq!(count.total, 8);
/// ```
pub fn count(json: &str, model: &ModelEncoding) -> Result<RequestCount> {
    Ok(metered(json, model.encoding)?.priced(model))
}

pub(crate) fn metered(json: &str, encoding: &Encoding) -> Result<Metered> {
    let conversation = Conversation::parse(json.trim_start_matches('\u{feff}'))?;
    let meter = Meter { encoding, kind: conversation.kind };
    let mut sum = meter.around(conversation.body.as_ref());
    for item in &conversation.items {
        sum += meter.item(&item.members);
    }
    Ok(sum)
}

/// Counts by an encoding, pictures as a provider does.
#[derive(Clone, Copy)]
pub(crate) struct Meter<'e> {
    pub(crate) encoding: &'e Encoding,
    pub(crate) kind: Kind,
}

impl Meter<'_> {
    fn count(&self, text: &str) -> usize {
        self.encoding.count(text)
    }

    fn text(&self, value: Option<&&RawValue>) -> usize {
        match value {
            Some(value) if is_string(value) => self.count(&text(value)),
            Some(value) if value.get() != "null" => self.count(&compact(value)),
            _ => 0,
        }
    }

    /// Everything but the messages: the answer's opening, system, instructions, tools, the form of the answer.
    pub(crate) fn around(&self, body: Option<&Object<'_>>) -> Metered {
        let mut sum = Metered { framing: ANSWER, ..Metered::default() };
        let Some(body) = body else { return sum };
        let says = |item: &Object<'_>| item.get("role").is_some_and(|role| is_system(&text(role)));
        let items = ["messages", "input"].into_iter().flat_map(|key| list(body, key));
        let mut has_system = items.filter_map(|item| object(item.get())).any(|item| says(&item));
        for key in ["system", "instructions", "systemInstruction", "system_instruction"] {
            let Some(value) = body.get(key).filter(|value| value.get() != "null") else { continue };
            has_system = true;
            sum.framing += PER_MESSAGE;
            sum.texts += self.count("system");
            match member(body, key) {
                Some(content) if content.contains_key("parts") => self.content(content["parts"], &mut sum),
                _ => self.content(value, &mut sum),
            }
        }
        if let Some(input) = body.get("input").filter(|input| is_string(input)) {
            sum.framing += PER_MESSAGE;
            sum.texts += self.count("user") + self.count(&text(input));
        }
        for key in ["tools", "functions"] {
            let declared = list(body, key);
            if !declared.is_empty() {
                sum.tools += self.tools(&declared, has_system);
            }
        }
        // Where the schema of a structured answer stands, by provider.
        let schemas: [&[&str]; 6] = [
            &["response_format", "json_schema", "schema"],
            &["text", "format", "schema"],
            &["output_format", "schema"],
            &["output_config", "format", "schema"],
            &["generationConfig", "responseSchema"],
            &["generationConfig", "responseJsonSchema"],
        ];
        for path in schemas {
            if let Some(schema) = at(body, path).filter(|schema| schema.get() != "null") {
                sum.tools += match serde_json::from_str(schema.get()) {
                    Ok(schema) => count_schema(self.encoding, &schema),
                    Err(_) => self.count(schema.get()),
                };
            }
        }
        sum
    }

    fn tools(&self, declared: &[&RawValue], has_system: bool) -> usize {
        let read: Option<Vec<Value>> =
            declared.iter().map(|tool| serde_json::from_str(tool.get()).ok()).collect();
        match read {
            Some(tools) => count_tools(self.encoding, &tools, has_system),
            None => declared.iter().map(|tool| self.count(&compact(tool))).sum(),
        }
    }

    /// One message or item.
    pub(crate) fn item(&self, item: &Object<'_>) -> Metered {
        let mut sum = Metered { framing: PER_MESSAGE, ..Metered::default() };
        sum.texts += self.text(item.get("role"));
        match string(item, "type").as_deref() {
            Some("function_call" | "custom_tool_call") if !item.contains_key("role") => {
                self.call(item.get("name"), item.get("arguments").or(item.get("input")), &mut sum);
                return sum;
            }
            Some("function_call_output" | "custom_tool_call_output") => {
                if let Some(output) = item.get("output") {
                    self.content(output, &mut sum);
                }
                return sum;
            }
            Some("reasoning") => {
                for key in ["summary", "content"] {
                    list(item, key).into_iter().for_each(|part| self.part(part, &mut sum));
                }
                if let Some(hidden) = string(item, "encrypted_content") {
                    self.opaque(&hidden, &mut sum);
                }
                return sum;
            }
            Some(kind) if kind != "message" && !item.contains_key("role") => {
                sum.texts += item.values().map(|value| self.text(Some(value))).sum::<usize>();
                sum.guessed = true;
                return sum;
            }
            _ => {}
        }
        for key in ["content", "parts"] {
            if let Some(content) = item.get(key) {
                self.content(content, &mut sum);
            }
        }
        for key in ["name", "refusal", "reasoning_content", "reasoning"] {
            sum.texts += self.text(item.get(key));
        }
        if item.get("name").is_some_and(|name| is_string(name)) {
            sum.framing += PER_NAME;
        }
        self.add_calls(item, &mut sum);
        sum.guessed |= item.get("audio").is_some_and(|audio| audio.get() != "null");
        sum
    }

    /// Tokens of the calls of a chat message.
    pub(crate) fn calls(&self, item: &Object<'_>) -> usize {
        let mut sum = Metered::default();
        self.add_calls(item, &mut sum);
        sum.total()
    }

    fn add_calls(&self, item: &Object<'_>, sum: &mut Metered) {
        let legacy = member(item, "function_call");
        let calls = list(item, "tool_calls").into_iter().filter_map(|call| object(call.get()));
        for call in calls.chain(legacy) {
            let named = member(&call, "function").or_else(|| member(&call, "custom")).unwrap_or(call);
            self.call(named.get("name"), named.get("arguments").or(named.get("input")), sum);
        }
    }

    fn call(&self, name: Option<&&RawValue>, arguments: Option<&&RawValue>, sum: &mut Metered) {
        sum.framing += PER_TOOL_CALL;
        sum.texts += self.text(name) + self.text(arguments);
    }

    fn content(&self, content: &RawValue, sum: &mut Metered) {
        if is_string(content) {
            sum.texts += self.count(&text(content));
        } else if let Some(parts) = array(content.get()) {
            parts.into_iter().for_each(|part| self.part(part, sum));
        } else if content.get() != "null" {
            self.part(content, sum);
        }
    }

    fn part(&self, raw: &RawValue, sum: &mut Metered) {
        if is_string(raw) {
            sum.texts += self.count(&text(raw));
            return;
        }
        let Some(part) = object(raw.get()) else {
            sum.texts += self.count(&compact(raw));
            return;
        };
        let kind = string(&part, "type");
        match kind.as_deref() {
            Some("tool_use" | "server_tool_use" | "mcp_tool_use") => {
                self.call(part.get("name"), part.get("input"), sum);
            }
            Some(kind) if kind.ends_with("tool_result") || kind == "search_result" => {
                for key in ["title", "content"] {
                    if let Some(content) = part.get(key) {
                        self.content(content, sum);
                    }
                }
            }
            Some("thinking") => sum.texts += self.text(part.get("thinking")),
            Some("redacted_thinking") => {
                if let Some(data) = string(&part, "data") {
                    self.opaque(&data, sum);
                }
            }
            Some("refusal") => sum.texts += self.text(part.get("refusal")),
            Some("image_url" | "input_image" | "image") => self.picture(&part, sum),
            Some("input_audio" | "audio") => {
                let inner = member(&part, "input_audio").or_else(|| member(&part, "source"));
                self.sound(&string(inner.as_ref().unwrap_or(&part), "data").unwrap_or_default(), sum);
            }
            Some("file" | "input_file" | "document") => self.file(&part, sum),
            None => self.gemini(raw, &part, sum),
            Some(_) if part.contains_key("text") => sum.texts += self.text(part.get("text")),
            Some(_) => {
                sum.texts += self.count(&compact(raw));
                sum.guessed = true;
            }
        }
    }

    fn gemini(&self, raw: &RawValue, part: &Object<'_>, sum: &mut Metered) {
        let inner = |camel: &str, snake: &str| member(part, camel).or_else(|| member(part, snake));
        if let Some(value) = part.get("text") {
            sum.texts += self.text(Some(value));
        } else if let Some(call) = inner("functionCall", "function_call") {
            self.call(call.get("name"), call.get("args"), sum);
        } else if let Some(result) = inner("functionResponse", "function_response") {
            sum.texts += self.text(result.get("name")) + self.text(result.get("response"));
        } else if let Some(data) = inner("inlineData", "inline_data") {
            let mime = string(&data, "mimeType").or_else(|| string(&data, "mime_type")).unwrap_or_default();
            let base64 = string(&data, "data").unwrap_or_default();
            match mime.split('/').next() {
                Some("image") => self.sized(size_of(&base64), false, sum),
                Some("audio") => self.sound(&base64, sum),
                _ => self.document(&mime, &base64, sum),
            }
        } else if inner("fileData", "file_data").is_some() {
            self.sized(None, false, sum);
        } else {
            sum.texts += self.count(&compact(raw));
            sum.guessed = true;
        }
    }

    fn picture(&self, part: &Object<'_>, sum: &mut Metered) {
        let inner = member(part, "image_url").or_else(|| member(part, "source"));
        let inner = inner.as_ref().unwrap_or(part);
        let low = string(inner, "detail").or_else(|| string(part, "detail")).is_some_and(|how| how == "low");
        let side = |key: &str| inner.get(key).or(part.get(key)).and_then(|side| side.get().parse().ok());
        let told = side("width").zip(side("height"));
        let data = ["url", "image_url", "data"].into_iter().find_map(|key| string(inner, key));
        self.sized(told.or_else(|| size_of(base64_of(data.as_deref()?)?)), low, sum);
    }

    /// Adds a picture of a size, where it is known.
    fn sized(&self, size: Option<(u32, u32)>, low_detail: bool, sum: &mut Metered) {
        sum.guessed |= size.is_none() && !(low_detail && self.kind.is_openai());
        let (width, height) = size.unwrap_or((0, 0));
        let (w, h) = (f64::from(width), f64::from(height));
        sum.media += match self.kind {
            Kind::Anthropic if size.is_none() => 1_600,
            Kind::Anthropic => {
                let scale = (1568.0 / w.max(h).max(1.0)).min(1.0);
                ((w * scale * h * scale / 750.0).ceil() as usize).clamp(1, 1_600)
            }
            Kind::Gemini if width.max(height) <= 384 => 258,
            Kind::Gemini => 258 * (width.div_ceil(768) as usize) * (height.div_ceil(768) as usize),
            _ => image_tokens(&Image { width, height, low_detail }),
        };
    }

    fn sound(&self, base64: &str, sum: &mut Metered) {
        sum.guessed = true;
        let base64 = base64_of(Some(base64).filter(|data| !data.is_empty()).unwrap_or("")).unwrap_or("");
        let bytes = base64.len() / 4 * 3;
        let head = decoded(base64, 64);
        // A WAV says how many bytes a second has; other sound mostly has 128 kbit/s.
        let rate = match head.get(28..32) {
            Some(rate) if head.starts_with(b"RIFF") => {
                u32::from_le_bytes(rate.try_into().expect("four bytes")) as usize
            }
            _ => 16_000,
        };
        let per_second = if self.kind == Kind::Gemini { PER_SECOND_GEMINI } else { PER_SECOND };
        sum.media += (bytes * per_second).div_ceil(rate.max(1));
    }

    fn file(&self, part: &Object<'_>, sum: &mut Metered) {
        let inner = member(part, "file").or_else(|| member(part, "source"));
        let inner = inner.as_ref().unwrap_or(part);
        for key in ["title", "context", "filename"] {
            sum.texts += self.text(inner.get(key).or(part.get(key)));
        }
        let mime = string(inner, "media_type").unwrap_or_default();
        let data = string(inner, "file_data").or_else(|| string(inner, "data"));
        match (string(inner, "type").as_deref(), data) {
            (Some("text"), Some(text)) => sum.texts += self.count(&text),
            (Some("content"), _) => {
                if let Some(content) = inner.get("content") {
                    self.content(content, sum);
                }
            }
            (_, Some(data)) => {
                let named = data.strip_prefix("data:").and_then(|data| data.split([';', ',']).next());
                let mime = named.map_or(mime, str::to_owned);
                self.document(&mime, base64_of(&data).unwrap_or(""), sum);
            }
            _ => {
                sum.media += PER_PAGE;
                sum.guessed = true;
            }
        }
    }

    /// A file: its text, or its pages by the usual tokens of one.
    fn document(&self, mime: &str, base64: &str, sum: &mut Metered) {
        let bytes = decoded(base64, usize::MAX);
        if mime.starts_with("text/") || mime == "application/json" {
            sum.texts += self.count(&String::from_utf8_lossy(&bytes));
            return;
        }
        let named = |name: &[u8]| {
            memchr::memmem::find_iter(&bytes, name)
                .filter(|i| bytes.get(i + name.len()) != Some(&b's'))
                .count()
        };
        let pages = (named(b"/Type /Page") + named(b"/Type/Page")).max(1);
        sum.media += pages * if self.kind == Kind::Gemini { 258 } else { PER_PAGE };
        sum.guessed = true;
    }

    /// What only the provider can read: about as many tokens as its bytes have words.
    fn opaque(&self, base64: &str, sum: &mut Metered) {
        sum.texts += (base64.len() * 3).div_ceil(16);
        sum.guessed = true;
    }
}

fn at<'j>(body: &Object<'j>, path: &[&str]) -> Option<&'j RawValue> {
    let (last, above) = path.split_last()?;
    let mut holder = body.clone();
    for key in above {
        holder = member(&holder, key)?;
    }
    holder.get(*last).copied()
}

/// The base64 of a data URI or of data that stands alone; `None` for an address.
fn base64_of(data: &str) -> Option<&str> {
    match data.strip_prefix("data:") {
        Some(uri) => uri.split_once(";base64,").map(|(_, base64)| base64),
        None => (!data.contains("://")).then_some(data),
    }
}

/// The first bytes that a base64 text stands for, up to what is none.
fn decoded(base64: &str, most: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut bits, mut held) = (0u32, 0);
    for b in base64.bytes().filter(|b| !b.is_ascii_whitespace()) {
        let six = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => break,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            if out.len() >= most {
                break;
            }
        }
    }
    out
}

/// Width and height of a PNG, GIF, JPEG or WebP.
fn size_of(base64: &str) -> Option<(u32, u32)> {
    let bytes = decoded(base64, PICTURE_HEAD);
    let big = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let big2 = |at: usize| Some(u32::from(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?)));
    let little2 = |at: usize| Some(u32::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)));
    let little3 = |at: usize| Some(little2(at)? | u32::from(*bytes.get(at + 2)?) << 16);
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return big(16).zip(big(20));
    }
    if bytes.starts_with(b"GIF8") {
        return little2(6).zip(little2(8));
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return match bytes.get(12..16)? {
            b"VP8X" => Some((little3(24)? + 1, little3(27)? + 1)),
            b"VP8L" => {
                let bits = u32::from_le_bytes(bytes.get(21..25)?.try_into().ok()?);
                Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
            }
            _ => Some((little2(26)? & 0x3fff, little2(28)? & 0x3fff)),
        };
    }
    if !bytes.starts_with(&[0xff, 0xd8]) {
        return None;
    }
    // Segments of a JPEG, up to the one of its frame.
    let mut at = 2;
    while *bytes.get(at)? == 0xff {
        let marker = *bytes.get(at + 1)?;
        match marker {
            0xff => at += 1,
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => return big2(at + 7).zip(big2(at + 5)),
            0x01 | 0xd0..=0xd9 => at += 2,
            _ => at += 2 + big2(at + 2)? as usize,
        }
    }
    None
}
