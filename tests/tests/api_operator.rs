//! The operator against a real API server: our install manifest, the real program, the rights it is shipped with.
//!
//! There is no controller manager and no node: a DaemonSet gets no pods, its status is what a test writes, and nothing
//! is collected that the operator does not delete itself.

#![allow(
    clippy::unwrap_used,
    reason = "the functions that tests share fail the test, too"
)]

mod api_operator {
    mod deploy;
    mod remove;
    mod repair;
    mod report;
    mod world;
}
