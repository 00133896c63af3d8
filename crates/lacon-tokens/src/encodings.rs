//! The encodings inside the binary and the process-wide registry that loads each of them once.
//!
//! To add one: a variant of [`EncodingName`], its line in [`SPECS`], its file in `data/` (see `data/README.md`).

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::str::FromStr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::encoding::Encoding;
use crate::error::Error;
use crate::nearest::nearest;
use crate::pretokenize::Pattern;
use crate::vocabulary::{Prebuilt, Vocabulary};

/// A published encoding whose vocabulary is inside the binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EncodingName {
    /// GPT-4o, GPT-4.1, GPT-5 and the o series.
    O200kBase,
    /// The gpt-oss models: `o200k_base` with the special tokens of the harmony format.
    O200kHarmony,
    /// GPT-4, GPT-3.5 and the third-generation embeddings.
    Cl100kBase,
    /// Codex and the text-davinci models.
    P50kBase,
    /// The edit models: `p50k_base` with fill-in-the-middle tokens.
    P50kEdit,
    /// GPT-3 and GPT-2.
    R50kBase,
}

impl EncodingName {
    /// All encodings, the most recent first.
    pub const ALL: [Self; 6] = [
        Self::O200kBase,
        Self::O200kHarmony,
        Self::Cl100kBase,
        Self::P50kBase,
        Self::P50kEdit,
        Self::R50kBase,
    ];

    /// The published name.
    pub fn as_str(self) -> &'static str {
        self.spec().published
    }

    fn spec(self) -> &'static Spec {
        &SPECS[self as usize]
    }
}

impl fmt::Display for EncodingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EncodingName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let known = Self::ALL.map(Self::as_str);
        let wanted = if name == "gpt2" { "r50k_base" } else { name };
        Self::ALL.into_iter().find(|e| e.as_str() == wanted).ok_or_else(|| Error::UnknownEncoding {
            name: name.to_owned(),
            known: known.join(", "),
            nearest: nearest(name, known),
        })
    }
}

struct Spec {
    published: &'static str,
    pattern: Pattern,
    vocabulary: Stored,
    specials: &'static [(&'static str, u32)],
    /// Ids `first..end` that stand for `<|reserved_ID|>` unless listed above.
    reserved: std::ops::Range<u32>,
}

/// In the order of [`EncodingName`].
static SPECS: [Spec; 6] = [
    Spec {
        published: "o200k_base",
        pattern: Pattern::O200k,
        vocabulary: Stored::O200k,
        specials: &[("<|endoftext|>", 199_999), ("<|endofprompt|>", 200_018)],
        reserved: 0..0,
    },
    Spec {
        published: "o200k_harmony",
        pattern: Pattern::O200k,
        vocabulary: Stored::O200k,
        specials: &[
            ("<|startoftext|>", 199_998),
            ("<|endoftext|>", 199_999),
            ("<|return|>", 200_002),
            ("<|constrain|>", 200_003),
            ("<|channel|>", 200_005),
            ("<|start|>", 200_006),
            ("<|end|>", 200_007),
            ("<|message|>", 200_008),
            ("<|call|>", 200_012),
            ("<|endofprompt|>", 200_018),
        ],
        reserved: 200_000..201_088,
    },
    Spec {
        published: "cl100k_base",
        pattern: Pattern::Cl100k,
        vocabulary: Stored::Cl100k,
        specials: &[
            ("<|endoftext|>", 100_257),
            ("<|fim_prefix|>", 100_258),
            ("<|fim_middle|>", 100_259),
            ("<|fim_suffix|>", 100_260),
            ("<|endofprompt|>", 100_276),
        ],
        reserved: 0..0,
    },
    Spec {
        published: "p50k_base",
        pattern: Pattern::Gpt2,
        vocabulary: Stored::P50k,
        specials: &[("<|endoftext|>", 50_256)],
        reserved: 0..0,
    },
    Spec {
        published: "p50k_edit",
        pattern: Pattern::Gpt2,
        vocabulary: Stored::P50k,
        specials: &[
            ("<|endoftext|>", 50_256),
            ("<|fim_prefix|>", 50_281),
            ("<|fim_middle|>", 50_282),
            ("<|fim_suffix|>", 50_283),
        ],
        reserved: 0..0,
    },
    Spec {
        published: "r50k_base",
        pattern: Pattern::Gpt2,
        vocabulary: Stored::R50k,
        specials: &[("<|endoftext|>", 50_256)],
        reserved: 0..0,
    },
];

/// A vocabulary file; encodings that differ only in special tokens share one.
#[derive(Clone, Copy)]
enum Stored {
    O200k,
    Cl100k,
    P50k,
    R50k,
}

/// `r50k_base` is the first 50,256 tokens of `p50k_base`.
const R50K_TOKENS: usize = 50_256;

/// Bytes aligned to a cache line, which a bucket of a table must not cross.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

macro_rules! table {
    ($path:expr) => {{
        static TABLE: &Aligned<[u8]> = &Aligned(*include_bytes!($path));
        &TABLE.0
    }};
}

/// The tables of the vocabulary that `build.rs` wrote under this name.
macro_rules! prebuilt {
    ($name:literal) => {
        Prebuilt {
            strings: table!(concat!(env!("OUT_DIR"), "/", $name, ".strings")),
            starts: table!(concat!(env!("OUT_DIR"), "/", $name, ".starts")),
            by_pair: table!(concat!(env!("OUT_DIR"), "/", $name, ".by_pair")),
            by_string: table!(concat!(env!("OUT_DIR"), "/", $name, ".by_string")),
            low_by_pair: table!(concat!(env!("OUT_DIR"), "/", $name, ".low_by_pair")),
            byte_pairs: table!(concat!(env!("OUT_DIR"), "/", $name, ".byte_pairs")),
            of_byte: table!(concat!(env!("OUT_DIR"), "/", $name, ".of_byte")),
        }
    };
}

impl Stored {
    fn data(self) -> (&'static [u8], usize) {
        match self {
            Self::O200k => (include_bytes!("../data/o200k_base.bpe"), usize::MAX),
            Self::Cl100k => (include_bytes!("../data/cl100k_base.bpe"), usize::MAX),
            Self::P50k => (include_bytes!("../data/p50k_base.bpe"), usize::MAX),
            Self::R50k => (include_bytes!("../data/p50k_base.bpe"), R50K_TOKENS),
        }
    }

    /// Tables that need no work at load. The small vocabularies build theirs in a millisecond or two.
    fn prebuilt(self) -> Option<Prebuilt> {
        match self {
            Self::O200k => Some(prebuilt!("o200k_base")),
            Self::Cl100k => Some(prebuilt!("cl100k_base")),
            Self::P50k | Self::R50k => None,
        }
    }

    fn load(self) -> Arc<Vocabulary> {
        static LOADED: [OnceLock<Arc<Vocabulary>>; 4] = [const { OnceLock::new() }; 4];
        let (data, limit) = self.data();
        Arc::clone(LOADED[self as usize].get_or_init(|| {
            Arc::new(match self.prebuilt() {
                Some(tables) => Vocabulary::prebuilt(data, &tables),
                None => Vocabulary::load(Cow::Borrowed(data), limit)
                    .expect("the vocabularies in the binary are tested"),
            })
        }))
    }
}

/// One load of an encoding: at most one per encoding and process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoadRecord {
    /// The encoding that was loaded.
    pub encoding: EncodingName,
    /// Name of the thread that loaded it.
    pub thread: String,
    /// Source location of the call that asked first.
    pub caller: &'static Location<'static>,
    /// Wall-clock time when loading began.
    pub at: SystemTime,
    /// Duration of the load.
    pub took: Duration,
    /// Bytes that the tables occupy.
    pub bytes: usize,
}

static ENCODINGS: [OnceLock<Encoding>; 6] = [const { OnceLock::new() }; 6];
static LOADS: Mutex<Vec<LoadRecord>> = Mutex::new(Vec::new());

/// Returns the encoding of this name. The first call loads it, and all threads share it.
#[track_caller]
pub fn encoding(name: EncodingName) -> &'static Encoding {
    let caller = Location::caller();
    ENCODINGS[name as usize].get_or_init(|| {
        let at = SystemTime::now();
        let began = Instant::now();
        let spec = name.spec();
        let mut specials: Vec<(String, u32)> =
            spec.specials.iter().map(|(s, id)| ((*s).to_owned(), *id)).collect();
        for id in spec.reserved.clone() {
            if !spec.specials.iter().any(|(s, known)| *known == id && *s != "<|endofprompt|>") {
                specials.push((format!("<|reserved_{id}|>"), id));
            }
        }
        let encoding = Encoding::new(spec.published, spec.pattern, spec.vocabulary.load(), specials);
        LOADS.lock().unwrap_or_else(PoisonError::into_inner).push(LoadRecord {
            encoding: name,
            thread: std::thread::current().name().unwrap_or("unnamed").to_owned(),
            caller,
            at,
            took: began.elapsed(),
            bytes: encoding.resident_bytes(),
        });
        encoding
    })
}

/// Returns every load so far, in order: caller, time, duration and size.
pub fn loads() -> Vec<LoadRecord> {
    LOADS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prebuilt_tables_are_those_that_loading_builds() {
        for stored in [Stored::O200k, Stored::Cl100k] {
            let (data, limit) = stored.data();
            let loaded = Vocabulary::load(Cow::Borrowed(data), limit).expect("it is in the binary");
            let prebuilt = stored.load();
            for ((name, ours), (_, theirs)) in loaded.tables().iter().zip(prebuilt.tables()) {
                assert!(*ours == theirs, "{name}");
            }
        }
    }
}
