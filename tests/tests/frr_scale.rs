//! Many prefixes, with FRRouting itself. What it takes is printed (`--nocapture`), not asserted: machines differ.

use std::time::Instant;

use metallb_frr::daemon::Daemon;
use metallb_tests::frr::{Instance, Network, Node, Release, wait_for};

fn spec(prefixes: impl Iterator<Item = u32>) -> String {
    let prefixes: Vec<String> = prefixes
        .map(|n| format!("10.{}.{}.{}/32", n >> 16, (n >> 8) & 255, n & 255))
        .collect();
    format!(
        "
bgp:
  routers:
  - asn: 64500
    prefixes: [{}]
    neighbors:
    - {{address: 198.51.100.2, asn: 64601, connectTime: 1s, toAdvertise: {{allowed: {{mode: all}}}}}}
    - {{address: 198.51.100.3, asn: 64602, connectTime: 1s, toAdvertise: {{allowed: {{mode: all}}}}}}
",
        prefixes.join(", ")
    )
}

fn received(peer: &mut Instance) -> u64 {
    let summary = peer.json("bgp ipv4 unicast summary");
    summary["peers"]["198.51.100.1"]["pfxRcd"]
        .as_u64()
        .unwrap_or_default()
}

#[test]
fn five_thousand_prefixes_and_one_more() {
    for release in Release::all() {
        let network = Network::new(2);
        let mut node = Node::start(&release, &network.host(1));
        let mut peer = Instance::start(&Release::installed(), &network.host(2));
        peer.configure(
            Daemon::Bgpd,
            &[
                "router bgp 64601",
                "no bgp ebgp-requires-policy",
                "neighbor 198.51.100.1 remote-as 64500",
                "neighbor 198.51.100.1 timers connect 1",
            ],
        );
        let version = release.version;
        node.apply(&[&spec(std::iter::empty())]);
        wait_for("a session", || {
            peer.json("bgp neighbors")["198.51.100.1"]["bgpState"] == "Established"
        });

        let start = Instant::now();
        node.apply(&[&spec(1..5001)]);
        let told = start.elapsed();
        wait_for("all prefixes", || received(&mut peer) == 5000);
        println!(
            "{version}: 5000 prefixes: told in {told:?}, heard after {:?}",
            start.elapsed()
        );

        // The first one of all, by its place in every order.
        let start = Instant::now();
        let plan = node.apply(&[&spec(0..5001)]);
        let told = start.elapsed();
        wait_for("one more prefix", || received(&mut peer) == 5001);
        println!(
            "{version}: one more: told in {told:?}, heard after {:?}",
            start.elapsed()
        );
        assert_eq!(plan.batches.len(), 1);
        assert_eq!(plan.batches[0].lines.len(), 5);

        let start = Instant::now();
        let shown = node.shown();
        println!("{version}: shown in {:?}", start.elapsed());
        assert!(shown == node.running);
        let neighbor = peer.json("bgp neighbors")["198.51.100.1"].clone();
        assert_eq!(neighbor["connectionsDropped"], 0);
    }
}
