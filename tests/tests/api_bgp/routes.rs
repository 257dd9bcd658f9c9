//! What is written for Services and configuration.

use anyhow::{Context as _, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;

use super::cluster::{CART, Cluster, NODES};

#[tokio::test]
async fn each_node_gets_its_own_object_with_sessions_and_routes() {
    let cluster = Cluster::new().await;
    for (node, _) in NODES {
        let object = cluster.configuration(node).await.unwrap();
        assert_eq!(object.metadata.labels.as_ref().unwrap()["metallb.io/node"], node);
        let owner = &object.metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!((owner.kind.as_str(), owner.name.as_str()), ("Node", node));
        let selected = object.spec.node_selector.match_labels.as_ref().unwrap();
        assert_eq!(selected["kubernetes.io/hostname"], node);
        let routers = &object.spec.bgp.routers;
        assert_eq!(routers.len(), 1);
        assert_eq!(routers[0].prefixes, CART);
        let neighbors = routers[0].neighbors.iter();
        let addresses: Vec<_> = neighbors
            .map(|neighbor| neighbor.address.as_deref().unwrap())
            .collect();
        assert_eq!(addresses, ["10.61.2.1", "10.61.1.1"]);
    }
    cluster.until_summary("").await;
    cluster
        .world
        .until("a status for each node", async || {
            let statuses = cluster.statuses().await;
            let mut found: Vec<_> = statuses
                .iter()
                .filter_map(|status| status.status.clone())
                .collect();
            found.sort_by(|a, b| a.node.cmp(&b.node));
            ensure!(found.len() == 3, "{found:?}");
            for (status, (node, _)) in found.iter().zip(NODES) {
                ensure!(status.node == node && status.service_name == "cart", "{status:?}");
                ensure!(
                    status.service_namespace == "default" && status.peers == ["tor1", "tor2"],
                    "{status:?}"
                );
            }
            Ok(())
        })
        .await;
}

#[tokio::test]
async fn routes_follow_services_endpoints_and_nodes() {
    let cluster = Cluster::new().await;
    let local = Patch::Merge(json!({"spec": {"externalTrafficPolicy": "Local"}}));
    cluster
        .services()
        .patch("cart", &PatchParams::default(), &local)
        .await
        .unwrap();
    cluster.until_announced(&["edge-b"]).await;
    assert_eq!(
        cluster.configuration("edge-a").await.unwrap().spec.bgp.routers[0]
            .neighbors
            .len(),
        2
    );
    let global = Patch::Merge(json!({"spec": {"externalTrafficPolicy": "Cluster"}}));
    cluster
        .services()
        .patch("cart", &PatchParams::default(), &global)
        .await
        .unwrap();
    cluster.until_announced(&["edge-a", "edge-b", "edge-c"]).await;

    let exclude = |value: serde_json::Value| {
        let labels = json!({"node.kubernetes.io/exclude-from-external-load-balancers": value});
        Patch::Merge(json!({"metadata": {"labels": labels}}))
    };
    cluster
        .nodes()
        .patch("edge-a", &PatchParams::default(), &exclude(json!("false")))
        .await
        .unwrap();
    cluster.until_announced(&["edge-b", "edge-c"]).await;
    cluster
        .nodes()
        .patch("edge-a", &PatchParams::default(), &exclude(json!(null)))
        .await
        .unwrap();
    cluster.until_announced(&["edge-a", "edge-b", "edge-c"]).await;

    cluster
        .ours(
            "v1beta1",
            "BGPAdvertisement",
            "base",
            json!({"nodeSelectors": [{"matchLabels": {"rack": "r1"}}]}),
        )
        .await;
    cluster.until_announced(&["edge-a"]).await;
    let cluster_ip = Patch::Merge(json!({"spec": {"type": "ClusterIP"}}));
    cluster
        .services()
        .patch("cart", &PatchParams::default(), &cluster_ip)
        .await
        .unwrap();
    cluster.until_announced(&[]).await;
}

#[tokio::test]
async fn an_event_tells_of_a_new_announcement() {
    let cluster = Cluster::new().await;
    cluster.service("api", "203.0.113.11").await;
    let events = Api::<Event>::namespaced(cluster.client(), "default");
    cluster
        .world
        .until("an Event on the Service", async || {
            let list = events.list(&ListParams::default()).await?;
            let mut ours = list
                .iter()
                .filter(|event| event.reason.as_deref() == Some("nodeAssigned"));
            let event = ours.find(|event| {
                event
                    .regarding
                    .as_ref()
                    .is_some_and(|it| it.name.as_deref() == Some("api"))
            });
            let note = event.context("no such Event")?.note.clone().unwrap_or_default();
            ensure!(
                note.contains("with protocol \"bgp\"") && note.contains("edge-c"),
                "{note}"
            );
            Ok(())
        })
        .await;
}

#[tokio::test]
async fn nothing_is_written_when_nothing_changed() {
    let mut cluster = Cluster::new().await;
    cluster.settle().await;
    let before = cluster.versions().await;
    // Neither by a restart, ...
    cluster.world.stop_operator();
    cluster.world.start_operator(&[]);
    cluster
        .world
        .until("the operator is back", async || {
            cluster
                .world
                .operator()
                .reconciliations()
                .filter(|count| *count > 0)
                .context("not yet")
                .map(drop)
        })
        .await;
    // ... nor by a node that nothing selects and heartbeats of another, ...
    let heartbeat = Patch::Merge(json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}));
    cluster
        .nodes()
        .patch_status("edge-b", &PatchParams::default(), &heartbeat)
        .await
        .unwrap();
    // ... nor by an endpoint that is replaced by another one.
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "cart-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "cart"}},
        "endpoints": [{"addresses": ["10.244.1.9"], "nodeName": "edge-a"}], "ports": []});
    cluster.apply(&slice).await;
    // A Service that only edge-b announces shows that all that was looked at.
    cluster.local_service("local", "203.0.113.50").await;
    cluster
        .world
        .until("only edge-b announces it", async || {
            for (node, _) in NODES {
                let announced = cluster
                    .announced(node)
                    .await?
                    .contains(&"203.0.113.50/32".to_owned());
                ensure!(announced == (node == "edge-b"), "{node}: {announced}");
            }
            Ok(())
        })
        .await;
    let after = cluster.versions().await;
    let changed = after.iter().filter(|object| !before.contains(object));
    let changed: Vec<_> = changed.map(|(name, _)| name.as_str()).collect();
    assert_eq!(changed, ["metallb-edge-b"]);
}
