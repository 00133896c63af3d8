//! Plan and judge in one call: what is asked, how the answer is divided, what is done when a part is missing.

use std::{sync::Arc, time::Duration};

use lacon_llm::{Client, Error, ErrorKind, Finish, Response};
use lacon_trading::{
    Optimizations, Role, Settings, decide,
    merged::{Part, Parts, split},
};
use proptest::prelude::*;

use crate::support::{Scripted, cast, prompt, run, says, settings, sim};

const PLAN: &str = "Buy a third at 181.64, stop at 165.10.\nRisk: a fall to 150.\nRecommendation: BUY";
const JUDGEMENT: &str = "Bull 7 of 10, bear 6 of 10.\nConsensus: yes";

fn merged(name: &str, client: Arc<dyn Client>) -> Settings {
    let mut merged = settings(name, "lacon", &[], client);
    merged.optimizations = Optimizations::new("lacon", &[], &["merged_judge"]).unwrap();
    merged
}

/// A model whose plan's first answer is this.
fn planning(first: impl Fn() -> Result<Response, Error> + Send + Sync + 'static) -> Arc<Scripted> {
    Scripted::new(move |role, n, _| match (role, n) {
        ("plan", 1) => first(),
        _ => Ok(says(role, "x 12.50")),
    })
}

fn both() -> String {
    format!("# Investment plan\n{PLAN}\n\n# Judgement of the debate\n{JUDGEMENT}")
}

#[tokio::test(start_paused = true)]
async fn one_call_answers_for_both_roles_and_the_books_say_so() {
    let apart = run(settings("merged-off", "lacon", &[], sim())).await.record;
    assert!(
        !apart.optimizations["merged_judge"].on && apart.optimizations["parallel_judge"].saved_s.is_some()
    );
    let on = merged("merged-on", sim());
    let out = on.out.clone();
    let decided = decide(on).await;
    let record = decided.record;
    assert_eq!((apart.calls.len(), record.calls.len()), (13, 12));
    assert!(record.calls.iter().all(|call| call.role != "judge"));
    assert_eq!(record.reports.len(), 13);
    assert!(record.reports.iter().all(|r| r.words > 0 && r.complete), "{:?}", record.reports);
    assert!(record.decision.parsed && record.warnings.is_empty(), "{:?}", record.warnings);
    assert_eq!((record.plan.compared, record.plan.equal), (12, 12));
    assert_eq!(record.plan.tokens_planned, record.plan.tokens_sent);
    assert!(record.reads.iter().any(|r| r.reader == "judge" && r.text == "bear" && r.share > 0.99));
    assert!(record.reads.iter().any(|r| r.reader == "risk_manager" && r.text == "judge" && r.share > 0.99));
    // What was saved is the judge's prompt less what the longer instruction costs.
    let saved = record.optimizations["merged_judge"].saved_tokens.unwrap();
    let judge = apart.calls.iter().find(|call| call.role == "judge").unwrap().prompt.unwrap() as i64;
    assert!(record.optimizations["merged_judge"].on && saved > 0 && saved < judge, "{saved} of {judge}");
    assert!(record.tokens.prompt < apart.tokens.prompt);
    assert_eq!(record.optimizations["parallel_judge"].saved_s, None);
    for role in [Role::Plan, Role::Judge] {
        let text = std::fs::read_to_string(decided.folder.join(role.path())).unwrap();
        let other = if role == Role::Plan { "Judgement of the debate" } else { "Recommendation" };
        assert!(text.len() > 300 && !text.contains(other), "{role}: {text}");
    }
    let receipts = std::fs::read_to_string(decided.folder.join("receipts.jsonl")).unwrap();
    let receipt: serde_json::Value = receipts
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .find(|l: &serde_json::Value| l["pass"] == "merged_judge")
        .unwrap();
    assert_eq!(receipt["roles"], serde_json::json!(["plan", "judge"]));
    assert_eq!(receipt["missing"], serde_json::json!({ "plan": false, "judge": false }));
    let events = std::fs::read_to_string(decided.folder.join("events.jsonl")).unwrap();
    assert!(events.contains("\"judge\""));
    std::fs::remove_dir_all(out).unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_call_asks_for_both_parts_with_the_limits_of_both() {
    let client = planning(|| Ok(Response::new("m", both())));
    run(merged("merged-asks", client.clone())).await;
    let request = client.of("plan").remove(0);
    let text = prompt(&request);
    for part in [
        "at most 412 words in all.",
        "# Investment plan\nRole: research manager.",
        "Words of this part: 300.\nBegin with the line \"RECOMMENDATION [",
        "# Judgement of the debate\nRole: debate judge.",
        "Words of this part: 112.",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(request.max_tokens, Some(300 * 4 + 128 + 112 * 4 + 128));
    assert_eq!(request.model, "gpt-4o");
    assert_eq!(client.of("judge").len(), 0);
    let risk = prompt(&client.of("risk_manager").remove(0));
    assert!(risk.contains(&format!("## Debate judge\n{JUDGEMENT}\n")), "{risk}");
    assert!(prompt(&client.of("risky").remove(0)).contains(&format!("## Research manager\n{PLAN}\n")));
    // Without the plan's own limits nothing is limited.
    let client = planning(|| Ok(Response::new("m", both())));
    let mut free = merged("merged-free", client.clone());
    free.optimizations = Optimizations::new("lacon", &["word_limits"], &["merged_judge"]).unwrap();
    run(free).await;
    let request = client.of("plan").remove(0);
    assert!(request.max_tokens.is_none() && !prompt(&request).contains("words"), "{}", prompt(&request));
}

#[tokio::test(start_paused = true)]
async fn a_missing_judgement_is_asked_for_beside_the_risk_roles() {
    for answer in [PLAN.to_owned(), format!("# Investment plan\n{PLAN}\n# Judgement of the debate\n\n")] {
        let client = planning(move || Ok(Response::new("m", answer.clone())));
        let record = run(merged("merged-unjudged", client.clone())).await.record;
        assert_eq!((record.calls.len(), client.of("plan").len()), (13, 1));
        let asked = client.of("judge");
        assert_eq!(asked.len(), 1);
        // Nobody waits for it but the risk manager: the quick model is asked, as beside the plan.
        assert_eq!(asked[0].model, "gpt-4o-mini");
        assert!(
            prompt(&asked[0]).contains("Write at most 112 words.")
                && !prompt(&asked[0]).contains("two parts")
        );
        let start = |role: &str| record.calls.iter().find(|c| c.role == role).unwrap().start_s;
        assert!(
            (start("judge") - start("risky")).abs() < 0.01 && start("risk_manager") > start("judge") + 0.9
        );
        assert_eq!(record.reports.iter().filter(|r| r.words > 0).count(), 13);
        assert!(prompt(&client.of("risky").remove(0)).contains(PLAN));
        assert_eq!((record.plan.compared, record.plan.equal), (13, 13));
        assert!(
            record.optimizations["merged_judge"].saved_tokens.unwrap() < 0,
            "the longer instruction saved nothing"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_plan_is_asked_for_alone_and_the_judgement_stays() {
    for opening in ["", "Here is what you asked for.\n\n"] {
        let answer = format!("{opening}# Judgement of the debate\n{JUDGEMENT}");
        let client = planning(move || Ok(Response::new("m", answer.clone())));
        let record = run(merged("merged-unplanned", client.clone())).await.record;
        assert_eq!((client.of("plan").len(), client.of("judge").len()), (2, 0));
        let second = client.of("plan").remove(1);
        assert!(
            prompt(&second).contains("Write at most 300 words.") && !prompt(&second).contains("two parts")
        );
        assert_eq!(
            record.calls.iter().filter(|c| c.role == "plan").map(|c| c.turn).collect::<Vec<_>>(),
            [1, 2]
        );
        assert_eq!(record.reports.iter().filter(|r| r.words > 0).count(), 13);
        let read = prompt(&client.of("risk_manager").remove(0));
        assert!(
            read.contains(JUDGEMENT) && read.contains(opening.trim()) && read.contains("plan says x 12.50")
        );
        assert_eq!((record.plan.compared, record.plan.equal), (12, 12));
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_answer_lacks_both_and_any_other_fault_stops_the_run_as_ever() {
    let client = planning(|| Ok(Response::new("m", "  \n")));
    let record = run(merged("merged-empty", client.clone())).await.record;
    assert_eq!((client.of("plan").len(), client.of("judge").len()), (2, 1));
    assert_eq!((record.status.as_str(), record.reports.iter().filter(|r| r.words > 0).count()), ("done", 13));
    let client = planning(|| Err(Error::new(ErrorKind::InvalidRequest, "refused")));
    let decided = run(merged("merged-refused", client.clone())).await;
    assert!(decided.failure.unwrap().to_string().contains("plan: refused"));
    assert_eq!(client.of("judge").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_cut_answer_marks_the_part_that_it_ends_in() {
    let cut = |text: String| {
        planning(move || Ok(Response { finish: Finish::Length, ..Response::new("m", text.clone()) }))
    };
    let client = cut(both());
    let record = run(merged("merged-cut", client.clone())).await.record;
    let complete = |role: &str| record.reports.iter().find(|r| r.role == role).unwrap().complete;
    assert_eq!((complete("plan"), complete("judge"), client.of("judge").len()), (true, false, 0));
    let client = cut(format!("# Investment plan\n{PLAN}"));
    let record = run(merged("merged-cut-early", client.clone())).await.record;
    let complete = |role: &str| record.reports.iter().find(|r| r.role == role).unwrap().complete;
    assert_eq!((complete("plan"), complete("judge"), client.of("judge").len()), (false, true, 1));
}

/// The plan's own repair is asked of the plan alone.
#[tokio::test(start_paused = true)]
async fn a_plan_that_lacks_its_parts_is_repaired_by_itself() {
    let client = planning(|| {
        Ok(Response::new(
            "m",
            format!("# Investment plan\nWe shall see.\n\n# Judgement of the debate\n{JUDGEMENT}"),
        ))
    });
    let record = run(merged("merged-repair", client.clone())).await.record;
    assert_eq!((client.of("plan").len(), client.of("judge").len()), (2, 0));
    let again = client.of("plan").remove(1);
    assert!(
        prompt(&again).contains("We shall see.\nThe answer lacks: ") && !prompt(&again).contains("two parts")
    );
    assert_eq!(record.reports.iter().filter(|r| r.words > 0).count(), 13);
}

#[tokio::test(start_paused = true)]
async fn where_a_further_round_can_follow_and_in_other_orders_nothing_is_merged() {
    let calls = |enabled: &'static [&'static str], profile: &'static str, rounds: u32| async move {
        let client = Scripted::new(|role, _, _| Ok(says(role, "x")));
        let mut several =
            settings(&format!("merged-{profile}-{rounds}-{}", enabled.len()), profile, &[], client.clone());
        several.optimizations = Optimizations::new(profile, &[], enabled).unwrap();
        several.cast = cast(profile, |options| options.research_rounds = rounds);
        let record = run(several).await.record;
        let mut sent: Vec<String> =
            client.asked.lock().unwrap().iter().map(|r| format!("{} {}", r.tags.role, prompt(r))).collect();
        assert!(record.decision.parsed);
        sent.sort();
        sent
    };
    for (profile, rounds) in [("lacon", 2), ("upstream", 1)] {
        let (with, without) =
            (calls(&["merged_judge"], profile, rounds).await, calls(&[], profile, rounds).await);
        assert!(with == without, "{profile}");
    }
    let seed = calls(&["merged_judge"], "seed", 1).await;
    assert!(seed.iter().any(|text| text.starts_with("plan ") && text.contains("Answer in two parts")));
}

#[tokio::test(start_paused = true)]
async fn limits_and_a_near_deadline_hold_for_both_parts() {
    let whole = run(merged("merged-whole", sim())).await.record;
    let took = whole.calls.iter().map(|c| c.end_s).fold(0.0, f64::max);
    let mut late = merged("merged-late", sim());
    late.deadline = Some(Duration::from_secs_f64(took * 0.85));
    let late = run(late).await.record;
    assert_eq!(late.status, "done", "{:?}", late.degraded);
    assert!(late.degraded.iter().any(|d| d.role == "plan"), "{:?}", late.degraded);
    assert_eq!((late.plan.compared, late.plan.equal), (12, 12));
    assert_eq!(late.reports.iter().filter(|r| r.words > 0).count(), 13);
    let mut tight = merged("merged-tight", sim());
    tight.budget_tokens = whole.tokens.total * 85 / 100;
    let tight = run(tight).await.record;
    assert_eq!(tight.reports.iter().filter(|r| r.words > 0).count(), 13, "{:?}", tight.warnings);
    assert!(tight.tokens.total <= whole.tokens.total * 85 / 100);
    assert_eq!((tight.plan.compared, tight.plan.equal), (12, 12));
}

fn check(answer: &str, plan: &str, judgement: &str) {
    let parts = split(answer);
    let found = (parts.plan.as_deref().unwrap_or(""), parts.judgement.as_deref().unwrap_or(""));
    assert_eq!(found, (plan, judgement), "{answer}");
}

/// Ways in which models set a heading.
const HEADINGS: [fn(&str) -> String; 18] = [
    |h| format!("# {h}"),
    |h| format!("### {h}"),
    |h| format!("## {h}:"),
    |h| format!("## **{h}**"),
    |h| format!("**{h}**"),
    |h| format!("**{h}:**"),
    |h| format!("__{h}__"),
    |h| format!("*{h}*"),
    |h| h.to_owned(),
    |h| format!("{h}:"),
    |h| h.to_uppercase(),
    |h| format!("## 2. {h}"),
    |h| format!("# Part 2: {h}"),
    |h| format!("**Part two – {h}**"),
    |h| format!("> # {h} #"),
    |h| format!("{h}\n==="),
    |h| format!("{h}\n--------"),
    |h| format!("---\n\n## {h}\n\n***"),
];

#[test]
fn parts_are_found_under_any_usual_heading() {
    for heading in HEADINGS {
        for name in ["Judgement of the debate", "Judgment of the Debate", "Judgement", "Debate judgment"] {
            let (plan, judgement) = (heading("Investment plan"), heading(name));
            check(&format!("{plan}\n\n{PLAN}\n\n{judgement}\n\n{JUDGEMENT}\n"), PLAN, JUDGEMENT);
            check(&format!("{judgement}\n{JUDGEMENT}\n{plan}\n{PLAN}"), PLAN, JUDGEMENT);
            // The first heading is forgotten more often than the second.
            check(&format!("{PLAN}\n{judgement}\n{JUDGEMENT}"), PLAN, JUDGEMENT);
        }
    }
    check(&format!("{PLAN}\n\n**Judgement:** {JUDGEMENT}"), PLAN, JUDGEMENT);
    check(
        &format!("**Investment plan:** {PLAN}\n\n**Judgement of the debate:** {JUDGEMENT}"),
        PLAN,
        JUDGEMENT,
    );
    check(
        &format!("## Investment Plan for CRCL\n{PLAN}\n## Judgement of the debate (150 words)\n{JUDGEMENT}"),
        &format!("## Investment Plan for CRCL\n{PLAN}"),
        &format!("## Judgement of the debate (150 words)\n{JUDGEMENT}"),
    );
}

#[test]
fn what_only_looks_like_a_heading_stays_in_its_part() {
    // Where the heading that was asked for is there, no other name of the part counts.
    let plan = format!("{PLAN}\n## Judgement\nOur own.\n**Plan**\nWait.");
    check(&format!("# Investment plan\n{plan}\n# Judgement of the debate\n{JUDGEMENT}"), &plan, JUDGEMENT);
    for text in
        [PLAN, "In our judgement: buy.", "A judgement of the debate is not needed.", "Plan: buy, 12.50"]
    {
        assert_eq!(
            split(text),
            Parts { plan: Some(text.into()), last: Some(Part::Plan), ..Parts::default() }
        );
    }
    assert_eq!(split(" \n\n"), Parts::default());
    let only = split(&format!("# Judgement of the debate\n{JUDGEMENT}"));
    assert_eq!(
        (only.plan, only.judgement.as_deref(), only.last),
        (None, Some(JUDGEMENT), Some(Part::Judgement))
    );
}

/// Everything of a text but its blanks.
fn substance(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dividing_gives_back_what_was_put_together(
        plan in "x[^\n\r]{0,60}(\n[^\n\r]{0,60}x){0,6}",
        judgement in "x[^\n\r]{0,60}(\n[^\n\r]{0,60}x){0,6}",
        first in 0..HEADINGS.len(),
        second in 0..HEADINGS.len(),
        swapped: bool,
    ) {
        let (plan, judgement) = (plan.as_str(), judgement.as_str());
        let (h, g) = (HEADINGS[first]("Investment plan"), HEADINGS[second]("Judgement of the debate"));
        let answer = match swapped {
            false => format!("{h}\n{plan}\n{g}\n{judgement}"),
            true => format!("{g}\n{judgement}\n{h}\n{plan}"),
        };
        let parts = split(&answer);
        prop_assert_eq!(substance(&parts.plan.unwrap_or_default()), substance(plan));
        prop_assert_eq!(substance(&parts.judgement.unwrap_or_default()), substance(judgement));
    }

    /// Nothing of any answer is lost but headings, their marks and rules, nothing is doubled, and nothing is made up.
    #[test]
    fn nothing_of_an_answer_is_lost(lines in proptest::collection::vec(prop_oneof![
        "\\PC{0,40}".prop_map(|text| (false, text)),
        "[#*_>:. -]{0,4}(Investment plan|Judgement|Judgment of the debate|Plan|Part 2: Judgement)[#*_:. -]{0,4}"
            .prop_map(|text| (true, text)),
        "[-=*_]{3,6}".prop_map(|text| (true, text)),
    ], 0..12), said in proptest::collection::vec(any::<bool>(), 12)) {
        // Each text begins with a word of its own; a heading or a rule may say something behind it.
        // No random text holds a character of private use.
        let word = |i: usize| format!("w{i}\u{e000}w");
        let line = |(i, (heading, text)): (usize, &(bool, String))| match (heading, said[i]) {
            (false, _) => format!("{} {text}", word(i)),
            (true, true) => format!("{text} {}", word(i)),
            (true, false) => text.clone(),
        };
        let answer: Vec<String> = lines.iter().enumerate().map(line).collect();
        let parts = split(&answer.join("\n"));
        let kept: Vec<&str> = parts.plan.iter().chain(&parts.judgement).flat_map(|text| text.lines()).collect();
        for (i, (heading, _)) in lines.iter().enumerate() {
            let found = kept.iter().filter(|line| line.contains(&word(i))).count();
            prop_assert_eq!(found, usize::from(!heading || said[i]), "{:?} in {:?} of {:?}", word(i), kept, answer);
            let whole = kept.iter().any(|line| line.trim_end() == answer[i].trim_end());
            prop_assert!(*heading || whole, "{:?} is lost from {:?}", answer[i], answer);
        }
        for line in kept {
            prop_assert!(answer.iter().any(|of| of.trim_end().ends_with(line.trim_end())), "{line:?} of {answer:?}");
        }
    }
}
