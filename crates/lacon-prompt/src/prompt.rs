//! A prompt as data: messages of typed segments, and their tools.

use lacon_tokens::{ChatMessage, Encoding, ModelEncoding, Request, count_request};
use serde_json::Value;

/// Who speaks in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The application's rules.
    System,
    /// The person or program that asks.
    User,
    /// The model.
    Assistant,
    /// A tool's result.
    Tool,
}

impl Role {
    /// The role's name in chat requests.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        }
    }
}

/// Purpose of a segment, which decides what may happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SegmentKind {
    /// Tells the model what to do. Never changed.
    Instruction,
    /// The question or request at hand. Never changed.
    Query,
    /// Material to work with: reports, tool results, documents. Its form may change, its facts may not.
    Data,
    /// Earlier turns. Treated like data, and dropped first when a budget forces it.
    History,
}

impl SegmentKind {
    /// Returns whether passes may change the form of such a segment.
    #[must_use]
    pub fn may_change(self) -> bool {
        matches!(self, SegmentKind::Data | SegmentKind::History)
    }
}

/// A part of a message with one purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// What it is for.
    pub kind: SegmentKind,
    /// Its owner, such as `market_report`, as named in receipts and layout reports.
    pub name: String,
    /// Its text, exactly as it is sent.
    pub text: String,
    /// Whether it must be sent unchanged whatever its kind.
    pub pinned: bool,
}

impl Segment {
    /// Creates a segment that must not change.
    pub fn instruction(name: impl Into<String>, text: impl Into<String>) -> Self {
        Segment { kind: SegmentKind::Instruction, name: name.into(), text: text.into(), pinned: true }
    }

    /// Creates a segment whose form may change.
    pub fn data(name: impl Into<String>, text: impl Into<String>) -> Self {
        Segment { kind: SegmentKind::Data, name: name.into(), text: text.into(), pinned: false }
    }

    /// Creates an earlier turn.
    pub fn history(name: impl Into<String>, text: impl Into<String>) -> Self {
        Segment { kind: SegmentKind::History, name: name.into(), text: text.into(), pinned: false }
    }

    /// Returns the same segment, pinned: sent unchanged whatever its kind.
    #[must_use]
    pub fn pinned(mut self) -> Self {
        self.pinned = true;
        self
    }
}

/// A call of an assistant's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// Joins the call and its result.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments as JSON text.
    pub arguments: String,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The segments; the message's content is their texts, joined without separator.
    pub segments: Vec<Segment>,
    /// Name of the speaker or tool.
    pub name: Option<String>,
    /// Calls of an assistant's message.
    pub tool_calls: Vec<ToolCall>,
    /// The call that a tool's message answers.
    pub tool_call_id: Option<String>,
}

impl Message {
    /// Creates a message without name or calls.
    #[must_use]
    pub fn new(role: Role, segments: Vec<Segment>) -> Self {
        Message { role, segments, name: None, tool_calls: Vec::new(), tool_call_id: None }
    }

    /// Returns the message's content.
    #[must_use]
    pub fn content(&self) -> String {
        self.segments.iter().map(|segment| segment.text.as_str()).collect()
    }
}

/// A whole request, before a provider's wire format.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prompt {
    /// The messages in order.
    pub messages: Vec<Message>,
    /// Declared tools, in the order they are sent.
    pub tools: Vec<Value>,
}

impl Prompt {
    /// Creates a prompt of messages without tools.
    #[must_use]
    pub fn new(messages: Vec<Message>) -> Self {
        Prompt { messages, tools: Vec::new() }
    }

    /// Counts the tokens of the prompt as a chat model meters it: texts, framing and tools.
    ///
    /// ```
    /// use lacon_prompt::prompt::{Message, Prompt, Role, Segment};
    /// let encoding = lacon_tokens::encoding(lacon_tokens::EncodingName::O200kBase);
    /// let prompt = Prompt::new(vec![Message::new(Role::User, vec![Segment::data("text", "hello")])]);
    /// assert_eq!(prompt.count(encoding), 1 + 1 + 3 + 3);
    /// ```
    #[must_use]
    pub fn count(&self, encoding: &'static Encoding) -> usize {
        let contents: Vec<String> = self.messages.iter().map(Message::content).collect();
        let calls: Vec<Vec<(&str, &str)>> = self
            .messages
            .iter()
            .map(|m| m.tool_calls.iter().map(|c| (c.name.as_str(), c.arguments.as_str())).collect())
            .collect();
        let messages: Vec<ChatMessage<'_>> = self
            .messages
            .iter()
            .zip(contents.iter().zip(&calls))
            .map(|(message, (content, tool_calls))| ChatMessage {
                role: message.role.as_str(),
                content,
                name: message.name.as_deref(),
                tool_calls,
            })
            .collect();
        let model = ModelEncoding::from(encoding);
        let request = Request { messages: &messages, tools: &self.tools, ..Request::default() };
        count_request(&model, &request).total
    }
}
