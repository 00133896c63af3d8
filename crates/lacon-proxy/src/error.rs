//! Errors of starting and running the server.

/// Why a proxy cannot be made or stopped serving.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The upstream's address cannot be used.
    #[error("{0}")]
    Upstream(#[from] lacon_llm::Error),
    /// The upstream's address holds a query.
    #[error("upstream {url:?} has a query\nhint: leave it out; the query of each request is passed on")]
    Query {
        /// The address without its query.
        url: String,
    },
    /// The listener failed for good.
    #[error("the listener failed: {0}")]
    Listener(#[from] std::io::Error),
}
