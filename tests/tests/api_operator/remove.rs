//! Deleting the MetalLB object removes everything that was deployed for it, and nothing else.

use anyhow::ensure;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt as _};
use metallb_crds::frrk8s::FRRNodeState;
use serde_json::json;

use crate::api_operator::world::{NAMESPACE, World};

async fn until_removed(world: &World) {
    world
        .until("everything is removed", async || {
            let deployed = world.deployed().await;
            ensure!(deployed.is_empty(), "left: {:?}", deployed.keys());
            ensure!(
                world.metallbs().get_opt("metallb").await?.is_none(),
                "the object itself is left"
            );
            Ok(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_removes_everything_and_nothing_of_others() {
    let world = World::with_metallb(json!({})).await;
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "theirs", "namespace": NAMESPACE},
    });
    world.apply(&theirs).await.unwrap();
    let node = json!({"apiVersion": "frrk8s.metallb.io/v1beta1", "kind": "FRRNodeState", "metadata": {"name": "n1"}});
    world.apply(&node).await.unwrap();
    world
        .metallbs()
        .delete("metallb", &DeleteParams::default())
        .await
        .unwrap();
    until_removed(&world).await;
    let nodes: Api<FRRNodeState> = Api::all(world.client());
    assert!(
        nodes.get_opt("n1").await.unwrap().is_none(),
        "what an agent said about a node is left"
    );
    world.api("ConfigMap").get("theirs").await.unwrap();
    world.api("ServiceAccount").get("manager-account").await.unwrap();

    world.apply_metallb(json!({})).await;
    world.until_deployed().await;
    assert!(
        world.deployed().await.contains_key("DaemonSet speaker"),
        "and it can be installed again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_while_the_operator_is_down_is_completed_later() {
    let mut world = World::with_metallb(json!({"bgpBackend": "frr"})).await;
    world.stop_operator();
    world
        .metallbs()
        .delete("metallb", &DeleteParams::default())
        .await
        .unwrap();
    assert!(
        world.metallb().await.metadata.deletion_timestamp.is_some(),
        "the finalizer holds it"
    );
    world.start_operator(&[]);
    until_removed(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_deleted_without_its_finalizer_leaves_nothing_either() {
    let world = World::with_metallb(json!({})).await;
    let mut metallb = world.metallb().await;
    metallb.finalizers_mut().clear();
    metallb.metadata.deletion_timestamp = None;
    let api = world.metallbs();
    api.delete("metallb", &DeleteParams::default()).await.unwrap();
    // Whether the operator or this comes first, all is removed in the end.
    if let Ok(Some(mut left)) = api.get_opt("metallb").await {
        left.finalizers_mut().clear();
        let _ = api.replace("metallb", &PostParams::default(), &left).await;
    }
    until_removed(&world).await;
}
