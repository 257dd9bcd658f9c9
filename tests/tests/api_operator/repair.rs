//! Drift is repaired, and what is as it should be is left alone.

use anyhow::{Context as _, ensure};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::api_operator::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn every_deleted_object_comes_back() {
    let world = World::with_metallb(json!({})).await;
    for (key, (uid, _)) in world.deployed().await {
        let (kind, name) = key.split_once(' ').unwrap();
        world
            .api(kind)
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
        world
            .until(&format!("{key} comes back"), async || {
                let found = world.api(kind).get_opt(name).await?.context("missing")?;
                ensure!(found.uid().as_ref() != Some(&uid), "not deleted yet");
                Ok(())
            })
            .await;
    }
    assert!(
        world
            .operator()
            .sum("metallb_operator_managed_object_drift_total")
            .unwrap()
            > 10
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_service_account_brings_new_pods() {
    let world = World::with_metallb(json!({})).await;
    let accounts = world.api("ServiceAccount");
    let before = accounts.get("controller").await.unwrap().uid();
    accounts
        .delete("controller", &DeleteParams::default())
        .await
        .unwrap();
    world
        .until("the pods are those of the new ServiceAccount", async || {
            let account = accounts.get("controller").await?.uid().context("no uid")?;
            ensure!(Some(&account) != before.as_ref(), "not deleted yet");
            let deployment = world.api("Deployment").get("controller").await?;
            let annotations = &deployment.data["spec"]["template"]["metadata"]["annotations"];
            ensure!(
                annotations["metallb.io/service-account-uid"] == account,
                "{annotations}"
            );
            Ok(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_field_is_set_back_and_what_others_added_stays() {
    let world = World::with_metallb(json!({})).await;
    let deployments = world.api("Deployment");
    let edit = PatchParams {
        field_manager: Some("kubectl-edit".to_owned()),
        ..Default::default()
    };
    let theirs: Value = json!({"metadata": {"annotations": {"mine": "1"}}, "spec": {"replicas": 2}});
    deployments
        .patch("controller", &edit, &Patch::Merge(&theirs))
        .await
        .unwrap();
    let sidecar = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "controller", "image": "hijacked"}, {"name": "sidecar", "image": "theirs"},
    ]}}}});
    deployments
        .patch("controller", &edit, &Patch::Strategic(&sidecar))
        .await
        .unwrap();

    world
        .until("the image is ours again", async || {
            let found = deployments.get("controller").await?;
            let containers = found.data["spec"]["template"]["spec"]["containers"]
                .as_array()
                .unwrap()
                .clone();
            let image = |name: &str| {
                let container = containers.iter().find(|container| container["name"] == name);
                container.map(|container| container["image"].clone())
            };
            ensure!(
                image("controller") == Some(json!("example.com/controller:1")),
                "{containers:?}"
            );
            ensure!(
                image("sidecar") == Some(json!("theirs")),
                "the sidecar is gone: {containers:?}"
            );
            ensure!(
                found.data["spec"]["replicas"] == 2 && found.annotations()["mine"] == "1",
                "{found:?}"
            );
            Ok(())
        })
        .await;

    let config_maps = world.api("ConfigMap");
    let edited =
        json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}, "data": {"daemons": "x"}});
    config_maps
        .patch("frr-startup", &edit, &Patch::Merge(&edited))
        .await
        .unwrap();
    world
        .until("label and content are ours again", async || {
            let found = config_maps.get("frr-startup").await?;
            ensure!(
                found.labels().contains_key("app.kubernetes.io/managed-by"),
                "{found:?}"
            );
            ensure!(found.data["data"]["daemons"] != "x", "{found:?}");
            Ok(())
        })
        .await;
}

/// Makes the operator look at everything once more, and waits until it has.
async fn touch(world: &World, value: u32) {
    let before = world.operator().reconciliations().unwrap();
    let annotation = json!({"metadata": {"annotations": {"touched": value.to_string()}}});
    let params = PatchParams::default();
    world
        .metallbs()
        .patch("metallb", &params, &Patch::Merge(&annotation))
        .await
        .unwrap();
    world
        .until("the operator has looked again", async || {
            ensure!(
                world.operator().reconciliations().context("no metrics")? > before,
                "not yet"
            );
            Ok(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_as_it_should_be_is_not_written() {
    // The last value is one which the API server spells in another way.
    let spec = json!({"speakerConfig": {"resources": {"requests": {"cpu": "0.5"}}}});
    let mut world = World::with_metallb(spec).await;
    touch(&world, 0).await;
    let (before, status, writes) = (
        world.deployed().await,
        world.metallb().await.status,
        world.writes().await,
    );
    for value in 1..=5 {
        touch(&world, value).await;
    }
    assert_eq!(
        world.writes().await,
        writes + 5,
        "only the annotations were written"
    );
    assert_eq!(world.deployed().await, before);

    // A new process has to find out what is there, and finds that it is right.
    world.start_operator(&[]);
    world
        .until("the new operator has looked", async || {
            ensure!(
                world.operator().reconciliations().unwrap_or_default() > 0,
                "not yet"
            );
            Ok(())
        })
        .await;
    touch(&world, 6).await;
    assert_eq!(world.deployed().await, before);
    assert_eq!(world.metallb().await.status, status);
}
