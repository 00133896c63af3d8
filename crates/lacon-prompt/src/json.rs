//! JSON as text that must come back byte for byte: a tree that keeps every lexeme, print styles, and a shorter
//! notation.
//!
//! `serde_json` is not used here because it changes numbers (`1.0e5`), merges duplicate keys and forgets the layout. An
//! exact inverse needs all three.

mod decode;
mod encode;
mod parse;
mod style;
mod table;
mod text;

pub(crate) use decode::{read_lines, read_value};
pub(crate) use encode::{write_lines, write_value};
pub(crate) use parse::{MAX_DEPTH, Node, parse, parse_prefix};
pub(crate) use style::{Layout, Style};
pub(crate) use text::{escape_into, has_control, unescape};

#[cfg(test)]
mod tests;
