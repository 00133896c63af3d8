//! Character classes: what the splitting patterns ask of a scalar value, as one byte per character.
//!
//! The table is generated from the Unicode data of the `regex` crate, which the reference tokenizer also uses. A test
//! compares every scalar value. Scalar values of one class are equal to every pattern.

/// The classes that splitting patterns distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CharClass {
    /// Anything else: punctuation, symbols, controls, unassigned.
    Other = 0,
    /// A lower-case letter (Ll).
    Lower = 1,
    /// An upper- or title-case letter (Lu, Lt).
    Upper = 2,
    /// A letter without case (Lm, Lo).
    Letter = 3,
    /// A combining mark (M).
    Mark = 4,
    /// A number (N).
    Digit = 5,
    /// Carriage return or line feed.
    Newline = 6,
    /// The space U+0020.
    Space = 7,
    /// Any other white space.
    Blank = 8,
}

const TABLE: &[u8] = include_bytes!("../data/classes.bin");
const N_BLOCKS: usize = 4352;

/// Classes as bits, so that one `and` tests for several classes.
pub(crate) const fn bit(class: u8) -> u16 {
    1 << class
}

pub(crate) const LOWER: u16 = bit(CharClass::Lower as u8);
pub(crate) const UPPER: u16 = bit(CharClass::Upper as u8);
pub(crate) const LETTER: u16 = bit(CharClass::Letter as u8);
pub(crate) const MARK: u16 = bit(CharClass::Mark as u8);
pub(crate) const DIGIT: u16 = bit(CharClass::Digit as u8);
pub(crate) const NEWLINE: u16 = bit(CharClass::Newline as u8);
pub(crate) const SPACE: u16 = bit(CharClass::Space as u8);
pub(crate) const BLANK: u16 = bit(CharClass::Blank as u8);
pub(crate) const OTHER: u16 = bit(CharClass::Other as u8);

/// Returns the class number of a scalar value.
#[inline]
pub(crate) fn class_of(scalar: u32) -> u8 {
    let block = PAGES[(scalar >> 8) as usize % N_BLOCKS] as usize;
    PAGES[N_BLOCKS + block * 256 + (scalar & 255) as usize]
}

/// Classes in pages of 64, followed by one page per class. The table is padded so that any 16-bit index is valid.
static PAGES: [u8; 1 << 16] = {
    let mut pages = [0; 1 << 16];
    let mut i = 0;
    while i < TABLE.len() {
        pages[i] = TABLE[i];
        i += 1;
    }
    while i < TABLE.len() + 64 * N_CLASSES {
        pages[i] = ((i - TABLE.len()) / 64) as u8;
        i += 1;
    }
    pages
};
const N_CLASSES: usize = 9;

/// Page of a character, by six bits each of its first and second byte. The third byte selects within the page. All
/// entries of a page are equal for a character of two bytes.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static PAGE_OF: [u16; 1 << 12] = {
    let mut table = [0; 1 << 12];
    let mut i = 0;
    while i < 1 << 12 {
        let (first, second) = (i >> 6, i & 63);
        table[i] = if first < 0x20 {
            let scalar = first << 6 | second;
            let class = TABLE[N_BLOCKS + TABLE[scalar >> 8] as usize * 256 + (scalar & 255)];
            (TABLE.len() + class as usize * 64) as u16
        } else if first < 0x30 {
            let page = (first & 15) << 6 | second;
            (N_BLOCKS + TABLE[page >> 2] as usize * 256 + (page & 3) * 64) as u16
        } else {
            FOUR_BYTES
        };
        i += 1;
    }
    table
};
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const FOUR_BYTES: u16 = u16::MAX;

/// Returns the class number of the non-ASCII character at the start of these bytes.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
pub(crate) fn class_of_bytes(bytes: [u8; 4]) -> u8 {
    let word = u32::from_be_bytes(bytes);
    let page = PAGE_OF[(word >> 18 & 0xFC0 | word >> 16 & 0x3F) as usize];
    if page == FOUR_BYTES {
        return class_of(
            (word >> 24 & 7) << 18 | (word >> 16 & 63) << 12 | (word >> 8 & 63) << 6 | word & 63,
        );
    }
    PAGES[page.wrapping_add((word >> 8 & 0x3F) as u16) as usize]
}

/// Returns class bit and byte length of the character at `at`, which must be a character border before the end.
#[inline]
pub(crate) fn class_at(text: &[u8], at: usize) -> (u16, usize) {
    let lead = text[at];
    if lead < 0x80 {
        return (bit(ASCII[lead as usize]), 1);
    }
    let (scalar, len) = decode(text, at);
    (bit(class_of(scalar)), len)
}

/// Returns scalar value and byte length of the non-ASCII character at `at`.
#[inline]
pub(crate) fn decode(text: &[u8], at: usize) -> (u32, usize) {
    let low = |i: usize| u32::from(text[at + i] & 0x3F);
    let lead = u32::from(text[at]);
    if lead < 0xE0 {
        ((lead & 0x1F) << 6 | low(1), 2)
    } else if lead < 0xF0 {
        ((lead & 0x0F) << 12 | low(1) << 6 | low(2), 3)
    } else {
        ((lead & 0x07) << 18 | low(1) << 12 | low(2) << 6 | low(3), 4)
    }
}

/// Ranges of the categories P and S: first and last scalar value, 32 bits each, little-endian, in order.
const SYMBOLS: &[u8] = include_bytes!("../data/symbols.bin");

/// Returns whether a scalar value is punctuation or a symbol (P, S).
pub(crate) fn is_symbol(scalar: u32) -> bool {
    let (ranges, _) = SYMBOLS.as_chunks::<8>();
    let ends = |range: &[u8; 8]| {
        let [a, b, c, d, e, f, g, h] = *range;
        (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
    };
    let after = ranges.partition_point(|range| ends(range).0 <= scalar);
    after > 0 && scalar <= ends(&ranges[after - 1]).1
}

pub(crate) const ASCII: [u8; 128] = {
    let mut table = [0; 128];
    let mut i = 0;
    while i < 128 {
        table[i] = TABLE[N_BLOCKS + TABLE[0] as usize * 256 + i];
        i += 1;
    }
    table
};
