//! What the status of MetalLB objects says.

use anyhow::{Context as _, ensure};
use kube::Api;
use kube::api::{Patch, PatchParams};
use metallb_crds::metallb::MetalLB;
use serde_json::{Value, json};

use crate::api_operator::world::{NAMESPACE, World};

/// Writes the status of a workload, as the controllers of a real cluster do.
async fn set_status(world: &World, kind: &str, name: &str, mut status: Value) {
    let api = world.api(kind);
    status["observedGeneration"] = json!(api.get(name).await.unwrap().metadata.generation);
    let patch = json!({ "status": status });
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

fn daemon_set(ready: u32) -> Value {
    json!({
        "desiredNumberScheduled": 2, "currentNumberScheduled": 2, "updatedNumberScheduled": 2,
        "numberReady": ready, "numberMisscheduled": 0,
    })
}

fn deployment(ready: u32) -> Value {
    json!({"replicas": 1, "updatedReplicas": 1, "readyReplicas": ready})
}

#[tokio::test(flavor = "multi_thread")]
async fn available_follows_every_workload() {
    let world = World::with_metallb(json!({})).await;
    world
        .until_condition(
            "Available",
            "False",
            "controller: waiting for the cluster to act on it",
        )
        .await;
    set_status(&world, "DaemonSet", "speaker", daemon_set(2)).await;
    set_status(&world, "Deployment", "controller", deployment(1)).await;
    set_status(&world, "DaemonSet", "frr-k8s", daemon_set(1)).await;
    world
        .until_condition("Progressing", "True", "frr-k8s: 1 of 2 pods ready")
        .await;
    assert_eq!(
        world.condition("Available").await.unwrap().0,
        "False",
        "BGP cannot work yet"
    );

    set_status(&world, "DaemonSet", "frr-k8s", daemon_set(2)).await;
    world.until_condition("Available", "True", "").await;
    for (type_, status) in [
        ("Upgradeable", "True"),
        ("Progressing", "False"),
        ("Degraded", "False"),
    ] {
        assert_eq!(world.condition(type_).await.unwrap().0, status, "{type_}");
    }
    let status = world.metallb().await.status.unwrap();
    assert_eq!(status.backend.as_deref(), Some("frr-k8s"));
    let speaker = status
        .components
        .iter()
        .find(|component| component.name == "speaker")
        .unwrap();
    assert_eq!(
        (speaker.ready, speaker.desired, speaker.image.as_str()),
        (2, 2, "example.com/speaker:1")
    );

    set_status(&world, "Deployment", "controller", deployment(0)).await;
    world
        .until_condition("Available", "False", "controller: 0 of 1 pods ready")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_cannot_start_is_told_with_its_node_and_its_cause() {
    let world = World::with_metallb(json!({})).await;
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(world.client(), NAMESPACE);
    let pod = serde_json::from_value(json!({
        "metadata": {"name": "speaker-x", "labels": {"app": "metallb", "component": "speaker"}},
        "spec": {"nodeName": "n2", "containers": [{"name": "speaker", "image": "example.com/speaker:1"}]},
    }));
    pods.create(&Default::default(), &pod.unwrap()).await.unwrap();
    let status = json!({"status": {"containerStatuses": [{
        "name": "speaker", "image": "example.com/speaker:1", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "ImagePullBackOff"}},
    }]}});
    pods.patch_status("speaker-x", &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap();
    set_status(&world, "DaemonSet", "speaker", daemon_set(1)).await;
    let text =
        "speaker: 1 of 2 pods ready; node n2: container speaker image example.com/speaker:1 cannot be pulled";
    world.until_condition("Degraded", "True", text).await;
    world.until_condition("Progressing", "True", text).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_spec_is_told_and_disturbs_nothing() {
    let world = World::with_metallb(json!({})).await;
    let before = world.deployed().await;
    world.apply_metallb(json!({"bgpBackend": "bogus"})).await;
    world
        .until_condition("Degraded", "True", "invalid BGP Backend, must be one of native")
        .await;
    assert_eq!(world.condition("Degraded").await.unwrap().1, "InvalidSpec");
    assert_eq!(world.deployed().await, before);
    world.apply_metallb(json!({})).await;
    world.until_condition("Degraded", "False", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_in_the_wrong_place_is_told_so() {
    let world = World::with_metallb(json!({})).await;
    let before = world.deployed().await;
    for (namespace, name, reason) in [
        (NAMESPACE, "wrong", "IncorrectMetalLBResourceName"),
        ("default", "metallb", "IncorrectMetalLBResourceNamespace"),
    ] {
        let object = json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "MetalLB", "metadata": {"name": name, "namespace": namespace},
        });
        world.apply(&object).await.unwrap();
        let api: Api<MetalLB> = Api::namespaced(world.client(), namespace);
        world
            .until(&format!("{namespace}/{name} is degraded"), async || {
                let status = api.get(name).await?.status.context("no status")?;
                let degraded = status
                    .conditions
                    .iter()
                    .find(|condition| condition.type_ == "Degraded");
                let degraded = degraded.context("no condition")?;
                ensure!(
                    degraded.status == "True" && degraded.reason == reason,
                    "{degraded:?}"
                );
                Ok(())
            })
            .await;
        // It can be deleted at once, and takes nothing with it.
        api.delete(name, &Default::default()).await.unwrap();
        assert!(api.get_opt(name).await.unwrap().is_none());
    }
    assert_eq!(world.deployed().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_server_refuses_is_told_and_tried_again() {
    let mut world = World::without_operator().await;
    // The operator's role without the rule for policies.
    let roles = world.api("Role");
    let role = roles.get("metallb-manager-role").await.unwrap();
    let rules = role.data["rules"].as_array().unwrap().clone();
    let less: Vec<_> = rules
        .iter()
        .filter(|rule| rule["resources"][0] != "networkpolicies")
        .collect();
    assert_eq!(less.len() + 1, rules.len());
    let patch = |rules: Value| Patch::Merge(json!({ "rules": rules }));
    roles
        .patch(
            "metallb-manager-role",
            &PatchParams::default(),
            &patch(json!(less)),
        )
        .await
        .unwrap();
    // Without that right it could not even watch policies, so let it read.
    let reader = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "reader", "namespace": NAMESPACE},
        "rules": [{"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["get", "list", "watch"]}],
    });
    world.apply(&reader).await.unwrap();
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "reader", "namespace": NAMESPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "manager-account", "namespace": NAMESPACE}],
    });
    world.apply(&binding).await.unwrap();
    world.start_operator(&[]);
    world.apply_metallb(json!({})).await;
    world
        .until_condition("Degraded", "True", "apply NetworkPolicy controller")
        .await;
    let (_, reason, message) = world.condition("Degraded").await.unwrap();
    assert!(message.contains("forbidden"), "{message}");
    assert_eq!(reason, "FailedToSyncMetalLBResources");
    assert_eq!(world.condition("Available").await.unwrap().0, "False");
    assert!(
        world.deployed().await.contains_key("DaemonSet speaker"),
        "the rest is deployed"
    );

    roles
        .patch(
            "metallb-manager-role",
            &PatchParams::default(),
            &patch(json!(rules)),
        )
        .await
        .unwrap();
    world.until_condition("Degraded", "False", "").await;
    assert!(world.deployed().await.contains_key("NetworkPolicy controller"));
}
