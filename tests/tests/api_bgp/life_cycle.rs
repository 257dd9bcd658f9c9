//! From a running MetalLB to this operator, and to nothing.

use anyhow::ensure;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use metallb_crds::frrk8s::FRRConfiguration;
use metallb_crds::metallb::ConfigurationState;
use serde_json::json;

use super::cluster::{CART, Cluster};

#[tokio::test]
async fn nothing_is_written_without_an_installation_and_all_goes_with_it() {
    let mut cluster = Cluster::bare().await;
    cluster.world.start_operator(&[]);
    cluster
        .world
        .apply_metallb(json!({"bgpBackend": "frr-k8s"}))
        .await;
    cluster.until_announced(&["edge-a", "edge-b", "edge-c"]).await;
    // A user's own object is none of our business.
    cluster
        .apply(
            &json!({"apiVersion": "frrk8s.metallb.io/v1beta1", "kind": "FRRConfiguration",
            "metadata": {"name": "mine", "namespace": "metallb-system"}, "spec": {}}),
        )
        .await;
    cluster
        .world
        .metallbs()
        .delete("metallb", &DeleteParams::default())
        .await
        .unwrap();
    cluster
        .world
        .until("everything is withdrawn", async || {
            let left = cluster.configurations().list(&ListParams::default()).await?;
            let names: Vec<_> = left
                .iter()
                .filter_map(|object| object.metadata.name.as_deref())
                .collect();
            ensure!(names == ["mine"], "{names:?}");
            ensure!(cluster.statuses().await.is_empty(), "statuses are left");
            Ok(())
        })
        .await;
}

#[tokio::test]
async fn what_was_published_elsewhere_goes_even_if_the_operator_was_down() {
    let mut cluster = Cluster::bare().await;
    cluster
        .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}}))
        .await;
    cluster.world.start_operator(&[]);
    cluster
        .world
        .apply_metallb(json!({"bgpBackend": "frr-k8s-external", "frrk8sConfig": {"namespace": "elsewhere"}}))
        .await;
    let published: Api<FRRConfiguration> = Api::namespaced(cluster.client(), "elsewhere");
    cluster
        .world
        .until("everything is published", async || {
            let count = published.list(&ListParams::default()).await?.items.len();
            ensure!(count == 3, "{count} objects");
            Ok(())
        })
        .await;
    cluster.world.stop_operator();
    let metallbs = cluster.world.metallbs();
    metallbs
        .delete("metallb", &DeleteParams::default())
        .await
        .unwrap();
    cluster.world.start_operator(&[]);
    cluster
        .world
        .until("the installation is gone", async || {
            ensure!(metallbs.get_opt("metallb").await?.is_none(), "it is there");
            Ok(())
        })
        .await;
    let left = published.list(&ListParams::default()).await.unwrap().items;
    assert!(left.is_empty(), "the installation went before {left:?}");
}

#[tokio::test]
async fn the_objects_of_metallbs_speaker_stay_as_long_as_there_is_no_installation() {
    let mut cluster = Cluster::bare().await;
    let spec = json!({"nodeSelector": {"matchLabels": {"kubernetes.io/hostname": "edge-a"}}});
    cluster
        .apply(
            &json!({"apiVersion": "frrk8s.metallb.io/v1beta1", "kind": "FRRConfiguration",
            "metadata": {"name": "metallb-edge-a", "namespace": "metallb-system"}, "spec": spec}),
        )
        .await;
    // The last thing an operator without an installation removes.
    cluster
        .apply(
            &json!({"apiVersion": "metallb.io/v1beta1", "kind": "ConfigurationState",
            "metadata": {"name": "operator", "namespace": "metallb-system"}}),
        )
        .await;
    cluster.world.start_operator(&[]);
    let states: Api<ConfigurationState> = Api::namespaced(cluster.client(), "metallb-system");
    cluster
        .world
        .until("leftovers of an installation are removed", async || {
            ensure!(states.get_opt("operator").await?.is_none(), "they are there");
            Ok(())
        })
        .await;
    assert!(cluster.configuration("edge-a").await.is_ok());
}

#[tokio::test]
async fn the_objects_of_metallbs_speaker_are_taken_over_and_leftovers_deleted() {
    let mut cluster = Cluster::bare().await;
    for node in ["edge-a", "gone"] {
        let object = json!({"apiVersion": "frrk8s.metallb.io/v1beta1", "kind": "FRRConfiguration",
            "metadata": {"name": format!("metallb-{node}"), "namespace": "metallb-system"},
            "spec": {"nodeSelector": {"matchLabels": {"kubernetes.io/hostname": node}},
                "bgp": {"bfdProfiles": [{"name": "old"}], "routers": [{"asn": 64610, "prefixes": CART, "neighbors": [
                    {"address": "10.61.1.1", "asn": 64710, "port": 179, "toAdvertise": {"allowed": {"prefixes": CART}}}]}]}}});
        cluster.apply(&object).await;
    }
    let before = cluster.configuration("edge-a").await.unwrap().metadata.uid;
    cluster.world.start_operator(&[]);
    cluster
        .world
        .apply_metallb(json!({"bgpBackend": "frr-k8s"}))
        .await;
    cluster.until_announced(&["edge-a", "edge-b", "edge-c"]).await;
    cluster
        .world
        .until(
            "the old object is as it shall be, and the leftover is gone",
            async || {
                let object = cluster.configuration("edge-a").await?;
                ensure!(object.spec.bgp.bfd_profiles.is_empty(), "the old profile is left");
                ensure!(object.spec.bgp.routers[0].neighbors.len() == 2, "{object:?}");
                ensure!(
                    cluster.configuration("gone").await.is_err(),
                    "the leftover is there"
                );
                Ok(())
            },
        )
        .await;
    assert_eq!(
        cluster.configuration("edge-a").await.unwrap().metadata.uid,
        before,
        "never deleted"
    );
}

#[tokio::test]
async fn the_settings_of_the_installation_count() {
    let cluster = Cluster::new().await;
    cluster
        .world
        .apply_metallb(json!({"bgpBackend": "frr-k8s", "loadBalancerClass": "acme/x"}))
        .await;
    cluster.until_announced(&[]).await;
    cluster
        .world
        .apply_metallb(json!({"bgpBackend": "frr-k8s", "ignoreExcludeLB": true}))
        .await;
    let label = json!({"node.kubernetes.io/exclude-from-external-load-balancers": ""});
    let exclude = Patch::Merge(json!({"metadata": {"labels": label}}));
    cluster
        .nodes()
        .patch("edge-a", &PatchParams::default(), &exclude)
        .await
        .unwrap();
    cluster.until_announced(&["edge-a", "edge-b", "edge-c"]).await;
}
