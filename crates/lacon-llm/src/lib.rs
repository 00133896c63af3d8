//! One client trait for language models: providers, streaming, retry, hedging, tape.
