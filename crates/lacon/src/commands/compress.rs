//! `lacon compress`: a text in fewer tokens, or an extract for a question.

use std::{
    io::Write,
    process::ExitCode,
    time::{Duration, Instant},
};

use lacon_prompt::{
    Error,
    compress::{Options, held_out},
    offload::Handle,
    passes::PassSet,
    shorten::{Policy, ShortenOptions, shorten},
};
use lacon_tokens::{Encoding, EncodingName, encoding, for_model};
use lacon_trading::team::limit_line;
use serde_json::{Value, json};

use super::prompt_input::{self as input, Input};
use crate::{args::prompt::CompressArgs, failure::Failure, text};

/// What a policy made of the text.
pub(in crate::commands) struct Outcome {
    text: String,
    before: usize,
    after: usize,
    reports: Vec<Value>,
    explanation: String,
    exact: bool,
    elapsed: Duration,
}

impl Outcome {
    /// The result with its receipt.
    pub(in crate::commands) fn to_json(&self) -> Value {
        json!({
            "schema_version": 1,
            "text": self.text,
            "tokens_before": self.before,
            "tokens_after": self.after,
            "exact": self.exact,
            "elapsed_us": u64::try_from(self.elapsed.as_micros()).unwrap_or(u64::MAX),
            "handles": lacon_prompt::marker::handles(&self.text).iter().map(Handle::as_str).collect::<Vec<_>>(),
            "passes": self.reports,
        })
    }

    /// A text that belongs to the share that is left alone.
    fn untouched(source: &str, encoding: &Encoding) -> Self {
        let tokens = encoding.count(source);
        Self {
            text: source.to_owned(),
            before: tokens,
            after: tokens,
            reports: vec![json!({"pass": "holdout", "tokens_before": tokens, "tokens_after": tokens})],
            explanation: "holdout: this text stays uncompressed as a control\n".to_owned(),
            exact: true,
            elapsed: Duration::ZERO,
        }
    }
}

/// Runs the subcommand.
pub fn run(args: &CompressArgs) -> Result<ExitCode, Failure> {
    let source = match input::read(args.file.as_deref())? {
        Input::Text(source) => source,
        Input::Other { head, rest, why } => {
            input::pass_through(&head, rest, &why)?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    if let Some(path) = &args.receipts {
        lacon_files::check(path, args.file.as_deref())?;
    }
    let done = compressed(&source, args)?;
    if let Some(path) = &args.receipts {
        let lines: String = done.reports.iter().map(|report| format!("{report}\n")).collect();
        let mut options = std::fs::OpenOptions::new();
        let written = options
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(lines.as_bytes()));
        written.map_err(|e| Failure::input(format!("cannot write {}: {e}", path.display())))?;
    }
    if !done.exact && args.policy != crate::args::prompt::Policy::Lossy {
        text::note("exact: false; the JSON comes back in another layout, --exact keeps it");
    }
    if args.explain {
        for line in done.explanation.lines() {
            text::note(line);
        }
        text::note(&format!(
            "total: {} → {} tokens ({:.1} % saved), elapsed_ms={:.3}",
            done.before,
            done.after,
            100.0 * (1.0 - done.after as f64 / done.before.max(1) as f64),
            done.elapsed.as_secs_f64() * 1e3
        ));
    }
    if args.json {
        text::out(&done.to_json().to_string());
    } else if args.diff {
        input::write_raw(input::diff(&source, &done.text).as_bytes())?;
    } else {
        input::write_raw(done.text.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The encoding of the flags: the one that is named, else that of the model.
pub(in crate::commands) fn counts_with(args: &CompressArgs) -> Result<&'static Encoding, Failure> {
    match (&args.encoding, &args.forms.for_model) {
        (Some(name), _) => input::encoding(name),
        (None, Some(model)) => Ok(for_model(model).encoding),
        (None, None) => Ok(encoding(EncodingName::O200kBase)),
    }
}

/// Compresses a text as the flags say; prints nothing.
pub(in crate::commands) fn compressed(source: &str, args: &CompressArgs) -> Result<Outcome, Failure> {
    let encoding = counts_with(args)?;
    let passes = super::eval::limit(pass_set(args.disable.as_deref(), args.enable.as_deref())?, &args.forms)?;
    let started = Instant::now();
    if !(0.0..=1.0).contains(&args.holdout) {
        return Err(Failure::input(format!("--holdout is {}, it must lie between 0 and 1", args.holdout)));
    }
    let held_out = held_out(source, (args.holdout * 1000.0) as u16);
    let mut done = match args.policy {
        _ if held_out => Outcome::untouched(source, encoding),
        policy => shortened(source, args, policy.into(), passes, encoding)?,
    };
    done.elapsed = started.elapsed();
    if let Some(role) = &args.agent {
        let line = limit_line(role).map_err(Failure::input)?;
        if !done.text.is_empty() && !done.text.ends_with('\n') {
            done.text.push('\n');
        }
        done.text.push_str(&line);
        done.after = encoding.count(&done.text);
        done.explanation.push_str(&format!("limit: appended {line:?}\n"));
    }
    Ok(done)
}

fn shortened(
    source: &str,
    args: &CompressArgs,
    policy: Policy,
    passes: PassSet,
    encoding: &Encoding,
) -> Result<Outcome, Failure> {
    let query = args.query.clone().or_else(query_of_environment).unwrap_or_default();
    let options = ShortenOptions {
        exact: Options { passes, audit: args.audit, once: args.once, exact: args.exact },
        query: &query,
        share: args.ratio.or(args.target.map(|target| 1.0 - target)),
        ..ShortenOptions::new(policy)
    };
    let mut store = input::store(&args.store);
    let short = shorten(source, &options, Some(&mut store), encoding).map_err(|error| match error {
        Error::Store(error) => Failure::input(format!(
            "{error}\nhint: name another file with --store, or use --policy lossless, which needs none"
        )),
        error => Failure::input(error),
    })?;
    store.commit().map_err(Failure::input)?;
    if let Some(asked) = short.missed {
        text::warn(&format!(
            "the share asked for is {asked} tokens, the extract has {}\nhint: instructions stay, a text below 100 tokens too, and so does \
             one that says nothing of the question; give a --query in its words",
            short.tokens_after
        ));
    }
    if short.unkept {
        text::warn("the store is full; what the extract leaves out is not kept");
    }
    Ok(Outcome {
        reports: short.receipt,
        explanation: short.explanation,
        text: short.text,
        before: short.tokens_before,
        after: short.tokens_after,
        exact: short.exact,
        elapsed: Duration::ZERO,
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the question belongs to the text on stdin, so it is not a setting"
)]
fn query_of_environment() -> Option<String> {
    std::env::var("COMPRESS_QUERY").ok()
}

/// The usual passes without the ones that are switched off and with the ones that are switched on.
pub(in crate::commands) fn pass_set(disable: Option<&str>, enable: Option<&str>) -> Result<PassSet, Failure> {
    PassSet::usual(names(disable), names(enable)).map_err(Failure::input)
}

fn names(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or("").split(',').map(str::trim).filter(|name| !name.is_empty())
}
