//! What `cargo xtask` does, as a library, so that the end-to-end tests and the demo share one copy of the
//! lab's addresses, paths and actions with the command line.

pub mod checks;
pub mod cluster;
pub mod command;
pub mod demo;
pub mod generate;
pub mod images;
pub mod install;
pub mod kubernetes_binaries;
pub mod lab;
pub mod lint;
pub mod manifests;
pub mod objects;
pub mod observe;
pub mod packages;
pub mod progress;
pub mod test_suite;
pub mod workspace;
