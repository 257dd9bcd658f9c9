use etherparse::{ArpOperation, LinkSlice, NetSlice, SlicedPacket};
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use rstest::rstest;

use super::{ArpFrame, Operation};
use crate::{Mac, ParseError};

const REQUEST: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x06, // Ethernet
    0, 1, 8, 0, 6, 4, 0, 1, // ARP header
    0x02, 0, 0, 0, 0, 0x01, 192, 0, 2, 1, // sender
    0, 0, 0, 0, 0, 0, 192, 0, 2, 10, // target
];

fn frames() -> impl Strategy<Value = ArpFrame> {
    let mac = || any::<[u8; 6]>().prop_map(Mac);
    let ip = || any::<[u8; 4]>().prop_map(Into::into);
    (mac(), mac(), any::<bool>(), mac(), ip(), mac(), ip()).prop_map(
        |(destination, source, request, sender_mac, sender_ip, target_mac, target_ip)| ArpFrame {
            destination,
            source,
            operation: if request {
                Operation::Request
            } else {
                Operation::Reply
            },
            sender_mac,
            sender_ip,
            target_mac,
            target_ip,
        },
    )
}

#[test]
fn a_captured_request_is_read_and_answered() {
    let request = ArpFrame::parse(&REQUEST).unwrap();
    let asker = Mac([2, 0, 0, 0, 0, 1]);
    assert_eq!(
        request,
        ArpFrame::request(asker, [192, 0, 2, 1].into(), [192, 0, 2, 10].into())
    );

    let me = Mac([2, 0, 0, 0, 0, 9]);
    let bytes = request.reply(me).to_bytes();
    assert_eq!(bytes.len(), 60);
    assert_eq!(
        bytes[..42],
        [
            2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 6, // back to the asker, from me
            0, 1, 8, 0, 6, 4, 0, 2, // a reply
            2, 0, 0, 0, 0, 9, 192, 0, 2, 10, // the address is at my hardware address
            2, 0, 0, 0, 0, 1, 192, 0, 2, 1,
        ]
    );
    assert!(
        bytes[42..].iter().all(|byte| *byte == 0),
        "padding must not leak memory"
    );
}

#[test]
fn the_answer_goes_to_the_sender_inside_the_packet() {
    let mut request = ArpFrame::parse(&REQUEST).unwrap();
    request.source = Mac([2, 0, 0, 0, 0, 7]);
    assert_eq!(
        request.reply(Mac([2, 0, 0, 0, 0, 9])).destination,
        request.sender_mac
    );
}

#[test]
fn gratuitous_is_one_request_and_one_reply_to_everybody() {
    let mac = Mac([2, 0, 0, 0, 0, 9]);
    let [first, second] = ArpFrame::gratuitous(mac, [192, 0, 2, 10].into());
    assert_eq!(
        (first.operation, second.operation),
        (Operation::Request, Operation::Reply)
    );
    for frame in [first, second] {
        assert_eq!(frame.destination, Mac::BROADCAST);
        assert_eq!((frame.source, frame.sender_mac), (mac, mac));
        assert_eq!(frame.target_mac, Mac::BROADCAST);
        assert_eq!(frame.sender_ip, frame.target_ip);
    }
}

#[rstest]
#[case::ipv4_frame(12, 0x08, 13, 0x00, ParseError::Field { field: "ethertype", found: 0x0800 })]
#[case::token_ring(14, 0x00, 15, 0x06, ParseError::Field { field: "hardware type", found: 6 })]
#[case::long_mac(18, 8, 18, 8, ParseError::Field { field: "hardware address length", found: 8 })]
#[case::ipv6_in_arp(19, 16, 19, 16, ParseError::Field { field: "protocol address length", found: 16 })]
#[case::reverse_arp(20, 0, 21, 3, ParseError::Field { field: "operation", found: 3 })]
fn other_packets_are_refused(
    #[case] first: usize,
    #[case] a: u8,
    #[case] second: usize,
    #[case] b: u8,
    #[case] error: ParseError,
) {
    let mut frame = REQUEST;
    frame[first] = a;
    frame[second] = b;
    assert_eq!(ArpFrame::parse(&frame), Err(error));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(frame in frames()) {
        prop_assert_eq!(ArpFrame::parse(&frame.to_bytes()), Ok(frame));
    }

    #[test]
    fn an_independent_parser_agrees(frame in frames()) {
        let bytes = frame.to_bytes();
        let packet = SlicedPacket::from_ethernet(&bytes).unwrap();
        let Some(LinkSlice::Ethernet2(link)) = packet.link else { panic!("no Ethernet header") };
        prop_assert_eq!((link.destination(), link.source()), (frame.destination.0, frame.source.0));
        let Some(NetSlice::Arp(arp)) = packet.net else { panic!("no ARP packet") };
        let arp = arp.to_packet().try_eth_ipv4().unwrap();
        let operation = match frame.operation {
            Operation::Request => ArpOperation::REQUEST,
            Operation::Reply => ArpOperation::REPLY,
        };
        prop_assert_eq!(arp.operation, operation);
        prop_assert_eq!((arp.sender_mac, arp.sender_ipv4), (frame.sender_mac.0, frame.sender_ip.octets()));
        prop_assert_eq!((arp.target_mac, arp.target_ipv4), (frame.target_mac.0, frame.target_ip.octets()));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = ArpFrame::parse(&bytes);
    }

    #[test]
    fn every_shorter_frame_is_truncated(length in 0usize..42) {
        prop_assert!(matches!(ArpFrame::parse(&REQUEST[..length]), Err(ParseError::Truncated(_))));
    }
}
