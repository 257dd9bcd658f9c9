//! Real FRRouting in network namespaces: one instance under test, and peers.
//!
//! Needs root and FRRouting. Instances are the installed FRRouting, or that of an unpacked root file system named by
//! [`ROOT_VARIABLE`] (each started in it with chroot). Everything made here is removed again when it is dropped.

mod instance;
mod network;
mod node;

pub use instance::{Instance, Release};
pub use network::Network;
pub use node::{Failure, Node, merge_yaml};

use std::time::{Duration, Instant};

/// Environment variable with the path of a root file system that holds another release of FRRouting.
pub const ROOT_VARIABLE: &str = "METALLB_FRR_ROOT";

/// How long to wait for what takes FRRouting some seconds, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until the answer is yes.
///
/// # Panics
///
/// When that takes longer than a minute.
#[track_caller]
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
