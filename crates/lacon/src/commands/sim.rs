//! `lacon sim serve`: the synthetic world on the loopback address.

use std::{net::Ipv4Addr, process::ExitCode, sync::Arc};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use lacon_sim::{
    FaultPlan, SimOptions, World,
    server::{ServeOptions, serve},
};

use super::{Common, block_on};
use crate::{
    args::data::{ServeArgs, SimArgs, SimCommand},
    failure::{Failure, INTERRUPTED},
    signals, text, world,
};

/// Runs the subcommand.
pub fn run(common: &Common, args: &SimArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        SimCommand::Serve(args) => serve_world(common, args),
    }
}

fn serve_world(common: &Common, args: &ServeArgs) -> Result<ExitCode, Failure> {
    let config =
        common.settings(&[("sim.seed", args.seed.as_ref()), ("sim.time_scale", args.time_scale.as_ref())])?;
    let today = match &args.date {
        None => Timestamp::now().to_zoned_datetime(TimeZone::UTC).date(),
        Some(day) => day.parse::<Date>().map_err(|_| {
            Failure::input(format!(
                "date {day:?} is not a day\nhint: write it as yyyy-mm-dd, such as 2025-07-30"
            ))
        })?,
    };
    let faults = FaultPlan::parse(&args.faults).map_err(Failure::input)?;
    let sim = SimOptions { faults: lacon_sim::Faults::default(), ..world::sim_options(&config)? };
    let options = ServeOptions { world: Arc::new(World::new(sim.seed, today)), sim, faults };
    block_on(async {
        let address = (Ipv4Addr::LOCALHOST, args.port);
        let listener = tokio::net::TcpListener::bind(address).await.map_err(|e| {
            Failure::input(format!(
                "cannot listen on 127.0.0.1:{}: {e}\nhint: choose another port with --port",
                args.port
            ))
        })?;
        let url = listener
            .local_addr()
            .map(|a| format!("http://{a}"))
            .map_err(|e| Failure::input(format!("the listener has no address: {e}")))?;
        text::out(&format!("SYNTHETIC world at {url}, last day {today}, seed {}", sim.seed));
        text::note(&format!(
            "lacon run AAPL --llm openai --base-url {url}/v1 --data vendors --vendors-url {url} --date {today}"
        ));
        let (serving, stop) = (std::pin::pin!(serve(listener, options)), std::pin::pin!(signals::stop()));
        match futures_util::future::select(serving, stop).await {
            futures_util::future::Either::Left((error, _)) => {
                Err(Failure::input(format!("the server stopped: {error}")))
            }
            futures_util::future::Either::Right(_) => Ok(ExitCode::from(INTERRUPTED)),
        }
    })?
}
