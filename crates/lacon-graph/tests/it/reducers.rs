//! Reducers give one result whatever the order of arrival.

use lacon_graph::{Append, LastWins, Max, Reducer, Stamp};
use proptest::prelude::*;

fn stamps() -> impl Strategy<Value = Vec<(Stamp, u32)>> {
    prop::collection::btree_map((1u32..4, 0u32..5, 0u32..5), 0u32..100, 0..12).prop_map(|map| {
        map.into_iter().map(|((visit, rank, node), v)| (Stamp { visit, rank, node, item: 0 }, v)).collect()
    })
}

fn fold<R: Reducer<Item = u32>>(writes: &[(Stamp, u32)]) -> R {
    let mut reducer = R::default();
    writes.iter().for_each(|(stamp, item)| reducer.put(*item, *stamp));
    reducer
}

proptest! {
    #[test]
    fn order_of_arrival_does_not_matter(
        (writes, shuffled) in stamps().prop_flat_map(|w| (Just(w.clone()), Just(w).prop_shuffle()))
    ) {
        prop_assert_eq!(fold::<Append<u32>>(&writes), fold::<Append<u32>>(&shuffled));
        prop_assert_eq!(fold::<LastWins<u32>>(&writes), fold::<LastWins<u32>>(&shuffled));
        prop_assert_eq!(fold::<Max<u32>>(&writes), fold::<Max<u32>>(&shuffled));
    }
}

/// The original Python system kept the longer of two texts, so that a shorter correction could never replace a longer one.
#[test]
fn defect_08_a_shorter_correction_replaces_a_longer_text() {
    let mut report = LastWins::<String>::default();
    report.put("a long first version".into(), Stamp { visit: 1, rank: 3, node: 3, item: 0 });
    report.put("short".into(), Stamp { visit: 2, rank: 3, node: 3, item: 0 });
    assert_eq!(report.get().unwrap(), "short");
}

/// The original Python system's message list dropped equal tool answers and kept the last 20 lines only.
#[test]
fn defect_07_equal_items_are_all_kept() {
    let mut list = Append::<String>::default();
    (0..100).for_each(|i| list.put("same".into(), Stamp { visit: 1, rank: 0, node: i, item: 0 }));
    assert_eq!(list.len(), 100);
}
