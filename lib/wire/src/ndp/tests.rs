use std::net::Ipv6Addr;

use etherparse::{Icmpv6Type, NetSlice, SlicedPacket, TransportSlice};
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use rstest::rstest;

use super::{ALL_NODES, Advertisement, Solicitation, checksum, solicited_node};
use crate::{Mac, ParseError};

const ASKER: Mac = Mac([2, 0, 0, 0, 0, 1]);
const ME: Mac = Mac([2, 0, 0, 0, 0, 9]);

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn question() -> Solicitation {
    Solicitation::multicast(ASKER, ip("fe80::1"), ip("2001:db8::10"))
}

/// Sets one byte of the ICMPv6 message and makes the checksum right again, so that only the rule under test
/// can refuse the frame.
fn altered(frame: &[u8], offset: usize, value: u8) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[offset] = value;
    frame[56..58].fill(0);
    let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&frame[at..at + 16]).unwrap());
    let sum = checksum(address(22), address(38), &frame[54..]);
    frame[56..58].copy_from_slice(&sum.to_be_bytes());
    frame
}

fn addresses() -> impl Strategy<Value = Ipv6Addr> {
    any::<[u8; 16]>()
        .prop_map(Ipv6Addr::from)
        .prop_filter("unicast", |a| !a.is_multicast() && !a.is_unspecified())
}

fn macs() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_map(Mac)
}

fn advertisements() -> impl Strategy<Value = Advertisement> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (
        macs(),
        macs(),
        addresses(),
        addresses(),
        flags,
        addresses(),
        proptest::option::of(macs()),
    )
        .prop_map(
            |(
                ethernet_destination,
                ethernet_source,
                source,
                destination,
                flags,
                target,
                target_link_layer,
            )| {
                Advertisement {
                    ethernet_destination,
                    ethernet_source,
                    source,
                    destination,
                    router: flags.0,
                    solicited: flags.1,
                    override_known: flags.2,
                    target,
                    target_link_layer,
                }
            },
        )
}

#[rstest]
#[case("2001:db8::10", "ff02::1:ff00:10", [0x33, 0x33, 0xff, 0, 0, 0x10])]
#[case("fe80::aabb:ccff:fedd:eeff", "ff02::1:ffdd:eeff", [0x33, 0x33, 0xff, 0xdd, 0xee, 0xff])]
fn solicited_node_groups(#[case] address: &str, #[case] group: &str, #[case] mac: [u8; 6]) {
    assert_eq!(solicited_node(ip(address)), ip(group));
    assert_eq!(Mac::of_multicast(ip(group)), Mac(mac));
}

#[test]
fn a_multicast_question_is_answered_to_the_asker() {
    let question = Solicitation::parse(&question().to_bytes()).unwrap();
    assert_eq!(question.destination, ip("ff02::1:ff00:10"));
    let answer = Advertisement::reply(&question, ME, ip("fe80::9")).unwrap();
    assert_eq!(Advertisement::parse(&answer.to_bytes()), Ok(answer));
    assert_eq!(
        (answer.ethernet_destination, answer.destination),
        (ASKER, ip("fe80::1"))
    );
    assert_eq!(
        (answer.source, answer.target),
        (ip("fe80::9"), ip("2001:db8::10"))
    );
    assert_eq!(answer.target_link_layer, Some(ME));
    assert_eq!(
        (answer.router, answer.solicited, answer.override_known),
        (false, true, false)
    );
}

#[test]
fn unsolicited_goes_to_all_nodes_and_overrides() {
    let said = Advertisement::unsolicited(ME, ip("fe80::9"), ip("2001:db8::10"));
    assert_eq!(Advertisement::parse(&said.to_bytes()), Ok(said));
    assert_eq!(
        (said.destination, said.ethernet_destination),
        (ALL_NODES, Mac([0x33, 0x33, 0, 0, 0, 1]))
    );
    assert_eq!(
        (said.router, said.solicited, said.override_known),
        (false, false, true)
    );
}

#[rstest]
#[case::no_option_multicast(Solicitation { source_link_layer: None, ..question() }, None)]
#[case::no_option_unicast(
    Solicitation { source_link_layer: None, destination: ip("2001:db8::10"), ..question() },
    Some(ASKER)
)]
#[case::group_address_as_station(Solicitation { source_link_layer: Some(Mac::BROADCAST), ..question() }, None)]
#[case::option_wins_over_ethernet(
    Solicitation { ethernet_source: Mac([2, 0, 0, 0, 0, 7]), ..question() },
    Some(ASKER)
)]
#[case::duplicate_address_detection(
    Solicitation { source: Ipv6Addr::UNSPECIFIED, source_link_layer: None, ..question() },
    None
)]
fn who_is_answered(#[case] question: Solicitation, #[case] expected: Option<Mac>) {
    let question = Solicitation::parse(&question.to_bytes()).unwrap();
    let answer = Advertisement::reply(&question, ME, ip("fe80::9"));
    assert_eq!(answer.map(|answer| answer.ethernet_destination), expected);
}

#[rstest]
#[case::forwarded_by_a_router(21, 64, ParseError::Field { field: "hop limit", found: 64 })]
#[case::tcp(20, 6, ParseError::Field { field: "next header", found: 6 })]
#[case::ipv4(14, 0x45, ParseError::Field { field: "IP version", found: 4 })]
#[case::arp(13, 0x06, ParseError::Field { field: "ethertype", found: 0x8606 })]
#[case::router_solicitation(54, 133, ParseError::Field { field: "ICMPv6 type", found: 133 })]
#[case::echo(54, 128, ParseError::Field { field: "ICMPv6 type", found: 128 })]
#[case::code(55, 1, ParseError::Field { field: "ICMPv6 code", found: 1 })]
#[case::multicast_target(62, 0xff, ParseError::Invalid("target is a multicast address"))]
#[case::endless_option(79, 0, ParseError::Invalid("option of length zero"))]
#[case::overlong_option(79, 2, ParseError::Truncated("option"))]
fn bad_solicitations_are_refused(#[case] offset: usize, #[case] value: u8, #[case] error: ParseError) {
    assert_eq!(
        Solicitation::parse(&altered(&question().to_bytes(), offset, value)),
        Err(error)
    );
}

#[test]
fn a_source_option_without_a_source_is_refused() {
    let spoof = Solicitation {
        source: Ipv6Addr::UNSPECIFIED,
        ..question()
    };
    assert!(matches!(
        Solicitation::parse(&spoof.to_bytes()),
        Err(ParseError::Invalid(_))
    ));
}

#[test]
fn unknown_options_are_skipped() {
    let mut frame = question().to_bytes();
    let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
    frame.splice(78..78, nonce);
    frame[19] += 8;
    let frame = altered(&frame, 54, super::SOLICITATION);
    assert_eq!(Solicitation::parse(&frame), Ok(question()));
}

#[test]
fn padding_after_the_packet_is_ignored() {
    let mut frame = question().to_bytes();
    frame.extend_from_slice(&[0xaa; 10]);
    assert_eq!(Solicitation::parse(&frame), Ok(question()));
}

proptest! {
    #[test]
    fn advertisements_are_read_back(frame in advertisements()) {
        prop_assert_eq!(Advertisement::parse(&frame.to_bytes()), Ok(frame));
    }

    #[test]
    fn solicitations_are_read_back(mac in macs(), source in addresses(), target in addresses()) {
        let frame = Solicitation::multicast(mac, source, target);
        prop_assert_eq!(Solicitation::parse(&frame.to_bytes()), Ok(frame));
    }

    #[test]
    fn an_independent_parser_agrees(frame in advertisements()) {
        let bytes = frame.to_bytes();
        let packet = SlicedPacket::from_ethernet(&bytes).unwrap();
        let Some(NetSlice::Ipv6(ipv6)) = packet.net else { panic!("no IPv6 header") };
        let header = ipv6.header();
        prop_assert_eq!((header.source_addr(), header.destination_addr()), (frame.source, frame.destination));
        prop_assert_eq!(header.hop_limit(), 255);
        let Some(TransportSlice::Icmpv6(icmp)) = packet.transport else { panic!("no ICMPv6 message") };
        prop_assert!(icmp.is_checksum_valid(header.source(), header.destination()));
        let Icmpv6Type::NeighborAdvertisement(said) = icmp.icmp_type() else { panic!("not an advertisement") };
        prop_assert_eq!(
            (said.router, said.solicited, said.r#override),
            (frame.router, frame.solicited, frame.override_known)
        );
        prop_assert_eq!(&icmp.payload()[..16], &frame.target.octets());
    }

    #[test]
    fn a_flipped_bit_is_noticed(frame in advertisements(), bit in 0usize..24 * 8) {
        let mut bytes = frame.to_bytes();
        bytes[54 + bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(Advertisement::parse(&bytes), Err(ParseError::Checksum));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = (Solicitation::parse(&bytes), Advertisement::parse(&bytes));
    }

    #[test]
    fn arbitrary_messages_never_panic(offset in 54usize..86, value in any::<u8>()) {
        let _ = Solicitation::parse(&altered(&question().to_bytes(), offset, value));
    }
}
