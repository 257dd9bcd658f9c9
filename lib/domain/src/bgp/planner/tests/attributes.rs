//! Prefixes and what they carry.

use super::*;

#[test]
fn an_aggregate_stays_until_its_last_service_leaves() {
    let mut world = World::new();
    world.ads[0].aggregation_v4 = 28;
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
    world.ads[0].aggregation_v6 = 120;
    world.peers.push(peer("tor6", 64710, "fd61:1::1"));
    world.configure();
    world.serve("shop/six", &["2001:db8:77::1f5"], &[]);
    assert_eq!(world.announced("edge-b", "fd61:1::1"), ["2001:db8:77::100/120"]);
}

#[test]
fn two_lengths_give_two_prefixes_with_their_own_attributes() {
    let mut world = World::new();
    world.ads = vec![
        Advertisement {
            communities: BTreeSet::from(["64610:32".into()]),
            ..ad("fine")
        },
        Advertisement {
            aggregation_v4: 28,
            local_pref: 150,
            ..ad("coarse")
        },
    ];
    world.pools[0].advertisements = BTreeSet::from(["fine".to_owned(), "coarse".to_owned()]);
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
    let communities = ["64610:9", "large:64610:5:6", "64610:10"];
    world.ads = vec![
        Advertisement {
            communities: communities.map(Into::into).into(),
            peers: BTreeSet::from(["tor1".to_owned()]),
            ..ad("a")
        },
        Advertisement {
            communities: BTreeSet::from(["64610:200".into()]),
            ..ad("b")
        },
        Advertisement {
            aggregation_v4: 28,
            local_pref: 1000,
            ..ad("c")
        },
        Advertisement {
            aggregation_v4: 27,
            local_pref: 200,
            ..ad("d")
        },
    ];
    world.pools[0].advertisements = ["a", "b", "c", "d"].map(str::to_owned).into();
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
        Advertisement {
            peers: BTreeSet::from(["tor1".to_owned()]),
            ..ad("base")
        },
        Advertisement {
            peers: BTreeSet::from(["tor2".to_owned()]),
            local_pref: 300,
            ..ad("hi")
        },
    ];
    world.pools[0].advertisements = ["base", "hi"].map(str::to_owned).into();
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
        Advertisement {
            local_pref: 200,
            services: vec![selector(&[("tier", "iron")])],
            ..ad("iron")
        },
        Advertisement {
            local_pref: 300,
            services: vec![selector(&[("tier", "gold")])],
            ..ad("gold")
        },
    ];
    world.pools[0].advertisements = ["gold", "iron"].map(str::to_owned).into();
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
    world.ads[0].aggregation_v4 = 28;
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
