//! Words of an application, which a crate that knows none has no use for.

/// Crates that know no application.
const GENERIC: [&str; 10] =
    ["agents", "files", "graph", "llm", "models", "monitor", "prompt", "proxy", "runtime", "tokens"];

/// The words in lower case; `BUY` counts in capitals alone.
const WORDS: [&str; 8] = ["ticker", "tickers", "stock", "stocks", "analyst", "analysts", "bull", "bulls"];

/// Files that need such a word, and why.
const EXCEPTIONS: [(&str, &str); 4] = [
    ("lacon-runtime/src/settings.rs", "the settings of all commands are defined once, in one list"),
    ("lacon-monitor/src/trace.rs", "recorded traces name what was asked so"),
    ("lacon-monitor/src/trace/journal.rs", "journals name what was asked so"),
    ("lacon-monitor/src/trace/otlp.rs", "attributes of recorded traces have these names"),
];

/// Checks product code and its comments; tests may speak of anything.
pub fn check(file: &str, text: &str, faults: &mut Vec<String>) {
    let Some(inner) = file.strip_prefix("crates/") else { return };
    let is_generic = GENERIC.iter().any(|name| inner.starts_with(&format!("lacon-{name}/src/")));
    let is_excepted = EXCEPTIONS.iter().any(|(excepted, _)| inner == *excepted);
    if !is_generic || is_excepted || inner.ends_with("/tests.rs") {
        return;
    }
    // A file's tests stand at its end.
    let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
    let code = code.split("\n#[cfg(all(test").next().unwrap_or(code);
    for (number, line) in code.lines().enumerate() {
        let words = line.split(|c: char| !c.is_alphanumeric());
        for word in words.filter(|word| *word == "BUY" || WORDS.contains(&word.to_lowercase().as_str())) {
            faults.push(format!("{file}:{}: {word:?} is a word of an application", number + 1));
        }
    }
}
