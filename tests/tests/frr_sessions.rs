//! Sessions of a node with its peers, by FRRouting itself.

use metallb_frr::daemon::Daemon;
use metallb_frr::diff::Plan;
use metallb_frr::json;
use metallb_tests::frr::{Instance, Network, Node, Release, merge_yaml, wait_for};
use serde_json::Value;

/// The node is host 1, the peer host 2.
struct Lab {
    node: Node,
    peer: Instance,
    network: Network,
}

impl Lab {
    /// The peer gets these lines in its instance, in AS 64601.
    fn new(release: &Release, lines: &[&str]) -> Self {
        Self::in_as(release, "64601", lines)
    }

    fn in_as(release: &Release, asn: &str, lines: &[&str]) -> Self {
        let network = Network::new(2);
        let node = Node::start(release, &network.host(1));
        let mut peer = Instance::start(&Release::installed(), &network.host(2));
        let router = format!("router bgp {asn}");
        let start = [
            router.as_str(),
            "no bgp ebgp-requires-policy",
            "no bgp network import-check",
        ];
        peer.configure(Daemon::Bgpd, &[&start, lines].concat());
        Self { node, peer, network }
    }

    fn neighbors(&mut self) -> Vec<json::Neighbor> {
        json::neighbors(&self.node.frr.show(json::NEIGHBORS.trim_start_matches("show "))).unwrap()
    }

    #[track_caller]
    fn wait_until_established(&mut self, peer: &str) {
        wait_for(&format!("a session with {peer}"), || {
            self.neighbors()
                .iter()
                .any(|neighbor| neighbor.peer == peer && neighbor.is_established())
        });
    }

    fn details(&mut self, peer: &str) -> Value {
        self.node.frr.json(&format!("bgp neighbors {peer}"))[peer].clone()
    }

    /// What the peer knows of a prefix.
    fn path(&mut self, family: &str, prefix: &str) -> Value {
        self.peer.json(&format!("bgp {family} unicast {prefix}"))["paths"][0].clone()
    }

    #[track_caller]
    fn assert_round_trip(&mut self) {
        assert_eq!(self.node.difference().batches, []);
    }
}

/// A router with one neighbor.
fn neighbor(fields: &str) -> String {
    format!(
        "
bgp:
  bfdProfiles: [{{name: fast, receiveInterval: 150, transmitInterval: 150, detectMultiplier: 5}}]
  routers:
  - asn: 64500
    prefixes: [10.70.1.0/24, 10.70.2.0/24, '2001:db8:7001::/64']
    neighbors: [{{connectTime: 1s, {fields}}}]
"
    )
}

const PEER: &str = "198.51.100.2";

#[test]
fn an_external_session_with_its_own_parameters() {
    for release in Release::all() {
        let mut lab = Lab::new(
            &release,
            &[
                "neighbor 198.51.100.9 remote-as 64777",
                "neighbor 198.51.100.9 password s3cr3t!|x",
                "neighbor 198.51.100.9 passive",
            ],
        );
        lab.network.add_address(1, "198.51.100.9/24");
        lab.node.apply(&[&neighbor(
            "address: 198.51.100.2, asn: 64601, localASN: 64777, holdTime: 90s, keepaliveTime: 30s, connectTime: 7s,
            password: 's3cr3t!|x', sourceaddress: 198.51.100.9, enableGracefulRestart: true,
            toAdvertise: {allowed: {mode: all}, nextHop: {ipv4: 198.51.100.200}}",
        )
        .replace("connectTime: 1s, ", "")]);
        lab.wait_until_established(PEER);
        wait_for("a route", || {
            lab.path("ipv4", "10.70.1.0/24")["aspath"]["string"] == "64777"
        });
        assert_eq!(
            lab.path("ipv4", "10.70.1.0/24")["nexthops"][0]["ip"],
            "198.51.100.200"
        );
        let details = lab.details(PEER);
        assert_eq!(details["bgpTimerConfiguredHoldTimeMsecs"], 90_000);
        assert_eq!(details["bgpTimerConfiguredKeepAliveIntervalMsecs"], 30_000);
        assert_eq!(details["connectRetryTimer"], 7);
        assert_eq!(details["gracefulRestartInfo"]["localGrMode"], "Restart");
        lab.assert_round_trip();
    }
}

#[test]
fn internal_peers_see_local_preferences() {
    for release in Release::all() {
        let mut lab = Lab::in_as(&release, "64500", &["neighbor 198.51.100.1 remote-as 64500"]);
        lab.node.apply(&[&neighbor(
            "address: 198.51.100.2, dynamicASN: internal, ebgpMultiHop: true, toAdvertise: {allowed: {mode: all},
            withLocalPref: [{localPref: 240, prefixes: [10.70.1.0/24]}]}",
        )]);
        lab.wait_until_established(PEER);
        wait_for("a local preference", || {
            lab.path("ipv4", "10.70.1.0/24")["locPrf"] == 240
        });
        wait_for("the default preference", || {
            lab.path("ipv4", "10.70.2.0/24")["locPrf"] == 100
        });
        lab.assert_round_trip();
    }
}

#[test]
fn both_families_over_ipv4_or_ipv6() {
    for release in Release::all() {
        let mut lab = Lab::new(
            &release,
            &[
                "neighbor 198.51.100.1 remote-as 64500",
                "neighbor 2001:db8:51::1 remote-as 64500",
                "address-family ipv6 unicast",
                "neighbor 198.51.100.1 activate",
                "neighbor 2001:db8:51::1 activate",
            ],
        );
        lab.node.apply(&[&neighbor(
            "address: 198.51.100.2, asn: 64601, dualStackAddressFamily: true,
            toAdvertise: {allowed: {mode: all}, nextHop: {ipv6: '2001:db8:51::200'}}",
        )]);
        lab.wait_until_established(PEER);
        wait_for("an IPv4 route", || {
            lab.path("ipv4", "10.70.1.0/24") != Value::Null
        });
        wait_for("an IPv6 route", || {
            lab.path("ipv6", "2001:db8:7001::/64") != Value::Null
        });
        let hops = lab.path("ipv6", "2001:db8:7001::/64")["nexthops"].to_string();
        assert!(hops.contains("2001:db8:51::200"), "{hops}");
        lab.assert_round_trip();

        // Another neighbor; the first one goes.
        lab.node.apply(&[&neighbor(
            "address: '2001:DB8:51:0::2', dynamicASN: external, toAdvertise: {allowed: {mode: all}}",
        )]);
        lab.wait_until_established("2001:db8:51::2");
        wait_for("an IPv6 route", || {
            lab.path("ipv6", "2001:db8:7001::/64") != Value::Null
        });
        wait_for("no IPv4 route", || {
            lab.path("ipv4", "10.70.1.0/24") == Value::Null
        });
        let names: Vec<String> = lab
            .neighbors()
            .into_iter()
            .map(|neighbor| neighbor.peer)
            .collect();
        assert_eq!(names, ["2001:db8:51::2"]);
        assert!(
            lab.node
                .running
                .text()
                .contains("neighbor 2001:db8:51::2 disable-connected-check\n")
        );
        lab.assert_round_trip();
    }
}

/// Each family after the first would reset a session that has come up with the first one.
#[test]
fn a_new_neighbor_of_both_families_is_not_let_go_half_way() {
    for release in Release::all() {
        let mut lab = Lab::new(
            &release,
            &[
                "neighbor 198.51.100.1 remote-as 64500",
                "neighbor 198.51.100.1 timers connect 1",
                "address-family ipv6 unicast",
                "neighbor 198.51.100.1 activate",
            ],
        );
        let merged = merge_yaml(&[&neighbor(
            "address: 198.51.100.2, asn: 64601, dualStackAddressFamily: true, toAdvertise: {allowed: {mode: all}}",
        )]);
        let plan = lab.node.plan(&merged);
        let (last, others) = plan.batches.split_last().expect("there is something to do");
        lab.node.carry_out(&Plan {
            batches: others.to_vec(),
            ..Plan::default()
        });
        assert_eq!(last.daemons, [Daemon::Bgpd]);
        lab.node.frr.configure(Daemon::Bgpd, &[]);
        for line in &last.lines {
            lab.node.frr.command(Daemon::Bgpd, line);
            if line == "exit-address-family" {
                let peer = &mut lab.peer;
                wait_for("attempts of the peer", || {
                    let neighbor = &peer.json("bgp neighbors 198.51.100.1")["198.51.100.1"];
                    let attempts = neighbor["messageStats"]["opensSent"].as_u64();
                    attempts >= Some(2) || neighbor["bgpState"] == "Established"
                });
            }
        }
        lab.wait_until_established(PEER);
        wait_for("an IPv6 route", || {
            lab.path("ipv6", "2001:db8:7001::/64") != Value::Null
        });
        let neighbor = &lab.neighbors()[0];
        let count = (neighbor.connections_established, neighbor.connections_dropped);
        assert_eq!(count, (1, 0), "{release:?}");
        lab.node.running = plan.result;
        lab.assert_round_trip();
    }
}

#[test]
fn an_unnumbered_session() {
    for release in Release::all() {
        let mut lab = Lab::new(&release, &[]);
        lab.network.link(1, 2, "up0");
        lab.peer.configure(
            Daemon::Bgpd,
            &[
                "router bgp 64601",
                "neighbor up0 interface remote-as external",
                "neighbor up0 timers connect 1",
                "address-family ipv6 unicast",
                "neighbor up0 activate",
            ],
        );
        // Neighbors are found by router advertisements, which FRRouting sends every ten seconds by default.
        lab.node.apply(&[&neighbor(
            "interface: up0, dynamicASN: external, toAdvertise: {allowed: {mode: all}}",
        )]);
        lab.wait_until_established("up0");
        wait_for("an IPv4 route", || {
            lab.path("ipv4", "10.70.1.0/24") != Value::Null
        });
        wait_for("an IPv6 route", || {
            lab.path("ipv6", "2001:db8:7001::/64") != Value::Null
        });
        assert_eq!(lab.path("ipv4", "10.70.1.0/24")["nexthops"][0]["afi"], "ipv6");
        lab.assert_round_trip();
    }
}

#[test]
fn a_multihop_session_is_not_disturbed_by_other_changes() {
    for release in Release::all() {
        let mut lab = Lab::new(
            &release,
            &[
                "neighbor 198.51.100.1 remote-as 64500",
                "neighbor 198.51.100.1 ebgp-multihop",
                "neighbor 198.51.100.1 update-source 192.0.2.200",
            ],
        );
        lab.network.add_address(2, "192.0.2.200/32");
        lab.network.add_route(1, "192.0.2.200/32", "198.51.100.2");
        let spec = neighbor(
            "address: 192.0.2.200, asn: 64601, ebgpMultiHop: true, toAdvertise: {allowed: {mode: all}}",
        );
        lab.node.apply(&[&spec]);
        lab.wait_until_established("192.0.2.200");
        wait_for("a route", || lab.path("ipv4", "10.70.1.0/24") != Value::Null);
        lab.assert_round_trip();
        lab.node.apply(&[&spec.replace("10.70.2.0/24", "10.70.3.0/24")]);
        wait_for("another route", || {
            lab.path("ipv4", "10.70.3.0/24") != Value::Null
        });
        let neighbors = lab.neighbors();
        assert_eq!(
            (
                neighbors[0].connections_established,
                neighbors[0].connections_dropped
            ),
            (1, 0),
            "{release:?}"
        );
    }
}

#[test]
fn bfd_guards_a_session() {
    for release in Release::all() {
        let mut lab = Lab::new(
            &release,
            &[
                "neighbor 198.51.100.1 remote-as 64500",
                "neighbor 198.51.100.1 timers connect 1",
                "neighbor 198.51.100.1 bfd",
            ],
        );
        let plain = neighbor("address: 198.51.100.2, asn: 64601");
        let guarded = neighbor("address: 198.51.100.2, asn: 64601, bfdProfile: fast");
        lab.node.apply(&[&plain]);
        lab.wait_until_established(PEER);
        lab.node.apply(&[&guarded]);
        wait_for("BFD", || lab.neighbors()[0].bfd_status.as_deref() == Some("Up"));
        let text = lab.node.frr.command(Daemon::Bfdd, "do show bfd peers json").text;
        let peers = json::bfd_peers(&text).unwrap();
        assert!(peers[0].is_up());
        assert_eq!(
            (
                peers[0].receive_interval,
                peers[0].transmit_interval,
                peers[0].detect_multiplier
            ),
            (150, 150, 5)
        );
        let text = lab
            .node
            .frr
            .command(Daemon::Bfdd, "do show bfd peers counters json")
            .text;
        assert_eq!(json::bfd_counters(&text).unwrap()[0].session_up, 1);
        lab.assert_round_trip();
        assert_eq!(
            lab.neighbors()[0].connections_dropped,
            0,
            "to begin with BFD does not end the session"
        );

        // Values that go back to FRRouting's own.
        lab.node.apply(&[&guarded
            .replace("receiveInterval: 150, ", "")
            .replace(", detectMultiplier: 5", "")]);
        lab.assert_round_trip();

        lab.peer.signal(Daemon::Bfdd, "-STOP");
        wait_for("the end of the session", || {
            lab.neighbors()[0].connections_dropped == 1
        });
        lab.peer.signal(Daemon::Bfdd, "-CONT");
        lab.wait_until_established(PEER);

        lab.node.apply(&[&plain]);
        wait_for("no BFD", || lab.neighbors()[0].bfd_status.is_none());
        lab.assert_round_trip();
    }
}

#[test]
fn another_as_number_replaces_the_instance() {
    for release in Release::all() {
        let mut lab = Lab::new(
            &release,
            &[
                "neighbor 198.51.100.1 remote-as external",
                "neighbor 198.51.100.1 timers connect 1",
            ],
        );
        let spec = neighbor("address: 198.51.100.2, asn: 64601, toAdvertise: {allowed: {mode: all}}");
        lab.node.apply(&[&spec]);
        lab.wait_until_established(PEER);
        lab.node.apply(&[&spec.replace("64500", "64510")]);
        wait_for("the new AS", || {
            lab.path("ipv4", "10.70.1.0/24")["aspath"]["string"] == "64510"
        });
        lab.assert_round_trip();
        lab.node.apply(&[]);
        assert_eq!(lab.neighbors(), []);
        assert!(!lab.node.shown().text().contains("router bgp"));
        lab.assert_round_trip();
    }
}

/// A daemon that was lost comes back with what it is told then.
#[test]
fn a_restarted_daemon_is_told_what_it_lacks() {
    for release in Release::all() {
        let mut lab = Lab::new(
            &release,
            &[
                "neighbor 198.51.100.1 remote-as 64500",
                "neighbor 198.51.100.1 timers connect 1",
            ],
        );
        let spec = neighbor("address: 198.51.100.2, asn: 64601, toAdvertise: {allowed: {mode: all}}");
        lab.node.apply(&[&spec]);
        lab.wait_until_established(PEER);
        lab.node.frr.kill_daemon(Daemon::Bgpd);
        lab.node.frr.start_daemon(Daemon::Bgpd);
        let plan = lab.node.difference();
        assert!(
            plan.batches
                .iter()
                .all(|batch| batch.daemons == [Daemon::Bgpd] || batch.daemons.len() > 2),
            "{plan:?}"
        );
        lab.node.carry_out(&plan);
        lab.assert_round_trip();
        lab.wait_until_established(PEER);
    }
}
