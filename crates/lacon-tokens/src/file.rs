//! Vocabularies of model files: which kind a file holds.

use std::io::Read;

use serde_json::Value;

use crate::encoding::Encoding;
use crate::error::Error;
use crate::pretokenize::Pattern;
use crate::sentencepiece::SentencePiece;

/// Most bytes of a `tokenizer.json`; the largest known has 35 million.
const MOST_BYTES: u64 = 256 << 20;

impl Encoding {
    /// Reads the vocabulary of a model's file: a GGUF file, of which only the head is read, or a `tokenizer.json`.
    ///
    /// # Errors
    /// When it is neither, is damaged, or holds a tokenizer that is not known.
    pub fn read(name: &str, mut source: impl Read) -> Result<Self, Error> {
        let broken = |error: std::io::Error| Error::TokenizerJson { what: error.to_string() };
        let mut file = Vec::new();
        source.by_ref().take(4).read_to_end(&mut file).map_err(broken)?;
        if file == b"GGUF" {
            let pieces = SentencePiece::from_gguf(file.as_slice().chain(source))?;
            return Ok(Self::from_sentencepiece(name, pieces));
        }
        source.take(MOST_BYTES).read_to_end(&mut file).map_err(broken)?;
        let json: Value = serde_json::from_slice(&file)
            .map_err(|error| Error::TokenizerJson { what: format!("it is not JSON: {error}") })?;
        let cuts = &json["pre_tokenizer"];
        let is_of_bytes = |cut: &Value| cut["type"] == "ByteLevel";
        let steps = cuts["pretokenizers"].as_array().map(Vec::as_slice).unwrap_or_default();
        match json["model"]["type"] != "Unigram" && (is_of_bytes(cuts) || steps.iter().any(is_of_bytes)) {
            true => Self::from_tokenizer_json(name, &file),
            false => Ok(Self::from_sentencepiece(name, SentencePiece::of_json(&json)?)),
        }
    }

    /// Makes an encoding of a SentencePiece vocabulary. It counts, encodes and cuts; its ids do not hold the text.
    pub fn from_sentencepiece(name: &str, pieces: SentencePiece) -> Self {
        let bytes: Vec<(Vec<u8>, u32)> = (0..=u8::MAX).map(|byte| (vec![byte], byte.into())).collect();
        let made = Self::from_ranks(name, &bytes, Pattern::Gpt2, Vec::new());
        made.expect("the 256 bytes are a vocabulary").with_text(pieces)
    }
}
