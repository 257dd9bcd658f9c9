//! Which pool is chosen, and what happens when pools change.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Cluster, asking_for, asking_for_pool, pinned, pool};

fn reserved(address: &str, allocation: Value) -> Value {
    pinned(&[address], allocation)
}

#[test]
fn pinned_pools_come_first_by_priority_then_the_generic_ones() {
    let n1 = |priority: i64| json!({"priority": priority, "namespaces": ["n1"]});
    let mut cluster = Cluster::with(&[
        ("a-generic", pool(&["192.0.2.0/32"])),
        ("b-unset", reserved("192.0.2.1/32", json!({"namespaces": ["n1"]}))),
        ("c-20", reserved("192.0.2.2/32", n1(20))),
        ("d-10", reserved("192.0.2.3/32", n1(10))),
    ]);
    let names = ["s1", "s2", "s3", "s4", "s5"];
    names.iter().for_each(|name| cluster.service(name, json!({})));
    let pools = names.map(|name| cluster.pool(name).unwrap_or_default());
    assert_eq!(pools, ["d-10", "c-20", "b-unset", "a-generic", ""]);
}

#[test]
fn a_reserved_pool_overflows_into_generic_ones() {
    let mut cluster = Cluster::with(&[
        ("generic", pool(&["198.51.100.0/32"])),
        (
            "reserved",
            reserved("192.0.2.0/32", json!({"namespaces": ["n1"]})),
        ),
    ]);
    cluster.service("s1", json!({}));
    cluster.service("s2", json!({}));
    assert_eq!(
        (cluster.pool("s1").unwrap(), cluster.pool("s2").unwrap()),
        ("reserved".into(), "generic".into())
    );
}

#[test]
fn namespace_and_label_must_both_match() {
    let both = json!({"namespaces": ["n1"], "serviceSelectors": [{"matchLabels": {"team": "x"}}]});
    let mut cluster = Cluster::with(&[("a", reserved("192.0.2.0/30", both))]);
    cluster.service("without", json!({}));
    cluster.service("with", json!({"metadata": {"labels": {"team": "x"}}}));
    assert_eq!(
        (cluster.ip("without"), cluster.ip("with")),
        (String::new(), "192.0.2.0".into())
    );
}

#[test]
fn a_mere_priority_pins_the_pool_for_everybody() {
    let preferred = reserved("192.0.2.0/32", json!({"priority": 5}));
    let mut cluster = Cluster::with(&[("a", pool(&["198.51.100.0/32"])), ("z", preferred)]);
    cluster.service("s", json!({}));
    assert_eq!(cluster.pool("s").as_deref(), Some("z"));
}

#[test]
fn losing_the_label_loses_the_reserved_address() {
    let for_x = json!({"serviceSelectors": [{"matchLabels": {"team": "x"}}]});
    let mut cluster = Cluster::with(&[
        ("a", reserved("192.0.2.0/30", for_x)),
        ("b", pool(&["198.51.100.0/32"])),
    ]);
    cluster.service("s", json!({"metadata": {"labels": {"team": "x"}}}));
    assert_eq!(cluster.pool("s").as_deref(), Some("a"));
    cluster.told("s");
    cluster.service("s", json!({"metadata": {"labels": {"team": "y"}}}));
    assert_eq!(
        (cluster.pool("s").as_deref(), cluster.told("s")),
        (Some("b"), vec!["ClearAssignment", "IPAllocated"])
    );
}

#[test]
fn namespace_selectors_that_match_nothing_admit_nobody() {
    let for_gold = json!({"namespaceSelectors": [{"matchLabels": {"tier": "gold"}}]});
    let mut cluster = Cluster::with(&[("a", reserved("192.0.2.0/30", for_gold))]);
    cluster.service("s", json!({}));
    cluster.service("t", asking_for_pool("a"));
    cluster.service("u", asking_for("192.0.2.1"));
    assert_eq!(["s", "t", "u"].map(|name| cluster.ip(name)), ["", "", ""]);
    // Once the namespace has the label, all three are served.
    cluster.objects.namespaces =
        BTreeMap::from([("n1".into(), BTreeMap::from([("tier".into(), "gold".into())]))]);
    cluster.configure();
    assert_eq!(
        cluster.ip("u"),
        "",
        "its address was free when its elders were served, and is taken now"
    );
    assert_eq!(
        ["s", "t"].map(|name| cluster.ip(name)),
        ["192.0.2.0", "192.0.2.1"]
    );
}

#[test]
fn addresses_come_in_the_order_of_the_pool() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.10-192.0.2.12", "192.0.2.0/31"]))]);
    let names = ["s1", "s2", "s3", "s4", "s5"];
    names.iter().for_each(|name| cluster.service(name, json!({})));
    let given = names.map(|name| cluster.ip(name));
    assert_eq!(
        given,
        ["192.0.2.10", "192.0.2.11", "192.0.2.12", "192.0.2.0", "192.0.2.1"]
    );
}

#[test]
fn renamed_split_merged_and_grown_pools_keep_every_address() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"]))]);
    let names = ["s1", "s2", "s3", "s4"];
    names.iter().for_each(|name| cluster.service(name, json!({})));
    let before = names.map(|name| cluster.ip(name));
    for (pools, expected) in [
        (vec![("renamed", pool(&["192.0.2.0/30"]))], ["renamed"; 4]),
        (
            vec![("x", pool(&["192.0.2.0/31"])), ("y", pool(&["192.0.2.2/31"]))],
            ["x", "x", "y", "y"],
        ),
        (vec![("merged", pool(&["192.0.2.0/30"]))], ["merged"; 4]),
        (vec![("merged", pool(&["192.0.2.0/24"]))], ["merged"; 4]),
    ] {
        cluster.pools(&pools);
        assert_eq!(names.map(|name| cluster.ip(name)), before);
        assert_eq!(names.map(|name| cluster.pool(name).unwrap()), expected);
        cluster.assert_settled();
    }
}

#[test]
fn a_shrunk_pool_moves_only_who_fell_out() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"]))]);
    let names = ["s1", "s2", "s3"];
    names.iter().for_each(|name| cluster.service(name, json!({})));
    cluster.pools(&[("a", pool(&["192.0.2.0/31", "192.0.2.3/32"]))]);
    assert_eq!(
        names.map(|name| cluster.ip(name)),
        ["192.0.2.0", "192.0.2.1", "192.0.2.3"]
    );
}

#[test]
fn a_deleted_pool_hands_its_services_over() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"])), ("b", pool(&["198.51.100.0/31"]))]);
    ["s1", "s2", "s3"]
        .iter()
        .for_each(|name| cluster.service(name, json!({})));
    let writes = cluster.writes;
    cluster.pools(&[("b", pool(&["198.51.100.0/31"]))]);
    assert_eq!(
        ["s1", "s2", "s3"].map(|name| cluster.ip(name)),
        ["198.51.100.0", "198.51.100.1", ""]
    );
    assert_eq!(cluster.writes - writes, 3, "one write per Service");
    cluster.pools(&[]);
    assert_eq!(["s1", "s2"].map(|name| cluster.ip(name)), ["", ""]);
}

#[test]
fn turning_on_avoid_buggy_evicts_the_holders_of_buggy_addresses() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"]))]);
    ["s1", "s2"]
        .iter()
        .for_each(|name| cluster.service(name, json!({})));
    let mut spec = pool(&["192.0.2.0/30"]);
    spec["avoidBuggyIPs"] = json!(true);
    cluster.pools(&[("a", spec)]);
    assert_eq!(
        ["s1", "s2"].map(|name| cluster.ip(name)),
        ["192.0.2.2", "192.0.2.1"]
    );
}

#[test]
fn a_bad_pool_keeps_its_last_good_version_and_holds_up_nobody() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/32"])), ("b", pool(&["198.51.100.0/32"]))]);
    cluster.service("s1", json!({}));
    let problems = cluster.pools(&[("a", pool(&["192.0.2.0/33"])), ("b", pool(&["198.51.100.0/31"]))]);
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].message.contains("parsing address pool a")
            && problems[0].message.contains("invalid CIDR")
    );
    ["s2", "s3"]
        .iter()
        .for_each(|name| cluster.service(name, json!({})));
    let given = ["s1", "s2", "s3"].map(|name| cluster.ip(name));
    assert_eq!(given, ["192.0.2.0", "198.51.100.0", "198.51.100.1"]);
}

#[test]
fn after_a_restart_services_of_a_bad_pool_are_left_alone() {
    let good = [("a", pool(&["192.0.2.0/32"])), ("b", pool(&["198.51.100.0/32"]))];
    let mut cluster = Cluster::with(&good);
    cluster.service("s1", json!({}));
    cluster.pools(&[("a", pool(&["192.0.2.0/33"])), ("b", pool(&["198.51.100.0/32"]))]);
    cluster.restart();
    assert_eq!(
        (cluster.ip("s1").as_str(), cluster.pool("s1").as_deref()),
        ("192.0.2.0", Some("a"))
    );
    // Once the pool is repaired, everything is as it was.
    cluster.pools(&good);
    assert_eq!(cluster.ip("s1"), "192.0.2.0");
    assert_eq!(cluster.allocator.counters("a").unwrap().assigned_v4, 1);
}
