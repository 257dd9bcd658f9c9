//! A bad configuration object is named, and holds up nothing else.

use serde_json::json;

use super::world::World;

#[tokio::test]
async fn a_bad_pool_is_named_until_it_is_repaired() {
    let mut world = World::with_pools(&[("a", &["192.0.2.0/32"])]).await;
    world.start(&[]);
    world.create("s1", &json!({})).await;
    world.until_ip("s1", "192.0.2.0", Some("a")).await;
    assert_eq!(world.until_state("Valid").await, "");

    // The pool that is bad now keeps what it gave; the one that is good is in force.
    world.pool("a", &json!({"addresses": ["192.0.2.0/33"]})).await;
    let summary = world.until_state("Invalid").await;
    assert!(
        summary.starts_with("configuration error: parsing address pool a: "),
        "{summary}"
    );
    assert!(summary.contains("invalid CIDR \"192.0.2.0/33\""), "{summary}");
    world.pool("b", &json!({"addresses": ["198.51.100.0/32"]})).await;
    world.create("s2", &json!({})).await;
    world.until_ip("s2", "198.51.100.0", Some("b")).await;
    world.until_ip("s1", "192.0.2.0", Some("a")).await;

    // So it is after a restart, when nothing is known of the pool any more.
    world.crash();
    world.start(&[]);
    world.delete("s2").await;
    world.until_counted("b", 0, 1).await;
    world.until_ip("s1", "192.0.2.0", Some("a")).await;

    world.pool("a", &json!({"addresses": ["192.0.2.0/31"]})).await;
    assert_eq!(world.until_state("Valid").await, "");
    world.until_counted("a", 1, 1).await;
    world.until_ip("s1", "192.0.2.0", Some("a")).await;

    // The object is ours to keep.
    world.delete_state().await;
    world.until_state("Valid").await;
}
