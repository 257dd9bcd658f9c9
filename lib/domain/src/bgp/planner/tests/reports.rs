//! What is reported about Services.

use super::*;

fn peers(world: &World, service: &str, name: &str) -> Vec<String> {
    let peers = world.planner.peers_on(&key(service), &node(name));
    peers.iter().map(ToString::to_string).collect()
}

#[test]
fn a_service_is_reported_with_the_peers_that_hear_of_it() {
    let mut world = World::new();
    world.peers.push(peer("tor6", 64710, "fd61:1::1"));
    world.configure();
    let by_node = world.planner.peers_by_node(&key("shop/cart"));
    assert_eq!(by_node.keys().map(|name| &**name).collect::<Vec<_>>(), ALL);
    assert_eq!(
        peers(&world, "shop/cart", "edge-a"),
        ["tor1", "tor2"],
        "tor6 carries no IPv4 routes"
    );
    world.ads[0].peers = BTreeSet::from(["tor2".to_owned()]);
    world.configure();
    assert_eq!(peers(&world, "shop/cart", "edge-a"), ["tor2"]);
    let changes = world.set_labels("edge-a", |view| {
        view.labels.insert(EXCLUDE_LABEL.to_owned(), String::new());
    });
    assert_eq!(changes.service_nodes, BTreeSet::from([node("edge-a")]));
    assert!(peers(&world, "shop/cart", "edge-a").is_empty());
}

#[test]
fn services_that_share_a_route_share_its_peers() {
    let mut world = World::new();
    world.ads = vec![
        BgpAdvertisement {
            peers: BTreeSet::from(["tor1".to_owned()]),
            service_selectors: vec![selector(&[("to", "tor1")])],
            ..ad("one")
        },
        BgpAdvertisement {
            peers: BTreeSet::from(["tor2".to_owned()]),
            service_selectors: vec![selector(&[("to", "tor2")])],
            ..ad("two")
        },
    ];
    world.configure();
    world.serve("shop/x", &["203.0.113.30"], &[("to", "tor1")]);
    let changes = world.serve("shop/y", &["203.0.113.30"], &[("to", "tor2")]);
    assert_eq!(
        changes.services,
        BTreeSet::from([key("shop/x"), key("shop/y")]),
        "x has another peer now"
    );
    assert_eq!(peers(&world, "shop/x", "edge-b"), ["tor1", "tor2"]);
    assert_eq!(peers(&world, "shop/y", "edge-b"), ["tor1", "tor2"]);
}

#[rstest]
#[case::gone(|world: &mut World| { world.planner.set_service(&key("shop/cart"), None); }, Withheld::NoService)]
#[case::no_address(|world: &mut World| { world.set("shop/cart", ServiceView::default()); }, Withheld::NoAddress)]
#[case::elsewhere(|world: &mut World| { world.serve("shop/cart", &["192.0.2.1"], &[]); }, Withheld::NotAllowed)]
#[case::no_ad(|world: &mut World| { world.ads.clear(); world.configure(); }, Withheld::NotOwner)]
#[case::not_selected(|world: &mut World| {
    world.ads[0].service_selectors = vec![selector(&[("tier", "gold")])];
    world.configure();
}, Withheld::NoMatchingAdvertisement)]
#[case::no_endpoints(|world: &mut World| {
    world.planner.set_endpoints(&key("shop/cart"), UsableEndpoints::default());
}, Withheld::NoEndpoints)]
#[case::network(|world: &mut World| {
    for name in ALL { world.set_labels(name, |view| view.network_unavailable = true); }
}, Withheld::NetworkUnavailable)]
#[case::excluded(|world: &mut World| {
    for name in ALL {
        world.set_labels(name, |view| { view.labels.insert(EXCLUDE_LABEL.to_owned(), String::new()); });
    }
}, Withheld::ExcludedNode)]
fn a_service_that_is_not_announced_has_a_reason(#[case] change: fn(&mut World), #[case] expected: Withheld) {
    let mut world = World::new();
    assert_eq!(world.planner.verdict(&key("shop/cart")).announcing.len(), 3);
    change(&mut world);
    let verdict = world.planner.verdict(&key("shop/cart"));
    assert_eq!(verdict.withheld, BTreeMap::from([(expected, 3)]));
    assert!(verdict.announcing.is_empty());
    assert!(world.announcing().is_empty());
}

#[test]
fn local_endpoints_are_missed_per_node() {
    let mut world = World::new();
    world.set_local();
    let verdict = world.planner.verdict(&key("shop/cart"));
    assert_eq!(verdict.announcing, BTreeSet::from([node("edge-b")]));
    assert_eq!(
        verdict.withheld,
        BTreeMap::from([(Withheld::NoLocalEndpoints, 2)])
    );
}
