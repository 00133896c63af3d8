//! TOML that a user wrote: own agents, tools and changed roles, and the heads of prompt files.

use lacon_trading::{
    Cast, CastOptions,
    agents::{self, MOST_AGENTS, MOST_TOOLS},
    prompts,
};

/// No file panics its reader. What is refused says what to do; what is accepted keeps its limits, has a schema for each tool, and makes
/// a cast or says why not, in every profile.
pub fn agents(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(file) = prompts::parse(&text) {
        assert_eq!(prompts::section_names(&file).len(), file.sections.len());
        assert!(prompts::max_tokens(file.words) >= 64);
        assert!(prompts::missing_sections(&file, &text).len() <= file.sections.len());
    }
    match agents::parse(&text) {
        Err(error) => assert!(error.contains("hint: "), "{error}"),
        Ok(agents) => {
            assert!(agents.agents.len() <= MOST_AGENTS && agents.tools.len() <= MOST_TOOLS);
            let day = jiff::civil::date(2025, 7, 30);
            for agent in &agents.agents {
                assert!(agents.calls(&agent.tools, "CRCL", "Circle", day).len() <= agent.tools.len());
                assert!(agent.tools.iter().chain(&agent.more).all(|tool| agents.spec(tool).is_some()));
            }
            for profile in ["lacon", "seed", "upstream"] {
                let options =
                    CastOptions { profile: profile.into(), agents: agents.clone(), ..CastOptions::default() };
                if let Ok(cast) = Cast::new(options) {
                    assert!(cast.roles().len() > agents.agents.len());
                }
            }
        }
    }
}
