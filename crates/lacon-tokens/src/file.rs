//! Vocabularies of model files: which kind a file holds.

use std::io::Read;

use serde_json::Value;

use crate::encoding::Encoding;
use crate::error::Error;
use crate::sentencepiece::SentencePiece;

/// Most bytes of a `tokenizer.json`; the largest known has 35 million.
const MOST_BYTES: u64 = 256 << 20;

/// The vocabulary of a file.
#[derive(Debug)]
pub enum VocabularyFile {
    /// Byte-level merges: an encoding like those inside the binary.
    Bytes(Box<Encoding>),
    /// Pieces of text: it counts and encodes.
    Pieces(Box<SentencePiece>),
}

impl VocabularyFile {
    /// Reads a GGUF file, of which only the head is read, or a `tokenizer.json`.
    ///
    /// # Errors
    /// When it is neither, is damaged, or holds a tokenizer that is not known.
    pub fn read(name: &str, mut source: impl Read) -> Result<Self, Error> {
        let broken = |error: std::io::Error| Error::TokenizerJson { what: error.to_string() };
        let mut file = Vec::new();
        source.by_ref().take(4).read_to_end(&mut file).map_err(broken)?;
        if file == b"GGUF" {
            let pieces = SentencePiece::from_gguf(file.as_slice().chain(source))?;
            return Ok(Self::Pieces(Box::new(pieces)));
        }
        source.take(MOST_BYTES).read_to_end(&mut file).map_err(broken)?;
        let json: Value = serde_json::from_slice(&file)
            .map_err(|error| Error::TokenizerJson { what: format!("it is not JSON: {error}") })?;
        let cuts = &json["pre_tokenizer"];
        let is_of_bytes = |cut: &Value| cut["type"] == "ByteLevel";
        let steps = cuts["pretokenizers"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(match json["model"]["type"] != "Unigram" && (is_of_bytes(cuts) || steps.iter().any(is_of_bytes)) {
            true => Self::Bytes(Box::new(Encoding::from_tokenizer_json(name, &file)?)),
            false => Self::Pieces(Box::new(SentencePiece::of_json(&json)?)),
        })
    }

    /// Counts the tokens of a text. Special tokens in it are text.
    pub fn count(&self, text: &str) -> usize {
        match self {
            Self::Bytes(encoding) => encoding.count(text),
            Self::Pieces(pieces) => pieces.count(text),
        }
    }

    /// The tokens of a text, without those that a template adds.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        match self {
            Self::Bytes(encoding) => encoding.encode(text),
            Self::Pieces(pieces) => pieces.encode(text),
        }
    }
}
