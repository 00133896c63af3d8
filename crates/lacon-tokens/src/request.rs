//! Tokens of a whole chat request as the provider meters it: messages, names, tool calls and declared tools.
//!
//! The framing is that of OpenAI's chat models: three tokens a message, one a name and three to open the answer. Declared
//! tools are written as a TypeScript-like namespace in the system message, as the models see them.

use std::fmt::Write as _;

use serde_json::Value;

use crate::encoding::Encoding;
use crate::models::{Exactness, ModelEncoding};

/// A message of a request, borrowed from whatever holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatMessage<'a> {
    /// `system`, `developer`, `user`, `assistant` or `tool`.
    pub role: &'a str,
    /// The text.
    pub content: &'a str,
    /// Name of the speaker or tool.
    pub name: Option<&'a str>,
    /// Name and JSON arguments of each tool call of an assistant's message.
    pub tool_calls: &'a [(&'a str, &'a str)],
}

/// An image of a request, which is billed by its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Whether `detail` is `low`.
    pub low_detail: bool,
}

/// A whole request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// The messages in order.
    pub messages: &'a [ChatMessage<'a>],
    /// Declared tools, either `{"type": "function", "function": {…}}` or the function alone.
    pub tools: &'a [Value],
    /// JSON Schema of a structured response (`response_format.json_schema`).
    pub response_schema: Option<&'a Value>,
    /// Images in any message.
    pub images: &'a [Image],
}

/// Tokens of a request, part by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestCount {
    /// All prompt tokens: the sum of the parts, or the estimate derived from it.
    pub total: usize,
    /// Texts of roles, contents, names and tool calls.
    pub messages: usize,
    /// Framing of messages and answer.
    pub framing: usize,
    /// Declared tools and response schema.
    pub tools: usize,
    /// Images.
    pub images: usize,
    /// How exact the count is.
    pub how: Exactness,
}

/// Tokens around a message.
pub const PER_MESSAGE: usize = 3;
/// Tokens around the name of a message's speaker.
pub const PER_NAME: usize = 1;
/// Tokens of the headings above declared tools.
const TOOL_HEADINGS: usize = 5;
/// Tokens around a call.
pub const PER_TOOL_CALL: usize = 2;
/// Tokens that open the answer.
pub const ANSWER: usize = 3;

/// Counts the prompt tokens of a request for a model.
pub fn count_request(model: &ModelEncoding, request: &Request<'_>) -> RequestCount {
    let encoding = model.encoding;
    let mut messages = 0;
    let mut framing = ANSWER;
    for message in request.messages {
        framing += PER_MESSAGE;
        messages += encoding.count(message.role) + encoding.count(message.content);
        if let Some(name) = message.name {
            messages += encoding.count(name);
            framing += PER_NAME;
        }
        for (name, arguments) in message.tool_calls {
            messages += encoding.count(name) + encoding.count(arguments);
            framing += PER_TOOL_CALL;
        }
    }
    let mut tools = 0;
    if !request.tools.is_empty() {
        let has_system = request.messages.iter().any(|message| is_system(message.role));
        tools += count_tools(encoding, request.tools, has_system);
    }
    if let Some(schema) = request.response_schema {
        tools += count_schema(encoding, schema);
    }
    let images = request.images.iter().map(image_tokens).sum();
    let how = match model.how {
        Exactness::Exact => Exactness::Framed,
        how => how,
    };
    let total = messages + framing + tools + images;
    let total = model.of(total).tokens;
    RequestCount { total, messages, framing, tools, images, how }
}

/// Returns the tokens of an image for the GPT-4o family: 85, plus 170 for each tile of 512 × 512 pixels in high detail.
///
/// The image is first scaled to fit 2,048 × 2,048, then to a shorter side of at most 768.
pub fn image_tokens(image: &Image) -> usize {
    const BASE: usize = 85;
    const TILE: usize = 170;
    if image.low_detail || image.width == 0 || image.height == 0 {
        return BASE;
    }
    let (width, height) = (f64::from(image.width), f64::from(image.height));
    let inside = (2048.0 / width.max(height)).min(1.0);
    let shorter = (768.0 / (inside * width.min(height))).min(1.0);
    let scale = inside * shorter;
    let tiles = |side: f64| (side.round() as usize).div_ceil(512);
    BASE + TILE * tiles(width * scale) * tiles(height * scale)
}

/// Tokens of the declared tools. They stand in the system message, and in one of their own where there is none.
pub fn count_tools(encoding: &Encoding, tools: &[Value], has_system: bool) -> usize {
    let message = if has_system { 0 } else { PER_MESSAGE + encoding.count("system") };
    encoding.count(&tools_text(tools)) + TOOL_HEADINGS + message
}

/// Whether a message of this role is a system message.
pub fn is_system(role: &str) -> bool {
    matches!(role, "system" | "developer")
}

/// Returns the declared tools as the text that models see.
///
/// A tool is a function (alone, or below `function`) with its schema below `parameters` or `input_schema`, or a list of
/// such below `functionDeclarations`. Anything else is written as JSON.
pub fn tools_text(tools: &[Value]) -> String {
    let mut out = String::from("namespace functions {\n\n");
    for tool in tools {
        let declared = tool.get("functionDeclarations").or_else(|| tool.get("function_declarations"));
        match declared.and_then(Value::as_array) {
            Some(declared) => declared.iter().for_each(|function| push_function(&mut out, function)),
            None => push_function(&mut out, tool.get("function").unwrap_or(tool)),
        }
    }
    out.push_str("} // namespace functions");
    out
}

fn push_function(out: &mut String, function: &Value) {
    push_description(out, function, 0);
    let Some(name) = function.get("name").and_then(Value::as_str) else {
        let _ = write!(out, "// {function}\n\n");
        return;
    };
    let schema = ["parameters", "input_schema", "parametersJsonSchema", "format"]
        .into_iter()
        .find_map(|key| function.get(key));
    match schema.filter(|schema| has_properties(schema)) {
        Some(schema) => {
            let _ = writeln!(out, "type {name} = (_: {{");
            push_properties(out, schema, 0);
            push_definitions(out, schema);
            out.push_str("}) => any;\n\n");
        }
        None => {
            let _ = write!(out, "type {name} = () => any;\n\n");
        }
    }
}

fn has_properties(schema: &Value) -> bool {
    schema.get("properties").and_then(Value::as_object).is_some_and(|properties| !properties.is_empty())
}

fn push_properties(out: &mut String, schema: &Value, indent: usize) {
    let required = schema.get("required").and_then(Value::as_array);
    let is_required =
        |key: &str| required.is_some_and(|names| names.iter().any(|name| name.as_str() == Some(key)));
    for (key, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        push_description(out, property, indent);
        let optional = if is_required(key) { "" } else { "?" };
        let _ = write!(out, "{:indent$}{key}{optional}: {},", "", type_text(property, indent));
        if let Some(default) = property.get("default") {
            let _ = write!(out, " // default: {}", plain_text(default));
        }
        out.push('\n');
    }
}

/// Schemas that other schemas refer to.
fn push_definitions(out: &mut String, schema: &Value) {
    for key in ["$defs", "definitions"] {
        for (name, definition) in schema.get(key).and_then(Value::as_object).into_iter().flatten() {
            push_description(out, definition, 0);
            let _ = writeln!(out, "type {name} = {},", type_text(definition, 0));
        }
    }
}

fn push_description(out: &mut String, value: &Value, indent: usize) {
    if let Some(description) = value.get("description").and_then(Value::as_str).filter(|d| !d.is_empty()) {
        for line in description.trim().split('\n') {
            let _ = writeln!(out, "{:indent$}// {line}", "");
        }
    }
}

fn type_text(schema: &Value, indent: usize) -> String {
    let join = |values: &[Value], sign: &str, text: &dyn Fn(&Value) -> String| {
        values.iter().map(text).collect::<Vec<_>>().join(sign)
    };
    let nested = |schema: &Value| type_text(schema, indent);
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return join(values, " | ", &Value::to_string);
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    for (key, sign) in [("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")] {
        if let Some(options) = schema.get(key).and_then(Value::as_array) {
            return join(options, sign, &nested);
        }
    }
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        return name.rsplit('/').next().unwrap_or(name).to_owned();
    }
    let one = |kind: &str| match kind.to_ascii_lowercase().as_str() {
        "array" => format!("{}[]", schema.get("items").map_or("string".to_owned(), nested)),
        "integer" | "number" => "number".to_owned(),
        "boolean" => "boolean".to_owned(),
        "null" => "null".to_owned(),
        "object" if has_properties(schema) => {
            let mut out = String::from("{\n");
            push_properties(&mut out, schema, indent + 2);
            let _ = write!(out, "{:indent$}}}", "");
            out
        }
        "object" => "object".to_owned(),
        _ => "string".to_owned(),
    };
    match schema.get("type") {
        Some(Value::String(kind)) => one(kind),
        Some(Value::Array(kinds)) => join(kinds, " | ", &|kind| one(kind.as_str().unwrap_or(""))),
        _ if has_properties(schema) => one("object"),
        _ => "string".to_owned(),
    }
}

fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns the schema as compact JSON with sorted keys and a space after `,` and `:`.
pub fn count_schema(encoding: &Encoding, schema: &Value) -> usize {
    let mut text = String::new();
    push_json(&mut text, schema);
    encoding.count(&text)
}

fn push_json(out: &mut String, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            out.push('{');
            for (i, key) in keys.into_iter().enumerate() {
                let _ = write!(out, "{}{}: ", if i > 0 { ", " } else { "" }, Value::from(key.as_str()));
                push_json(out, &map[key]);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                push_json(out, item);
            }
            out.push(']');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}
