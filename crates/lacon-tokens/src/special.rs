//! Special tokens: literals that stand for one id where the caller allows them, and plain text everywhere else.

use std::collections::HashMap;

/// A choice among an encoding's special tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialSet<'a> {
    /// None of them.
    None,
    /// All of them.
    All,
    /// Those with these literals.
    Only(&'a [&'a str]),
}

impl SpecialSet<'_> {
    fn has(self, literal: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(literals) => literals.contains(&literal),
        }
    }
}

/// The special tokens of an encoding.
pub(crate) struct Specials {
    ids: HashMap<Box<[u8]>, u32>,
    literals: HashMap<u32, String>,
    /// Distinct literal lengths, the longest first.
    lengths: Vec<usize>,
    first_bytes: [bool; 256],
}

impl Specials {
    pub(crate) fn new(tokens: Vec<(String, u32)>) -> Self {
        let mut specials = Self {
            ids: HashMap::with_capacity(tokens.len()),
            literals: HashMap::with_capacity(tokens.len()),
            lengths: Vec::new(),
            first_bytes: [false; 256],
        };
        for (literal, id) in tokens.into_iter().filter(|(literal, _)| !literal.is_empty()) {
            specials.first_bytes[literal.as_bytes()[0] as usize] = true;
            if !specials.lengths.contains(&literal.len()) {
                specials.lengths.push(literal.len());
            }
            specials.ids.insert(literal.as_bytes().into(), id);
            specials.literals.entry(id).or_insert(literal);
        }
        specials.lengths.sort_unstable_by(|a, b| b.cmp(a));
        specials
    }

    /// First literal at or after `from` that `wanted` has: `(start, end, id)`.
    pub(crate) fn find(
        &self,
        text: &str,
        from: usize,
        wanted: SpecialSet<'_>,
    ) -> Option<(usize, usize, u32)> {
        if wanted == SpecialSet::None {
            return None;
        }
        let bytes = text.as_bytes();
        (from..bytes.len()).filter(|at| self.first_bytes[bytes[*at] as usize]).find_map(|at| {
            self.lengths.iter().find_map(|len| {
                let literal = bytes.get(at..at + len)?;
                let id = *self.ids.get(literal)?;
                wanted.has(&text[at..at + len]).then_some((at, at + len, id))
            })
        })
    }

    pub(crate) fn id(&self, literal: &str) -> Option<u32> {
        self.ids.get(literal.as_bytes()).copied()
    }

    pub(crate) fn literal(&self, id: u32) -> Option<&str> {
        self.literals.get(&id).map(String::as_str)
    }

    pub(crate) fn max_id(&self) -> Option<u32> {
        self.literals.keys().copied().max()
    }

    /// All literals with their ids, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.ids.iter().map(|(literal, id)| {
            (std::str::from_utf8(literal).expect("literals are inserted as strings"), *id)
        })
    }
}
