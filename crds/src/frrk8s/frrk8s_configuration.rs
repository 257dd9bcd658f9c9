use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_default;

/// Settings of the agents that can change while they run.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "frrk8s.metallb.io",
    version = "v1beta1",
    kind = "FRRK8sConfiguration",
    plural = "frrk8sconfigurations",
    namespaced,
    status = "FRRK8sConfigurationStatus",
    derive = "Default",
    derive = "PartialEq",
    attr = "cfg_attr(all(), serde(default))",
    doc = "FRRK8sConfiguration sets what the agents on all nodes may be told at run time. Only the object named `config` in the namespace of the agents counts."
)]
#[serde(rename_all = "camelCase", default)]
pub struct FRRK8sConfigurationSpec {
    /// How much the agents and FRRouting log. Without it the `--log-level` flag of the agent decides.
    #[serde(skip_serializing_if = "is_default")]
    pub log_level: Option<LogLevel>,
}

/// Nothing is reported about this object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FRRK8sConfigurationStatus {}

/// How much is logged; each level holds those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    All,
    Debug,
    Info,
    Warn,
    Error,
    None,
}
