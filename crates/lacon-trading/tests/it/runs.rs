//! Whole runs: profiles, optimizations, what they leave.

use lacon_trading::{Optimizations, Role, decide, optimizations::OPTIMIZATIONS};

use crate::support::{Scripted, folder, prompt, run, says, settings, sim};

#[tokio::test(start_paused = true)]
async fn both_profiles_answer_with_every_role() {
    for (profile, calls) in [("lacon", 13), ("seed", 18)] {
        let decided = run(settings(&format!("profile-{profile}"), profile, &[], sim())).await;
        let record = decided.record;
        assert_eq!(record.calls.len(), calls, "{profile}");
        assert_eq!(record.reports.len(), 13);
        assert!(record.decision.parsed);
        assert!(record.reports.iter().all(|r| r.words > 0));
        assert_eq!(record.plan.tokens_planned, record.plan.tokens_sent, "our counts equal the provider's");
        assert_eq!(record.tokens.total, record.tokens.prompt + record.tokens.completion);
    }
}

#[tokio::test(start_paused = true)]
async fn the_lacon_profile_takes_half_the_tokens_and_much_less_time() {
    let seed = run(settings("compare-seed", "seed", &[], sim())).await.record;
    let ours = run(settings("compare-lacon", "lacon", &[], sim())).await.record;
    assert!(ours.tokens.total * 10 < seed.tokens.total * 6, "{} {}", ours.tokens.total, seed.tokens.total);
    assert!(ours.calls.len() < seed.calls.len());
    let span = |r: &lacon_monitor::RunRecord| r.calls.iter().map(|c| c.end_s).fold(0.0, f64::max);
    assert!(span(&ours) < 0.7 * span(&seed), "{} {}", span(&ours), span(&seed));
}

/// Each optimization alone can be switched off, or on where it is off by itself; the run still answers in full.
#[tokio::test(start_paused = true)]
async fn every_optimization_has_a_switch() {
    for (optimization, usual) in OPTIMIZATIONS.iter().map(|l| (l.name, l.usual)).chain([("all", true)]) {
        let mut switched = settings(&format!("optimization-{optimization}"), "lacon", &[], sim());
        let (off, on): (&[&str], &[&str]) =
            if usual { (&[optimization], &[]) } else { (&[], &[optimization]) };
        switched.optimizations = Optimizations::new("lacon", off, on).unwrap();
        let decided = run(switched).await;
        assert!(decided.failure.is_none(), "{optimization}: {:?}", decided.failure);
        assert_eq!(decided.record.reports.len(), 13, "{optimization}");
        if optimization != "all" {
            assert_eq!(decided.record.optimizations[optimization].on, !usual, "{optimization}");
        }
    }
}

/// Optimizations that change when things happen, not what is sent, leave every prompt as it is.
#[tokio::test(start_paused = true)]
async fn timing_optimizations_change_no_prompt() {
    let prompts = |disabled: &'static [&'static str]| async move {
        let client = Scripted::new(|role, _, _| Ok(says(role, "the same 12.50")));
        let decided =
            run(settings(&format!("equal-{}", disabled.len()), "lacon", disabled, client.clone())).await;
        let mut texts: Vec<String> =
            client.asked.lock().unwrap().iter().map(|r| format!("{}\n{}", r.tags.role, prompt(r))).collect();
        texts.sort();
        (texts, decided.record.decision.action, decided.record.plan.digest)
    };
    let with = prompts(&[]).await;
    let without = prompts(&["no_barrier", "tool_cache"]).await;
    assert_eq!(with, without);
}

#[tokio::test(start_paused = true)]
async fn sibling_prompts_share_their_beginning() {
    let client = Scripted::new(|role, _, _| Ok(says(role, "x")));
    run(settings("prefix", "lacon", &[], client.clone())).await;
    for pair in [["bull", "bear"], ["risky", "safe"], ["safe", "neutral"], ["bull", "plan"]] {
        let [a, b] = pair.map(|role| client.of(role).remove(0));
        assert_eq!(a.messages[..2], b.messages[..2], "{pair:?}");
    }
    let client = Scripted::new(|role, _, _| Ok(says(role, "x")));
    run(settings("no-prefix", "lacon", &["prefix_layout"], client.clone())).await;
    assert_ne!(client.of("bull")[0].messages[0], client.of("bear")[0].messages[0]);
}

#[tokio::test(start_paused = true)]
async fn each_role_is_held_to_its_words() {
    let client = Scripted::new(|role, _, _| Ok(says(role, "x")));
    run(settings("words", "lacon", &[], client.clone())).await;
    for role in Role::ANSWERING {
        let request = client.of(role.name()).remove(0);
        let file = lacon_trading::team::agent(role);
        let concise = file.model == "deep" && role != Role::Trader;
        let words = if concise { file.words * 3 / 4 } else { file.words };
        assert!(prompt(&request).contains(&format!("Write at most {words} words.")), "{role}");
        assert!(request.max_tokens.unwrap() >= words * 2, "{role}");
    }
    let client = Scripted::new(|role, _, _| Ok(says(role, "x")));
    run(settings("no-words", "lacon", &["word_limits"], client.clone())).await;
    assert!(
        client.asked.lock().unwrap().iter().all(|r| !prompt(r).contains("at most") && r.max_tokens.is_none())
    );
}

#[tokio::test(start_paused = true)]
async fn the_report_tree_is_complete_and_says_what_is_not_real() {
    let out = folder("tree");
    let decided = decide(settings("tree", "lacon", &[], sim())).await;
    assert!(decided.write_error.is_none(), "{:?}", decided.write_error);
    for role in Role::ANSWERING {
        let text = std::fs::read_to_string(decided.folder.join(role.path())).unwrap();
        assert!(
            text.contains("Not advice: the language model is simulated and the data is an offline pack"),
            "{role}"
        );
    }
    let complete = std::fs::read_to_string(decided.folder.join("reports/complete.md")).unwrap();
    assert!(complete.contains("# Market analyst") && complete.contains("# Trader"));
    let json = std::fs::read_to_string(decided.folder.join("run.json")).unwrap();
    let back: lacon_monitor::RunRecord = serde_json::from_str(&json).unwrap();
    assert_eq!(back.run_id, decided.record.run_id);
    let trace = std::fs::read_to_string(decided.folder.join("trace.jsonl")).unwrap();
    assert!(trace.lines().count() > 13 + decided.record.calls.len());
    let first: serde_json::Value = serde_json::from_str(trace.lines().next().unwrap()).unwrap();
    assert_eq!(first["attributes"]["gen_ai.operation.name"], "invoke_workflow");
    std::fs::remove_dir_all(out).unwrap();
}

/// No space, no permission: the message names the file and what to do, the decision is still there.
#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_full_disk_is_reported_with_its_file() {
    let out = folder("full");
    let target = out.join("CRCL/2025-07-30/full");
    std::fs::create_dir_all(&target).unwrap();
    // Every write to this device fails as a full disk does.
    std::os::unix::fs::symlink("/dev/full", target.join("run.json")).unwrap();
    let decided = decide(settings("full", "lacon", &[], sim())).await;
    let error = decided.write_error.unwrap().to_string();
    assert!(
        error.contains("run.json") && error.contains("hint: free space, or choose another folder with --out"),
        "{error}"
    );
    assert!(decided.record.decision.parsed);
    std::fs::remove_dir_all(out).unwrap();
}

#[test]
fn an_unknown_optimization_is_an_error() {
    assert!(Optimizations::new("lacon", &["prefetsh"], &[]).unwrap_err().contains("did you mean prefetch?"));
}

/// The original Python system prepared prompts in a batch whose results no agent ever saw.
#[tokio::test(start_paused = true)]
async fn what_is_sent_is_what_was_planned() {
    for disabled in [&[][..], &["digests"], &["prefix_layout", "condense"], &["parallel_judge"], &["concise"]]
    {
        let name = format!("planned-{}", disabled.join("-"));
        let record = run(settings(&name, "lacon", disabled, sim())).await.record;
        assert_eq!((record.plan.compared, record.plan.equal), (13, 13), "{disabled:?}");
        assert!(record.warnings.iter().all(|w| !w.contains("as planned")), "{:?}", record.warnings);
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_planned_for_before_the_first_call() {
    let whole = run(settings("plan-whole", "lacon", &[], sim())).await.record;
    let mut tight = settings("plan-tight", "lacon", &[], sim());
    tight.budget_tokens = whole.tokens.total * 85 / 100;
    let tight = run(tight).await;
    assert!(tight.failure.is_none(), "{:?}", tight.failure);
    let tight = tight.record;
    assert_eq!(tight.reports.iter().filter(|r| r.words > 0).count(), 13, "{:?}", tight.warnings);
    assert!(
        tight.tokens.total <= whole.tokens.total * 85 / 100,
        "{} of {}",
        tight.tokens.total,
        whole.tokens.total
    );
    assert_eq!((tight.plan.compared, tight.plan.equal), (13, 13));
    let client = Scripted::new(|role, _, _| Ok(says(role, "x")));
    let mut impossible = settings("plan-impossible", "lacon", &[], client.clone());
    impossible.budget_tokens = 900;
    let decided = run(impossible).await;
    let message = decided.failure.unwrap().to_string();
    assert!(
        message.contains("its limit is 900") && message.contains("hint: raise --budget-tokens"),
        "{message}"
    );
    assert_eq!(client.count(), 0, "nothing is sent that cannot be paid for");
}

#[tokio::test(start_paused = true)]
async fn a_near_deadline_gives_up_length_then_the_better_model() {
    let free = run(settings("ladder-free", "lacon", &[], sim())).await.record;
    assert!(free.degraded.is_empty());
    let took = free.calls.iter().map(|c| c.end_s).fold(0.0, f64::max);
    let mut late = settings("ladder", "lacon", &[], sim());
    late.deadline = Some(std::time::Duration::from_secs_f64(took * 0.85));
    let late = run(late).await.record;
    assert_eq!(late.status, "done", "{:?}", late.degraded);
    assert!(!late.degraded.is_empty());
    assert!(late.degraded.iter().all(|d| d.reason.contains("s are left")), "{:?}", late.degraded);
    assert_eq!((late.plan.compared, late.plan.equal), (13, 13));
    let mut off = settings("ladder-off", "lacon", &["deadline_ladder"], sim());
    off.deadline = Some(std::time::Duration::from_secs_f64(took * 0.85));
    let off = run(off).await;
    assert!(matches!(off.failure, Some(lacon_agents::RunError::Deadline(_))));
    assert!(off.record.degraded.iter().all(|d| d.step == "last_good_plan"));
}

#[tokio::test(start_paused = true)]
async fn models_of_single_roles_go_before_the_others() {
    let client = Scripted::new(|role, _, _| Ok(says(role, "x")));
    let mut own = settings("models", "lacon", &[], client.clone());
    own.models = vec![(Role::Bull, "gpt-4.1".into())];
    run(own).await;
    let model = |role: &str| client.of(role).remove(0).model;
    assert_eq!(
        (model("bull"), model("bear"), model("judge")),
        ("gpt-4.1".into(), "gpt-4o".into(), "gpt-4o-mini".into())
    );
}

#[tokio::test(start_paused = true)]
async fn plan_and_risk_manager_read_what_came_of_earlier_decisions() {
    use lacon_trading::memory::{Decided, Memory};
    let path = folder("memory").join("memory.db");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let day: jiff::civil::Date = "2025-07-01".parse().unwrap();
    let bars: Vec<lacon_market::Bar> = (1..20)
        .map(|i| {
            let close = 100.0 + f64::from(i);
            let date = jiff::civil::date(2025, 7, i as i8);
            lacon_market::Bar { date, open: close, high: close, low: close, close, volume: 1.0 }
        })
        .collect();
    let earlier = Decided {
        ticker: "CRCL".into(),
        date: day,
        action: lacon_trading::Action::Sell,
        run_id: "r".into(),
        situation: String::new(),
        thesis: String::new(),
        embedding: None,
        simulated: true,
    };
    Memory::open(&path).unwrap().store(&earlier).unwrap();
    for (disabled, reads) in [(&[][..], true), (&["memory"], false)] {
        let client = Scripted::new(|role, _, _| Ok(says(role, "x")));
        let mut with = settings("memory-run", "lacon", disabled, client.clone());
        (with.memory, with.bars) = (Some(path.clone()), bars.clone());
        let record = run(with).await.record;
        assert_eq!((record.plan.compared, record.plan.equal), (13, 13));
        for role in Role::ANSWERING {
            let told = prompt(&client.of(role.name()).remove(0))
                .contains("SELL of CRCL on 2025-07-01: +5.0 % in 5 trading days");
            assert_eq!(told, reads && matches!(role, Role::Plan | Role::RiskManager), "{role}");
        }
    }
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_reads_the_reports_is_told_where_they_disagree_and_what_is_missing() {
    let client = Scripted::new(|role, _, _| match role {
        "social" => Err(lacon_llm::Error::new(lacon_llm::ErrorKind::InvalidRequest, "refused")),
        "market" => Ok(lacon_llm::Response::new("m", "The trend is up, 12.50.\nSignal: BUY")),
        role => Ok(says(role, "x")),
    });
    run(settings("contradictions", "lacon", &[], client.clone())).await;
    for role in ["bull", "bear", "plan", "risky", "risk_manager"] {
        let text = prompt(&client.of(role).remove(0));
        assert!(text.contains("The reports disagree: BUY by market; "), "{role}: {text}");
        assert!(text.contains("Missing: no social report."), "{role}");
    }
    assert!(!prompt(&client.of("judge")[0]).contains("The reports disagree"));
    let client = Scripted::new(|role, _, _| Ok(says(role, "x")));
    run(settings("no-contradictions", "lacon", &[], client.clone())).await;
    assert!(!prompt(&client.of("bull")[0]).contains("The reports disagree"));
}

/// Records of builds that named the optimizations otherwise are read, and labels stand where ticker and date always stood.
#[tokio::test(start_paused = true)]
async fn an_older_record_is_read() {
    let record = run(settings("older", "lacon", &[], sim())).await.record;
    assert_eq!((record.label("ticker"), record.date().len()), ("CRCL", "yyyy-mm-dd".len()));
    let mut json = serde_json::to_value(&record).unwrap();
    assert_eq!((json["ticker"].as_str(), json["decision"]["action"].as_str()), (Some("CRCL"), Some("SELL")));
    let rows = json.as_object_mut().unwrap().remove("optimizations").unwrap();
    json["levers"] = rows;
    json["later"] = serde_json::json!({ "key": 1 });
    let old: lacon_monitor::RunRecord = serde_json::from_value(json).unwrap();
    assert_eq!(old.labels, record.labels);
    assert!(old.optimizations["prefetch"].on);
}
