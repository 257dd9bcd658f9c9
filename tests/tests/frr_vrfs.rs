//! VRFs and EVPN: that FRRouting takes the configuration and shows it as it was given. The kernel needs no VRFs for
//! that; sessions and routes in VRFs are not part of these tests.

use metallb_tests::frr::{Network, Node, Release};

const DEFAULT_ROUTER: &str = "
bgp:
  routers:
  - asn: 64500
    id: 192.0.2.1
    prefixes: [10.70.1.0/24]
    imports: [{vrf: blue}]
    neighbors:
    - {address: 198.51.100.12, asn: 64500, addressFamilies: [unicast, evpn], toAdvertise: {allowed: {mode: all}}}
    evpn:
      advertiseVNIs: All
      advertiseSVI: true
      l2vnis:
      - {vni: 1000, rd: '64500:1000', importRTs: ['64500:2001'], exportRTs: ['64500:2002', '192.0.2.7:9']}
      - {vni: 1001}
  - {asn: 64500, id: 192.0.2.1, vrf: blue, prefixes: [10.90.0.0/24, '2001:db8:9000::/64']}
";

const LAYER_3: &str = "
bgp:
  routers:
  - asn: 64500
    vrf: blue
    evpn: {l3vni: {vni: 4000, rd: '64500:4000', importRTs: ['64500:1'], exportRTs: ['64500:2'], advertisePrefixes: [unicast]}}
";

#[test]
fn vrfs_come_and_go() {
    for release in Release::all() {
        let network = Network::new(1);
        let mut node = Node::start(&release, &network.host(1));
        for objects in [
            &[DEFAULT_ROUTER][..],
            &[DEFAULT_ROUTER, LAYER_3],
            &[
                &DEFAULT_ROUTER
                    .replace("1001", "1002")
                    .replace("64500:2001", "64500:2003"),
                LAYER_3,
            ],
            &[LAYER_3],
            &[&LAYER_3.replace("blue", "red")],
            &[],
        ] {
            node.apply(objects);
            assert_eq!(node.difference().batches, [], "{release:?} {objects:?}");
        }
        let shown = node.shown().text();
        assert!(
            !shown.contains("router bgp") && !shown.contains("vni 4000"),
            "{shown}"
        );
    }
}
