//! A table of optimizations and which of them are on: the same for teams and for an application with optimizations of its own.

use std::collections::BTreeSet;

use lacon_runtime::config::nearest;

/// One optimization of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The name in flags, files and records.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Whether it is on where nobody asks for it.
    pub usual: bool,
}

impl Row {
    /// One that is on unless it is switched off.
    pub const fn usual(name: &'static str, about: &'static str) -> Self {
        Self { name, about, usual: true }
    }

    /// One that is off until it is asked for: it gives up something that a run otherwise promises.
    pub const fn on_demand(name: &'static str, about: &'static str) -> Self {
        Self { name, about, usual: false }
    }
}

/// The place of a name in a table.
///
/// # Errors
/// For a name that is not there, with the nearest one.
pub fn find(table: &[Row], name: &str) -> Result<usize, String> {
    table.iter().position(|row| row.name == name).ok_or_else(|| {
        let names = || table.iter().map(|row| row.name);
        let hint = nearest(name, names()).map_or_else(
            || format!("known are: {}", names().collect::<Vec<_>>().join(", ")),
            |nearest| format!("did you mean {nearest}?"),
        );
        format!("unknown optimization {name:?}\nhint: {hint}")
    })
}

/// Which optimizations of a table are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switches {
    table: &'static [Row],
    on: BTreeSet<&'static str>,
}

impl Switches {
    /// The usual ones are on.
    pub fn usual(table: &'static [Row]) -> Self {
        Self { table, on: table.iter().filter(|row| row.usual).map(|row| row.name).collect() }
    }

    /// None is on.
    pub fn none(table: &'static [Row]) -> Self {
        Self { table, on: BTreeSet::new() }
    }

    /// These are on.
    pub fn of(table: &'static [Row], on: impl IntoIterator<Item = &'static str>) -> Self {
        Self { table, on: on.into_iter().collect() }
    }

    /// Whether one is on.
    pub fn has(&self, name: &str) -> bool {
        debug_assert!(self.table.iter().any(|row| row.name == name), "{name} is no optimization");
        self.on.contains(name)
    }

    /// The same with one.
    #[must_use]
    pub fn with(&self, name: &'static str) -> Self {
        let mut switches = self.clone();
        switches.on.insert(name);
        switches
    }

    /// The same without one.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut switches = self.clone();
        switches.on.remove(name);
        switches
    }

    /// The same with names switched off and on. `all` stands for every one when switched off, for the usual ones when
    /// switched on; single names go before it.
    ///
    /// # Errors
    /// For a name that is no optimization, with the nearest one; for one that is both disabled and enabled.
    pub fn switched(&self, off: &[&str], on: &[&str]) -> Result<Self, String> {
        let named = |names: &[&str]| -> Result<BTreeSet<&'static str>, String> {
            let names = names.iter().filter(|name| **name != "all");
            names.map(|name| Ok(self.table[find(self.table, name)?].name)).collect()
        };
        let (disabled, enabled) = (named(off)?, named(on)?);
        if let Some(both) = disabled.intersection(&enabled).next() {
            return Err(format!(
                "optimization {both:?} is both disabled and enabled\nhint: name it once; --enable \"\" or --disable \"\" leaves out what a settings file says"
            ));
        }
        let mut switches = if off.contains(&"all") { Self::none(self.table) } else { self.clone() };
        if on.contains(&"all") {
            switches.on.extend(Self::usual(self.table).on);
        }
        switches.on.retain(|name| !disabled.contains(name));
        switches.on.extend(enabled);
        Ok(switches)
    }
}
