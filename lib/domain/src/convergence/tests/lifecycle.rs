//! Services and processes that come and go.

use serde_json::{Value, json};

use super::{Cluster, asking_for_pool, manual, pool};

fn holding(address: &str) -> Value {
    json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}})
}

#[test]
fn the_longest_waiting_service_gets_what_is_freed() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/32"]))]);
    for name in ["s", "z", "a", "m"] {
        cluster.service(name, json!({}));
    }
    cluster.delete("s");
    assert_eq!(
        ["z", "a", "m"].map(|name| cluster.ip(name)),
        ["192.0.2.0", "", ""]
    );
    cluster.delete("z");
    assert_eq!(["a", "m"].map(|name| cluster.ip(name)), ["192.0.2.0", ""]);
}

#[test]
fn an_address_freed_by_a_move_is_given_on_at_once() {
    let mut cluster = Cluster::with(&[
        ("a", manual(&["192.0.2.0/32"])),
        ("b", manual(&["198.51.100.0/32"])),
    ]);
    cluster.service("s1", asking_for_pool("a"));
    cluster.service("s2", asking_for_pool("a"));
    cluster.service("s1", asking_for_pool("b"));
    assert_eq!(
        (cluster.ip("s1"), cluster.ip("s2")),
        ("198.51.100.0".into(), "192.0.2.0".into())
    );
}

#[test]
fn only_services_that_can_be_helped_are_looked_at() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/32"]))]);
    for number in 0..50 {
        cluster.service(&format!("s{number:02}"), json!({}));
    }
    cluster.told.clear();
    cluster.delete("s00");
    assert_eq!(
        cluster.told,
        [("s01".to_owned(), "IPAllocated")],
        "the 48 others were not even tried"
    );
}

#[test]
fn a_restart_keeps_every_address_whatever_the_names() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/31"]))]);
    for name in ["z", "y", "a", "b"] {
        cluster.service(name, json!({}));
    }
    let before = cluster.services.clone();
    let writes = cluster.writes;
    cluster.restart();
    assert_eq!((cluster.services.clone(), cluster.writes), (before, writes));
    cluster.delete("z");
    assert_eq!(cluster.ip("a"), "192.0.2.0");
}

#[test]
fn a_holder_that_must_move_does_not_take_the_address_of_another() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/31"]))]);
    // Stored by an earlier process; `a` is looked at before `b`.
    for (name, address) in [("a", "203.0.113.1"), ("b", "192.0.2.0")] {
        let mut service = json!({
            "metadata": {"namespace": "n1", "name": name},
            "spec": {"type": "LoadBalancer", "clusterIPs": ["10.96.0.1"], "ports": [{"port": 80}]},
        });
        super::merge(&mut service, holding(address));
        cluster.services.insert(name.into(), service);
    }
    cluster.restart();
    assert_eq!(
        (cluster.ip("a").as_str(), cluster.ip("b").as_str()),
        ("192.0.2.1", "192.0.2.0")
    );
}

#[test]
fn two_claims_on_one_address_end_with_one() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/32"]))]);
    cluster.service("s1", holding("192.0.2.0"));
    cluster.service("s2", holding("192.0.2.0"));
    assert_eq!(
        (cluster.ip("s1").as_str(), cluster.ip("s2").as_str()),
        ("192.0.2.0", "")
    );
    assert_eq!(cluster.told("s2"), ["ClearAssignment", "AllocationFailed"]);
}

#[test]
fn an_emptied_status_is_filled_with_the_same_address_again() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"]))]);
    cluster.service("s1", json!({}));
    cluster.service("s2", json!({}));
    cluster.delete("s1");
    cluster.service("s2", json!({"status": {"loadBalancer": null}}));
    assert_eq!(cluster.ip("s2"), "192.0.2.1");
}

#[test]
fn a_waiting_service_keeps_its_turn_when_it_is_edited() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/32"]))]);
    for name in ["holder", "first", "second"] {
        cluster.service(name, json!({}));
    }
    cluster.service("first", json!({"metadata": {"labels": {"x": "y"}}}));
    cluster.delete("holder");
    assert_eq!(
        (cluster.ip("first").as_str(), cluster.ip("second").as_str()),
        ("192.0.2.0", "")
    );
}
