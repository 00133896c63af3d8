//! The team's file is whole: the engine of any team runs it, with the market's tools and without a line about trading.

use std::{collections::BTreeMap, sync::Arc};

use lacon_agents::{Inputs, Settings, Tools, run};
use lacon_market::{Semantics, Symbol, pack};
use lacon_sim::{SimClient, SimOptions};
use lacon_trading::{source::DatasetSource, team};

#[tokio::test(start_paused = true)]
async fn the_engine_of_any_team_runs_every_profile_and_comes_to_a_decision() {
    let data = Arc::new(pack::load(&Symbol::parse("CRCL").unwrap()).unwrap());
    let date = jiff::civil::date(2025, 7, 30);
    let source = Arc::new(DatasetSource::new(data, date, Semantics::Standard, None));
    for profile in ["lacon", "baseline", "upstream"] {
        let team = team::of_profile(profile).clone();
        let given = [
            ("ticker", "CRCL"),
            ("company", "Circle Internet Group"),
            ("date", "2025-07-30"),
            ("month_before", "2025-06-30"),
        ];
        let given: BTreeMap<_, _> =
            given.into_iter().map(|(name, text)| (name.into(), text.into())).collect();
        let inputs = Inputs::new(&team, &given).unwrap();
        let with =
            |tools: Tools, tool: &lacon_agents::team::Tool| tools.with_source(&tool.name, source.clone());
        let tools = team.tools.iter().fold(Tools::new(), with);
        let client = Arc::new(SimClient::generic(SimOptions { time_scale: 0.0, ..SimOptions::default() }));
        let agents = team.agents.len();
        let finished = run(Settings { inputs, tools, ..Settings::new(team, client) }).await;
        assert!(finished.failure.is_none(), "{profile}: {:?}", finished.failure);
        let record = finished.record;
        assert_eq!(record.agents.iter().filter(|agent| agent.calls > 0).count(), agents, "{profile}");
        assert_eq!(record.decision.unwrap().agent, "risk_manager", "{profile}");
        // The first report rests on the market's prices.
        let asked =
            record.tools.iter().filter(|tool| tool.name == "get_YFin_data_online" && tool.status == "ok");
        assert!(asked.count() > 0, "{profile}");
    }
}
