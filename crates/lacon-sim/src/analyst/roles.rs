//! What the roles say that read reports: debaters, judge, managers, risk analysts, trader.

use super::{
    decide::{Action, DECIDES, Heard, Levels, STRONG, Score},
    measures::{Finding, WINDOW},
    read::Data,
    words::{beside, many, percent, signed},
    write::Draft,
};

fn item((name, finding): &(String, Finding)) -> String {
    format!("- {name}: {}.", finding.text)
}

/// All that was heard, each finding with what it speaks for: what an answer without a limit adds.
pub fn recap(heard: &Heard) -> Vec<String> {
    let speaks = |f: &Finding| if f.score == Some(1) { "for buying" } else { "against buying" };
    let finding = |(name, f): &(String, Finding)| {
        format!("The {} report speaks {}: {}.", name.to_lowercase(), speaks(f), f.text)
    };
    let score = |s: &Score| {
        let action = Action::of_report(s.score, s.of).word();
        format!(
            "The {} report alone, with {} of {}, would be {action}.",
            s.name.to_lowercase(),
            signed(s.score),
            s.of
        )
    };
    let mut all: Vec<String> = heard.findings.iter().map(finding).collect();
    all.extend(heard.scores.iter().map(score));
    for action in [Action::Buy, Action::Sell] {
        if let Some(levels) = &heard.levels {
            all.push(format!("For a {}: {} {}", action.word(), entry(levels, action), stop(levels, action)));
            all.extend(target(levels, action));
        }
    }
    all
}

fn rule() -> String {
    format!(
        "The rule: a total of +{DECIDES} or more is BUY, -{DECIDES} or less is SELL, anything between is HOLD."
    )
}

const NO_PRICE: &str = "The material names no price, so no entry, stop, target or size can be computed.";

/// The case of one side: its findings, then an answer to the strongest one of the other.
pub fn debater(heard: &Heard, side: i32) -> Draft {
    let (own, against) = (heard.side(side), heard.side(-side));
    let (what, other, title) = match side {
        1 => ("for buying", "bear", "Bear researcher"),
        _ => ("against buying", "bull", "Bull researcher"),
    };
    let mut case = vec![match own.len() {
        0 => format!("The reports hold no finding {what}, and {} on the other side.", against.len()),
        n => format!(
            "{} of the reports {} {what}, and {} on the other side.",
            many(n, "finding", "findings"),
            if n == 1 { "speaks" } else { "speak" },
            against.len()
        ),
    }];
    case.extend(own.iter().map(|f| item(f)));
    let spoke = heard.by(title);
    let named = spoke.and_then(|said| against.iter().find(|(_, f)| said.contains(&f.text)));
    let mut answer = Vec::new();
    if let Some((name, finding)) = named.or(against.first()) {
        let who =
            if spoke.is_some() { format!("The {other} names") } else { format!("The {other} can name") };
        answer.push(format!(
            "{who} this finding of the {} report first: {}.",
            name.to_lowercase(),
            finding.text
        ));
        answer.extend(heard.levels.as_ref().map(|levels| reply(levels, side)));
        answer.push(format!(
            "It is one of {} that count, and {} on this side.",
            many(own.len() + against.len(), "finding", "findings"),
            if own.len() == 1 { "1 stands".to_owned() } else { format!("{} stand", own.len()) }
        ));
    }
    let total = heard.total() * side;
    let close = match (heard.scores.is_empty(), total) {
        (true, _) => "No report states a score, so this case rests on its findings alone.".to_owned(),
        (_, t) if t >= DECIDES => "The total reaches the threshold on this side.".to_owned(),
        (_, t) if t <= -DECIDES => {
            "The total reaches the threshold of the other side; this case has to be read with that."
                .to_owned()
        }
        _ => {
            "The total reaches the threshold of neither side, so single findings may still tip it.".to_owned()
        }
    };
    case.extend(answer);
    case.push(close);
    Draft { tail: heard.evidence().into_iter().collect(), ..Draft::default() }.part("Case", case)
}

/// What the prices allow the other side's finding to be answered with.
fn reply(levels: &Levels, side: i32) -> String {
    let (edge, name) = if side > 0 { (levels.high, "highest high") } else { (levels.low, "lowest low") };
    let change = percent(edge, levels.close);
    format!(
        "From the close of {} on {} a move to the {name} of {edge} would be a {} of {:.1} %.",
        levels.close,
        levels.date,
        if change < 0.0 { "loss" } else { "gain" },
        change.abs()
    )
}

/// From 1 to 10: one more than the findings that a side can name.
fn quality(n: usize) -> usize {
    (n + 1).min(10)
}

pub fn judge(heard: &Heard) -> Draft {
    // A judge that reads no reports finds the findings in what both said.
    let count = |title: &str, side: i32| match heard.by(title) {
        Some(said) if heard.findings.is_empty() => {
            said.lines().skip_while(|l| !l.starts_with("- ")).take_while(|l| l.starts_with("- ")).count()
        }
        _ => heard.side(side).len(),
    };
    let (bull, bear) = (count("Bull researcher", 1), count("Bear researcher", -1));
    let heavier = match bull.cmp(&bear) {
        std::cmp::Ordering::Greater => "The bull has the better argument by number.",
        std::cmp::Ordering::Less => "The bear has the better argument by number.",
        std::cmp::Ordering::Equal => "Neither side has more findings than the other.",
    };
    let mut all = vec![
        format!(
            "Quality from 1 to 10, one more than the findings that a side names: bull {}, bear {}.",
            quality(bull),
            quality(bear)
        ),
        heavier.to_owned(),
        "Agreed: both take the same figures from the reports, and neither disputes one.".to_owned(),
    ];
    all.extend(
        heard.levels.as_ref().map(|l| format!("Agreed too is the last close of {} on {}.", l.close, l.date)),
    );
    let mute: Vec<String> =
        heard.scores.iter().filter(|s| s.score == 0).map(|s| s.name.to_lowercase()).collect();
    all.push(match mute.len() {
        0 => "Open is how much each report should weigh; here every finding weighs the same.".to_owned(),
        _ => format!(
            "Open is what the {} would say with more data: the score is 0 there.",
            named_reports(&mute)
        ),
    });
    all.push("Another round would read the same reports and change no score.".to_owned());
    let mut tail: Vec<String> = heard.evidence().into_iter().collect();
    tail.push("Consensus: yes".to_owned());
    Draft { tail, ..Draft::default() }.part("Judgment", all)
}

fn named_reports(names: &[String]) -> String {
    match names {
        [one] => format!("{one} report"),
        [rest @ .., last] => format!("{} and {last} reports", rest.join(", ")),
        [] => "reports".to_owned(),
    }
}

/// Why the total decides as it does.
fn verdict(heard: &Heard, action: Action) -> String {
    if heard.scores.is_empty() {
        return "No report in the material states a score, so there is nothing to weigh.".to_owned();
    }
    let total = signed(heard.total());
    match action {
        Action::Hold => format!("The total of {total} is within {} of zero, which is HOLD.", DECIDES - 1),
        _ => format!(
            "The total of {total} reaches the threshold of {:+} for {}.",
            DECIDES * heard.total().signum(),
            action.word()
        ),
    }
}

/// The findings that carry a decision; for a HOLD the first of both sides.
fn reasons(heard: &Heard, action: Action) -> Vec<String> {
    let (good, bad) = (heard.side(1), heard.side(-1));
    match action {
        Action::Buy => good.into_iter().map(item).collect(),
        Action::Sell => bad.into_iter().map(item).collect(),
        Action::Hold => {
            let n = good.len().max(bad.len());
            let both = (0..n).flat_map(|i| [good.get(i), bad.get(i)]);
            both.flatten().map(|f| item(f)).collect()
        }
    }
}

/// What would change the decision.
fn turning(heard: &Heard, action: Action) -> String {
    let total = heard.total();
    let shown = signed(total);
    match action {
        Action::Hold => format!(
            "A change of the total by {:+} gives BUY, one by {:+} gives SELL.",
            DECIDES - total,
            -DECIDES - total
        ),
        _ => format!(
            "The view changes to HOLD when the total moves by {:+}, from {shown} to {:+}.",
            (DECIDES - 1) * total.signum() - total,
            (DECIDES - 1) * total.signum()
        ),
    }
}

fn stop(levels: &Levels, action: Action) -> String {
    let (price, how) = levels.stop(action);
    match action {
        Action::Sell => format!("Stop: the sale is wrong above {price}, {how}."),
        _ => format!("Stop: {price}, {how}, {}.", levels.beside_close(price)),
    }
}

fn target(levels: &Levels, action: Action) -> Option<String> {
    let (price, how) = levels.target(action)?;
    Some(format!("Target: {price}, {how}, {}.", levels.beside_close(price)))
}

fn entry(levels: &Levels, action: Action) -> String {
    match action {
        Action::Buy => format!("Entry: near the close of {} on {}.", levels.close, levels.date),
        Action::Sell => format!("Exit: near the close of {} on {}.", levels.close, levels.date),
        Action::Hold => format!("Entry: none; the last close is {} on {}.", levels.close, levels.date),
    }
}

/// The share of the capital that may stand in the stock.
fn size(heard: &Heard, levels: Option<&Levels>, action: Action, risk: f64) -> String {
    let strong = heard.total().abs() >= STRONG;
    match (action, levels.and_then(|l| l.size(risk))) {
        (Action::Sell, _) if strong => {
            format!("Size: the whole holding, because the total is {} or less.", -STRONG)
        }
        (Action::Sell, _) => format!("Size: half of the holding, because the total is above {}.", -STRONG),
        (Action::Hold, _) => "Size: no trade; a holding stays as it is.".to_owned(),
        (Action::Buy, Some(size)) => {
            format!("Size: {size:.1} % of the capital, so that the stop costs {risk} % of it.")
        }
        (Action::Buy, None) => "Size: open, because no stop can be computed.".to_owned(),
    }
}

/// Entry, stop, target and size.
pub fn orders(heard: &Heard, action: Action) -> Vec<String> {
    let Some(levels) = &heard.levels else {
        return vec![NO_PRICE.to_owned(), size(heard, None, action, 1.0)];
    };
    if action == Action::Hold {
        return vec![size(heard, Some(levels), action, 1.0), entry(levels, action)];
    }
    let mut all = vec![entry(levels, action), stop(levels, action), size(heard, Some(levels), action, 1.0)];
    all.extend(target(levels, action));
    all.push(format!("Horizon: {WINDOW} sessions, the time that the trend was measured over."));
    all
}

/// The lines by which a decision hands on what it rests on.
fn hand_on(heard: &Heard) -> Vec<String> {
    heard.evidence().into_iter().chain(heard.levels.as_ref().map(Levels::line)).collect()
}

pub fn plan(heard: &Heard) -> Draft {
    let action = heard.action();
    let mut why = vec![verdict(heard, action)];
    why.extend(reasons(heard, action));
    why.push(rule());
    let mut orders = orders(heard, action);
    orders.extend((!heard.scores.is_empty()).then(|| turning(heard, action)));
    Draft { tail: hand_on(heard), ..Draft::default() }.part("Recommendation", why).part("Risk", orders)
}

pub fn risk_manager(heard: &Heard) -> Draft {
    let action = heard.action();
    let mut why = vec![];
    why.extend(reasons(heard, action));
    if why.is_empty() {
        why.push("- No finding of the reports counts for this decision.".to_owned());
    }
    let mut orders = orders(heard, action);
    let mut basis = vec![verdict(heard, action)];
    basis.extend((!heard.scores.is_empty()).then(|| turning(heard, action)));
    orders.extend((heard.levels.is_some() && action == Action::Buy).then(|| "The aggressive view would take twice this size, the conservative one half of it; the plan's size stands.".to_owned()));
    basis.push(rule());
    Draft { tail: hand_on(heard), ..Draft::default() }
        .part("Reasons", why)
        .part("Order", orders)
        .part("Rule", basis)
}

pub fn trader(heard: &Heard, action: Action) -> Draft {
    let mut all = vec![match action {
        Action::Hold => "Action: no order.".to_owned(),
        Action::Buy => "Action: buy with a limit order.".to_owned(),
        Action::Sell => "Action: sell from the holding with a limit order; nothing is sold short.".to_owned(),
    }];
    all.extend(orders(heard, action));
    let said =
        ["Risk manager", "Portfolio manager", "Research manager"].into_iter().find_map(|t| heard.by(t));
    let first = said.and_then(|said| said.lines().find(|l| l.starts_with("- ")));
    let split = first.and_then(|l| l.trim_start_matches("- ").split_once(": "));
    all.extend(split.map(|(report, reason)| {
        format!("The reason that matters most, from the {} report: {reason}", report.to_lowercase())
    }));
    Draft { tail: hand_on(heard), ..Draft::default() }.part("Order", all)
}

/// Four points of a view of the risk.
pub fn risk_view(heard: &Heard, role: &str) -> Draft {
    let action = heard.action();
    let total = heard.total();
    let shown = signed(total);
    let levels = heard.levels.as_ref();
    let mut points = Vec::new();
    let margin = match action {
        Action::Hold => DECIDES - total.abs(),
        _ => total.abs() - DECIDES + 1,
    };
    points.push(match (role, action) {
        _ if heard.scores.is_empty() => "No score is in the material; this view has only the plan to go by.".to_owned(),
        (_, Action::Hold) => format!("The total of {shown} is {} away from a trade, so nothing is traded yet.", many(margin as usize, "point", "points")),
        ("risky", _) => format!("The total of {shown} is {} away from HOLD, so the plan need not wait for more.", many(margin as usize, "point", "points")),
        ("safe", _) => format!("The total of {shown} turns to HOLD when it moves by {}, so the plan needs a bound.", many(margin as usize, "point", "points")),
        _ => format!("The total of {shown} out of {} is {:.0} % of what is possible: enough for {}, not for certainty.", heard.of(), f64::from(total.abs()) / f64::from(heard.of().max(1)) * 100.0, action.word()),
    });
    let (good, bad) = (heard.side(1), heard.side(-1));
    let strongest = match role {
        "risky" => good.first().map(|f| ("For more risk", f)),
        "safe" => bad.first().map(|f| ("The danger", f)),
        _ => None,
    };
    points
        .extend(strongest.map(|(what, (name, f))| {
            format!("{what}, from the {} report: {}.", name.to_lowercase(), f.text)
        }));
    if role == "neutral" {
        points.push(format!(
            "{} for buying and {} against.",
            many(good.len(), "finding speaks", "findings speak"),
            bad.len()
        ));
    }
    match levels {
        None => points.push(NO_PRICE.to_owned()),
        Some(levels) => points.extend(prices(levels, role)),
    }
    let fraction = match role {
        "risky" => 2.0,
        "safe" => 0.5,
        _ => 1.0,
    };
    points.push(match (action, role) {
        (Action::Sell, "risky") => "Size: sell half and keep 50 % of the holding for a recovery.".to_owned(),
        (Action::Sell, "safe") => "Size: sell 100 % of the holding at once.".to_owned(),
        (Action::Sell, _) => size(heard, levels, action, fraction),
        (Action::Hold, "risky") => format!("Size: no trade now; a total of +{DECIDES} would justify a loss of 2 % of the capital at the stop."),
        (Action::Hold, "safe") => "Size: no trade, which risks 0 % of new capital.".to_owned(),
        _ => size(heard, levels, action, fraction),
    });
    let numbered = points.iter().enumerate().map(|(i, p)| format!("{}. {p}", i + 1)).collect();
    Draft { tail: heard.evidence().into_iter().collect(), ..Draft::default() }.part("View", numbered)
}

/// One point on reward, loss, or both.
fn prices(levels: &Levels, role: &str) -> Option<String> {
    let (stop, how) = levels.stop(Action::Buy);
    let loss = -percent(stop, levels.close);
    let gain = levels.target(Action::Buy).map(|(price, how)| (price, percent(price, levels.close), how));
    Some(match (role, gain) {
        ("risky", Some((price, _, how))) => {
            format!("The reward: {price}, {how}, is {}.", levels.beside_close(price))
        }
        ("neutral", Some((price, gain, _))) if loss > 0.0 => format!(
            "From the close of {} the way up to {price} is {gain:.1} %, the way down to the stop at {stop} is {loss:.1} %: {:.2} to 1.",
            levels.close,
            gain / loss
        ),
        _ => format!(
            "The loss to bound: a stop at {stop}, {how}, is {}.",
            beside(percent(stop, levels.close))
                + &format!(" the close of {} on {}", levels.close, levels.date)
        ),
    })
}

/// A role that is not known, such as an analyst of the user's own: what the material states with a figure.
pub fn other(text: &str, data: &Data) -> Draft {
    let states = |line: &&str| {
        let instruction = [
            "Cover:",
            "Role:",
            "Write ",
            "Tool result:",
            "no data",
            "Answer ",
            "#",
            "Begin ",
            "End ",
            "Stock:",
            "Date,",
            "|",
        ];
        line.bytes().any(|b| b.is_ascii_digit())
            && !instruction.iter().any(|head| line.starts_with(head))
            && line.split_whitespace().count() > 1
            && !line.contains("at most ")
    };
    let mut all: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim).filter(states) {
        let Some(quote) = super::words::quotable(line.trim_start_matches(['-', '*', ' '])) else { continue };
        let sentence = format!("- The material states: \"{quote}\".");
        if !all.contains(&sentence) && all.len() < 40 {
            all.push(sentence);
        }
    }
    if let Some(day) = data.days.last() {
        all.insert(0, format!("- The last close is {} on {}.", day.close, day.date));
    }
    if all.is_empty() {
        all.push("The material holds no figure.".into());
    }
    Draft::default().part("Assessment", all)
}
