//! The same route, whichever way FRRouting is deployed.

use anyhow::{Context as _, ensure};
use serde_json::json;
use xtask::checks::{self, PATIENCE};
use xtask::cluster::{Cluster, NAMESPACE};
use xtask::command::wait_until;
use xtask::lab::router::ROUTERS;
use xtask::objects;

use super::world::world;

#[test]
fn a_backend_switch_there_and_back_ends_with_the_same_routes() {
    let world = world();
    let service = world.expose("backend", objects::BGP_POOL_NAME);
    for (backend, containers) in [("frr", 3), ("frr-k8s", 1)] {
        let mut metallb = objects::metallb();
        metallb["spec"] = json!({ "bgpBackend": backend });
        world.cluster.apply(&[metallb]).unwrap();
        wait_until(&format!("backend {backend} is deployed"), PATIENCE, || {
            deployed(&world.cluster, containers)
        })
        .unwrap();
        for address in &service.addresses {
            for router in &ROUTERS {
                checks::routed(router, *address, &world.nodes()).unwrap();
            }
        }
    }
    // As the other tests know it: nothing asked for, the default in force.
    world.cluster.apply(&[objects::metallb()]).unwrap();
    wait_until("the default backend is deployed", PATIENCE, || {
        deployed(&world.cluster, 1)
    })
    .unwrap();
}

/// Whether the newest revision of everything runs, with this many containers in a speaker's pod, and with FRRouting in
/// a DaemonSet of its own exactly when the speaker's pods lack it.
fn deployed(cluster: &Cluster, containers: usize) -> anyhow::Result<()> {
    let speaker = cluster.get(&format!("daemonset -n {NAMESPACE} speaker"))?;
    let found = speaker["spec"]["template"]["spec"]["containers"]
        .as_array()
        .map_or(0, Vec::len);
    ensure!(found == containers, "the speaker has {found} containers");
    let alone = cluster.exists(&format!("daemonset -n {NAMESPACE} frr-k8s"))?;
    ensure!(
        alone == (containers == 1),
        "the DaemonSet frr-k8s {}",
        if alone { "still exists" } else { "is missing" }
    );
    let metallb = cluster.get(&format!("metallb -n {NAMESPACE} metallb"))?;
    let seen = &metallb["status"]["observedGeneration"];
    ensure!(
        *seen == metallb["metadata"]["generation"],
        "generation {seen} was the last one looked at"
    );
    let (available, reason, message) = Cluster::condition(&metallb, "Available").context("no condition")?;
    ensure!(available == "True", "{reason}: {message}");
    Ok(())
}
