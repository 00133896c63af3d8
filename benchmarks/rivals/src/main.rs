//! Other exact tokenizers behind the line protocol of `lacon bench tokens --rivals`.
//!
//! Started with the name of an encoding, it prints the names of its contenders, divided by tabs. Each line it reads
//! is `CONTENDER<TAB>FILE`; it counts the file's tokens once and answers `TOKENS<TAB>SECONDS`. The first question
//! about a file is the first pass over unseen text. With `--json FILE` it writes the encoding as a Hugging Face
//! `tokenizer.json` instead, which rivals from other registries need.

use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use lacon_tokens::{Encoding, encoding};
use serde_json::{Value, json};

type Count = Box<dyn Fn(&str) -> usize>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| "o200k_base".to_owned());
    let encoding = encoding(name.parse()?);
    if args.next().as_deref() == Some("--json") {
        let path = args.next().ok_or("--json needs a file")?;
        std::fs::write(path, tokenizer_json(encoding).to_string())?;
        return Ok(());
    }
    let contenders = contenders(encoding)?;
    let names: Vec<&str> = contenders.iter().map(|(name, _)| *name).collect();
    println!("{}", names.join("\t"));
    let mut texts: HashMap<String, String> = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (wanted, path) = line.split_once('\t').ok_or("a request is CONTENDER<TAB>FILE")?;
        if !texts.contains_key(path) {
            texts.insert(path.to_owned(), std::fs::read_to_string(path)?);
        }
        let (_, count) = contenders.iter().find(|(name, _)| *name == wanted).ok_or("unknown contender")?;
        let began = Instant::now();
        let tokens = count(black_box(&texts[path]));
        println!("{tokens}\t{}", began.elapsed().as_secs_f64());
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn contenders(encoding: &'static Encoding) -> Result<Vec<(&'static str, Count)>, Box<dyn Error>> {
    let mut all: Vec<(&'static str, Count)> = Vec::new();
    let (tiktoken, bpe) = match encoding.name() {
        "o200k_base" => (tiktoken_rs::o200k_base_singleton(), bpe_openai::o200k_base()),
        "cl100k_base" => (tiktoken_rs::cl100k_base_singleton(), bpe_openai::cl100k_base()),
        other => return Err(format!("no rival has {other}").into()),
    };
    all.push(("tiktoken-rs", Box::new(move |text| tiktoken.encode_ordinary(text).len())));
    all.push(("bpe-openai", Box::new(move |text| bpe.count(text))));
    let folder = std::env::temp_dir().join(format!("rivals-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("tokenizer.json");
    std::fs::write(&path, tokenizer_json(encoding).to_string())?;
    if let Some(fast) = report("fastokens", fastokens::Tokenizer::from_file(Path::new(&path))) {
        all.push(("fastokens", Box::new(move |text| fast.encode(text).map_or(0, |ids| ids.len()))));
    }
    if let Some(snap) = report("snaptokens", snaptokens::Tokenizer::from_file(Path::new(&path))) {
        all.push(("snaptokens", Box::new(move |text| snap.encode(text).map_or(0, |ids| ids.len()))));
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(all)
}

fn report<T, E: std::fmt::Display>(name: &str, result: Result<T, E>) -> Option<T> {
    result.map_err(|e| eprintln!("{name} is left out: {e}")).ok()
}

/// The encoding in the form of a Hugging Face `tokenizer.json`.
fn tokenizer_json(encoding: &Encoding) -> Value {
    let letters = letters();
    let spell = |id: u32| -> Option<String> {
        Some(encoding.token_bytes(id).ok()?.iter().map(|byte| letters[*byte as usize]).collect())
    };
    let n = encoding.id_limit();
    let special: Vec<(&str, u32)> = encoding.special_tokens();
    let is_special = |id: u32| special.iter().any(|(_, other)| *other == id);
    let mut vocabulary = serde_json::Map::new();
    let mut merges = Vec::new();
    for id in (0..n).filter(|id| !is_special(*id)) {
        let Some(word) = spell(id) else { continue };
        vocabulary.insert(word, json!(id));
        if let Some((left, right)) = encoding.merge_of(id) {
            merges.push(json!([spell(left), spell(right)]));
        }
    }
    let added: Vec<Value> = special
        .iter()
        .map(|(literal, id)| {
            json!({"id": id, "content": literal, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": true})
        })
        .collect();
    // The published form of cl100k_base in this format has no possessive parts, which some rivals do not know.
    let pattern = match encoding.name() {
        "cl100k_base" => {
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        }
        _ => encoding.pattern().regex(),
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]},
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": true,
                  "vocab": vocabulary, "merges": merges},
    })
}

/// The printable character that stands for each byte in a `tokenizer.json`.
fn letters() -> [char; 256] {
    let mut next = 256;
    std::array::from_fn(|byte| match byte {
        33..=126 | 161..=172 | 174..=255 => char::from(byte as u8),
        _ => {
            next += 1;
            char::from_u32(next - 1).unwrap_or('?')
        }
    })
}
