//! Entries of runs as rows of PostgreSQL. The tables are made by whoever comes first; the view `lacon_runs` is for people.

use std::time::Duration;

use lacon_llm::BoxFuture;
use tokio::{sync::Mutex, task::JoinSet};
use tokio_postgres::{Client, Config, NoTls, Socket, config::SslMode, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Entry, Kind, Place};
use crate::failure::Failure;

const TABLES: &str = include_str!("postgres.sql");
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);

pub struct Postgres {
    config: Config,
    /// Where the address asks for TLS. Without being asked for, a certificate that nobody can check would refuse servers in a safe network.
    tls: Option<MakeRustlsConnect>,
    /// Without its password.
    named: String,
    /// The client, and what carries its messages.
    client: Mutex<Option<(Client, JoinSet<()>)>>,
}

impl Postgres {
    pub fn new(address: &str) -> Result<Self, Failure> {
        let mut config: Config = address.parse().map_err(|error: tokio_postgres::Error| {
            Failure::input(format!("--journal: {}\nhint: postgres://USER@HOST/DATABASE", told(&error)))
        })?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        let hosts: Vec<String> = config.get_hosts().iter().map(|host| format!("{host:?}")).collect();
        let named = format!("{} of {}", config.get_dbname().unwrap_or("the database"), hosts.join(", "));
        let tls = (config.get_ssl_mode() == SslMode::Require).then(tls).transpose()?;
        Ok(Self { config, tls, named, client: Mutex::new(None) })
    }

    fn failed(&self, error: &tokio_postgres::Error) -> String {
        format!("the journal in {} cannot be used: {}", self.named, told(error))
    }

    async fn connect(&self) -> Result<(Client, JoinSet<()>), tokio_postgres::Error> {
        let (client, carrier) = match &self.tls {
            Some(tls) => carried(&self.config, tls.clone()).await?,
            None => carried(&self.config, NoTls).await?,
        };
        let there = "select to_regclass('lacon_runs') is not null";
        if !client.query_one(there, &[]).await?.get::<_, bool>(0) {
            client.batch_execute(TABLES).await?;
        }
        Ok((client, carrier))
    }

    /// Works with a connection, a new one where the last one broke.
    async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, String> {
        let mut held = self.client.lock().await;
        if held.as_ref().is_none_or(|(client, _)| client.is_closed()) {
            *held = Some(self.connect().await.map_err(|error| self.failed(&error))?);
        }
        let Some((client, _)) = held.as_ref() else { return Err("no connection".to_owned()) };
        work(client).await.map_err(|error| self.failed(&error))
    }
}

async fn carried<T>(config: &Config, tls: T) -> Result<(Client, JoinSet<()>), tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket, Stream: Send + 'static>,
{
    let (client, connection) = config.connect(tls).await?;
    let mut carrier = JoinSet::new();
    // Its error is the one of the call that waits for it.
    carrier.spawn(async move { drop(connection.await) });
    Ok((client, carrier))
}

/// TLS that checks the server's name and certificate.
fn tls() -> Result<MakeRustlsConnect, Failure> {
    // An error only says that the process has one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (tls, _) = MakeRustlsConnect::with_native_certs().map_err(|why| {
        let why = why.first().map(|why| format!(": {why}")).unwrap_or_default();
        Failure::input(format!(
            "--journal: there are no certificates to check the server by{why}\nhint: SSL_CERT_FILE names a file of them"
        ))
    })?;
    Ok(tls)
}

/// What the server says, and what it only says one level down.
fn told(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Claim => "claim",
        Kind::Lines => "lines",
        Kind::Record => "record",
        Kind::Release => "release",
    }
}

fn kind(name: &str) -> Option<Kind> {
    [Kind::Claim, Kind::Lines, Kind::Record, Kind::Release].into_iter().find(|kind| self::name(*kind) == name)
}

impl Place for Postgres {
    fn read<'a>(&'a self, run: &'a str) -> BoxFuture<'a, Result<Vec<Entry>, String>> {
        Box::pin(async move {
            let rows = self.with(async |client| {
                client
                    .query("select kind, worker, entry from lacon_journal where run = $1 order by n", &[&run])
                    .await
            });
            let entry = |row: tokio_postgres::Row| {
                let kind = kind(row.get(0)).ok_or_else(|| {
                    format!("run {run} has an entry of kind {:?}, which is none", row.get::<_, &str>(0))
                })?;
                Ok(Entry { kind, worker: row.get(1), text: row.get(2) })
            };
            rows.await?.into_iter().map(entry).collect()
        })
    }

    fn add<'a>(&'a self, run: &'a str, n: u64, entry: &'a Entry) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async move {
            let (n, kind) = (number(n), name(entry.kind));
            let row = self.with(async |client| {
                client
                    .execute(
                        "insert into lacon_journal (run, n, kind, worker, entry) values ($1, $2, $3, $4, $5) on conflict do nothing",
                        &[&run, &n, &kind, &entry.worker, &entry.text],
                    )
                    .await?;
                // A call that was repeated finds its own entry.
                client
                    .query_one(
                        "select kind = $3 and worker = $4 and entry = $5 from lacon_journal where run = $1 and n = $2",
                        &[&run, &n, &kind, &entry.worker, &entry.text],
                    )
                    .await
            });
            Ok(row.await?.get(0))
        })
    }

    fn beat<'a>(&'a self, run: &'a str, claim: u64, next: u64) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async move {
            let beaten = self.with(async |client| {
                client
                    .execute(
                        "insert into lacon_heard (run, claim) select $1, $2 where not exists (select from lacon_journal where run = $1 and n >= $3) on conflict (run, claim) do update set at = now()",
                        &[&run, &number(claim), &number(next)],
                    )
                    .await
            });
            Ok(beaten.await? == 1)
        })
    }

    fn silence<'a>(&'a self, run: &'a str, claim: u64) -> BoxFuture<'a, Result<Duration, String>> {
        Box::pin(async move {
            let row = self.with(async |client| {
                client
                    .query_one(
                        "select extract(epoch from now() - greatest(j.at, h.at))::float8 from lacon_journal j left join lacon_heard h on h.run = j.run and h.claim = j.n where j.run = $1 and j.n = $2",
                        &[&run, &number(claim)],
                    )
                    .await
            });
            Ok(Duration::try_from_secs_f64(row.await?.get(0)).unwrap_or_default())
        })
    }
}
