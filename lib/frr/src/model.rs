//! The desired state of the FRRouting instance of a node, fully checked.
//!
//! Every text in here was checked by the constructor of its type ([`text`]), so that rendering can paste it: it has
//! no blanks, no control characters and a length FRRouting takes. Prefixes have no host bits set. The collections are
//! ordered, and so is everything made from them.

pub mod community;
pub mod evpn;
pub mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

pub use community::Community;
pub use evpn::Evpn;
pub use text::{InterfaceName, InvalidText, Password, ProfileName, Vrf};

/// What all FRRConfigurations of a node ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// The BGP instances, one per VRF.
    pub routers: BTreeMap<Vrf, Router>,
    /// BFD profiles, whether used or not.
    pub bfd_profiles: BTreeMap<ProfileName, BfdProfile>,
    /// Texts to append, in their final order.
    pub raw: Vec<RawText>,
}

/// Configuration text of an object, which only FRRouting itself can check.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RawText {
    /// Lower numbers come first.
    pub priority: i64,
    /// Name of the object the text is from; decides among equal priorities.
    pub object: String,
    /// One or more lines.
    pub text: String,
}

/// A BGP instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Router {
    /// AS number of the node in this VRF, at least 1.
    pub asn: u32,
    /// BGP identifier; `None` leaves the choice to FRRouting, or to [`crate::render::NodeSettings::router_id`].
    pub id: Option<Ipv4Addr>,
    /// VRFs whose routes are leaked into this one.
    pub imports: BTreeSet<Vrf>,
    /// Prefixes this instance originates.
    pub prefixes: BTreeSet<IpNet>,
    pub neighbors: BTreeMap<Peer, Neighbor>,
    pub evpn: Option<Evpn>,
}

/// How a peer is found. Addresses come before interfaces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    Address(IpAddr),
    /// BGP unnumbered: whoever answers on the link.
    Interface(InterfaceName),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Interface(name) => name.fmt(f),
        }
    }
}

/// A BGP session and its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbor {
    pub remote_as: RemoteAs,
    /// TCP port of the peer, `None` for 179.
    pub port: Option<u16>,
    pub source: Option<UpdateSource>,
    pub password: Option<Password>,
    pub timers: Option<Timers>,
    /// Seconds between two attempts to connect, 1 to 65535.
    pub connect_time: Option<u16>,
    pub ebgp_multihop: bool,
    pub graceful_restart: bool,
    /// AS number shown to this peer in place of the router's.
    pub local_as: Option<u32>,
    /// A key of [`Model::bfd_profiles`].
    pub bfd_profile: Option<ProfileName>,
    pub families: Families,
    pub advertise: Advertise,
    pub receive: Receive,
}

/// The AS number a peer must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RemoteAs {
    /// This one, at least 1.
    Number(u32),
    /// Our own.
    Internal,
    /// Any but our own.
    External,
}

impl fmt::Display for RemoteAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Internal => f.write_str("internal"),
            Self::External => f.write_str("external"),
        }
    }
}

/// The local end of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateSource {
    Address(IpAddr),
    Interface(InterfaceName),
}

impl fmt::Display for UpdateSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Interface(name) => name.fmt(f),
        }
    }
}

/// Session timers in seconds (RFC 4271 section 4.2). Both 0, or hold at least 3 and keepalive at most hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    pub keepalive: u16,
    pub hold: u16,
}

impl Default for Timers {
    /// FRRouting's: 60 s and 180 s.
    fn default() -> Self {
        Self {
            keepalive: 60,
            hold: 180,
        }
    }
}

/// Which routes a session can carry at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// The family or families of unicast routes this neighbor has, activated or not.
    pub unicast: Unicast,
    /// Whether unicast routes are exchanged.
    pub activate_unicast: bool,
    /// Whether L2VPN EVPN routes are exchanged.
    pub activate_evpn: bool,
}

/// The unicast families of a neighbor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unicast {
    Ipv4,
    Ipv6,
    Dual,
}

impl Unicast {
    pub fn contains(self, family: Family) -> bool {
        match self {
            Self::Ipv4 => family == Family::Ipv4,
            Self::Ipv6 => family == Family::Ipv6,
            Self::Dual => true,
        }
    }
}

/// A family of unicast addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    pub const BOTH: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    pub fn of(prefix: &IpNet) -> Self {
        match prefix {
            IpNet::V4(_) => Self::Ipv4,
            IpNet::V6(_) => Self::Ipv6,
        }
    }

    /// The length of an address of this family, in bits.
    pub fn bits(self) -> u8 {
        match self {
            Self::Ipv4 => 32,
            Self::Ipv6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        })
    }
}

/// What a neighbor is told: these prefixes and no other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advertise {
    pub routes: BTreeMap<IpNet, Attributes>,
    /// Next hop written into all IPv4 routes.
    pub next_hop_ipv4: Option<Ipv4Addr>,
    /// Global next hop written into all IPv6 routes.
    pub next_hop_ipv6: Option<Ipv6Addr>,
}

/// What is written into an announced route.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attributes {
    /// LOCAL_PREF (RFC 4271 section 5.1.5), seen by internal peers only.
    pub local_pref: Option<u32>,
    /// Added to those the route has.
    pub communities: BTreeSet<Community>,
}

/// What is accepted from a neighbor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receive {
    All,
    Filtered(BTreeSet<Selector>),
}

impl Default for Receive {
    /// Nothing.
    fn default() -> Self {
        Self::Filtered(BTreeSet::new())
    }
}

/// All prefixes within `prefix` whose length is in the closed range from `min` to `max`.
///
/// `prefix.prefix_len() <= min <= max <= 32` or `128`; both equal to the prefix' own length select only itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    pub prefix: IpNet,
    pub min: u8,
    pub max: u8,
}

/// BFD timers and modes (RFC 5880). `None` leaves a value to FRRouting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BfdProfile {
    /// Milliseconds, 10 to 60000.
    pub receive_interval: Option<u32>,
    /// Milliseconds, 10 to 60000.
    pub transmit_interval: Option<u32>,
    /// 2 to 255.
    pub detect_multiplier: Option<u32>,
    /// Milliseconds, 10 to 60000.
    pub echo_interval: Option<u32>,
    pub echo_mode: bool,
    pub passive_mode: bool,
    /// 1 to 254; of multi-hop sessions only.
    pub minimum_ttl: Option<u32>,
}
