//! Resolves the settings once: default, then file, then environment, then flag. The only place that reads the
//! environment.

use std::{collections::BTreeMap, fmt, path::Path};

use crate::settings::{Kind, SETTINGS, Setting};

/// Where a value comes from; later ones win.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The built-in default.
    Default,
    /// A file.
    File(String),
    /// An environment variable.
    Environment(&'static str),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// What is wrong with a setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No setting of that name.
    #[error("unknown {what} {name:?} in {origin}{}", nearest_hint(nearest))]
    Unknown {
        /// Key or variable.
        what: &'static str,
        /// The name found.
        name: String,
        /// Where it stands.
        origin: String,
        /// The nearest known name.
        nearest: Option<String>,
    },
    /// A value that the setting cannot hold.
    #[error("{key} is {value}, {expected} is needed ({origin})")]
    Value {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What it may hold.
        expected: String,
        /// Where it stands.
        origin: String,
    },
    /// The file cannot be read or is no TOML.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
}

fn nearest_hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|n| format!("\nhint: did you mean {n}?")).unwrap_or_default()
}

/// Values that were renamed and are still read: key, old spelling, spelling.
const OLD_SPELLINGS: [(&str, &str, &str); 1] = [("run.profile", "seed", "baseline")];

/// Providers whose key stands in a variable of their own.
pub const PROVIDER_KEYS: [(&str, &str); 2] =
    [("anthropic", "ANTHROPIC_API_KEY"), ("gemini", "GEMINI_API_KEY")];

/// The resolved settings.
#[derive(Clone)]
pub struct Config {
    warnings: Vec<String>,
    values: BTreeMap<&'static str, (String, Origin)>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = SETTINGS.iter().map(|s| (s.key, self.shown(s)));
        f.debug_map().entries(shown).finish()
    }
}

impl Default for Config {
    fn default() -> Self {
        let values = SETTINGS.iter().map(|s| (s.key, (s.default.to_owned(), Origin::Default))).collect();
        Self { values, warnings: Vec::new() }
    }
}

impl Config {
    /// Resolves defaults, the file `lacon.toml` of the working folder (or `file`), the process's environment and the
    /// flags, in this order.
    ///
    /// # Errors
    /// The first unknown key or unfit value, with where it stands. A `file` that was asked for must exist.
    pub fn resolve(file: Option<&Path>, flags: &[(&'static str, String)]) -> Result<Self, ConfigError> {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
        let lookup = |name: &str| std::env::var_os(name);
        let mut environment = Vec::new();
        for setting in SETTINGS {
            if let Some(value) = lookup(setting.env) {
                environment.push((setting.env.to_owned(), value.to_string_lossy().into_owned()));
            }
        }
        for (_, name) in PROVIDER_KEYS {
            environment
                .extend(lookup(name).map(|value| (name.to_owned(), value.to_string_lossy().into_owned())));
        }
        for (name, _) in std::env::vars_os() {
            if let Some(name) = name.to_str().filter(|n| n.starts_with("LACON_"))
                && !SETTINGS.iter().any(|s| s.env == name)
            {
                environment.push((name.to_owned(), String::new()));
            }
        }
        let default_file = Path::new("lacon.toml");
        let text = match file {
            Some(path) => Some((path, std::fs::read_to_string(path).map_err(|e| unreadable(path, &e))?)),
            None if default_file.exists() => {
                let text = std::fs::read_to_string(default_file).map_err(|e| unreadable(default_file, &e))?;
                Some((default_file, text))
            }
            None => None,
        };
        let text = text.as_ref().map(|(path, text)| (path.display().to_string(), text.as_str()));
        Self::from_parts(text.as_ref().map(|(p, t)| (p.as_str(), *t)), &environment, flags)
    }

    /// Resolves from given texts: a file's name and content, environment pairs, flags.
    ///
    /// # Errors
    /// As [`Config::resolve`].
    pub fn from_parts(
        file: Option<(&str, &str)>,
        environment: &[(String, String)],
        flags: &[(&'static str, String)],
    ) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        if let Some((path, text)) = file {
            config.read_file(path, text)?;
        }
        for (name, value) in
            environment.iter().filter(|(name, _)| !PROVIDER_KEYS.iter().any(|(_, key)| key == name))
        {
            let Some(setting) = SETTINGS.iter().find(|s| s.env == name) else {
                // Other programs and other versions may have variables of their own.
                let near = nearest(name, SETTINGS.iter().map(|s| s.env));
                let hint = near.map(|near| format!("\nhint: did you mean {near}?")).unwrap_or_default();
                config.warnings.push(format!("variable {name} is no setting and has no effect{hint}"));
                continue;
            };
            config.set(setting, value.clone(), Origin::Environment(setting.env))?;
        }
        for (key, value) in flags {
            let setting =
                SETTINGS.iter().find(|s| s.key == *key).expect("flags are declared with known keys");
            config.set(setting, value.clone(), Origin::Flag)?;
        }
        config.take_provider_key(environment);
        Ok(config)
    }

    /// A provider with a variable of its own is sent the key in it, and never another provider's.
    fn take_provider_key(&mut self, environment: &[(String, String)]) {
        let Some((_, name)) =
            PROVIDER_KEYS.iter().find(|(provider, _)| *provider == self.text("llm.provider"))
        else {
            return;
        };
        if let Origin::Flag | Origin::File(_) = self.origin("llm.api_key") {
            return;
        }
        let own = environment.iter().find(|(known, value)| known == name && !value.is_empty());
        let origin = own.map_or(Origin::Default, |_| Origin::Environment(name));
        let key = own.map(|(_, value)| value.clone()).unwrap_or_default();
        self.values.insert("llm.api_key", (key, origin));
    }

    fn read_file(&mut self, path: &str, text: &str) -> Result<(), ConfigError> {
        let file_error = |problem: String| ConfigError::File { path: path.into(), problem };
        let table: toml::Table =
            toml::from_str(text).map_err(|e| file_error(e.to_string().trim_end().into()))?;
        for (section, content) in table {
            let toml::Value::Table(content) = content else {
                return Err(unknown_key(&section, path));
            };
            for (name, value) in content {
                let key = format!("{section}.{name}");
                let setting =
                    SETTINGS.iter().find(|s| s.key == key).ok_or_else(|| unknown_key(&key, path))?;
                let value = match value {
                    toml::Value::String(text) => text,
                    toml::Value::Array(items) => items
                        .iter()
                        .map(|i| i.as_str().map_or_else(|| i.to_string(), Into::into))
                        .collect::<Vec<_>>()
                        .join(","),
                    toml::Value::Table(_) => return Err(unknown_key(&format!("{key}.…"), path)),
                    other => other.to_string(),
                };
                self.set(setting, value, Origin::File(path.into()))?;
            }
        }
        Ok(())
    }

    fn set(&mut self, setting: &'static Setting, value: String, origin: Origin) -> Result<(), ConfigError> {
        let value = as_written(setting.kind, value);
        let value = OLD_SPELLINGS
            .iter()
            .find(|(key, old, _)| *key == setting.key && old.eq_ignore_ascii_case(value.trim()))
            .map_or(value, |(_, _, now)| (*now).to_owned());
        if let Some(expected) = unfit(setting.kind, &value) {
            let value = if setting.kind == Kind::Secret { "[hidden]".into() } else { format!("{value:?}") };
            return Err(ConfigError::Value { key: setting.key, value, expected, origin: origin.to_string() });
        }
        self.values.insert(setting.key, (value, origin));
        Ok(())
    }

    /// The value of a key as text.
    ///
    /// # Panics
    /// On a key that is not in [`SETTINGS`]: a slip in the program, caught by the test that reads every key.
    pub fn text(&self, key: &str) -> &str {
        &self.values.get(key).unwrap_or_else(|| panic!("setting {key:?} is not declared")).0
    }

    /// The value of a key as a whole number.
    pub fn integer(&self, key: &str) -> i64 {
        self.text(key).parse().expect("checked when it was set")
    }

    /// The value of a key as a number.
    pub fn number(&self, key: &str) -> f64 {
        self.text(key).parse().expect("checked when it was set")
    }

    /// The value of a key as a truth value.
    pub fn flag(&self, key: &str) -> bool {
        self.text(key) == "true"
    }

    /// The parts of a list, trimmed, empty ones left out.
    pub fn list(&self, key: &str) -> Vec<&str> {
        self.text(key).split(',').map(str::trim).filter(|p| !p.is_empty()).collect()
    }

    /// What the user should hear about, such as variables that are no settings.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Where the value comes from.
    pub fn origin(&self, key: &str) -> &Origin {
        &self.values[key].1
    }

    /// The value for people: secrets are hidden.
    pub fn shown(&self, setting: &Setting) -> String {
        let value = self.text(setting.key);
        match setting.kind {
            Kind::Secret if value.is_empty() => "not set".into(),
            Kind::Secret => "[hidden]".into(),
            _ => value.to_owned(),
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> ConfigError {
    ConfigError::File { path: path.display().to_string(), problem: format!("cannot be read: {error}") }
}

fn unknown_key(key: &str, path: &str) -> ConfigError {
    ConfigError::Unknown {
        what: "key",
        name: key.into(),
        origin: path.into(),
        nearest: nearest(key, SETTINGS.iter().map(|s| s.key)),
    }
}

/// The known name nearest to a mistyped one, when one is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|k| (strsim::damerau_levenshtein(name, k), k))
        .min()
        .filter(|(distance, k)| *distance <= 2 + k.len() / 4)
        .map(|(_, k)| k.to_owned())
}

/// A choice as it is written in the list of choices: their case does not matter.
fn as_written(kind: Kind, value: String) -> String {
    let choices: &[&str] = match kind {
        Kind::Choice(choices) => choices,
        Kind::Bool => &["true", "false"],
        _ => return value,
    };
    choices
        .iter()
        .find(|choice| choice.eq_ignore_ascii_case(value.trim()))
        .map_or(value, |choice| (*choice).to_owned())
}

/// What the kind needs, when the value does not fit.
fn unfit(kind: Kind, value: &str) -> Option<String> {
    match kind {
        Kind::Text | Kind::Secret | Kind::List => None,
        Kind::Integer(low, high) => {
            let fits = value.parse::<i64>().is_ok_and(|v| (low..=high).contains(&v));
            let upper = if high == i64::MAX { String::new() } else { format!(" to {high}") };
            (!fits).then(|| format!("a whole number from {low}{upper}"))
        }
        Kind::Number(low, high) => {
            let fits = value.parse::<f64>().is_ok_and(|v| v >= low && v <= high);
            (!fits).then(|| format!("a number from {low} to {high}"))
        }
        Kind::Bool => (!matches!(value, "true" | "false")).then(|| "true or false".into()),
        Kind::Choice(values) => (!values.contains(&value)).then(|| format!("one of {}", values.join(", "))),
    }
}

/// The reference page of all settings, in Markdown.
pub fn reference() -> String {
    let mut page = String::from(
        "# Settings\n\nGenerated from `crates/lacon-runtime/src/settings.rs` by `cargo xtask fixtures`. Each value comes from \
         the first of: flag, environment, file `lacon.toml`, default. `lacon config show --origin` prints what is in \
         force. The case of choices does not matter. An unknown key is an error, an unknown `LACON_` variable a warning.\n\n| key | default | environment | what it does |\n|---|---|---|---|\n",
    );
    for s in SETTINGS {
        let default = if s.default.is_empty() { "none".to_owned() } else { format!("`{}`", s.default) };
        page.push_str(&format!(
            "| `{}` | {default} | `{}` | {}; {} |\n",
            s.key,
            s.env,
            s.doc,
            kind_text(s.kind)
        ));
    }
    page
}

/// A settings file with every key, commented out, at its default.
pub fn sample() -> String {
    let mut text = String::from("# Every setting at its default. Copy what you change to lacon.toml.\n");
    let mut section = "";
    for s in SETTINGS {
        let (head, name) = s.key.split_once('.').unwrap_or(("", s.key));
        if head != section {
            text.push_str(&format!("\n[{head}]\n"));
            section = head;
        }
        let bare = s.default.parse::<f64>().is_ok() || matches!(s.default, "true" | "false");
        let value = if bare { s.default.to_owned() } else { format!("{:?}", s.default) };
        text.push_str(&format!("# {}\n# {name} = {value}\n", s.doc));
    }
    text
}

fn kind_text(kind: Kind) -> String {
    match kind {
        Kind::Text => "text".into(),
        Kind::Secret => "secret".into(),
        Kind::Bool => "true or false".into(),
        Kind::List => "list".into(),
        Kind::Choice(values) => values.join(", "),
        Kind::Integer(low, i64::MAX) => format!("whole number from {low}"),
        Kind::Integer(low, high) => format!("whole number, {low} to {high}"),
        Kind::Number(low, high) => format!("number, {low} to {high}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn generated_files_are_what_the_settings_give() {
        let files = [
            (super::reference(), include_str!("../../../docs/settings.md")),
            (super::sample(), include_str!("../../../docs/lacon.sample.toml")),
        ];
        for (expected, found) in files {
            assert!(expected == found, "run cargo xtask fixtures");
        }
    }
}
