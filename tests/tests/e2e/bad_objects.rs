//! Objects that cannot work are reported by name, and nothing else changes.

use serde_json::{Value, json};
use xtask::checks;
use xtask::lab::addresses::BGP_POOL;
use xtask::lab::router::ROUTERS;
use xtask::objects;

use super::world::{World, world};

#[test]
fn an_overlapping_pool_is_named_and_the_older_pool_goes_on() {
    let world = world();
    let spec = json!({ "addresses": [BGP_POOL[0]] });
    let summary = with_bad_object(&world, "controller", pool("overlapping", spec));
    assert!(summary.contains("overlap"), "{summary}");
}

#[test]
fn an_unparsable_range_is_named() {
    let world = world();
    let spec = json!({ "addresses": ["198.51.101.10-198.51.101.1o"] });
    let summary = with_bad_object(&world, "controller", pool("unparsable", spec));
    assert!(summary.contains("198.51.101.1o"), "{summary}");
}

#[test]
fn a_peer_with_a_bad_address_is_named_and_the_other_sessions_stay() {
    let world = world();
    let spec = json!({ "myASN": 64512, "peerASN": 64999, "peerAddress": "172.30.0.300" });
    let peer = objects::object("metallb.io/v1beta2", "BGPPeer", "misspelt", spec);
    with_bad_object(&world, "operator", peer);
}

fn pool(name: &str, spec: Value) -> Value {
    objects::object("metallb.io/v1beta1", "IPAddressPool", name, spec)
}

/// Creates a bad object beside a Service that works; `component` must name it while that Service, its route and a new
/// Service go on as if nothing were. Returns the reported text.
fn with_bad_object(world: &World, component: &str, bad: Value) -> String {
    let name = bad["metadata"]["name"].as_str().expect("a name").to_owned();
    let before = world.expose("bad-before", objects::BGP_POOL_NAME);
    checks::routed(&ROUTERS[0], before.addresses[0], &world.nodes()).unwrap();

    let created = world.create(vec![bad]);
    let summary = world.wait_invalid(component, &name);
    checks::routed(&ROUTERS[0], before.addresses[0], &world.nodes()).unwrap();
    let after = world.expose("bad-after", objects::BGP_POOL_NAME);
    checks::routed(&ROUTERS[0], after.addresses[0], &world.nodes()).unwrap();

    drop(created);
    world.wait_valid(component);
    summary
}
