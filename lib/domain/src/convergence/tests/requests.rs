//! Services that ask for addresses or pools.

use rstest::rstest;
use serde_json::{Value, json};

use super::{Cluster, asking_for, asking_for_pool, dual, manual, pinned, pool};

fn field(address: &str) -> Value {
    json!({"spec": {"loadBalancerIP": address}})
}

fn merged(mut one: Value, other: Value) -> Value {
    super::merge(&mut one, other);
    one
}

fn p4() -> Cluster {
    Cluster::with(&[("a", pool(&["192.0.2.0/30"]))])
}

#[rstest]
#[case(field("192.0.2.2"))]
#[case(asking_for("192.0.2.2"))]
#[case(json!({"metadata": {"annotations": {"metallb.universe.tf/loadBalancerIPs": "192.0.2.2"}}}))]
fn exactly_the_address_asked_for(#[case] request: Value) {
    let mut cluster = p4();
    cluster.service("s", request);
    assert_eq!(cluster.ip("s"), "192.0.2.2");
    cluster.assert_settled();
}

#[rstest]
#[case::both_ways(merged(field("192.0.2.1"), asking_for("192.0.2.1")))]
#[case::no_address(asking_for("tomorrow"))]
#[case::trailing_comma(asking_for("192.0.2.1,"))]
#[case::one_family_twice(asking_for("192.0.2.1,192.0.2.2"))]
#[case::outside(asking_for("203.0.113.9"))]
#[case::other_family(asking_for("2001:db8::1"))]
#[case::half_of_dual_stack(merged(dual("PreferDualStack"), asking_for("192.0.2.1")))]
#[case::half_of_required_dual_stack(merged(dual("RequireDualStack"), field("192.0.2.1")))]
#[case::unknown_pool(asking_for_pool("nope"))]
#[case::pool_of_other_address(merged(asking_for("192.0.2.1"), asking_for_pool("b")))]
fn refused(#[case] request: Value) {
    let v6 = pool(&["2001:db8::/120"]);
    let mut cluster = Cluster::with(&[
        ("a", pool(&["192.0.2.0/30"])),
        ("b", pool(&["198.51.100.0/30"])),
        ("c", v6),
    ]);
    cluster.service("s", request);
    assert_eq!(
        (cluster.ip("s"), cluster.told("s")),
        (String::new(), vec!["AllocationFailed"])
    );
    assert!(
        cluster.allocator.get(&super::key("s")).is_none(),
        "nothing stays allocated"
    );
    cluster.assert_settled();
}

#[test]
fn a_malformed_request_does_not_cost_the_address_that_is_held() {
    let mut cluster = p4();
    cluster.service("s", json!({}));
    cluster.told("s");
    cluster.service("s", asking_for("tomorrow"));
    assert_eq!(
        (cluster.ip("s").as_str(), cluster.told("s")),
        ("192.0.2.0", vec!["LoadBalancerFailed"])
    );
}

#[test]
fn an_impossible_request_does() {
    let mut cluster = p4();
    cluster.service("s", asking_for("192.0.2.1"));
    cluster.service("s", asking_for("198.51.100.9"));
    assert_eq!(cluster.ip("s"), "");
    cluster.service(
        "s",
        json!({"metadata": {"annotations": {"metallb.io/loadBalancerIPs": null}}}),
    );
    assert_eq!(cluster.ip("s"), "192.0.2.0");
}

#[test]
fn dropping_a_request_moves_nothing() {
    let mut cluster = Cluster::with(&[
        ("a", pool(&["192.0.2.0/30"])),
        ("b", manual(&["198.51.100.0/30"])),
    ]);
    cluster.service("s", asking_for_pool("b"));
    assert_eq!(cluster.ip("s"), "198.51.100.0");
    cluster.service(
        "s",
        json!({"metadata": {"annotations": {"metallb.io/address-pool": null}}}),
    );
    assert_eq!(cluster.ip("s"), "198.51.100.0");
}

#[test]
fn two_addresses_of_one_pool_stay_in_the_order_of_the_request() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30", "2001:db8::/120"]))]);
    cluster.service(
        "s",
        merged(dual("RequireDualStack"), asking_for("2001:db8::1,192.0.2.1")),
    );
    assert_eq!(cluster.ip("s"), "2001:db8::1,192.0.2.1");
    cluster.assert_settled();
}

#[test]
fn two_addresses_of_two_pools_are_refused() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"])), ("b", pool(&["2001:db8::/120"]))]);
    cluster.service(
        "s",
        merged(dual("RequireDualStack"), asking_for("2001:db8::1,192.0.2.1")),
    );
    assert_eq!(cluster.ip("s"), "");
}

#[test]
fn a_pool_request_moves_the_service_even_into_nothing() {
    let mut cluster = Cluster::with(&[
        ("a", pool(&["192.0.2.0/30"])),
        ("b", manual(&["198.51.100.0/32"])),
    ]);
    cluster.service("s", json!({}));
    cluster.service("t", json!({}));
    assert_eq!(
        (cluster.ip("s"), cluster.ip("t")),
        ("192.0.2.0".into(), "192.0.2.1".into())
    );
    cluster.service("s", asking_for_pool("b"));
    assert_eq!(
        (cluster.ip("s").as_str(), cluster.pool("s").as_deref()),
        ("198.51.100.0", Some("b"))
    );
    cluster.service("t", asking_for_pool("b"));
    assert_eq!((cluster.ip("t"), cluster.pool("t")), (String::new(), None));
}

#[test]
fn an_empty_annotation_hides_the_deprecated_one() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"])), ("b", pool(&["198.51.100.0/32"]))]);
    let both = json!({"metallb.io/address-pool": "", "metallb.universe.tf/address-pool": "b"});
    cluster.service("s", json!({"metadata": {"annotations": both}}));
    assert_eq!(cluster.pool("s").as_deref(), Some("a"));
}

#[test]
fn a_pool_without_auto_assign_serves_only_who_asks() {
    let mut cluster = Cluster::with(&[("a", manual(&["192.0.2.0/30"]))]);
    cluster.service("plain", json!({}));
    cluster.service("pool", asking_for_pool("a"));
    cluster.service("address", asking_for("192.0.2.3"));
    let given = ["plain", "pool", "address"].map(|name| cluster.ip(name));
    assert_eq!(given, ["", "192.0.2.0", "192.0.2.3"]);
}

#[test]
fn a_reserved_pool_refuses_requests_of_others() {
    let reserved = pinned(&["192.0.2.0/30"], json!({"namespaces": ["other"]}));
    let mut cluster = Cluster::with(&[("a", reserved)]);
    cluster.service("pool", asking_for_pool("a"));
    cluster.service("address", asking_for("192.0.2.1"));
    assert_eq!(
        (cluster.ip("pool"), cluster.ip("address")),
        (String::new(), String::new())
    );
}

#[test]
fn buggy_addresses_are_avoided_and_refused() {
    let mut spec = pool(&["192.0.2.254-192.0.3.1"]);
    spec["avoidBuggyIPs"] = json!(true);
    let mut cluster = Cluster::with(&[("a", spec)]);
    for name in ["s1", "s2", "s3"] {
        cluster.service(name, json!({}));
    }
    let given = ["s1", "s2", "s3"].map(|name| cluster.ip(name));
    assert_eq!(given, ["192.0.2.254", "192.0.3.1", ""]);
    for (name, address) in [("s4", "192.0.2.255"), ("s5", "192.0.3.0")] {
        cluster.service(name, asking_for(address));
        assert_eq!(cluster.ip(name), "");
    }
}

#[test]
fn a_waiter_for_one_address_gets_it_when_it_is_free() {
    let mut cluster = p4();
    cluster.service("s", asking_for("192.0.2.2"));
    cluster.service("t", asking_for("192.0.2.2"));
    cluster.service("u", json!({}));
    assert_eq!(cluster.ip("t"), "");
    cluster.delete("u");
    assert_eq!(cluster.ip("t"), "");
    cluster.delete("s");
    assert_eq!(cluster.ip("t"), "192.0.2.2");
}
