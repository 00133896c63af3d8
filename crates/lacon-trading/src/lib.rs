//! The trading graph: profiles, agents, prompts, decision, report tree.
