//! A proxy between clients and a provider: it compresses the parts of a request that it understands and passes
//! everything else through.
//!
//! Only strings change that [`lacon_prompt::request`] finds and can restore. Every other byte passes unchanged, and so
//! do the answer, its status and its stream. The proxy retries nothing; that is up to the client. A cut answer stays
//! cut, and a client that leaves ends its call at the provider.

mod access;
mod answer;
mod arms;
mod error;
mod forward;
mod gate;
mod headers;
mod lesson;
mod marks;
mod options;
mod refusal;
mod routes;
mod served;
mod server;
#[cfg(feature = "shared")]
pub mod shared;
mod shrink;
mod tap;

pub use access::Access;
pub use arms::Arm;
pub use error::Error;
pub use gate::{Call, Gate, Pass, Refused};
pub use options::{Policy, ProxyOptions, Sessions};
pub use served::{Figures, OnServed, Served};
pub use server::Proxy;
