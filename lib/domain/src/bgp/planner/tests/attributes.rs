//! Prefixes and what they carry.

use super::*;

#[test]
fn an_aggregate_stays_until_its_last_service_leaves() {
    let mut world = World::new();
    world.ads[0].aggregation_length = 28;
    world.configure();
    world.serve("shop/api", &["203.0.113.12"], &[]);
    assert_eq!(world.announced("edge-a", "10.61.1.1"), ["203.0.113.0/28"]);
    let changes = world.planner.set_service(&key("shop/cart"), None);
    assert!(changes.nodes.is_empty(), "the route is still there: {changes:?}");
    assert_eq!(world.announced("edge-a", "10.61.1.1"), ["203.0.113.0/28"]);
    world.planner.set_service(&key("shop/api"), None);
    assert!(world.announcing().is_empty());
}

#[test]
fn ipv6_addresses_are_aggregated_too() {
    let mut world = World::new();
    world.ads[0].aggregation_length_v6 = 120;
    world.peers.push(peer("tor6", 64710, "fd61:1::1"));
    world.configure();
    world.serve("shop/six", &["2001:db8:77::1f5"], &[]);
    assert_eq!(world.announced("edge-b", "fd61:1::1"), ["2001:db8:77::100/120"]);
}

#[test]
fn two_lengths_give_two_prefixes_with_their_own_attributes() {
    let mut world = World::new();
    world.ads = vec![
        BgpAdvertisement {
            communities: communities(&["64610:32"]),
            ..ad("fine")
        },
        BgpAdvertisement {
            aggregation_length: 28,
            local_pref: 150,
            ..ad("coarse")
        },
    ];
    world.configure();
    let told = serde_json::to_value(world.neighbor("edge-a", "10.61.2.1").to_advertise).unwrap();
    assert_eq!(
        told["allowed"]["prefixes"],
        json!(["203.0.113.0/28", "203.0.113.10/32"])
    );
    assert_eq!(
        told["withCommunity"],
        json!([{"community": "64610:32", "prefixes": ["203.0.113.10/32"]}])
    );
    assert_eq!(
        told["withLocalPref"],
        json!([{"localPref": 150, "prefixes": ["203.0.113.0/28"]}])
    );
}

#[test]
fn communities_unite_and_are_listed_as_text_local_preferences_by_number() {
    let mut world = World::new();
    world.ads = vec![
        BgpAdvertisement {
            communities: communities(&["64610:9", "large:64610:5:6", "64610:10"]),
            peers: BTreeSet::from(["tor1".to_owned()]),
            ..ad("a")
        },
        BgpAdvertisement {
            communities: communities(&["64610:200"]),
            ..ad("b")
        },
        BgpAdvertisement {
            aggregation_length: 28,
            local_pref: 1000,
            ..ad("c")
        },
        BgpAdvertisement {
            aggregation_length: 27,
            local_pref: 200,
            ..ad("d")
        },
    ];
    world.configure();
    let list = |neighbor: &Neighbor| -> Vec<String> {
        neighbor
            .to_advertise
            .with_community
            .iter()
            .map(|entry| entry.community.clone())
            .collect()
    };
    let tor1 = world.neighbor("edge-a", "10.61.1.1");
    assert_eq!(
        list(&tor1),
        ["64610:10", "64610:200", "64610:9", "large:64610:5:6"]
    );
    let local_prefs: Vec<_> = tor1
        .to_advertise
        .with_local_pref
        .iter()
        .map(|entry| entry.local_pref)
        .collect();
    assert_eq!(local_prefs, [200, 1000]);
    assert_eq!(list(&world.neighbor("edge-a", "10.61.2.1")), ["64610:200"]);
}

#[test]
fn prefixes_are_listed_in_the_order_of_their_text() {
    let mut world = World::new();
    world.serve("shop/api", &["203.0.113.2"], &[]);
    assert_eq!(
        world.announced("edge-a", "10.61.1.1"),
        ["203.0.113.10/32", "203.0.113.2/32"]
    );
}

#[test]
fn different_local_preferences_for_different_peers_do_not_conflict() {
    let mut world = World::new();
    world.ads = vec![
        BgpAdvertisement {
            peers: BTreeSet::from(["tor1".to_owned()]),
            ..ad("base")
        },
        BgpAdvertisement {
            peers: BTreeSet::from(["tor2".to_owned()]),
            local_pref: 300,
            ..ad("hi")
        },
    ];
    world.configure();
    assert!(
        world
            .neighbor("edge-a", "10.61.1.1")
            .to_advertise
            .with_local_pref
            .is_empty()
    );
    let tor2 = world.neighbor("edge-a", "10.61.2.1").to_advertise;
    assert_eq!(tor2.with_local_pref[0].local_pref, 300);
}

#[test]
fn services_sharing_an_address_get_one_local_preference() {
    let mut world = World::new();
    world.ads = vec![
        BgpAdvertisement {
            local_pref: 200,
            service_selectors: vec![selector(&[("tier", "iron")])],
            ..ad("iron")
        },
        BgpAdvertisement {
            local_pref: 300,
            service_selectors: vec![selector(&[("tier", "gold")])],
            ..ad("gold")
        },
    ];
    world.configure();
    world.serve("shop/x", &["203.0.113.30"], &[("tier", "gold")]);
    world.serve("shop/y", &["203.0.113.30"], &[("tier", "iron")]);
    let told = world.neighbor("edge-a", "10.61.2.1").to_advertise;
    let local_prefs: Vec<_> = told
        .with_local_pref
        .iter()
        .map(|entry| entry.local_pref)
        .collect();
    assert_eq!(
        local_prefs,
        [300],
        "that of the advertisement with the lowest name"
    );
    let contested = world.planner.verdict(&key("shop/x")).contested.unwrap();
    assert_eq!(contested.as_str(), "203.0.113.30/32");
}

#[test]
fn local_endpoints_attract_a_whole_aggregate() {
    let mut world = World::new();
    world.ads[0].aggregation_length = 28;
    world.configure();
    world.set_local();
    world.planner.set_endpoints(&key("shop/api"), ready_on("edge-c"));
    world.set(
        "shop/api",
        ServiceView {
            local: true,
            ..service_view(&["203.0.113.11"], &[])
        },
    );
    assert_eq!(world.announcing(), ["edge-b", "edge-c"]);
}

#[test]
fn an_advertisement_with_too_many_communities_is_left_out_alone() {
    let mut world = World::new();
    let many: Vec<_> = (0..64).map(|number| format!("64610:{number}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    world.ads.push(BgpAdvertisement {
        aggregation_length: 31,
        communities: communities(&many),
        ..ad("crowd")
    });
    world.configure();
    assert_eq!(world.announced("edge-a", "10.61.1.1"), CART);
    let problems = world.planner.problems();
    assert_eq!(
        problems.iter().map(|problem| &*problem.name).collect::<Vec<_>>(),
        ["crowd"]
    );
}
