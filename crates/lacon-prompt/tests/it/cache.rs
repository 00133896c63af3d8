//! What the cache rules read and write, and which marks calls get by their shape.

use lacon_models::{CacheRow, cache_rule};
use lacon_prompt::{
    layout::{CacheMarks, Predicted, Sent, Shape, marks_for, predict},
    prompt::{Message, Prompt, Role, Segment},
};

use lacon_tokens::{Encoding, EncodingName, encoding};

fn o200k() -> &'static Encoding {
    encoding(EncodingName::O200kBase)
}

fn rule(name: &str) -> &'static CacheRow {
    cache_rule(name).expect("is a rule")
}

fn prompt(texts: &[(Role, String)]) -> Prompt {
    let message =
        |(role, text): &(Role, String)| Message::new(*role, vec![Segment::data("text", text.clone())]);
    Prompt::new(texts.iter().map(message).collect())
}

fn long(word: &str) -> String {
    format!("{word} closed at 232.78 on rising volume. ").repeat(200)
}

fn siblings(n: usize) -> Vec<Prompt> {
    let one = |i| {
        prompt(&[
            (Role::System, "Rules.".into()),
            (Role::User, long("Apple")),
            (Role::User, format!("Question {i}")),
        ])
    };
    (0..n).map(one).collect()
}

/// A conversation in three turns.
fn growing() -> Vec<Prompt> {
    let turns = [
        (Role::User, long("Apple")),
        (Role::Assistant, "Fine.".to_owned()),
        (Role::User, long("Pear")),
        (Role::Assistant, "Also fine.".to_owned()),
        (Role::User, "And now?".to_owned()),
    ];
    [1, 3, 5].map(|n| prompt(&turns[..n])).into()
}

fn with_marks(prompts: &[Prompt], name: &str) -> (Vec<Shape>, Vec<Predicted>) {
    let marks = marks_for(prompts, rule(name), o200k());
    let sent: Vec<Sent<'_>> = Sent::in_turn(prompts)
        .into_iter()
        .zip(&marks)
        .map(|(sent, (_, marks))| Sent { marks: marks.clone(), ..sent })
        .collect();
    (marks.iter().map(|(shape, _)| *shape).collect(), predict(&sent, rule(name), o200k()))
}

fn plain(prompts: &[Prompt], name: &str) -> Vec<Predicted> {
    predict(&Sent::in_turn(prompts), rule(name), o200k())
}

fn cost(list: &[Predicted]) -> u64 {
    list.iter().map(|p| p.cost_permille).sum()
}

#[test]
fn siblings_want_a_mark_behind_what_they_share() {
    let prompts = siblings(4);
    // Without marks each writes its own end, which nobody reads; a cache with marks does nothing.
    let unmarked = plain(&prompts, "openai-5.6");
    assert!(unmarked.iter().all(|p| p.cached == 0 && p.written > 1024));
    assert!(plain(&prompts, "anthropic").iter().all(|p| p.cached == 0 && p.written == 0));
    assert!(plain(&prompts, "openai-5.5")[1..].iter().all(|p| p.cached >= 1024 && p.cached % 128 == 0));
    for name in ["openai-5.6", "anthropic"] {
        let (shapes, marked) = with_marks(&prompts, name);
        assert_eq!(shapes, [Shape::Sibling; 4]);
        assert!(marked[0].written > 1024 && marked[0].cached == 0);
        assert!(marked[1..].iter().all(|p| p.written == 0 && p.cached == marked[0].written), "{marked:?}");
        assert!(cost(&marked) < cost(&unmarked) / 2);
    }
}

#[test]
fn a_growing_conversation_reads_its_last_turn() {
    let prompts = growing();
    for name in ["openai-5.6", "anthropic"] {
        let (shapes, turns) = with_marks(&prompts, name);
        assert_eq!(shapes, [Shape::Grows; 3]);
        assert!(turns[0].written > 1024 && turns[1].cached == turns[0].written, "{name} {turns:?}");
        assert_eq!(turns[2].cached, turns[1].cached + turns[1].written, "{name}");
    }
}

#[test]
fn what_nobody_reads_again_is_not_written() {
    let prompts =
        ["Apple", "Pear", "Plum"].map(|word| prompt(&[(Role::User, long(word)), (Role::User, "?".into())]));
    let (shapes, alone) = with_marks(&prompts, "openai-5.6");
    assert_eq!(shapes, [Shape::Alone; 3]);
    assert!(alone.iter().all(|p| p.written == 0 && p.cost_permille == p.prompt as u64 * 1000));
    assert!(plain(&prompts, "openai-5.6").iter().all(|p| p.written > 1024));
}

#[test]
fn a_prefix_is_read_from_its_first_token_on_and_while_it_is_kept() {
    let prompts = siblings(4);
    let marks = CacheMarks { after: vec![(1, usize::MAX)], only: true };
    let at = [0.0, 1.0, 2.5, 5000.0];
    let sent: Vec<Sent<'_>> = prompts
        .iter()
        .zip(at)
        .map(|(prompt, at_s)| Sent { prompt, marks: marks.clone(), scope: "m", at_s, ready_s: at_s + 2.0 })
        .collect();
    let predicted = predict(&sent, rule("openai-5.6"), o200k());
    assert_eq!(predicted.iter().map(|p| p.cached > 0).collect::<Vec<_>>(), [false, false, true, false]);
    assert_eq!(predicted.iter().map(|p| p.written > 0).collect::<Vec<_>>(), [true, false, false, true]);
    // Another model knows nothing of it, whatever the order of the list.
    let other: Vec<Sent<'_>> = sent
        .iter()
        .enumerate()
        .map(|(i, one)| Sent { scope: if i == 2 { "n" } else { "m" }, ..one.clone() })
        .collect();
    assert_eq!(predict(&other, rule("openai-5.6"), o200k())[2].cached, 0);
}

#[test]
fn short_and_empty_requests_have_no_cache() {
    let short = [prompt(&[(Role::User, "hello".into())]), Prompt::default()];
    for name in ["openai-5.5", "openai-5.6", "anthropic", "gemini"] {
        let (_, predicted) = with_marks(&short, name);
        assert!(predicted.iter().all(|p| p.cached == 0 && p.written == 0), "{name}");
    }
    let marks = CacheMarks { after: vec![(7, 3), (0, 1), (0, usize::MAX)], only: false };
    let odd = [Sent { marks, ..Sent::in_turn(&short)[0].clone() }];
    assert_eq!(predict(&odd, rule("openai-5.6"), o200k())[0].written, 0);
}
