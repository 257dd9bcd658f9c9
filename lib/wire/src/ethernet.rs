//! Ethernet addresses and the header of an untagged Ethernet II frame.

use std::fmt;
use std::net::Ipv6Addr;

use crate::reader::{ParseError, Reader};

/// EtherType of ARP (RFC 826).
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// EtherType of IPv6 (RFC 2464 section 3).
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// EtherType of IPv4 (RFC 894), also ARP's protocol type for it.
pub const ETHERTYPE_IPV4: u16 = 0x0800;

/// Length of an Ethernet II header in bytes.
pub(crate) const HEADER_LENGTH: usize = 14;
/// Shortest frame a sender may put on the wire, without the frame check sequence (IEEE 802.3).
pub(crate) const MINIMUM_FRAME: usize = 60;

/// A 48-bit hardware address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All stations on the segment.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// Not an address; what an ARP request carries where the answer belongs.
    pub const ZERO: Self = Self([0; 6]);

    /// The group address frames to an IPv6 multicast address are sent to (RFC 2464 section 7).
    pub fn of_multicast(group: Ipv6Addr) -> Self {
        let [.., a, b, c, d] = group.octets();
        Self([0x33, 0x33, a, b, c, d])
    }

    /// Whether this is a group address (broadcast included), which no single station may own.
    pub fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The header of an untagged Ethernet II frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) destination: Mac,
    pub(crate) source: Mac,
    pub(crate) ethertype: u16,
}

impl Header {
    /// Reads a header and checks that the frame carries `ethertype`.
    pub(crate) fn read(reader: &mut Reader<'_>, ethertype: u16) -> Result<Self, ParseError> {
        let destination = Mac(reader.array()?);
        let source = Mac(reader.array()?);
        reader.expect_u16("ethertype", ethertype)?;
        Ok(Self {
            destination,
            source,
            ethertype,
        })
    }

    /// Appends the 14 bytes of the header.
    pub(crate) fn write(&self, frame: &mut Vec<u8>) {
        frame.extend_from_slice(&self.destination.0);
        frame.extend_from_slice(&self.source.0);
        frame.extend_from_slice(&self.ethertype.to_be_bytes());
    }
}
