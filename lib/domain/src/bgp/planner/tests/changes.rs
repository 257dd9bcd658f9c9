//! What a change touches, and what it does not.

use super::*;

#[test]
fn a_service_that_moves_to_another_address_changes_each_node_once() {
    let mut world = World::new();
    let changes = world.serve("shop/cart", &["203.0.113.20"], &[]);
    assert_eq!(changes.nodes.len(), 3);
    assert_eq!(world.announced("edge-a", "10.61.1.1"), ["203.0.113.20/32"]);
}

#[test]
fn a_removed_pool_does_not_cut_off_the_service_that_has_its_address() {
    let mut world = World::new();
    world.pools.remove(0);
    world.configure();
    assert_eq!(world.announcing(), ALL);
    world.serve("shop/new", &["203.0.113.11"], &[]);
    assert_eq!(
        world.announced("edge-a", "10.61.1.1"),
        CART,
        "nobody else gets a route from it"
    );
    world.serve("shop/cart", &["203.0.113.12"], &[]);
    assert!(world.announcing().is_empty());
    world.serve("shop/cart", &["203.0.113.10"], &[]);
    assert!(
        world.announcing().is_empty(),
        "once given up, the address is not taken up again"
    );
}

#[test]
fn what_does_not_concern_a_node_does_not_touch_it() {
    let mut world = World::new();
    for name in ALL {
        world.planner.plan(&node(name));
    }
    let before = world.planner.plan(&node("edge-a")).unwrap();
    let joined = world.planner.set_node(&node("edge-d"), node_view("edge-d", "r3"));
    assert_eq!(joined.nodes, BTreeSet::from([node("edge-d")]));
    assert_eq!(
        world.planner.set_node(&node("edge-a"), node_view("edge-a", "r1")),
        Changes::default()
    );
    let churn = world.planner.set_endpoints(&key("shop/cart"), ready_on("edge-c"));
    assert!(
        churn.nodes.is_empty(),
        "a Cluster Service does not care where its endpoints are"
    );
    let unrelated = world
        .planner
        .set_endpoints(&key("shop/clusterip"), ready_on("edge-a"));
    assert!(unrelated.nodes.is_empty());
    world.peers[1].node_selectors = vec![selector(&[("rack", "r2")])];
    world.peers.push(Peer {
        node_selectors: vec![selector(&[("rack", "r9")])],
        ..peer("far", 64999, "10.9.9.9")
    });
    let mut changes = world.configure();
    changes.nodes.remove(&node("edge-d"));
    assert_eq!(
        changes.nodes,
        BTreeSet::from([node("edge-a")]),
        "only its sessions changed"
    );
    let after = world.planner.plan(&node("edge-b")).unwrap();
    assert!(
        Arc::ptr_eq(&after.bgp, &world.planner.plan(&node("edge-c")).unwrap().bgp),
        "equal results are shared"
    );
    assert_eq!(before.bgp, after.bgp, "nothing changed here");
    assert_ne!(before.bgp, world.planner.plan(&node("edge-a")).unwrap().bgp);
}
