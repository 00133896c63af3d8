//! A string that must not reach a log, an error or a tape.

use std::fmt;

/// Holds a key or another secret; `Debug` shows only that it is set.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Returns the value; call it only where the value goes on the wire.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Says whether the value is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Replaces each occurrence of the value in `text`, so that a provider that echoes the key back cannot leak it.
    ///
    /// Values of fewer than six bytes are left alone: they are no secrets and would shred ordinary words.
    pub fn redact(&self, text: &str) -> String {
        if self.0.len() < 6 { text.to_owned() } else { text.replace(&self.0, "[redacted]") }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "Secret(unset)" } else { "Secret(set)" })
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self::new(value)
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_value() {
        assert_eq!(format!("{:?}", Secret::new("sk-abcdef")), "Secret(set)");
        assert_eq!(format!("{:?}", Secret::default()), "Secret(unset)");
    }

    #[test]
    fn redact_removes_every_occurrence() {
        let secret = Secret::new("sk-abcdef");
        assert_eq!(secret.redact("bad key sk-abcdef, sk-abcdef"), "bad key [redacted], [redacted]");
        assert_eq!(Secret::new("").redact("text"), "text");
        assert_eq!(Secret::new("the").redact("the text"), "the text");
    }
}
