//! The controller against a real API server: the real program with the rights its Deployment gets.
//!
//! There is no controller manager and no node. What must hold for allocation itself is tested beside the rules; here it
//! is about what is written, when, and that nothing else is.

#![allow(
    clippy::unwrap_used,
    reason = "the functions that tests share fail the test, too"
)]

mod api_controller {
    mod allocate;
    mod restart;
    mod state;
    mod world;
}
