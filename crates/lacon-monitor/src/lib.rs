//! Facts of a run become a ledger of tokens, money and time, then reports.
