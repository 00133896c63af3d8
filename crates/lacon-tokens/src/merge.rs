//! Byte-pair merging of one piece that is not a token itself.
//!
//! Short pieces: all ranks in an array, the lowest is taken until none is left; quadratic, and fastest for the
//! lengths that text has. Long pieces: the same order by a heap over a linked list.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::vocabulary::{NO_TOKEN, Vocabulary};

/// Longest piece that is merged by scanning.
const SCAN_LIMIT: usize = 128;

/// Appends the tokens of `piece` to `out`.
pub(crate) fn merge(vocabulary: &Vocabulary, piece: &[u8], out: &mut Vec<u32>) {
    if piece.len() <= SCAN_LIMIT { by_scan(vocabulary, piece, out) } else { by_heap(vocabulary, piece, out) }
}

fn by_scan(vocabulary: &Vocabulary, piece: &[u8], out: &mut Vec<u32>) {
    let mut parts = [NO_TOKEN; SCAN_LIMIT];
    let mut ranks = [NO_TOKEN; SCAN_LIMIT];
    let mut n = piece.len();
    for (part, byte) in parts.iter_mut().zip(piece) {
        *part = vocabulary.of_byte[*byte as usize];
    }
    for i in 1..n {
        ranks[i - 1] = vocabulary.pairs.get(parts[i - 1], parts[i]);
    }
    loop {
        let mut best = NO_TOKEN;
        let mut at = 0;
        for (i, rank) in ranks[..n].iter().enumerate() {
            if *rank < best {
                best = *rank;
                at = i;
            }
        }
        if best == NO_TOKEN {
            break;
        }
        parts.copy_within(at + 2..n, at + 1);
        ranks.copy_within(at + 1..n, at);
        n -= 1;
        parts[at] = best;
        ranks[n] = NO_TOKEN;
        ranks[at] = if at + 1 < n { vocabulary.pairs.get(best, parts[at + 1]) } else { NO_TOKEN };
        if at > 0 {
            ranks[at - 1] = vocabulary.pairs.get(parts[at - 1], best);
        }
    }
    out.extend_from_slice(&parts[..n]);
}

fn by_heap(vocabulary: &Vocabulary, piece: &[u8], out: &mut Vec<u32>) {
    const END: u32 = u32::MAX;
    let n = piece.len();
    let mut parts: Vec<u32> = piece.iter().map(|byte| vocabulary.of_byte[*byte as usize]).collect();
    let index = |i: usize| u32::try_from(i).expect("a piece is shorter than 4 GB");
    let mut next: Vec<u32> = (1..=n).map(|i| if i < n { index(i) } else { END }).collect();
    let mut previous: Vec<u32> = (0..n).map(|i| if i > 0 { index(i - 1) } else { END }).collect();
    // Ordered by rank, then by position: the order in which the reference merges.
    let mut queue: BinaryHeap<Reverse<(u32, u32)>> = (0..n - 1)
        .map(|i| Reverse((vocabulary.pairs.get(parts[i], parts[i + 1]), index(i))))
        .filter(|Reverse((rank, _))| *rank != NO_TOKEN)
        .collect();
    while let Some(Reverse((rank, left))) = queue.pop() {
        let at = left as usize;
        let right = next[at];
        // An entry is stale when either of its parts has merged with another since.
        if parts[at] == NO_TOKEN
            || right == END
            || vocabulary.pairs.get(parts[at], parts[right as usize]) != rank
        {
            continue;
        }
        parts[at] = rank;
        parts[right as usize] = NO_TOKEN;
        let after = next[right as usize];
        next[at] = after;
        if after != END {
            previous[after as usize] = left;
            let joined = vocabulary.pairs.get(rank, parts[after as usize]);
            if joined != NO_TOKEN {
                queue.push(Reverse((joined, left)));
            }
        }
        let before = previous[at];
        if before != END {
            let joined = vocabulary.pairs.get(parts[before as usize], rank);
            if joined != NO_TOKEN {
                queue.push(Reverse((joined, before)));
            }
        }
    }
    out.extend(parts.into_iter().filter(|part| *part != NO_TOKEN));
}
