use proptest::prelude::{any, proptest};

use super::{Dump, Listing, Progress};
use crate::{Mac, ParseError};

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&u32::try_from(16 + body.len()).unwrap().to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&u16::try_from(4 + value.len()).unwrap().to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn link(index: u32, flags: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![0; 4];
    body.extend_from_slice(&index.to_ne_bytes());
    body.extend_from_slice(&flags.to_ne_bytes());
    body.extend_from_slice(&[0; 4]);
    body.extend(attributes.concat());
    message(16, 2, &body)
}

fn address(index: u32, flags: u8, text: &str) -> Vec<u8> {
    let mut body = vec![10, 64, flags, 253];
    body.extend_from_slice(&index.to_ne_bytes());
    body.extend(attribute(
        1,
        &text.parse::<std::net::Ipv6Addr>().unwrap().octets(),
    ));
    message(20, 2, &body)
}

#[test]
fn links_and_addresses_are_put_together() {
    let mut listing = Listing::default();
    let mut datagram = link(
        2,
        0x1 | 0x2 | 0x40,
        &[
            attribute(3, b"eth0\0"),
            attribute(1, &[2, 0, 0, 0, 0, 1]),
            attribute(99, b"ignored"),
        ],
    );
    datagram.extend(link(
        3,
        0x2,
        &[attribute(3, b"port\0"), attribute(10, &7u32.to_ne_bytes())],
    ));
    assert_eq!(listing.take(&datagram), Ok(Progress::More));
    assert_eq!(listing.take(&message(3, 2, &[0; 4])), Ok(Progress::Complete));
    listing.take(&address(2, 0, "2001:db8::2")).unwrap();
    listing.take(&address(2, 0x40, "fe80::bad")).unwrap();
    listing.take(&address(2, 0x08, "fe80::bad")).unwrap();
    listing.take(&address(2, 0x80, "fe80::1")).unwrap();
    listing.take(&address(2, 0x80, "fe80::2")).unwrap();

    let interfaces = listing.into_interfaces();
    let [eth0, port] = interfaces.as_slice() else {
        panic!("two links: {interfaces:?}")
    };
    assert_eq!(
        (eth0.index, eth0.name.as_str(), eth0.mac),
        (2, "eth0", Some(Mac([2, 0, 0, 0, 0, 1])))
    );
    assert!(eth0.up && eth0.broadcast && eth0.running && !eth0.no_arp);
    assert_eq!(
        eth0.link_local,
        Some("fe80::1".parse().unwrap()),
        "tentative and duplicate ones do not count"
    );
    assert_eq!(
        (port.name.as_str(), port.master, port.up),
        ("port", Some(7), false)
    );
}

#[test]
fn an_interrupted_dump_says_so() {
    let mut listing = Listing::default();
    listing.take(&message(16, 0x10, &[0; 16])).unwrap();
    assert_eq!(listing.take(&message(3, 2, &[0; 4])), Ok(Progress::Interrupted));
}

#[test]
fn a_refusal_carries_the_error_number() {
    let mut body = (-1i32).to_ne_bytes().to_vec();
    body.extend(Dump::Links.request());
    assert_eq!(
        Listing::default().take(&message(2, 0, &body)),
        Ok(Progress::Refused(1))
    );
}

#[test]
fn a_message_shorter_than_its_header_is_refused() {
    let mut bytes = message(16, 0, &[0; 16]);
    bytes[..4].copy_from_slice(&3u32.to_ne_bytes());
    assert!(matches!(
        Listing::default().take(&bytes),
        Err(ParseError::Invalid(_))
    ));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Listing::default().take(&bytes);
    }

    #[test]
    fn arbitrary_attributes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = Listing::default().take(&message(16, 0, &body));
        let _ = Listing::default().take(&message(20, 0, &body));
    }
}
