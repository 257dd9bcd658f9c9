use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{empty_as_none, is_default};
use bfd_profile::BFDProfile;
use evpn::EVPNConfig;
use neighbor::Neighbor;

pub(super) mod bfd_profile;
pub(super) mod evpn;
#[allow(unreachable_pub)] // KubeSchema derives a copy of the struct inside a function
pub(super) mod neighbor;

/// What FRRouting shall do on the selected nodes.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "frrk8s.metallb.io",
    version = "v1beta1",
    kind = "FRRConfiguration",
    plural = "frrconfigurations",
    namespaced,
    status = "FRRConfigurationStatus",
    derive = "Default",
    derive = "PartialEq",
    attr = "cfg_attr(all(), serde(default))",
    doc = "FRRConfiguration is a part of the FRRouting configuration of some nodes. All FRRConfigurations that select a node are merged; they can add to each other, and they must not contradict each other."
)]
#[serde(rename_all = "camelCase", default)]
pub struct FRRConfigurationSpec {
    /// The BGP routers, and the BFD profiles their neighbors use.
    #[serde(skip_serializing_if = "is_default")]
    pub bgp: BGPConfig,

    /// Nodes on which this configuration is in force. An empty selector means all nodes.
    #[serde(skip_serializing_if = "is_default")]
    pub node_selector: LabelSelector,

    /// Configuration text handed to FRRouting as it is. Experimental and unsupported: nothing but FRRouting
    /// itself checks it.
    #[serde(skip_serializing_if = "is_default")]
    pub raw: RawConfig,
}

/// Nothing is reported about this object; see FRRNodeState.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FRRConfigurationStatus {}

/// The BGP part of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BGPConfig {
    /// BFD profiles which the neighbors of this object can name.
    #[serde(skip_serializing_if = "is_default")]
    pub bfd_profiles: Vec<BFDProfile>,

    /// BGP routers, one per VRF. Several entries for one VRF are merged.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(length(max = 50))]
    pub routers: Vec<Router>,
}

/// A BGP instance of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["asn"]))]
pub struct Router {
    /// AS number of the node in this VRF, 1 to 4294967295.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("format" = "int64"), range(min = 0, max = 4_294_967_295_u32))]
    pub asn: u32,

    /// EVPN settings of this router.
    #[serde(skip_serializing_if = "is_default")]
    pub evpn: Option<EVPNConfig>,

    /// BGP identifier, written like an IPv4 address. Without it FRRouting chooses one.
    #[serde(deserialize_with = "empty_as_none", skip_serializing_if = "is_default")]
    pub id: Option<String>,

    /// VRFs whose routes are leaked into this one.
    #[serde(skip_serializing_if = "is_default")]
    pub imports: Vec<Import>,

    /// BGP peers of this router.
    #[serde(skip_serializing_if = "is_default")]
    pub neighbors: Vec<Neighbor>,

    /// Prefixes this router originates, in CIDR notation. Which neighbor hears of them is up to the neighbor's
    /// `toAdvertise`.
    #[serde(skip_serializing_if = "is_default")]
    pub prefixes: Vec<String>,

    /// The VRF of this router, as the kernel calls it. Empty means the default VRF.
    #[serde(skip_serializing_if = "is_default")]
    pub vrf: String,
}

/// A VRF from which routes are leaked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Import {
    /// Name of the VRF. It must have a router in the same object; `default` is the default VRF.
    #[serde(skip_serializing_if = "is_default")]
    pub vrf: String,
}

/// FRRouting configuration as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RawConfig {
    /// Order among the texts of several objects: lower numbers first, equal ones by the objects' names.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("format" = null))]
    pub priority: i64,

    /// The text. It comes after everything that was made from the other fields.
    #[serde(skip_serializing_if = "is_default")]
    pub raw_config: String,
}
