//! Nodes that go and come back.

use xtask::checks;
use xtask::lab::addresses::Node;
use xtask::lab::router::ROUTERS;
use xtask::objects;

use super::world::{World, world};

#[test]
fn a_node_that_is_deleted_loses_its_next_hop_and_gets_it_back_with_its_return() {
    let world = world();
    let service = world.expose("node-loss", objects::BGP_POOL_NAME);
    let nodes = world.nodes();
    let (kept, lost) = nodes.split_at(1);
    for address in &service.addresses {
        checks::routed(&ROUTERS[0], *address, &nodes).unwrap();
    }

    // A running kubelet would register the node again at once.
    let kubelet = world.cluster.lab().programs(&lost[0]).kubelet;
    kubelet.stop(world.cluster.lab().directory()).unwrap();
    world
        .cluster
        .kubectl(&format!("delete node {}", lost[0].name))
        .unwrap();
    let narrowed = routed_everywhere(&service.addresses, kept);

    kubelet.ensure(world.cluster.lab().directory()).unwrap();
    wait_ready(&world, &lost[0]);
    world.spread_web().unwrap();
    narrowed.unwrap();
    routed_everywhere(&service.addresses, &nodes).unwrap();
}

fn routed_everywhere(addresses: &[std::net::IpAddr], nodes: &[Node]) -> anyhow::Result<()> {
    ROUTERS.iter().try_for_each(|router| {
        addresses
            .iter()
            .try_for_each(|address| checks::routed(router, *address, nodes))
    })
}

fn wait_ready(world: &World, node: &Node) {
    world
        .cluster
        .wait_condition(&format!("node {}", node.name), "Ready", "True", checks::PATIENCE)
        .unwrap();
}
