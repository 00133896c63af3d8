//! Errors of this crate.

use crate::offload::{HANDLE_LEN, Handle, StoreError};
use crate::passes::PASSES;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A compressed text is damaged or was edited.
    #[error(
        "compressed text cannot be expanded at byte {at}: {what}\nhint: expand the text exactly as `compress` printed it"
    )]
    Damaged {
        /// Byte of the text where reading stopped.
        at: usize,
        /// What was expected there.
        what: &'static str,
    },
    /// A compressed text expands to more than is allowed.
    #[error(
        "compressed text would expand to more than {limit} bytes, or take too much work\nhint: if you trust it, allow more: `lacon expand --max-size BYTES`"
    )]
    TooLarge {
        /// Most bytes that were allowed.
        limit: usize,
    },
    /// The caller canceled the work.
    #[error("the work was stopped")]
    Stopped,
    /// A marker names an entry that the store does not hold.
    #[error("no stored content for ref={handle}\nhint: use the store and session that compressed the text")]
    Missing {
        /// The handle in the marker.
        handle: Handle,
    },
    /// Stored content differs from what its marker says.
    #[error(
        "stored content of ref={handle} has {what} than its marker says\nhint: the marker was edited; copy it as it was printed"
    )]
    Changed {
        /// The handle in the marker.
        handle: Handle,
        /// What differs.
        what: &'static str,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The prompt cannot be made to fit.
    #[error(
        "prompt needs at least {minimum} tokens, budget is {budget}\nhint: raise the budget or unpin {largest}"
    )]
    OverBudget {
        /// Fewest tokens that keep what must be kept.
        minimum: usize,
        /// The tokens allowed.
        budget: usize,
        /// The largest part that must be kept.
        largest: String,
    },
    /// The result has more tokens than the budget.
    #[error(
        "{tokens} tokens are left, budget is {budget}\nhint: raise the budget, or allow a loss: trim it, or compress by the lossy policy"
    )]
    TooLong {
        /// Tokens of the shorter form.
        tokens: usize,
        /// The tokens allowed.
        budget: usize,
    },
    /// A text cannot be cut to so few tokens.
    #[error("text needs at least {minimum} tokens to be cut, the budget is {budget}\nhint: raise the budget")]
    Uncuttable {
        /// Fewest tokens that the line about what is missing leaves room in.
        minimum: usize,
        /// The tokens allowed.
        budget: usize,
    },
    /// A share is not between 0 and 1.
    #[error("the share to keep is {share}, it must lie between 0 and 1\nhint: 0.3 keeps 30 %")]
    BadShare {
        /// The share as given.
        share: f64,
    },
    /// No pass has this name.
    #[error("unknown pass {name:?}\nhint: the passes are {}", pass_names())]
    UnknownPass {
        /// The name as given.
        name: String,
    },
    /// A text is neither a handle nor a marker.
    #[error("{text:?} is no handle\nhint: pass a marker, or the {HANDLE_LEN} hex digits after its ref=")]
    NoHandle {
        /// The text as given, its beginning where it is long.
        text: String,
    },
    /// A request has no text at a place that is said to have changed.
    #[error(
        "request has no text at {pointer:?}, it has {known}\nhint: pass the messages and the list of changes as `compress` gave them"
    )]
    NoText {
        /// The place, as a JSON pointer.
        pointer: String,
        /// Number of its texts.
        known: usize,
    },
    /// A text starts as a request and is not a valid one.
    #[error("request {what}\nhint: {hint}")]
    BadRequest {
        /// What is wrong with it.
        what: String,
        /// How to repair it.
        hint: &'static str,
    },
    /// A list of messages is not one that can be sent.
    #[error("message {index} {what}\nhint: {hint}")]
    BadMessage {
        /// Position in the list.
        index: usize,
        /// What is wrong with it.
        what: String,
        /// How to repair it.
        hint: &'static str,
    },
}

fn pass_names() -> String {
    PASSES.map(|pass| pass.name()).join(", ")
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
