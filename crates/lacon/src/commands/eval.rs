//! `lacon eval`: asks a model about your own texts in each form, and says what a form costs.

mod page;
mod purse;
mod receipts;
mod run;
mod trading;

use std::{
    collections::HashSet,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use futures_util::future::{Either, select};
use jiff::{Timestamp, tz::TimeZone};
use lacon_eval::{
    experiment::{self, Arm, ORIGINAL, Plan, PlanOptions, Row, Stop},
    forms::Form,
    material::{MAX_BYTES, Material},
    reader::{Reader, ReaderOptions},
    stats::needed,
    verdict::Verdict,
};
use lacon_llm::{Client, TapeMode, Taped, Usage};
use lacon_monitor::prices;
use lacon_prompt::passes::PassSet;
use lacon_runtime::Config;
use lacon_tokens::{EncodingName, encoding};
use serde_json::json;

use super::{Common, block_on, read_text};
use crate::{
    args::eval::{EvalArgs, EvalWhat, Forms, FormsArgs},
    failure::{self, Failure},
    forms, signals,
    text::{self, thousands},
    world,
};

/// The name of the simulated reader in verdicts.
const SIM_MODEL: &str = "simulated-reader";
/// Accuracy of the simulated reader: what it cannot answer, and what goes wrong by chance.
const SIM_MISSES: f64 = 0.15;
const SIM_SLIPS: f64 = 0.02;
/// Share of questions with different answers that the number of questions is stated for.
const DISCORDANT: f64 = 0.1;

/// Runs the subcommand.
pub fn run(common: &Common, args: &EvalArgs) -> Result<ExitCode, Failure> {
    match &args.what {
        Some(EvalWhat::Run(args)) => return run::run(common, args),
        Some(EvalWhat::Receipts(args)) => return receipts::run(args),
        None => {}
    }
    let config = common.settings(&[
        ("llm.provider", args.llm.as_ref()),
        ("llm.base_url", args.base_url.as_ref()),
        ("run.tape", args.tape.as_ref()),
        ("run.tape_mode", tape_mode(args.tape.as_deref(), args.record).as_ref()),
        ("run.out", args.out.as_ref()),
    ])?;
    let margin = args.margin / 100.0;
    if !(0.001..=0.5).contains(&margin) {
        return Err(Failure::input(format!(
            "--margin is {}, it must lie between 0.1 and 50 points",
            args.margin
        )));
    }
    let client = client(&config, args)?;
    let model = match &args.model {
        // A verdict on the simulator never stands under a model's name.
        _ if client.describe().simulated => SIM_MODEL.to_owned(),
        Some(model) => model.clone(),
        None => config.text("llm.quick_model").to_owned(),
    };
    let most = needed(margin, DISCORDANT) as usize;
    let options = PlanOptions {
        model: model.clone(),
        forms: chosen(args.forms.as_deref())?,
        legend: args.legend,
        questions: args.questions.unwrap_or(most),
        window: args.window,
        seed: args.seed,
    };
    let plan = experiment::plan(&materials(&args.files)?, &options, encoding(EncodingName::O200kBase));
    let questions = plan.questions.get(ORIGINAL).copied().unwrap_or(0);
    if questions == 0 {
        return Err(Failure::input(
            "no form shortens these texts, or nothing can be asked about them\nhint: give tables, JSON, logs, diffs or longer documents",
        ));
    }
    let folder = Path::new(config.text("run.out")).join("eval").join(slug(&model));
    let answers = folder.join("answers.jsonl");
    let before = read_rows(&answers);
    let say = |line: &str| if args.json { text::note(line) } else { text::out(line) };
    say(&heading(&*client, &model));
    explain(&plan, &before, questions, margin, &say);
    if args.plan {
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = before;
    let known: HashSet<String> = rows.iter().map(|row| row.key.clone()).collect();
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::input(format!("cannot make {}: {error}", folder.display())))?;
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(&answers)
        .map_err(|error| Failure::input(format!("cannot write {}: {error}", answers.display())))?;
    let mut lost = None;
    let stop = block_on(async {
        let asking = experiment::run(&*client, &plan, &known, args.at_once, args.budget_tokens, |row| {
            let line = serde_json::to_string(&row).unwrap_or_default();
            if let Err(error) = writeln!(file, "{line}") {
                lost = Some(error);
            }
            rows.push(row);
        });
        match select(std::pin::pin!(asking), std::pin::pin!(signals::stop())).await {
            Either::Left((stop, _)) => Ok(stop),
            Either::Right(_) => Err(()),
        }
    })?;
    if let Some(error) = lost {
        text::warn(&format!("some answers are not in {}: {error}", answers.display()));
    }
    let arms = experiment::summary(&plan, &rows, margin);
    report(&plan, &arms, margin, args)?;
    keep(&config, &model, &arms, margin)?;
    match stop {
        Ok(None) => Ok(ExitCode::SUCCESS),
        Ok(Some(Stop::Budget)) => {
            text::warn("the budget is used up; the same command goes on where this one stopped");
            Ok(ExitCode::SUCCESS)
        }
        Ok(Some(Stop::Failed(error))) => Err(Failure::model(
            format!("{error}\nhint: the answers so far are kept; the same command goes on from there"),
            error.kind(),
        )),
        Err(()) => Err(Failure {
            message: "interrupted: the answers so far are kept\nhint: the same command goes on from there"
                .into(),
            code: failure::INTERRUPTED,
        }),
    }
}

/// A recording that was interrupted goes on: what its tape holds is not asked again.
fn tape_mode(tape: Option<&str>, record: bool) -> Option<String> {
    let begun = std::fs::metadata(tape?).is_ok_and(|meta| meta.len() > 0);
    let mode = match (record, begun) {
        (false, _) => "replay",
        (true, false) => "record",
        (true, true) => "patch",
    };
    Some(mode.to_owned())
}

fn client(config: &Config, args: &EvalArgs) -> Result<Arc<dyn Client>, Failure> {
    let tape = world::tape(config)?;
    let is_replay = tape.as_ref().is_some_and(|tape| tape.mode() == TapeMode::Strict);
    if is_replay || !world::is_simulated(config) {
        if args.misreads.is_some() {
            return Err(Failure::input(
                "--misreads plants a weakness in the simulated reader\nhint: add --llm sim",
            ));
        }
        return Ok(world::client(config, false, tape)?.0);
    }
    let misreads = match args.misreads.as_deref().map(|given| given.split_once('=')) {
        None => None,
        Some(found) => {
            let pair = found.and_then(|(word, share)| Some((word.to_owned(), share.parse::<f64>().ok()?)));
            Some(
                pair.filter(|(word, share)| word.starts_with('@') && (0.0..=1.0).contains(share))
                    .ok_or_else(|| {
                        Failure::input(
                            "--misreads takes a control word and a share from 0 to 1, such as @json=0.2",
                        )
                    })?,
            )
        }
    };
    let options = ReaderOptions { seed: args.seed, misses: SIM_MISSES, slips: SIM_SLIPS, misreads };
    let reader: Arc<dyn Client> = Arc::new(Reader::new(options));
    Ok(match tape {
        Some(tape) => Arc::new(Taped::new(reader, tape)),
        None => reader,
    })
}

fn chosen(names: Option<&str>) -> Result<Vec<&'static Form>, Failure> {
    let Some(names) = names else { return Ok(forms::all().collect()) };
    let known = || forms::all().map(|form| form.name).collect::<Vec<_>>().join(", ");
    names
        .split(',')
        .map(str::trim)
        .map(|name| {
            forms::named(name)
                .ok_or_else(|| Failure::input(format!("unknown form {name:?}\nhint: one of {}", known())))
        })
        .collect()
}

fn materials(files: &[PathBuf]) -> Result<Vec<Material>, Failure> {
    let read = |file: &PathBuf| {
        let text = read_text(file)?;
        if text.len() > MAX_BYTES {
            return Err(Failure::input(format!(
                "{} has {} bytes, at most {MAX_BYTES} are read\nhint: give a part of it",
                file.display(),
                text.len()
            )));
        }
        Ok(Material::read(&file.display().to_string(), &text))
    };
    files.iter().map(read).collect()
}

/// A folder's name from a model's.
fn slug(model: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    model.chars().map(plain).take(80).collect::<String>().trim_start_matches('.').to_owned()
}

/// The answers of earlier tests; a line that was cut is left out.
fn read_rows(path: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn heading(client: &dyn Client, model: &str) -> String {
    let who = client.describe();
    match who.simulated {
        true => format!("reading test of {model}: SIMULATED reader, its accuracy is set and not a model's"),
        false => format!("reading test of {model}: {} at {}", who.provider, who.base_url),
    }
}

fn explain(plan: &Plan, before: &[Row], questions: usize, margin: f64, say: &dyn Fn(&str)) {
    let (prompts, answers) = plan.tokens();
    let usage = Usage { input: Some(prompts), output: Some(answers), ..Usage::default() };
    let price = prices::cost(&plan.model, &usage).map_or("its price is not known".to_owned(), |micro| {
        format!("at most {:.4} USD without a cache", micro as f64 / 1e6)
    });
    let known: HashSet<&str> = before.iter().map(|row| row.key.as_str()).collect();
    let done = plan.items.iter().filter(|item| known.contains(item.key.as_str())).count();
    say(&format!(
        "plan      {} questions, {} prompts ({} answered before), {} prompt tokens, at most {} answer tokens; {price}",
        thousands(questions as u64),
        thousands(plan.items.len() as u64),
        thousands(done as u64),
        thousands(prompts),
        thousands(answers)
    ));
    let takes = |discordant| thousands(u64::from(needed(margin, discordant)));
    say(&format!(
        "verdict   within {:.1} points takes {} questions if both answers are always the same, {} if one in fifty differs, {} if one in ten does",
        margin * 100.0,
        takes(0.0),
        takes(0.02),
        takes(DISCORDANT)
    ));
}

fn report(plan: &Plan, arms: &[Arm], margin: f64, args: &EvalArgs) -> Result<(), Failure> {
    if args.json {
        let value = json!({"schema_version": 1, "model": plan.model, "margin": margin, "arms": arms});
        text::out(&value.to_string());
    } else {
        text::out("");
        text::out(
            "form              right       accuracy, 95 %      text   difference, 90 %             verdict",
        );
        for arm in arms {
            text::out(line(arm).trim_end());
        }
    }
    let Some(path) = &args.html else { return Ok(()) };
    let notes: Vec<String> = arms
        .iter()
        .filter(|arm| arm.verdict == Some(Verdict::Undecided))
        .map(|arm| {
            let more = needed(margin, arm.pairs.discordant());
            format!("{}: {} of about {more} questions that a verdict takes.", arm.name, arm.pairs.n)
        })
        .collect();
    let html = page::html(&plan.model, arms, margin, &notes);
    lacon_files::write(
        path,
        html.as_bytes(),
        args.files.iter().map(PathBuf::as_path),
        lacon_files::Flush::Now,
    )
    .map_err(|error| Failure::input(format!("cannot write {}: {error}", path.display())))?;
    text::note(&format!("page      {}", path.display()));
    Ok(())
}

fn line(arm: &Arm) -> String {
    let (low, high) = arm.accuracy;
    let difference = arm.difference.map_or(String::new(), |(d, low, high)| {
        format!("{:+.1} ({:+.1} to {:+.1}) points", d * 100.0, low * 100.0, high * 100.0)
    });
    format!(
        "{:<16}  {:>4} of {:<4} {:>5.1} to {:>5.1} %   {:>4.0} %   {difference:<28} {}",
        arm.name,
        arm.right,
        arm.questions,
        low * 100.0,
        high * 100.0,
        arm.tokens * 100.0,
        arm.verdict.map_or("", Verdict::as_str)
    )
}

fn keep(config: &Config, model: &str, arms: &[Arm], margin: f64) -> Result<(), Failure> {
    let mut book = forms::book(config)?;
    let date = Timestamp::now().to_zoned_datetime(TimeZone::UTC).date().to_string();
    let of_model = book.models.entry(model.to_owned()).or_default();
    for arm in arms {
        if let Some(entry) = arm.entry(margin, &date) {
            of_model.insert(arm.name.clone(), entry);
        }
    }
    let path = forms::book_path(config);
    lacon_files::write(&path, book.write().as_bytes(), [], lacon_files::Flush::Now)
        .map_err(|error| Failure::input(format!("cannot write {}: {error}", path.display())))?;
    text::note(&format!("verdicts  {}", path.display()));
    Ok(())
}

/// Limits passes by the flags of a command that writes forms.
pub(in crate::commands) fn limit(usual: PassSet, args: &FormsArgs) -> Result<PassSet, Failure> {
    let config = Common::default().settings(&[("models.forms", args.forms.map(Forms::word).as_ref())])?;
    forms::limit(&config, usual, args.for_model.as_deref())
}
