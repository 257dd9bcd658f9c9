//! Addresses are given, shared, taken back and given on.

use kube::ResourceExt as _;
use serde_json::json;

use super::world::{FROM_POOL, World, ip};

#[tokio::test]
async fn a_service_gets_an_address_and_gives_it_back() {
    let mut world = World::with_pools(&[("a", &["192.0.2.0/31"])]).await;
    world.start(&[]);
    world.create("s1", &json!({})).await;
    world.until_ip("s1", "192.0.2.0", Some("a")).await;
    assert_eq!(
        world.until_event("s1", "IPAllocated").await,
        "assigned IP 192.0.2.0"
    );
    world.create("s2", &json!({})).await;
    world.until_ip("s2", "192.0.2.1", Some("a")).await;
    world.until_counted("a", 2, 0).await;

    // The pool is full: the owner is told, and served as soon as another Service goes.
    world.create("s3", &json!({})).await;
    let note = world.until_event("s3", "AllocationFailed").await;
    assert!(
        note.contains("default/s3") && note.contains("no available IPs"),
        "{note}"
    );
    assert_eq!(ip(&world.service("s3").await), "");
    world.delete("s1").await;
    world.until_ip("s3", "192.0.2.0", Some("a")).await;

    // A Service that stops being a load balancer keeps no trace of us.
    world.change("s2", &json!({"spec": {"type": "ClusterIP"}})).await;
    world.until_ip("s2", "", None).await;
    world.until_counted("a", 1, 1).await;
}

#[tokio::test]
async fn services_share_an_address_when_both_say_so() {
    let mut world = World::with_pools(&[("a", &["192.0.2.0/30"])]).await;
    world.start(&[]);
    let key = json!({"metallb.io/allow-shared-ip": "k"});
    world
        .create("web", &json!({"metadata": {"annotations": key}}))
        .await;
    world.until_ip("web", "192.0.2.0", Some("a")).await;
    let other_port = json!([{"port": 53, "protocol": "UDP"}]);
    world.create("other", &json!({})).await;
    world.until_ip("other", "192.0.2.1", Some("a")).await;
    world
        .change(
            "other",
            &json!({"metadata": {"annotations": {"metallb.io/loadBalancerIPs": "192.0.2.0"}}}),
        )
        .await;
    let note = world.until_event("other", "AllocationFailed").await;
    assert!(note.contains("default/web"), "who is in the way: {note}");
    world
        .change(
            "other",
            &json!({"metadata": {"annotations": key}, "spec": {"ports": other_port}}),
        )
        .await;
    world.until_ip("other", "192.0.2.0", Some("a")).await;
    world.until_counted("a", 1, 3).await;
}

#[tokio::test]
async fn only_services_of_the_class_are_served() {
    let mut world = World::with_pools(&[("a", &["192.0.2.0/30"])]).await;
    world.start(&["--lb-class=example.com/x"]);
    world.create("plain", &json!({})).await;
    // The class can be set only while the type is changed to LoadBalancer.
    world
        .create("classy", &json!({"spec": {"type": "ClusterIP"}}))
        .await;
    let class = json!({"spec": {"type": "LoadBalancer", "loadBalancerClass": "example.com/x"}});
    world.change("classy", &class).await;
    world.until_ip("classy", "192.0.2.0", Some("a")).await;
    assert_eq!(ip(&world.service("plain").await), "");
    // With the type the API server drops the class; the address must come back nevertheless.
    world
        .change(
            "classy",
            &json!({"spec": {"type": "ClusterIP", "loadBalancerClass": null}}),
        )
        .await;
    world.until_ip("classy", "", None).await;
    world.until_counted("a", 0, 4).await;
}

#[tokio::test]
async fn what_others_write_is_repaired_or_respected() {
    let mut world = World::with_pools(&[("a", &["192.0.2.0/30"])]).await;
    // Left behind by another implementation, under its own name.
    world
        .create("old", &json!({"metadata": {"annotations": {FROM_POOL: "gone"}}}))
        .await;
    let foreign =
        json!({"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}, {"hostname": "x.example"}]}}});
    world.change_status("old", &foreign).await;
    world.start(&[]);
    world.until_ip("old", "192.0.2.0", Some("a")).await;
    // Cleared for good, although the other one's name is still on the fields.
    world.change_status("old", &json!({"metadata": {"annotations": {FROM_POOL: "a"}}, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.0"}]}}})).await;
    world.change("old", &json!({"spec": {"type": "ClusterIP"}})).await;
    world.until_ip("old", "", None).await;

    world.create("s", &json!({})).await;
    world.until_ip("s", "192.0.2.0", Some("a")).await;
    world
        .change_status("s", &json!({"status": {"loadBalancer": {"ingress": null}}}))
        .await;
    world.until_ip("s", "192.0.2.0", Some("a")).await;
    // Ports that someone adds to the entry are theirs.
    let ports = json!([{"port": 80, "protocol": "TCP", "error": null}]);
    world.change_status("s", &json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.0", "ipMode": "Proxy", "ports": ports}]}}})).await;
    world.create("later", &json!({})).await;
    world.until_ip("later", "192.0.2.1", Some("a")).await;
    let service = world.service("s").await;
    let entry = service
        .status
        .as_ref()
        .unwrap()
        .load_balancer
        .as_ref()
        .unwrap()
        .ingress
        .as_ref()
        .unwrap()[0]
        .clone();
    assert_eq!(
        (entry.ip_mode.as_deref(), entry.ports.map(|ports| ports.len())),
        (Some("Proxy"), Some(1))
    );
    assert_eq!(service.annotations()[FROM_POOL], "a");
}
