//! Processes end and begin; addresses stay, and what is settled is not written again.

use serde_json::json;

use super::world::{World, ip};

#[tokio::test]
async fn a_restart_keeps_addresses_and_writes_nothing() {
    let mut world = World::with_pools(&[("a", &["192.0.2.0/30"])]).await;
    world.start(&[]);
    // In this order of creation, which is not that of the names.
    for name in ["z", "m", "a", "k", "b"] {
        world.create(name, &json!({})).await;
        if name != "b" {
            world.until_event(name, "IPAllocated").await;
        }
    }
    world.until_event("b", "AllocationFailed").await;
    world.until_counted("a", 4, 0).await;
    world.until_state("Valid").await;
    let mut before = Vec::new();
    for name in ["z", "m", "a", "k", "b"] {
        let service = world.service(name).await;
        before.push((ip(&service), service.metadata.resource_version));
    }
    assert_eq!(
        before.iter().map(|(ip, _)| ip.as_str()).collect::<Vec<_>>(),
        ["192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3", ""]
    );
    let writes = world.writes().await;

    world.crash();
    world.start(&[]);
    // Proof that the new process works: a Service that asks for nothing it has to write, and one it has to.
    world
        .change("z", &json!({"metadata": {"labels": {"x": "y"}}}))
        .await;
    world.delete("k").await;
    world.until_ip("b", "192.0.2.3", Some("a")).await;
    for (name, (ip_before, version)) in ["z", "m", "a"].iter().zip(&before) {
        let service = world.service(name).await;
        assert_eq!(ip(&service), *ip_before);
        assert!(
            *name == "z" || service.metadata.resource_version == *version,
            "{name} was written"
        );
    }
    // `b` got its address: one write. The counters went down and up again between two looks, or were written twice.
    let written = world.writes().await - writes;
    assert!((1..=3).contains(&written), "{written} writes");
}

#[tokio::test]
async fn the_other_replica_takes_over_when_the_first_one_goes() {
    let mut world = World::with_pools(&[("a", &["192.0.2.0/30"])]).await;
    world.start(&[]);
    world.create("s1", &json!({})).await;
    world.until_ip("s1", "192.0.2.0", Some("a")).await;
    world.start(&[]);
    // In a roll-out the first one stays until this one is ready.
    world.until_last_ready().await;
    world.terminate_first().await;
    world.create("s2", &json!({})).await;
    world.until_ip("s2", "192.0.2.1", Some("a")).await;
    assert_eq!(ip(&world.service("s1").await), "192.0.2.0");
}
