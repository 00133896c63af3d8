//! Lines that follow templates: each template once, then one short row a line.
//!
//! Only whole tokens are hoisted: a timestamp, id, number or path is either part of a template because every line of it
//! has it, or stands in the row as it was. A row is the template's letters, `^` for each leading value that is the one
//! of the row above, then the remaining values; `\2` in a template repeats the row's second value. `=` begins a line
//! that follows no template. `$3` is an alias of a long value that occurs often.
//!
//! Cost: one pass to split, one hash lookup a line, one pass to print. Lines are grouped by their tokens with those
//! that hold a digit left open; small groups of one shape that share three words in five are then joined. A tree of
//! prefixes (as in Drain) was not needed: the joined groups find the same templates.

use super::{GaveUp, Passage, one};
use crate::span::{self, SpanKind};
use crate::work::{
    Meter,
    steps::{Share, Steps},
};
use foldhash::{HashMap, HashMapExt as _};
use std::fmt::Write as _;

/// Most lines in one frame; more are encoded as several.
const MAX_LINES: usize = 200_000;
/// Words looked at for a byte of text, at most. Beyond that the lines have no templates worth the search, and the pass gives up.
const STEPS_PER_BYTE: usize = 16;
/// A group needs this many bytes outside of its values to be worth a template.
const MIN_FIXED: usize = 12;

struct Cluster<'a> {
    /// Tokens of the first line; the ones that vary are marked in `open`.
    tokens: Vec<&'a str>,
    open: Vec<bool>,
    /// For tokens that always are what an earlier open one is: the number of that one among the open ones, else 0.
    same: Vec<u8>,
    lines: usize,
}

/// What was found of templates in lines, before they are written.
struct Found {
    lines: usize,
    /// Lines that follow none.
    plain: usize,
    templates: usize,
}

pub(super) fn make(passage: &Passage<'_>, steps: &Steps<'_>) -> Result<Vec<String>, GaveUp> {
    let is_log = match passage.kind {
        SpanKind::Prose => false,
        SpanKind::Hits => passage.body.lines().all(span::is_log_line),
        _ => true,
    };
    if is_log {
        return one(
            templates(passage.body, steps, |_| true)?.map(|(args, rows)| format!("@log {args}\n{rows}"))
        );
    }
    shaped_lines(passage, steps)
}

fn templates(
    body: &str,
    steps: &Steps<'_>,
    worth: impl Fn(&Found) -> bool,
) -> Result<Option<(String, String)>, GaveUp> {
    let share = steps.share(body.len(), STEPS_PER_BYTE);
    let found = encode(body, &share, worth);
    if share.is_over() { Err(GaveUp) } else { Ok(found) }
}

/// Shortest prose in which a template may pay.
const MIN_PROSE: usize = 400;

/// Lines that nobody would call a log stay as they are, unless nearly all follow a few templates.
fn shaped_lines(passage: &Passage<'_>, steps: &Steps<'_>) -> Result<Vec<String>, GaveUp> {
    let body = passage.body;
    let laid_out = |line: &str| line.is_empty() || line.starts_with(['#', ' ', '\t', '>']);
    let short = passage.kind == SpanKind::Prose && body.len() <= MIN_PROSE;
    if short || body.split('\n').any(laid_out) {
        return Ok(Vec::new());
    }
    // An alias is a line of its own, as a template is.
    let few = |n_lines: usize, names: usize| names * 8 <= n_lines;
    let worth = |found: &Found| found.plain * 5 <= found.lines && few(found.lines, found.templates);
    let Some((args, rows)) = templates(body, steps, worth)? else { return Ok(Vec::new()) };
    let n_lines = body.split('\n').count();
    let names = rows.split('\n').count() - n_lines;
    let clear = rows.len() * 4 <= body.len() * 3 && few(n_lines, names);
    one(clear.then(|| format!("@log {args}\n{rows}")))
}

/// Encodes lines (without their last newline) as a frame's arguments and body, or `None` where it would not be shorter or
/// what was found is not worth it.
fn encode(text: &str, steps: &Share<'_>, worth: impl Fn(&Found) -> bool) -> Option<(String, String)> {
    let lines: Vec<&str> = text.split('\n').take(MAX_LINES + 1).collect();
    if lines.len() < 4 || lines.len() > MAX_LINES {
        return None;
    }
    let split: Vec<Vec<&str>> = lines.iter().map(|line| tokens(line)).collect();
    let (mut clusters, of_line) = cluster(&split, steps)?;
    let alone = clusters.iter().filter(|cluster| cluster.lines == 1).count();
    if !worth(&Found { lines: lines.len(), plain: alone, templates: 0 }) {
        return None;
    }
    mark_constants(&mut clusters, &split, &of_line);
    mark_same(&mut clusters, &split, &of_line);
    let letters = name_clusters(&clusters);
    let templates = letters.iter().filter(|letters| !letters.is_empty()).count();
    let plain = of_line.iter().filter(|id| letters[**id].is_empty()).count();
    if templates == 0 || !worth(&Found { lines: lines.len(), plain, templates }) {
        return None;
    }
    let aliases = find_aliases(&clusters, &letters, &split, &of_line);

    let mut body = String::with_capacity(text.len() / 2);
    for (cluster, letters) in clusters.iter().zip(&letters) {
        if letters.is_empty() {
            continue;
        }
        body.push_str(letters);
        body.push('=');
        for ((token, open), same) in cluster.tokens.iter().zip(&cluster.open).zip(&cluster.same) {
            if *open {
                body.push('*');
            } else if *same > 0 {
                body.push('\\');
                body.push(char::from(b'0' + same));
            } else {
                for c in token.chars() {
                    if matches!(c, '*' | '\\') {
                        body.push('\\');
                    }
                    body.push(c);
                }
            }
        }
        body.push('\n');
    }
    for (i, alias) in aliases.values.iter().enumerate() {
        writeln!(body, "${}={alias}", i + 1).expect("writing to a String cannot fail");
    }
    let mut above: Vec<&str> = Vec::new();
    for (i, (line, parts)) in lines.iter().zip(&split).enumerate() {
        if i > 0 {
            body.push('\n');
        }
        let id = of_line[i];
        if letters[id].is_empty() {
            body.push('=');
            body.push_str(line);
            continue;
        }
        let cluster = &clusters[id];
        let values: Vec<&str> =
            parts.iter().zip(&cluster.open).filter(|(_, open)| **open).map(|(token, _)| *token).collect();
        body.push_str(&letters[id]);
        let same = values.iter().zip(&above).take_while(|(a, b)| a == b).count();
        body.extend(std::iter::repeat_n('^', same));
        for value in &values[same..] {
            body.push(' ');
            push_value(&mut body, value, &aliases);
        }
        above = values;
    }
    let args = format!("{} rows {templates} templates {} aliases", lines.len(), aliases.values.len());
    (body.len() + args.len() + 8 < text.len()).then_some((args, body))
}

fn push_value(out: &mut String, value: &str, aliases: &Aliases<'_>) {
    if let Some(n) = aliases.index.get(value) {
        write!(out, "${n}").expect("writing to a String cannot fail");
        return;
    }
    if value.starts_with(['$', '\\']) {
        out.push('\\');
    }
    out.push_str(value);
}

/// Splits a line into blanks, brackets and other delimiters, and the words between them.
fn tokens(line: &str) -> Vec<&str> {
    let bytes = line.as_bytes();
    let mut out = Vec::with_capacity(24);
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        if is_delimiter(bytes[at]) {
            let first = bytes[at];
            at += 1;
            while first == b' ' && bytes.get(at) == Some(&b' ') {
                at += 1;
            }
            out.push(&line[start..at]);
            continue;
        }
        while at < bytes.len() && !is_delimiter(bytes[at]) {
            at += 1;
        }
        push_word(&mut out, &line[start..at]);
    }
    out
}

fn is_delimiter(b: u8) -> bool {
    matches!(
        b,
        b' ' | b'\t'
            | b'\r'
            | b'['
            | b']'
            | b'('
            | b')'
            | b'{'
            | b'}'
            | b'<'
            | b'>'
            | b'='
            | b','
            | b';'
            | b'"'
            | b'\''
            | b'|'
    )
}

fn push_word<'a>(out: &mut Vec<&'a str>, word: &'a str) {
    let mut word = word;
    if word.len() > 1 && word.starts_with('/') && word.as_bytes()[1].is_ascii_digit() {
        out.push(&word[..1]);
        word = &word[1..];
    }
    let stem = word.trim_end_matches([':', '.']);
    let (stem, tail) = if stem.is_empty() { (word, "") } else { word.split_at(stem.len()) };
    match host_and_port(stem) {
        Some(colon) => out.extend([&stem[..colon], &stem[colon..colon + 1], &stem[colon + 1..]]),
        None => out.push(stem),
    }
    if !tail.is_empty() {
        out.push(tail);
    }
}

/// Where the colon of `10.0.0.1:50010` or `host:8020` stands; times such as `10:42:01` have none.
fn host_and_port(word: &str) -> Option<usize> {
    let colon = word.bytes().rposition(|b| b == b':')?;
    let (host, port) = (&word[..colon], &word[colon + 1..]);
    (!host.contains(':')
        && !port.is_empty()
        && port.bytes().all(|b| b.is_ascii_digit())
        && (host.contains('.') || host.bytes().any(|b| b.is_ascii_alphabetic())))
    .then_some(colon)
}

fn is_open(token: &str) -> bool {
    token.bytes().any(|b| b.is_ascii_digit())
}

fn is_word(token: &str) -> bool {
    !is_delimiter(token.as_bytes()[0]) && !matches!(token, ":" | "." | "/" | "...")
}

/// Groups lines by their templates; `None` where that takes too many steps.
fn cluster<'a>(split: &[Vec<&'a str>], steps: &Share<'_>) -> Option<(Vec<Cluster<'a>>, Vec<usize>)> {
    let mut groups: Vec<Cluster<'a>> = Vec::new();
    let mut of_line = Vec::with_capacity(split.len());
    let mut by_key: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut key = Vec::new();
    for parts in split {
        // Each of five passes looks at every word once.
        steps.spend(5 * parts.len()).then_some(())?;
        put_key(&mut key, parts, is_open);
        let id = match by_key.get(key.as_slice()) {
            Some(id) => *id,
            None => {
                let open = parts.iter().map(|token| is_open(token)).collect();
                groups.push(Cluster { tokens: parts.clone(), open, same: vec![0; parts.len()], lines: 0 });
                by_key.insert(key.clone(), groups.len() - 1);
                groups.len() - 1
            }
        };
        groups[id].lines += 1;
        of_line.push(id);
    }
    let target = join_small(&mut groups, steps)?;
    for id in &mut of_line {
        *id = target[*id];
    }
    Some((groups, of_line))
}

/// Joins groups of one shape (same delimiters at the same places) that share most of their words.
fn join_small(groups: &mut [Cluster<'_>], steps: &Share<'_>) -> Option<Vec<usize>> {
    let mut target: Vec<usize> = (0..groups.len()).collect();
    let words = words_of(groups);
    let mut by_shape: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
    let mut shape = Vec::new();
    for i in 0..groups.len() {
        put_key(&mut shape, &groups[i].tokens, is_word);
        if !by_shape.contains_key(shape.as_slice()) {
            by_shape.insert(shape.clone(), Vec::new());
        }
        let peers = by_shape.get_mut(shape.as_slice()).expect("just put there");
        let mut used = 0;
        let peer = peers.iter().copied().take(64).find(|peer| {
            (groups[*peer].lines < 8 || groups[i].lines < 8) && are_kin(&words[*peer], &words[i], &mut used)
        });
        steps.spend(used).then_some(())?;
        match peer {
            Some(peer) => {
                for at in 0..groups[i].tokens.len() {
                    if groups[peer].tokens[at] != groups[i].tokens[at] {
                        groups[peer].open[at] = true;
                    }
                }
                groups[peer].lines += groups[i].lines;
                groups[i].lines = 0;
                target[i] = peer;
            }
            None => peers.push(i),
        }
    }
    Some(target)
}

/// Writes tokens so that two lines have one key if they differ at most in tokens that are left out.
fn put_key(key: &mut Vec<u8>, tokens: &[&str], left_out: impl Fn(&str) -> bool) {
    key.clear();
    for token in tokens {
        // Bytes that are in no text stand for a token and end one.
        if left_out(token) {
            key.push(0xfe);
        } else {
            key.extend_from_slice(token.as_bytes());
            key.push(0xff);
        }
    }
}

/// Stands for a word with a digit.
const OPEN_WORD: u32 = u32::MAX;

/// The words of each group as numbers, one for each word: groups are compared by them often.
fn words_of(groups: &[Cluster<'_>]) -> Vec<Vec<u32>> {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut all = Vec::with_capacity(groups.len());
    for group in groups {
        let mut words = Vec::with_capacity(group.tokens.len());
        for (token, open) in group.tokens.iter().zip(&group.open).filter(|(token, _)| is_word(token)) {
            let next = numbers.len() as u32;
            words.push(if *open { OPEN_WORD } else { *numbers.entry(*token).or_insert(next) });
        }
        all.push(words);
    }
    all
}

/// Whether three words in five are the same in two groups, and all but three.
fn are_kin(a: &[u32], b: &[u32], steps: &mut usize) -> bool {
    let (mut words, mut same) = (0, 0);
    for (x, y) in a.iter().zip(b) {
        *steps += 1;
        if *x == OPEN_WORD {
            continue;
        }
        words += 1;
        same += usize::from(x == y);
        // Most groups are no kin, which their first words tell.
        if words - same > 3 {
            return false;
        }
    }
    same * 5 >= words * 3 && same > 0
}

/// Opens the tokens that vary within a cluster and closes the ones that never do.
fn mark_constants<'a>(clusters: &mut [Cluster<'a>], split: &[Vec<&'a str>], of_line: &[usize]) {
    for cluster in clusters.iter_mut() {
        cluster.open.fill(false);
    }
    for (parts, id) in split.iter().zip(of_line) {
        let cluster = &mut clusters[*id];
        for (at, token) in parts.iter().enumerate() {
            if cluster.tokens[at] != *token {
                cluster.open[at] = true;
            }
        }
    }
}

/// Finds the open tokens that repeat an earlier open one in every line of their cluster, and closes them.
fn mark_same<'a>(clusters: &mut [Cluster<'a>], split: &[Vec<&'a str>], of_line: &[usize]) {
    const NONE: usize = usize::MAX;
    let mut source: Vec<Vec<usize>> = clusters
        .iter()
        .map(|cluster| {
            let mut first: HashMap<&str, usize> = HashMap::new();
            let mut earlier = |at: usize| match *first.entry(cluster.tokens[at]).or_insert(at) {
                first if first < at => first,
                _ => NONE,
            };
            (0..cluster.tokens.len()).map(|at| if cluster.open[at] { earlier(at) } else { NONE }).collect()
        })
        .collect();
    for (parts, id) in split.iter().zip(of_line) {
        for (at, from) in source[*id].iter_mut().enumerate() {
            if *from != NONE && parts[at] != parts[*from] {
                *from = NONE;
            }
        }
    }
    for (cluster, source) in clusters.iter_mut().zip(source) {
        // How many tokens up to each stay open.
        let mut numbers: Vec<usize> = Vec::with_capacity(source.len());
        for (at, from) in source.into_iter().enumerate() {
            // The source may itself have been closed; only the first of several stays open, so this finds it.
            if from != NONE
                && cluster.open[from]
                && let Ok(number @ 1..=9) = u8::try_from(numbers[from])
            {
                cluster.open[at] = false;
                cluster.same[at] = number;
            }
            numbers.push(numbers.last().copied().unwrap_or(0) + usize::from(cluster.open[at]));
        }
    }
}

/// Letters for the clusters that get a template, an empty string for the others.
fn name_clusters(clusters: &[Cluster<'_>]) -> Vec<String> {
    let mut order: Vec<usize> = (0..clusters.len()).filter(|i| pays(&clusters[*i])).collect();
    // The most used templates get the shortest names; ties stay in the order of appearance.
    order.sort_by_key(|i| std::cmp::Reverse(clusters[*i].lines));
    let mut names = vec![String::new(); clusters.len()];
    for (n, i) in order.into_iter().enumerate() {
        names[i] = letters(n);
    }
    names
}

fn pays(cluster: &Cluster<'_>) -> bool {
    if cluster.lines < 2 {
        return false;
    }
    let fixed: usize = cluster
        .tokens
        .iter()
        .zip(&cluster.open)
        .filter(|(_, open)| !**open)
        .map(|(token, _)| token.len())
        .sum();
    let holes = cluster.open.iter().filter(|open| **open).count();
    (cluster.lines - 1) * fixed > MIN_FIXED + cluster.lines * 2 + holes * (cluster.lines + 1)
}

/// `a` … `z`, `aa`, `ab`, …
fn letters(mut n: usize) -> String {
    let mut out = Vec::new();
    loop {
        out.push(b'a' + (n % 26) as u8);
        n /= 26;
        if n == 0 {
            break;
        }
        n -= 1;
    }
    out.reverse();
    String::from_utf8(out).expect("letters are ASCII")
}

struct Aliases<'a> {
    values: Vec<&'a str>,
    index: HashMap<&'a str, usize>,
}

fn find_aliases<'a>(
    clusters: &[Cluster<'a>],
    letters: &[String],
    split: &[Vec<&'a str>],
    of_line: &[usize],
) -> Aliases<'a> {
    let mut counts: HashMap<&'a str, (usize, usize)> = HashMap::new();
    let mut n_seen = 0;
    let mut above: Vec<&str> = Vec::new();
    for (parts, id) in split.iter().zip(of_line) {
        if letters[*id].is_empty() {
            continue;
        }
        let values: Vec<&'a str> = parts
            .iter()
            .zip(&clusters[*id].open)
            .filter(|(_, open)| **open)
            .map(|(token, _)| *token)
            .collect();
        let same = values.iter().zip(&above).take_while(|(a, b)| a == b).count();
        for value in values[same..].iter().filter(|value| value.len() >= 8) {
            n_seen += 1;
            counts.entry(value).or_insert((0, n_seen)).0 += 1;
        }
        above = values;
    }
    let mut frequent: Vec<(usize, usize, &'a str)> = counts
        .into_iter()
        .filter(|(value, (n, _))| {
            let cost = token_guess(value);
            n * cost > n * 3 + cost + 6
        })
        .map(|(value, (n, seen))| (n, seen, value))
        .collect();
    frequent.sort_unstable_by_key(|(n, seen, _)| (std::cmp::Reverse(*n), *seen));
    let values: Vec<&str> = frequent.into_iter().map(|(_, _, value)| value).collect();
    let index = values.iter().enumerate().map(|(i, value)| (*value, i + 1)).collect();
    Aliases { values, index }
}

/// Roughly how many tokens a value has: three digits or four letters a token, punctuation its own.
fn token_guess(value: &str) -> usize {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let marks = value.bytes().filter(u8::is_ascii_punctuation).count();
    digits.div_ceil(3) + marks + (value.len() - digits - marks).div_ceil(5)
}

/// Undoes [`encode`]; gives the lines and where the body ended.
pub(super) fn decode(
    text: &str,
    args: &str,
    at: usize,
    meter: &Meter<'_>,
) -> Result<(String, usize), &'static str> {
    let mut words = args.split(' ');
    let mut number = |unit: &str| {
        let n = words.next().and_then(|word| word.parse::<usize>().ok());
        n.filter(|_| words.next() == Some(unit)).ok_or("expected @log N rows N templates N aliases")
    };
    let (rows, n_templates, n_aliases) = (number("rows")?, number("templates")?, number("aliases")?);
    if words.next().is_some() {
        return Err("expected @log N rows N templates N aliases");
    }
    let mut lines = Lines { text, at };
    let mut templates: HashMap<&str, Vec<Part>> = HashMap::new();
    for _ in 0..n_templates {
        let (name, template) = lines.next()?.split_once('=').ok_or("template without a name")?;
        templates.insert(name, parts_of(template));
    }
    let mut aliases = Vec::new();
    for n in 1..=n_aliases {
        let (name, value) = lines.next()?.split_once('=').ok_or("alias without a name")?;
        if name.strip_prefix('$').and_then(|name| name.parse().ok()) != Some(n) {
            return Err("aliases are not numbered in order");
        }
        aliases.push(value);
    }
    let mut out = String::new();
    let mut above: Vec<&str> = Vec::new();
    for i in 0..rows {
        if i > 0 {
            out.push('\n');
        }
        let row = lines.next()?;
        if let Some(line) = row.strip_prefix('=') {
            meter.push(&mut out, line)?;
            continue;
        }
        let (head, rest) = row.split_once(' ').map_or((row, None), |(head, rest)| (head, Some(rest)));
        let name = head.trim_end_matches('^');
        let same = head.len() - name.len();
        let parts = templates.get(name).ok_or("row of an unknown template")?;
        let mut values: Vec<&str> =
            above.get(..same).ok_or("row repeats more values than there are")?.to_vec();
        for word in rest.into_iter().flat_map(|rest| rest.split(' ')) {
            values.push(match word.as_bytes().first() {
                Some(b'\\') => &word[1..],
                Some(b'$') => {
                    let n: usize = word[1..].parse().map_err(|_| "alias that is no number")?;
                    aliases.get(n.wrapping_sub(1)).ok_or("unknown alias")?
                }
                _ => word,
            });
        }
        let mut next = values.iter();
        // A part may be empty, so that writing it costs no bytes.
        meter.spend(parts.len())?;
        for part in parts {
            let part = match part {
                Part::Fixed(text) => text,
                Part::Same(n) => *values.get(*n).ok_or("template repeats a value that is not there")?,
                Part::Hole => next.next().ok_or("row with too few values")?,
            };
            meter.push(&mut out, part)?;
        }
        if next.next().is_some() {
            return Err("row with too many values");
        }
        above = values;
    }
    Ok((out, lines.end()))
}

enum Part {
    Fixed(String),
    Hole,
    Same(usize),
}

fn parts_of(template: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut fixed = String::new();
    let mut chars = template.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => {
                if !fixed.is_empty() {
                    parts.push(Part::Fixed(std::mem::take(&mut fixed)));
                }
                parts.push(Part::Hole);
            }
            '\\' => match chars.next() {
                Some(n @ '1'..='9') => {
                    if !fixed.is_empty() {
                        parts.push(Part::Fixed(std::mem::take(&mut fixed)));
                    }
                    parts.push(Part::Same(n as usize - '1' as usize));
                }
                other => fixed.extend(other),
            },
            c => fixed.push(c),
        }
    }
    if !fixed.is_empty() {
        parts.push(Part::Fixed(fixed));
    }
    parts
}

/// Lines of a frame's body; the last one may end with the text.
struct Lines<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<&'a str, &'static str> {
        let rest = self.text.get(self.at..).ok_or("frame ends too early")?;
        let len = rest.find('\n').unwrap_or(rest.len());
        self.at += len + 1;
        Ok(&rest[..len])
    }

    /// Where the body's last line ends, before its newline.
    fn end(&self) -> usize {
        self.at - 1
    }
}
