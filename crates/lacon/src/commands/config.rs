//! `lacon config`: settings and where they come from.

use std::process::ExitCode;

use lacon_runtime::settings::SETTINGS;

use super::Common;
use crate::{
    args::{ConfigArgs, ConfigCommand},
    failure::Failure,
    text,
};

/// Runs the subcommand.
pub fn run(common: &Common, args: &ConfigArgs) -> Result<ExitCode, Failure> {
    match args.command {
        ConfigCommand::Reference => text::out(lacon_runtime::config::reference().trim_end()),
        ConfigCommand::Show { origin, json } => {
            let config = common.settings(&[])?;
            if json {
                let rows: serde_json::Map<String, serde_json::Value> = SETTINGS
                    .iter()
                    .map(|s| {
                        let row = serde_json::json!({"value": config.shown(s), "origin": config.origin(s.key).to_string()});
                        (s.key.to_owned(), row)
                    })
                    .collect();
                text::out(&format!("{:#}", serde_json::json!({"schema_version": 1, "settings": rows})));
            } else {
                let width = SETTINGS.iter().map(|s| s.key.len()).max().unwrap_or(0);
                let values: Vec<String> = SETTINGS.iter().map(|s| config.shown(s)).collect();
                let value_width = values.iter().map(|v| v.chars().count()).max().unwrap_or(0);
                for (s, value) in SETTINGS.iter().zip(values) {
                    let line = if origin {
                        format!("{:width$}  {value:value_width$}  {}", s.key, config.origin(s.key))
                    } else {
                        format!("{:width$}  {value}", s.key)
                    };
                    text::out(line.trim_end());
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
