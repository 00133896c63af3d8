//! Texts that the tests share: characters that patterns tell apart, soups of them, hostile repetitions.

/// A seeded generator (splitmix64), so that every soup can be made again.
pub struct Seeded(pub u64);

impl Seeded {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// Scraps that meet at every alternative of the patterns.
pub const SCRAPS: &[&str] = &[
    " ",
    "  ",
    "   ",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "\t",
    "\t\t",
    "\u{a0}",
    "\u{3000}",
    "\u{2028}",
    "\u{85}",
    "\u{b}",
    "a",
    "b",
    "the",
    " the",
    "Hello",
    "HTTP",
    "aB",
    "Ab",
    "AB",
    "x",
    "Z",
    "1",
    "12",
    "123",
    "1234",
    "9",
    "٣",
    "½",
    "²",
    "'s",
    "'S",
    "'ll",
    "'LL",
    "'re",
    "'Ve",
    "'d",
    "'t",
    "'m",
    "'",
    "\u{2019}s",
    "ſ",
    "'ſ",
    "K",
    "!",
    "!!",
    "...",
    "/",
    "//",
    "-",
    "--",
    "=",
    "é",
    "É",
    "e\u{301}",
    "\u{301}",
    "\u{300}\u{301}",
    "ß",
    "ǅ",
    "ʰ",
    "中",
    "中文",
    "你好",
    "日本語",
    "カタカナ",
    "한국어",
    "안녕",
    "привет",
    "ПРИВЕТ",
    "Ж",
    "عربي",
    "ע",
    "हिन्दी",
    "ไทย",
    "🙂",
    "👨\u{200d}👩\u{200d}👧",
    "\u{fe0f}",
    "\u{200d}",
    "\0",
    "\u{7f}",
    "{",
    "}",
    "(",
    ")",
    "_",
    "|",
    "<|endoftext|>",
    "<|",
    "|>",
    "\u{feff}",
    "\u{10ffff}",
    "\u{e000}",
    "𝒳",
    "𝟘",
    "abcdefghijklmnopqrstuvwxyz",
    "0000000",
    " \n ",
    "\n  ",
    "  \n",
    "$",
    "%",
    "42.5%",
    "$1,234.56",
];

/// A text of `n` random scraps.
pub fn soup(random: &mut Seeded, n: usize) -> String {
    (0..n).map(|_| SCRAPS[random.below(SCRAPS.len())]).collect()
}

/// Every scalar value.
pub fn scalars() -> impl Iterator<Item = char> {
    (0..=0x10_FFFF_u32).filter_map(char::from_u32)
}
