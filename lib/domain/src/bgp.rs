//! The BGP plan: which sessions each node opens and which routes it announces to whom.
//!
//! ```text
//!  Policy (pools, advertisements, peers, BFD profiles) ─┐
//!  NodeView ────────────────────────────────────────────┼─► Planner ─► NodePlan: one FRRConfiguration per node
//!  ServiceView, UsableEndpoints ────────────────────────┘        └───► Verdict: where a Service is announced, or why not
//! ```
//!
//! Everything here is a function of values. [`Planner`] keeps indices, so that a change of one Service costs what
//! that Service is concerned with, and not what the cluster holds.

mod key;
mod node;
mod offer;
mod planner;
mod policy;
mod render;
mod route;
mod session;

pub use key::{NodeName, Prefix, ServiceKey};
pub use node::{EXCLUDE_LABEL, HOSTNAME_LABEL, NODE_LABEL, NodePlan, NodeView};
pub use offer::{Addresses, ServiceView, Withheld};
pub use planner::{Changes, Planner, Verdict};
pub use policy::{Policy, SecretHandling};
