//! The error of this crate.

/// Why an operation on tokens or vocabularies failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No encoding, or no model, has this name.
    #[error("unknown encoding {name:?}\nhint: one of {known}{}", nearest.map_or(String::new(), |n| format!("; did you mean {n:?}?")))]
    UnknownEncoding {
        /// The name as given.
        name: String,
        /// All names, comma-separated.
        known: String,
        /// The most similar known name.
        nearest: Option<&'static str>,
    },
    /// The id stands for no token of the encoding.
    #[error(
        "token id {id} is not in {encoding}, whose largest id is {max}\nhint: check that the ids were made with this encoding"
    )]
    UnknownToken {
        /// The id as given.
        id: u32,
        /// Name of the encoding.
        encoding: String,
        /// Largest id of the encoding.
        max: u32,
    },
    /// The decoded bytes are not UTF-8.
    #[error(
        "decoded bytes are not valid UTF-8 from byte {valid_up_to} on\nhint: use decode_lossy, or decode_bytes"
    )]
    NotUtf8 {
        /// Number of leading bytes that are valid.
        valid_up_to: usize,
    },
    /// The text holds the literal of a special token that is not allowed.
    #[error(
        "text holds the special token {token:?} at byte {at}\nhint: allow it, or encode it as ordinary text"
    )]
    DisallowedSpecial {
        /// The literal found.
        token: String,
        /// Byte offset in the text.
        at: usize,
    },
    /// A line of a rank file is malformed.
    #[error(
        "rank file line {line} is not `base64 rank`\nhint: expected the .tiktoken format, one token a line"
    )]
    RankLine {
        /// Line number from 1.
        line: usize,
    },
    /// A line of a file of models is malformed.
    #[error("models line {line}: {why}: {text:?}")]
    ModelsFile {
        /// Line number from 1.
        line: usize,
        /// The line.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The vocabulary has more tokens than token numbers allow.
    #[error("vocabulary has {n_tokens} tokens, limit is {limit}")]
    TooManyTokens {
        /// Size of the vocabulary.
        n_tokens: usize,
        /// Largest size.
        limit: usize,
    },
    /// A token is a merge of tokens with lower priority, which byte-pair training never produces.
    #[error("token {token} is a merge of {halves:?}, which do not come before it")]
    RankOrder {
        /// The token.
        token: u32,
        /// Its halves.
        halves: (u32, u32),
    },
    /// Two ranks of a vocabulary stand for the same bytes.
    #[error("ranks {} and {} stand for the same bytes\nhint: a vocabulary gives each piece one rank", ranks.0, ranks.1)]
    PieceTwice {
        /// Both ranks, in the order of the file.
        ranks: (u32, u32),
    },
    /// A rank, or an id, stands for two pieces.
    #[error("rank {rank} stands for two pieces\nhint: a vocabulary gives each rank one piece")]
    RankTwice {
        /// The rank.
        rank: u32,
    },
    /// A vocabulary is unusable.
    #[error("vocabulary is unusable: {what}")]
    BadVocabulary {
        /// What is wrong.
        what: &'static str,
    },
    /// Ids of an encoding do not hold the text.
    #[error(
        "{encoding} is a SentencePiece vocabulary, which changes a text before it splits it, so ids do not give it back\nhint: keep the text; count and encode are exact"
    )]
    NotOfBytes {
        /// The encoding.
        encoding: String,
    },
    /// A GGUF file's vocabulary is unusable.
    #[error(
        "GGUF file is not usable: {what}\nhint: vocabularies of Gemma, Llama 2 and Mistral are read; for others give the tokenizer.json"
    )]
    Gguf {
        /// What is wrong or not supported.
        what: String,
    },
    /// A `tokenizer.json` is unusable.
    #[error(
        "tokenizer.json is not usable: {what}\nhint: byte-level files of the Llama 3, Qwen, Tekken and GPT families are, and files with pieces of text as in Gemma, Llama 2 and T5"
    )]
    TokenizerJson {
        /// What is wrong or not supported.
        what: String,
    },
}
