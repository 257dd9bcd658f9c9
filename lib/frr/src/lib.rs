//! What FRRouting on one node shall do, worked out without any I/O.
//!
//! The way of a configuration, from objects to daemons:
//!
//! ```text
//! FRRConfigurations ──merge──► Model ──render──► Config ──diff──► Plan ──vty──► bgpd, bfdd, zebra, ...
//!                                                   ▲                                    │
//!                                                   └──── Config::running ◄── `show running-config`
//! ```
//!
//! The caller owns sockets, clocks and the Kubernetes client. What it does with this crate:
//!
//! 1. [`merge::merge`] makes one [`model::Model`] of all objects that select the node, and says which it had to refuse.
//! 2. [`render::config`] turns the model into a [`config::Config`], the commands FRRouting must have been told.
//! 3. [`diff::plan`] compares that with what FRRouting has been told: the [`diff::Plan::result`] of the plan that was
//!    carried out last or, at the start, after a failure or after a daemon came back, [`config::Config::running`].
//! 4. It sends the lines of each [`diff::Batch`] in order to each of its daemons ([`daemon::Daemon::socket`]), in the
//!    protocol of [`vty`], on a connection that was brought into configuration mode by [`vty::OPEN`]. A line fails when
//!    any daemon answers with another status than success or [`vty::Status::Unknown`], or when all answer with the
//!    latter. After a failure the way back is the plan from `Config::running` to the last good configuration.
//! 5. [`json`] reads what FRRouting shows of its sessions.

pub mod config;
pub mod daemon;
pub mod diff;
pub mod json;
pub mod merge;
pub mod model;
pub mod render;
pub mod vty;
