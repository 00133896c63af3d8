//! Which beginnings of a prompt other prompts repeat.

/// Returns after how many of its pieces a prompt parts from others that begin like it, each number once and in order.
///
/// Pieces are compared, not their texts: a plan knows them before anything is said. The end of the pieces counts as one, for
/// what follows it differs: where one prompt's pieces are the beginning of another's, both still share the pieces before
/// the last common one.
pub fn parts<T: PartialEq, O: AsRef<[T]>>(own: &[T], others: impl IntoIterator<Item = O>) -> Vec<usize> {
    let common = |other: O| {
        let other = other.as_ref();
        let n = own.iter().zip(other).take_while(|(a, b)| a == b).count();
        if (n == own.len()) == (n == other.len()) { n } else { n.saturating_sub(1) }
    };
    let mut all: Vec<usize> = others.into_iter().map(common).filter(|n| *n > 0).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(own: &str, others: &[&str], expected: &[usize]) {
        let pieces = |text: &str| text.chars().collect::<Vec<_>>();
        assert_eq!(
            parts(&pieces(own), others.iter().map(|other| pieces(other))),
            expected,
            "{own} {others:?}"
        );
    }

    #[test]
    fn where_prompts_part() {
        check("abc", &["abc"], &[3]);
        check("abc", &["abd", "axx", "yyy"], &[1, 2]);
        check("abc", &["ab"], &[1]);
        check("ab", &["abc"], &[1]);
        check("a", &["ab"], &[]);
        check("", &["a", ""], &[]);
        check("abc", &[], &[]);
    }
}
