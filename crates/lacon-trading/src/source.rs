//! A data set, or live vendors, as a source of tool answers.

use std::{sync::Arc, time::Duration};

use jiff::{Timestamp, civil::Date};
use lacon_llm::BoxFuture;
use lacon_market::{
    Answer, Dataset, Semantics, answer,
    live::{Live, LiveError},
    provenance::{Origin, Provenance},
};
use lacon_runtime::{ToolError, ToolRequest, ToolSource, ToolText};
use serde_json::{Value, json};

/// A name under which a source tells who the run's ticker belongs to; no model knows of it. Going through the source puts
/// it on a tape like every other answer.
pub const IDENTITY: &str = "lacon_identity";

/// Who a ticker belongs to, as its source tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Introduction {
    /// The company's name.
    pub company: Option<String>,
    /// Sector and exchange as whole sentences.
    pub listing: String,
}

/// Asks a source who the run's ticker belongs to; fails open, since a run can go on with the ticker alone.
pub async fn introduce(source: &dyn ToolSource) -> Introduction {
    let request =
        ToolRequest { name: IDENTITY.into(), arguments: serde_json::Map::new(), role: String::new() };
    let Ok(answer) = source.call(&request).await else { return Introduction::default() };
    let value: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    Introduction {
        company: text("name").filter(|t| !t.is_empty()),
        listing: text("listing").unwrap_or_default(),
    }
}

/// Answers tools by asking vendors.
pub struct VendorSource {
    live: Live,
    describe: String,
}

impl VendorSource {
    /// Makes a source; `describe` names it in reports.
    pub fn new(live: Live, describe: String) -> Self {
        Self { live, describe }
    }
}

impl ToolSource for VendorSource {
    fn call<'a>(&'a self, request: &'a ToolRequest) -> BoxFuture<'a, Result<ToolText, ToolError>> {
        Box::pin(async move {
            if request.name == IDENTITY {
                let identity = self.live.identity().await;
                let text = json!({"name": identity.name, "listing": identity.listing()}).to_string();
                return Ok(ToolText { text, no_data: false });
            }
            let answer = self.live.answer(&request.name, &request.arguments).await.map_err(|e| match e {
                LiveError::Unavailable { .. } => ToolError::Unavailable(e.to_string()),
                other => ToolError::BadRequest(other.to_string()),
            })?;
            let no_data = matches!(answer, Answer::NoData(_));
            Ok(ToolText { text: answer.text().to_owned(), no_data })
        })
    }

    fn describe(&self) -> String {
        self.describe.clone()
    }

    fn simulated(&self) -> bool {
        false
    }

    fn provenance(&self) -> Option<Value> {
        Some(self.live.provenance().json())
    }
}

/// How long a call would take over the network; asked once per call.
pub type Delay = Arc<dyn Fn(&ToolRequest) -> Duration + Send + Sync>;

/// Answers tools from a data set, never with anything dated after the run's date.
pub struct DatasetSource {
    data: Arc<Dataset>,
    as_of: Date,
    semantics: Semantics,
    delay: Option<Delay>,
    read_at: Timestamp,
    provenance: Provenance,
}

impl DatasetSource {
    /// Makes a source; with `delay` each call takes as long as a vendor would (the simulated world).
    pub fn new(data: Arc<Dataset>, as_of: Date, semantics: Semantics, delay: Option<Delay>) -> Self {
        Self { data, as_of, semantics, delay, read_at: Timestamp::now(), provenance: Provenance::default() }
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
            let origin = Origin {
                vendor: self.data.origin.clone(),
                url: String::new(),
                window: [None, Some(self.as_of)],
                retrieved_at: self.read_at,
                cached: false,
            };
            let status = if no_data { "no_data" } else { "ok" };
            let (name, arguments) = (&request.name, &request.arguments);
            self.provenance.keep(name, arguments, status, vec![origin], Vec::new(), answer.text());
            Ok(ToolText { text: answer.text().to_owned(), no_data })
        })
    }

    fn describe(&self) -> String {
        self.data.origin.clone()
    }

    fn simulated(&self) -> bool {
        true
    }

    fn provenance(&self) -> Option<Value> {
        Some(self.provenance.json())
    }
}
