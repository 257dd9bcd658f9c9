//! Kind ServiceBGPStatus.

#![expect(
    unreachable_pub,
    reason = "KubeSchema derives a copy of the struct inside a function"
)]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_default;

/// Nothing can be wished for a status object.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "ServiceBGPStatus",
    plural = "servicebgpstatuses",
    namespaced,
    status = "ServiceBGPStatusStatus",
    derive = "PartialEq",
    derive = "Default",
    attr = "cfg_attr(all(), serde(default))",
    shortname = "bgpstatus",
    category = "metallb-state",
    doc = "ServiceBGPStatus shows to which peers one node announces a Service. It lives in MetalLB's namespace, not in that of the Service.",
    printcolumn(name = "Node", type_ = "string", json_path = ".status.node"),
    printcolumn(name = "Service Name", type_ = "string", json_path = ".status.serviceName"),
    printcolumn(
        name = "Service Namespace",
        type_ = "string",
        json_path = ".status.serviceNamespace"
    )
)]
pub struct ServiceBGPStatusSpec {}

/// Which node announces the Service, and to whom.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceBGPStatusStatus {
    /// Node that announces the Service.
    #[serde(default, skip_serializing_if = "is_default")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("Value is immutable"))]
    pub node: String,

    /// Name of the Service.
    #[serde(default, skip_serializing_if = "is_default")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("Value is immutable"))]
    pub service_name: String,

    /// Namespace of the Service.
    #[serde(default, skip_serializing_if = "is_default")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("Value is immutable"))]
    pub service_namespace: String,

    /// Names of the BGPPeers the node is configured to announce the Service to, sorted. Whether their sessions are
    /// up is shown by BGPSessionState.
    #[serde(default, skip_serializing_if = "is_default")]
    pub peers: Vec<String>,
}
