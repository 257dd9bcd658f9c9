//! What happens when objects meet.

use std::collections::BTreeSet;

use rstest::rstest;

use super::*;
use crate::model::{Community, Neighbor, Receive};

fn neighbor(model: &Model) -> &Neighbor {
    model.routers[&Vrf::Default]
        .neighbors
        .values()
        .next()
        .expect("a neighbor")
}

#[rstest]
#[case::asn(json!({}), json!({"asn": 64602}), "asn: different values (64601 and 64602)")]
#[case::mode(json!({}), json!({"asn": null, "dynamicASN": "external"}), "asn: different values (64601 and external)")]
#[case::port(json!({}), json!({"port": 1790}), "port: different values (179 and 1790)")]
#[case::source(json!({"sourceaddress": "192.0.2.1"}), json!({}), "sourceaddress: different values (192.0.2.1 and unset)")]
#[case::password(json!({"password": "x"}), json!({"password": "y"}), "password: different values (hidden and hidden)")]
#[case::no_password(json!({"password": "x"}), json!({}), "password: different values")]
#[case::multihop(json!({"ebgpMultiHop": true}), json!({}), "ebgpMultiHop: different values (true and false)")]
#[case::dual(json!({"dualStackAddressFamily": true}), json!({}), "dualStackAddressFamily: different values")]
#[case::hold(json!({"holdTime": "90s", "keepaliveTime": "60s"}), json!({}), "holdTime: different values (90 and 180)")]
#[case::keepalive(json!({"holdTime": "180s", "keepaliveTime": "20s"}), json!({}), "keepaliveTime: different values (20 and 60)")]
#[case::connect(json!({}), json!({"connectTime": "7s"}), "connectTime: different values (60 and 7)")]
#[case::local(json!({"localASN": 64777}), json!({}), "localASN: different values (64777 and unset)")]
#[case::next_hop(json!({"toAdvertise": {"nextHop": {"ipv4": "192.0.2.1"}}}), json!({"toAdvertise": {"nextHop": {"ipv4": "192.0.2.2"}}}),
    "nextHop.ipv4: different values (192.0.2.1 and 192.0.2.2)")]
#[case::pref(
    json!({"toAdvertise": {"allowed": {"mode": "all"}, "withLocalPref": [{"localPref": 200, "prefixes": ["10.70.1.0/24"]}]}}),
    json!({"toAdvertise": {"allowed": {"mode": "all"}, "withLocalPref": [{"localPref": 300, "prefixes": ["10.70.1.0/24"]}]}}),
    "10.70.1.0/24 has the local preferences 200 and 300")]
fn neighbors_contradict_each_other(#[case] first: Value, #[case] second: Value, #[case] message: &str) {
    let text = refusal(&[with_neighbor(first), with_neighbor(second)]);
    assert!(text.contains(message), "{text}");
    assert!(
        text.starts_with("metallb-system/b contradicts metallb-system/a: router 64500-: neighbor "),
        "{text}"
    );
}

#[rstest]
#[case::asn(json!([{"asn": 64500}]), json!([{"asn": 64501}]), "different asns (64500 and 64501)")]
#[case::id(json!([{"asn": 64500, "id": "1.1.1.1"}]), json!([{"asn": 64500, "id": "2.2.2.2"}]), "id: different values")]
#[case::vnis(
    json!([{"asn": 1, "evpn": {"advertiseVNIs": "All"}, "neighbors": [{"address": "192.0.2.1", "asn": 2, "addressFamilies": ["evpn"]}]}]),
    json!([{"asn": 1, "evpn": {}}]), "advertiseVNIs: different values (true and false)")]
#[case::rd(
    json!([{"asn": 1, "evpn": {"l2vnis": [{"vni": 9, "rd": "1:1"}]}, "neighbors": [{"address": "192.0.2.1", "asn": 2, "addressFamilies": ["evpn"]}]}]),
    json!([{"asn": 1, "evpn": {"l2vnis": [{"vni": 9, "rd": "1:2"}]}}]), "evpn.rd: different values (1:1 and 1:2)")]
#[case::targets(
    json!([{"asn": 1, "evpn": {"l2vnis": [{"vni": 9, "importRTs": ["1:1"]}]}, "neighbors": [{"address": "192.0.2.1", "asn": 2, "addressFamilies": ["evpn"]}]}]),
    json!([{"asn": 1, "evpn": {"l2vnis": [{"vni": 9}]}}]), "VNI 9: importRTs is given once with route targets and once without")]
#[case::l3(
    json!([{"asn": 1, "vrf": "blue", "evpn": {"l3vni": {"vni": 8, "advertisePrefixes": ["unicast"]}}}]),
    json!([{"asn": 1, "vrf": "blue", "evpn": {"l3vni": {"vni": 9, "advertisePrefixes": ["unicast"]}}}]), "two different l3vni (8 and 9)")]
#[case::l3_neighbor(
    json!([{"asn": 1, "vrf": "blue", "evpn": {"l3vni": {"vni": 8, "advertisePrefixes": ["unicast"]}}}]),
    json!([{"asn": 1, "vrf": "blue", "neighbors": [{"address": "192.0.2.1", "asn": 2}]}]), "l3vni must have no neighbors")]
#[case::vni(
    json!([{"asn": 1, "vrf": "blue", "evpn": {"l3vni": {"vni": 8, "advertisePrefixes": ["unicast"]}}}]),
    json!([{"asn": 1, "vrf": "red", "evpn": {"l3vni": {"vni": 8, "advertisePrefixes": ["unicast"]}}}]), "VNI 8 is used more than once")]
fn routers_contradict_each_other(#[case] first: Value, #[case] second: Value, #[case] message: &str) {
    let text = refusal(&[routers(first), routers(second)]);
    assert!(text.contains(message), "{text}");
    assert!(
        text.starts_with("metallb-system/b contradicts metallb-system/a: "),
        "{text}"
    );
}

#[test]
fn the_contradicted_object_is_named_even_if_it_is_not_the_last() {
    let first = with_neighbor(json!({"port": 1790}));
    let other = routers(json!([{"asn": 64500, "prefixes": ["10.71.0.0/24"]}]));
    let text = refusal(&[first, other.clone(), with_neighbor(json!({"port": 1791}))]);
    assert!(
        text.starts_with("metallb-system/c contradicts metallb-system/a: "),
        "{text}"
    );
}

#[test]
fn a_bad_object_does_not_hurt_the_others() {
    let bad = with_neighbor(json!({"asn": 64602}));
    let more = routers(json!([{"asn": 64500, "prefixes": ["10.71.0.0/24"]}]));
    let merged = merge_all(&[with_neighbor(json!({})), bad, more.clone()]);
    let names: Vec<&str> = merged
        .accepted
        .iter()
        .map(|object| object.name.as_str())
        .collect();
    assert_eq!(names, ["a", "c"]);
    assert_eq!(merged.model, accepted(&[with_neighbor(json!({})), more]));
}

#[test]
fn bfd_profiles_may_be_repeated_but_not_changed() {
    let profile = |interval: Value| json!({"bgp": {"bfdProfiles": [{"name": "fast", "receiveInterval": interval, "echoMode": false}]}});
    let same = json!({"bgp": {"bfdProfiles": [{"name": "fast", "receiveInterval": 300}]}});
    assert_eq!(accepted(&[profile(json!(300)), same]).bfd_profiles.len(), 1);
    let text = refusal(&[profile(json!(300)), profile(Value::Null)]);
    assert!(
        text.contains("duplicate profile fast with different values"),
        "{text}"
    );
}

#[test]
fn a_profile_of_another_object_does_not_count() {
    let profile = json!({"bgp": {"bfdProfiles": [{"name": "fast"}]}});
    let text = refusal(&[profile, with_neighbor(json!({"bfdProfile": "fast"}))]);
    assert!(
        text.contains("bfdProfile: fast is not defined in the bfdProfiles of the same object"),
        "{text}"
    );
}

#[test]
fn one_side_may_leave_bfd_out() {
    let profiles = |name: &str| {
        let mut spec = with_neighbor(json!({"bfdProfile": name}));
        spec["bgp"]["bfdProfiles"] = json!([{"name": name}]);
        spec
    };
    let plain = with_neighbor(json!({}));
    for model in [
        accepted(&[plain.clone(), profiles("fast")]),
        accepted(&[profiles("fast"), plain.clone()]),
    ] {
        assert_eq!(neighbor(&model).bfd_profile.as_ref().unwrap().as_str(), "fast");
    }
    let text = refusal(&[plain, profiles("fast"), profiles("slow")]);
    assert!(
        text.contains("multiple bfd profiles specified for the neighbor (fast and slow)"),
        "{text}"
    );
}

#[test]
fn all_covers_the_prefixes_of_its_own_object_only() {
    let first = with_neighbor(json!({"toAdvertise": {"allowed": {"mode": "all"}}}));
    let second = routers(json!([{"asn": 64500, "prefixes": ["10.71.0.0/24"]}]));
    let model = accepted(&[first.clone(), second]);
    assert_eq!(model.routers[&Vrf::Default].prefixes.len(), 4);
    let announced: Vec<String> = neighbor(&model)
        .advertise
        .routes
        .keys()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        announced,
        ["10.70.1.0/24", "10.70.2.0/24"],
        "IPv6 is not of this neighbor"
    );

    let second = routers(json!([{"asn": 64500, "prefixes": ["10.71.0.0/24"], "neighbors": [
        {"address": "198.51.100.11", "asn": 64601, "toAdvertise": {"allowed": {"prefixes": ["10.71.0.0/24"]}}}]}]));
    assert_eq!(neighbor(&accepted(&[first, second])).advertise.routes.len(), 3);
}

#[test]
fn all_covers_imported_vrfs() {
    let model = accepted(&[routers(json!([
        {"asn": 64500, "prefixes": ["10.70.1.0/24"], "imports": [{"vrf": "blue"}], "neighbors": [
            {"address": "198.51.100.11", "asn": 64601, "toAdvertise": {"allowed": {"mode": "all"}}}]},
        {"asn": 64500, "vrf": "blue", "prefixes": ["10.90.0.0/24"]},
    ]))]);
    assert_eq!(neighbor(&model).advertise.routes.len(), 2);
}

#[test]
fn attributes_are_united() {
    let with = |item: Value| {
        let mut advertise = json!({"allowed": {"mode": "all"}});
        for (key, value) in item.as_object().unwrap() {
            advertise[key] = value.clone();
        }
        with_neighbor(json!({"toAdvertise": advertise}))
    };
    let prefix = json!(["10.70.1.0/24"]);
    let model = accepted(&[
        with(
            json!({"withLocalPref": [{"localPref": 200, "prefixes": prefix}], "withCommunity": [{"community": "010:5", "prefixes": prefix}]}),
        ),
        with(
            json!({"withLocalPref": [{"localPref": 200, "prefixes": prefix}], "withCommunity": [{"community": "large:1:2:3", "prefixes": prefix}]}),
        ),
        with(json!({"nextHop": {"ipv4": "192.0.2.9"}})),
    ]);
    let advertise = &neighbor(&model).advertise;
    let attributes = &advertise.routes[&"10.70.1.0/24".parse().unwrap()];
    assert_eq!(attributes.local_pref, Some(200));
    assert_eq!(
        attributes.communities,
        BTreeSet::from([Community::Standard(10, 5), Community::Large(1, 2, 3)])
    );
    assert_eq!(advertise.next_hop_ipv4, Some("192.0.2.9".parse().unwrap()));
    assert!(
        advertise.routes[&"10.70.2.0/24".parse().unwrap()]
            .communities
            .is_empty()
    );
}

#[test]
fn the_more_permissive_filter_wins() {
    let filtered = |prefix: &str, le: u32| {
        with_neighbor(json!({"toReceive": {"allowed": {"prefixes": [{"prefix": prefix, "le": le}]}}}))
    };
    let all = with_neighbor(json!({"toReceive": {"allowed": {"mode": "all"}}}));
    assert_eq!(
        neighbor(&accepted(&[filtered("10.80.0.0/16", 24), all])).receive,
        Receive::All
    );
    let united = accepted(&[
        filtered("10.80.0.0/16", 24),
        filtered("10.80.0.0/16", 25),
        filtered("10.80.0.0/16", 24),
    ]);
    let Receive::Filtered(selectors) = &neighbor(&united).receive else {
        panic!("a filter")
    };
    assert_eq!(selectors.len(), 2);
}

#[test]
fn spellings_of_one_address_are_one_neighbor() {
    let spell = |address: &str| with_neighbor(json!({"address": address, "asn": 64606}));
    let model = accepted(&[spell("2001:db8:51::16"), spell("2001:DB8:51:0::16")]);
    assert_eq!(model.routers[&Vrf::Default].neighbors.len(), 1);
}

#[test]
fn families_are_united_after_the_default_is_known() {
    let model = accepted(&[
        with_neighbor(json!({})),
        with_neighbor(json!({"addressFamilies": ["evpn"]})),
    ]);
    let families = neighbor(&model).families;
    assert!(families.activate_unicast && families.activate_evpn);
}

#[test]
fn graceful_restart_does_not_depend_on_the_order() {
    let with = with_neighbor(json!({"enableGracefulRestart": true}));
    let without = with_neighbor(json!({}));
    assert!(neighbor(&accepted(&[with.clone(), without.clone()])).graceful_restart);
    assert!(neighbor(&accepted(&[without, with])).graceful_restart);
}

#[test]
fn defaults_written_out_are_compatible_with_defaults_left_out() {
    let explicit = json!({"holdTime": "180s", "keepaliveTime": "60s", "connectTime": "60s", "port": 179});
    let model = accepted(&[with_neighbor(json!({})), with_neighbor(explicit)]);
    assert_eq!(neighbor(&model).connect_time, Some(60));
    assert_eq!(neighbor(&model).port, None);
}

#[test]
fn raw_texts_are_ordered_by_priority_and_name() {
    let raw = |priority: i64, text: &str| json!({"raw": {"priority": priority, "rawConfig": text}});
    let model = accepted(&[
        raw(5, "second"),
        raw(5, "third"),
        raw(1, "first"),
        json!({"raw": {"priority": -1}}),
    ]);
    let texts: Vec<&str> = model.raw.iter().map(|raw| raw.text.as_str()).collect();
    assert_eq!(texts, ["first", "second", "third"]);
}

#[test]
fn one_object_may_bring_the_vnis_and_another_the_neighbor() {
    let vnis = routers(
        json!([{"asn": 1, "evpn": {"advertiseVNIs": "All", "l2vnis": [{"vni": 9, "importRTs": ["*:1"]}]}}]),
    );
    let peer = routers(
        json!([{"asn": 1, "neighbors": [{"address": "192.0.2.1", "asn": 2, "addressFamilies": ["evpn"]}]}]),
    );
    accepted(&[vnis.clone(), peer.clone()]);
    let merged = merge_all(&[vnis, routers(json!([{"asn": 1}]))]);
    assert_eq!(merged.accepted.len(), 1);
    assert_eq!(merged.refused[0].object.name, "a");
    assert_eq!(merged.model.routers[&Vrf::Default].evpn, None);
}
