//! Rewrites `data/*.bpe`, `data/classes.bin` and `data/symbols.bin` from rank files and the Unicode tables of the `regex` crate.
//!
//! `cargo run --release -p lacon-tokens --example vocabularies -- RANKS_DIR OUT_DIR`, where RANKS_DIR holds
//! `o200k_base.tiktoken`, `cl100k_base.tiktoken` and `p50k_base.tiktoken` (the `assets` folder of the package
//! `tiktoken-rs`). `data/README.md` names the sources and their digests.

use std::{collections::HashMap, error::Error, fs, path::Path};

use lacon_tokens::vocabulary::{CharClass, MergeTable, parse_ranks};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(ranks), Some(out)) = (args.next(), args.next()) else {
        return Err("needs two folders: RANKS_DIR OUT_DIR".into());
    };
    for name in ["o200k_base", "cl100k_base", "p50k_base"] {
        let text = fs::read(Path::new(&ranks).join(format!("{name}.tiktoken")))?;
        let table = MergeTable::from_ranks(&parse_ranks(&text)?)?;
        fs::write(Path::new(&out).join(format!("{name}.bpe")), table.to_bytes())?;
    }
    fs::write(Path::new(&out).join("classes.bin"), classes()?)?;
    fs::write(Path::new(&out).join("symbols.bin"), symbols())?;
    Ok(())
}

/// First and last scalar value of each range of the categories P and S.
fn symbols() -> Vec<u8> {
    let symbol = regex::Regex::new(r"^[\p{P}\p{S}]$").expect("the pattern is valid");
    let mut out = Vec::new();
    let mut first = None;
    for scalar in 0..=0x11_0000_u32 {
        let is_one = char::from_u32(scalar).is_some_and(|c| symbol.is_match(c.encode_utf8(&mut [0; 4])));
        match (first, is_one) {
            (None, true) => first = Some(scalar),
            (Some(start), false) => {
                out.extend_from_slice(&u32::to_le_bytes(start));
                out.extend_from_slice(&(scalar - 1).to_le_bytes());
                first = None;
            }
            _ => {}
        }
    }
    out
}

/// Two-level table: 4,352 block numbers (one for each 256 scalar values), then the distinct blocks.
fn classes() -> Result<Vec<u8>, Box<dyn Error>> {
    let tests = [
        (r"^\p{Ll}$", CharClass::Lower),
        (r"^[\p{Lu}\p{Lt}]$", CharClass::Upper),
        (r"^[\p{Lm}\p{Lo}]$", CharClass::Letter),
        (r"^\p{M}$", CharClass::Mark),
        (r"^\p{N}$", CharClass::Digit),
        (r"^[\r\n]$", CharClass::Newline),
        (r"^ $", CharClass::Space),
        (r"^\s$", CharClass::Blank),
    ]
    .map(|(pattern, class)| (regex::Regex::new(pattern).expect("the pattern is valid"), class));
    let mut index = Vec::with_capacity(4352);
    let mut blocks: Vec<u8> = Vec::new();
    let mut seen: HashMap<Vec<u8>, u8> = HashMap::new();
    for block in 0..4352_u32 {
        let mut row = Vec::with_capacity(256);
        for low in 0..256 {
            let class = match char::from_u32(block * 256 + low) {
                Some(c) => {
                    let text = c.to_string();
                    tests
                        .iter()
                        .find(|(r, _)| r.is_match(&text))
                        .map_or(CharClass::Other, |(_, class)| *class)
                }
                None => CharClass::Other,
            };
            row.push(class as u8);
        }
        let next = u8::try_from(seen.len())?;
        let number = *seen.entry(row.clone()).or_insert_with(|| {
            blocks.extend_from_slice(&row);
            next
        });
        index.push(number);
    }
    index.extend_from_slice(&blocks);
    Ok(index)
}
