//! Byte-pair merging of one piece that is not a token itself.
//!
//! *Short pieces* (up to 64 bytes) have one word per byte: the rank of the pair that starts there, and its position.
//! The smallest word is the next merge; bits of one word mark the live parts. Merging has two phases. A merge gives a
//! token with a higher number than its halves, so all merges to tokens below
//! 2^[`LOW_BITS`](crate::vocabulary::LOW_BITS) come first. A small table that stays in the second-level cache serves
//! them. The few remaining pairs are looked up in the table of all pairs, all at once.
//!
//! *Long pieces* are merged in windows of 64 bytes, each started at the last token but one of the window before. A
//! sequence of tokens is the encoding of its text exactly if every two neighbors are the encoding of theirs. So if a
//! window's first token is the expected one, the two encodings join exactly. Otherwise the window moves back a token,
//! and doubles if that does not help. The cost is linear in the piece; a repeated window is not merged again.
//!
//! What was tried and lost is in `OPTIMIZATIONS.md`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::select_unpredictable;

use crate::vocabulary::{NO_TOKEN, Vocabulary};

/// Longest piece that is merged in one step.
const SHORT: usize = 64;
/// Tokens kept while a long piece is only counted: far more than windows ever move back.
const KEPT: usize = 4096;

/// Appends the tokens of `piece` to `out`.
pub(crate) fn merge(vocabulary: &Vocabulary, piece: &[u8], out: &mut Vec<u32>) {
    if piece.len() <= SHORT {
        let mut parts = [0; SHORT];
        let mut alive = merge_short(vocabulary, piece, &mut parts);
        while alive != 0 {
            out.push(parts[alive.trailing_zeros() as usize]);
            alive &= alive - 1;
        }
    } else {
        merge_long(vocabulary, piece, out, usize::MAX);
    }
}

/// Counts the tokens of `piece`; `scratch` is overwritten.
pub(crate) fn count_merged(vocabulary: &Vocabulary, piece: &[u8], scratch: &mut Vec<u32>) -> usize {
    if piece.len() <= SHORT {
        merge_short(vocabulary, piece, &mut [0; SHORT]).count_ones() as usize
    } else {
        scratch.clear();
        let dropped = merge_long(vocabulary, piece, scratch, KEPT);
        dropped + scratch.len()
    }
}

/// Rank in the upper half, position in the lower. [`NO_TOKEN`] for "no merge" gives a key above all others.
type Key = u64;

#[inline(always)]
fn key(token: u32, position: usize) -> Key {
    Key::from(token) << 32 | position as Key
}

const NONE: Key = Key::MAX;

/// Merges a piece of 1 to 64 bytes: its tokens are the `parts` whose bits are set in the result.
#[inline(never)]
fn merge_short(vocabulary: &Vocabulary, piece: &[u8], parts: &mut [u32; SHORT]) -> u64 {
    let mut keys = [NONE; SHORT];
    for (part, byte) in parts.iter_mut().zip(piece) {
        *part = vocabulary.of_byte[*byte as usize];
    }
    for (i, pair) in piece.windows(2).enumerate() {
        keys[i] = key(vocabulary.byte_pairs.get(pair[0], pair[1]), i);
    }
    let mut alive = u64::MAX >> (SHORT - piece.len());
    let lanes = piece.len().next_multiple_of(8);
    run::<true>(vocabulary, &mut keys, lanes, parts, &mut alive);
    let mut todo = alive;
    while todo & (todo - 1) != 0 {
        let at = todo.trailing_zeros() as usize;
        todo &= todo - 1;
        let right = parts[todo.trailing_zeros() as usize & (SHORT - 1)];
        keys[at] = key(vocabulary.guess_merged::<false>(parts[at], right), at);
    }
    run::<false>(vocabulary, &mut keys, lanes, parts, &mut alive);
    alive
}

/// Merges the pair of lowest rank, the leftmost of equals, until `keys` has none.
///
/// Keys are guesses: whether a pair merges to the token is checked at its turn, when the answer is almost always yes
/// and nothing waits for it.
#[inline(always)]
fn run<const LOW: bool>(
    vocabulary: &Vocabulary,
    keys: &mut [Key; SHORT],
    lanes: usize,
    parts: &mut [u32; SHORT],
    alive: &mut u64,
) {
    loop {
        let mut lowest = [NONE; 4];
        for chunk in keys[..lanes].chunks_exact(4) {
            for (low, key) in lowest.iter_mut().zip(chunk) {
                *low = (*low).min(*key);
            }
        }
        let [a, b, c, d] = lowest;
        let best = a.min(b).min(c.min(d));
        let merged = (best >> 32) as u32;
        if merged == NO_TOKEN {
            return;
        }
        let at = best as usize & (SHORT - 1);
        let behind = *alive & (u64::MAX << at) & !(1 << at);
        let right = behind.trailing_zeros() as usize & (SHORT - 1);
        if vocabulary.halves(merged) != (parts[at], parts[right]) {
            keys[at] = key(vocabulary.merged_after_wrong_guess::<LOW>(parts[at], parts[right]), at);
            continue;
        }
        let behind = behind & (behind - 1);
        *alive &= !(1 << right);
        keys[right] = NONE;
        parts[at] = merged;
        // Where there is no neighbor, some part stands in for it and its key is put aside.
        let next = parts[behind.trailing_zeros() as usize & (SHORT - 1)];
        let guess = vocabulary.guess_merged::<LOW>(merged, next);
        keys[at] = key(select_unpredictable(behind != 0, guess, NO_TOKEN), at);
        let before = *alive & !(u64::MAX << at);
        if before != 0 {
            let left = 63 - before.leading_zeros() as usize;
            keys[left] = key(vocabulary.guess_merged::<LOW>(parts[left], merged), left);
        }
    }
}

/// Appends the tokens of `piece` to `out`. Drops all but the last when there are 2 × `keep`, and returns how many were
/// dropped.
fn merge_long(vocabulary: &Vocabulary, piece: &[u8], out: &mut Vec<u32>, keep: usize) -> usize {
    let base = out.len();
    let mut dropped = 0;
    let mut width = SHORT;
    // The window begins at `at`: with the last token of `out`, if there is one.
    let mut at = 0;
    // Windows that disagreed since the last that led further than any before.
    let (mut failures, mut furthest) = (0, 0);
    let mut window: &[u8] = &[];
    let mut tokens: Vec<u32> = Vec::with_capacity(SHORT);
    loop {
        let end = piece.len().min(at + width);
        if window != &piece[at..end] {
            window = &piece[at..end];
            tokens.clear();
            if window.len() <= SHORT {
                let mut parts = [0; SHORT];
                let mut alive = merge_short(vocabulary, window, &mut parts);
                while alive != 0 {
                    tokens.push(parts[alive.trailing_zeros() as usize]);
                    alive &= alive - 1;
                }
            } else {
                by_heap(vocabulary, window, &mut tokens);
            }
        }
        let known = usize::from(out.len() > base);
        if known == 1 && out.last() != tokens.first() {
            if out.len() == base + 1 && dropped > 0 {
                // Further back than anything kept: the whole piece at once, which needs no join.
                out.truncate(base);
                by_heap(vocabulary, piece, out);
                return 0;
            }
            out.pop();
            at = match out.len() > base {
                true => at - vocabulary.string(out[out.len() - 1]).len(),
                false => 0,
            };
            failures += 1;
            if failures > 2 {
                width *= 2;
            }
            continue;
        }
        if end == piece.len() {
            out.extend_from_slice(&tokens[known..]);
            return dropped;
        }
        // The last token may be cut by the window's end, the one before it is what the next window must confirm.
        if tokens.len() < known + 2 {
            width *= 2;
            continue;
        }
        let sure = &tokens[known..tokens.len() - 1];
        out.extend_from_slice(sure);
        let last_two = &tokens[tokens.len() - 2..];
        at = end - last_two.iter().map(|token| vocabulary.string(*token).len()).sum::<usize>();
        if at > furthest {
            furthest = at;
            failures = 0;
            if tokens.len() > SHORT / 4 {
                width = SHORT;
            }
        }
        if out.len() - base >= keep.saturating_mul(2) {
            let n = out.len() - base - keep;
            out.drain(base..base + n);
            dropped += n;
        }
    }
}

/// The same merges with a heap over a linked list, for windows of any length.
fn by_heap(vocabulary: &Vocabulary, piece: &[u8], out: &mut Vec<u32>) {
    const END: u32 = u32::MAX;
    let n = piece.len();
    let mut parts: Vec<u32> = piece.iter().map(|byte| vocabulary.of_byte[*byte as usize]).collect();
    let index = |i: usize| u32::try_from(i).expect("a piece is shorter than 4 GB");
    let mut next: Vec<u32> = (1..=n).map(|i| if i < n { index(i) } else { END }).collect();
    let mut previous: Vec<u32> = (0..n).map(|i| if i > 0 { index(i - 1) } else { END }).collect();
    // Ordered by rank, then by position: the order in which the reference merges.
    let mut queue: BinaryHeap<Reverse<(u32, u32)>> = (0..n - 1)
        .map(|i| Reverse((vocabulary.merged(parts[i], parts[i + 1]), index(i))))
        .filter(|Reverse((rank, _))| *rank != NO_TOKEN)
        .collect();
    while let Some(Reverse((rank, left))) = queue.pop() {
        let at = left as usize;
        let right = next[at];
        // An entry is stale when either of its parts has merged with another since.
        if parts[at] == NO_TOKEN
            || right == END
            || vocabulary.merged(parts[at], parts[right as usize]) != rank
        {
            continue;
        }
        parts[at] = rank;
        parts[right as usize] = NO_TOKEN;
        let after = next[right as usize];
        next[at] = after;
        if after != END {
            previous[after as usize] = left;
            let joined = vocabulary.merged(rank, parts[after as usize]);
            if joined != NO_TOKEN {
                queue.push(Reverse((joined, left)));
            }
        }
        let before = previous[at];
        if before != END {
            let joined = vocabulary.merged(parts[before as usize], rank);
            if joined != NO_TOKEN {
                queue.push(Reverse((joined, before)));
            }
        }
    }
    out.extend(parts.into_iter().filter(|part| *part != NO_TOKEN));
}
