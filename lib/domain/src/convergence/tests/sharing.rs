//! Services that share an address.

use rstest::rstest;
use serde_json::{Value, json};

use super::{Cluster, pool};

fn sharing(key: &str, protocol: &str, port: u16) -> Value {
    json!({
        "metadata": {"annotations": {"metallb.io/allow-shared-ip": key}},
        "spec": {"ports": [{"port": port, "protocol": protocol}]},
    })
}

fn local(mut service: Value, app: &str) -> Value {
    super::merge(
        &mut service,
        json!({"spec": {"externalTrafficPolicy": "Local", "selector": {"app": app}}}),
    );
    service
}

fn asking(mut service: Value) -> Value {
    super::merge(&mut service, super::asking_for("192.0.2.1"));
    service
}

#[rstest]
#[case(sharing("k", "TCP", 443), "192.0.2.1")]
#[case(sharing("k", "UDP", 80), "192.0.2.1")]
#[case(sharing("k", "TCP", 80), "")]
#[case(sharing("j", "TCP", 443), "")]
#[case(sharing("", "TCP", 443), "")]
fn the_same_address_on_request(#[case] second: Value, #[case] expected: &str) {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"]))]);
    cluster.service("s1", asking(sharing("k", "TCP", 80)));
    cluster.service("s2", asking(second));
    assert_eq!(
        (cluster.ip("s1").as_str(), cluster.ip("s2").as_str()),
        ("192.0.2.1", expected)
    );
    cluster.assert_settled();
}

#[test]
fn sharers_are_packed_onto_the_lowest_address_without_asking() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"]))]);
    cluster.service("other", json!({}));
    cluster.service("s1", sharing("k", "TCP", 80));
    cluster.service("s2", sharing("k", "TCP", 443));
    cluster.service("s3", sharing("k", "TCP", 443));
    let given = ["s1", "s2", "s3"].map(|name| cluster.ip(name));
    assert_eq!(given, ["192.0.2.1", "192.0.2.1", "192.0.2.2"]);
    cluster.delete("other");
    cluster.service("s4", sharing("k", "TCP", 8080));
    assert_eq!(
        cluster.ip("s4"),
        "192.0.2.0",
        "a free address that comes first is taken first"
    );
}

#[rstest]
#[case(
    local(sharing("k", "TCP", 80), "x"),
    local(sharing("k", "TCP", 443), "x"),
    true
)]
#[case(
    local(sharing("k", "TCP", 80), "x"),
    local(sharing("k", "TCP", 443), "y"),
    false
)]
#[case(local(sharing("k", "TCP", 80), "x"), sharing("k", "TCP", 443), false)]
fn under_local_policy_the_selectors_must_agree(
    #[case] one: Value,
    #[case] other: Value,
    #[case] shared: bool,
) {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"]))]);
    cluster.service("s1", one);
    cluster.service("s2", other);
    assert_eq!(cluster.ip("s1") == cluster.ip("s2"), shared);
}

#[test]
fn a_sole_user_may_change_its_key_and_ports() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"]))]);
    cluster.service("s1", sharing("k", "TCP", 80));
    cluster.service("s1", sharing("j", "TCP", 81));
    assert_eq!(cluster.ip("s1"), "192.0.2.0");
    cluster.service("s2", sharing("j", "TCP", 80));
    cluster.service("s3", sharing("k", "TCP", 82));
    assert_eq!(
        (cluster.ip("s2"), cluster.ip("s3")),
        ("192.0.2.0".into(), "192.0.2.1".into())
    );
}

#[test]
fn who_changes_policy_alone_loses_and_comes_back_when_the_other_follows() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/32"]))]);
    cluster.service("s1", sharing("k", "TCP", 80));
    cluster.service("s2", sharing("k", "TCP", 443));
    cluster.service("s2", local(json!({}), "x"));
    assert_eq!(
        (cluster.ip("s1").as_str(), cluster.ip("s2").as_str()),
        ("192.0.2.0", "")
    );
    cluster.service("s1", local(json!({}), "x"));
    assert_eq!(
        (cluster.ip("s1").as_str(), cluster.ip("s2").as_str()),
        ("192.0.2.0", "192.0.2.0")
    );
}

#[test]
fn a_freed_port_wakes_the_sharer_that_wants_it() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/32"]))]);
    cluster.service("s1", sharing("k", "TCP", 80));
    cluster.service("s2", sharing("k", "TCP", 80));
    assert_eq!(cluster.ip("s2"), "");
    cluster.service("s1", sharing("k", "TCP", 81));
    assert_eq!(cluster.ip("s2"), "192.0.2.0");
}

#[test]
fn a_shared_address_counts_once_until_the_last_user_leaves() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"]))]);
    for (name, port) in [("s1", 1), ("s2", 2), ("s3", 3)] {
        cluster.service(name, sharing("k", "TCP", port));
    }
    let counters = |cluster: &Cluster| {
        let counters = cluster.allocator.counters("a").unwrap();
        (counters.assigned_v4, counters.available_v4(), counters.services)
    };
    assert_eq!(counters(&cluster), (1, 3, 3));
    cluster.delete("s1");
    cluster.delete("s2");
    assert_eq!(counters(&cluster), (1, 3, 1));
    cluster.delete("s3");
    assert_eq!(counters(&cluster), (0, 4, 0));
}
