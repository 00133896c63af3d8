//! What processes learn of token counts from bills, shared: what one has compared corrects the estimates of all.

use lacon_tokens::Learned;
use redis::Script;

use super::Server;

/// How long comparisons are kept after the last one of their family.
const KEEP: u64 = 90 * 86_400;

/// The comparisons of all processes.
pub struct SharedCounts {
    server: Server,
    learn: Script,
}

impl SharedCounts {
    /// Comparisons in a server. Asks nothing yet.
    #[must_use]
    pub fn new(server: Server) -> Self {
        Self { server, learn: Script::new(include_str!("learn.lua")) }
    }

    /// What all processes have learned, of the families that are known here.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn learned(&self) -> Result<Vec<Learned>, String> {
        let families = families();
        let kept = isize::try_from(Learned::KEPT).unwrap_or(isize::MAX);
        let mut ask = redis::pipe();
        for family in &families {
            ask.lrange(key(family), -kept, -1);
        }
        let lists: Vec<Vec<Vec<u8>>> =
            self.server.ask(|connection| ask.query(connection)).map_err(|error| error.to_string())?;
        let number = |bytes: Vec<u8>| std::str::from_utf8(&bytes).ok()?.parse().ok();
        let learned = families.into_iter().zip(lists).map(|(family, ratios)| Learned {
            family: family.to_owned(),
            ratios: ratios.into_iter().filter_map(number).collect(),
        });
        Ok(learned.filter(|learned| !learned.ratios.is_empty()).collect())
    }

    /// Adds what this process has compared since the last call.
    ///
    /// # Errors
    /// When the server does not answer: these comparisons are lost, and made again with the next bills.
    pub fn add(&self) -> Result<(), String> {
        for fresh in lacon_tokens::take_fresh().iter().filter(|fresh| !fresh.ratios.is_empty()) {
            let added = self.server.ask(|connection| {
                let learn = &mut self.learn.key(key(&fresh.family));
                learn.arg(Learned::KEPT).arg(KEEP).arg(&fresh.ratios).invoke::<()>(connection)
            });
            added.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Forgets all comparisons, for all processes.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn forget(&self) -> Result<(), String> {
        let keys: Vec<String> = families().into_iter().map(key).collect();
        let forgotten = self.server.ask(|connection| redis::cmd("DEL").arg(&keys).query::<()>(connection));
        forgotten.map_err(|error| error.to_string())
    }
}

fn key(family: &str) -> String {
    format!("lacon:learned:{family}")
}

/// Families whose counts are estimates.
fn families() -> Vec<&'static str> {
    let rows = lacon_models::encodings().iter().filter(|row| row.worth != lacon_models::Worth::Exact);
    let mut names: Vec<_> = rows.map(|row| row.family.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}
