use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointSlice};
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use rstest::rstest;

use super::{Ballot, Reach, Standing, Verdict, canonical, decide, hash};
use crate::endpoints::UsableEndpoints;

const GOOD: Standing = Standing {
    alive: true,
    barred: false,
};

fn endpoints(nodes: &[&str]) -> UsableEndpoints {
    let endpoints = nodes.iter().map(|node| Endpoint {
        addresses: vec!["10.0.0.1".to_owned()],
        conditions: Some(EndpointConditions {
            ready: Some(true),
            ..EndpointConditions::default()
        }),
        node_name: (!node.is_empty()).then(|| (*node).to_owned()),
        ..Endpoint::default()
    });
    let slice = EndpointSlice {
        endpoints: endpoints.collect(),
        ..EndpointSlice::default()
    };
    UsableEndpoints::of([&slice])
}

fn reach(nodes: &[(&str, u32)]) -> Reach {
    let nodes = nodes
        .iter()
        .map(|(node, weight)| ((*node).to_owned(), *weight))
        .collect();
    Reach {
        selects_services: false,
        nodes,
    }
}

/// A cluster of n1, n2 and n3 in which 192.0.2.10 elects n2, then n3, then n1.
struct Scene {
    reaches: Vec<Reach>,
    standings: BTreeMap<&'static str, Standing>,
    endpoints: UsableEndpoints,
    local: bool,
    shared: bool,
}

impl Scene {
    fn new() -> Self {
        Self {
            reaches: vec![reach(&[("n1", 0), ("n2", 0), ("n3", 0)])],
            standings: BTreeMap::new(),
            endpoints: endpoints(&["n1"]),
            local: false,
            shared: false,
        }
    }

    fn verdict(&self, me: &str) -> Verdict<'_> {
        let ballot = Ballot {
            address: "192.0.2.10".parse().unwrap(),
            local: self.local,
            shared: self.shared,
            endpoints: &self.endpoints,
        };
        let reaches: Vec<_> = self.reaches.iter().collect();
        decide(me, &ballot, &reaches, |node| {
            self.standings.get(node).copied().unwrap_or(GOOD)
        })
    }

    fn owners(&self) -> Vec<&'static str> {
        let mut nodes = vec!["n1", "n2", "n3"];
        nodes.retain(|node| self.verdict(node) == Verdict::Announce);
        nodes
    }
}

#[rstest]
#[case("192.0.2.10", &["n2", "n3", "n1"], &["6c55bbd10aba", "83d302abfa79", "9870ca2e9956"])]
#[case("192.0.2.11", &["n1", "n3", "n2"], &["50fb57c90912", "95cc3e338e66", "bab4bd649cb7"])]
#[case("2001:db8::10", &["n1", "n2", "n3"], &["4cf83e1a77f1", "a43bec36d245", "fa3f0f265876"])]
#[case("fc00::", &["n2", "n3", "n1"], &["a8aabd2f41fb", "be4207bc17ff", "e0317f2eee44"])]
#[case(
    "172.18.255.200",
    &["kind-worker2", "kind-worker", "kind-control-plane"],
    &["3599cdb10075", "3f4d244fa84c", "b78e2fdd15c5"]
)]
#[case(
    "172.18.255.201",
    &["kind-worker2", "kind-control-plane", "kind-worker"],
    &["27d3e04607ab", "a1865e716326", "c74fe9428882"]
)]
fn the_order_other_implementations_compute(
    #[case] address: &str,
    #[case] order: &[&str],
    #[case] digests: &[&str],
) {
    for (node, expected) in order.iter().zip(digests) {
        let digest = hash(node, address);
        let hex: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, *expected, "{node}");
    }
    assert!(digests.is_sorted());
}

#[rstest]
#[case("::ffff:192.0.2.10", "192.0.2.10")]
#[case("2001:DB8:0:0:0:0:0:10", "2001:db8::10")]
#[case("2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1")]
#[case("::102:304", "::102:304")]
fn addresses_are_hashed_in_one_spelling(#[case] address: IpAddr, #[case] text: &str) {
    assert_eq!(canonical(address), text);
}

#[test]
fn the_first_of_the_order_announces_and_nobody_else() {
    let scene = Scene::new();
    assert_eq!(scene.verdict("n2"), Verdict::Announce);
    assert_eq!(scene.verdict("n3"), Verdict::NotOwner { rival: Some("n2") });
    assert!(matches!(
        scene.verdict("n1"),
        Verdict::NotOwner { rival: Some(_) }
    ));
}

#[rstest]
#[case::the_owner_dies("n2", Standing { alive: false, barred: false }, &["n3"])]
#[case::another_dies("n1", Standing { alive: false, barred: false }, &["n2"])]
#[case::the_owner_is_barred("n2", Standing { alive: true, barred: true }, &["n3"])]
fn the_next_takes_over(#[case] node: &'static str, #[case] standing: Standing, #[case] owners: &[&str]) {
    let mut scene = Scene::new();
    scene.standings.insert(node, standing);
    assert_eq!(scene.owners(), owners);
}

#[test]
fn when_all_seem_dead_the_order_stands() {
    let mut scene = Scene::new();
    for node in ["n1", "n2", "n3"] {
        scene.standings.insert(
            node,
            Standing {
                alive: false,
                barred: false,
            },
        );
    }
    assert_eq!(scene.owners(), ["n2"]);
}

#[test]
fn when_all_are_barred_nobody_announces() {
    let mut scene = Scene::new();
    for node in ["n1", "n2", "n3"] {
        scene.standings.insert(
            node,
            Standing {
                alive: true,
                barred: true,
            },
        );
    }
    assert!(scene.owners().is_empty());
    assert_eq!(scene.verdict("n2"), Verdict::NotOwner { rival: None });
}

#[rstest]
#[case::no_endpoints(&[], false, &[])]
#[case::anywhere_is_enough(&["elsewhere"], false, &["n2"])]
#[case::local_single(&["n1"], true, &["n1"])]
#[case::local_two(&["n1", "n3"], true, &["n3"])]
#[case::their_number_does_not_count(&["n1", "n1", "n3"], true, &["n3"])]
#[case::local_without_node_name(&[""], true, &[])]
fn endpoints_and_policy(#[case] nodes: &[&str], #[case] local: bool, #[case] owners: &[&str]) {
    let scene = Scene {
        endpoints: endpoints(nodes),
        local,
        ..Scene::new()
    };
    assert_eq!(scene.owners(), owners);
}

#[rstest]
#[case::one_node(vec![reach(&[("n1", 0)])], false, &["n1"])]
#[case::two_advertisements(vec![reach(&[("n1", 0)]), reach(&[("n3", 0)])], false, &["n3"])]
#[case::local_endpoint_decides(vec![reach(&[("n1", 0)]), reach(&[("n3", 0)])], true, &["n1"])]
#[case::none(vec![], false, &[])]
#[case::preferred(vec![reach(&[("n1", 10), ("n2", 0)])], false, &["n1"])]
#[case::weights_add_up(vec![reach(&[("n1", 40), ("n2", 0)]), reach(&[("n1", 40), ("n3", 70)])], false, &["n1"])]
#[case::preferred_without_endpoint(vec![reach(&[("n1", 0), ("n3", 50)])], true, &["n1"])]
fn advertisements(#[case] reaches: Vec<Reach>, #[case] local: bool, #[case] owners: &[&str]) {
    let scene = Scene {
        reaches,
        local,
        ..Scene::new()
    };
    assert_eq!(scene.owners(), owners);
}

#[test]
fn a_node_that_no_advertisement_selects_is_told_so_before_anything_about_endpoints() {
    let scene = Scene {
        reaches: vec![reach(&[("n2", 0)])],
        local: true,
        ..Scene::new()
    };
    assert_eq!(scene.verdict("n1"), Verdict::NoMatchingAdvertisement);
    assert_eq!(scene.verdict("n2"), Verdict::NotOwner { rival: None });
}

#[test]
fn sharing_and_service_selectors_exclude_each_other() {
    let mut scene = Scene {
        shared: true,
        ..Scene::new()
    };
    assert_eq!(scene.owners(), ["n2"], "sharing alone is fine");
    scene.reaches[0].selects_services = true;
    assert_eq!(scene.verdict("n2"), Verdict::SharedIpWithServiceSelector);
    assert_eq!(scene.verdict("elsewhere"), Verdict::SharedIpWithServiceSelector);
    scene.shared = false;
    assert_eq!(scene.owners(), ["n2"], "selectors alone are fine");
}

#[test]
fn a_range_of_addresses_spreads_over_both_nodes() {
    let two = reach(&[("n1", 0), ("n2", 0)]);
    let endpoints = endpoints(&["n1"]);
    let mut first = 0;
    for last in 1..=254u8 {
        let ballot = Ballot {
            address: IpAddr::from([192, 0, 2, last]),
            local: false,
            shared: false,
            endpoints: &endpoints,
        };
        let owns = |me| decide(me, &ballot, &[&two], |_| GOOD) == Verdict::Announce;
        assert!(owns("n1") != owns("n2"));
        first += u32::from(owns("n1"));
    }
    assert!((64..190).contains(&first), "n1 got {first} of 254");
}

#[derive(Clone, Debug)]
struct Cluster {
    reaches: Vec<Reach>,
    standings: BTreeMap<String, Standing>,
    endpoints: Vec<String>,
    local: bool,
    address: IpAddr,
}

impl Cluster {
    fn verdict(&self, me: &str) -> Verdict<'_> {
        let names: Vec<_> = self.endpoints.iter().map(String::as_str).collect();
        let endpoints = endpoints(&names);
        let ballot = Ballot {
            address: self.address,
            local: self.local,
            shared: false,
            endpoints: &endpoints,
        };
        let reaches: Vec<_> = self.reaches.iter().collect();
        decide(me, &ballot, &reaches, |node| self.standings[node])
    }

    fn owners(&self) -> BTreeSet<&str> {
        let nodes = self.standings.keys().map(String::as_str);
        nodes
            .filter(|node| self.verdict(node) == Verdict::Announce)
            .collect()
    }
}

fn clusters() -> impl Strategy<Value = Cluster> {
    let node = || (0u8..8).prop_map(|number| format!("node-{number}"));
    let reach = proptest::collection::btree_map(node(), 0u32..3, 0..8).prop_map(|nodes| Reach {
        selects_services: false,
        nodes,
    });
    let standings = proptest::collection::vec((any::<bool>(), proptest::bool::weighted(0.2)), 8);
    (
        proptest::collection::vec(reach, 0..3),
        standings,
        proptest::collection::vec(node(), 0..4),
        any::<bool>(),
        any::<[u8; 4]>(),
    )
        .prop_map(|(reaches, standings, endpoints, local, address)| Cluster {
            reaches,
            standings: (0..)
                .zip(standings)
                .map(|(number, (alive, barred))| (format!("node-{number}"), Standing { alive, barred }))
                .collect(),
            endpoints,
            local,
            address: address.into(),
        })
}

proptest! {
    #[test]
    fn exactly_one_node_announces_what_somebody_can(cluster in clusters()) {
        let able = cluster.standings.iter().any(|(node, standing)| {
            !standing.barred
                && cluster.reaches.iter().any(|reach| reach.nodes.contains_key(node))
                && !cluster.endpoints.is_empty()
                && (!cluster.local || cluster.endpoints.contains(node))
        });
        prop_assert_eq!(cluster.owners().len(), usize::from(able));
    }

    #[test]
    fn the_dead_announce_only_when_no_living_can(cluster in clusters()) {
        for owner in cluster.owners() {
            let living = Cluster {
                reaches: cluster.reaches.iter().map(|reach| Reach {
                    nodes: reach.nodes.iter().filter(|(node, _)| cluster.standings[*node].alive)
                        .map(|(node, weight)| (node.clone(), *weight)).collect(),
                    ..reach.clone()
                }).collect(),
                ..cluster.clone()
            };
            prop_assert!(cluster.standings[owner].alive || living.owners().is_empty());
        }
    }

    #[test]
    fn a_node_that_leaves_moves_only_what_it_owned(cluster in clusters(), leaving in 0u8..8) {
        let leaving = format!("node-{leaving}");
        let mut after = cluster.clone();
        for reach in &mut after.reaches {
            reach.nodes.remove(&leaving);
        }
        let before = cluster.owners();
        if !before.contains(leaving.as_str()) {
            prop_assert_eq!(before, after.owners());
        }
    }

    /// What lets a speaker ignore news about every node but its rival.
    #[test]
    fn while_the_rival_stands_other_nodes_do_not_matter(
        cluster in clusters(), other in 0u8..8, alive in any::<bool>(), barred in any::<bool>(),
    ) {
        let other = format!("node-{other}");
        let mut after = cluster.clone();
        after.standings.insert(other.clone(), Standing { alive, barred });
        for me in cluster.standings.keys().filter(|me| **me != other) {
            if let Verdict::NotOwner { rival } = cluster.verdict(me)
                && rival != Some(other.as_str())
            {
                prop_assert!(after.verdict(me) != Verdict::Announce);
            }
        }
    }
}
