//! Where the crates meet: settings, tools, the agent step, a run.
