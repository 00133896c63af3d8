//! Flags of the commands for data and the synthetic world.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Flags of `lacon data`.
#[derive(Debug, Args)]
pub struct DataArgs {
    /// What to do
    #[command(subcommand)]
    pub command: DataCommand,
}

/// Subcommands of `lacon data`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Download an offline pack from vendors
    Pull(PullArgs),
    /// Check every file and digest of an offline pack
    Verify(VerifyArgs),
}

/// Flags of `lacon data pull`.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// The tickers
    #[arg(required = true)]
    pub tickers: Vec<String>,
    /// Last day of data in the pack, yyyy-mm-dd [default: today]
    #[arg(long, value_name = "DATE")]
    pub date: Option<String>,
    /// The pack's folder
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub out: PathBuf,
    /// Send requests for every vendor to URL/VENDOR
    #[arg(long, value_name = "URL")]
    pub vendors_url: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon data verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The pack's folder
    pub folder: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags of `lacon sim`.
#[derive(Debug, Args)]
pub struct SimArgs {
    /// What to do
    #[command(subcommand)]
    pub command: SimCommand,
}

/// Subcommands of `lacon sim`.
#[derive(Debug, Subcommand)]
pub enum SimCommand {
    /// Serve synthetic vendors and models on 127.0.0.1
    Serve(ServeArgs),
}

/// Flags of `lacon sim serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The port; 0 takes a free one
    #[arg(long, value_name = "P", default_value_t = 8090)]
    pub port: u16,
    /// Wall seconds per simulated second; 0 answers at once
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub time_scale: Option<String>,
    /// Faults and their share of answers, such as 429=0.05,500=0.02,cut=0.01,slow:5=0.1
    #[arg(long, value_name = "SPEC", default_value = "")]
    pub faults: String,
    /// Random seed of the world
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<String>,
    /// The world's last day, yyyy-mm-dd [default: today]
    #[arg(long, value_name = "DATE")]
    pub date: Option<String>,
}
