//! A data set as a source of tool answers.

use std::{sync::Arc, time::Duration};

use jiff::civil::Date;
use lacon_llm::BoxFuture;
use lacon_market::{Answer, Dataset, Semantics, answer};
use lacon_runtime::{ToolError, ToolRequest, ToolSource, ToolText};

/// How long a call would take over the network; asked once per call.
pub type Delay = Arc<dyn Fn(&ToolRequest) -> Duration + Send + Sync>;

/// Answers tools from a data set, never with anything dated after the run's date.
pub struct DatasetSource {
    data: Arc<Dataset>,
    as_of: Date,
    semantics: Semantics,
    delay: Option<Delay>,
}

impl DatasetSource {
    /// Makes a source; with `delay` each call takes as long as a vendor would (the simulated world).
    pub fn new(data: Arc<Dataset>, as_of: Date, semantics: Semantics, delay: Option<Delay>) -> Self {
        Self { data, as_of, semantics, delay }
    }
}

impl ToolSource for DatasetSource {
    fn call<'a>(&'a self, request: &'a ToolRequest) -> BoxFuture<'a, Result<ToolText, ToolError>> {
        Box::pin(async move {
            if let Some(delay) = &self.delay {
                tokio::time::sleep(delay(request)).await;
            }
            let answer = answer(&self.data, &request.name, &request.arguments, self.as_of, self.semantics)
                .map_err(|e| ToolError::BadRequest(e.to_string()))?;
            let no_data = matches!(answer, Answer::NoData(_));
            Ok(ToolText { text: answer.text().to_owned(), no_data })
        })
    }

    fn describe(&self) -> String {
        self.data.origin.clone()
    }

    fn simulated(&self) -> bool {
        true
    }
}
