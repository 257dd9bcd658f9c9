//! Neighbor Solicitation and Advertisement (RFC 4861 sections 4.3 and 4.4), as whole Ethernet frames.

use std::net::Ipv6Addr;

use crate::ethernet::{ETHERTYPE_IPV6, Header, Mac};
use crate::reader::{ParseError, Reader};

/// IPv6 next-header number of ICMPv6 (RFC 4443).
pub(crate) const NEXT_HEADER_ICMPV6: u8 = 58;
/// The only hop limit a neighbor discovery message may arrive with: it proves that no router forwarded it.
pub(crate) const HOP_LIMIT: u8 = 255;
/// ICMPv6 type of a Neighbor Solicitation.
pub(crate) const SOLICITATION: u8 = 135;
/// ICMPv6 type of a Neighbor Advertisement.
const ADVERTISEMENT: u8 = 136;
const OPTION_SOURCE_LINK_LAYER: u8 = 1;
const OPTION_TARGET_LINK_LAYER: u8 = 2;
const FLAG_ROUTER: u8 = 0x80;
const FLAG_SOLICITED: u8 = 0x40;
const FLAG_OVERRIDE: u8 = 0x20;

/// All nodes on the link (RFC 4291 section 2.7.1).
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The solicited-node multicast group of an address (RFC 4291 section 2.7.1). Addresses with the same low 24
/// bits share one.
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// A Neighbor Solicitation: "what is the link-layer address of `target`?"
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solicitation {
    /// Ethernet destination.
    pub ethernet_destination: Mac,
    /// Ethernet source.
    pub ethernet_source: Mac,
    /// Who asks; unspecified during duplicate address detection.
    pub source: Ipv6Addr,
    /// A solicited-node group when resolving, the address itself when probing reachability.
    pub destination: Ipv6Addr,
    /// The address that is being resolved.
    pub target: Ipv6Addr,
    /// The source link-layer address option.
    pub source_link_layer: Option<Mac>,
}

impl Solicitation {
    /// Reads an Ethernet frame and checks it as RFC 4861 section 7.1.1 demands.
    ///
    /// # Errors
    /// When the frame is cut off, is something else, or breaks one of those rules.
    pub fn parse(frame: &[u8]) -> Result<Self, ParseError> {
        let message = Message::parse(frame, SOLICITATION)?;
        if message.source.is_unspecified() {
            if message.destination != solicited_node(message.target) {
                return Err(ParseError::Invalid(
                    "solicitation without source, not to the solicited-node group",
                ));
            }
            if message.option(OPTION_SOURCE_LINK_LAYER).is_some() {
                return Err(ParseError::Invalid(
                    "solicitation without source names a link-layer address",
                ));
            }
        }
        Ok(Self {
            ethernet_destination: message.ethernet.destination,
            ethernet_source: message.ethernet.source,
            source: message.source,
            destination: message.destination,
            target: message.target,
            source_link_layer: message.option(OPTION_SOURCE_LINK_LAYER),
        })
    }

    /// The multicast question for `target` as `source` at `mac` asks it.
    pub fn multicast(mac: Mac, source: Ipv6Addr, target: Ipv6Addr) -> Self {
        let destination = solicited_node(target);
        Self {
            ethernet_destination: Mac::of_multicast(destination),
            ethernet_source: mac,
            source,
            destination,
            target,
            source_link_layer: Some(mac),
        }
    }

    /// Writes the frame, checksum included.
    pub fn to_bytes(&self) -> Vec<u8> {
        Envelope {
            ethernet_destination: self.ethernet_destination,
            ethernet_source: self.ethernet_source,
            source: self.source,
            destination: self.destination,
        }
        .write(
            SOLICITATION,
            0,
            self.target,
            self.source_link_layer.map(|mac| (OPTION_SOURCE_LINK_LAYER, mac)),
        )
    }

    /// Where an answer goes on Ethernet, or `None` if this solicitation must not be answered.
    ///
    /// A multicast question must carry the option that says where (RFC 4861 section 4.3); without it there is
    /// nobody to answer, which covers duplicate address detection too. A unicast probe may omit it: whoever
    /// sends one has just used our link-layer address, and its own is in the Ethernet header.
    pub fn answer_to(&self) -> Option<Mac> {
        if self.source.is_unspecified() {
            return None;
        }
        match self.source_link_layer {
            None if self.destination.is_multicast() => None,
            None => Some(self.ethernet_source),
            mac => mac,
        }
        .filter(|mac| !mac.is_group())
    }
}

/// A Neighbor Advertisement: "`target` is at `target_link_layer`."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// Ethernet destination.
    pub ethernet_destination: Mac,
    /// Ethernet source.
    pub ethernet_source: Mac,
    /// Who speaks; a link-local address of the sending interface.
    pub source: Ipv6Addr,
    /// Who asked, or all nodes.
    pub destination: Ipv6Addr,
    /// The R flag: the sender is a router.
    pub router: bool,
    /// The S flag: this answers a solicitation.
    pub solicited: bool,
    /// The O flag: receivers shall replace a link-layer address they know.
    pub override_known: bool,
    /// The address being spoken of.
    pub target: Ipv6Addr,
    /// The target link-layer address option.
    pub target_link_layer: Option<Mac>,
}

impl Advertisement {
    /// The answer to a solicitation: its target is at `mac`, said from the link-local address `source`.
    /// `None` when the solicitation must not be answered, see [`Solicitation::answer_to`].
    pub fn reply(solicitation: &Solicitation, mac: Mac, source: Ipv6Addr) -> Option<Self> {
        Some(Self {
            ethernet_destination: solicitation.answer_to()?,
            ethernet_source: mac,
            source,
            destination: solicitation.source,
            router: false,
            solicited: true,
            override_known: false,
            target: solicitation.target,
            target_link_layer: Some(mac),
        })
    }

    /// Tells all nodes of the link, unasked, that `target` is at `mac` now (RFC 4861 section 7.2.6).
    pub fn unsolicited(mac: Mac, source: Ipv6Addr, target: Ipv6Addr) -> Self {
        Self {
            ethernet_destination: Mac::of_multicast(ALL_NODES),
            ethernet_source: mac,
            source,
            destination: ALL_NODES,
            router: false,
            solicited: false,
            override_known: true,
            target,
            target_link_layer: Some(mac),
        }
    }

    /// Reads an Ethernet frame and checks it as RFC 4861 section 7.1.2 demands.
    ///
    /// # Errors
    /// When the frame is cut off, is something else, or breaks one of those rules.
    pub fn parse(frame: &[u8]) -> Result<Self, ParseError> {
        let message = Message::parse(frame, ADVERTISEMENT)?;
        let solicited = message.flags & FLAG_SOLICITED != 0;
        if solicited && message.destination.is_multicast() {
            return Err(ParseError::Invalid(
                "solicited advertisement to a multicast group",
            ));
        }
        Ok(Self {
            ethernet_destination: message.ethernet.destination,
            ethernet_source: message.ethernet.source,
            source: message.source,
            destination: message.destination,
            router: message.flags & FLAG_ROUTER != 0,
            solicited,
            override_known: message.flags & FLAG_OVERRIDE != 0,
            target: message.target,
            target_link_layer: message.option(OPTION_TARGET_LINK_LAYER),
        })
    }

    /// Writes the frame, checksum included.
    pub fn to_bytes(&self) -> Vec<u8> {
        let flag = |set, bit| if set { bit } else { 0 };
        let flags = flag(self.router, FLAG_ROUTER)
            | flag(self.solicited, FLAG_SOLICITED)
            | flag(self.override_known, FLAG_OVERRIDE);
        Envelope {
            ethernet_destination: self.ethernet_destination,
            ethernet_source: self.ethernet_source,
            source: self.source,
            destination: self.destination,
        }
        .write(
            ADVERTISEMENT,
            flags,
            self.target,
            self.target_link_layer.map(|mac| (OPTION_TARGET_LINK_LAYER, mac)),
        )
    }
}

/// What solicitations and advertisements have in common, once checked.
struct Message<'a> {
    ethernet: Header,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    flags: u8,
    target: Ipv6Addr,
    options: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads Ethernet, IPv6 and ICMPv6 headers. Extension headers do not occur in neighbor discovery between
    /// hosts of one link and are not looked through.
    fn parse(frame: &'a [u8], icmp_type: u8) -> Result<Self, ParseError> {
        let mut reader = Reader::new(frame, "IPv6 header");
        let ethernet = Header::read(&mut reader, ETHERTYPE_IPV6)?;
        let [version, ..] = reader.array::<4>()?;
        if version >> 4 != 6 {
            return Err(ParseError::Field {
                field: "IP version",
                found: (version >> 4).into(),
            });
        }
        let length = reader.u16()?;
        reader.expect_u8("next header", NEXT_HEADER_ICMPV6)?;
        reader.expect_u8("hop limit", HOP_LIMIT)?;
        let source = Ipv6Addr::from(reader.array::<16>()?);
        let destination = Ipv6Addr::from(reader.array::<16>()?);
        let payload = reader.slice(length.into())?;
        if checksum(source, destination, payload) != 0 {
            return Err(ParseError::Checksum);
        }

        let mut reader = Reader::new(payload, "neighbor discovery message");
        reader.expect_u8("ICMPv6 type", icmp_type)?;
        reader.expect_u8("ICMPv6 code", 0)?;
        reader.array::<2>()?; // the checksum, verified above
        let [flags, ..] = reader.array::<4>()?;
        let target = Ipv6Addr::from(reader.array::<16>()?);
        if target.is_multicast() {
            return Err(ParseError::Invalid("target is a multicast address"));
        }
        let options = reader.rest();
        check_options(options)?;
        Ok(Self {
            ethernet,
            source,
            destination,
            flags,
            target,
            options,
        })
    }

    /// The link-layer address in the first option of this kind.
    fn option(&self, kind: u8) -> Option<Mac> {
        let mut reader = Reader::new(self.options, "option");
        while let Ok([found, units]) = reader.array::<2>() {
            let body = reader.slice((usize::from(units) * 8).checked_sub(2)?).ok()?;
            if found == kind {
                return body.first_chunk::<6>().map(|mac| Mac(*mac));
            }
        }
        None
    }
}

/// Every option must have a length and fit (RFC 4861 section 4.6): one of length zero would never end.
fn check_options(options: &[u8]) -> Result<(), ParseError> {
    let mut reader = Reader::new(options, "option");
    while !reader.rest().is_empty() {
        let [_, units] = reader.array::<2>()?;
        let body = (usize::from(units) * 8)
            .checked_sub(2)
            .ok_or(ParseError::Invalid("option of length zero"))?;
        reader.slice(body)?;
    }
    Ok(())
}

/// The addresses around a neighbor discovery message.
struct Envelope {
    ethernet_destination: Mac,
    ethernet_source: Mac,
    source: Ipv6Addr,
    destination: Ipv6Addr,
}

impl Envelope {
    fn write(&self, icmp_type: u8, flags: u8, target: Ipv6Addr, option: Option<(u8, Mac)>) -> Vec<u8> {
        let mut payload = vec![icmp_type, 0, 0, 0, flags, 0, 0, 0];
        payload.extend_from_slice(&target.octets());
        if let Some((kind, mac)) = option {
            payload.extend_from_slice(&[kind, 1]);
            payload.extend_from_slice(&mac.0);
        }
        let sum = checksum(self.source, self.destination, &payload).to_be_bytes();
        payload[2..4].copy_from_slice(&sum);

        let mut frame = Vec::with_capacity(14 + 40 + payload.len());
        Header {
            destination: self.ethernet_destination,
            source: self.ethernet_source,
            ethertype: ETHERTYPE_IPV6,
        }
        .write(&mut frame);
        frame.extend_from_slice(&[0x60, 0, 0, 0]);
        let length = u16::try_from(payload.len()).expect("a message with one option is 32 bytes");
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&[NEXT_HEADER_ICMPV6, HOP_LIMIT]);
        frame.extend_from_slice(&self.source.octets());
        frame.extend_from_slice(&self.destination.octets());
        frame.extend_from_slice(&payload);
        frame
    }
}

/// The ICMPv6 checksum over pseudo-header and message (RFC 4443 section 2.3). Over a message that already
/// carries its right checksum it is zero.
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, payload: &[u8]) -> u16 {
    let words = |bytes: &[u8]| -> u32 {
        bytes
            .chunks(2)
            .map(|pair| {
                let high = u32::from(pair.first().copied().unwrap_or(0)) << 8;
                high | u32::from(pair.get(1).copied().unwrap_or(0))
            })
            .sum()
    };
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut sum = words(&source.octets())
        + words(&destination.octets())
        + words(&length.to_be_bytes())
        + u32::from(NEXT_HEADER_ICMPV6)
        + words(payload);
    while let carry @ 1.. = sum >> 16 {
        sum = (sum & 0xffff) + carry;
    }
    !u16::try_from(sum).expect("the carries were folded in")
}

#[cfg(test)]
mod tests;
