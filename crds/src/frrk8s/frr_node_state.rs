use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing can be wished for a node state.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "frrk8s.metallb.io",
    version = "v1beta1",
    kind = "FRRNodeState",
    plural = "frrnodestates",
    status = "FRRNodeStateStatus",
    derive = "Default",
    derive = "PartialEq",
    attr = "cfg_attr(all(), serde(default))",
    doc = "FRRNodeState shows how FRRouting on a node is configured and whether the FRRConfigurations for that node could be put to work. It is named after the node."
)]
#[serde(rename_all = "camelCase")]
pub struct FRRNodeStateSpec {}

/// The observed state of FRRouting on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FRRNodeStateStatus {
    /// Whether the FRRConfigurations for this node fit together: `success`, or `failed: ` and the reason.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_conversion_result: String,

    /// Whether FRRouting took the last configuration: `success`, or what it refused and why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_reload_result: String,

    /// The running configuration of FRRouting, without its passwords.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub running_config: String,
}
