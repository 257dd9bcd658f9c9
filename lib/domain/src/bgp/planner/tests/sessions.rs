//! Routers and neighbors.

use std::time::Duration;

use super::*;

#[test]
fn peers_choose_nodes_and_come_and_go_with_their_routes() {
    let mut world = World::new();
    world.peers[1].node_selectors = vec![selector(&[("rack", "r2")])];
    world.configure();
    assert_eq!(world.bgp("edge-a").routers[0].neighbors.len(), 1);
    let changes = world.set_labels("edge-a", |view| {
        view.labels.insert("rack".to_owned(), "r2".to_owned());
    });
    assert_eq!(changes.nodes, BTreeSet::from([node("edge-a")]));
    assert_eq!(world.announced("edge-a", "10.61.2.1"), CART);
}

#[test]
fn the_last_peer_gone_leaves_an_empty_object_and_a_node_that_never_had_one_has_none() {
    let mut world = World::new();
    world.peers.clear();
    world.configure();
    assert!(world.bgp("edge-a").routers.is_empty());
    world.planner.set_node(&node("edge-d"), node_view("edge-d", "r1"));
    assert_eq!(world.planner.plan(&node("edge-d")), None);
}

#[test]
fn routers_are_one_per_vrf_and_sorted() {
    let mut world = World::new();
    let id = Some(address("10.61.1.10"));
    world.peers.push(Peer {
        vrf: Some("blue".to_owned()),
        my_asn: 64611,
        ..peer("blue", 64710, "10.61.1.1")
    });
    world.configure();
    let routers = world.bgp("edge-a").routers;
    let shape: Vec<_> = routers
        .iter()
        .map(|router| (router.asn, router.vrf.as_str()))
        .collect();
    assert_eq!(shape, [(64610, ""), (64611, "blue")]);
    assert!(
        routers
            .iter()
            .all(|router| router.prefixes == CART && router.id.is_none())
    );
    for peer in &mut world.peers {
        peer.router_id = id;
    }
    world.configure();
    assert!(
        world
            .bgp("edge-a")
            .routers
            .iter()
            .all(|router| router.id.as_deref() == Some("10.61.1.10"))
    );
}

#[rstest]
#[case::same_address(peer("tor1x", 64711, "10.61.1.1"))]
#[case::other_router_id(Peer { router_id: Some(address("1.2.3.4")), ..peer("tor3", 64710, "10.61.3.1") })]
#[case::other_router_id_in_a_vrf(
    Peer { router_id: Some(address("1.2.3.4")), vrf: Some("blue".to_owned()), ..peer("tor3", 64710, "10.61.3.1") })]
#[case::other_asn(Peer { my_asn: 64612, ..peer("tor3", 64710, "10.61.3.1") })]
#[case::unknown_profile(Peer { bfd_profile: Some("ghost".to_owned()), ..peer("tor3", 64710, "10.61.3.1") })]
fn a_peer_that_contradicts_others_is_named_and_left_out(#[case] bad: Peer) {
    let mut world = World::new();
    let good = world.bgp("edge-a");
    let name = bad.name.to_string();
    world.peers.push(bad.clone());
    let changes = world.configure();
    assert_eq!(
        changes.nodes,
        BTreeSet::from([node("edge-b"), node("edge-c")]),
        "those never asked for"
    );
    assert_eq!(world.bgp("edge-a"), good);
    let problems = world.planner.problems();
    assert_eq!(
        problems.iter().map(|problem| &problem.name).collect::<Vec<_>>(),
        [&name]
    );
    // On a node of its own it is welcome, unless what it names does not exist.
    if bad.bfd_profile.is_none() {
        for peer in &mut world.peers {
            peer.node_selectors = vec![selector(&[(
                "rack",
                if *peer.name == *name { "r1" } else { "r2" },
            )])];
        }
        world.configure();
        assert!(world.planner.problems().is_empty());
        assert_eq!(world.bgp("edge-a").routers[0].neighbors.len(), 1);
    }
}

#[test]
fn session_settings_are_passed_on() {
    let mut world = World::new();
    let secret = PeerPassword::Secret {
        name: "tor1-pw".to_owned(),
        namespace: String::new(),
        value: Some(Password("from the Secret".to_owned())),
    };
    world.profiles = vec![profile("slow"), profile("fast")];
    world.peers[0] = Peer {
        timers: Some((Duration::from_secs(10), Duration::from_secs(10) / 3)),
        connect_time: Some(Duration::from_secs(5)),
        source_address: Some(address("10.61.1.10")),
        local_asn: Some(64999),
        bfd_profile: Some("fast".to_owned()),
        password: Some(secret),
        ebgp_multi_hop: true,
        graceful_restart: true,
        port: 1179,
        ..peer("tor1", 64710, "10.61.1.1")
    };
    world.peers[1].password = Some(PeerPassword::Plain(Password("k1".to_owned())));
    world.peers[1].local_asn = Some(64999);
    world.configure();
    let tor1 = serde_json::to_value(world.neighbor("edge-a", "10.61.1.1")).unwrap();
    let expected = json!({
        "asn": 64710, "address": "10.61.1.1", "port": 1179, "holdTime": "10s", "keepaliveTime": "3.333333333s",
        "connectTime": "5s", "sourceaddress": "10.61.1.10", "localASN": 64999, "bfdProfile": "fast",
        "passwordSecret": {"name": "tor1-pw"}, "ebgpMultiHop": true, "enableGracefulRestart": true,
    });
    assert!(covers(&tor1, &expected), "{tor1:#}");
    assert!(tor1.get("password").is_none());
    let tor2 = serde_json::to_value(world.neighbor("edge-a", "10.61.2.1")).unwrap();
    assert_eq!(tor2["password"], "k1");
    assert!(
        tor2.get("localASN").is_none(),
        "an internal peer cannot be shown another AS number"
    );
    let problems: Vec<_> = world.planner.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "BGPPeer tor2: localASN 64999 has no effect, because the peer is in AS 64610 as we are: remove spec.localASN"
        ]
    );
    world.peers[0].local_asn = Some(64710);
    world.peers[1].local_asn = None;
    world.configure();
    assert_eq!(
        world.neighbor("edge-a", "10.61.1.1").local_asn,
        None,
        "it is the peer's"
    );
    assert_eq!(world.planner.problems().len(), 1);
    let profiles: Vec<_> = world
        .bgp("edge-a")
        .bfd_profiles
        .into_iter()
        .map(|profile| profile.name)
        .collect();
    assert_eq!(profiles, ["fast", "slow"], "used or not");
    world.peers[0].bfd_profile = None;
    world.profiles.clear();
    world.configure();
    assert!(
        world.bgp("edge-a").bfd_profiles.is_empty(),
        "the last one goes, too"
    );
}

#[test]
fn the_object_selects_the_hostname_label_of_its_node() {
    let mut world = World::new();
    let name = node("ip-10-0-0-9.corp");
    world.planner.set_node(&name, node_view("ip-10-0-0-9", "r1"));
    let plan = world.planner.plan(&name).unwrap();
    assert_eq!(plan.name(), "metallb-ip-10-0-0-9.corp");
    assert_eq!(plan.labels(), labels(&[(NODE_LABEL, "ip-10-0-0-9.corp")]));
    let spec = plan.spec();
    assert_eq!(
        spec.node_selector.match_labels,
        Some(labels(&[(HOSTNAME_LABEL, "ip-10-0-0-9")]))
    );
    let long = node(&"n".repeat(64));
    world.planner.set_node(&long, node_view("short", "r1"));
    assert!(
        world.planner.plan(&long).unwrap().labels().is_empty(),
        "it is no label value"
    );
}

#[test]
fn a_password_from_a_secret_is_written_out_only_where_the_agent_cannot_read_the_secret() {
    let mut world = World::new();
    let secret = |value: Option<&str>| PeerPassword::Secret {
        name: "tor1-pw".to_owned(),
        namespace: "lb-system".to_owned(),
        value: value.map(|text| Password(text.to_owned())),
    };
    world.peers[0].password = Some(secret(Some("k1")));
    world.configure();
    let tor1 = world.neighbor("edge-a", "10.61.1.1");
    assert_eq!(
        (tor1.password, tor1.password_secret.name.as_str()),
        (None, "tor1-pw")
    );
    world.secrets = SecretHandling::Resolve;
    world.configure();
    let tor1 = world.neighbor("edge-a", "10.61.1.1");
    assert_eq!(tor1.password, Some(Password("k1".to_owned())));
    assert!(tor1.password_secret.name.is_empty());
    world.peers[0].password = Some(secret(Some("k2")));
    let changes = world.configure();
    assert_eq!(changes.nodes.len(), 3, "a new password is a change");
    world.peers[0].password = Some(secret(None));
    world.configure();
    let tor1 = world.neighbor("edge-a", "10.61.1.1");
    assert_eq!(
        tor1.password_secret.name, "tor1-pw",
        "passed on when the Secret was not looked at"
    );
}
