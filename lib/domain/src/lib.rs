//! The rules of load balancing, without I/O: what a configuration means, which address a Service gets, who announces
//! it. No socket, no clock and no Kubernetes client; everything here is a function of values.

#![warn(missing_docs)]

pub mod allocator;
pub mod bgp;
pub mod config;
pub mod convergence;
pub mod election;
pub mod endpoints;
pub mod ip_range;
pub mod selector;
pub mod service;
