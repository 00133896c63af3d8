//! Prompts as data: typed spans, budgets and the passes that shrink them without losing a fact.
