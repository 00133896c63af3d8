//! What a request tells a provider's prompt cache, by the cache rule of its model.

use lacon_models::{CacheKind, CacheRow};

use crate::request::{Cut, Request, Reuse};

/// The marks of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheMarks {
    /// Places behind which the provider keeps what stands before them.
    pub cuts: Vec<Cut>,
    /// Whether nothing else is kept.
    pub only: bool,
}

impl Request {
    /// Returns the marks that this request is sent with under a rule; absent where the provider is told nothing.
    pub fn cache_marks(&self, rule: &CacheRow) -> Option<CacheMarks> {
        let end = self.messages.len().checked_sub(1).map(Cut::end_of);
        let (mut cuts, grows): (Vec<Cut>, bool) = match (&self.reuse, rule.kind) {
            (Reuse::Unknown, _) | (_, CacheKind::Automatic) => return None,
            (Reuse::Grows(cuts), CacheKind::Marks) => (cuts.iter().copied().chain(end).collect(), true),
            (Reuse::Grows(cuts), _) => (cuts.clone(), true),
            (Reuse::Siblings(cuts), _) => (cuts.clone(), false),
            (Reuse::Alone, _) => (Vec::new(), false),
        };
        cuts.sort_unstable();
        cuts.dedup();
        // The newest message takes one of the marks; the longest beginnings save most.
        let most = rule.marks.saturating_sub(u64::from(grows && rule.kind == CacheKind::Breakpoints));
        let over = cuts.len().saturating_sub(most as usize);
        cuts.drain(..over);
        Some(CacheMarks { cuts, only: !(grows && rule.kind == CacheKind::Breakpoints) })
    }
}
