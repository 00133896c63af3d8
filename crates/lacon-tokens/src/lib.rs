//! Exact byte-pair token counting, encoding and truncation with the vocabularies inside the binary.
