//! The few rtnetlink messages needed to list interfaces (rtnetlink(7)).
//!
//! Netlink speaks of the network namespace of the socket, needs no mounted sysfs, and announces changes on
//! the same kind of socket. All numbers are in the byte order of the machine.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use crate::ethernet::Mac;
use crate::interface::Interface;
use crate::reader::{ParseError, Reader};

/// Multicast groups (linux/rtnetlink.h): changes of links and of IPv6 addresses.
pub(crate) const CHANGE_GROUPS: u32 = 0x1 | 0x100;

const DONE: u16 = 3;
const ERROR: u16 = 2;
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const FLAG_REQUEST_DUMP: u16 = 0x1 | 0x300;
const FLAG_DUMP_INTERRUPTED: u16 = 0x10;

const AF_INET6: u8 = 10;
const IFF_UP: u32 = 0x1;
const IFF_BROADCAST: u32 = 0x2;
const IFF_RUNNING: u32 = 0x40;
const IFF_NOARP: u32 = 0x80;
const IFF_SLAVE: u32 = 0x800;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFA_ADDRESS: u16 = 1;
const IFA_FLAGS: u16 = 8;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_TENTATIVE: u32 = 0x40;
const IFA_F_OPTIMISTIC: u32 = 0x04;
/// The top bits of an attribute type are flags of nesting and byte order.
const ATTRIBUTE_TYPE: u16 = 0x3fff;

/// What a dump is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dump {
    Links,
    Ipv6Addresses,
}

impl Dump {
    /// The request datagram.
    pub(crate) fn request(self) -> Vec<u8> {
        let (kind, body): (u16, Vec<u8>) = match self {
            // RTM_GETLINK with an empty ifinfomsg, RTM_GETADDR with an ifaddrmsg naming the family.
            Self::Links => (18, vec![0; 16]),
            Self::Ipv6Addresses => (22, vec![AF_INET6, 0, 0, 0, 0, 0, 0, 0]),
        };
        let mut bytes = Vec::with_capacity(16 + body.len());
        let length = u32::try_from(16 + body.len()).expect("a request is 32 bytes at most");
        bytes.extend_from_slice(&length.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&FLAG_REQUEST_DUMP.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]); // sequence number and sender, not used
        bytes.extend_from_slice(&body);
        bytes
    }
}

/// How far a dump has come after a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More datagrams follow.
    More,
    /// That was all of it.
    Complete,
    /// The list changed while the kernel was writing it; ask again.
    Interrupted,
    /// The kernel refused, with this error number.
    Refused(i32),
}

/// Collects what the datagrams of link and address dumps say.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    links: BTreeMap<u32, Interface>,
    link_local: BTreeMap<u32, Ipv6Addr>,
    interrupted: bool,
}

impl Listing {
    /// Takes in one datagram.
    pub(crate) fn take(&mut self, datagram: &[u8]) -> Result<Progress, ParseError> {
        let mut reader = Reader::new(datagram, "netlink message");
        while !reader.rest().is_empty() {
            let length = u32::from_ne_bytes(reader.array()?);
            let kind = u16::from_ne_bytes(reader.array()?);
            let flags = u16::from_ne_bytes(reader.array()?);
            reader.array::<8>()?;
            let body = usize::try_from(length)
                .ok()
                .and_then(|length| length.checked_sub(16));
            let body = body.ok_or(ParseError::Invalid("netlink message shorter than its header"))?;
            let payload = reader.slice(body)?;
            skip_padding(&mut reader, body);
            self.interrupted |= flags & FLAG_DUMP_INTERRUPTED != 0;
            match kind {
                DONE if self.interrupted => return Ok(Progress::Interrupted),
                DONE => return Ok(Progress::Complete),
                ERROR => {
                    let code = Reader::new(payload, "netlink error")
                        .array()
                        .map(i32::from_ne_bytes)?;
                    return Ok(Progress::Refused(code.saturating_neg()));
                }
                NEW_LINK => self.link(payload)?,
                NEW_ADDRESS => self.address(payload)?,
                _ => {}
            }
        }
        Ok(Progress::More)
    }

    /// The interfaces, ordered by index.
    pub(crate) fn into_interfaces(self) -> Vec<Interface> {
        let Self {
            links, link_local, ..
        } = self;
        links
            .into_values()
            .map(|link| Interface {
                link_local: link_local.get(&link.index).copied(),
                ..link
            })
            .collect()
    }

    /// An `ifinfomsg` and its attributes.
    fn link(&mut self, payload: &[u8]) -> Result<(), ParseError> {
        let mut reader = Reader::new(payload, "link message");
        reader.array::<4>()?;
        let index = u32::from_ne_bytes(reader.array()?);
        let flags = u32::from_ne_bytes(reader.array()?);
        reader.array::<4>()?;
        let mut link = Interface {
            index,
            name: String::new(),
            mac: None,
            up: flags & IFF_UP != 0,
            running: flags & IFF_RUNNING != 0,
            broadcast: flags & IFF_BROADCAST != 0,
            no_arp: flags & IFF_NOARP != 0,
            // A bond tells its ports by a flag as well; the attribute below names the bond.
            master: (flags & IFF_SLAVE != 0).then_some(0),
            link_local: None,
        };
        each_attribute(reader, |kind, value| match kind {
            IFLA_IFNAME => {
                let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
                link.name = String::from_utf8_lossy(name).into_owned();
            }
            IFLA_ADDRESS => link.mac = value.try_into().ok().map(Mac),
            IFLA_MASTER => link.master = value.try_into().ok().map(u32::from_ne_bytes),
            _ => {}
        })?;
        self.links.insert(index, link);
        Ok(())
    }

    /// An `ifaddrmsg` and its attributes; only the first usable link-local address of a link is kept.
    fn address(&mut self, payload: &[u8]) -> Result<(), ParseError> {
        let mut reader = Reader::new(payload, "address message");
        let [family, _, short_flags, _] = reader.array::<4>()?;
        let index = u32::from_ne_bytes(reader.array()?);
        let mut flags = u32::from(short_flags);
        let mut address = None;
        each_attribute(reader, |kind, value| match kind {
            IFA_ADDRESS => address = <[u8; 16]>::try_from(value).ok().map(Ipv6Addr::from),
            IFA_FLAGS => flags = value.try_into().map_or(flags, u32::from_ne_bytes),
            _ => {}
        })?;
        let unusable =
            flags & IFA_F_DADFAILED != 0 || (flags & IFA_F_TENTATIVE != 0 && flags & IFA_F_OPTIMISTIC == 0);
        if let Some(address) = address
            && family == AF_INET6
            && address.is_unicast_link_local()
            && !unusable
        {
            self.link_local.entry(index).or_insert(address);
        }
        Ok(())
    }
}

/// Walks `rtattr` structures: a length that includes the four bytes of the header, a type, a value, padding.
fn each_attribute<'a>(
    mut reader: Reader<'a>,
    mut visit: impl FnMut(u16, &'a [u8]),
) -> Result<(), ParseError> {
    while !reader.rest().is_empty() {
        let length = u16::from_ne_bytes(reader.array()?);
        let kind = u16::from_ne_bytes(reader.array()?) & ATTRIBUTE_TYPE;
        let body = usize::from(length)
            .checked_sub(4)
            .ok_or(ParseError::Invalid("netlink attribute shorter than its header"))?;
        let value = reader.slice(body)?;
        skip_padding(&mut reader, body);
        visit(kind, value);
    }
    Ok(())
}

/// Messages and attributes start at multiples of four; the last one need not be padded.
fn skip_padding(reader: &mut Reader<'_>, body: usize) {
    let padding = (4 - body % 4) % 4;
    let _ = reader.slice(padding.min(reader.rest().len()));
}

#[cfg(test)]
mod tests;
