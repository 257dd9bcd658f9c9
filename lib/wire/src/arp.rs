//! ARP for IPv4 over Ethernet (RFC 826), as whole frames.

use std::net::Ipv4Addr;

use crate::ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV4, HEADER_LENGTH, Header, MINIMUM_FRAME, Mac};
use crate::reader::{ParseError, Reader};

/// Hardware type of Ethernet (RFC 826).
const HARDWARE_ETHERNET: u16 = 1;

/// What an ARP packet asks or says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// "Who has the target address?"
    Request,
    /// "The sender address is at the sender hardware address."
    Reply,
}

/// An ARP packet together with the Ethernet addresses of its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArpFrame {
    /// Ethernet destination.
    pub destination: Mac,
    /// Ethernet source; may differ from `sender_mac` behind a proxy.
    pub source: Mac,
    /// Request or reply.
    pub operation: Operation,
    /// Hardware address of who speaks.
    pub sender_mac: Mac,
    /// Protocol address of who speaks; 0.0.0.0 in an address probe (RFC 5227).
    pub sender_ip: Ipv4Addr,
    /// Hardware address of who is spoken to; meaningless in a request.
    pub target_mac: Mac,
    /// In a request, the address that is being resolved.
    pub target_ip: Ipv4Addr,
}

impl ArpFrame {
    /// Reads an Ethernet frame.
    ///
    /// # Errors
    /// When it is cut off, is not ARP for IPv4 over Ethernet, or is neither request nor reply.
    pub fn parse(frame: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(frame, "ARP packet");
        let header = Header::read(&mut reader, ETHERTYPE_ARP)?;
        reader.expect_u16("hardware type", HARDWARE_ETHERNET)?;
        reader.expect_u16("protocol type", ETHERTYPE_IPV4)?;
        reader.expect_u8("hardware address length", 6)?;
        reader.expect_u8("protocol address length", 4)?;
        let operation = match reader.u16()? {
            1 => Operation::Request,
            2 => Operation::Reply,
            found => {
                return Err(ParseError::Field {
                    field: "operation",
                    found: found.into(),
                });
            }
        };
        Ok(Self {
            destination: header.destination,
            source: header.source,
            operation,
            sender_mac: Mac(reader.array()?),
            sender_ip: Ipv4Addr::from(reader.array::<4>()?),
            target_mac: Mac(reader.array()?),
            target_ip: Ipv4Addr::from(reader.array::<4>()?),
        })
    }

    /// Writes the frame, padded with zeros to the shortest frame Ethernet allows.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(MINIMUM_FRAME);
        Header {
            destination: self.destination,
            source: self.source,
            ethertype: ETHERTYPE_ARP,
        }
        .write(&mut frame);
        debug_assert_eq!(frame.len(), HEADER_LENGTH);
        frame.extend_from_slice(&HARDWARE_ETHERNET.to_be_bytes());
        frame.extend_from_slice(&ETHERTYPE_IPV4.to_be_bytes());
        frame.extend_from_slice(&[6, 4]);
        let operation: u16 = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        frame.extend_from_slice(&operation.to_be_bytes());
        frame.extend_from_slice(&self.sender_mac.0);
        frame.extend_from_slice(&self.sender_ip.octets());
        frame.extend_from_slice(&self.target_mac.0);
        frame.extend_from_slice(&self.target_ip.octets());
        frame.resize(MINIMUM_FRAME, 0);
        frame
    }

    /// The answer to this request: the requested address is at `mac`.
    ///
    /// It goes to the sender named inside the packet, not to the Ethernet source, so that a request relayed
    /// by another station is still answered to who asked.
    pub fn reply(&self, mac: Mac) -> Self {
        Self {
            destination: self.sender_mac,
            source: mac,
            operation: Operation::Reply,
            sender_mac: mac,
            sender_ip: self.target_ip,
            target_mac: self.sender_mac,
            target_ip: self.sender_ip,
        }
    }

    /// The question "who has `target`?", broadcast by a station.
    pub fn request(mac: Mac, ip: Ipv4Addr, target: Ipv4Addr) -> Self {
        Self {
            destination: Mac::BROADCAST,
            source: mac,
            operation: Operation::Request,
            sender_mac: mac,
            sender_ip: ip,
            target_mac: Mac::ZERO,
            target_ip: target,
        }
    }

    /// Unasked broadcasts that tell the segment `ip` is at `mac` now: a request and a reply, because some
    /// stacks take over an address only from the one form and some only from the other (RFC 5227 section 3).
    pub fn gratuitous(mac: Mac, ip: Ipv4Addr) -> [Self; 2] {
        [Operation::Request, Operation::Reply].map(|operation| Self {
            destination: Mac::BROADCAST,
            source: mac,
            operation,
            sender_mac: mac,
            sender_ip: ip,
            target_mac: Mac::BROADCAST,
            target_ip: ip,
        })
    }
}

#[cfg(test)]
mod tests;
