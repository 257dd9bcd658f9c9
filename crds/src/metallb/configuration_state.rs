//! Kind ConfigurationState.

#![expect(
    unreachable_pub,
    reason = "KubeSchema derives a copy of the struct inside a function"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_default;

/// Nothing: this kind has no `spec`.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "ConfigurationState",
    plural = "configurationstates",
    namespaced,
    no_spec,
    status = "ConfigurationStateStatus",
    derive = "PartialEq",
    derive = "Default",
    attr = "cfg_attr(all(), serde(default))",
    shortname = "configstate",
    category = "metallb-state",
    doc = "ConfigurationState shows whether one program of MetalLB could take the configuration as it is. Each program writes its own object.",
    printcolumn(name = "Result", type_ = "string", json_path = ".status.result"),
    printcolumn(name = "ErrorSummary", type_ = "string", json_path = ".status.errorSummary"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct ConfigurationStateFields {}

/// What the program says about the configuration.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationStateStatus {
    /// `Valid` when the configuration is in force, `Invalid` when an error keeps it (or a part of it) from being so,
    /// `Unknown` when nothing was checked yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ConfigurationResult>,

    /// What is wrong, one error per line. Empty when the result is `Valid`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub error_summary: String,

    /// One condition per part of the program that reads configuration.
    #[serde(default, skip_serializing_if = "is_default")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Whether a configuration could be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConfigurationResult {
    /// The configuration is in force.
    Valid,
    /// The configuration has errors.
    Invalid,
    /// Nothing was checked yet.
    Unknown,
}
