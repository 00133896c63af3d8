//! What an answer's usage teaches of the counts of its model's family. The request is counted when its answer is over, on a
//! thread of its own. One request is counted at a time.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use lacon_llm::Usage;
use lacon_prompt::meter;
use lacon_tokens::{EncodingName, encoding};

/// A request whose answer may teach.
pub struct Lesson {
    model: String,
    body: Bytes,
}

static BUSY: AtomicBool = AtomicBool::new(false);

impl Lesson {
    /// Keeps a request as it is sent, if counts of its model are estimates.
    pub fn of(model: Option<&str>, body: &Bytes) -> Option<Self> {
        let model = model.filter(|model| lacon_tokens::learns(model))?;
        Some(Self { model: model.to_owned(), body: body.clone() })
    }

    /// Compares the request with what was billed. Under load most requests teach nothing: the first free ones are enough.
    pub fn learn(self, usage: &Usage) {
        let Some(billed) = usage.prompt_total().filter(|tokens| *tokens > 0) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if BUSY.swap(true, Ordering::AcqRel) {
            return;
        }
        let free = Free;
        runtime.spawn_blocking(move || {
            let _free = free;
            let plain = encoding(EncodingName::O200kBase).into();
            let count = std::str::from_utf8(&self.body).ok().and_then(|json| meter::count(json, &plain).ok());
            // A provider has rules of its own for pictures, which say nothing of the vocabulary.
            if let Some(count) = count.filter(|count| count.images == 0) {
                lacon_tokens::learn(&self.model, count.total, billed);
            }
        });
    }
}

/// Lets the next one be counted, however the counting ends.
struct Free;

impl Drop for Free {
    fn drop(&mut self) {
        BUSY.store(false, Ordering::Release);
    }
}
