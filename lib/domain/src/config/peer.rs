//! BGP peers: `BGPPeer`.

mod pairs;
mod parse;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use metallb_crds::metallb::{DynamicASN, Password};

use super::Config;
use super::settle::Settling;
use crate::selector::{Labels, Selector, all_or_any_matches};

/// One checked `BGPPeer`.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Name of the object; advertisements refer to it.
    pub name: String,
    /// Our AS number; never 0.
    pub my_asn: u32,
    /// What is required of the peer's AS number.
    pub remote: RemoteAsn,
    /// AS number shown to this peer in place of `my_asn`.
    pub local_asn: Option<u32>,
    /// Where the peer is.
    pub address: PeerAddress,
    /// TCP port of the peer.
    pub port: u16,
    /// Our address of the session.
    pub source_address: Option<IpAddr>,
    /// Our BGP identifier.
    pub router_id: Option<IpAddr>,
    /// Hold time and keepalive time (RFC 4271 section 4.2); `None` leaves both to the backend. Hold time is 0 (never
    /// expires) or at least 3 s, keepalive time is not longer.
    pub timers: Option<(Duration, Duration)>,
    /// Pause before a failed connection is tried again; whole seconds, 1 to 65535.
    pub connect_time: Option<Duration>,
    /// The nodes that open the session; empty means all.
    pub node_selectors: Vec<Selector>,
    /// Password of the session (TCP MD5, RFC 2385).
    pub password: Option<PeerPassword>,
    /// Name of a BFD profile.
    pub bfd_profile: Option<String>,
    /// Keep routes while BGP restarts (RFC 4724).
    pub graceful_restart: bool,
    /// The peer, in another AS, may be more than one hop away.
    pub ebgp_multi_hop: bool,
    /// The VRF of the session; `None` for the default one.
    pub vrf: Option<String>,
    /// Deprecated, without effect; passed on.
    pub disable_mp: bool,
    /// Exchange routes of both families.
    pub dual_stack: bool,
}

/// What a session requires of the peer's AS number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteAsn {
    /// This number; never 0.
    Asn(u32),
    /// Equal to our own, or any other.
    Dynamic(DynamicASN),
}

/// Where a peer is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerAddress {
    /// At this address.
    Address(IpAddr),
    /// At the other end of this host interface (unnumbered, by IPv6 router advertisements).
    Interface(String),
}

/// Where the password of a session comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerPassword {
    /// It is in the object.
    Plain(Password),
    /// It is in a Secret of MetalLB's namespace.
    Secret {
        /// Name of the Secret.
        name: String,
        /// The namespace written in the reference, which is not used to look it up; may be empty.
        namespace: String,
        /// The password, when the Secrets were given to check.
        value: Option<Password>,
    },
}

impl Peer {
    /// True when a node with these labels opens the session.
    pub fn covers_node(&self, labels: &Labels) -> bool {
        all_or_any_matches(&self.node_selectors, labels)
    }
}

impl std::fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Interface(name) => f.write_str(name),
        }
    }
}

/// Checks all peers, each alone and against those it meets on a node. Needs the BFD profiles of `config`.
pub(super) fn settle(settling: &mut Settling<'_>, config: &Config) -> BTreeMap<String, Arc<Peer>> {
    let objects = settling.objects;
    let mut pairs = pairs::Pairs::new(objects.backend, &objects.nodes);
    settling.settle(
        "BGPPeer",
        &objects.peers,
        &settling.previous.peers,
        |peer| &peer.metadata,
        |name, peer| parse::parse(name, &peer.spec, objects, &config.bfd_profiles),
        |peer| pairs.accept(peer),
    )
}
