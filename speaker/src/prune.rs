//! Removes from watched objects what no decision depends on. Copies of all Services, EndpointSlices and Nodes of the
//! cluster are in the memory of every speaker; most of their bytes are of no use to it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, NodeStatus, Pod, PodSpec, PodStatus, Service, ServiceSpec};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use metallb_domain::service::{LEGACY_PREFIX, PREFIX};

/// Keeps labels and conditions.
pub(crate) fn node(node: &mut Node) {
    node.metadata.annotations = None;
    node.spec = None;
    let conditions = node.status.take().and_then(|status| status.conditions);
    node.status = Some(NodeStatus {
        conditions,
        ..NodeStatus::default()
    });
}

/// Keeps the node it runs on and the conditions.
pub(crate) fn pod(pod: &mut Pod) {
    pod.metadata.annotations = None;
    let node_name = pod.spec.take().and_then(|spec| spec.node_name);
    pod.spec = Some(PodSpec {
        node_name,
        ..PodSpec::default()
    });
    let conditions = pod.status.take().and_then(|status| status.conditions);
    pod.status = Some(PodStatus {
        conditions,
        ..PodStatus::default()
    });
}

/// Keeps where endpoints are and whether they can serve.
pub(crate) fn slice(slice: &mut EndpointSlice) {
    slice.metadata.annotations = None;
    slice.metadata.owner_references = None;
    slice.ports = None;
    for endpoint in &mut slice.endpoints {
        // That there is an address matters, not which.
        endpoint.addresses.truncate(1);
        endpoint.deprecated_topology = None;
        endpoint.hints = None;
        endpoint.hostname = None;
        endpoint.target_ref = None;
        endpoint.zone = None;
    }
}

/// Keeps type, class and traffic policy; of annotations, ours; labels and status only of load balancers.
pub(crate) fn service(service: &mut Service) {
    let spec = service.spec.take().unwrap_or_default();
    let annotations = service.metadata.annotations.take().unwrap_or_default();
    if spec.type_.as_deref() == Some("LoadBalancer") {
        let ours = |key: &String| key.starts_with(PREFIX) || key.starts_with(LEGACY_PREFIX);
        let annotations: BTreeMap<_, _> = annotations.into_iter().filter(|(key, _)| ours(key)).collect();
        service.metadata.annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
    } else {
        service.metadata.labels = None;
        service.status = None;
    }
    service.spec = Some(ServiceSpec {
        type_: spec.type_,
        load_balancer_class: spec.load_balancer_class,
        external_traffic_policy: spec.external_traffic_policy,
        ..ServiceSpec::default()
    });
}

#[cfg(test)]
mod tests {
    use metallb_domain::endpoints::UsableEndpoints;
    use serde_json::json;

    use super::*;
    use crate::view::NodeFacts;

    #[test]
    fn what_is_known_of_a_node_stays() {
        let mut full: Node = serde_json::from_value(json!({
            "metadata": {"name": "n1", "labels": {"a": "b"}, "annotations": {"large": "text"}},
            "spec": {"podCIDR": "10.0.0.0/24"},
            "status": {
                "conditions": [{"type": "NetworkUnavailable", "status": "True"}],
                "images": [{"names": ["image"], "sizeBytes": 1}],
            },
        }))
        .unwrap();
        let facts = NodeFacts::of(&full);
        assert!(facts.network_unavailable);
        node(&mut full);
        assert_eq!(NodeFacts::of(&full), facts);
        assert!(!serde_json::to_string(&full).unwrap().contains("image"));
    }

    #[test]
    fn usable_endpoints_stay() {
        let mut full: EndpointSlice = serde_json::from_value(json!({
            "metadata": {"name": "x"}, "addressType": "IPv4", "ports": [{"port": 80}],
            "endpoints": [
                {"addresses": ["10.0.0.1", "10.0.0.2"], "nodeName": "n1", "targetRef": {"name": "pod"}, "zone": "z"},
                {"addresses": ["10.0.0.3"], "nodeName": "n2", "conditions": {"ready": false}},
            ],
        }))
        .unwrap();
        let usable = UsableEndpoints::of([&full]);
        slice(&mut full);
        assert_eq!(UsableEndpoints::of([&full]), usable);
        assert!(!serde_json::to_string(&full).unwrap().contains("targetRef"));
    }

    #[test]
    fn what_decides_about_a_service_stays() {
        let full = |kind: &str| -> Service {
            serde_json::from_value(json!({
                "metadata": {"name": "web", "labels": {"app": "a"}, "annotations": {
                    "metallb.io/allow-shared-ip": "k", "metallb.universe.tf/allow-shared-ip": "k", "large": "text",
                }},
                "spec": {"type": kind, "externalTrafficPolicy": "Local", "ports": [{"port": 80}]},
                "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.10"}]}},
            }))
            .unwrap()
        };
        let mut balancer = full("LoadBalancer");
        service(&mut balancer);
        assert_eq!(balancer.metadata.annotations.as_ref().unwrap().len(), 2);
        assert_eq!(balancer.metadata.labels, full("LoadBalancer").metadata.labels);
        assert_eq!(balancer.status, full("LoadBalancer").status);
        assert_eq!(
            balancer.spec.as_ref().unwrap().external_traffic_policy.as_deref(),
            Some("Local")
        );
        let mut other = full("ClusterIP");
        service(&mut other);
        assert_eq!(other.metadata.annotations, None);
        assert_eq!(other.spec.unwrap().type_.as_deref(), Some("ClusterIP"));
    }
}
