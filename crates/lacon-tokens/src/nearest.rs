//! The known name that a mistyped one probably means.

/// Returns the candidate with the smallest edit distance, if that is at most a third of the name.
pub(crate) fn nearest(
    name: &str,
    candidates: impl IntoIterator<Item = &'static str>,
) -> Option<&'static str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(name.as_bytes(), candidate.as_bytes()), candidate))
        .filter(|(distance, candidate)| distance * 3 <= candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

fn distance(a: &[u8], b: &[u8]) -> usize {
    if a.len() > 64 {
        return usize::MAX / 3;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let best = (corner + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = row[j + 1];
            row[j + 1] = best;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_a_neighbour_or_nothing() {
        let known = ["o200k_base", "cl100k_base"];
        assert_eq!(nearest("cl100k", known), None);
        assert_eq!(nearest("cl100kbase", known), Some("cl100k_base"));
        assert_eq!(nearest("o200_base", known), Some("o200k_base"));
        assert_eq!(nearest("", known), None);
    }
}
