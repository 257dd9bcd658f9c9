//! Kind BGPAdvertisement.

#![expect(
    unreachable_pub,
    reason = "KubeSchema derives a copy of the struct inside a function"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_default;

/// Which addresses are announced with BGP, to which peers and with which attributes.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "BGPAdvertisement",
    plural = "bgpadvertisements",
    namespaced,
    status = "BGPAdvertisementStatus",
    derive = "PartialEq",
    derive = "Default",
    attr = "cfg_attr(all(), serde(default))",
    shortname = "bgpadv",
    category = "metallb-config",
    doc = "BGPAdvertisement announces the addresses of pools to BGP peers. Without a spec it announces every pool to every peer from every node, one route per address.",
    printcolumn(name = "IPAddressPools", type_ = "string", json_path = ".spec.ipAddressPools"),
    printcolumn(
        name = "IPAddressPool Selectors",
        type_ = "string",
        json_path = ".spec.ipAddressPoolSelectors"
    ),
    printcolumn(name = "Peers", type_ = "string", json_path = ".spec.peers"),
    printcolumn(
        name = "Node Selectors",
        type_ = "string",
        json_path = ".spec.nodeSelectors",
        priority = 10
    )
)]
#[x_kube(validation = Rule::new(
    "!has(self.serviceSelectors) || self.serviceSelectors.size() == 0 || ((!has(self.aggregationLength) || self.aggregationLength == 32) && (!has(self.aggregationLengthV6) || self.aggregationLengthV6 == 128))"
).message(
    "serviceSelectors and aggregationLength are mutually exclusive, can only be used together with default aggregationLength (32) and aggregationLengthV6 (128)"
))]
#[serde(rename_all = "camelCase")]
pub struct BGPAdvertisementSpec {
    /// Prefix length of the announced IPv4 routes, 1 to 32. With less than 32 one route covers the addresses of
    /// several Services; it must not be longer than the ranges of the pools allow.
    #[serde(default = "full_length_v4")]
    #[schemars(range(min = 1))]
    pub aggregation_length: i32,

    /// Prefix length of the announced IPv6 routes, 1 to 128. With less than 128 one route covers the addresses of
    /// several Services.
    #[serde(default = "full_length_v6")]
    pub aggregation_length_v6: i32,

    /// LOCAL_PREF of the routes, 0 to 4294967295. Only peers of the same AS see it. 0 leaves it to the router.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub local_pref: i64,

    /// BGP communities of the routes: `1234:1`, `large:1234:1:2`, or the name of an alias from a Community object.
    #[serde(default, skip_serializing_if = "is_default")]
    pub communities: Vec<String>,

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

    /// Labels of the nodes that announce; one matching selector is enough. When empty, all nodes announce.
    #[serde(default, skip_serializing_if = "is_default")]
    pub node_selectors: Vec<LabelSelector>,

    /// Names of the BGPPeers to announce to. When empty, the routes go to all peers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub peers: Vec<String>,

    /// Labels of the Services to announce; one matching selector is enough. When empty, all Services with an
    /// address of the pools are announced. Needs the default aggregation lengths.
    #[serde(default, skip_serializing_if = "is_default")]
    pub service_selectors: Vec<LabelSelector>,
}

fn full_length_v4() -> i32 {
    32
}

fn full_length_v6() -> i32 {
    128
}

impl Default for BGPAdvertisementSpec {
    fn default() -> Self {
        Self {
            aggregation_length: full_length_v4(),
            aggregation_length_v6: full_length_v6(),
            local_pref: 0,
            communities: Vec::new(),
            ip_address_pools: Vec::new(),
            ip_address_pool_selectors: Vec::new(),
            node_selectors: Vec::new(),
            peers: Vec::new(),
            service_selectors: Vec::new(),
        }
    }
}

/// Nothing is reported about this object; see ServiceBGPStatus.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BGPAdvertisementStatus {}
