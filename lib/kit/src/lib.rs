//! What every program of this project needs and none should write twice: logging, supervised tasks, an observability
//! endpoint, watches, server-side apply with time-outs, leader election and Events.
//!
//! Nothing here knows about load balancing.

#![warn(missing_docs)]

pub mod apply;
pub mod args;
pub mod backoff;
pub mod client;
pub mod dirty;
pub mod error;
pub mod events;
pub mod http;
pub mod leader;
pub mod logging;
pub mod metrics;
pub mod tasks;
pub mod watch;

pub use error::Error;
