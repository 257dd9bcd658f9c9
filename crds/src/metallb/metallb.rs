//! Kind MetalLB: one object of it installs everything.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, LocalObjectReference, ResourceRequirements, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_default;
pub use crate::frrk8s::LogLevel;
use crate::frrk8s::empty_as_none;
use crate::schema;

/// What to install, and where.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "MetalLB",
    plural = "metallbs",
    singular = "metallb",
    namespaced,
    status = "MetalLBStatus",
    derive = "PartialEq",
    derive = "Default",
    attr = "cfg_attr(all(), serde(default))",
    doc = "MetalLB asks the operator to install MetalLB and to keep it running. There is one per cluster: it must be named `metallb` and be in the namespace of the operator. An empty spec is good for most clusters.",
    printcolumn(
        name = "Available",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Available')].status"
    ),
    printcolumn(
        name = "Degraded",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Degraded')].status"
    ),
    printcolumn(
        name = "Progressing",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Progressing')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Backend",
        type_ = "string",
        json_path = ".status.backend",
        priority = 1
    ),
    printcolumn(
        name = "Version",
        type_ = "string",
        json_path = ".status.version",
        priority = 1
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Degraded')].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct MetalLBSpec {
    /// Deprecated and without effect. The images are set in the environment of the operator.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub image: Option<String>,

    /// Labels a node must have to run a speaker, in addition to `kubernetes.io/os: linux`. Also used for FRRouting's
    /// own pods where the backend has such.
    #[serde(default, skip_serializing_if = "is_default")]
    pub node_selector: BTreeMap<String, String>,

    /// Taints the speakers tolerate in addition to those of control plane nodes.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(schema_with = "schema::tolerations")]
    pub speaker_tolerations: Vec<Toleration>,

    /// How much all programs log; each level holds those after it. `info` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<LogLevel>,

    /// Handle only Services whose `loadBalancerClass` is this. When absent, only Services without any class are
    /// handled.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(regex(
        pattern = r"^([a-z0-9A-Z]([\w.\-]*[a-z0-9A-Z])?/)?[a-z0-9A-Z]([\w.\-]*[a-z0-9A-Z])?$"
    ))]
    pub load_balancer_class: Option<String>,

    /// Labels a node must have to run the controller, in addition to `kubernetes.io/os: linux`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub controller_node_selector: BTreeMap<String, String>,

    /// Taints the controller tolerates.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(schema_with = "schema::tolerations")]
    pub controller_tolerations: Vec<Toleration>,

    /// More settings for the pods of the controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller_config: Option<ComponentConfig>,

    /// More settings for the pods of the speakers, and for FRRouting's own pods where the backend has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaker_config: Option<ComponentConfig>,

    /// How BGP is spoken: `frr` puts FRRouting into the pods of the speakers; `frr-k8s` runs it in pods of its own,
    /// for others to share with FRRConfigurations; `frr-k8s-external` uses an frr-k8s somebody else installed; `native`
    /// does without FRRouting. When absent, `frr-k8s`.
    #[serde(
        default,
        rename = "bgpBackend",
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub bgp_backend: Option<String>,

    /// Settings for the backends `frr-k8s` and `frr-k8s-external`.
    #[serde(default, rename = "frrk8sConfig", skip_serializing_if = "Option::is_none")]
    pub frrk8s_config: Option<FRRK8sConfig>,

    /// Secrets, in the namespace of this object, for pulling the images of all pods.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(schema_with = "schema::local_object_references")]
    pub image_pull_secrets: Vec<LocalObjectReference>,

    /// Announce also from nodes with the label `node.kubernetes.io/exclude-from-external-load-balancers`.
    #[serde(default, rename = "ignoreExcludeLB", skip_serializing_if = "is_default")]
    pub ignore_exclude_lb: bool,
}

/// Settings of the pods of one component.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentConfig {
    /// Name of the PriorityClass of the pods.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub priority_class_name: Option<String>,

    /// Name of the RuntimeClass of the pods.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub runtime_class_name: Option<String>,

    /// Scheduling constraints of the pods, as in `pod.spec.affinity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::affinity")]
    pub affinity: Option<Affinity>,

    /// Annotations of the pods.
    #[serde(default, skip_serializing_if = "is_default")]
    pub annotations: BTreeMap<String, String>,

    /// Labels of the pods, in addition to those by which they are found.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pod_labels: BTreeMap<String, String>,

    /// CPU and memory of the main container, as in `pod.spec.containers.resources`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::resource_requirements")]
    pub resources: Option<ResourceRequirements>,

    /// Number of pods. Only for the controller, of which one works while the others stand by; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,

    /// More arguments for the main container, after those the operator sets.
    #[serde(default, skip_serializing_if = "is_default")]
    pub extra_args: Vec<String>,
}

/// Settings for the backends that run FRRouting in pods of its own.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FRRK8sConfig {
    /// CIDRs no peer may ever announce to the nodes, whatever an FRRConfiguration allows.
    #[serde(default, skip_serializing_if = "is_default")]
    pub always_block: Vec<String>,

    /// Namespace of the frr-k8s that somebody else installed. Only for the backend `frr-k8s-external`.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub namespace: Option<String>,

    /// Write references to password Secrets into the FRRConfigurations instead of the passwords. The Secrets must then
    /// exist in the namespace of that frr-k8s too. Only for the backend `frr-k8s-external`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub secret_passthrough: bool,
}

/// What became of the installation.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetalLBStatus {
    /// `Available`, `Upgradeable`, `Progressing` and `Degraded`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub conditions: Vec<Condition>,

    /// Generation of this object which the rest of the status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,

    /// The BGP backend in use.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub backend: Option<String>,

    /// Version of the operator that wrote this status.
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub version: Option<String>,

    /// The installed workloads.
    #[serde(default, skip_serializing_if = "is_default")]
    pub components: Vec<ComponentStatus>,
}

/// State of one installed workload.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// Kind of the workload, `Deployment` or `DaemonSet`.
    pub kind: String,

    /// Name of the workload.
    pub name: String,

    /// Number of pods there shall be.
    pub desired: i32,

    /// Number of pods of the newest revision.
    pub updated: i32,

    /// Number of pods that are ready.
    pub ready: i32,

    /// Image of the main container.
    #[serde(default, skip_serializing_if = "is_default")]
    pub image: String,

    /// What the workload waits for; empty when all is well.
    #[serde(default, skip_serializing_if = "is_default")]
    pub message: String,
}
