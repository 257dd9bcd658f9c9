//! The speaker: makes the addresses of Services reachable from its node's local networks.
//!
//! One runs on every node. Each decides for itself, from the same facts and with the same rules, which Services it
//! announces; see [`agent`] for the loop and [`layer2`] for what happens on the wire.

pub mod agent;
pub mod args;
pub mod decision;
pub mod inputs;
pub mod layer2;
pub mod ledger;
pub mod members;
pub mod metrics;
pub mod notices;
mod prune;
pub mod status;
pub mod view;
