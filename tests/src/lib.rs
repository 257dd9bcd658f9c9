//! What tests share that need more than one crate.

pub mod frr;
