use lacon_prompt::layout::{
    Sent, canonical_tools, first_difference, follow, net_saving, predict, put_back, refer, shared_first,
    volatile_last,
};
use lacon_prompt::offload::MemoryStore;
use lacon_prompt::prompt::{Message, Prompt, Role, Segment};
use lacon_tokens::{Encoding, EncodingName};
use serde_json::json;

fn o200k() -> &'static Encoding {
    lacon_tokens::encoding(EncodingName::O200kBase)
}

fn team() -> Vec<Prompt> {
    let market = "Apple closed at 232.78 after a week of rising volume. ".repeat(80);
    let news = "The board approved a dividend of $2.21 a share. ".repeat(80);
    ["bull", "bear", "neutral"]
        .iter()
        .map(|role| {
            Prompt::new(vec![
                Message::new(Role::System, vec![Segment::instruction("rules", "Use only the given data.")]),
                Message::new(
                    Role::User,
                    vec![
                        Segment::instruction("role", format!("You are the {role}.")),
                        Segment::data("market_report", market.as_str()),
                        Segment::data("news_report", news.as_str()),
                    ],
                ),
            ])
        })
        .collect()
}

#[test]
fn the_first_difference_has_an_owner() {
    let prompts = team();
    let found = first_difference(&prompts[0], &prompts[1]).expect("they differ");
    assert_eq!((found.owner.as_str(), found.message), ("role", Some(1)));
    assert_eq!((found.left.as_str(), &found.right[..4]), ("ull.Apple closed at 232.", "ear."));
    assert_eq!(first_difference(&prompts[0], &prompts[0]), None);
}

fn automatic() -> &'static lacon_models::CacheRow {
    lacon_models::cache_rule("openai-5.5").expect("is a rule")
}

#[test]
fn shared_material_comes_first_and_nothing_is_lost() {
    let before = team();
    let after = shared_first(&before);
    for (before, after) in before.iter().zip(&after) {
        let mut a: Vec<&str> =
            before.messages.iter().flat_map(|m| &m.segments).map(|s| s.text.as_str()).collect();
        let mut b: Vec<&str> =
            after.messages.iter().flat_map(|m| &m.segments).map(|s| s.text.as_str()).collect();
        a.sort_unstable();
        b.sort_unstable();
        assert_eq!(a, b);
        assert_eq!(
            after.messages.last().expect("has messages").content(),
            before.messages[1].segments[0].text
        );
    }
    let found = first_difference(&after[0], &after[1]).expect("they differ");
    assert_eq!(found.owner, "role");
    let cold = predict(&Sent::in_turn(&before), automatic(), o200k());
    let warm = predict(&Sent::in_turn(&after), automatic(), o200k());
    assert!(cold.iter().all(|p| p.cached == 0));
    assert_eq!(warm[0].cached, 0);
    assert!(warm[1].cached >= 1024 && warm[1].cached.is_multiple_of(128));
    assert!(net_saving(&cold, &warm) > 0);
    assert_eq!(net_saving(&cold, &cold), 0);
}

/// What a day's two requests look like when each says when it was made.
fn dated(date: &str, session: &str) -> Prompt {
    let rules = format!(
        "You are a careful analyst.\nToday's date: {date}\n- Session id: {session}\nNever sell before 2027-01-01.\n"
    );
    let report =
        "Apple closed at 232.78 on 2026-01-02 after a week of rising volume.\nDate: 2026-01-02\n".repeat(60);
    Prompt::new(vec![
        Message::new(Role::System, vec![Segment::instruction("rules", rules)]),
        Message::new(
            Role::User,
            vec![Segment::data("market_report", report), Segment::instruction("ask", "What now?")],
        ),
    ])
}

#[test]
fn volatile_lines_go_to_the_end_and_come_back() {
    let before = [dated("2026-01-02", "7f3a99c2e1"), dated("2026-01-03", "99ab12fe77")];
    let after: Vec<_> = before.iter().map(volatile_last).collect();
    let (prompt, moved) = &after[0];
    assert_eq!(
        prompt.messages[0].content(),
        "You are a careful analyst.\nNever sell before 2027-01-01.\n",
        "a rule with a date in it stays"
    );
    assert!(
        prompt.messages[1]
            .content()
            .ends_with("What now?\nToday's date: 2026-01-02\n- Session id: 7f3a99c2e1\n")
    );
    assert_eq!(prompt.messages[1].segments[0], before[0].messages[1].segments[0], "data keeps its dates");
    assert_eq!(moved.iter().map(|m| (m.message, m.segment)).collect::<Vec<_>>(), [(0, 0), (0, 0)]);
    for (before, (after, moved)) in before.iter().zip(&after) {
        assert_eq!(put_back(after, moved), *before);
    }
    let cold = predict(&Sent::in_turn(&before), automatic(), o200k());
    let warm = predict(&Sent::in_turn(&[after[0].0.clone(), after[1].0.clone()]), automatic(), o200k());
    assert_eq!(cold[1].cached, 0);
    assert!(warm[1].cached >= 1024);
}

#[test]
fn a_history_keeps_its_volatile_lines() {
    let mut prompt = dated("2026-01-02", "7f3a99c2e1");
    prompt.messages.push(Message::new(Role::Assistant, vec![Segment::history("answer", "Fine.")]));
    assert_eq!(volatile_last(&prompt), (prompt.clone(), Vec::new()));
}

#[test]
fn what_another_agent_got_is_named_where_no_cache_gives_it_back() {
    let prompts = shared_first(&team());
    let mut store = MemoryStore::new([3; 32], 1 << 20);
    // All of it stands at the beginning of each: nothing to name.
    let (same, references) = refer(&prompts, &[true; 3], &mut store, o200k()).expect("memory does not fail");
    assert_eq!((same, references.len()), (prompts.clone(), 0));

    let mut prompts = team();
    prompts[2].messages[1].segments[1].pinned = true;
    let (short, references) =
        refer(&prompts, &[true, false, true], &mut store, o200k()).expect("memory does not fail");
    assert_eq!(&short[..2], &prompts[..2], "the first has nothing before it, the second cannot retrieve");
    let [only] = &references[..] else { panic!("one reference: {references:?}") };
    assert_eq!((only.request, only.message, only.segment, only.sent_in), (2, 1, 2, 0));
    assert!(
        short[2].messages[1].segments[2].text.starts_with("[blob news_report of the team, 3840 chars, ref=")
    );
    assert!(only.saved > 700);
    assert_eq!(follow(&short, &references, &store).expect("is stored"), prompts);
    assert!(follow(&short, &references, &MemoryStore::new([4; 32], 1 << 20)).is_err());
}

#[test]
fn histories_keep_their_order() {
    let mut prompts = team();
    for prompt in &mut prompts {
        prompt.messages.push(Message::new(Role::Assistant, vec![Segment::history("answer", "Fine.")]));
    }
    assert_eq!(shared_first(&prompts), prompts);
}

#[test]
fn tools_get_one_order() {
    let a = json!({"type": "function", "function": {"name": "b", "parameters": {"type": "object", "required": ["z", "a"]}}});
    let b = json!({"function": {"parameters": {}, "name": "a"}, "type": "function"});
    let sorted = canonical_tools(&[a.clone(), b.clone()]);
    assert_eq!(sorted, canonical_tools(&[b, a]));
    assert_eq!(
        sorted[1].to_string(),
        r#"{"function":{"name":"b","parameters":{"required":["z","a"],"type":"object"}},"type":"function"}"#
    );
}

/// The nine requests after the analysts, as the original builds them: role text first, then what the role reads.
fn requests_of(run: &serde_json::Value) -> Vec<Prompt> {
    let whole = |role: &str| run["roles"][role]["text"].as_str().unwrap_or_default();
    // The original's judge reads the last line of each argument only.
    let text = |part: &str| match part.strip_suffix(" last line") {
        Some(role) => whole(role).lines().last().unwrap_or_default().to_owned(),
        None => whole(part).to_owned(),
    };
    let reports = ["market", "social", "news", "fundamentals"];
    let reads: [(&str, Vec<&str>); 9] = [
        ("bull", reports.to_vec()),
        ("bear", reports.to_vec()),
        ("judge", vec!["bull last line", "bear last line"]),
        ("plan", [&reports[..], &["bull", "bear", "judge"]].concat()),
        ("risky", [&reports[..], &["plan"]].concat()),
        ("safe", [&reports[..], &["plan"]].concat()),
        ("neutral", [&reports[..], &["plan"]].concat()),
        ("risk_manager", [&reports[..], &["plan", "risky", "safe", "neutral"]].concat()),
        ("trader", vec!["plan", "risk_manager"]),
    ];
    reads
        .into_iter()
        .map(|(role, reads)| {
            let orders =
                format!("You are the {role} of a trading desk. Weigh the material and answer. ").repeat(8);
            let mut segments = vec![Segment::instruction(role, orders)];
            segments.extend(reads.into_iter().map(|part| Segment::data(part, text(part))));
            Prompt::new(vec![Message::new(Role::User, segments)])
        })
        .collect()
}

#[test]
fn recorded_runs_cost_less_than_half_with_shared_material_first() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/workload/runs");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: no recorded runs");
        return;
    };
    let (mut before, mut after, mut cached, mut tokens, mut least) = (0, 0, 0, 0, 0);
    for entry in entries {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("is text");
        let prompts = requests_of(&serde_json::from_str(&text).expect("is JSON"));
        let cold = predict(&Sent::in_turn(&prompts), automatic(), o200k());
        let warm = predict(&Sent::in_turn(&shared_first(&prompts)), automatic(), o200k());
        before += cold.iter().map(|p| p.cost_permille).sum::<u64>();
        after += warm.iter().map(|p| p.cost_permille).sum::<u64>();
        // No order can do better: each text is paid for once, and read from the cache wherever it stands again.
        let mut seen = std::collections::HashSet::new();
        for text in prompts.iter().flat_map(|p| &p.messages).flat_map(|m| &m.segments).map(|s| &s.text) {
            least += o200k().count(text) as u64 * if seen.insert(text) { 1000 } else { 100 };
        }
        cached += warm.iter().map(|p| p.cached).sum::<usize>();
        tokens += warm.iter().map(|p| p.prompt).sum::<usize>();
    }
    println!(
        "effective cost {:.1} %, {:.1} % cached; no order costs less than {:.1} %",
        100.0 * after as f64 / before as f64,
        100.0 * cached as f64 / tokens as f64,
        100.0 * least as f64 / before as f64
    );
    assert!(after * 100 < before * 52, "{after} of {before}");
}
