use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing can be wished for a session state.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "frrk8s.metallb.io",
    version = "v1beta1",
    kind = "BGPSessionState",
    plural = "bgpsessionstates",
    namespaced,
    status = "BGPSessionStateStatus",
    derive = "Default",
    derive = "PartialEq",
    attr = "cfg_attr(all(), serde(default))",
    doc = "BGPSessionState shows one BGP session of one node, as FRRouting reports it. The agent on the node creates, updates and deletes these objects.",
    printcolumn(name = "Node", type_ = "string", json_path = ".status.node"),
    printcolumn(name = "Peer", type_ = "string", json_path = ".status.peer"),
    printcolumn(name = "VRF", type_ = "string", json_path = ".status.vrf"),
    printcolumn(name = "BGP", type_ = "string", json_path = ".status.bgpStatus"),
    printcolumn(name = "BFD", type_ = "string", json_path = ".status.bfdStatus")
)]
#[serde(rename_all = "camelCase")]
pub struct BGPSessionStateSpec {}

/// The observed state of a BGP session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BGPSessionStateStatus {
    /// State of the BFD session that guards this peer, for example `Up` or `Down`; `N/A` without BFD.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bfd_status: String,

    /// State of the BGP session in the words of RFC 4271 section 8.2.2, for example `Established`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bgp_status: String,

    /// Node on which the session runs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,

    /// The peer: an IPv4 address, an interface, or an IPv6 address in full length with `-` in place of `:`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub peer: String,

    /// VRF in which the session runs, empty for the default one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vrf: String,
}
