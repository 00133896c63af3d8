//! Exact byte-pair token counting, encoding and truncation with the vocabularies inside the binary.
//!
//! ```
//! use lacon_tokens::{EncodingName, encoding};
//!
//! let o200k = encoding(EncodingName::O200kBase);
//! assert_eq!(o200k.count("many things in few words"), 5);
//! assert_eq!(o200k.decode(&o200k.encode("naïve ☕")).as_deref(), Ok("naïve ☕"));
//! ```
//!
//! Counts and ids equal tiktoken's on every input. The crate reads no file and opens no socket. Only the first use of
//! an encoding blocks, for a few milliseconds once per process.

mod batch;
mod classes;
mod count_cache;
mod crew;
mod custom;
mod encoding;
mod encodings;
mod error;
mod estimate;
mod file;
pub mod future;
mod gguf;
mod incremental;
mod merge;
mod models;
mod nearest;
pub mod oracle;
mod pieces;
mod pretokenize;
mod request;
mod scan;
mod seen;
mod sentencepiece;
mod simd;
mod slots;
mod special;
mod sync;
mod tables;
pub mod vocabulary;

pub use batch::Cancel;
pub use count_cache::{CountCache, CountCacheOptions, CountCacheStats};
pub use encoding::{Encoding, Side};
pub use encodings::{EncodingName, LoadRecord, encoding, loads};
pub use error::Error;
pub use estimate::{Estimate, Estimator, Learned, learn, learned, learns, set_learned, take_fresh};
pub use incremental::Counter;
pub use models::{
    Exactness, ModelCount, ModelEncoding, add_encoding, add_models, for_model, vocabulary_files,
};
pub use pretokenize::Pattern;
pub use request::{
    ANSWER, ChatMessage, Image, PER_MESSAGE, PER_NAME, PER_TOOL_CALL, Request, RequestCount, count_request,
    count_schema, count_tools, image_tokens, is_system, tools_text,
};
pub use sentencepiece::SentencePiece;
pub use simd::Vectors;
pub use special::SpecialSet;
