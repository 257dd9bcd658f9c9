//! Classic BPF programs that keep the kernel from handing us frames we would only drop.

use socket2::SockFilter;

use crate::ethernet::HEADER_LENGTH;
use crate::ndp::{HOP_LIMIT, NEXT_HEADER_ICMPV6, SOLICITATION};

// Opcodes of linux/bpf_common.h.
const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const LOAD_HALF: u16 = 0x28; // BPF_LD | BPF_H | BPF_ABS
const LOAD_BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// Ancillary offset of the packet type (linux/filter.h: `SKF_AD_OFF + SKF_AD_PKTTYPE`).
const PACKET_TYPE: u32 = 0xffff_f000 + 4;
/// The frame is not for us: seen in promiscuous mode, or tagged with a VLAN nobody here is in.
const OTHER_HOST: u32 = 3;
const KEEP_WHOLE_FRAME: u32 = 0x0004_0000;

#[expect(clippy::cast_possible_truncation, reason = "14 + 40 is small")]
const ETHERNET: u32 = HEADER_LENGTH as u32;
const IPV6_HEADER: u32 = 40;

/// ARP requests.
pub(crate) fn arp_requests() -> Vec<SockFilter> {
    accept(&[(LOAD_HALF, ETHERNET + 6, 1)])
}

/// ICMPv6 Neighbor Solicitations that no router forwarded.
pub(crate) fn neighbor_solicitations() -> Vec<SockFilter> {
    accept(&[
        (LOAD_BYTE, ETHERNET + 6, NEXT_HEADER_ICMPV6.into()),
        (LOAD_BYTE, ETHERNET + 7, HOP_LIMIT.into()),
        (LOAD_BYTE, ETHERNET + IPV6_HEADER, SOLICITATION.into()),
    ])
}

/// Accepts frames to this host for which every test (load, offset, expected value) holds.
fn accept(tests: &[(u16, u32, u32)]) -> Vec<SockFilter> {
    let mut program = vec![
        SockFilter::new(LOAD_WORD, 0, 0, PACKET_TYPE),
        SockFilter::new(JUMP_EQUAL, 0, 1, OTHER_HOST),
        SockFilter::new(RETURN, 0, 0, 0),
    ];
    for (load, offset, expected) in tests {
        program.push(SockFilter::new(*load, 0, 0, *offset));
        program.push(SockFilter::new(JUMP_EQUAL, 1, 0, *expected));
        program.push(SockFilter::new(RETURN, 0, 0, 0));
    }
    program.push(SockFilter::new(RETURN, 0, 0, KEEP_WHOLE_FRAME));
    program
}
