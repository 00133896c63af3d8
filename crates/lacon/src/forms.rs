//! Which forms a model may be given: all of them, or those that `lacon eval` has proven for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use lacon_agents::optimization::Proven;
use lacon_eval::{
    forms::{FORMS, Form},
    verdict::Book,
};
use lacon_prompt::passes::{PASSES, PassSet};
use lacon_runtime::Config;

use crate::{failure::Failure, text};

/// The form in which agents read each other's texts. It keeps figures and conclusions, so it is asked about figures alone.
pub static DIGESTS: Form = Form {
    name: "digests",
    about: "running text by its figures and conclusions, as agents of a team read it",
    passes: &[],
    writes: Some(lacon_agents::digest::digest),
    kinds: &["look-up"],
};

/// The form that the trading team's `condense` writes tables of prices in.
const CSV: &str = "csv";

/// All forms of the reading test.
pub fn all() -> impl Iterator<Item = &'static Form> {
    FORMS.iter().chain([&DIGESTS])
}

/// The form of a name.
pub fn named(name: &str) -> Option<&'static Form> {
    all().find(|form| form.name == name)
}

/// Where verdicts are kept.
pub fn book_path(config: &Config) -> PathBuf {
    Path::new(config.text("run.out")).join("eval/verdicts.json")
}

/// The verdicts of earlier tests.
pub fn book(config: &Config) -> Result<Book, Failure> {
    let path = book_path(config);
    match std::fs::read_to_string(&path) {
        Ok(text) => Book::read(&text).map_err(|error| Failure::input(format!("{}: {error}", path.display()))),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Book::default())
        }
        Err(error) => Err(Failure::input(format!("cannot read {}: {error}", path.display()))),
    }
}

/// The verdicts for a run: one that may use every form does not fail for a damaged book.
fn of_run(config: &Config) -> Result<Book, Failure> {
    let book = book(config);
    if is_strict(config) { book } else { Ok(book.unwrap_or_default()) }
}

/// The forms that are proven for a model without a line that explains them.
fn proven(book: &Book, model: &str) -> BTreeSet<&'static str> {
    let plain = book.proven(model).filter(|(_, legend)| !legend);
    plain.filter_map(|(name, _)| named(name)).map(|form| form.name).collect()
}

/// Passes whose form is proven.
fn passes(proven: &BTreeSet<&str>) -> PassSet {
    let allowed = |pass| FORMS.iter().any(|form| form.passes.contains(&pass) && proven.contains(form.name));
    PASSES.into_iter().filter(|pass| allowed(*pass)).fold(PassSet::NONE, PassSet::with)
}

/// Whether models are given proven forms alone.
pub fn is_strict(config: &Config) -> bool {
    config.text("models.forms") == "proven"
}

fn note(config: &Config, model: &str, unproven: &[&str]) -> Option<String> {
    let (names, so) = (unproven.join(", "), if is_strict(config) { " and not used" } else { "" });
    (!unproven.is_empty()).then(|| format!("not proven{so} for {model}: {names}; `lacon eval` tests them"))
}

/// Limits passes to forms that are proven for a model, or says which are not.
pub fn limit(config: &Config, usual: PassSet, model: Option<&str>) -> Result<PassSet, Failure> {
    let Some(model) = model else {
        if is_strict(config) {
            return Err(Failure::input(
                "--forms proven needs --for-model MODEL: a form is proven for a model",
            ));
        }
        return Ok(usual);
    };
    let proven = proven(&book(config)?, model);
    if !is_strict(config) {
        let ours = FORMS.iter().filter(|form| form.has_legend()).map(|form| form.name);
        let unproven: Vec<&str> = ours.filter(|name| !proven.contains(name)).collect();
        note(config, model, &unproven).iter().for_each(|line| text::note(line));
        return Ok(usual);
    }
    Ok(usual.and(passes(&proven)))
}

/// What the models of a run may be given.
pub struct Reading {
    /// By model; absent where every form may be used.
    pub by_model: Option<BTreeMap<String, Proven>>,
    /// Which forms are not proven, a line a model.
    pub notes: Vec<String>,
}

/// What each model of a team may be given, by the setting `models.forms`.
pub fn of_models<'m>(config: &Config, models: impl IntoIterator<Item = &'m str>) -> Result<Reading, Failure> {
    let book = of_run(config)?;
    let mut by_model = BTreeMap::new();
    let mut notes = Vec::new();
    for model in models.into_iter().collect::<BTreeSet<_>>() {
        let proven = proven(&book, model);
        let used = all().filter(|form| form.has_legend() || form.name == DIGESTS.name);
        let unproven: Vec<&str> = used.map(|form| form.name).filter(|name| !proven.contains(name)).collect();
        notes.extend(note(config, model, &unproven));
        let digests = proven.contains(DIGESTS.name);
        by_model.insert(model.to_owned(), Proven { passes: passes(&proven), digests });
    }
    Ok(Reading { by_model: is_strict(config).then_some(by_model), notes })
}

/// Optimizations of the trading team that write forms, and of these those that are not proven for one of its models.
pub fn of_trading<'m>(
    config: &Config,
    models: impl IntoIterator<Item = &'m str>,
) -> Result<(Vec<&'static str>, Vec<String>), Failure> {
    let book = of_run(config)?;
    let (mut off, mut notes) = (BTreeSet::new(), Vec::new());
    for model in models.into_iter().collect::<BTreeSet<_>>() {
        let proven = proven(&book, model);
        let written = [("condense", CSV), ("digests", DIGESTS.name)];
        let unproven: Vec<_> = written.into_iter().filter(|(_, form)| !proven.contains(form)).collect();
        let names: Vec<&str> = unproven.iter().map(|(_, form)| *form).collect();
        notes.extend(note(config, model, &names));
        off.extend(unproven.iter().map(|(optimization, _)| *optimization));
    }
    Ok((off.into_iter().collect(), notes))
}

/// Says before a run which forms are not proven for its models. Of a simulated model nobody wants to know.
pub fn say(
    config: &Config,
    simulated: bool,
    notes: impl FnOnce() -> Result<Vec<String>, Failure>,
) -> Result<(), Failure> {
    if !simulated && config.text("log.level") != "error" {
        notes()?.iter().for_each(|line| text::note(line));
    }
    Ok(())
}
