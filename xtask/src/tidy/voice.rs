//! How the documentation is written: sentence length, words, spelling, and that every command and flag in it exists.
//! Comments of the source are held to the spelling alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Context, Result};

use crate::root;

/// Longest sentence of the documentation, in words; the aim is 25.
const SENTENCE: usize = 30;
/// Longest README, in lines.
const README: usize = 120;

/// Words that only this project's authors understand, and what to write instead.
const PRIVATE: &[(&str, &str)] = &[
    ("the origin", "the original Python system"),
    ("the origin's", "the original Python system's"),
    ("lever", "optimization"),
    ("levers", "optimizations"),
    ("books", "time breakdown, or ledger"),
    ("our own time", "overhead"),
    ("our own", "Lacon's"),
    ("crew", "worker pool"),
    ("seed profile", "baseline"),
    ("profile seed", "profile baseline"),
    ("under way", "in flight, or running"),
    ("mend", "fix"),
];

/// British spellings and their American ones; a word that begins so is found.
const BRITISH: &[(&str, &str)] = &[
    ("analyse", "analyze"),
    ("artefact", "artifact"),
    ("behaviour", "behavior"),
    ("cancelled", "canceled"),
    ("cancelling", "canceling"),
    ("catalogue", "catalog"),
    ("centre", "center"),
    ("colour", "color"),
    ("defence", "defense"),
    ("favour", "favor"),
    ("honour", "honor"),
    ("judgement", "judgment"),
    ("labelled", "labeled"),
    ("licence", "license"),
    ("modelled", "modeled"),
    ("neighbour", "neighbor"),
    ("normalise", "normalize"),
    ("optimis", "optimiz"),
    ("organis", "organiz"),
    ("recognis", "recogniz"),
    ("serialis", "serializ"),
    ("summaris", "summariz"),
    ("travelled", "traveled"),
];

/// Checks the tracked Markdown files at the root and in `docs/`, and the help texts.
pub fn check(files: &[String], faults: &mut Vec<String>) -> Result<()> {
    let read =
        |file: &str| fs::read_to_string(root().join(file)).with_context(|| format!("cannot read {file}"));
    let lines = read("README.md")?.lines().count();
    if lines > README {
        faults.push(format!("README.md: {lines} lines, limit is {README}"));
    }
    let args: Vec<&String> = files
        .iter()
        .filter(|f| f.ends_with("/src/args.rs") || (f.contains("/src/args/") && f.ends_with(".rs")))
        .collect();
    let mut source = String::new();
    for file in &args {
        let text = read(file)?;
        for (number, line) in text.lines().enumerate() {
            if let Some(help) = line.trim_start().strip_prefix("/// ") {
                words(&format!("{file}:{}", number + 1), help, faults);
            }
        }
        source.push_str(&text);
        source.push('\n');
    }
    let commands = commands(&source);
    let scripts =
        files.iter().filter(|f| f.starts_with("benchmarks/") && (f.ends_with(".sh") || f.ends_with(".py")));
    let scripts: String = scripts.filter_map(|f| fs::read_to_string(root().join(f)).ok()).collect();
    for file in files.iter().filter(|f| f.ends_with(".rs")) {
        comments(file, &read(file)?, faults);
    }
    for file in files.iter().filter(|f| f.ends_with(".md")) {
        if !file.contains('/') || (file.starts_with("docs/") && !file[5..].contains('/')) {
            page(file, &read(file)?, &commands, &scripts, faults);
        }
    }
    Ok(())
}

fn page(file: &str, text: &str, commands: &Commands, scripts: &str, faults: &mut Vec<String>) {
    let (mut fenced, mut command, mut paragraph, mut start) = (false, String::new(), String::new(), 0);
    for (number, line) in text.lines().enumerate() {
        let at = format!("{file}:{}", number + 1);
        let begins = line.trim_start().starts_with(['-', '#', '|', '>', '!'])
            || line.trim_start().split_once(". ").is_some_and(|(n, _)| n.parse::<u32>().is_ok());
        if line.trim_start().starts_with("```") || line.trim().is_empty() || begins || fenced {
            sentences(&format!("{file}:{}", start + 1), &paragraph, faults);
            paragraph.clear();
        }
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            command.clear();
            continue;
        }
        if fenced {
            // A line that is indented goes on with the command above it.
            command = if line.starts_with(' ') { format!("{command} {line}") } else { line.to_owned() };
            shell(&at, line_of(&command, line), commands, faults);
            continue;
        }
        for span in line.split('`').skip(1).step_by(2) {
            if span.starts_with("--") && span.as_bytes().get(2).is_some_and(u8::is_ascii_lowercase) {
                for flag in flags(span) {
                    if !commands.values().any(|known| known.contains(&flag))
                        && !scripts.contains(&format!("--{flag}"))
                    {
                        faults.push(format!("{at}: no command has the flag --{flag}"));
                    }
                }
            } else {
                shell(&at, span, commands, faults);
            }
        }
        let prose = prose(line);
        words(&at, &prose, faults);
        if !line.trim_start().starts_with(['|', '#', '!']) {
            if paragraph.is_empty() {
                start = number;
            }
            paragraph.push_str(prose.trim_start().trim_start_matches(['-', '>']));
            paragraph.push(' ');
        }
    }
    sentences(&format!("{file}:{}", start + 1), &paragraph, faults);
}

/// The whole command where the line goes on with one, so that its flags are known.
fn line_of<'a>(command: &'a str, line: &'a str) -> &'a str {
    if line.starts_with(' ') { command } else { line }
}

/// A line without code spans, addresses of links and emphasis; a code span is one word.
fn prose(line: &str) -> String {
    let mut out = String::new();
    for (i, part) in line.split('`').enumerate() {
        out.push_str(if i % 2 == 0 { part } else { "code" });
    }
    while let Some(at) = out.find("](") {
        let end = out[at..].find(')').map_or(out.len(), |n| at + n + 1);
        out.replace_range(at..end, "");
    }
    out.replace(['[', '*'], "")
}

fn sentences(at: &str, paragraph: &str, faults: &mut Vec<String>) {
    for sentence in paragraph.split_inclusive(". ").flat_map(|s| s.split("? ")) {
        let n = sentence.split_whitespace().filter(|w| w.chars().any(char::is_alphanumeric)).count();
        if n > SENTENCE {
            let start: Vec<&str> = sentence.split_whitespace().take(6).collect();
            faults.push(format!("{at}: a sentence of {n} words, limit is {SENTENCE}: {} …", start.join(" ")));
        }
    }
}

/// Comments of the source are spelled as the documentation is, and name the original system.
fn comments(file: &str, text: &str, faults: &mut Vec<String>) {
    for (number, line) in text.lines().enumerate() {
        if let Some(comment) = line.trim_start().strip_prefix("//") {
            let (at, comment) = (format!("{file}:{}", number + 1), prose(comment));
            spelling(&at, &comment.to_lowercase(), faults);
            if comment.contains("the origin ") || comment.contains("the origin's") {
                faults.push(format!("{at}: write the original system"));
            }
        }
    }
}

fn spelling(at: &str, text: &str, faults: &mut Vec<String>) {
    for (british, american) in BRITISH {
        if text.split(|c: char| !c.is_alphabetic()).any(|w| w.starts_with(british) && w != "analyses") {
            faults.push(format!("{at}: {british}: American spelling is {american}"));
        }
    }
}

fn words(at: &str, prose: &str, faults: &mut Vec<String>) {
    let text = prose.to_lowercase();
    spelling(at, &text, faults);
    let plain: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '-').collect();
    let spaced = format!(" {} ", plain.join(" "));
    for (word, better) in PRIVATE {
        if spaced.contains(&format!(" {word} ")) {
            faults.push(format!("{at}: {word:?} says little to a stranger; write {better}"));
        }
    }
}

/// Flags by command; a command has those of its subcommands too.
type Commands = BTreeMap<String, BTreeSet<String>>;

/// Checks the commands of a line of a shell, or of a code span.
fn shell(at: &str, line: &str, commands: &Commands, faults: &mut Vec<String>) {
    for part in line.split(" | ").flat_map(|p| p.split(" && ")).flat_map(|p| p.split(" # ").take(1)) {
        let mut tokens = part.split_whitespace().skip_while(|t| *t == "$" || t.contains('='));
        if tokens.next() != Some("lacon") {
            continue;
        }
        let Some(names) = tokens.next().filter(|t| t.starts_with(|c: char| c.is_ascii_lowercase())) else {
            continue;
        };
        let mut known = BTreeSet::new();
        for name in names.split('|') {
            match commands.get(name) {
                Some(flags) => known.extend(flags),
                None => faults.push(format!("{at}: there is no command lacon {name}")),
            }
        }
        if known.is_empty() {
            continue;
        }
        let run = commands.get("run");
        let (own, behind) = part.split_once(" -- ").unwrap_or((part, ""));
        for flag in flags(own).iter().filter(|f| !known.contains(f)) {
            faults.push(format!("{at}: lacon {names} has no flag --{flag}"));
        }
        for flag in flags(behind).iter().filter(|f| run.is_some_and(|run| !run.contains(*f))) {
            faults.push(format!("{at}: lacon run has no flag --{flag}"));
        }
    }
}

/// The names of all `--flags` in a text.
fn flags(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("--") {
        let before = text[..at].chars().next_back();
        let name: String = text[at + 2..]
            .chars()
            .take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')
            .collect();
        if before.is_none_or(|c| c == ' ' || c == '[' || c == '|' || c == '(') && !name.is_empty() {
            found.push(name);
        }
    }
    found
}

/// A struct or enum of the command line: its flags, and its fields or variants with their types.
#[derive(Default)]
struct Item {
    flags: BTreeSet<String>,
    parts: Vec<(String, String)>,
}

/// Reads the commands and their flags from the source of the command line.
fn commands(source: &str) -> Commands {
    let mut items: BTreeMap<String, Item> = BTreeMap::new();
    let (mut item, mut long, mut explicit) = (String::new(), false, None);
    for line in source.lines() {
        let line = line.trim();
        let declared = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "));
        if let Some(rest) = declared {
            item = rest.split([' ', '{', '<']).next().unwrap_or_default().to_owned();
            items.entry(item.clone()).or_default();
            continue;
        }
        let Some(Item { flags, parts }) = items.get_mut(&item) else { continue };
        if line.starts_with("#[arg(") {
            long |= line.contains("long");
            explicit =
                explicit.or_else(|| line.split("long = \"").nth(1)?.split('"').next().map(str::to_owned));
            flags.extend(
                line.split("alias = \"").skip(1).filter_map(|a| a.split('"').next()).map(str::to_owned),
            );
            continue;
        }
        let name = line.strip_prefix("pub ").unwrap_or(line);
        let Some((name, kind)) = name.split_once([':', '(', '{']).filter(|(n, _)| !n.contains(['/', '#']))
        else {
            continue;
        };
        let name = name.trim().to_owned();
        if long {
            flags.insert(explicit.take().unwrap_or_else(|| name.replace('_', "-")));
        }
        long = false;
        let kind =
            kind.trim_end_matches([',', ')', '>']).rsplit(['<', ':']).next().unwrap_or_default().trim();
        parts.push((name, kind.to_owned()));
    }
    let common: BTreeSet<String> =
        ["config", "log-level", "models-file", "help", "version"].map(str::to_owned).into();
    let mut found = Commands::new();
    for (variant, kind) in items.get("Command").map(|c| c.parts.clone()).unwrap_or_default() {
        let mut kebab = String::new();
        for c in variant.chars() {
            if c.is_uppercase() && !kebab.is_empty() {
                kebab.push('-');
            }
            kebab.extend(c.to_lowercase());
        }
        let (mut flags, mut open, mut seen) = (common.clone(), vec![kind], BTreeSet::new());
        while let Some(kind) = open.pop() {
            if let Some(item) = items.get(&kind).filter(|_| seen.insert(kind.clone())) {
                flags.extend(item.flags.iter().cloned());
                open.extend(item.parts.iter().map(|p| p.1.clone()));
            }
        }
        // A command that is passed on to another program has its flags there.
        found.entry(kebab).or_default().extend(flags);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "pub enum Command {\n    /// Runs\n    BatchRun(Box<RunArgs>),\n    Run(RunArgs),\n}\npub struct RunArgs {\n    #[command(flatten)]\n    pub cast: cast::CastArgs,\n    #[arg(short = 't', long = \"tokens\")]\n    pub n: usize,\n}\npub struct CastArgs {\n    /// A: b\n    #[arg(long)]\n    pub more_a: String,\n    pub files: Vec<PathBuf>,\n}\n";

    fn check(text: &str, expected: &[&str]) {
        let mut faults = Vec::new();
        page("a.md", text, &commands(SOURCE), "", &mut faults);
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, part) in faults.iter().zip(expected) {
            assert!(fault.contains(part), "{fault}");
        }
    }

    #[test]
    fn what_does_not_exist_is_found() {
        check("`lacon run --more-a X --tokens 3` and `--tokens`\n", &[]);
        check(
            "```\nlacon batch-run A -- --tokens 3\n    --more-a\n$ lacon walk\n```\n",
            &["no command lacon walk"],
        );
        check(
            "`lacon run --files A` and `--nothing`\n",
            &["lacon run has no flag --files", "the flag --nothing"],
        );
    }

    #[test]
    fn long_sentences_and_private_words_are_found() {
        check(&format!("{}end. Short.\n", "word ".repeat(30)), &["a sentence of 31 words"]);
        check("A lever of the original, `lever` in code.\n", &["\"lever\" says little"]);
        check("A cancelled call.\n", &["canceled"]);
    }
}
