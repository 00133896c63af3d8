//! Ticker symbols that are safe in paths and URLs.

use std::fmt;

/// The longest symbol that is accepted, in characters.
pub const MAX_LEN: usize = 32;

/// A ticker symbol: upper case, at most 32 characters of `A-Z 0-9 . - ^ = _`, not made of dots alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(String);

/// Why a text is no ticker symbol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SymbolError {
    /// No character at all.
    #[error("the ticker is empty\nhint: give a symbol such as CRCL")]
    Empty,
    /// Too long.
    #[error(
        "ticker has {len} characters, the limit is {MAX_LEN}\nhint: give the exchange symbol, not the company's name"
    )]
    TooLong {
        /// Characters found.
        len: usize,
    },
    /// A character outside the alphabet.
    #[error("ticker {ticker:?} contains {character:?}\nhint: letters, digits and . - ^ = _ are allowed")]
    Character {
        /// The text.
        ticker: String,
        /// The first bad character.
        character: char,
    },
    /// Only dots: would name a folder's parent.
    #[error("ticker {0:?} is made of dots alone")]
    Dots(String),
}

impl Symbol {
    /// Reads a symbol; surrounding white space is dropped and lower case is raised.
    ///
    /// # Errors
    /// When the text is empty, too long, has a character outside the alphabet or is made of dots alone.
    pub fn parse(text: &str) -> Result<Self, SymbolError> {
        let text = text.trim();
        let len = text.chars().count();
        if len == 0 {
            return Err(SymbolError::Empty);
        }
        if len > MAX_LEN {
            return Err(SymbolError::TooLong { len });
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-^=_".contains(c);
        if let Some(character) = text.chars().find(|c| !allowed(*c)) {
            return Err(SymbolError::Character { ticker: text.into(), character });
        }
        if text.chars().all(|c| c == '.') {
            return Err(SymbolError::Dots(text.into()));
        }
        Ok(Self(text.to_ascii_uppercase()))
    }

    /// The symbol's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The names among `known` that are nearest to `text`, best first, at most three.
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&text.to_ascii_uppercase(), &name.to_ascii_uppercase()), name))
        .filter(|(score, _)| *score > 0.6)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols() {
        for (text, expected) in [
            (" crcl ", "CRCL"),
            ("BRK.B", "BRK.B"),
            ("^GSPC", "^GSPC"),
            ("EURUSD=X", "EURUSD=X"),
            ("ETH-USD", "ETH-USD"),
        ] {
            assert_eq!(Symbol::parse(text).unwrap().as_str(), expected);
        }
        for bad in ["", "..", "../etc/passwd", "A B", "A\0", "CRCL/", "ÄPFEL", &"A".repeat(33)] {
            assert!(Symbol::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn nearest_names_first() {
        assert_eq!(nearest("CRCK", ["AAPL", "CRCL", "FIG"]), ["CRCL"]);
        assert_eq!(nearest("zzz", ["AAPL"]), [""; 0]);
    }
}
