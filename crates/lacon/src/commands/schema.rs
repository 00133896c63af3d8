//! `lacon schema`: the JSON Schema of output files.

use std::process::ExitCode;

use crate::{
    args::{SchemaArgs, SchemaOf},
    failure::Failure,
    text,
};

/// Prints the schema.
pub fn run(args: &SchemaArgs) -> Result<ExitCode, Failure> {
    let schema = match args.what {
        SchemaOf::Team => lacon_agents::record::schema(),
        SchemaOf::Run => lacon_monitor::record::schema(&lacon_trading::outcome::LABELS),
    };
    text::out(&format!("{schema:#}"));
    Ok(ExitCode::SUCCESS)
}
