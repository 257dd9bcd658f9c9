//! Who may talk to the pods that are not on the host network.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::pod::{METRICS_PORT, selector};
use super::{Installation, metallb_labels};

/// The controller is reachable for metrics only. What it may reach is not restricted: the port of the API server differs
/// from cluster to cluster.
pub(super) fn controller(installation: Installation<'_>) -> NetworkPolicy {
    let labels = metallb_labels("controller");
    NetworkPolicy {
        metadata: installation.namespaced("controller", labels.clone()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(labels)),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                ports: Some(vec![NetworkPolicyPort {
                    port: Some(IntOrString::String(METRICS_PORT.to_owned())),
                    protocol: Some("TCP".to_owned()),
                    end_port: None,
                }]),
                from: None,
            }]),
            egress: None,
        }),
    }
}
