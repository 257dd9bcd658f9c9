//! What can be wrong with an FRRConfiguration.

use std::fmt;

use ipnet::IpNet;

use crate::model::community::InvalidCommunity;
use crate::model::evpn::InvalidTarget;
use crate::model::{Family, InvalidText, Vrf};

/// A fault and the place it was found at, from the outside in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// For example `router 64500-blue`, `neighbor 64601@198.51.100.11`.
    pub place: Vec<String>,
    pub fault: Fault,
}

impl Problem {
    pub(super) fn new(fault: Fault) -> Self {
        Self {
            place: Vec::new(),
            fault,
        }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::new(fault)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in &self.place {
            write!(f, "{place}: ")?;
        }
        self.fault.fmt(f)
    }
}

/// Says where a problem was found.
pub(super) trait Within<T> {
    fn within(self, place: impl FnOnce() -> String) -> Result<T, Problem>;
}

impl<T, E: Into<Problem>> Within<T> for Result<T, E> {
    fn within(self, place: impl FnOnce() -> String) -> Result<T, Problem> {
        self.map_err(|error| {
            let mut problem = error.into();
            problem.place.insert(0, place());
            problem
        })
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("invalid NodeSelector: {0}")]
    Selector(String),
    #[error("{field}: {fault}")]
    Text { field: &'static str, fault: InvalidText },
    #[error("{field}: unknown ipfamily for {text:?}, write a prefix such as 192.0.2.0/24")]
    Prefix { field: &'static str, text: String },
    #[error("failed to find ipfamily for {0:?}, write an IPv4 or IPv6 address of a single host")]
    PeerAddress(String),
    #[error("{field}: {text:?} is not an IPv4 address")]
    Ipv4Address { field: &'static str, text: String },
    #[error("{field}: {text:?} is not an IPv6 address")]
    Ipv6Address { field: &'static str, text: String },
    #[error("{field}: {value} is out of range, use {min} to {max}")]
    Range {
        field: &'static str,
        value: String,
        min: u32,
        max: u32,
    },
    #[error("asn: the AS number of a router must not be 0")]
    ZeroAsn,

    #[error("bfdProfiles: duplicate profile {0}")]
    DuplicateProfile(String),
    #[error("bfdProfiles: duplicate profile {0} with different values")]
    DifferentProfiles(String),
    #[error("bfdProfile: {0} is not defined in the bfdProfiles of the same object")]
    UnknownProfile(String),

    #[error("imports: undefined VRF {0}, VRF not found among the routers of the same object")]
    UnknownImport(Vrf),
    #[error("imports: a router must not import its own VRF {0}")]
    SelfImport(Vrf),

    #[error("has no address and no interface, set one of them")]
    NoPeer,
    #[error("has both Address and Interface specified, set one of them")]
    TwoPeers,
    #[error("has no ASN or DynamicASN specified, set one of them")]
    NoAsn,
    #[error("has both ASN and DynamicASN specified, set one of them")]
    TwoAsns,
    #[error("localASN: not supported for iBGP, the peer must have another AS number than the router")]
    LocalAsnInternal,
    #[error("localASN: must differ from the AS number of the {0}")]
    LocalAsnSame(&'static str),
    #[error("holdTime and keepaliveTime: set both or none of them")]
    HalfTimers,
    #[error("{field}: {text:?} is not a duration such as 90s or 1m30s, of at most 65535s")]
    Duration { field: &'static str, text: String },
    #[error("holdTime: must be 0s or at least 3s")]
    HoldTime,
    #[error("keepaliveTime: must not be greater than holdTime")]
    KeepaliveTime,
    #[error("connectTime: must be a whole number of seconds, 1s to 65535s")]
    ConnectTime,
    #[error("password and passwordSecret: set only one of them")]
    TwoPasswords,
    #[error("passwordSecret: secret {0} not found")]
    SecretMissing(String),
    #[error(
        "passwordSecret: secret {name} is of type {type_:?}, it must be of type kubernetes.io/basic-auth"
    )]
    SecretType { name: String, type_: String },
    #[error("passwordSecret: secret {0} has no text under the key `password`")]
    SecretKey(String),
    #[error("passwordSecret: the password in secret {name} {fault}")]
    SecretText { name: String, fault: InvalidText },

    #[error("{field}: {what} on a neighbor without an {family} address family")]
    Family {
        field: &'static str,
        what: String,
        family: Family,
    },
    #[error(
        "toAdvertise.allowed.prefixes: {0} is not among the prefixes of the router, nor of the VRFs it imports, in the same object"
    )]
    NotOriginated(IpNet),
    #[error(
        "{field}: {value} is associated to non existing prefix {prefix}, it must be among those announced to the neighbor"
    )]
    NotAnnounced {
        field: &'static str,
        value: String,
        prefix: IpNet,
    },
    #[error("withLocalPref: {prefix} has the local preferences {first} and {second}")]
    TwoLocalPrefs { prefix: IpNet, first: u32, second: u32 },
    #[error("{field}: {value} is already defined for {family}, list all its prefixes in one item")]
    AlreadyDefined {
        field: &'static str,
        value: String,
        family: Family,
    },
    #[error("{field}: {value} lists {prefix} twice")]
    PrefixTwice {
        field: &'static str,
        value: String,
        prefix: IpNet,
    },
    #[error("withCommunity: {0}")]
    Community(#[from] InvalidCommunity),
    #[error("toReceive: {prefix}: the lengths must satisfy {length} <= ge <= le <= {max}")]
    Lengths { prefix: IpNet, length: u8, max: u8 },

    #[error("evpn: {0}")]
    Target(#[from] InvalidTarget),
    #[error("evpn: exportRTs: {0:?} must name an AS number or an IPv4 address")]
    WildcardExport(String),
    #[error("evpn: l3vni: the default VRF has no layer 3 VNI, set the vrf of the router")]
    L3VniDefaultVrf,
    #[error("evpn: l3vni: advertisePrefixes must be [unicast]")]
    AdvertisePrefixes,
    #[error("evpn: a router with an l3vni must have no neighbors")]
    L3VniNeighbors,
    #[error("evpn: VNI {0} is used more than once")]
    DuplicateVni(u32),
    #[error("evpn: VNIs cannot be advertised, the router has no neighbor with the address family evpn")]
    NoEvpnNeighbor,
    #[error("evpn: two different l3vni ({0} and {1})")]
    TwoL3Vnis(u32, u32),
    #[error("evpn: VNI {vni}: {field} is given once with route targets and once without")]
    ImplicitTargets { vni: u32, field: &'static str },

    #[error("different asns ({0} and {1}) specified for the same VRF")]
    DifferentAsns(u32, u32),
    #[error("multiple bfd profiles specified for the neighbor ({0} and {1})")]
    DifferentBfd(String, String),
    #[error("{field}: different values ({first} and {second})")]
    Different {
        field: &'static str,
        first: String,
        second: String,
    },
}

impl Fault {
    pub(super) fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::SecretMissing(_) | Self::SecretType { .. } | Self::SecretKey(_) | Self::SecretText { .. }
        )
    }
}
