//! A small cluster: three nodes in two racks, an external and an internal peer, a pool, an advertisement, a Service.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Node, Service};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use metallb_crds::frrk8s::{FRRConfiguration, Neighbor};
use metallb_crds::metallb::{ConfigurationState, ServiceBGPStatus};
use serde_json::{Value, json};

use super::world::{NAMESPACE, World};

pub(crate) const NODES: [(&str, &str); 3] = [("edge-a", "r1"), ("edge-b", "r2"), ("edge-c", "r2")];
pub(crate) const CART: [&str; 1] = ["203.0.113.10/32"];

pub(crate) struct Cluster {
    pub(crate) world: World,
}

impl Cluster {
    /// The cluster without an installation and without an operator.
    pub(crate) async fn bare() -> Cluster {
        let cluster = Cluster {
            world: World::without_operator().await,
        };
        for (name, rack) in NODES {
            cluster.node(name, rack).await;
        }
        cluster
            .peer(
                "tor1",
                json!({"myASN": 64610, "peerASN": 64710, "peerAddress": "10.61.1.1"}),
            )
            .await;
        cluster
            .peer(
                "tor2",
                json!({"myASN": 64610, "peerASN": 64610, "peerAddress": "10.61.2.1"}),
            )
            .await;
        cluster
            .ours(
                "v1beta1",
                "IPAddressPool",
                "web",
                json!({"addresses": ["203.0.113.0/26"]}),
            )
            .await;
        cluster
            .ours("v1beta1", "BGPAdvertisement", "base", json!({}))
            .await;
        cluster.service("cart", "203.0.113.10").await;
        cluster
    }

    /// The cluster with everything announced.
    pub(crate) async fn new() -> Cluster {
        let mut cluster = Cluster::bare().await;
        cluster.world.start_operator(&[]);
        cluster
            .world
            .apply_metallb(json!({"bgpBackend": "frr-k8s"}))
            .await;
        cluster.until_announced(&["edge-a", "edge-b", "edge-c"]).await;
        cluster
    }

    pub(crate) async fn node(&self, name: &str, rack: &str) {
        self.apply(&json!({"apiVersion": "v1", "kind": "Node", "metadata": {
            "name": name, "labels": {"kubernetes.io/hostname": name, "rack": rack}
        }}))
        .await;
    }

    pub(crate) async fn peer(&self, name: &str, spec: Value) {
        self.ours("v1beta2", "BGPPeer", name, spec).await;
    }

    /// An object of the configuration.
    pub(crate) async fn ours(&self, version: &str, kind: &str, name: &str, spec: Value) {
        self.apply(
            &json!({"apiVersion": format!("metallb.io/{version}"), "kind": kind,
            "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}),
        )
        .await;
    }

    /// A Service with an address and a ready endpoint on `edge-b`.
    pub(crate) async fn service(&self, name: &str, address: &str) {
        self.service_with_policy(name, address, "Cluster").await;
    }

    /// A Service that only `edge-b` can announce.
    pub(crate) async fn local_service(&self, name: &str, address: &str) {
        self.service_with_policy(name, address, "Local").await;
    }

    async fn service_with_policy(&self, name: &str, address: &str, policy: &str) {
        self.apply(
            &json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
            "spec": {"type": "LoadBalancer", "externalTrafficPolicy": policy, "ports": [{"port": 80}]}}),
        )
        .await;
        self.apply(
            &json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": format!("{name}-1"), "namespace": "default",
                "labels": {"kubernetes.io/service-name": name}},
            "endpoints": [{"addresses": ["10.244.2.7"], "nodeName": "edge-b"}], "ports": []}),
        )
        .await;
        self.assign(name, address).await;
    }

    /// Gives a Service an address, as the controller does.
    pub(crate) async fn assign(&self, name: &str, address: &str) {
        let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}});
        let patch = Patch::Merge(status);
        self.services()
            .patch_status(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    pub(crate) async fn apply(&self, object: &Value) {
        self.world.apply(object).await.unwrap();
    }

    pub(crate) fn client(&self) -> Client {
        self.world.client()
    }

    pub(crate) fn services(&self) -> Api<Service> {
        Api::namespaced(self.client(), "default")
    }

    pub(crate) fn nodes(&self) -> Api<Node> {
        Api::all(self.client())
    }

    pub(crate) fn configurations(&self) -> Api<FRRConfiguration> {
        Api::namespaced(self.client(), NAMESPACE)
    }

    pub(crate) async fn configuration(&self, node: &str) -> Result<FRRConfiguration> {
        Ok(self.configurations().get(&format!("metallb-{node}")).await?)
    }

    pub(crate) async fn neighbor(&self, node: &str, address: &str) -> Result<Neighbor> {
        let routers = self.configuration(node).await?.spec.bgp.routers;
        let mut neighbors = routers.into_iter().flat_map(|router| router.neighbors);
        let found = neighbors.find(|neighbor| neighbor.address.as_deref() == Some(address));
        found.with_context(|| format!("no neighbor {address} on {node}"))
    }

    /// What the node announces to `tor1`.
    pub(crate) async fn announced(&self, node: &str) -> Result<Vec<String>> {
        Ok(self
            .neighbor(node, "10.61.1.1")
            .await?
            .to_advertise
            .allowed
            .prefixes)
    }

    /// Waits until exactly these nodes announce the Service `cart`.
    pub(crate) async fn until_announced(&self, nodes: &[&str]) {
        self.world
            .until(&format!("{nodes:?} announce the Service"), async || {
                for (node, _) in NODES {
                    let announced = self.announced(node).await?.contains(&CART[0].to_owned());
                    ensure!(
                        announced == nodes.contains(&node),
                        "{node} announces it: {announced}"
                    );
                }
                Ok(())
            })
            .await;
    }

    pub(crate) async fn statuses(&self) -> Vec<ServiceBGPStatus> {
        let api = Api::<ServiceBGPStatus>::namespaced(self.client(), NAMESPACE);
        api.list(&ListParams::default()).await.unwrap().items
    }

    /// Waits until the operator says this about the configuration; an empty text means that all is well.
    pub(crate) async fn until_summary(&self, text: &str) {
        let states = Api::<ConfigurationState>::namespaced(self.client(), NAMESPACE);
        self.world
            .until(&format!("the operator says {text:?}"), async || {
                let status = states.get("operator").await?.status.context("no status")?;
                let said = &status.error_summary;
                ensure!(
                    said.contains(text) && said.is_empty() == text.is_empty(),
                    "{status:?}"
                );
                Ok(())
            })
            .await;
    }

    /// The versions of all FRRConfigurations, by name.
    pub(crate) async fn versions(&self) -> Vec<(String, Option<String>)> {
        let list = self.configurations().list(&ListParams::default()).await.unwrap();
        list.iter()
            .map(|object| (object.name_any(), object.resource_version()))
            .collect()
    }

    /// Waits until everything that follows from the changes so far has been written: a Service announced after them
    /// is announced everywhere, and taken back.
    pub(crate) async fn settle(&self) {
        self.service("probe", "203.0.113.60").await;
        let probe = "203.0.113.60/32".to_owned();
        let seen = async |expected: bool| {
            self.world
                .until("a later change is acted on", async || {
                    for (node, _) in NODES {
                        ensure!(
                            self.announced(node).await?.contains(&probe) == expected,
                            "not on {node}"
                        );
                    }
                    let named = |status: &ServiceBGPStatus| {
                        status
                            .status
                            .as_ref()
                            .is_some_and(|status| status.service_name == "probe")
                    };
                    let statuses = self.statuses().await;
                    ensure!(statuses.iter().any(named) == expected, "status: {statuses:?}");
                    Ok(())
                })
                .await;
        };
        seen(true).await;
        self.services()
            .delete("probe", &DeleteParams::default())
            .await
            .unwrap();
        seen(false).await;
    }
}
