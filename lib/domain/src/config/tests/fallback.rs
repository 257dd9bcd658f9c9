//! A bad object never takes down what works.

use serde_json::{Value, json};

use super::{objects, peer, pool};
use crate::config::{Config, Effect, Objects, Problem};

fn build(written: &[(&str, &str, Value)], previous: Option<&Config>) -> (Config, Vec<Problem>) {
    Config::build(&objects(written), previous)
}

fn effects(problems: &[Problem]) -> Vec<(&str, Effect)> {
    problems
        .iter()
        .map(|problem| (problem.name.as_str(), problem.effect))
        .collect()
}

#[test]
fn a_bad_object_keeps_its_last_good_version_and_the_others_change() {
    let (before, _) = build(
        &[
            ("IPAddressPool", "a", pool(&["192.0.2.0/24"])),
            ("IPAddressPool", "b", pool(&["198.51.100.0/24"])),
        ],
        None,
    );
    let (after, problems) = build(
        &[
            ("IPAddressPool", "a", pool(&["nonsense"])),
            ("IPAddressPool", "b", pool(&["198.51.100.0/25"])),
        ],
        Some(&before),
    );
    assert_eq!(effects(&problems), [("a", Effect::LastGood)]);
    assert_eq!(after.pools["a"], before.pools["a"]);
    assert_eq!(after.pools["b"].ranges[0].to_string(), "198.51.100.0/25");
    assert!(after.pools_left_out.is_empty());
}

#[test]
fn a_new_bad_object_is_left_out() {
    let (config, problems) = build(
        &[
            ("IPAddressPool", "a", pool(&["nonsense"])),
            ("IPAddressPool", "b", pool(&["198.51.100.0/24"])),
        ],
        None,
    );
    assert_eq!(effects(&problems), [("a", Effect::LeftOut)]);
    assert_eq!(config.pools.keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(config.pools_left_out, ["a".to_owned()].into());
}

#[test]
fn a_deleted_object_is_gone_even_when_it_was_bad() {
    let (before, _) = build(&[("IPAddressPool", "a", pool(&["192.0.2.0/24"]))], None);
    let (kept, _) = build(&[("IPAddressPool", "a", pool(&["nonsense"]))], Some(&before));
    assert!(kept.pools.contains_key("a"));
    let (after, problems) = build(&[], Some(&kept));
    assert_eq!((after.pools.len(), problems.len()), (0, 0));
}

#[test]
fn whoever_makes_an_overlap_is_refused_whatever_its_name() {
    let (before, _) = build(
        &[
            ("IPAddressPool", "a", pool(&["192.0.2.0/25"])),
            ("IPAddressPool", "z", pool(&["198.51.100.0/24"])),
        ],
        None,
    );
    let (after, problems) = build(
        &[
            ("IPAddressPool", "a", pool(&["198.51.100.0/25"])),
            ("IPAddressPool", "z", pool(&["198.51.100.0/24"])),
        ],
        Some(&before),
    );
    assert_eq!(effects(&problems), [("a", Effect::LastGood)]);
    assert!(problems[0].message.contains("pool z"), "{}", problems[0]);
    assert_eq!(after.pools, before.pools);
    let (_, problems) = build(
        &[
            ("IPAddressPool", "a", pool(&["192.0.2.0/25"])),
            ("IPAddressPool", "m", pool(&["192.0.2.0/32"])),
        ],
        Some(&before),
    );
    assert_eq!(effects(&problems), [("m", Effect::LeftOut)]);
}

#[test]
fn two_pools_can_swap_their_addresses_at_once() {
    let (before, _) = build(
        &[
            ("IPAddressPool", "a", pool(&["192.0.2.0/24"])),
            ("IPAddressPool", "b", pool(&["198.51.100.0/24"])),
        ],
        None,
    );
    let (after, problems) = build(
        &[
            ("IPAddressPool", "a", pool(&["198.51.100.0/24"])),
            ("IPAddressPool", "b", pool(&["192.0.2.0/24"])),
        ],
        Some(&before),
    );
    assert_eq!(problems, []);
    assert_eq!(after.pools["a"].ranges, before.pools["b"].ranges);
}

#[test]
fn the_younger_of_two_overlapping_pools_is_left_out_after_a_restart() {
    let mut both = objects(&[
        ("IPAddressPool", "a", pool(&["192.0.2.0/24"])),
        ("IPAddressPool", "b", pool(&["192.0.2.0/25"])),
    ]);
    for (index, second) in [(0, 200), (1, 100)] {
        let pool = std::sync::Arc::make_mut(&mut both.pools[index]);
        let time = k8s_openapi::jiff::Timestamp::from_second(second).unwrap();
        pool.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time));
    }
    let (config, problems) = Config::build(&both, None);
    assert_eq!(effects(&problems), [("a", Effect::LeftOut)]);
    assert_eq!(config.pools.keys().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_dangling_alias_leaves_the_routes_as_they_were() {
    let names = (
        "Community",
        "c",
        json!({"communities": [{"name": "here", "value": "64500:1"}]}),
    );
    let ad = ("BGPAdvertisement", "x", json!({"communities": ["here"]}));
    let one_pool = ("IPAddressPool", "a", pool(&["192.0.2.0/24"]));
    let (before, _) = build(&[names, ad.clone(), one_pool.clone()], None);
    let (after, problems) = build(&[ad, one_pool], Some(&before));
    assert_eq!(effects(&problems), [("x", Effect::LastGood)]);
    assert_eq!(after.bgp_advertisements, before.bgp_advertisements);
}

#[test]
fn an_advertisement_is_in_force_for_the_pools_it_fits() {
    let ad = ("BGPAdvertisement", "x", json!({"aggregationLength": 26}));
    let wide = ("IPAddressPool", "wide", pool(&["192.0.2.0/24"]));
    let narrow = ("IPAddressPool", "narrow", pool(&["198.51.100.0/28"]));
    let (first, problems) = build(&[ad.clone(), wide.clone(), narrow], None);
    assert_eq!(effects(&problems), [("x", Effect::Partly)]);
    assert_eq!(first.bgp_advertisements["x"].pools, ["wide".to_owned()].into());
    // A change that fits no more is not taken over at all.
    let (before, _) = build(&[ad, wide.clone()], None);
    let (after, problems) = build(
        &[("BGPAdvertisement", "x", json!({"aggregationLength": 20})), wide],
        Some(&before),
    );
    assert_eq!(effects(&problems), [("x", Effect::LastGood)]);
    assert_eq!(after.bgp_advertisements["x"].aggregation_length, 26);
}

#[test]
fn a_peer_that_lost_its_profile_keeps_its_session() {
    let with = ("BGPPeer", "p", peer(json!({"bfdProfile": "b"})));
    let (before, _) = build(&[with.clone(), ("BFDProfile", "b", json!({}))], None);
    let (after, problems) = build(&[with], Some(&before));
    assert_eq!(effects(&problems), [("p", Effect::LastGood)]);
    assert_eq!(after.peers, before.peers);
}

#[test]
fn building_again_from_the_same_objects_changes_nothing() {
    let all: Objects = objects(&[
        ("IPAddressPool", "a", pool(&["192.0.2.0/24"])),
        ("IPAddressPool", "bad", pool(&["nonsense"])),
        ("IPAddressPool", "overlapping", pool(&["192.0.2.128/25"])),
        ("BGPAdvertisement", "x", json!({"aggregationLength": 20})),
        ("BGPPeer", "p", peer(json!({}))),
        ("BGPPeer", "q", peer(json!({}))),
    ]);
    let (first, problems) = Config::build(&all, None);
    assert_eq!(problems.len(), 4);
    assert_eq!(Config::build(&all, Some(&first)), (first, problems));
}
