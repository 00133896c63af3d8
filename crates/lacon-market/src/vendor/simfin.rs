//! SimFin: statements of all US companies as CSV, with the day on which each was published.
//!
//! The vendor hands its files out as archives for accounts, so there is no default address: `base` is a folder, on a server
//! of yours or on the synthetic one, that holds them unpacked under their own names (`us-income-quarterly.csv` …).

use std::{sync::Arc, time::Duration};

use super::{Account, Ask, Fetched, Key, Problem, Vendor, VendorError, Wire, body};
use crate::{
    DataError,
    dataset::{Statement, StatementKind},
    folder,
};

const ME: Vendor = Vendor::SimFin;

/// A file of all companies is larger than other answers.
const MAX_BYTES: usize = 64 << 20;

/// The client.
#[derive(Debug)]
pub struct SimFin {
    wire: Arc<Wire>,
    base: String,
    key: Key,
}

impl SimFin {
    /// Makes a client.
    pub fn new(wire: Arc<Wire>, account: &Account) -> Self {
        Self { wire, base: account.base(ME), key: account.key.clone() }
    }

    /// All statements of a kind and frequency.
    ///
    /// # Errors
    /// What the server says; [`Problem::NoData`] when the file has no row of the ticker.
    pub async fn statements(
        &self,
        ticker: &str,
        kind: StatementKind,
        frequency: &str,
    ) -> Result<Fetched<Vec<Statement>>, VendorError> {
        if self.base.is_empty() {
            let what = "no address\nhint: set vendors.simfin_url to a folder that holds SimFin's CSV files";
            return Err(VendorError::new(ME, Problem::NotConfigured, what));
        }
        let name = folder::statement_file(kind);
        let ask = Ask::get(ME, format!("{}/us-{name}-{frequency}.csv", self.base))
            .fresh_for(Duration::from_secs(3600))
            .max_bytes(MAX_BYTES);
        let ask =
            if self.key.is_empty() { ask } else { ask.key_header("authorization", "api-key ", &self.key) };
        let got = self.wire.send(&ask).await?;
        let statements = parse_statements(&got.body, &got.content_type, ticker, kind, frequency)?;
        if statements.is_empty() {
            return Err(VendorError::new(
                ME,
                Problem::NoData,
                format!("no {frequency} statement of {ticker}"),
            ));
        }
        Ok(Fetched { value: statements, sources: vec![got.source] })
    }
}

/// Reads the rows of one ticker.
///
/// # Errors
/// [`Problem::Malformed`] with the line.
pub fn parse_statements(
    answer: &[u8],
    content_type: &str,
    ticker: &str,
    kind: StatementKind,
    frequency: &str,
) -> Result<Vec<Statement>, VendorError> {
    if body::is_html(answer) {
        return Err(body::malformed(ME, "a web page stands where CSV should"));
    }
    let text = body::text(ME, answer, content_type)?;
    let mut all = Vec::new();
    folder::parse_statements("CSV", &text, ticker, kind, frequency, &mut all).map_err(|e| match e {
        DataError::Malformed { line, problem, .. } => body::malformed(ME, format!("line {line}: {problem}")),
        other => body::malformed(ME, other),
    })?;
    Ok(all)
}
