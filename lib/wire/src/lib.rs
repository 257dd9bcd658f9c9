//! Frames and sockets for answering address resolution on a local network.
//!
//! [`arp`] and [`ndp`] are codecs without any I/O. [`sys`] has the sockets that carry their frames and is the
//! only place in the workspace with `unsafe` code; [`netlink`] reads the kernel's list of interfaces.

#![warn(missing_docs)]

pub mod arp;
pub mod ethernet;
mod filter;
pub mod interface;
pub mod ndp;
mod netlink;
mod reader;
pub mod sys;

pub use ethernet::Mac;
pub use interface::Interface;
pub use reader::ParseError;
pub use sys::{InterfaceEvents, MulticastGroups, PacketSocket};
