//! Restarts of our programs, one by one, while a router is asked for the route all the time.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use xtask::checks::{self, PATIENCE};
use xtask::cluster::{Cluster, NAMESPACE};
use xtask::command::{self, wait_until};
use xtask::lab::addresses::Node;
use xtask::lab::router::ROUTERS;
use xtask::{objects, observe};

use super::world::world;

#[test]
fn a_restart_of_operator_controller_or_speaker_leaves_the_route_alone() {
    let world = world();
    let service = world.expose("restart-plain", objects::BGP_POOL_NAME);
    let address = service.addresses[0];
    checks::routed(&ROUTERS[0], address, &world.nodes()).unwrap();
    let complete = checks::addresses_of(&world.nodes(), address);
    let sessions = established(&world.nodes());
    for selector in [
        "control-plane=controller-manager",
        "component=controller",
        "component=speaker",
    ] {
        replace_pods(
            &world.cluster,
            selector,
            |hops| {
                ensure!(
                    *hops == complete,
                    "while {selector} restarted, the next hops became {hops:?}"
                );
                Ok(())
            },
            address,
        )
        .unwrap();
    }
    assert_eq!(established(&world.nodes()), sessions, "no session was reset");
    assert_eq!(
        world
            .cluster
            .addresses(super::world::WEB, "restart-plain")
            .unwrap()[0],
        address.to_string()
    );
}

#[test]
fn a_restart_of_frr_keeps_the_route_through_the_other_node_and_brings_the_next_hop_back() {
    let world = world();
    let service = world.expose("restart-frr", objects::BGP_POOL_NAME);
    let address = service.addresses[0];
    checks::routed(&ROUTERS[0], address, &world.nodes()).unwrap();
    for (pod, node) in world.cluster.pods("app.kubernetes.io/component=frr-k8s").unwrap() {
        world
            .cluster
            .kubectl(&format!("delete pod -n {NAMESPACE} {pod} --wait=false"))
            .unwrap();
        wait_until(&format!("FRR of {node} runs again"), PATIENCE, || {
            let hops = observe::next_hops(&ROUTERS[0], &checks::host_route(address))?;
            assert!(!hops.is_empty(), "the route is gone while FRR of {node} restarts");
            let pods = world.cluster.pods("app.kubernetes.io/component=frr-k8s")?;
            ensure!(
                pods.iter().all(|(name, _)| *name != pod),
                "the old pod still runs"
            );
            Ok(())
        })
        .unwrap();
        checks::routed(&ROUTERS[0], address, &world.nodes()).unwrap();
    }
}

#[test]
fn a_crash_of_the_frr_agent_resets_no_session() {
    let world = world();
    let service = world.expose("restart-agent", objects::BGP_POOL_NAME);
    let address = service.addresses[0];
    checks::routed(&ROUTERS[0], address, &world.nodes()).unwrap();
    let (sessions, complete) = (
        established(&world.nodes()),
        checks::addresses_of(&world.nodes(), address),
    );
    let node = world.nodes().remove(0);
    let old = agent(&node).unwrap().expect("the agent runs");
    command::output(Command::new("kill").args(["-KILL", &old.to_string()])).unwrap();
    wait_until("the agent runs again", PATIENCE, || {
        let hops = observe::next_hops(&ROUTERS[0], &checks::host_route(address))?;
        assert_eq!(hops, complete, "the route changed while the agent was away");
        ensure!(agent(&node)?.is_some_and(|pid| pid != old), "it does not");
        Ok(())
    })
    .unwrap();
    // The new agent must be at work, not only running.
    let second = world.expose("restart-agent-again", objects::BGP_POOL_NAME);
    checks::routed(&ROUTERS[0], second.addresses[0], &world.nodes()).unwrap();
    assert_eq!(established(&world.nodes()), sessions, "no session was reset");
}

/// Deletes the pods of a component and waits for their successors, handing every look at the route to `judge`.
fn replace_pods(
    cluster: &Cluster,
    selector: &str,
    judge: impl Fn(&BTreeSet<IpAddr>) -> Result<()>,
    address: IpAddr,
) -> Result<()> {
    let old: BTreeSet<_> = cluster
        .pods(selector)?
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    ensure!(!old.is_empty(), "no pod matches {selector}");
    cluster.kubectl(&format!("delete pod -n {NAMESPACE} -l {selector} --wait=false"))?;
    let mut verdict = Ok(());
    wait_until(&format!("new pods for {selector}"), PATIENCE, || {
        verdict = judge(&observe::next_hops(&ROUTERS[0], &checks::host_route(address))?);
        if verdict.is_err() {
            return Ok(());
        }
        let pods = cluster.items(&format!("pods -n {NAMESPACE} -l {selector}"))?;
        ensure!(pods.len() == old.len(), "{} pods", pods.len());
        for pod in pods {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            ensure!(!old.contains(name), "{name} is still there");
            let (ready, ..) = Cluster::condition(&pod, "Ready").context("not started")?;
            ensure!(ready == "True", "{name} is not ready");
        }
        Ok(())
    })?;
    verdict
}

/// How often the eBGP router established its sessions with the nodes.
fn established(nodes: &[Node]) -> Vec<u64> {
    let peers = nodes
        .iter()
        .flat_map(|node| [IpAddr::from(node.v4), node.v6.into()]);
    peers
        .map(|peer| observe::established_count(&ROUTERS[0], peer).unwrap())
        .collect()
}

/// Process id of the frr-agent in a node's network namespace.
fn agent(node: &Node) -> Result<Option<u32>> {
    let namespace = fs::metadata(format!("/run/netns/{}", node.namespace))?.ino();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let pid = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.parse::<u32>().ok());
        let Some(pid) = pid else { continue };
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        let program =
            String::from_utf8_lossy(line.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
        let same = fs::metadata(path.join("ns/net")).is_ok_and(|found| found.ino() == namespace);
        if same && program.ends_with("/frr-agent") {
            return Ok(Some(pid));
        }
    }
    Ok(None)
}
