//! Kind IPAddressPool.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_default;

/// The addresses of a pool and the Services that may have one.
#[derive(CustomResource, JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "IPAddressPool",
    plural = "ipaddresspools",
    namespaced,
    status = "IPAddressPoolStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "ipap",
    category = "metallb-config",
    doc = "IPAddressPool is a set of addresses that MetalLB may give to Services of type LoadBalancer. An address is only reachable once an L2Advertisement or a BGPAdvertisement selects its pool.",
    printcolumn(name = "Auto Assign", type_ = "boolean", json_path = ".spec.autoAssign"),
    printcolumn(
        name = "Avoid Buggy IPs",
        type_ = "boolean",
        json_path = ".spec.avoidBuggyIPs"
    ),
    printcolumn(name = "Addresses", type_ = "string", json_path = ".spec.addresses")
)]
#[serde(rename_all = "camelCase")]
pub struct IPAddressPoolSpec {
    /// Address ranges of the pool, each written as a CIDR (`192.0.2.0/27`) or as its first and last address
    /// (`192.0.2.40-192.0.2.49`). IPv4 and IPv6 may be mixed. Ranges must not overlap, neither here nor with another
    /// pool.
    pub addresses: Vec<String>,

    /// Whether Services that ask for nothing in particular may get an address of this pool. When false, only
    /// Services that name the pool or one of its addresses get one.
    #[serde(default = "yes")]
    pub auto_assign: bool,

    /// Leave out IPv4 addresses that end in .0 or .255, which some old equipment drops. They are refused even to a
    /// Service that asks for one.
    #[serde(default, rename = "avoidBuggyIPs")]
    pub avoid_buggy_ips: bool,

    /// Reserves the pool for the Services described here. Even when empty it takes the pool away from the Services
    /// that match no reservation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_allocation: Option<ServiceAllocation>,
}

fn yes() -> bool {
    true
}

impl Default for IPAddressPoolSpec {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            auto_assign: true,
            avoid_buggy_ips: false,
            service_allocation: None,
        }
    }
}

/// The Services a pool is reserved for, and its rank among the pools reserved for the same Service.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAllocation {
    /// Rank of this pool among all that are reserved for a Service: the smallest positive number is tried first;
    /// 0, like no number, comes last.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(schema_with = "crate::schema::integer_without_format")]
    pub priority: i64,

    /// Names of namespaces whose Services may use the pool, in addition to those `namespaceSelectors` select.
    #[serde(default, skip_serializing_if = "is_default")]
    pub namespaces: Vec<String>,

    /// Labels of namespaces whose Services may use the pool, in addition to those listed in `namespaces`. One
    /// matching selector is enough.
    #[serde(default, skip_serializing_if = "is_default")]
    pub namespace_selectors: Vec<LabelSelector>,

    /// Labels of Services that may use the pool; one matching selector is enough. When namespaces are restricted
    /// too, a Service must satisfy both.
    #[serde(default, skip_serializing_if = "is_default")]
    pub service_selectors: Vec<LabelSelector>,
}

/// How full a pool is. Written by the controller.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IPAddressPoolStatus {
    /// Number of IPv4 addresses in use. An address shared by several Services counts once.
    #[serde(rename = "assignedIPv4")]
    pub assigned_ipv4: i64,

    /// Number of IPv6 addresses in use. An address shared by several Services counts once.
    #[serde(rename = "assignedIPv6")]
    pub assigned_ipv6: i64,

    /// Number of free IPv4 addresses, without those left out by `avoidBuggyIPs`.
    #[serde(rename = "availableIPv4")]
    pub available_ipv4: i64,

    /// Number of free IPv6 addresses; 9223372036854775807 stands for that many or more.
    #[serde(rename = "availableIPv6")]
    pub available_ipv6: i64,
}
