use std::net::IpAddr;

use proptest::prelude::*;
use rstest::rstest;

use super::{IpFamily, IpRange, RangeError, bits};

#[rstest]
#[case("192.0.2.0/24", "192.0.2.0", "192.0.2.255")]
#[case("192.0.2.77/24", "192.0.2.0", "192.0.2.255")]
#[case("192.0.2.1/32", "192.0.2.1", "192.0.2.1")]
#[case("192.0.2.0/024", "192.0.2.0", "192.0.2.255")]
#[case("0.0.0.0/0", "0.0.0.0", "255.255.255.255")]
#[case("::/00", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")]
#[case("224.0.0.0/24", "224.0.0.0", "224.0.0.255")]
#[case("2001:db8::7/120", "2001:db8::", "2001:db8::ff")]
#[case("2001:DB8:0::/128", "2001:db8::", "2001:db8::")]
#[case("192.0.2.5-192.0.2.9", "192.0.2.5", "192.0.2.9")]
#[case(" 192.0.2.5 - 192.0.2.5 ", "192.0.2.5", "192.0.2.5")]
#[case("2001:db8::1-2001:db8::ffff", "2001:db8::1", "2001:db8::ffff")]
#[case("::ffff:10.0.0.0/120", "10.0.0.0", "10.0.0.255")]
#[case("::ffff:10.0.0.1-10.0.0.9", "10.0.0.1", "10.0.0.9")]
fn accepted(#[case] text: &str, #[case] first: &str, #[case] last: &str) {
    let range = IpRange::parse(text).unwrap();
    assert_eq!(range.first(), first.parse::<IpAddr>().unwrap());
    assert_eq!(range.last(), last.parse::<IpAddr>().unwrap());
}

#[rstest]
#[case("10.0.0.1")]
#[case("")]
#[case("10.0.0.0/33")]
#[case("10.0.0.0/+24")]
#[case("10.0.0.0/")]
#[case("10.0.0.0/256")]
#[case("2001:db8::/129")]
#[case("100.200.300.400/24")]
#[case("010.0.0.0/24")]
#[case(" 10.0.0.0/24")]
#[case("fe80::1%eth0/64")]
#[case("::ffff:10.0.0.0/90")]
#[case("10.0.0.1,10.0.0.2")]
#[case("10.0.0.1–10.0.0.9")]
fn refused_cidrs(#[case] text: &str) {
    assert_eq!(IpRange::parse(text), Err(RangeError::Cidr(text.to_owned())));
}

#[rstest]
#[case("10.0.0.10-10.0.0.1", "start IP is after the end IP")]
#[case("10.0.0.1-5", "invalid end IP \"5\"")]
#[case("10.0.0-10.0.0.9", "invalid start IP \"10.0.0\"")]
#[case("10.0.0.1-10.0.0.2-10.0.0.3", "invalid end IP \"10.0.0.2-10.0.0.3\"")]
#[case("2001:db8::1-10.0.0.1", "different IP families")]
#[case("10.0.0.1-2001:db8::1", "different IP families")]
fn refused_ranges(#[case] text: &str, #[case] part: &str) {
    let message = IpRange::parse(text).unwrap_err().to_string();
    assert!(message.contains(part) && message.contains(text), "{message}");
}

#[rstest]
#[case("192.0.2.10-192.0.2.12", &["192.0.2.10/31", "192.0.2.12/32"])]
#[case("192.0.2.0-192.0.2.255", &["192.0.2.0/24"])]
#[case("203.0.113.64-203.0.113.111", &["203.0.113.64/27", "203.0.113.96/28"])]
#[case("0.0.0.0-255.255.255.255", &["0.0.0.0/0"])]
fn covers(#[case] text: &str, #[case] expected: &[&str]) {
    let cidrs: Vec<String> = IpRange::parse(text)
        .unwrap()
        .cidrs()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(cidrs, expected);
}

#[test]
fn the_whole_of_ipv6_is_counted_without_overflow() {
    assert_eq!(IpRange::parse("::/0").unwrap().count(), u128::MAX);
}

fn range_v4() -> impl Strategy<Value = IpRange> {
    (any::<u32>(), 0u32..70_000).prop_map(|(first, length)| {
        let last = first.saturating_add(length);
        IpRange::new(
            IpFamily::V4.address(first.into()),
            IpFamily::V4.address(last.into()),
        )
        .unwrap()
    })
}

fn range_v6() -> impl Strategy<Value = IpRange> {
    (any::<u128>(), any::<u64>()).prop_map(|(first, length)| {
        let last = first.saturating_add(length.into());
        IpRange::new(IpFamily::V6.address(first), IpFamily::V6.address(last)).unwrap()
    })
}

proptest! {
    #[test]
    fn a_cover_is_exact_ascending_and_minimal(range in prop_oneof![range_v4(), range_v6()]) {
        let cidrs = range.cidrs();
        prop_assert_eq!(cidrs.first().map(ipnet::IpNet::network), Some(range.first()));
        prop_assert_eq!(cidrs.last().map(ipnet::IpNet::broadcast), Some(range.last()));
        for pair in cidrs.windows(2) {
            prop_assert_eq!(bits(pair[0].broadcast()) + 1, bits(pair[1].network()), "no gap, no overlap");
            let merged = pair[0].supernet();
            prop_assert!(merged != pair[1].supernet() || merged.is_none(), "{} and {} are one prefix", pair[0], pair[1]);
        }
    }

    #[test]
    fn text_and_range_are_equivalent(range in prop_oneof![range_v4(), range_v6()]) {
        prop_assert_eq!(IpRange::parse(&range.to_string()), Ok(range));
        prop_assert_eq!(IpRange::parse(&format!("{}-{}", range.first(), range.last())), Ok(range));
    }
}
