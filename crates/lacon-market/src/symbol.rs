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

/// What kind of thing a symbol names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asset {
    /// A share or a fund.
    Equity,
    /// A coin against a currency.
    Crypto,
    /// A pair of currencies.
    Forex,
    /// An index.
    Index,
    /// A future on a metal or on energy.
    Future,
}

impl Asset {
    /// The word for a user.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equity => "stock",
            Self::Crypto => "crypto",
            Self::Forex => "forex",
            Self::Index => "index",
            Self::Future => "future",
        }
    }
}

/// Names that traders use, and the vendors' symbols. Only names that are no listed share: CL is Colgate, GOLD is Barrick.
const ALIASES: &[(&str, &str)] = &[
    ("XAU", "GC=F"),
    ("XAUUSD", "GC=F"),
    ("XAG", "SI=F"),
    ("XAGUSD", "SI=F"),
    ("XPTUSD", "PL=F"),
    ("XPDUSD", "PA=F"),
    ("COPPER", "HG=F"),
    ("USOIL", "CL=F"),
    ("WTI", "CL=F"),
    ("WTIUSD", "CL=F"),
    ("UKOIL", "BZ=F"),
    ("BRENT", "BZ=F"),
    ("NATGAS", "NG=F"),
    ("SPX", "^GSPC"),
    ("SPX500", "^GSPC"),
    ("US500", "^GSPC"),
    ("NDX", "^NDX"),
    ("NAS100", "^NDX"),
    ("US100", "^NDX"),
    ("DJI", "^DJI"),
    ("US30", "^DJI"),
    ("RUT", "^RUT"),
    ("US2000", "^RUT"),
    ("VIX", "^VIX"),
    ("GER40", "^GDAXI"),
    ("UK100", "^FTSE"),
    ("JP225", "^N225"),
    ("HK50", "^HSI"),
];

const COINS: &[&str] = &[
    "BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "BNB", "LTC", "AVAX", "DOT", "LINK", "BCH", "XLM", "TRX",
    "ATOM", "UNI", "MATIC", "SHIB", "NEAR", "APT", "SUI", "TON", "XMR", "ETC", "FIL",
];

const CURRENCIES: &[&str] = &[
    "USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "NZD", "CNY", "HKD", "SGD", "SEK", "NOK", "DKK", "PLN",
    "CZK", "HUF", "TRY", "ZAR", "MXN", "BRL", "INR", "KRW", "THB", "ILS",
];

impl Symbol {
    /// The symbol as vendors write it, and what it names: `BTCUSD` is `BTC-USD`, `EURUSD` is `EURUSD=X`, `SPX500` is
    /// `^GSPC`. Everything else, exchange suffixes too, stays as it is.
    pub fn canonical(&self) -> (Self, Asset) {
        let text = self.0.as_str();
        if let Some((_, to)) = ALIASES.iter().find(|(from, _)| *from == text) {
            let asset = if to.starts_with('^') { Asset::Index } else { Asset::Future };
            return (Self((*to).to_owned()), asset);
        }
        let dollars = ["-USDT", "-USDC", "-USD", "USDT", "USDC", "USD"];
        if let Some(coin) = dollars.iter().find_map(|d| text.strip_suffix(d)).filter(|c| COINS.contains(c)) {
            return (Self(format!("{coin}-USD")), Asset::Crypto);
        }
        let pair = text.strip_suffix("=X").unwrap_or(text);
        if pair.len() == 6 && CURRENCIES.contains(&&pair[..3]) && CURRENCIES.contains(&&pair[3..]) {
            return (Self(format!("{pair}=X")), Asset::Forex);
        }
        let asset = match text {
            t if t.starts_with('^') => Asset::Index,
            t if t.ends_with("=F") => Asset::Future,
            t if t.ends_with("=X") => Asset::Forex,
            t if t.ends_with("-USD") || t.ends_with("-EUR") => Asset::Crypto,
            _ => Asset::Equity,
        };
        (self.clone(), asset)
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
    fn traders_names_become_vendors_symbols() {
        for (text, expected, asset) in [
            ("btcusd", "BTC-USD", Asset::Crypto),
            ("ETH-USDT", "ETH-USD", Asset::Crypto),
            ("eurusd", "EURUSD=X", Asset::Forex),
            ("GBPJPY=X", "GBPJPY=X", Asset::Forex),
            ("XAUUSD", "GC=F", Asset::Future),
            ("usoil", "CL=F", Asset::Future),
            ("SPX500", "^GSPC", Asset::Index),
            ("^VIX", "^VIX", Asset::Index),
            ("0700.HK", "0700.HK", Asset::Equity),
            ("BRK-B", "BRK-B", Asset::Equity),
            ("GOOGLE", "GOOGLE", Asset::Equity),
            ("CL", "CL", Asset::Equity),
        ] {
            let (symbol, found) = Symbol::parse(text).unwrap().canonical();
            assert_eq!((symbol.as_str(), found), (expected, asset), "{text}");
            assert_eq!(symbol.canonical().0, symbol, "canonical is a fixed point");
        }
    }

    #[test]
    fn nearest_names_first() {
        assert_eq!(nearest("CRCK", ["AAPL", "CRCL", "FIG"]), ["CRCL"]);
        assert_eq!(nearest("zzz", ["AAPL"]), [""; 0]);
    }
}
