//! What the kernel says about a network interface.

use std::net::Ipv6Addr;

use crate::ethernet::Mac;

/// A network interface as far as answering ARP and NDP on it is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's index; a deleted and re-created interface gets another one.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its 48-bit hardware address, if it has one of that size.
    pub mac: Option<Mac>,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Up and able to carry frames (`IFF_RUNNING`): the cable is in.
    pub running: bool,
    /// Can send to all stations (`IFF_BROADCAST`).
    pub broadcast: bool,
    /// Does not resolve addresses (`IFF_NOARP`).
    pub no_arp: bool,
    /// Index of the bridge, bond, team or VRF this interface is a port of.
    pub master: Option<u32>,
    /// Its first usable link-local IPv6 address: not tentative, not found to be a duplicate.
    pub link_local: Option<Ipv6Addr>,
}
