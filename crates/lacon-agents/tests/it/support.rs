//! Teams, clients and runs for the tests.

use std::{collections::BTreeMap, sync::Arc};

use lacon_agents::{Finished, Inputs, Settings, Team, Tools, file, run};
use lacon_llm::{BoxFuture, Client, ClientInfo, Error, Request, Response, StreamEvent};
use lacon_sim::{SimClient, SimOptions, generic::passages};
use serde_json::Value;

/// A team from its file; a head is put before it.
#[track_caller]
pub fn team(text: &str) -> Team {
    let text =
        if text.contains("[team]") { text.to_owned() } else { format!("[team]\nname = \"t\"\n{text}") };
    file::parse("t.toml", &text).unwrap_or_else(|faults| panic!("{faults}"))
}

/// Every fault of a file, as text.
#[track_caller]
pub fn faults(text: &str) -> String {
    file::parse("t.toml", text).expect_err("the team has faults").to_string()
}

pub fn inputs(team: &Team, given: &[(&str, Value)]) -> Inputs {
    let given: BTreeMap<String, Value> = given.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    Inputs::new(team, &given).unwrap()
}

/// A simulator that answers at once.
pub fn sim() -> Arc<dyn Client> {
    Arc::new(SimClient::generic(SimOptions { time_scale: 0.0, ..SimOptions::default() }))
}

/// Made-up passages for every simulated tool.
pub fn tools(team: &Team) -> Tools {
    team.tools.iter().filter(|tool| tool.simulated).fold(Tools::new(), |tools, tool| {
        let name = tool.name.clone();
        tools.with(&tool.name, move |arguments| {
            let text = passages(1, &name, &arguments);
            async move { Ok(text) }
        })
    })
}

pub fn settings(team: Team, given: &[(&str, Value)]) -> Settings {
    Settings { inputs: inputs(&team, given), tools: tools(&team), ..Settings::new(team, sim()) }
}

pub async fn done(settings: Settings) -> Finished {
    let finished = run(settings).await;
    assert!(finished.failure.is_none(), "{:?}", finished.failure);
    finished
}

/// A client made of a function from a request to an answer.
pub struct Scripted<F>(pub F);

impl<F: Fn(&Request) -> Result<Response, Error> + Send + Sync> Client for Scripted<F> {
    fn complete<'a>(
        &'a self,
        request: &'a Request,
        _: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
    ) -> BoxFuture<'a, Result<Response, Error>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            (self.0)(request)
        })
    }

    fn describe(&self) -> ClientInfo {
        ClientInfo { provider: "script".into(), base_url: String::new(), simulated: true }
    }
}

/// A client that answers by a text.
pub fn scripted(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Arc<dyn Client> {
    Arc::new(Scripted(move |request: &Request| Ok(Response::new(request.model.clone(), answer(request)))))
}

/// The instruction of a request: its last message.
pub fn asked(request: &Request) -> &str {
    request.messages.last().map_or("", |m| m.content.as_str())
}
