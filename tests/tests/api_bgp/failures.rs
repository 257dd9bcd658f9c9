//! Bad objects, foreign hands, and what goes away.

use anyhow::ensure;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::cluster::{CART, Cluster};

#[tokio::test]
async fn a_bad_peer_is_named_and_others_are_not_affected() {
    let cluster = Cluster::new().await;
    cluster
        .peer(
            "tor3",
            json!({"myASN": 64610, "peerASN": 64712, "peerAddress": "10.61.3.1", "bfdProfile": "ghost"}),
        )
        .await;
    cluster
        .until_summary("peer tor3 referencing non existing bfd profile ghost")
        .await;
    cluster.service("api", "203.0.113.11").await;
    cluster
        .world
        .until("the other peers hear of a new Service", async || {
            let announced = cluster.announced("edge-a").await?;
            ensure!(
                announced == ["203.0.113.10/32", "203.0.113.11/32"],
                "{announced:?}"
            );
            Ok(())
        })
        .await;
    assert!(cluster.neighbor("edge-a", "10.61.3.1").await.is_err());
    cluster
        .ours("v1beta1", "BFDProfile", "ghost", json!({"detectMultiplier": 4}))
        .await;
    cluster.until_summary("").await;
    cluster
        .world
        .until("the peer is there once it is good", async || {
            let neighbor = cluster.neighbor("edge-a", "10.61.3.1").await?;
            ensure!(neighbor.bfd_profile.as_deref() == Some("ghost"), "{neighbor:?}");
            ensure!(neighbor.to_advertise.allowed.prefixes.len() == 2, "{neighbor:?}");
            Ok(())
        })
        .await;
}

#[tokio::test]
async fn a_peer_that_becomes_bad_keeps_its_last_good_state() {
    let cluster = Cluster::new().await;
    let bad = json!({"myASN": 64610, "peerASN": 64710, "peerAddress": "10.61.1.1", "passwordSecret": {"name": "pw"}});
    cluster.peer("tor1", bad).await;
    cluster.until_summary("tor1").await;
    assert_eq!(cluster.announced("edge-a").await.unwrap(), CART);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pw", "namespace": "metallb-system"},
        "type": "kubernetes.io/basic-auth", "stringData": {"username": "", "password": "s3cret"}});
    cluster.apply(&secret).await;
    cluster
        .world
        .until("the Secret is referred to", async || {
            let neighbor = cluster.neighbor("edge-a", "10.61.1.1").await?;
            ensure!(
                neighbor.password_secret.name == "pw" && neighbor.password.is_none(),
                "{neighbor:?}"
            );
            Ok(())
        })
        .await;
    cluster.until_summary("").await;
    assert!(!cluster.world.operator().log().contains("s3cret"));
}

#[tokio::test]
async fn foreign_changes_are_undone_and_foreign_labels_stay() {
    let cluster = Cluster::new().await;
    let edit = Patch::Merge(json!({
        "metadata": {"labels": {"team": "net"}},
        "spec": {"bgp": {"routers": [{"asn": 1}]}, "raw": {"rawConfig": "hostname x"}},
    }));
    cluster
        .configurations()
        .patch("metallb-edge-a", &PatchParams::default(), &edit)
        .await
        .unwrap();
    cluster
        .world
        .until("the edit is undone", async || {
            let object = cluster.configuration("edge-a").await?;
            ensure!(
                object.spec.bgp.routers[0].asn == 64610 && object.spec.raw.raw_config.is_empty(),
                "{object:?}"
            );
            ensure!(
                object
                    .metadata
                    .labels
                    .as_ref()
                    .is_some_and(|labels| labels.contains_key("team")),
                "{object:?}"
            );
            Ok(())
        })
        .await;
    cluster
        .configurations()
        .delete("metallb-edge-a", &DeleteParams::default())
        .await
        .unwrap();
    cluster.until_announced(&["edge-a", "edge-b", "edge-c"]).await;
}

#[tokio::test]
async fn the_objects_of_a_removed_node_are_removed() {
    let cluster = Cluster::new().await;
    cluster
        .nodes()
        .delete("edge-a", &DeleteParams::default())
        .await
        .unwrap();
    cluster
        .world
        .until("its objects are gone", async || {
            ensure!(
                cluster.configuration("edge-a").await.is_err(),
                "the FRRConfiguration is there"
            );
            let statuses = cluster.statuses().await;
            let of_node = statuses.iter().filter(|status| {
                status
                    .status
                    .as_ref()
                    .is_some_and(|status| status.node == "edge-a")
            });
            ensure!(of_node.count() == 0, "{statuses:?}");
            Ok(())
        })
        .await;
    assert_eq!(cluster.announced("edge-b").await.unwrap(), CART);
    cluster.node("edge-a", "r1").await;
    cluster.until_announced(&["edge-a", "edge-b", "edge-c"]).await;
}
