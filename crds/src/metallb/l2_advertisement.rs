//! Kind L2Advertisement.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_default;

/// Which addresses are announced with ARP and NDP, and by which nodes.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "L2Advertisement",
    plural = "l2advertisements",
    namespaced,
    status = "L2AdvertisementStatus",
    derive = "PartialEq",
    derive = "Default",
    attr = "cfg_attr(all(), serde(default))",
    shortname = "l2adv",
    category = "metallb-config",
    doc = "L2Advertisement makes the addresses of pools reachable in the local network: one node answers ARP (IPv4) and NDP (IPv6) requests for each address. Without a spec it covers all pools, all nodes and all interfaces.",
    printcolumn(name = "IPAddressPools", type_ = "string", json_path = ".spec.ipAddressPools"),
    printcolumn(
        name = "IPAddressPool Selectors",
        type_ = "string",
        json_path = ".spec.ipAddressPoolSelectors"
    ),
    printcolumn(name = "Interfaces", type_ = "string", json_path = ".spec.interfaces"),
    printcolumn(
        name = "Node Selectors",
        type_ = "string",
        json_path = ".spec.nodeSelectors",
        priority = 10
    )
)]
#[serde(rename_all = "camelCase")]
pub struct L2AdvertisementSpec {
    /// Names of the pools to announce, in addition to those `ipAddressPoolSelectors` select. When both lists are
    /// empty, all pools are announced.
    #[serde(default, rename = "ipAddressPools", skip_serializing_if = "is_default")]
    pub ip_address_pools: Vec<String>,

    /// Labels of the pools to announce, in addition to those listed in `ipAddressPools`. One matching selector is
    /// enough.
    #[serde(
        default,
        rename = "ipAddressPoolSelectors",
        skip_serializing_if = "is_default"
    )]
    pub ip_address_pool_selectors: Vec<LabelSelector>,

    /// Labels of the nodes that may announce; one matching selector is enough. When empty, every node may.
    #[serde(default, skip_serializing_if = "is_default")]
    pub node_selectors: Vec<LabelSelector>,

    /// Names of the host interfaces on which requests are answered. When empty, they are answered on all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub interfaces: Vec<String>,

    /// Labels of the Services to announce; one matching selector is enough. When empty, all Services with an
    /// address of the pools are announced. Cannot be used for Services that share an address.
    #[serde(default, skip_serializing_if = "is_default")]
    pub service_selectors: Vec<LabelSelector>,

    /// Nodes to prefer among those that may announce. For each address the node with the largest sum of matching
    /// weights is chosen.
    #[serde(default, skip_serializing_if = "is_default")]
    pub preferred_node_selectors: Vec<PreferredNodeSelector>,
}

/// Nodes to prefer, and how much.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreferredNodeSelector {
    /// What a matching node gains, from 1 to 100. The weights of all matching entries are added.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,

    /// Labels of the nodes that gain the weight.
    pub preference: LabelSelector,
}

/// Nothing is reported about this object; see ServiceL2Status.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct L2AdvertisementStatus {}
