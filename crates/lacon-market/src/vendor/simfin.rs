//! SimFin: statements of all US companies as CSV, with their publish dates.
//!
//! The vendor serves each file as an archive of one CSV, to accounts, behind one address that ends in `/s3`. Any other
//! address is taken as a folder on your server with the files unpacked under their own names (`us-income-quarterly.csv`
//! …).

use std::{
    borrow::Cow,
    io::{Cursor, Read},
    sync::Arc,
    time::Duration,
};

use super::{Account, Ask, Fetched, Key, Problem, Vendor, VendorError, Wire, body, wire};
use crate::{
    DataError,
    dataset::{Statement, StatementKind},
    folder,
};

const ME: Vendor = Vendor::SimFin;

/// A file of all companies is larger than other answers; unpacked it may not be larger either.
const MAX_BYTES: usize = 64 << 20;

/// Statements change once a quarter.
const FRESH: Duration = Duration::from_secs(3600);

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
        let name = folder::statement_file(kind);
        let got = if self.base.ends_with("/s3") {
            if self.key.is_empty() {
                let what = "no key\nhint: set SIMFIN_API_KEY, or vendors.simfin_url to a folder that holds SimFin's CSV files";
                return Err(VendorError::new(ME, Problem::NotConfigured, what));
            }
            let ask = self
                .ask(self.base.clone())
                .query("dataset", name)
                .query("variant", frequency)
                .query("market", "us")
                .redirects();
            let got = self.wire.send(&ask).await?;
            match got.location.as_deref().and_then(|location| wire::resolve(&self.base, location)) {
                // The archive lies with a keeper of files, under an address of the moment; the key is not for them.
                Some(url) => {
                    let kept = format!("simfin archive us-{name}-{frequency}");
                    let ask = Ask::get(ME, url).fresh_for(FRESH).max_bytes(MAX_BYTES).kept_as(kept);
                    self.wire.send(&ask).await?
                }
                None => got,
            }
        } else {
            self.wire.send(&self.ask(format!("{}/us-{name}-{frequency}.csv", self.base))).await?
        };
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

    fn ask(&self, url: String) -> Ask {
        let ask = Ask::get(ME, url).fresh_for(FRESH).max_bytes(MAX_BYTES);
        if self.key.is_empty() { ask } else { ask.key_header("authorization", "api-key ", &self.key) }
    }
}

/// The CSV of an archive, or what is no archive as it is.
fn unpacked(answer: &[u8]) -> Result<Cow<'_, [u8]>, VendorError> {
    if !answer.starts_with(b"PK\x03\x04") {
        return Ok(Cow::Borrowed(answer));
    }
    let unreadable =
        |e: &dyn std::fmt::Display| body::malformed(ME, format!("the archive cannot be read: {e}"));
    let mut archive = zip::ZipArchive::new(Cursor::new(answer)).map_err(|e| unreadable(&e))?;
    let name = archive.file_names().flatten().find(|name| name.ends_with(".csv")).map(Cow::into_owned);
    let name = name.ok_or_else(|| body::malformed(ME, "the archive holds no CSV"))?;
    let file = archive.by_name(&name).map_err(|e| unreadable(&e))?;
    // What the archive says of a size is not believed: a few bytes can unpack to any number.
    let mut csv = Vec::with_capacity((file.size() as usize).min(MAX_BYTES));
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut csv).map_err(|e| unreadable(&e))?;
    if csv.len() > MAX_BYTES {
        return Err(body::malformed(
            ME,
            format!("the archive unpacks to more than the limit of {MAX_BYTES} bytes"),
        ));
    }
    Ok(Cow::Owned(csv))
}

/// Reads the rows of one ticker, from CSV or from an archive of it.
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
    let text = match unpacked(answer)? {
        Cow::Borrowed(csv) => body::text(ME, csv, content_type)?,
        Cow::Owned(csv) => match String::from_utf8(csv) {
            Ok(text) => text,
            Err(error) => body::text(ME, error.as_bytes(), "")?,
        },
    };
    let mut all = Vec::new();
    folder::parse_statements("CSV", &text, ticker, kind, frequency, &mut all).map_err(|e| match e {
        DataError::Malformed { line, problem, .. } => body::malformed(ME, format!("line {line}: {problem}")),
        other => body::malformed(ME, other),
    })?;
    Ok(all)
}
