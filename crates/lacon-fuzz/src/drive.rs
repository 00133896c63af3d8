//! Tries targets on changed seeds: everything follows from one number, so that a run can be had again.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
};

use crate::Target;

/// Pieces that matter to the parsers.
const TOKENS: &[&[u8]] = &[
    b"\n",
    b"\r",
    b"\n\n",
    b"\r\n\r\n",
    b"data: ",
    b"data:",
    b"event: error\n",
    b": ping\n",
    b"[DONE]",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b",",
    b":",
    b"null",
    b"true",
    b"0",
    b"-1",
    b"1e999",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xe2\x82\xac",
    b"\"choices\":",
    b"\"delta\":",
    b"\"content\":",
    b"\"tool_calls\":",
    b"\"arguments\":",
    b"\"index\":0",
    b"\"error\":",
    b"\"finish_reason\":\"stop\"",
    b"\"usage\":{}",
    b"\"type\":\"message_stop\"",
    b"\"done\":true",
    b"\"BUY\"",
    b"{\"kind\":\"tape\",\"version\":1,\"provider\":\"\",\"base_url\":\"\",\"simulated\":true}\n",
    b"{\"kind\":\"tool\",\"digest\":\"\",\"name\":\"\",\"arguments\":{},\"elapsed_ms\":1}\n",
    b"```json\n",
    b"@log 2 rows 1 templates 1 aliases\na=x * y\n$1=z\n",
    b"@csv , 2 rows\na|b=1|c~x|d^\n",
    "±3 lines from \"first\":\n".as_bytes(),
    "±1\n".as_bytes(),
    "±2+\n".as_bytes(),
    "±.\n".as_bytes(),
    b"a,b,c\n1,2,3\n1,2,4\n1,2,5\n",
    b"[#2 a|b$|c~1|d{e}|f[g]|h=0\n",
    b"\"\"\"",
    b"$p{",
    b"(1|2)",
    "«1:".as_bytes(),
    "«1»".as_bytes(),
    "»".as_bytes(),
    b"[blob hex, 3 chars, ref=0123456789abcdef]",
    b"[blob 2 lines of passing tests \"test \xe2\x80\xa6ok\", 29 chars, ref=0123456789abcdef]",
    b"test a::b ... ok\ntest a::c ... ok\ntest a::d ... ok\ntest a::e ... ok\n",
    b"   Compiling serde v1.0.2\n",
    b"diff --git a/x b/x\nindex 12..34 100644\n--- a/x\n+++ b/x\n",
    b"@@ -1,2 +1,2 @@\n same\n-old\n+new\n",
    b"x 12..34 100644\n",
    b"fn x(a: u8) -> u8 {\n    one(a);\n    two();\n    three();\n    four()\n}\n",
    b"{\"id\": 1, \"name\": \"a b\"}, ",
    b"2026-01-02 10:00:01 INFO took 12 ms\n",
    b"| a | b |\n|---|---|\n| 1 | 2 |\n",
    b"{\"role\": \"user\", \"content\": \"hi\"}, ",
    b"[[agent]]\n",
    b"[[tool]]\n",
    b"[role.market]\n",
    b"+++\n",
    b" = [\"a|b\"]\n",
];

/// The folder of corpora and kept crashes.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// Kept crashes of a target: inputs that once broke it.
pub fn crashes(target: &Target) -> Vec<PathBuf> {
    let prefix = format!("{}-", target.name);
    files(&folder().join("crashes"))
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&prefix)))
        .collect()
}

/// What inputs of a target are made from: its corpus, and recorded traffic that all of them may meet.
pub fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let root = folder();
    let mut seeds: Vec<Vec<u8>> = vec![Vec::new()];
    let mut folders = vec![root.join("corpus").join(target.name)];
    folders.extend(target.more_seeds.iter().map(|more| root.join("..").join(more)));
    seeds.extend(folders.iter().flat_map(|folder| files(folder)).filter_map(|path| std::fs::read(path).ok()));
    if target.head {
        // The first bytes choose protocol and split: each seed is tried under each of them.
        let with_head: Vec<Vec<u8>> =
            seeds.iter().flat_map(|seed| (0..24u8).map(|n| [&[n, 7], seed.as_slice()].concat())).collect();
        seeds.extend(with_head);
    }
    seeds
}

/// An input that broke a target, and where it is kept.
#[derive(Debug)]
pub struct Crash(pub PathBuf);

/// Tries changed seeds while `go_on` says so; gives how many.
///
/// # Errors
/// The first input that breaks a promise, written down.
pub fn fuzz(target: &Target, seed: u64, mut go_on: impl FnMut(u64) -> bool) -> Result<u64, Crash> {
    let seeds = seeds(target);
    let mut random = Random(seed);
    let mut n = 0;
    while go_on(n) {
        let input = change(&seeds, &mut random);
        n += 1;
        if std::panic::catch_unwind(|| (target.run)(&input)).is_err() {
            return Err(keep(target, &input));
        }
    }
    Ok(n)
}

fn keep(target: &Target, input: &[u8]) -> Crash {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let crashes = folder().join("crashes");
    let path = crashes.join(format!("{}-{:016x}", target.name, hasher.finish()));
    let written = std::fs::create_dir_all(&crashes).and_then(|()| std::fs::write(&path, input));
    written.expect("the folder of crashes can be written");
    Crash(path)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// A small generator: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }
}

fn change(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(8) {
        let at = random.below(input.len() + 1);
        match random.below(6) {
            0 => input.truncate(at),
            1 if at < input.len() => input[at] = random.below(256) as u8,
            2 if at < input.len() => {
                let end = (at + random.below(32)).min(input.len());
                input.drain(at..end);
            }
            3 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                let to = (from + random.below(200)).min(other.len());
                let part = other[from..to].to_vec();
                input.splice(at..at, part);
            }
            _ => {
                let token = TOKENS[random.below(TOKENS.len())];
                input.splice(at..at, token.iter().copied());
            }
        }
    }
    input
}
