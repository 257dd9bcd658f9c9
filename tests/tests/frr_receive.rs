//! What a node accepts from a peer, and texts of users, by FRRouting itself.

use metallb_frr::daemon::Daemon;
use metallb_frr::vty::Status;
use metallb_tests::frr::{Instance, Network, Node, Release, wait_for};
use serde_json::Value;

/// The node is host 1, the peer host 2 announces [`OFFERED`].
struct Lab {
    node: Node,
    _peer: Instance,
    _network: Network,
}

const OFFERED: [&str; 4] = ["0.0.0.0/0", "10.80.0.0/16", "10.80.8.0/24", "10.80.8.0/26"];

impl Lab {
    fn new(release: &Release) -> Self {
        let network = Network::new(2);
        let node = Node::start(release, &network.host(1));
        let mut peer = Instance::start(&Release::installed(), &network.host(2));
        let networks = OFFERED.map(|prefix| format!("network {prefix}"));
        let mut lines = vec![
            "router bgp 64601",
            "no bgp ebgp-requires-policy",
            "no bgp network import-check",
            "neighbor 198.51.100.1 remote-as 64500",
            "neighbor 198.51.100.1 passive",
        ];
        lines.extend(networks.iter().map(String::as_str));
        lines.extend([
            "address-family ipv6 unicast",
            "neighbor 198.51.100.1 activate",
            "network 2001:db8:80:1::/64",
            "network 2001:db8:81::/48",
        ]);
        peer.configure(Daemon::Bgpd, &lines);
        Self {
            node,
            _peer: peer,
            _network: network,
        }
    }

    /// Learned prefixes of one family.
    fn learned(&mut self, family: &str) -> Vec<String> {
        let table = self.node.frr.json(&format!("bgp {family} unicast"));
        let routes = table["routes"].as_object().cloned().unwrap_or_default();
        let learned = routes
            .into_iter()
            .filter(|(_, paths)| paths[0]["path"] == "64601");
        learned.map(|(prefix, _)| prefix).collect()
    }

    /// How often the session was lost.
    fn drops(&mut self) -> Value {
        self.node.frr.json("bgp neighbors 198.51.100.2")["198.51.100.2"]["connectionsDropped"].clone()
    }

    #[track_caller]
    fn expect(&mut self, receive: &str, expected: &[&str]) {
        self.node.apply(&[&spec(receive)]);
        wait_for(&format!("{receive}: {expected:?}"), || {
            let mut learned = self.learned("ipv4");
            learned.sort();
            learned == expected
        });
        assert_eq!(self.node.difference().batches, [], "{receive}");
    }
}

fn spec(receive: &str) -> String {
    format!(
        "
bgp:
  routers:
  - asn: 64500
    prefixes: [10.70.1.0/24]
    neighbors:
    - {{address: 198.51.100.2, asn: 64601, connectTime: 1s, dualStackAddressFamily: true, toReceive: {{allowed: {receive}}}}}
"
    )
}

#[test]
fn selectors_select() {
    for release in Release::all() {
        let mut lab = Lab::new(&release);
        lab.expect("{prefixes: [{prefix: 10.80.0.0/16}]}", &["10.80.0.0/16"]);
        let drops = |lab: &mut Lab| {
            let neighbor = lab.node.frr.json("bgp neighbors 198.51.100.2")["198.51.100.2"].clone();
            (
                neighbor["connectionsDropped"].clone(),
                neighbor["lastResetDueTo"].clone(),
            )
        };
        let before = drops(&mut lab);
        lab.expect(
            "{prefixes: [{prefix: 10.80.0.0/16, le: 24}]}",
            &["10.80.0.0/16", "10.80.8.0/24"],
        );
        lab.expect(
            "{prefixes: [{prefix: 10.80.0.0/16, ge: 24, le: 26}]}",
            &["10.80.8.0/24", "10.80.8.0/26"],
        );
        lab.expect("{prefixes: [{prefix: 10.80.0.0/16, ge: 25}]}", &["10.80.8.0/26"]);
        lab.expect(
            "{prefixes: [{prefix: 10.80.8.0/24, ge: 24, le: 24}]}",
            &["10.80.8.0/24"],
        );
        lab.expect("{prefixes: [{prefix: 0.0.0.0/0}]}", &["0.0.0.0/0"]);
        lab.expect("{mode: all}", &OFFERED);
        assert_eq!(lab.learned("ipv6").len(), 2);
        lab.expect("{prefixes: [{prefix: '2001:db8:80::/47', le: 128}]}", &[]);
        assert_eq!(lab.learned("ipv6").len(), 2);
        lab.expect("{}", &[]);
        wait_for("no IPv6 route", || lab.learned("ipv6").is_empty());
        assert_eq!(drops(&mut lab), before, "a change of filters resets nothing");
    }
}

#[test]
fn what_is_always_blocked_is_never_accepted() {
    for release in Release::all() {
        let mut lab = Lab::new(&release);
        lab.node.settings.always_block = vec![
            "10.80.8.0/24".parse().unwrap(),
            "2001:db8:80::/48".parse().unwrap(),
        ];
        lab.expect("{mode: all}", &["0.0.0.0/0", "10.80.0.0/16"]);
        wait_for("an IPv6 route", || lab.learned("ipv6") == ["2001:db8:81::/48"]);
        lab.expect("{prefixes: [{prefix: 10.80.8.0/24}]}", &[]);
    }
}

/// Learned routes are told to nobody, not even those of prefixes that were announced a moment ago.
#[test]
fn a_node_is_no_transit() {
    for release in Release::all() {
        let mut lab = Lab::new(&release);
        let announcing = spec("{mode: all}")
            .replace("10.70.1.0/24", "10.80.0.0/16")
            .replace("toReceive", "toAdvertise: {allowed: {mode: all}}, toReceive");
        lab.node.apply(&[&announcing]);
        let sent = |lab: &mut Lab| {
            let neighbor = lab.node.frr.json("bgp neighbors 198.51.100.2")["198.51.100.2"].clone();
            neighbor["addressFamilyInfo"]["ipv4Unicast"]["sentPrefixCounter"].clone()
        };
        wait_for("its own prefix", || sent(&mut lab) == 1);
        lab.node
            .apply(&[&announcing.replace("prefixes: [10.80.0.0/16]", "prefixes: []")]);
        wait_for("nothing", || sent(&mut lab) == 0);
        wait_for("the learned one", || {
            lab.learned("ipv4").contains(&"10.80.0.0/16".to_owned())
        });
        assert_eq!(sent(&mut lab), 0);
    }
}

#[test]
fn texts_of_users_come_and_go_with_their_objects() {
    for release in Release::all() {
        let mut lab = Lab::new(&release);
        let raw = "
raw:
  rawConfig: |
    ip prefix-list RAWTEST seq 5 permit 10.99.0.0/24
    route-map RAWSRC permit 10
     match ip address prefix-list RAWTEST
     set src 198.51.100.1
    exit
    ip protocol bgp route-map RAWSRC
    router bgp 64500
     neighbor 198.51.100.2 description raw
     bgp deterministic-med
    ip route 10.99.1.0/24 blackhole
";
        lab.node.apply(&[&spec("{}"), raw]);
        let shown = lab.node.shown().text();
        for line in [
            "ip prefix-list RAWTEST seq 5 permit 10.99.0.0/24\n",
            "ip protocol bgp route-map RAWSRC\n",
            " neighbor 198.51.100.2 description raw\n",
            " bgp deterministic-med\n",
            "ip route 10.99.1.0/24 blackhole\n",
        ] {
            assert!(shown.contains(line), "{line}{shown}");
        }
        assert_eq!(lab.node.difference().batches, []);
        lab.node.apply(&[&spec("{}")]);
        let shown = lab.node.shown().text();
        assert!(
            !shown.contains("RAW") && !shown.contains("raw") && !shown.contains("10.99."),
            "{shown}"
        );
        assert_eq!(lab.node.difference().batches, []);
    }
}

/// A text that FRRouting refuses is named, and the way back is known.
#[test]
fn a_refused_text_leaves_a_way_back() {
    for release in Release::all() {
        let mut lab = Lab::new(&release);
        lab.expect("{mode: all}", &OFFERED);
        let (before, drops) = (lab.node.shown(), lab.drops());
        let raw = "raw: {rawConfig: \"ip prefix-list RAWTEST seq 5 permit 10.99.0.0/24\\nnonsense 1\"}";
        let merged = metallb_tests::frr::merge_yaml(&[&spec("{mode: all}"), raw]);
        let plan = lab.node.plan(&merged);
        let unknown = lab.node.attempt(&plan).expect_err("it is nonsense");
        assert_eq!(
            (unknown.line.as_str(), unknown.status),
            ("nonsense 1", Status::Unknown)
        );
        let back = lab.node.difference();
        lab.node.carry_out(&back);
        assert!(lab.node.shown() == before);
        assert_eq!(lab.drops(), drops, "the session was reset");
    }
}
