//! What `cargo xtask` does, as a library, so that the end-to-end tests and the demo share one copy of the
//! lab's addresses, paths and actions with the command line.

pub mod command;
pub mod images;
pub mod kubernetes_binaries;
pub mod lab;
pub mod packages;
pub mod progress;
pub mod workspace;
