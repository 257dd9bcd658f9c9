//! Which nodes announce a Service, and to which peers.

use super::*;

#[test]
fn every_node_gets_one_router_with_both_sessions_and_the_route() {
    let mut world = World::new();
    for name in ALL {
        let plan = world.planner.plan(&node(name)).unwrap();
        assert_eq!(plan.name(), format!("metallb-{name}"));
        let expected = json!({
            "nodeSelector": {"matchLabels": {"kubernetes.io/hostname": name}},
            "bgp": {"routers": [{
                "asn": 64610,
                "prefixes": CART,
                "neighbors": [
                    {"asn": 64610, "address": "10.61.2.1", "port": 179, "toAdvertise": {"allowed": {"prefixes": CART}}},
                    {"asn": 64710, "address": "10.61.1.1", "port": 179, "toAdvertise": {"allowed": {"prefixes": CART}}},
                ],
            }]},
        });
        let spec = serde_json::to_value(plan.spec()).unwrap();
        assert_eq!(spec["bgp"]["routers"][0]["neighbors"][0]["address"], "10.61.2.1");
        assert!(covers(&spec, &expected), "{spec:#}");
    }
}

#[test]
fn without_services_the_sessions_are_there_and_announce_nothing() {
    let mut world = World::new();
    world.planner.set_service(&key("shop/cart"), None);
    let bgp = world.bgp("edge-a");
    assert_eq!(bgp.routers[0].neighbors.len(), 2);
    assert!(bgp.routers[0].prefixes.is_empty());
    assert!(world.announced("edge-a", "10.61.1.1").is_empty());
}

#[rstest]
#[case::on_edge_b(json!([{"addresses": ["10.1.1.1"], "nodeName": "edge-b"}]), &["edge-b"], &ALL)]
#[case::without_node_name(json!([{"addresses": ["10.1.1.1"]}]), &[], &ALL)]
#[case::neither_ready_nor_serving(
    json!([{"addresses": ["10.1.1.1"], "nodeName": "edge-b", "conditions": {"ready": false, "serving": false}}]), &[], &[])]
#[case::draining(
    json!([{"addresses": ["10.1.1.1"], "nodeName": "edge-b", "conditions": {"ready": false, "serving": true}}]), &["edge-b"], &ALL)]
#[case::readiness_unknown(
    json!([{"addresses": ["10.1.1.1"], "nodeName": "edge-b", "conditions": {"serving": false}}]), &["edge-b"], &ALL)]
#[case::without_address(json!([{"addresses": [], "nodeName": "edge-b"}]), &[], &[])]
#[case::none(json!([]), &[], &[])]
fn endpoints_decide_who_announces(
    #[case] value: serde_json::Value,
    #[case] local: &[&str],
    #[case] cluster: &[&str],
) {
    let mut world = World::new();
    world.planner.set_endpoints(&key("shop/cart"), endpoints(value));
    assert_eq!(world.announcing(), cluster);
    world.set_local();
    assert_eq!(world.announcing(), local);
    assert_eq!(
        world.bgp("edge-a").routers[0].neighbors.len(),
        2,
        "sessions do not depend on endpoints"
    );
}

#[test]
fn a_node_excluded_from_load_balancers_announces_nothing_unless_told_to_ignore_that() {
    for (ignore, expected) in [(false, &ALL[1..]), (true, &ALL[..])] {
        let mut world = World::with_planner(Planner::new(ignore));
        world.set_labels("edge-a", |view| {
            view.labels.insert(EXCLUDE_LABEL.to_owned(), "false".to_owned());
        });
        assert_eq!(world.announcing(), expected);
        world.set_labels("edge-a", |view| {
            view.labels.remove(EXCLUDE_LABEL);
        });
        assert_eq!(world.announcing(), ALL);
    }
}

#[test]
fn a_node_without_network_announces_nothing() {
    let mut world = World::new();
    world.set_labels("edge-a", |view| view.network_unavailable = true);
    assert_eq!(world.announcing(), ["edge-b", "edge-c"]);
    world.set_labels("edge-a", |view| view.network_unavailable = false);
    assert_eq!(world.announcing(), ALL);
}

#[rstest]
#[case(Addresses::Invalid)]
#[case(Addresses::None)]
#[case(Addresses::Assigned(vec![address("203.0.113.10"), address("192.0.2.5")]))]
#[case(Addresses::Assigned(vec![address("203.0.113.10"), address("2001:db8:77::a")]))]
fn a_service_whose_addresses_are_not_all_in_one_pool_is_withdrawn(#[case] addresses: Addresses) {
    let mut world = World::new();
    let view = ServiceView {
        addresses,
        ..ServiceView::default()
    };
    let changes = world.set("shop/cart", view);
    assert_eq!(changes.nodes.len(), 3);
    assert!(world.announcing().is_empty());
    world.serve("shop/cart", &["203.0.113.10"], &[]);
    assert_eq!(world.announcing(), ALL);
}

#[test]
fn advertisements_choose_nodes() {
    let mut world = World::new();
    world.ads[0].node_selectors = vec![selector(&[("rack", "r2")])];
    world.configure();
    assert_eq!(world.announcing(), ["edge-b", "edge-c"]);
    world.set_labels("edge-a", |view| {
        view.labels.insert("rack".to_owned(), "r2".to_owned());
    });
    assert_eq!(world.announcing(), ALL);
}

#[test]
fn service_labels_decide() {
    let mut world = World::new();
    world.ads[0].service_selectors = vec![selector(&[("tier", "gold")]), selector(&[("team", "pay")])];
    world.configure();
    assert!(world.announcing().is_empty());
    world.serve("shop/cart", &["203.0.113.10"], &[("team", "pay")]);
    assert_eq!(world.announcing(), ALL);
    world.serve("shop/cart", &["203.0.113.10"], &[]);
    assert!(world.announcing().is_empty());
}

#[test]
fn advertisements_choose_peers() {
    let mut world = World::new();
    world.ads[0].peers = BTreeSet::from(["tor2".to_owned()]);
    world.configure();
    assert!(world.announced("edge-a", "10.61.1.1").is_empty());
    assert_eq!(world.announced("edge-a", "10.61.2.1"), CART);
    assert_eq!(world.bgp("edge-a").routers[0].prefixes, CART);
    world.ads[0].peers = BTreeSet::from(["ghost".to_owned()]);
    world.configure();
    assert!(world.bgp("edge-a").routers[0].prefixes.is_empty());
}

#[test]
fn a_prefix_goes_to_the_peers_of_its_family() {
    let mut world = World::new();
    world.pools = vec![pool("web", &["203.0.113.0/26", "2001:db8:77::/120"])];
    world.peers.push(peer("tor6", 64710, "fd61:1::1"));
    world.peers.push(Peer {
        remote: RemoteAsn::Dynamic(DynamicASN::External),
        ..peer("un", 0, "eth9")
    });
    world.peers.push(Peer {
        dual_stack: true,
        ..peer("both", 64710, "10.61.3.1")
    });
    world.configure();
    world.serve("shop/cart", &["203.0.113.10", "2001:db8:77::a"], &[]);
    assert_eq!(world.announced("edge-a", "10.61.1.1"), ["203.0.113.10/32"]);
    assert_eq!(world.announced("edge-a", "fd61:1::1"), ["2001:db8:77::a/128"]);
    for dual in ["eth9", "10.61.3.1"] {
        assert_eq!(
            world.announced("edge-a", dual),
            ["2001:db8:77::a/128", "203.0.113.10/32"]
        );
    }
    assert_eq!(world.neighbor("edge-a", "eth9").address, None);
    let only_v6 = vec![peer("tor6", 64710, "fd61:1::1")];
    world.peers = only_v6;
    world.configure();
    world.serve("shop/cart", &["203.0.113.10"], &[]);
    assert!(
        world.bgp("edge-a").routers[0].prefixes.is_empty(),
        "no neighbor takes the prefix"
    );
}

#[test]
fn a_service_with_contradicting_advertisements_is_not_announced_and_others_are() {
    let mut world = World::new();
    world.ads.push(BgpAdvertisement {
        local_pref: 300,
        service_selectors: vec![selector(&[("tier", "gold")])],
        ..ad("gold")
    });
    world.configure();
    world.serve("shop/api", &["203.0.113.11"], &[("tier", "gold")]);
    assert_eq!(world.announced("edge-a", "10.61.1.1"), CART);
    let verdict = world.planner.verdict(&key("shop/api"));
    assert_eq!(
        verdict.withheld,
        BTreeMap::from([(Withheld::ConflictingAdvertisements, 3)])
    );
}

#[test]
fn node_selectors_keep_advertisements_from_conflicting() {
    let mut world = World::new();
    world.ads = vec![
        BgpAdvertisement {
            local_pref: 100,
            node_selectors: vec![selector(&[("rack", "r1")])],
            ..ad("lo")
        },
        BgpAdvertisement {
            local_pref: 300,
            node_selectors: vec![selector(&[("rack", "r2")])],
            ..ad("hi")
        },
    ];
    world.configure();
    let mut local_pref = |name| world.neighbor(name, "10.61.2.1").to_advertise.with_local_pref[0].local_pref;
    assert_eq!((local_pref("edge-a"), local_pref("edge-b")), (100, 300));
}
