//! Ranges of addresses, as users write them in `IPAddressPool.spec.addresses`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv4Subnets, Ipv6Net, Ipv6Subnets};

#[cfg(test)]
mod tests;

/// Address family of a Service, a pool or a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpFamily {
    /// IPv4; sorts before IPv6.
    V4,
    /// IPv6.
    V6,
}

impl IpFamily {
    /// Family of `address`.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The other family.
    pub fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }

    /// The address of this family with the value `bits`; for IPv4 only the low 32 bits count.
    pub fn address(self, bits: u128) -> IpAddr {
        match self {
            #[expect(clippy::cast_possible_truncation, reason = "an IPv4 address has 32 bits")]
            Self::V4 => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
            Self::V6 => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        }
    }
}

impl fmt::Display for IpFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// The value of `address` as an integer, in network byte order.
pub fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Parses an address literal: a dotted quad without leading zeros, or IPv6 text (RFC 4291 section 2.2) without a
/// zone. An IPv4-mapped IPv6 address is the IPv4 address it maps.
pub fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// True for an IPv4 address that ends in .0 or .255, which some old equipment takes for a network or broadcast
/// address whatever the prefix length is. What `spec.avoidBuggyIPs` avoids.
pub fn is_buggy(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if matches!(v4.octets()[3], 0 | 255))
}

/// Addresses `first..=last` of one family; never empty.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpRange {
    first: IpAddr,
    last: IpAddr,
}

/// Why a text is not a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// An entry without a hyphen that is not `address/length`.
    #[error(
        "invalid CIDR \"{0}\": write a prefix such as 192.0.2.0/24 (192.0.2.1/32 for one address) or a range such as \
         192.0.2.10-192.0.2.20"
    )]
    Cidr(String),
    /// The part before the hyphen is not an address.
    #[error("invalid IP range \"{0}\": invalid start IP \"{1}\": write two complete addresses, first-last")]
    Start(String, String),
    /// The part after the hyphen is not an address.
    #[error("invalid IP range \"{0}\": invalid end IP \"{1}\": write two complete addresses, first-last")]
    End(String, String),
    /// The first address is greater than the last one.
    #[error("invalid IP range \"{0}\": start IP is after the end IP: swap them")]
    Reversed(String),
    /// One address is IPv4 and the other IPv6.
    #[error(
        "invalid IP range \"{0}\": start and end are of different IP families: write one range per family"
    )]
    MixedFamilies(String),
}

impl IpRange {
    /// The range `first..=last`; `None` when the families differ or `first` is greater than `last`.
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        (IpFamily::of(first) == IpFamily::of(last) && first <= last).then_some(Self { first, last })
    }

    /// Parses a CIDR or a `first-last` range. Host bits of a CIDR are dropped (`10.0.0.77/24` is `10.0.0.0/24`);
    /// spaces are allowed around the two ends of a range, nowhere else.
    pub fn parse(text: &str) -> Result<Self, RangeError> {
        match text.split_once('-') {
            Some((first, last)) => Self::parse_ends(text, first.trim(), last.trim()),
            None => parse_cidr(text)
                .map(Self::from)
                .ok_or_else(|| RangeError::Cidr(text.to_owned())),
        }
    }

    fn parse_ends(text: &str, first: &str, last: &str) -> Result<Self, RangeError> {
        let start =
            parse_address(first).ok_or_else(|| RangeError::Start(text.to_owned(), first.to_owned()))?;
        let end = parse_address(last).ok_or_else(|| RangeError::End(text.to_owned(), last.to_owned()))?;
        if IpFamily::of(start) != IpFamily::of(end) {
            return Err(RangeError::MixedFamilies(text.to_owned()));
        }
        Self::new(start, end).ok_or_else(|| RangeError::Reversed(text.to_owned()))
    }

    /// Lowest address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// Highest address.
    pub fn last(&self) -> IpAddr {
        self.last
    }

    /// Family of all its addresses.
    pub fn family(&self) -> IpFamily {
        IpFamily::of(self.first)
    }

    /// True when `address` lies in the range. Addresses of the other family never do.
    pub fn contains(&self, address: IpAddr) -> bool {
        // IpAddr sorts all IPv4 addresses before all IPv6 ones, so families need no test of their own.
        self.first <= address && address <= self.last
    }

    /// True when the two ranges have an address in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// The least number of prefixes that cover exactly this range, in ascending order. At most 2 per bit of the
    /// address (62 for IPv4, 254 for IPv6).
    pub fn cidrs(&self) -> Vec<IpNet> {
        match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect()
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Number of addresses, at most `u128::MAX` (reached only by `::/0`, which has one more).
    pub fn count(&self) -> u128 {
        (bits(self.last) - bits(self.first)).saturating_add(1)
    }
}

impl From<IpNet> for IpRange {
    fn from(net: IpNet) -> Self {
        Self {
            first: net.network(),
            last: net.broadcast(),
        }
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cidrs().as_slice() {
            [only] => write!(f, "{only}"),
            _ => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl fmt::Debug for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Parses `address/length` with decimal digits only in the length (leading zeros are accepted, a sign is not). A
/// prefix of IPv4-mapped addresses becomes the IPv4 prefix; one so short that it also holds other addresses is refused.
fn parse_cidr(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length: u8 = length
        .trim_start_matches('0')
        .parse()
        .or_else(|_| {
            // Only zeros were there.
            if length.bytes().all(|byte| byte == b'0') {
                Ok(0)
            } else {
                Err(())
            }
        })
        .ok()?;
    let net = match address.parse::<IpAddr>().ok()? {
        IpAddr::V4(v4) => IpNet::V4(Ipv4Net::new(v4, length).ok()?),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpNet::V4(Ipv4Net::new(v4, length.checked_sub(96)?).ok()?),
            None => IpNet::V6(Ipv6Net::new(v6, length).ok()?),
        },
    };
    Some(net.trunc())
}
