//! Vocabularies from GGUF files: the metadata at their head, of which only the tokenizer is kept.
//!
//! Files are untrusted and large. Only the head is read, and every length is bounded.

use std::collections::HashMap;
use std::io::Read;

use crate::error::Error;

type Result<T> = std::result::Result<T, Error>;

/// Most keys, elements of an array, bytes of a text, and bytes of the head as a whole.
const MAX_KEYS: u64 = 65_536;
const MAX_ELEMENTS: u64 = 4_000_000;
const MAX_TEXT: u64 = 4 << 20;
const MAX_HEAD: u64 = 512 << 20;

/// A value of the head that a tokenizer needs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Texts(Vec<String>),
    Numbers(Vec<f64>),
    Number(f64),
}

/// Reads the values whose keys begin with `tokenizer.`.
pub(crate) fn head(source: impl Read) -> Result<HashMap<String, Value>> {
    let mut reader = Reader { source, left: MAX_HEAD };
    if reader.bytes(4)? != b"GGUF" {
        return Err(bad("it does not begin with GGUF"));
    }
    let version = reader.unsigned(4)?;
    if !(2..=3).contains(&version) {
        return Err(bad(&format!("version {version}, only 2 and 3 are read")));
    }
    let _tensors = reader.unsigned(8)?;
    let keys = reader.unsigned(8)?;
    if keys > MAX_KEYS {
        return Err(bad(&format!("{keys} keys, at most {MAX_KEYS} are read")));
    }
    let mut found = HashMap::new();
    for _ in 0..keys {
        let key = reader.text()?;
        let kind = reader.unsigned(4)?;
        let is_wanted = key.starts_with("tokenizer.");
        if let Some(value) = reader.value(kind, is_wanted)?
            && is_wanted
        {
            found.insert(key, value);
        }
    }
    Ok(found)
}

fn bad(what: &str) -> Error {
    Error::Gguf { what: what.to_owned() }
}

struct Reader<R> {
    source: R,
    left: u64,
}

impl<R: Read> Reader<R> {
    fn bytes(&mut self, n: u64) -> Result<Vec<u8>> {
        self.left = self.left.checked_sub(n).ok_or_else(|| bad("the head is larger than 512 MiB"))?;
        let mut bytes = Vec::new();
        // What is not there is not allocated.
        let read = self.source.by_ref().take(n).read_to_end(&mut bytes);
        match read {
            Ok(got) if got as u64 == n => Ok(bytes),
            Ok(_) => Err(bad("the file ends in its head")),
            Err(error) => Err(bad(&error.to_string())),
        }
    }

    fn unsigned(&mut self, n: usize) -> Result<u64> {
        let mut whole = [0; 8];
        let bytes = self.bytes(n as u64)?;
        whole[..n].copy_from_slice(&bytes);
        Ok(u64::from_le_bytes(whole))
    }

    fn text(&mut self) -> Result<String> {
        let n = self.unsigned(8)?;
        if n > MAX_TEXT {
            return Err(bad(&format!("a text of {n} bytes, at most {MAX_TEXT} are read")));
        }
        Ok(String::from_utf8_lossy(&self.bytes(n)?).into_owned())
    }

    /// A number of a kind; `None` for a kind that is no number.
    fn number(&mut self, kind: u64) -> Result<Option<f64>> {
        Ok(Some(match kind {
            0 | 7 => self.unsigned(1)? as f64,
            1 => self.unsigned(1)? as i8 as f64,
            2 => self.unsigned(2)? as f64,
            3 => self.unsigned(2)? as i16 as f64,
            4 => self.unsigned(4)? as f64,
            5 => self.unsigned(4)? as i32 as f64,
            6 => f64::from(f32::from_bits(self.unsigned(4)? as u32)),
            10 => self.unsigned(8)? as f64,
            11 => self.unsigned(8)? as i64 as f64,
            12 => f64::from_bits(self.unsigned(8)?),
            _ => return Ok(None),
        }))
    }

    fn value(&mut self, kind: u64, is_wanted: bool) -> Result<Option<Value>> {
        match kind {
            8 => Ok(Some(Value::Text(self.text()?))),
            9 => {
                let of = self.unsigned(4)?;
                let n = self.unsigned(8)?;
                if n > MAX_ELEMENTS {
                    return Err(bad(&format!("an array of {n} elements, at most {MAX_ELEMENTS} are read")));
                }
                let (mut texts, mut numbers) = (Vec::new(), Vec::new());
                for _ in 0..n {
                    if of == 8 {
                        let text = self.text()?;
                        texts.extend(is_wanted.then_some(text));
                    } else {
                        let number = self.number(of)?.ok_or_else(|| bad("an array of arrays"))?;
                        numbers.extend(is_wanted.then_some(number));
                    }
                }
                Ok(Some(if of == 8 { Value::Texts(texts) } else { Value::Numbers(numbers) }))
            }
            _ => match self.number(kind)? {
                Some(number) => Ok(Some(Value::Number(number))),
                None => Err(bad(&format!("a value of the unknown kind {kind}"))),
            },
        }
    }
}
