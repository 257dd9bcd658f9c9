//! ARP and NDP on the nodes' segment, from Services.

use std::net::IpAddr;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use xtask::checks::{self, PATIENCE};
use xtask::command::{self, wait_until};
use xtask::lab::addresses::CLIENT;
use xtask::{objects, observe};

use super::world::world;

const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

#[test]
fn one_node_answers_for_each_address_and_nobody_after_the_service_is_gone() {
    let world = world();
    let service = world.expose("layer2-reach", objects::L2_POOL_NAME);
    for address in &service.addresses {
        checks::owned_by_one_node(world.cluster.lab(), *address).unwrap();
        let body = checks::answers(&CLIENT, *address).unwrap();
        assert!(body.starts_with("pod=web-"), "{body}");
    }
    for address in service.delete() {
        checks::unowned(address).unwrap();
    }
}

#[test]
fn nobody_answers_for_an_address_that_no_service_has() {
    let world = world();
    let service = world.expose("layer2-single", objects::L2_POOL_NAME);
    checks::owned_by_one_node(world.cluster.lab(), service.addresses[0]).unwrap();
    let unused: IpAddr = "172.30.0.249".parse().unwrap();
    assert!(!service.addresses.contains(&unused));
    assert_eq!(observe::owners(unused).unwrap().len(), 0);
}

#[test]
fn when_the_owner_is_excluded_the_other_node_takes_over_and_tells_the_segment() {
    let world = world();
    let service = world.expose("layer2-move", objects::L2_POOL_NAME);
    for address in service.addresses.clone() {
        let (owner, old) = checks::owned_by_one_node(world.cluster.lab(), address).unwrap();
        // Fills the client's neighbor table; from here on the client asks nothing.
        checks::answers(&CLIENT, address).unwrap();
        assert_eq!(neighbor(address).unwrap(), old);
        world
            .cluster
            .kubectl(&format!("label node {owner} {EXCLUDE}="))
            .unwrap();
        let told = wait_until(
            "the client's neighbor entry moves without being asked",
            PATIENCE,
            || {
                let entry = neighbor(address)?;
                ensure!(entry != old, "it still is {entry}");
                Ok(())
            },
        );
        let (next, _) = checks::owned_by_one_node(world.cluster.lab(), address).unwrap();
        world
            .cluster
            .kubectl(&format!("label node {owner} {EXCLUDE}-"))
            .unwrap();
        told.unwrap();
        assert_ne!(next, owner);
        checks::owned_by_one_node(world.cluster.lab(), address).unwrap();
    }
}

/// What the client's neighbor table holds for an address.
fn neighbor(address: IpAddr) -> anyhow::Result<String> {
    let mut ip = command::in_namespace(CLIENT.namespace, "ip");
    let entries: Value = serde_json::from_str(&command::output(ip.args([
        "-j",
        "neigh",
        "show",
        &address.to_string(),
    ]))?)?;
    entries[0]["lladdr"]
        .as_str()
        .map(str::to_owned)
        .context("no entry")
}
