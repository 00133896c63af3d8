//! The teams that come with the program; each is a file under `teams/`, and a template for one's own.

use crate::{Team, check::Faults, file};

/// A shipped team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shipped {
    /// Its name.
    pub name: &'static str,
    /// Its file.
    pub text: &'static str,
    /// What it is for and how it is run, in ten lines.
    pub readme: &'static str,
}

macro_rules! shipped {
    ($($name:literal),+ $(,)?) => {
        [$(Shipped {
            name: $name,
            text: include_str!(concat!("../../../teams/", $name, "/team.toml")),
            readme: include_str!(concat!("../../../teams/", $name, "/README.md")),
        }),+]
    };
}

/// All of them.
pub const SHIPPED: [Shipped; 5] = shipped!["research", "review", "triage", "extract", "debate"];

/// The shipped team of this name.
pub fn find(name: &str) -> Option<Shipped> {
    SHIPPED.into_iter().find(|shipped| shipped.name == name)
}

impl Shipped {
    /// The team.
    ///
    /// # Errors
    /// Never for a team that is shipped: a test checks each.
    pub fn team(&self) -> Result<Team, Faults> {
        file::parse(&format!("teams/{}/team.toml", self.name), self.text)
    }

    /// The file of a new team made after this one.
    pub fn renamed(&self, name: &str) -> String {
        self.text.replacen(&format!("name = {:?}", self.name), &format!("name = {name:?}"), 1)
    }
}
