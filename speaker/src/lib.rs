//! The speaker: makes the addresses of Services reachable from its node's local networks.

pub mod layer2;
