//! What peers hear of a node, from FRRouting itself.

use metallb_frr::daemon::Daemon;
use metallb_tests::frr::{Instance, Network, Node, Release, wait_for};
use serde_json::Value;

/// The node is host 1, the peer host 2.
struct Lab {
    node: Node,
    peer: Instance,
    _network: Network,
}

impl Lab {
    fn new(release: &Release) -> Self {
        let network = Network::new(2);
        let node = Node::start(release, &network.host(1));
        let mut peer = Instance::start(&Release::installed(), &network.host(2));
        peer.configure(
            Daemon::Bgpd,
            &[
                "router bgp 64601",
                "no bgp ebgp-requires-policy",
                "no bgp network import-check",
                "neighbor 198.51.100.1 remote-as 64500",
                "neighbor 198.51.100.1 passive",
                "neighbor 2001:db8:51::1 remote-as 64500",
                "neighbor 2001:db8:51::1 timers connect 1",
                "network 10.60.0.0/16",
                "address-family ipv6 unicast",
                "neighbor 2001:db8:51::1 activate",
            ],
        );
        Self {
            node,
            peer,
            _network: network,
        }
    }

    /// Prefixes the peer has learned from the node, of one family.
    fn routes(&mut self, family: &str) -> Vec<String> {
        let table = self.peer.json(&format!("bgp {family} unicast"));
        let routes = table["routes"].as_object().cloned().unwrap_or_default();
        let mut prefixes: Vec<String> = routes
            .into_iter()
            .filter(|(_, paths)| paths[0]["path"] == "64500")
            .map(|(prefix, _)| prefix)
            .collect();
        prefixes.sort();
        prefixes
    }

    fn path(&mut self, prefix: &str) -> Value {
        self.peer.json(&format!("bgp ipv4 unicast {prefix}"))["paths"][0].clone()
    }

    #[track_caller]
    fn wait_for_routes(&mut self, expected: &[&str]) {
        wait_for(&format!("{expected:?}"), || self.routes("ipv4") == expected);
    }

    /// How many updates the peer has received.
    fn updates(&mut self) -> u64 {
        self.neighbor()["messageStats"]["updatesRecv"].as_u64().unwrap()
    }

    /// As [`Lab::updates`], once the peer has received the whole table, in however many updates that was.
    fn updates_at_the_end_of_the_table(&mut self) -> u64 {
        let restart = "gracefulRestartInfo";
        wait_for("the end of the table", || {
            self.neighbor()[restart]["endOfRibRecv"]["ipv4Unicast"] == true
        });
        self.updates()
    }

    fn neighbor(&mut self) -> Value {
        self.peer.json("bgp neighbors 198.51.100.1")["198.51.100.1"].clone()
    }
}

const TWO_PREFIXES: &str = "
bgp:
  routers:
  - asn: 64500
    prefixes: [10.70.1.0/24, 10.70.2.0/24]
    neighbors:
    - address: 198.51.100.2
      asn: 64601
      connectTime: 1s
      toAdvertise: {allowed: {mode: all}}
";

#[test]
fn frr_shows_the_configuration_it_was_given() {
    for release in Release::all() {
        let mut lab = Lab::new(&release);
        let plan = lab.node.apply(&[TWO_PREFIXES]);
        lab.wait_for_routes(&["10.70.1.0/24", "10.70.2.0/24"]);
        assert_eq!(lab.node.difference().batches, [], "{release:?}");
        assert_ne!(plan.batches, []);
        assert_eq!(lab.node.apply(&[TWO_PREFIXES]).batches, []);
    }
}

#[test]
fn a_prefix_comes_and_goes_alone() {
    for release in Release::all() {
        let mut lab = Lab::new(&release);
        lab.node.apply(&[TWO_PREFIXES]);
        lab.wait_for_routes(&["10.70.1.0/24", "10.70.2.0/24"]);
        let before = lab.updates_at_the_end_of_the_table();

        let plan = lab
            .node
            .apply(&[&TWO_PREFIXES.replace("10.70.1.0/24", "10.70.0.0/24, 10.70.1.0/24")]);
        lab.wait_for_routes(&["10.70.0.0/24", "10.70.1.0/24", "10.70.2.0/24"]);
        assert_eq!(plan.batches.len(), 1);
        assert_eq!(
            plan.batches[0]
                .lines
                .iter()
                .filter(|line| line.starts_with("network"))
                .count(),
            1
        );

        lab.node.apply(&[&TWO_PREFIXES.replace("10.70.1.0/24, ", "")]);
        lab.wait_for_routes(&["10.70.2.0/24"]);

        assert_eq!(lab.updates(), before + 2, "one announcement and one withdrawal");
        let neighbor = lab.neighbor();
        assert_eq!(neighbor["connectionsDropped"], 0, "{release:?}");
        assert_eq!(neighbor["connectionsEstablished"], 1);
    }
}

#[test]
fn attributes_change_without_a_gap() {
    for release in Release::all() {
        let mut lab = Lab::new(&release);
        lab.node.apply(&[TWO_PREFIXES]);
        lab.wait_for_routes(&["10.70.1.0/24", "10.70.2.0/24"]);
        let with = |community: &str| {
            let item = format!(
                "toAdvertise: {{withCommunity: [{{community: '{community}', prefixes: [10.70.1.0/24]}}], "
            );
            TWO_PREFIXES.replace("toAdvertise: {", &item)
        };
        lab.node.apply(&[&with("64500:31")]);
        wait_for("a community", || {
            lab.path("10.70.1.0/24")["community"]["string"] == "64500:31"
        });
        lab.node.apply(&[&with("large:64500:7:9")]);
        wait_for("a large community", || {
            lab.path("10.70.1.0/24")["largeCommunity"]["string"] == "64500:7:9"
        });
        assert_eq!(lab.path("10.70.1.0/24")["community"], Value::Null);
        assert_eq!(lab.path("10.70.2.0/24")["largeCommunity"], Value::Null);
        assert_eq!(lab.node.difference().batches, [], "{release:?}");
        assert_eq!(lab.neighbor()["connectionsDropped"], 0);
    }
}

#[test]
fn nothing_is_accepted_unless_allowed() {
    for release in Release::all() {
        let mut lab = Lab::new(&release);
        lab.node.apply(&[TWO_PREFIXES]);
        lab.wait_for_routes(&["10.70.1.0/24", "10.70.2.0/24"]);
        let summary = |lab: &mut Lab| lab.node.frr.json("bgp neighbors 198.51.100.2")["198.51.100.2"].clone();
        let accepted =
            |neighbor: &Value| neighbor["addressFamilyInfo"]["ipv4Unicast"]["acceptedPrefixCounter"].clone();
        // The end-of-RIB marker follows the prefix, so the second update says that the prefix was there.
        let updates = |neighbor: &Value| {
            neighbor["messageStats"]["updatesRecv"]
                .as_u64()
                .unwrap_or_default()
        };
        wait_for("the peer's table", || updates(&summary(&mut lab)) >= 2);
        assert_eq!(accepted(&summary(&mut lab)), 0, "{release:?}");

        lab.node.apply(&[&TWO_PREFIXES.replace(
            "toAdvertise",
            "toReceive: {allowed: {mode: all}}\n      toAdvertise",
        )]);
        wait_for("an accepted prefix", || accepted(&summary(&mut lab)) == 1);
        lab.node.apply(&[TWO_PREFIXES]);
        wait_for("no accepted prefix", || accepted(&summary(&mut lab)) == 0);
        assert_eq!(summary(&mut lab)["connectionsDropped"], 0);
    }
}

#[test]
fn one_neighbor_more_is_nothing_new_for_the_others() {
    for release in Release::all() {
        let mut lab = Lab::new(&release);
        lab.node.apply(&[TWO_PREFIXES]);
        lab.wait_for_routes(&["10.70.1.0/24", "10.70.2.0/24"]);
        let before = lab.updates_at_the_end_of_the_table();
        let other =
            "neighbors:\n    - {address: 198.51.100.3, asn: 64603, toAdvertise: {allowed: {mode: all}}}";
        let both = TWO_PREFIXES.replace("neighbors:", other);
        lab.node.apply(&[&both]);
        let more = both.replace("10.70.1.0/24", "10.70.0.0/24, 10.70.1.0/24");
        lab.node.apply(&[&more]);
        lab.wait_for_routes(&["10.70.0.0/24", "10.70.1.0/24", "10.70.2.0/24"]);
        assert_eq!(lab.updates(), before + 1, "{release:?}");
        assert_eq!(lab.node.difference().batches, []);
    }
}
