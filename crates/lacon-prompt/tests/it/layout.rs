use lacon_prompt::layout::{
    CacheProfile, canonical_tools, first_difference, net_saving, predict, shared_first,
};
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
    let cold = predict(&before, CacheProfile::OPENAI, o200k());
    let warm = predict(&after, CacheProfile::OPENAI, o200k());
    assert!(cold.iter().all(|p| p.cached == 0));
    assert_eq!(warm[0].cached, 0);
    assert!(warm[1].cached >= 1024 && warm[1].cached.is_multiple_of(128));
    assert!(net_saving(&cold, &warm) > 0);
    assert_eq!(net_saving(&cold, &cold), 0);
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
