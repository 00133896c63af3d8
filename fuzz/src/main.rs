//! Runs a target on the pinned toolchain: all kept crashes first, then random changes to the seeds for some seconds.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lacon_fuzz::TARGETS;

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
    b"@json 2\n",
    b"@jsonl p\n",
    b"@log 2 rows 1 templates 1 aliases\na=x * y\n$1=z\n",
    b"@grid 2 rows a\n",
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

fn main() {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(30);
    let Some((_, target)) = TARGETS.iter().find(|(known, _)| *known == name) else {
        let known: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
        eprintln!("target {name:?} is not one of {}\nhint: cargo run --release -- sse 60", known.join(", "));
        std::process::exit(2);
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crashes = root.join("crashes");
    for path in files(&crashes)
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&name)))
    {
        target(&std::fs::read(&path).expect("a kept crash is readable"));
    }
    let mut seeds: Vec<Vec<u8>> = vec![Vec::new()];
    let folders = [
        root.join("corpus").join(&name),
        root.join("../testdata/transcripts"),
        root.join("../testdata/prompts"),
        root.join("../testdata/vendors"),
    ];
    seeds.extend(folders.iter().flat_map(|folder| files(folder)).filter_map(|path| std::fs::read(path).ok()));
    // The first bytes choose protocol and split: each seed is tried under each protocol.
    let with_head: Vec<Vec<u8>> =
        seeds.iter().flat_map(|seed| (0..24u8).map(|n| [&[n, 7], seed.as_slice()].concat())).collect();
    seeds.extend(with_head);
    let begin = Instant::now();
    let mut random = Random(
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(1, |time| time.as_nanos() as u64),
    );
    let mut n = 0u64;
    while begin.elapsed() < Duration::from_secs(seconds) {
        let input = change(&seeds, &mut random);
        n += 1;
        if std::panic::catch_unwind(|| target(&input)).is_err() {
            let mut hasher = DefaultHasher::new();
            input.hash(&mut hasher);
            std::fs::create_dir_all(&crashes).expect("the folder of crashes can be made");
            let path = crashes.join(format!("{name}-{:016x}", hasher.finish()));
            std::fs::write(&path, &input).expect("a crash can be written");
            eprintln!("crash kept as {}", path.display());
            std::process::exit(1);
        }
    }
    println!("{name}: {n} inputs from {} seeds in {seconds} s, no crash", seeds.len());
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
