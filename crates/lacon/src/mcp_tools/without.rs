//! Without the feature `mcp` no server is connected; a team that needs one is refused by name.

use lacon_agents::Settings;

use crate::failure::Failure;

/// What the user allows.
pub struct Allowed<'a> {
    pub names: &'a [String],
    pub servers: &'a [&'a str],
}

/// Leaves everything as it is.
pub async fn connect(settings: Settings, allowed: &Allowed<'_>) -> Result<Settings, Failure> {
    if allowed.names.is_empty() && allowed.servers.is_empty() {
        return Ok(settings);
    }
    Err(Failure::input("this lacon was built without its feature mcp"))
}
