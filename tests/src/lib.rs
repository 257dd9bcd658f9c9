//! What tests share that need more than one crate.

pub mod api_server;
pub mod frr;
pub mod program;
