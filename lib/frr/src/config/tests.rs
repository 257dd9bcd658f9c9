use rstest::rstest;

use super::*;
use crate::daemon::{Daemon, Version};

/// What bgpd 8.4.4 shows, shortened.
const SHOWN_8_4: &str = r#"
Building configuration...

Current configuration:
!
frr version 8.4.4
frr defaults traditional
!
hostname worker-a
log stdout
! "log file /tmp/bgpd.log debugging" enabled by "--log" startup option
!
debug bgp updates in
debug bgp updates out
!
router bgp 64500
 no bgp ebgp-requires-policy
 neighbor 198.51.100.3 remote-as 64601
 neighbor 198.51.100.3 ebgp-multihop 255
 !
 address-family ipv4 unicast
  network 10.70.1.0/24 route-map advertise-7
  neighbor 198.51.100.3 activate
 exit-address-family
 !
 address-family l2vpn evpn
  vni 1000
   rd 64500:1000
  exit-vni
 exit-address-family
exit
!
router bgp 64500 vrf blue
exit
!
ip prefix-list A seq 5 permit 10.0.0.0/8
route-map OUT permit 2
 set community no-export 64500:31 additive
exit
!
no ip forwarding
no ipv6 forwarding
"#;

#[test]
fn what_frr_shows_is_read_in_our_spelling() {
    let expected = "\
hostname worker-a
log stdout debugging
debug bgp updates
ip prefix-list A seq 5 permit 10.0.0.0/8
route-map OUT permit 2
 set community 65535:65281 64500:31 additive
exit
router bgp 64500
 no bgp ebgp-requires-policy
 neighbor 198.51.100.3 remote-as 64601
 neighbor 198.51.100.3 ebgp-multihop 255
 address-family ipv4 unicast
  neighbor 198.51.100.3 activate
  network 10.70.1.0/24 route-map advertise-7
 exit-address-family
 address-family l2vpn evpn
  vni 1000
   rd 64500:1000
  exit-vni
 exit-address-family
exit
router bgp 64500 vrf blue
exit
";
    assert_eq!(Config::parse(SHOWN_8_4).text(), expected);
}

#[test]
fn versions_that_spell_differently_are_equal() {
    let other = SHOWN_8_4
        .replace("ebgp-multihop 255", "ebgp-multihop")
        .replace("log stdout\n", "log stdout debugging\n");
    assert!(Config::parse(&other) == Config::parse(SHOWN_8_4));
}

#[test]
fn policies_are_those_of_bgpd() {
    let version = Version { major: 8, minor: 4 };
    let stale = "route-map OUT permit 2\n match tag 3\n set src 192.0.2.1\nexit\nroute-map GONE permit 1\nexit\n\
        ip prefix-list A seq 9 permit 11.0.0.0/8\nip nht resolve-via-default\n";
    let config = Config::running([(Daemon::Zebra, stale), (Daemon::Bgpd, SHOWN_8_4)], version);
    let text = config.text();
    assert!(text.contains("ip nht resolve-via-default\n"), "{text}");
    assert!(
        text.contains(" set src 192.0.2.1\n"),
        "bgpd cannot hold it: {text}"
    );
    assert!(
        !text.contains("match tag 3") && !text.contains("GONE") && !text.contains("11.0.0.0"),
        "{text}"
    );
}

#[rstest]
#[case("", true)]
#[case("no ip nht resolve-via-default\n", false)]
fn what_newer_versions_do_unasked_counts_as_told(#[case] shown: &str, #[case] told: bool) {
    let config = Config::running([(Daemon::Mgmtd, shown)], Version { major: 10, minor: 3 });
    assert_eq!(
        config.text().contains("\nip nht resolve-via-default\n") || config.text().starts_with("ip nht"),
        told
    );
}

#[test]
fn blocks_of_users_need_no_exit() {
    let config = Config::parse(
        "router bgp 1\n neighbor 192.0.2.1 remote-as 2\nip prefix-list A seq 5 permit any\nhostname x\n",
    );
    assert_eq!(
        config.text(),
        "hostname x\nip prefix-list A seq 5 permit any\nrouter bgp 1\n neighbor 192.0.2.1 remote-as 2\nexit\n"
    );
}

#[rstest]
#[case(
    "neighbor 192.0.2.1 password s3cr3t!\n",
    "neighbor 192.0.2.1 password <hidden>\n"
)]
#[case(
    "% failed: neighbor x password s3cr3t and more",
    "% failed: neighbor x password <hidden>"
)]
#[case("hostname x\n", "hostname x\n")]
fn passwords_are_hidden(#[case] text: &str, #[case] hidden: &str) {
    assert_eq!(redact(text), hidden);
}

#[rstest]
#[case("FRRouting 8.4.4 (worker-a) on Linux(6.18).\nCopyright\n", 8, 4)]
#[case("FRRouting 10.3 (vm) on Linux(6.18).", 10, 3)]
#[case("10.4.3_git", 10, 4)]
fn versions_are_read(#[case] text: &str, #[case] major: u16, #[case] minor: u16) {
    assert_eq!(text.parse(), Ok(Version { major, minor }));
    assert!("% Unknown command".parse::<Version>().is_err());
}
