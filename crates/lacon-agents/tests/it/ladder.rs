//! What a run gives up near its deadline, and what it never does.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use lacon_agents::{Finished, Optimization, Optimizations, Settings};
use serde_json::json;

use crate::support::{asked, done, inputs, scripted, team};

/// Two agents of 300 words each one after another, which should take about 21 s, with a deadline. Gives the word limits
/// and the models of the calls.
async fn limits(deadline_s: u64, speed: f64, figures: usize) -> (Vec<(u32, String)>, Finished) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let client = scripted(move |request| {
        let limit =
            asked(request).split_once("at most ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
        kept.lock().unwrap().push((limit, request.model.clone()));
        "It is so.".into()
    });
    let team = team(
        "[team]\nname = \"t\"\ninputs = { d = \"text\" }\nmodels = { quick = \"gpt-4o-mini\", deep = \"gpt-4o\" }\n\
         [[agent]]\nname = \"a\"\nreads = [\"input:d\"]\nprompt = \"x\"\nwords = 300\n[[agent]]\nname = \"b\"\nreads = [\"a\"]\nprompt = \"x\"\nwords = 300\n",
    );
    let data: String = (0..figures).map(|i| format!("{i} ")).collect();
    let inputs = inputs(&team, &[("d", json!(data))]);
    let deadline = Some(Duration::from_secs(deadline_s));
    // What is planned for the deadline from the start leaves the ladder less to do.
    let optimizations = Optimizations::all().without(Optimization::PromptPlan);
    let settings = Settings { inputs, deadline, speed, optimizations, ..Settings::new(team, client) };
    let finished = done(settings).await;
    let seen = seen.lock().unwrap().clone();
    (seen, finished)
}

#[tokio::test(start_paused = true)]
async fn length_goes_first_and_then_the_model() {
    let at = |words: u32, model: &str| (words, model.to_owned());
    let (seen, finished) = limits(60, 1.0, 0).await;
    assert_eq!(seen, [at(300, "gpt-4o"), at(300, "gpt-4o")]);
    assert!(finished.record.degraded.is_empty());
    // Too little for both; what is left when the second begins is enough.
    let (seen, finished) = limits(18, 1.0, 0).await;
    assert_eq!(seen, [at(180, "gpt-4o"), at(300, "gpt-4o")]);
    let degraded = &finished.record.degraded;
    assert_eq!((degraded[0].role.as_str(), degraded[0].step.as_str()), ("a", "shorter_answer"));
    assert_eq!(finished.record.optimizations["deadline_ladder"].times, Some(1));
    let (seen, _) = limits(5, 1.0, 0).await;
    assert_eq!(seen, [at(180, "gpt-4o-mini"), at(180, "gpt-4o-mini")]);
    // A simulated model that is faster than recorded ones needs less.
    let (seen, _) = limits(5, 0.1, 0).await;
    assert_eq!(seen[0], at(300, "gpt-4o"));
}

#[tokio::test(start_paused = true)]
async fn figures_keep_their_room() {
    let (seen, _) = limits(18, 1.0, 50).await;
    assert_eq!(seen[0].0, 250, "five words a figure instead of 180 words");
}
