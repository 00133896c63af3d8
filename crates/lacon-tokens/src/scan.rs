//! Piece borders, 64 bytes at a time.
//!
//! A window starts at a piece border, so nothing before it matters. Each byte's class becomes one bit in a 64-bit mask
//! per class. Shifting the masks against each other finds the borders of all bytes at once. The next window starts at
//! the last settled border. Cases that the masks cannot decide are *events*: non-ASCII digits and spaces, a caseless
//! letter before a capital, blank lines with spaces. The plain automaton of `pretokenize.rs` takes over at the piece
//! before an event, and the masks resume after it.
//!
//! Cost: about 40 word operations per window of ASCII, and two table look-ups per non-ASCII character. What was tried
//! and lost is in `OPTIMIZATIONS.md`.

use crate::classes::{CharClass, class_of, decode};
use crate::pretokenize::{Pattern, piece_end};

/// Bytes that must be readable from the start of a window.
pub(crate) const WINDOW: usize = 64;
/// Bytes that must be readable from the start of a piece.
pub(crate) const KEY: usize = 16;
/// A window that is not the last of its text starts at least this far before the end.
pub(crate) const REACH: usize = WINDOW + KEY;

/// ASCII classes of 64 bytes, one bit per byte.
#[derive(Clone, Copy, Default)]
pub(crate) struct Masks {
    pub(crate) lower: u64,
    pub(crate) upper: u64,
    pub(crate) digit: u64,
    pub(crate) newline: u64,
    pub(crate) space: u64,
    pub(crate) blank: u64,
    pub(crate) apostrophe: u64,
    pub(crate) slash: u64,
    pub(crate) high: u64,
}

/// Classes of a window with non-ASCII characters: every byte of a character has its bit set.
pub(crate) struct Window {
    lower: u64,
    upper: u64,
    caseless: u64,
    mark: u64,
    digit: u64,
    newline: u64,
    space: u64,
    blank: u64,
    other: u64,
    apostrophe: u64,
    slash: u64,
    high: u64,
    /// Bytes of a character after its first.
    rest: u64,
    /// Bytes that are text.
    valid: u64,
    /// Whether the text ends with the window.
    last: bool,
}

/// Borders of a window.
pub(crate) struct Found {
    borders: u64,
    /// The low bits whose borders do not depend on what follows the window.
    sure: u64,
    /// Bits that the masks cannot decide.
    events: u64,
}

/// Receives the pieces that are found.
pub(crate) trait Sink {
    /// Takes the pieces between neighboring bits of `borders`, which are positions in `window`; the last bit starts
    /// none. `base` is added to the positions. `plain` has the bytes of pieces that are visibly one token.
    fn between(&mut self, window: &[u8; REACH], base: usize, borders: u64, plain: u64);
    /// Takes the piece from `start` to `end`; [`KEY`] bytes are readable from its start.
    fn one(&mut self, start: usize, end: usize);
    /// Returns whether there is no room for another window of pieces.
    fn is_full(&self) -> bool;
}

/// Start in the lower half, length in the upper.
pub(crate) type Packed = u64;

/// Start and length of a piece.
#[inline(always)]
pub(crate) fn unpack(piece: Packed) -> (usize, usize) {
    (piece as u32 as usize, (piece >> 32) as usize)
}

/// Passes pieces of `text` to `sink` until it is full, and returns where they end.
///
/// All pieces start at least [`KEY`] bytes before the end of `text`. With fewer than [`REACH`] bytes left there are
/// none: the rest is for [`scan_tail`].
#[inline(always)]
pub(crate) fn scan_with<R: Rules, S: Sink>(
    masks: impl Fn(&[u8; WINDOW]) -> Masks,
    planes: impl Fn(&[u8; REACH], u64) -> Planes,
    text: &[u8],
    sink: &mut S,
) -> usize {
    let mut at = 0;
    while !sink.is_full() && at + REACH <= text.len() {
        let window = window_at(text, at);
        at = step::<R, S>(masks(block_of(window)), &planes, text, window, at, false, sink);
    }
    at
}

/// Finds all pieces of `padded[..len]`, a whole rest of a text of less than [`REACH`] bytes, zero-padded.
#[inline(always)]
pub(crate) fn scan_tail_with<R: Rules, S: Sink>(
    masks: impl Fn(&[u8; WINDOW]) -> Masks,
    planes: impl Fn(&[u8; REACH], u64) -> Planes,
    padded: &[u8; TAIL],
    len: usize,
    sink: &mut S,
) {
    let mut at = 0;
    while at < len {
        let window = window_at(padded, at);
        at = step::<R, S>(masks(block_of(window)), &planes, &padded[..len], window, at, true, sink);
    }
}

#[inline(always)]
fn window_at(text: &[u8], at: usize) -> &[u8; REACH] {
    text[at..at + REACH].try_into().expect("the range has this length")
}

#[inline(always)]
fn block_of(window: &[u8; REACH]) -> &[u8; WINDOW] {
    window.first_chunk().expect("a window is longer than a block")
}

/// Size of the padded buffer of [`scan_tail_with`].
pub(crate) const TAIL: usize = 2 * REACH;

/// Handles one window at `at`: appends its pieces and returns where the next window starts.
///
/// The plain automaton handles events; it starts no piece from which [`KEY`] bytes cannot be read.
#[inline(always)]
fn step<R: Rules, S: Sink>(
    masks: Masks,
    planes: &impl Fn(&[u8; REACH], u64) -> Planes,
    text: &[u8],
    bytes: &[u8; REACH],
    at: usize,
    tail: bool,
    sink: &mut S,
) -> usize {
    let last_start = text.len() - if tail { 1 } else { REACH };
    let left = text.len() - at;
    let last = tail && left <= WINDOW;
    let valid = if last { u64::MAX >> (WINDOW - left) } else { u64::MAX };
    let high = masks.high & valid;
    let other =
        !(masks.lower | masks.upper | masks.digit | masks.newline | masks.space | masks.blank | masks.high);
    let mut window = Window {
        lower: masks.lower,
        upper: masks.upper,
        caseless: 0,
        mark: 0,
        digit: masks.digit,
        newline: masks.newline,
        space: masks.space,
        blank: masks.blank,
        other: other & valid,
        apostrophe: masks.apostrophe,
        slash: masks.slash,
        high,
        rest: 0,
        valid,
        last,
    };
    let mut sure = if last { valid } else { u64::MAX >> 1 };
    let mut events = 0;
    if high != 0 {
        let planes = planes(bytes, high);
        let cut = planes.cut;
        events = classify(&planes, &mut window);
        // The character before the cut one can depend on it.
        sure &= if cut < 64 { below(cut.saturating_sub(1)) } else { u64::MAX };
    }
    let mut found = Found { borders: 0, sure, events };
    R::borders(&window, text, at, &mut found);
    let Found { borders, sure, events } = found;
    let before_event = (events & events.wrapping_neg()).wrapping_sub(1);
    let borders = (borders & sure & before_event) | 1;
    // Where the text ends with the window, its end is the border behind the last piece, unless it is bit 64.
    let whole = last && events & sure == 0 && sure == valid;
    if whole && left < WINDOW {
        let borders = borders | 1 << left;
        sink.between(bytes, at, borders, R::plain(&masks, borders));
        return text.len();
    }
    let top = 63 - borders.leading_zeros();
    sink.between(bytes, at, borders, R::plain(&masks, borders));
    let mut next = at + top as usize;
    if whole {
        sink.one(next, text.len());
        return text.len();
    }
    if events & (sure << 1 | 1) != 0 {
        let event = at + events.trailing_zeros() as usize;
        while next <= event && next <= last_start && !sink.is_full() {
            let end = piece_end(R::PATTERN, text, next);
            sink.one(next, end);
            next = end;
        }
    } else if top == 0 {
        let end = piece_end(R::PATTERN, text, next);
        sink.one(next, end);
        next = end;
    }
    next
}

/// Classes of the non-ASCII characters of a window: one plane per bit of the class number. Bits of other bytes and of a
/// character cut by the window are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planes {
    pub(crate) one: u64,
    pub(crate) two: u64,
    pub(crate) four: u64,
    pub(crate) eight: u64,
    /// Bytes of a character after its first.
    pub(crate) rest: u64,
    /// First bit of a character that the window cuts; 64 for none.
    pub(crate) cut: u32,
}

/// The planes one character at a time: the form that the others must equal.
#[inline(always)]
pub(crate) fn planes_scalar(bytes: &[u8; REACH], high: u64) -> Planes {
    let [mut one, mut two, mut four, mut eight] = [0_u64; 4];
    let mut todo = high;
    let mut cut = 64;
    let mut rest = 0;
    while todo != 0 {
        let bit = todo.trailing_zeros();
        let (scalar, len) = decode(bytes, bit as usize);
        if bit as usize + len > WINDOW {
            cut = bit;
            break;
        }
        let bytes = (u64::MAX >> (64 - len)) << bit;
        let class = u64::from(class_of(scalar));
        one |= bytes & (class & 1).wrapping_neg();
        two |= bytes & (class >> 1 & 1).wrapping_neg();
        four |= bytes & (class >> 2 & 1).wrapping_neg();
        eight |= bytes & (class >> 3).wrapping_neg();
        rest |= bytes & (bytes << 1);
        todo &= !bytes;
    }
    Planes { one, two, four, eight, rest, cut }
}

/// Sets the class bits of the non-ASCII characters; returns those that are events.
#[inline(always)]
fn classify(planes: &Planes, window: &mut Window) -> u64 {
    const { assert!(CharClass::Lower as u8 == 1 && CharClass::Upper as u8 == 2 && CharClass::Letter as u8 == 3) };
    const { assert!(CharClass::Mark as u8 == 4 && CharClass::Digit as u8 == 5 && CharClass::Blank as u8 == 8) };
    let Planes { one, two, four, eight, rest, cut } = *planes;
    let low = !four & !eight;
    let seen = window.high & below(cut);
    window.lower |= one & !two & low;
    window.upper |= two & !one & low;
    window.caseless = one & two & low;
    window.mark = four & !one;
    window.digit |= four & one;
    window.blank |= eight;
    window.other |= seen & !(one | two | four | eight);
    window.rest = rest;
    (four & one) | eight
}

#[inline(always)]
pub(crate) fn below(bit: u32) -> u64 {
    if bit >= 64 { u64::MAX } else { (1 << bit) - 1 }
}

/// The border rules of a pattern.
pub(crate) trait Rules {
    /// The pattern.
    const PATTERN: Pattern;
    /// Starts of pieces that are visibly one token: a single ASCII character, a group of ASCII digits.
    fn plain(masks: &Masks, borders: u64) -> u64;
    /// Sets the borders of `window`, which begins at `at`; may shorten `sure` and add `events`.
    fn borders(window: &Window, text: &[u8], at: usize, found: &mut Found);
}

/// Borders common to `o200k` and `cl100k`; `letter` and `other` differ in the place of marks.
#[inline(always)]
fn shared<const DIGITS: usize>(w: &Window, letter: u64, other: u64, found: &mut Found) -> u64 {
    let inline = w.space | w.blank;
    let white = inline | w.newline;
    let letter_start = letter & !(letter << 1);
    let other_start = other & !(other << 1) & !(w.space << 1);
    // A single character of punctuation belongs to the word behind it, unless a space takes it first.
    let mut single = other_start;
    if w.rest != 0 {
        for _ in 0..3 {
            single |= (single << 1) & other & w.rest;
        }
    }
    let joined = (inline << 1) | (single << 1);
    // Behind a line end, spaces that lead to another line end belong to the first: rare, left to the automaton.
    let after_newline = (w.newline << 1) & inline;
    if after_newline != 0 {
        let (ends, overflow) = after_newline.overflowing_add(inline);
        let (sum, run_ends) = (ends, ends & !inline & w.newline);
        if run_ends != 0 || overflow {
            blank_lines(after_newline, inline, w.newline, sum, overflow, w.last, found);
        }
    }
    (white & !(white << 1) & !(w.newline & (other << 1)))
        | (inline & !(white >> 1) & (w.valid >> 1))
        | ((w.newline << 1) & !w.newline & w.valid)
        | (letter_start & !joined)
        | other_start
        | if DIGITS == 1 { w.digit } else { thirds(w.digit) }
}

/// Adds the first line start whose spaces lead to a line end to the events, and ends `sure` at an undecided one.
#[cold]
fn blank_lines(
    starts: u64,
    inline: u64,
    newline: u64,
    _sum: u64,
    overflow: bool,
    last: bool,
    found: &mut Found,
) {
    let mut todo = starts;
    while todo != 0 {
        let start = todo.trailing_zeros();
        let end = start + (!(inline >> start)).trailing_zeros();
        if end < 64 && newline >> end & 1 != 0 {
            found.events |= 1 << start;
            return;
        }
        todo &= todo - 1;
    }
    if overflow && !last {
        found.sure &= below(63 - starts.leading_zeros());
    }
}

/// Every third digit of each run, from its first.
#[inline(always)]
fn thirds(digit: u64) -> u64 {
    let mut borders = digit & !(digit << 1);
    // `run` has the digits with three more before them: only those can begin another group.
    let mut run = digit & (digit << 1) & (digit << 2) & (digit << 3);
    if run != 0 {
        let mut shift = 3;
        while shift < 64 {
            borders |= (borders << shift) & run;
            run &= run << shift;
            shift *= 2;
        }
    }
    borders
}

/// Length of `'s 't 're 've 'm 'll 'd` in any case at `at`, where an apostrophe is.
#[inline(always)]
fn contraction(text: &[u8], at: usize) -> u32 {
    let byte = |i: usize| text.get(at + i).map_or(0, |b| b | 0x20);
    match byte(1) {
        b's' | b'd' | b'm' | b't' => 2,
        b'l' if byte(2) == b'l' => 3,
        b'v' | b'r' if byte(2) == b'e' => 3,
        _ => 0,
    }
}

/// Rules of [`Pattern::O200k`] and, without contractions, [`Pattern::Tekken`].
pub(crate) struct Cased<const DIGITS: usize, const CONTRACTIONS: bool>;

impl<const DIGITS: usize, const CONTRACTIONS: bool> Rules for Cased<DIGITS, CONTRACTIONS> {
    const PATTERN: Pattern = if CONTRACTIONS { Pattern::O200k } else { Pattern::Tekken };

    #[inline(always)]
    fn plain(masks: &Masks, borders: u64) -> u64 {
        (borders & (borders >> 1) & !masks.high) | masks.digit
    }

    #[inline(always)]
    fn borders(w: &Window, text: &[u8], at: usize, found: &mut Found) {
        let caseless = w.caseless | w.mark;
        let letter = w.lower | w.upper | caseless;
        let mut borders = shared::<DIGITS>(w, letter, w.other, found) | (w.upper & (w.lower << 1));
        // Events: a mark behind punctuation can belong to either; a capital behind a caseless letter; a slash
        // behind a line end that punctuation took.
        found.events |=
            (w.mark & (w.other << 1)) | (w.upper & (caseless << 1)) | (w.slash & (w.newline << 1));
        let mut after_word = w.apostrophe & (letter << 1);
        if CONTRACTIONS && after_word != 0 {
            after_word &= (letter | w.high) >> 1 | 1 << 63;
            let mut end = 0;
            while after_word != 0 {
                let bit = after_word.trailing_zeros();
                after_word &= after_word - 1;
                if bit == end {
                    // The word before ended with a contraction: this apostrophe begins another.
                    continue;
                }
                if bit > 60 && !w.last {
                    found.sure &= below(bit);
                    break;
                }
                if w.high >> bit >> 1 & 1 != 0 {
                    found.events |= 1 << bit;
                    break;
                }
                let len = contraction(text, at + bit as usize);
                if len > 0 {
                    end = bit + len;
                    borders &= !(below(len) << bit);
                    borders |= letter & 1_u64.checked_shl(end).unwrap_or(0);
                }
            }
        }
        found.borders = borders;
    }
}

/// Rules of [`Pattern::Cl100k`] and, where white space at the text's end is nothing special, of
/// [`Pattern::Llama3`] and [`Pattern::Qwen2`].
pub(crate) struct Uncased<const DIGITS: usize, const TO_END: bool>;

impl<const DIGITS: usize, const TO_END: bool> Rules for Uncased<DIGITS, TO_END> {
    const PATTERN: Pattern = match (DIGITS, TO_END) {
        (3, true) => Pattern::Cl100k,
        (3, false) => Pattern::Llama3,
        _ => Pattern::Qwen2,
    };

    #[inline(always)]
    fn plain(masks: &Masks, borders: u64) -> u64 {
        (borders & (borders >> 1) & !masks.high) | masks.digit
    }

    #[inline(always)]
    fn borders(w: &Window, text: &[u8], at: usize, found: &mut Found) {
        let letter = w.lower | w.upper | w.caseless;
        let other = w.other | w.mark;
        let mut borders = shared::<DIGITS>(w, letter, other, found);
        if TO_END && w.last && w.newline != 0 {
            // White space up to the end of the text is one piece, line ends or not.
            let white = w.newline | w.space | w.blank;
            let end = 64 - (!(white | !w.valid)).leading_zeros();
            if end < 64 && (white >> end & w.newline >> end) != 0 {
                found.events |= 1 << end;
            }
        }
        contractions_apart(w, text, at, letter, &mut borders, found, contraction);
        found.borders = borders;
    }
}

/// Rules of [`Pattern::Gpt2`].
pub(crate) struct Gpt2;

impl Rules for Gpt2 {
    const PATTERN: Pattern = Pattern::Gpt2;

    #[inline(always)]
    fn plain(masks: &Masks, borders: u64) -> u64 {
        borders & (borders >> 1) & !masks.high
    }

    #[inline(always)]
    fn borders(w: &Window, text: &[u8], at: usize, found: &mut Found) {
        let letter = w.lower | w.upper | w.caseless;
        let other = w.other | w.mark;
        let white = w.newline | w.space | w.blank;
        let start = |class: u64| class & !(class << 1) & !(w.space << 1);
        let mut borders = (white & !(white << 1))
            | (white & !(white >> 1) & (w.valid >> 1))
            | start(letter)
            | start(other)
            | start(w.digit);
        let lower_case = |text: &[u8], at: usize| match text.get(at + 1) {
            Some(b's' | b'd' | b'm' | b't') => 2,
            Some(b'l') if text.get(at + 2) == Some(&b'l') => 3,
            Some(b'v' | b'r') if text.get(at + 2) == Some(&b'e') => 3,
            _ => 0,
        };
        contractions_apart(w, text, at, letter, &mut borders, found, lower_case);
        found.borders = borders;
    }
}

/// Finds every piece with the plain automaton of the pattern.
pub(crate) struct DeepSeek3;

impl Rules for DeepSeek3 {
    const PATTERN: Pattern = Pattern::DeepSeek3;

    #[inline(always)]
    fn plain(_: &Masks, _: u64) -> u64 {
        0
    }

    #[inline(always)]
    fn borders(_: &Window, _: &[u8], _: usize, found: &mut Found) {
        found.events = 1;
    }
}

/// Contractions as pieces of their own, where a piece begins with an apostrophe.
#[inline(always)]
fn contractions_apart(
    w: &Window,
    text: &[u8],
    at: usize,
    letter: u64,
    borders: &mut u64,
    found: &mut Found,
    contraction: impl Fn(&[u8], usize) -> u32,
) {
    let mut first = w.apostrophe & (*borders | 1);
    if first == 0 {
        return;
    }
    first &= (letter | w.high) >> 1 | 1 << 63;
    while first != 0 {
        let bit = first.trailing_zeros();
        first &= first - 1;
        if bit > 60 && !w.last {
            found.sure &= below(bit);
            break;
        }
        if w.high >> bit >> 1 & 1 != 0 {
            found.events |= 1 << bit;
            break;
        }
        let len = contraction(text, at + bit as usize);
        if len > 0 {
            *borders &= !(below(len) << bit);
            *borders |= 1 << bit | letter & 1_u64.checked_shl(bit + len).unwrap_or(0);
        }
    }
}
