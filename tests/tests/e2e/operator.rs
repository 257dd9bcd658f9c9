//! The MetalLB object and what it deploys.

use std::fs;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use xtask::checks::PATIENCE;
use xtask::cluster::{Cluster, NAMESPACE};
use xtask::command::wait_until;

use super::world::world;

#[test]
fn the_conditions_say_that_all_is_well() {
    let world = world();
    let words = format!("metallb -n {NAMESPACE} metallb");
    for (type_, status) in [
        ("Available", "True"),
        ("Upgradeable", "True"),
        ("Progressing", "False"),
        ("Degraded", "False"),
    ] {
        world
            .cluster
            .wait_condition(&words, type_, status, PATIENCE)
            .unwrap();
    }
    let metallb = world.cluster.get(&words).unwrap();
    for condition in metallb["status"]["conditions"].as_array().unwrap() {
        assert_eq!(
            condition["observedGeneration"], metallb["metadata"]["generation"],
            "{condition}"
        );
    }
}

#[test]
fn a_deleted_workload_comes_back() {
    let world = world();
    for what in [
        "daemonset/speaker",
        "deployment/controller",
        "daemonset/frr-k8s",
        "configmap/frr-startup",
    ] {
        let words = format!("{what} -n {NAMESPACE}");
        let before = uid(&world.cluster, &words).unwrap();
        world
            .cluster
            .kubectl(&format!("delete {words} --wait=false"))
            .unwrap();
        wait_until(&format!("{what} is back"), PATIENCE, || {
            ensure!(uid(&world.cluster, &words)? != before, "it is still the old one");
            Ok(())
        })
        .unwrap();
    }
    let metallb = format!("metallb -n {NAMESPACE} metallb");
    world
        .cluster
        .wait_condition(&metallb, "Available", "True", PATIENCE)
        .unwrap();
    world
        .cluster
        .kubectl(&format!(
            "rollout status -n {NAMESPACE} daemonset/speaker --timeout=90s"
        ))
        .unwrap();
}

#[test]
fn an_edited_workload_is_repaired() {
    let world = world();
    let words = format!("daemonset/speaker -n {NAMESPACE}");
    let network = |object: &Value| object["spec"]["template"]["spec"]["hostNetwork"].clone();
    assert_eq!(network(&world.cluster.get(&words).unwrap()), true);
    let patch = r#"{"spec":{"template":{"spec":{"hostNetwork":false}}}}"#;
    world
        .cluster
        .kubectl(&format!("patch {words} --type=merge -p {patch}"))
        .unwrap();
    wait_until("the host network is back", PATIENCE, || {
        ensure!(network(&world.cluster.get(&words)?) == true, "it is off");
        Ok(())
    })
    .unwrap();
    world
        .cluster
        .kubectl(&format!(
            "rollout status -n {NAMESPACE} daemonset/speaker --timeout=90s"
        ))
        .unwrap();
}

#[test]
fn an_object_of_another_name_is_told_so_and_changes_nothing() {
    let world = world();
    let mut other = xtask::objects::metallb();
    other["metadata"]["name"] = "second".into();
    let _other = world.create(vec![other]);
    let words = format!("metallb -n {NAMESPACE} second");
    world
        .cluster
        .wait_condition(&words, "Degraded", "True", PATIENCE)
        .unwrap();
    let object = world.cluster.get(&words).unwrap();
    let (_, reason, message) = Cluster::condition(&object, "Degraded").unwrap();
    assert_eq!(reason, "IncorrectMetalLBResourceName");
    assert!(message.contains("second"), "{message}");
}

/// Converged means silent: from one event in the cluster to a later one, none of our programs writes anything but
/// its Lease.
#[test]
fn a_converged_cluster_is_not_written_to() {
    let world = world();
    let log = world.cluster.lab().directory().audit_log();
    let writes = || -> anyhow::Result<Vec<String>> {
        let text = fs::read_to_string(&log).context("no audit log")?;
        let events = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let written = events.filter(|event| {
            let verb = event["verb"].as_str().unwrap_or_default();
            let user = event["user"]["username"].as_str().unwrap_or_default();
            matches!(
                verb,
                "create" | "update" | "patch" | "delete" | "deletecollection"
            ) && user.starts_with(&format!("system:serviceaccount:{NAMESPACE}:"))
                && event["objectRef"]["resource"] != "leases"
                && event["stage"] == "ResponseComplete"
        });
        Ok(written
            .map(|event| format!("{} {}", event["verb"], event["objectRef"]))
            .collect())
    };
    // Renewals of the leader's Lease are the clock: ten of them without a write count as converged.
    let lease = format!("lease -n {NAMESPACE} metallb.io.metallboperator");
    let renewed = || Ok::<_, anyhow::Error>(world.cluster.get(&lease)?["spec"]["renewTime"].clone());
    let (mut since, mut seen, mut ticks) = (writes().unwrap(), renewed().unwrap(), 0);
    wait_until("ten Lease renewals without another write", PATIENCE * 2, || {
        let (now, tick) = (writes()?, renewed()?);
        if now.len() != since.len() {
            let latest = now.last().cloned().unwrap_or_default();
            (since, ticks) = (now, 0);
            anyhow::bail!("just written: {latest}");
        }
        if tick != seen {
            (seen, ticks) = (tick, ticks + 1);
        }
        ensure!(ticks >= 10, "{ticks} so far");
        Ok(())
    })
    .unwrap();
}

fn uid(cluster: &Cluster, words: &str) -> anyhow::Result<String> {
    let object = cluster.get(words)?;
    object["metadata"]["uid"]
        .as_str()
        .map(str::to_owned)
        .context("no uid")
}
