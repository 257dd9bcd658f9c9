//! What is deployed for a MetalLB object, and what changes with it.

use anyhow::ensure;
use kube::ResourceExt as _;
use metallb_crds::metallb::MetalLB;
use serde_json::json;

use crate::api_operator::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn one_empty_object_deploys_everything_with_the_rights_of_the_manifest() {
    let world = World::with_metallb(json!({})).await;
    let deployed = world.deployed().await;
    for name in [
        "Deployment controller",
        "DaemonSet speaker",
        "DaemonSet frr-k8s",
        "ConfigMap frr-startup",
        "ConfigMap metallb-excludel2",
        "NetworkPolicy controller",
        "ServiceAccount controller",
        "ServiceAccount speaker",
        "ServiceAccount frr-k8s-daemon",
        "ClusterRole metallb-system:controller",
        "ClusterRoleBinding metallb-system:speaker",
        "Role frr-k8s-daemon",
        "RoleBinding frr-k8s-daemon",
    ] {
        assert!(deployed.contains_key(name), "{name} is missing in {deployed:?}");
    }
    let metallb = world.metallb().await;
    let speaker = world.api("DaemonSet").get("speaker").await.unwrap();
    assert_eq!(speaker.owner_references()[0].uid, metallb.uid().unwrap());
    let log = world.operator().log();
    assert!(
        !log.contains("forbidden"),
        "the shipped rights do not suffice: {log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_the_backend_removes_what_it_does_not_need() {
    let world = World::with_metallb(json!({"bgpBackend": "frr-k8s"})).await;
    let with_daemon_set = world.deployed().await;

    world.apply_metallb(json!({"bgpBackend": "frr"})).await;
    world
        .until("FRR runs beside the speaker only", async || {
            let deployed = world.deployed().await;
            ensure!(!deployed.contains_key("DaemonSet frr-k8s"), "still there");
            ensure!(
                !deployed.contains_key("ServiceAccount frr-k8s-daemon"),
                "its account is still there"
            );
            Ok(())
        })
        .await;
    let speaker = world.api("DaemonSet").get("speaker").await.unwrap();
    let containers = speaker.data["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap();
    assert_eq!(containers.len(), 3, "{containers:?}");
    let kept = &world.deployed().await["ConfigMap frr-startup"].0;
    assert_eq!(
        *kept, with_daemon_set["ConfigMap frr-startup"].0,
        "what both need is not made anew"
    );

    let external = json!({"bgpBackend": "frr-k8s-external", "frrk8sConfig": {"namespace": "elsewhere"}});
    world.apply_metallb(external).await;
    world
        .until("no FRR at all", async || {
            ensure!(
                !world.deployed().await.contains_key("ConfigMap frr-startup"),
                "still there"
            );
            Ok(())
        })
        .await;
    let speaker = world.api("DaemonSet").get("speaker").await.unwrap();
    let containers = speaker.data["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap();
    assert_eq!(containers.len(), 1, "{containers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clearing_a_field_clears_it_everywhere() {
    let world = World::with_metallb(json!({})).await;
    let plain = world.api("DaemonSet").get("speaker").await.unwrap().data["spec"].clone();
    world
        .apply_metallb(json!({
            "logLevel": "debug", "loadBalancerClass": "example.com/class", "nodeSelector": {"a": "b"},
            "speakerTolerations": [{"key": "t", "operator": "Exists"}],
            "speakerConfig": {"annotations": {"a": "b"}, "resources": {"requests": {"cpu": "0.5"}}},
        }))
        .await;
    world.until_deployed().await;
    let changed = world.api("DaemonSet").get("speaker").await.unwrap().data["spec"].clone();
    assert_eq!(
        changed["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"],
        "500m"
    );

    world.apply_metallb(json!({})).await;
    world.until_deployed().await;
    assert_eq!(
        world.api("DaemonSet").get("speaker").await.unwrap().data["spec"],
        plain
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_made_by_another_operator_is_continued() {
    let mut world = World::without_operator().await;
    // As a create-or-update operator of old leaves it: fields owned by `manager`, by update.
    let old = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "controller", "namespace": "metallb-system"},
        "spec": {
            "selector": {"matchLabels": {"app": "metallb", "component": "controller"}},
            "template": {
                "metadata": {"labels": {"app": "metallb", "component": "controller"}},
                "spec": {"containers": [
                    {"name": "controller", "image": "old", "args": ["--old"], "env": [{"name": "OLD", "value": "1"}]},
                    {"name": "kube-rbac-proxy", "image": "proxy"},
                ]},
            },
        },
    });
    let params = kube::api::PostParams {
        field_manager: Some("manager".to_owned()),
        ..Default::default()
    };
    let old = serde_json::from_value(old).unwrap();
    let uid = world.api("Deployment").create(&params, &old).await.unwrap().uid();
    world.start_operator(&[]);
    world.apply_metallb(json!({})).await;
    world.until_deployed().await;

    let controller = world.api("Deployment").get("controller").await.unwrap();
    assert_eq!(controller.uid(), uid, "continued, not made anew");
    let containers = controller.data["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap();
    let names: Vec<_> = containers
        .iter()
        .map(|container| container["name"].as_str())
        .collect();
    assert_eq!(names, [Some("controller")]);
    let variables = containers[0]["env"].as_array().unwrap();
    assert!(
        variables.iter().all(|variable| variable["name"] != "OLD"),
        "{variables:?}"
    );
    assert_eq!(controller.owner_references().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_object_keeps_exactly_what_the_user_wrote() {
    let world = World::with_metallb(json!({"logLevel": "warn"})).await;
    let MetalLB { spec, metadata, .. } = world.metallb().await;
    assert_eq!(serde_json::to_value(spec).unwrap(), json!({"logLevel": "warn"}));
    assert_eq!(metadata.generation, Some(1), "the operator never writes the spec");
}
