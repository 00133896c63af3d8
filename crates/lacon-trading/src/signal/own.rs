//! What an answer says for itself: its lines without marks, quotes, code and tables, and the words that labels and
//! values are made of.

use std::borrow::Cow;

use super::Action;

/// Words that turn an action into its refusal.
pub(super) const NEGATIONS: [&str; 14] = [
    "not", "no", "never", "don't", "don’t", "avoid", "neither", "cannot", "nicht", "kein", "keine", "ne",
    "pas", "isn't",
];

/// Words that may stand between a label and its action.
pub(super) const BEFORE_AN_ACTION: [&str; 35] = [
    "do",
    "a",
    "an",
    "the",
    "to",
    "is",
    "as",
    "we",
    "i",
    "our",
    "my",
    "strong",
    "strongly",
    "moderate",
    "moderately",
    "cautious",
    "cautiously",
    "tactical",
    "clear",
    "conditional",
    "recommend",
    "recommended",
    "recommending",
    "should",
    "would",
    "but",
    "instead",
    "rather",
    "remain",
    "stay",
    "remains",
    "decide",
    "decided",
    "on",
    "for",
];

/// Words behind an action that make it depend on something.
pub(super) const CONDITIONS: [&str; 12] =
    ["if", "when", "once", "unless", "until", "below", "above", "upon", "should", "falls", "wenn", "si"];

/// Words of a sentence or label that speaks of somebody else's view, of the past, or of what may come.
pub(super) const FOREIGN: [&str; 49] = [
    "says",
    "said",
    "say",
    "wrote",
    "writes",
    "according",
    "rates",
    "rate",
    "rated",
    "analyst",
    "analysts",
    "consensus",
    "upgraded",
    "downgraded",
    "upgrade",
    "downgrade",
    "broker",
    "brokers",
    "headline",
    "article",
    "trader",
    "trader's",
    "trader’s",
    "plan",
    "plan's",
    "bull",
    "bear",
    "aggressive",
    "conservative",
    "manager's",
    "earlier",
    "previous",
    "previously",
    "prior",
    "yesterday",
    "yesterday's",
    "formerly",
    "last",
    "if",
    "when",
    "once",
    "unless",
    "until",
    "stop",
    "stop-loss",
    "exit",
    "would",
    "could",
    "others",
];

/// Label nouns of several languages, the most decisive first; the number is the rank without "final".
const NOUNS: [(&str, u8); 33] = [
    ("decision", 2),
    ("recommendation", 2),
    ("proposal", 2),
    ("verdict", 2),
    ("rating", 2),
    ("conclusion", 2),
    ("action", 1),
    ("signal", 1),
    ("call", 1),
    ("stance", 1),
    ("answer", 1),
    ("position", 1),
    ("order", 1),
    ("entscheidung", 2),
    ("empfehlung", 2),
    ("endgültigeentscheidung", 3),
    ("décision", 2),
    ("recommandation", 2),
    ("decisión", 2),
    ("recomendación", 2),
    ("decisão", 2),
    ("recomendação", 2),
    ("decisione", 2),
    ("raccomandazione", 2),
    ("beslissing", 2),
    ("решение", 2),
    ("рекомендация", 2),
    ("决定", 2),
    ("决策", 2),
    ("建议", 2),
    ("決定", 2),
    ("判断", 2),
    ("결정", 2),
];

/// Words that may stand beside a label's noun and leave it the answer's own.
const BESIDE: [&str; 33] = [
    "final",
    "my",
    "our",
    "the",
    "overall",
    "investment",
    "trading",
    "transaction",
    "trade",
    "portfolio",
    "formal",
    "official",
    "recommended",
    "proposed",
    "risk",
    "manager",
    "committee",
    "and",
    "summary",
    "executive",
    "level",
    "word",
    "line",
    "bottom",
    "endgültige",
    "finale",
    "final",
    "definitiva",
    "finale",
    "最终",
    "最終",
    "endgültig",
    "итоговое",
];

const FINAL: [&str; 8] =
    ["final", "finale", "endgültige", "endgültig", "definitiva", "итоговое", "最终", "最終"];

/// A line without Markdown, HTML and full-width forms.
pub(super) fn plain(line: &str) -> Cow<'_, str> {
    let needs = |c: char| matches!(c, '*' | '_' | '`' | '~' | '<' | '&' | '#' | '\u{200b}'..='\u{200f}' | '\u{feff}' | '\u{ff01}'..='\u{ff5e}' | '\u{a0}' | '\u{3000}');
    if !line.contains(needs) {
        return Cow::Borrowed(line.trim());
    }
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '*' | '`' | '~' | '#' | '\u{200b}'..='\u{200f}' | '\u{feff}' => {}
            // A mark of Markdown stands at the border of a word.
            '_' if !(out.ends_with(char::is_alphanumeric) && rest.starts_with(char::is_alphanumeric)) => {}
            '\u{ff01}'..='\u{ff5e}' => out.extend(char::from_u32(c as u32 - 0xfee0)),
            '\u{a0}' | '\u{3000}' => out.push(' '),
            '<' if rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') && rest.contains('>') => {
                let end = rest.find('>').unwrap_or(0);
                let tag = rest[..end].to_lowercase();
                if ["br", "p", "/p", "div", "li", "td"].iter().any(|t| tag.starts_with(t)) {
                    out.push(' ');
                }
                rest = &rest[end + 1..];
            }
            '&' if rest.starts_with("nbsp;") => {
                out.push(' ');
                rest = &rest[5..];
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out.trim().to_owned())
}

/// The lines that the answer says for itself. Code, quotes, tables and quoted sentences are left out; an answer that is one
/// block of code as a whole is taken at its word.
pub(super) fn lines(text: &str) -> Vec<Cow<'_, str>> {
    let own = outside(text);
    if own.iter().any(|line| !line.is_empty()) {
        return own;
    }
    let is_mark = |line: &&str| !matches!(line.trim_start().get(..3), Some("```" | "~~~"));
    text.lines().filter(is_mark).map(plain).collect()
}

fn outside(text: &str) -> Vec<Cow<'_, str>> {
    let mut fence: Option<&str> = None;
    let mut html = 0usize;
    let mut out = Vec::new();
    for line in text.lines() {
        let bare = line.trim_start();
        let mark = bare.get(..3).filter(|mark| matches!(*mark, "```" | "~~~"));
        if let Some(mark) = mark
            && fence.is_none_or(|open| open == mark)
        {
            fence = if fence.is_some() { None } else { Some(mark) };
            continue;
        }
        if fence.is_some() || bare.starts_with('>') || bare.starts_with('|') || bare.matches('|').count() > 1
        {
            continue;
        }
        let line = without_blocks(line, &mut html);
        let line = plain_owned(line);
        let item = line.trim_start_matches(['-', '•', '+', '–', ' ', '\t']);
        let digits = item.len() - item.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let item = match item[digits..].strip_prefix(['.', ')']) {
            Some(rest) if (1..=2).contains(&digits) => rest.trim_start(),
            _ => item,
        };
        out.push(Cow::Owned(without_quotes(item)));
    }
    out
}

fn plain_owned(line: Cow<'_, str>) -> Cow<'_, str> {
    Cow::Owned(plain(&line).into_owned())
}

/// Takes out what stands between the tags of quotes and code; `depth` carries over to the next line.
fn without_blocks<'l>(line: &'l str, depth: &mut usize) -> Cow<'l, str> {
    const BLOCKS: [&str; 4] = ["blockquote", "pre", "code", "table"];
    if *depth == 0 && !line.contains('<') {
        return Cow::Borrowed(line);
    }
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('<') {
        if *depth == 0 {
            out.push_str(&rest[..at]);
        }
        let tag = rest[at + 1..].to_ascii_lowercase();
        let end = rest[at..].find('>').map_or(rest.len(), |end| at + end + 1);
        if BLOCKS.iter().any(|block| tag.starts_with(block)) {
            *depth += 1;
        } else if BLOCKS.iter().any(|block| tag.strip_prefix('/').is_some_and(|tag| tag.starts_with(block))) {
            *depth = depth.saturating_sub(1);
        } else if *depth == 0 {
            out.push_str(&rest[at..end]);
        }
        rest = &rest[end..];
    }
    if *depth == 0 {
        out.push_str(rest);
    }
    Cow::Owned(out)
}

/// Takes out what stands in quotation marks, unless it is one word: that is an emphasis.
fn without_quotes(line: &str) -> String {
    const PAIRS: [(char, char); 6] =
        [('"', '"'), ('“', '”'), ('«', '»'), ('„', '“'), ('「', '」'), ('『', '』')];
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(|c| PAIRS.iter().any(|(open, _)| *open == c)) {
        let open = rest[at..].chars().next().unwrap_or('"');
        let inner = &rest[at + open.len_utf8()..];
        let ends = PAIRS.iter().filter(|(o, _)| *o == open).filter_map(|(_, close)| inner.find(*close)).min();
        let Some(end) = ends else { break };
        out.push_str(&rest[..at]);
        let said = &inner[..end];
        if words(said).len() <= 1 {
            out.push_str(said);
        }
        rest = &inner[end..];
        rest = &rest[rest.chars().next().map_or(0, char::len_utf8)..];
    }
    out.push_str(rest);
    out
}

/// Words, with apostrophes and inner hyphens.
pub(super) fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '\'' | '’')))
        .map(|w| w.trim_matches(['\'', '’']))
        .filter(|w| !w.is_empty())
        .collect()
}

/// The rank of a label of the answer's own, and whether it is a rating; `None` for other labels.
pub(super) fn label(label: &str) -> Option<(u8, bool)> {
    // What stands in brackets behind a label is a tag or a remark.
    let label = label.split(['[', '(']).next().unwrap_or_default();
    let words: Vec<String> = words(label).into_iter().map(str::to_lowercase).collect();
    if words.is_empty() || words.len() > 7 {
        return None;
    }
    // "Decision for AAPL" names what is decided on, "decision of the bank" who decided.
    let (words, subject) = match words.iter().position(|w| w == "for" || w == "on") {
        Some(at) => (&words[..at], words.len() - at - 1),
        None => (&words[..], 0),
    };
    if subject > 1 {
        return None;
    }
    let noun = |word: &str| {
        NOUNS.iter().find(|(noun, _)| {
            *noun == word || (!noun.is_ascii() && word.ends_with(noun) && word.len() <= noun.len() + 6)
        })
    };
    let mut rank = 0;
    let mut is_rating = false;
    for word in words {
        match noun(word) {
            Some((name, of)) => {
                rank = rank.max(*of);
                is_rating = *name == "rating";
            }
            None if BESIDE.contains(&word.as_str()) => {}
            None => return None,
        }
    }
    let is_final = words.iter().any(|w| FINAL.iter().any(|f| w == f || (!f.is_ascii() && w.starts_with(f))));
    (rank > 0).then_some((if is_final { 3 } else { rank }, is_rating))
}

/// The action that a word in lower case names: one of five tiers, or one of their usual names in several languages.
pub(super) fn action(word: &str) -> Option<Action> {
    const BUY: [&str; 17] = [
        "buy",
        "buying",
        "overweight",
        "accumulate",
        "outperform",
        "long",
        "kaufen",
        "kauf",
        "acheter",
        "achat",
        "comprar",
        "compra",
        "acquistare",
        "купить",
        "买入",
        "買い",
        "매수",
    ];
    const SELL: [&str; 18] = [
        "sell",
        "selling",
        "underweight",
        "reduce",
        "underperform",
        "short",
        "exit",
        "verkaufen",
        "verkauf",
        "vendre",
        "vente",
        "vender",
        "venda",
        "vendere",
        "продать",
        "卖出",
        "売り",
        "매도",
    ];
    const HOLD: [&str; 17] = [
        "hold",
        "holding",
        "neutral",
        "maintain",
        "wait",
        "halten",
        "conserver",
        "attendre",
        "mantener",
        "manter",
        "mantenere",
        "aguardar",
        "держать",
        "持有",
        "保有",
        "观望",
        "보유",
    ];
    let is =
        |list: &[&str]| list.iter().any(|name| *name == word || (!name.is_ascii() && word.starts_with(name)));
    if is(&BUY) {
        Some(Action::Buy)
    } else if is(&SELL) {
        Some(Action::Sell)
    } else {
        is(&HOLD).then_some(Action::Hold)
    }
}

/// The rating on five steps that a value begins with, as it is usually written.
pub(super) fn rating(value: &str) -> Option<&'static str> {
    const RATINGS: [&str; 5] = ["Buy", "Overweight", "Hold", "Underweight", "Sell"];
    let words = words(value);
    RATINGS.into_iter().find(|rating| words.first().is_some_and(|w| w.eq_ignore_ascii_case(rating)))
}

/// Whether a sentence speaks for the answer: "I recommend", "we decide", "decision is".
pub(super) fn is_first_person(a: &str, b: &str) -> bool {
    const VERBS: [&str; 12] = [
        "recommend",
        "decide",
        "decided",
        "choose",
        "conclude",
        "advise",
        "propose",
        "suggest",
        "would",
        "will",
        "am",
        "are",
    ];
    (matches!(a, "i" | "we") && VERBS.contains(&b))
        || (matches!(a, "decision" | "recommendation" | "verdict") && b == "is")
}

/// Whether an action before this word is a part of a term: "BUY trigger", "SELL stop".
pub(super) fn is_part_of_a_term(next: &str) -> bool {
    const TERMS: [&str; 24] = [
        "trigger", "triggers", "zone", "zones", "limit", "limits", "side", "stop", "stops", "order",
        "orders", "signal", "signals", "rating", "ratings", "ratio", "wall", "pressure", "off", "case",
        "thesis", "argument", "volume", "term",
    ];
    TERMS.contains(&next)
}
