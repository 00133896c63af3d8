//! Tool calls through the tape: recorded beside the model calls, replayed without the source.

use std::sync::Arc;

use lacon_llm::{BoxFuture, Tape};
use serde_json::Value;

use crate::tools::{ToolError, ToolRequest, ToolSource, ToolText};

/// A source whose answers are recorded on, or come from, a tape.
pub struct TapedTools {
    inner: Arc<dyn ToolSource>,
    tape: Arc<Tape>,
}

impl TapedTools {
    /// Puts the tape around a source.
    pub fn new(inner: Arc<dyn ToolSource>, tape: Arc<Tape>) -> Self {
        Self { inner, tape }
    }
}

/// What a tape keeps of an answer: a text, marked where it says that there is no data.
const NO_DATA: &str = "\u{1}no data\u{1}";

impl ToolSource for TapedTools {
    fn call<'a>(&'a self, request: &'a ToolRequest) -> BoxFuture<'a, Result<ToolText, ToolError>> {
        Box::pin(async move {
            let arguments = Value::Object(request.arguments.clone());
            let call = async {
                let answer = self.inner.call(request).await?;
                Ok(if answer.no_data { format!("{NO_DATA}{}", answer.text) } else { answer.text })
            };
            let played: Result<Result<String, ToolError>, _> =
                self.tape.tool(&request.name, &arguments, call).await;
            let text = played.map_err(|e| ToolError::Failed(e.to_string()))??;
            Ok(match text.strip_prefix(NO_DATA) {
                Some(rest) => ToolText { text: rest.to_owned(), no_data: true },
                None => ToolText { text, no_data: false },
            })
        })
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn simulated(&self) -> bool {
        self.inner.simulated()
    }

    fn provenance(&self) -> Option<Value> {
        self.inner.provenance()
    }
}
