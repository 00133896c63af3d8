//! `lacon trace pull`: fetches traces from where they are kept, one file each.

mod otlp_file;

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use lacon_llm::{Endpoint, Fetch, FetchOptions, Transport, TransportOptions};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::{
    args::trace::{PullArgs, PullSource},
    commands::block_on,
    failure::Failure,
    text,
};

/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of one answer.
const MOST_BYTES: usize = 128 << 20;
/// Spans that are looked through for the last traces, where a server lists spans and not traces.
const MOST_SPANS: usize = 200_000;
/// Entries of one page.
const PAGE: usize = 100;

/// Fetches the last traces of a project.
pub fn run(args: &PullArgs) -> Result<ExitCode, Failure> {
    let since = args.since.as_deref().map(duration).transpose()?.map(|back| Timestamp::now() - back);
    std::fs::create_dir_all(&args.output)
        .map_err(|e| Failure::input(format!("{}: cannot be made: {e}", args.output.display())))?;
    let mut done = Done::default();
    let pulled = if args.source == PullSource::OtlpFile {
        otlp_file::pull(args, since, &mut done)
    } else {
        let pulling = Pulling { args, server: Server::of(args)?, since };
        block_on(async {
            match args.source {
                PullSource::Langsmith => pulling.langsmith(&mut done).await,
                PullSource::Langfuse => pulling.langfuse(&mut done).await,
                PullSource::Phoenix => pulling.phoenix(&mut done).await,
                PullSource::Jaeger | PullSource::OtlpFile => pulling.jaeger(&mut done).await,
            }
        })?
    };
    text::out(&format!(
        "{} traces in {}: {} new, {} were there",
        done.new + done.old,
        args.output.display(),
        done.new,
        done.old
    ));
    pulled?;
    if done.new + done.old == 0 {
        text::note("hint: no trace matches; --since looks further back, and --project names another project");
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Default)]
struct Done {
    new: usize,
    old: usize,
}

/// A time such as `90s`, `15m`, `24h`, `7d`.
fn duration(text: &str) -> Result<SignedDuration, Failure> {
    let bad = || Failure::input(format!("--since is {text:?}\nhint: a number and s, m, h or d, such as 24h"));
    let unit = text.chars().last().ok_or_else(bad)?;
    let n: i64 = text[..text.len() - unit.len_utf8()].parse().ok().filter(|n| *n >= 0).ok_or_else(bad)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(bad()),
    };
    // A time before all times that can be written means all traces, and is more likely a slip.
    let seconds = n.checked_mul(factor).filter(|seconds| *seconds < MOST_SECONDS).ok_or_else(bad)?;
    Ok(SignedDuration::from_secs(seconds))
}

/// A hundred years.
const MOST_SECONDS: i64 = 100 * 366 * 86_400;

/// A server of traces and how to log in there.
struct Server {
    fetch: Fetch,
    headers: Vec<(&'static str, String)>,
}

/// The first of these variables that is set.
#[expect(clippy::disallowed_methods, reason = "variables of other tools, which are no settings")]
fn variable(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
}

impl Server {
    fn of(args: &PullArgs) -> Result<Self, Failure> {
        let (urls, usual): (&[&str], &str) = match args.source {
            PullSource::Langsmith => {
                (&["LANGSMITH_ENDPOINT", "LANGCHAIN_ENDPOINT"], "https://api.smith.langchain.com")
            }
            PullSource::Langfuse => (&["LANGFUSE_BASE_URL", "LANGFUSE_HOST"], "https://cloud.langfuse.com"),
            PullSource::Phoenix => (&["PHOENIX_COLLECTOR_ENDPOINT", "PHOENIX_HOST"], "http://127.0.0.1:6006"),
            PullSource::Jaeger | PullSource::OtlpFile => (&["JAEGER_QUERY_URL"], "http://127.0.0.1:16686"),
        };
        let url = args.url.clone().or_else(|| variable(urls)).unwrap_or_else(|| usual.to_owned());
        let needed = |names: &[&str]| {
            variable(names).ok_or_else(|| {
                let message = format!("{} is not set\nhint: it holds the key of {url}", names.join(" or "));
                Failure { message, code: crate::failure::AUTH }
            })
        };
        let headers = match args.source {
            PullSource::Langsmith => {
                vec![("x-api-key", needed(&["LANGSMITH_API_KEY", "LANGCHAIN_API_KEY"])?)]
            }
            PullSource::Langfuse => {
                let pair =
                    format!("{}:{}", needed(&["LANGFUSE_PUBLIC_KEY"])?, needed(&["LANGFUSE_SECRET_KEY"])?);
                vec![("authorization", format!("Basic {}", STANDARD.encode(pair)))]
            }
            // Without a key these two are open to whom they are open.
            PullSource::Phoenix => {
                let key = variable(&["PHOENIX_API_KEY"]);
                key.map(|key| vec![("authorization", format!("Bearer {key}"))]).unwrap_or_default()
            }
            PullSource::Jaeger | PullSource::OtlpFile => Vec::new(),
        };
        let failed = |e: lacon_llm::Error| Failure::model(&e, e.kind());
        let endpoint = Endpoint::parse(url.trim_end_matches('/')).map_err(failed)?;
        let transport = Transport::new(&TransportOptions::default()).map_err(failed)?;
        let options = FetchOptions { max_bytes: MOST_BYTES, ..FetchOptions::default() };
        Ok(Self { fetch: Fetch::new(transport, endpoint, options), headers })
    }

    /// Gets JSON, or posts a question for it.
    async fn ask(&self, path: &str, question: Option<&Value>) -> Result<Value, Failure> {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let asked = async {
            match question {
                Some(question) => self.fetch.post(path, &headers, question.to_string().into_bytes()).await,
                None => self.fetch.get(path, &headers).await,
            }
        };
        let shown = path.split('?').next().unwrap_or(path);
        let bytes = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(bytes) => bytes.map_err(|e| Failure::model(&e, e.kind()))?,
            Err(_) => {
                let message =
                    format!("{}{shown} took longer than {} s", self.fetch.base_url(), PATIENCE.as_secs());
                return Err(Failure { message, code: crate::failure::UPSTREAM });
            }
        };
        serde_json::from_slice(&bytes).map_err(|e| {
            let message = format!(
                "{}{shown} answered no JSON: {e}\nhint: --url names the API's address, not the page's",
                self.fetch.base_url()
            );
            Failure { message, code: crate::failure::UPSTREAM }
        })
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn word<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str).filter(|word| !word.is_empty())
}

struct Pulling<'a> {
    args: &'a PullArgs,
    server: Server,
    since: Option<Timestamp>,
}

/// The file of a trace. Its name is made of letters that every system takes.
fn file(args: &PullArgs, id: &str) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    let name: String = id.chars().take(120).map(plain).collect();
    args.output.join(format!("{}-{name}.json", args.source.name()))
}

impl Pulling<'_> {
    /// Whether a trace was fetched before: a command that is given again goes on where it stopped.
    fn is_here(&self, id: &str, done: &mut Done) -> bool {
        let here = !self.args.again && file(self.args, id).exists();
        done.old += usize::from(here);
        here
    }

    fn keep(&self, id: &str, trace: &Value, done: &mut Done) -> Result<(), Failure> {
        let no_inputs: [&Path; 0] = [];
        lacon_files::write(
            &file(self.args, id),
            trace.to_string().as_bytes(),
            no_inputs,
            lacon_files::Flush::Later,
        )?;
        done.new += 1;
        Ok(())
    }

    fn project(&self) -> Result<&str, Failure> {
        self.args.project.as_deref().ok_or_else(|| {
            Failure::input(format!("{} needs --project: its project or service", self.args.source.name()))
        })
    }

    async fn langsmith(&self, done: &mut Done) -> Result<(), Failure> {
        let project = self.project()?;
        let found =
            self.server.ask(&format!("/api/v1/sessions?name={}&limit=1", encoded(project)), None).await?;
        let session = found.as_array().and_then(|list| word(list.first()?, "id"));
        let session =
            session.ok_or_else(|| Failure::input(format!("LangSmith has no project {project:?}")))?;
        let mut roots: Vec<String> = Vec::new();
        let mut cursor: Option<String> = None;
        while roots.len() < self.args.last {
            let mut question = json!({"session": [session], "is_root": true, "limit": PAGE.min(self.args.last - roots.len()),
                "select": ["id", "trace_id", "start_time"]});
            if let Some(since) = self.since {
                question["start_time"] = since.to_string().into();
            }
            if let Some(cursor) = &cursor {
                question["cursor"] = cursor.as_str().into();
            }
            let page = self.server.ask("/api/v1/runs/query", Some(&question)).await?;
            let before = roots.len();
            let id = |run: &Value| word(run, "trace_id").or(word(run, "id")).map(str::to_owned);
            roots.extend(list(&page, "runs").iter().filter_map(id));
            cursor = next(&page, cursor);
            if cursor.is_none() || roots.len() == before {
                break;
            }
        }
        roots.truncate(self.args.last);
        for root in roots {
            if self.is_here(&root, done) {
                continue;
            }
            let mut runs: Vec<Value> = Vec::new();
            let mut cursor: Option<String> = None;
            loop {
                let mut question = json!({"trace": root, "session": [session], "limit": PAGE});
                if let Some(cursor) = &cursor {
                    question["cursor"] = cursor.as_str().into();
                }
                let page = self.server.ask("/api/v1/runs/query", Some(&question)).await?;
                let found = list(&page, "runs");
                runs.extend_from_slice(found);
                cursor = next(&page, cursor);
                if cursor.is_none() || found.is_empty() || runs.len() >= MOST_SPANS {
                    break;
                }
            }
            self.keep(&root, &Value::Array(runs), done)?;
        }
        Ok(())
    }

    async fn langfuse(&self, done: &mut Done) -> Result<(), Failure> {
        if self.args.project.is_some() {
            text::warn("Langfuse's keys belong to one project: --project is not used");
        }
        let since = self
            .since
            .map(|since| format!("&fromTimestamp={}", encoded(&since.to_string())))
            .unwrap_or_default();
        let mut ids: Vec<String> = Vec::new();
        for page in 1.. {
            let path = format!("/api/public/traces?page={page}&limit={PAGE}&orderBy=timestamp.desc{since}");
            let found = self.server.ask(&path, None).await?;
            let of_page = list(&found, "data");
            ids.extend(of_page.iter().filter_map(|trace| word(trace, "id").map(str::to_owned)));
            if ids.len() >= self.args.last || of_page.len() < PAGE {
                break;
            }
        }
        ids.truncate(self.args.last);
        for id in ids {
            if !self.is_here(&id, done) {
                let trace = self.server.ask(&format!("/api/public/traces/{}", encoded(&id)), None).await?;
                self.keep(&id, &trace, done)?;
            }
        }
        Ok(())
    }

    async fn phoenix(&self, done: &mut Done) -> Result<(), Failure> {
        let project = encoded(self.args.project.as_deref().unwrap_or("default"));
        let since = self
            .since
            .map(|since| format!("&start_time={}", encoded(&since.to_string())))
            .unwrap_or_default();
        // Phoenix lists spans; a trace is complete once all of them are seen.
        let mut traces: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let (mut n, mut cursor) = (0, String::new());
        let mut seen = HashSet::new();
        loop {
            let path = format!("/v1/projects/{project}/spans?limit=1000{since}{cursor}");
            let page = self.server.ask(&path, None).await?;
            for span in list(&page, "data") {
                let id = span.pointer("/context/trace_id").and_then(Value::as_str).unwrap_or("unknown");
                traces.entry(id.to_owned()).or_default().push(span.clone());
                n += 1;
            }
            match word(&page, "next_cursor") {
                Some(next) if n < MOST_SPANS && seen.insert(next.to_owned()) => {
                    cursor = format!("&cursor={}", encoded(next))
                }
                Some(_) if n >= MOST_SPANS => {
                    text::warn(&format!(
                        "{MOST_SPANS} spans were looked through, not more\nhint: a shorter --since"
                    ));
                    break;
                }
                _ => break,
            }
        }
        let began = |spans: &[Value]| {
            spans.iter().filter_map(|s| word(s, "start_time")).min().unwrap_or_default().to_owned()
        };
        let mut order: Vec<(String, String)> =
            traces.iter().map(|(id, spans)| (began(spans), id.clone())).collect();
        order.sort_unstable_by(|a, b| b.cmp(a));
        for (_, id) in order.into_iter().take(self.args.last) {
            if !self.is_here(&id, done) {
                self.keep(&id, &Value::Array(traces.remove(&id).unwrap_or_default()), done)?;
            }
        }
        Ok(())
    }

    async fn jaeger(&self, done: &mut Done) -> Result<(), Failure> {
        let service = encoded(self.project()?);
        let since = self.since.map(|since| {
            format!("&start={}&end={}", since.as_microsecond(), Timestamp::now().as_microsecond())
        });
        let path =
            format!("/api/traces?service={service}&limit={}{}", self.args.last, since.unwrap_or_default());
        let found = self.server.ask(&path, None).await?;
        for trace in list(&found, "data").iter().take(self.args.last) {
            let Some(id) = word(trace, "traceID") else { continue };
            if !self.is_here(id, done) {
                self.keep(id, &json!({"data": [trace]}), done)?;
            }
        }
        Ok(())
    }
}

/// The cursor of the next page; none where the server gives the same again.
fn next(page: &Value, before: Option<String>) -> Option<String> {
    let next = page.pointer("/cursors/next").and_then(Value::as_str).filter(|next| !next.is_empty())?;
    (before.as_deref() != Some(next)).then(|| next.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_back_are_read() {
        let ago = |text: &str| duration(text).unwrap().as_secs();
        assert_eq!(["0s", "90s", "15m", "24h", "7d"].map(ago), [0, 90, 900, 86_400, 604_800]);
        for bad in ["", "h", "-1h", "5", "5w", "99999999999999999999d", "9999999999d", "é"] {
            assert!(duration(bad).unwrap_err().message.contains("--since is"), "{bad}");
        }
    }
}
