//! Checks counts and ids against answers of another tokenizer that come on standard input (`soups.py` writes them).
//!
//! A record is the length of a text and the number of its ids, 32 bits each, little-endian; then the text, then the ids.
//! The first argument is the encoding, the second, if any, `scalar` to leave vectors out. Prints each difference, up to
//! ten, then the totals; exits with 1 if there was one.

use std::error::Error;
use std::io::{BufReader, ErrorKind, Read};
use std::process::ExitCode;

use lacon_tokens::{EncodingName, Vectors, encoding};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let name: EncodingName = args.next().ok_or("needs an encoding")?.parse()?;
    let scalar = args.next().as_deref() == Some("scalar");
    let ours = encoding(name);
    let ours = if scalar { ours.with_vectors(Vectors::None) } else { ours.clone() };
    let mut input = BufReader::with_capacity(1 << 20, std::io::stdin().lock());
    let (mut n_texts, mut n_bytes, mut n_ids, mut n_wrong) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut ids = Vec::new();
    loop {
        let mut head = [0; 8];
        match input.read_exact(&mut head) {
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => break,
            other => other?,
        }
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
        let mut text = vec![0; word(0)];
        input.read_exact(&mut text)?;
        let text = String::from_utf8(text)?;
        let mut expected = vec![0; word(4) * 4];
        input.read_exact(&mut expected)?;
        let expected: Vec<u32> =
            expected.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        ids.clear();
        ours.encode_into(&text, &mut ids);
        let count = ours.count(&text);
        if ids != expected || count != expected.len() {
            n_wrong += 1;
            if n_wrong <= 10 {
                println!("{text:?}\n  expected {expected:?}\n  ids      {ids:?}, count {count}");
            }
        }
        n_texts += 1;
        n_bytes += text.len() as u64;
        n_ids += expected.len() as u64;
    }
    println!("{name}: {n_texts} texts, {n_bytes} bytes, {n_ids} tokens, {n_wrong} differ");
    Ok(if n_wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
