//! EVPN settings (RFC 7432, RFC 9136).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// EVPN settings of a router.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evpn {
    pub advertise_all_vnis: bool,
    pub advertise_svi: bool,
    /// By VNI, 1 to 16777215.
    pub l2_vnis: BTreeMap<u32, VniTargets>,
    pub l3_vni: Option<(u32, VniTargets)>,
}

/// What a VNI has in place of the values FRRouting derives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VniTargets {
    pub rd: Option<RouteDistinguisher>,
    pub import: BTreeSet<RouteTarget>,
    pub export: BTreeSet<RouteTarget>,
}

impl VniTargets {
    pub fn is_empty(&self) -> bool {
        self.rd.is_none() && self.import.is_empty() && self.export.is_empty()
    }
}

/// The global part of a `global:local` text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Administrator {
    Any,
    Asn(u32),
    Address(Ipv4Addr),
}

impl fmt::Display for Administrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Asn(number) => number.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// A text that is neither a route distinguisher nor a route target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} must be an AS number or an IPv4 address, a colon, and a number that fits behind it (RFC 4364 section 4.2)"
)]
pub struct InvalidTarget(String);

/// A route distinguisher (RFC 4364 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteDistinguisher(Administrator, u32);

/// A route target (RFC 4360 section 4). An imported one may name any AS (`*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteTarget(Administrator, u32);

impl RouteTarget {
    /// Whether it selects by the local part alone.
    pub fn is_wildcard(&self) -> bool {
        self.0 == Administrator::Any
    }
}

impl FromStr for RouteDistinguisher {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match parse(text) {
            None | Some((Administrator::Any, _)) => Err(InvalidTarget(text.to_owned())),
            Some((global, local)) => Ok(Self(global, local)),
        }
    }
}

impl FromStr for RouteTarget {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text)
            .map(|(global, local)| Self(global, local))
            .ok_or_else(|| InvalidTarget(text.to_owned()))
    }
}

impl fmt::Display for RouteDistinguisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0, self.1)
    }
}

impl fmt::Display for RouteTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0, self.1)
    }
}

fn parse(text: &str) -> Option<(Administrator, u32)> {
    let (global, local) = text.split_once(':')?;
    let number = |text: &str| -> Option<u32> {
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse().ok())?
    };
    let local = number(local)?;
    let (global, limit) = if global == "*" {
        (Administrator::Any, u32::MAX)
    } else if global.contains('.') {
        (Administrator::Address(global.parse().ok()?), u32::from(u16::MAX))
    } else {
        let asn = number(global)?;
        let limit = if asn > u32::from(u16::MAX) {
            u32::from(u16::MAX)
        } else {
            u32::MAX
        };
        (Administrator::Asn(asn), limit)
    };
    (local <= limit).then_some((global, local))
}
