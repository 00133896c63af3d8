//! A simulated reader whose accuracy is known, and who may misread one form: to test the test.
//!
//! It reads its prompt: it restores the text, solves the question the slow way, and then errs as often as it was told.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use lacon_llm::{BoxFuture, Client, ClientInfo, Error, ErrorKind, Request, Response, StreamEvent, Usage};
use lacon_prompt::compress::expand;

use crate::{
    experiment::ASK,
    material::Material,
    questions::{Draw, solve},
};

/// How well it reads.
#[derive(Debug, Clone, Default)]
pub struct ReaderOptions {
    /// Draws of another reader with the same accuracy.
    pub seed: u64,
    /// Share of questions that it cannot answer in any form.
    pub misses: f64,
    /// Share of single answers that go wrong by chance, in any form.
    pub slips: f64,
    /// The control word of a form, such as `@json`, and the share of answers that it misreads there.
    pub misreads: Option<(String, f64)>,
}

/// The reader.
#[derive(Debug, Default)]
pub struct Reader {
    options: ReaderOptions,
    /// Texts that were restored, by their form.
    read: Mutex<HashMap<String, std::sync::Arc<Material>>>,
}

impl Reader {
    /// Makes a reader.
    pub fn new(options: ReaderOptions) -> Self {
        Self { options, read: Mutex::default() }
    }

    fn material(&self, data: &str) -> Option<std::sync::Arc<Material>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read.get(data) {
            return Some(std::sync::Arc::clone(known));
        }
        let text = match data.split_once('\n') {
            _ if data.starts_with('@') => expand(data, None).ok()?,
            // TOON is read as the CSV that it nearly is.
            Some((heading, rows)) if heading.ends_with("}:") => {
                let columns = heading.split_once('{')?.1.trim_end_matches("}:");
                format!("{columns}\n{rows}")
            }
            _ => data.to_owned(),
        };
        let material = std::sync::Arc::new(Material::read("", &text));
        read.insert(data.to_owned(), std::sync::Arc::clone(&material));
        Some(material)
    }

    fn answer(&self, prompt: &str) -> Option<String> {
        let (data, rest) = prompt.rsplit_once(ASK)?;
        let ask = rest.lines().next()?;
        let right = solve(&*self.material(data.trim_end())?, ask)?;
        let chance = |what: &str, share: f64| {
            let hash = blake3::hash(format!("{}/{what}/{ask}", self.options.seed).as_bytes());
            let seed = u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap_or_default());
            (Draw::new(seed).below(1 << 30) as f64) < share * f64::from(1 << 30)
        };
        let misread = self.options.misreads.as_ref().is_some_and(|(form, share)| {
            data.lines().any(|line| line.split_whitespace().next() == Some(form)) && chance("misread", *share)
        });
        let errs = chance("miss", self.options.misses)
            || chance(&format!("slip/{}", data.len()), self.options.slips);
        Some(if errs || misread { format!("not {right}") } else { right })
    }
}

impl Client for Reader {
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        on_event: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>> {
        Box::pin(async move {
            let prompt = request.messages.last().map_or("", |message| message.content.as_str());
            let answer = self.answer(prompt).ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidRequest,
                    "the simulated reader knows only the questions of `lacon eval`",
                )
            })?;
            on_event(StreamEvent::Delta(&answer));
            let encoding = lacon_tokens::encoding(lacon_tokens::EncodingName::O200kBase);
            let usage = Usage {
                input: Some(encoding.count(prompt) as u64),
                output: Some(encoding.count(&answer) as u64),
                ..Usage::default()
            };
            Ok(Response { usage: Some(usage), ..Response::new(request.model.clone(), answer) })
        })
    }

    fn describe(&self) -> ClientInfo {
        ClientInfo { provider: "sim".to_owned(), base_url: String::new(), simulated: true }
    }
}
