//! A seeded synthetic world: a simulated language model with measured latency.
