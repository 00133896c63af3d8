//! `lacon new`: a team of one's own, begun from a shipped one; it runs at once against the simulator.

use std::{path::Path, process::ExitCode};

use lacon_agents::{shipped, template::is_name};

use crate::{args::team::NewArgs, failure::Failure, text};

/// Writes `NAME/team.toml`.
pub fn run(args: &NewArgs) -> Result<ExitCode, Failure> {
    let name = &args.name;
    if !is_name(name) {
        return Err(Failure::input(format!(
            "team name {name:?} cannot be used\nhint: 1 to 64 letters, digits, '_' or '-'"
        )));
    }
    let template = shipped::find(&args.template).ok_or_else(|| {
        let known: Vec<&str> = shipped::SHIPPED.iter().map(|shipped| shipped.name).collect();
        Failure::input(format!("template {:?} is unknown\nhint: one of {}", args.template, known.join(", ")))
    })?;
    let folder = Path::new(name);
    let file = folder.join("team.toml");
    if file.exists() {
        let file = file.display();
        return Err(Failure::input(format!(
            "{file} is there already\nhint: choose another name, or edit it"
        )));
    }
    let failed = |error: std::io::Error| Failure::input(format!("{}: {error}", file.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    std::fs::write(&file, template.renamed(name)).map_err(failed)?;
    text::out(&format!("{}", file.display()));
    let team = template.team().map_err(Failure::input)?;
    let inputs = team.inputs.iter().filter(|(_, input)| input.default.is_none());
    let inputs: Vec<String> = inputs.map(|(input, _)| format!(" --input {input}=…")).collect();
    let (file, inputs) = (file.display(), inputs.concat());
    text::note(&format!("check it:  lacon check {file}\nrun it:    lacon run {file}{inputs}"));
    Ok(ExitCode::SUCCESS)
}
