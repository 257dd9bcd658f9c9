//! Services with two families.

use serde_json::json;

use super::{Cluster, dual, merge, pool};

fn ipv6_first(policy: &str) -> serde_json::Value {
    let mut service = dual(policy);
    merge(&mut service, json!({"spec": {"ipFamilies": ["IPv6", "IPv4"]}}));
    service
}

#[test]
fn required_dual_stack_takes_the_pool_with_both_ipv4_first() {
    let mut cluster = Cluster::with(&[
        ("a", pool(&["192.0.2.0/30"])),
        ("b", pool(&["2001:db8::/120"])),
        ("c", pool(&["2001:db8:1::/120", "198.51.100.0/30"])),
    ]);
    cluster.service("s", ipv6_first("RequireDualStack"));
    assert_eq!(
        (cluster.ip("s").as_str(), cluster.pool("s").as_deref()),
        ("198.51.100.0,2001:db8:1::", Some("c"))
    );
    cluster.assert_settled();
}

#[test]
fn without_such_a_pool_required_fails_and_preferred_takes_the_primary_family() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"])), ("b", pool(&["2001:db8::/120"]))]);
    cluster.service("required", dual("RequireDualStack"));
    cluster.service("preferred", dual("PreferDualStack"));
    cluster.service("ipv6", ipv6_first("PreferDualStack"));
    let given = ["required", "preferred", "ipv6"].map(|name| cluster.ip(name));
    assert_eq!(given, ["", "192.0.2.0", "2001:db8::"]);
    cluster.assert_settled();
}

#[test]
fn half_a_preferred_pair_is_completed_from_its_own_pool_only() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"]))]);
    cluster.service("s", dual("PreferDualStack"));
    cluster.pools(&[
        ("a", pool(&["192.0.2.0/30"])),
        ("b", pool(&["198.51.100.0/30", "2001:db8:b::/120"])),
    ]);
    assert_eq!(cluster.ip("s"), "192.0.2.0");
    cluster.pools(&[("a", pool(&["192.0.2.0/30", "2001:db8::/120"]))]);
    assert_eq!(cluster.ip("s"), "192.0.2.0,2001:db8::");
    cluster.assert_settled();
}

#[test]
fn the_missing_half_comes_when_another_service_lets_go_of_it() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30", "2001:db8::/128"]))]);
    cluster.service("s", dual("PreferDualStack"));
    cluster.service("t", dual("PreferDualStack"));
    assert_eq!(cluster.ip("t"), "192.0.2.1");
    cluster.delete("s");
    assert_eq!(cluster.ip("t"), "192.0.2.1,2001:db8::");
}

#[test]
fn a_pair_whose_pool_lost_a_family_moves_as_a_pair() {
    let b = pool(&["198.51.100.0/30", "2001:db8:b::/120"]);
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30", "2001:db8::/120"])), ("b", b.clone())]);
    cluster.service("s", dual("PreferDualStack"));
    assert_eq!(cluster.pool("s").as_deref(), Some("a"));
    cluster.pools(&[("a", pool(&["2001:db8::/120"])), ("b", b)]);
    assert_eq!(cluster.ip("s"), "198.51.100.0,2001:db8:b::");
}

#[test]
fn half_is_not_enough_once_both_are_required() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30"]))]);
    cluster.service("s", dual("PreferDualStack"));
    cluster.service("s", dual("RequireDualStack"));
    assert_eq!(cluster.ip("s"), "");
    cluster.service("s", dual("PreferDualStack"));
    assert_eq!(cluster.ip("s"), "192.0.2.0");
}

#[test]
fn one_cluster_ip_means_one_address() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30", "2001:db8::/120"]))]);
    cluster.service("s", json!({"spec": {"ipFamilyPolicy": "PreferDualStack"}}));
    assert_eq!(cluster.ip("s"), "192.0.2.0");
    cluster.assert_settled();
    cluster.service("t", json!({"spec": {"ipFamilyPolicy": "RequireDualStack"}}));
    assert_eq!(
        (cluster.ip("t"), cluster.told("t")),
        (String::new(), vec!["not enough clusterips"])
    );
}

#[test]
fn other_cluster_ips_mean_other_addresses() {
    let mut cluster = Cluster::with(&[("a", pool(&["192.0.2.0/30", "2001:db8::/120"]))]);
    cluster.service("s", json!({}));
    cluster.service("s", json!({"spec": {"clusterIPs": ["fd00:96::1"]}}));
    assert_eq!(cluster.ip("s"), "2001:db8::");
    cluster.service("s", dual("RequireDualStack"));
    assert_eq!(cluster.ip("s"), "192.0.2.0,2001:db8::");
    cluster.service(
        "s",
        json!({"spec": {"clusterIPs": ["10.96.0.1"], "ipFamilyPolicy": "SingleStack"}}),
    );
    assert_eq!(cluster.ip("s"), "192.0.2.0");
}
