//! What ratings, price targets and figures of a company count.

use super::{
    measures::{Finding, Findings, beyond, counts, tells},
    read::Data,
    words::{beside, number_after, percent, quotable},
};

/// Ratings, targets and figures of a company.
pub fn fundamentals(data: &Data) -> Findings {
    let facts: Vec<(&str, &str)> = data
        .facts
        .iter()
        .filter(|(_, fact)| quotable(fact).is_some())
        .map(|(date, fact)| (date.as_str(), fact.as_str()))
        .collect();
    let close = data.last_close.as_ref().and_then(|(close, date)| Some((close.parse::<f64>().ok()?, date)));
    let mut valuation: Vec<Finding> = close.and_then(|close| targets(&facts, close)).into_iter().collect();
    valuation.extend(ratings(&facts));
    if let Some((close, date)) = close {
        let offer = facts.iter().find_map(|(_, fact)| number_after(fact, "offer price of "));
        if let Some(offer) = offer.filter(|offer| *offer > 0.0) {
            valuation.push(tells(format!(
                "The close of {close} on {date} is {} the offer price of {offer}",
                beside(percent(close, offer))
            )));
        }
    }
    if valuation.is_empty() {
        valuation.push(tells("Neither a price target nor a rating is in the material".into()));
    }
    let (mut health, growth) = (health(&facts), growth(&facts));
    let counted: Vec<i32> = health.iter().filter_map(|f| f.score).collect();
    let grade = match counted.iter().sum::<i32>() {
        _ if counted.is_empty() => {
            "No grade from A to F can be given, because no profit, cash flow or balance is in the material"
                .to_owned()
        }
        sum if sum == counted.len() as i32 => {
            format!("The grade is A, because all figures found are good ones: {sum} of {sum}")
        }
        sum if -sum == counted.len() as i32 => {
            format!("The grade is F, because no figure found is a good one: 0 of {}", -sum)
        }
        _ => "The grade is C: some figures are positive and some negative".to_owned(),
    };
    health.push(tells(grade));
    let outlook = vec![match close {
        Some((close, date)) => {
            tells(format!("All of this is compared with the last close, {close} on {date}"))
        }
        None => tells("No close is in the material, so price targets cannot be compared with it".into()),
    }];
    let more = facts
        .iter()
        .filter_map(|(date, fact)| Some(format!("On {date}: \"{}\".", quotable(fact)?)))
        .collect();
    let parts = vec![("valuation", valuation), ("health", health), ("growth", growth), ("outlook", outlook)];
    Findings { more, ..Findings::new(parts) }
}

fn targets(facts: &[(&str, &str)], (close, date): (f64, &String)) -> Option<Finding> {
    let mut targets: Vec<f64> = facts
        .iter()
        .filter_map(|(_, fact)| number_after(fact, "price target "))
        .filter(|t| *t > 0.0)
        .collect();
    targets.sort_by(f64::total_cmp);
    let n = targets.len();
    let middle = if n == 0 { return None } else { (targets[(n - 1) / 2] + targets[n / 2]) / 2.0 };
    let list = targets.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
    let what = match n {
        1 if facts.iter().any(|(_, fact)| fact.contains("mean price target")) => {
            format!("The analysts' mean price target of {middle}")
        }
        1 => format!("The only price target, {middle},"),
        _ => format!("The median of {n} price targets ({list}), {middle},"),
    };
    let gap = percent(middle, close);
    Some(counts(beyond(gap, -5.0, 5.0), format!("{what} is {} the close of {close} on {date}", beside(gap))))
}

fn ratings(facts: &[(&str, &str)]) -> Option<Finding> {
    let counted = facts.iter().find_map(|(date, fact)| {
        let before =
            |word: &str| fact.split_once(word)?.0.trim_end().rsplit([' ', ',']).next()?.parse::<u32>().ok();
        Some((date, before(" Buy")?, before(" Sell")?))
    });
    if let Some((date, buys, sells)) = counted {
        let score = i32::from(buys > 2 * sells) - i32::from(sells > 2 * buys);
        return Some(counts(
            score,
            format!("On {date} {buys} analysts rated the stock Buy and {sells} Sell"),
        ));
    }
    let rated = |words: &[&str]| {
        facts
            .iter()
            .filter(|(_, fact)| {
                fact.split_once(": ").is_some_and(|(_, rest)| {
                    words.iter().any(|w| rest.split([',', ';']).next().unwrap_or("").contains(w))
                })
            })
            .count()
    };
    let (buys, sells) =
        (rated(&["Buy", "Outperform", "Overweight"]), rated(&["Sell", "Underperform", "Underweight"]));
    let score = beyond(buys as f64, sells as f64, sells as f64);
    (buys + sells > 0).then(|| {
        counts(
            score,
            format!(
                "Of the ratings named, {buys} {} to buy and {sells} to sell",
                if buys == 1 { "is" } else { "are" }
            ),
        )
    })
}

fn find<'a>(facts: &[(&'a str, &str)], phrase: &str) -> Option<(&'a str, f64, String)> {
    facts.iter().find_map(|(date, fact)| {
        let lower = fact.to_lowercase();
        let value = number_after(&lower, phrase)?;
        let unit = ["billion", "million"].into_iter().find(|unit| {
            lower
                .split_once(phrase)
                .is_some_and(|(_, rest)| rest.split([',', ';']).next().unwrap_or("").contains(unit))
        });
        Some((*date, value, unit.unwrap_or_default().to_owned()))
    })
}

fn health(facts: &[(&str, &str)]) -> Vec<Finding> {
    let mut all = Vec::new();
    let revenue =
        find(facts, "revenue of the last twelve months ").or_else(|| find(facts, "trailing revenue "));
    for (phrase, score) in [("net income ", 1), ("net loss ", -1)] {
        let Some((date, value, unit)) = find(facts, phrase) else { continue };
        let share = revenue.as_ref().filter(|(_, revenue, of)| *of == unit && *revenue > 0.0).map(
            |(_, revenue, _)| {
                format!(", {:.1} % of the revenue of {revenue} {unit}", value.abs() / revenue * 100.0)
            },
        );
        all.push(counts(
            if value < 0.0 { -score } else { score },
            format!("The {phrase}was {value} {unit} as of {date}{}", share.unwrap_or_default()),
        ));
    }
    if let Some((date, value, unit)) = find(facts, "operating cash flow ") {
        all.push(counts(
            beyond(value, 0.0, 0.0),
            format!("The operating cash flow was {value} {unit} as of {date}"),
        ));
    }
    if let (Some((date, equity, unit)), Some((_, debt, of))) =
        (find(facts, "equity "), find(facts, "liabilities "))
        && unit == of
    {
        all.push(counts(
            beyond(equity, debt, debt),
            format!("Equity of {equity} {unit} stands against liabilities of {debt} {unit} as of {date}"),
        ));
    }
    all
}

fn growth(facts: &[(&str, &str)]) -> Vec<Finding> {
    let grown: Vec<Finding> = facts
        .iter()
        .filter(|(_, fact)| fact.to_lowercase().contains("revenue") || fact.contains("In use"))
        .filter_map(|(date, fact)| Some(tells(format!("On {date}: \"{}\"", quotable(fact)?))))
        .collect();
    let missing = "No earlier period is in the material, so no growth rate can be computed";
    std::iter::once(tells(missing.into())).chain(grown).collect()
}
