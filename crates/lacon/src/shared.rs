//! What runs of many processes share in one Redis or Valkey: answers of tools, and what is learned of token counts.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use lacon_agents::Team;
use lacon_llm::BoxFuture;
use lacon_market::vendor::{self, Made, VendorError};
use lacon_proxy::shared::{Server, SharedAnswers, SharedCounts, Whence};
use lacon_runtime::{
    Config, Elsewhere, ToolError, ToolRequest, ToolSource, ToolText,
    tools::{Lookup, answer_name, time_to_live},
};
use lacon_tokens::Learned;

use crate::failure::Failure;

/// How long a process that asks a source may be silent before another one asks in its place.
const LEASE: Duration = Duration::from_secs(5);

/// The server that the settings name; nothing where they name none.
fn server(config: &Config) -> Result<Option<Server>, Failure> {
    static KNOWN: OnceLock<(String, Server)> = OnceLock::new();
    let address = config.text("run.shared");
    if address.is_empty() {
        return Ok(None);
    }
    if let Some((_, known)) = KNOWN.get().filter(|(known, _)| known == address) {
        return Ok(Some(known.clone()));
    }
    let server = Server::new(address).map_err(|error| Failure::input(format!("run.shared: {error}")))?;
    Ok(Some(KNOWN.get_or_init(|| (address.to_owned(), server.clone())).1.clone()))
}

/// Answers of a team's tools that say for how long they serve other runs.
pub fn of_team(config: &Config, team: &Team) -> Result<Option<Arc<dyn Elsewhere>>, Failure> {
    let Some(server) = server(config)? else { return Ok(None) };
    let tools = team.tools.iter().filter(|tool| tool.keep_s > 0.0).filter_map(|tool| {
        // What tells its source from those of other teams.
        let source = match &tool.mcp {
            _ if !tool.http.is_empty() => tool.http.clone(),
            Some(mcp) => format!("{} {}", mcp.server(), mcp.tool),
            None => return None,
        };
        let keep = Duration::from_secs_f64(tool.keep_s);
        Some((tool.name.clone(), (format!("{source} {}", tool.max_bytes()), keep)))
    });
    Ok(Some(Arc::new(Answers { answers: SharedAnswers::new(server, LEASE), of: Of::Team(tools.collect()) })))
}

/// Answers of a source of market data. A simulated one has no news for others, and one that records where its figures come from has a
/// cache of its own.
pub fn of_source(
    config: &Config,
    source: &dyn ToolSource,
    own: Vec<String>,
) -> Result<Option<Arc<dyn Elsewhere>>, Failure> {
    let server = server(config)?.filter(|_| !source.simulated() && source.provenance().is_none());
    let Some(server) = server else { return Ok(None) };
    let of = Of::Market { source: source.describe(), own };
    Ok(Some(Arc::new(Answers { answers: SharedAnswers::new(server, LEASE), of })))
}

/// Answers of market data vendors, which are shared as their vendor gave them: a run's provenance names their true time.
pub fn of_vendors(config: &Config) -> Result<Option<Arc<dyn vendor::Elsewhere>>, Failure> {
    let Some(server) = server(config)? else { return Ok(None) };
    Ok(Some(Arc::new(Bodies(SharedAnswers::new(server, LEASE)))))
}

struct Bodies(SharedAnswers);

impl vendor::Elsewhere for Bodies {
    fn answer<'a>(
        &'a self,
        name: &'a str,
        make: BoxFuture<'a, Made>,
    ) -> BoxFuture<'a, Result<String, VendorError>> {
        Box::pin(async move { Ok(self.0.answer(&answer_name("vendors", name), make).await?.0) })
    }
}

/// Which answers are shared, and for how long.
enum Of {
    /// Tools of a team with what identifies them.
    Team(HashMap<String, (String, Duration)>),
    /// All tools of a source but the user's own, of which nobody said that their answers serve others.
    Market { source: String, own: Vec<String> },
}

struct Answers {
    answers: SharedAnswers,
    of: Of,
}

impl Elsewhere for Answers {
    fn call<'a>(
        &'a self,
        key: &'a str,
        source: &'a dyn ToolSource,
        request: &'a ToolRequest,
    ) -> BoxFuture<'a, Result<(ToolText, Lookup), ToolError>> {
        Box::pin(async move {
            let (from, keep) = match &self.of {
                Of::Team(tools) => match tools.get(&request.name) {
                    Some((from, keep)) => (from, *keep),
                    None => return Ok((source.call(request).await?, Lookup::Miss)),
                },
                Of::Market { own, .. } if own.contains(&request.name) => {
                    return Ok((source.call(request).await?, Lookup::Miss));
                }
                Of::Market { source, .. } => (source, time_to_live(&request.name)),
            };
            let mut no_data = false;
            let make = async {
                let made = source.call(request).await?;
                no_data = made.no_data;
                Ok::<_, ToolError>((made.text, (!made.no_data).then_some(keep)))
            };
            let (text, whence) = self.answers.answer(&answer_name(from, key), make).await?;
            let lookup = match whence {
                Whence::Elsewhere => Lookup::Hit,
                Whence::Here => Lookup::Miss,
                Whence::Unshared => Lookup::Unshared,
            };
            Ok((ToolText { text, no_data }, lookup))
        })
    }
}

/// What all processes have learned of token counts; nothing where nothing is shared, or the server does not answer.
pub fn learned(config: &Config) -> Option<Vec<Learned>> {
    SharedCounts::new(server(config).ok().flatten()?).learned().ok()
}

/// Adds what this process has learned, and says what all have.
pub fn learn(config: &Config) -> Option<Vec<Learned>> {
    let counts = SharedCounts::new(server(config).ok().flatten()?);
    counts.add().ok()?;
    counts.learned().ok()
}

/// Forgets what all have learned.
pub fn forget(config: &Config) -> Result<(), Failure> {
    let Some(server) = server(config)? else { return Ok(()) };
    SharedCounts::new(server).forget().map_err(|error| {
        Failure::input(format!("what runs share does not answer, so it is not forgotten there: {error}"))
    })
}
