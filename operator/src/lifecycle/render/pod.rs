//! Parts that the pods of all programs share.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource, HTTPGetAction,
    ObjectFieldSelector, PodSpec, PodTemplateSpec, Probe, SeccompProfile, SecurityContext, Toleration,
    Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Installation;
use crate::lifecycle::validate::Placement;

/// Name of the port on which a program serves metrics and health.
pub(super) const METRICS_PORT: &str = "metricshttps";

/// Long enough for a program to withdraw what it announces and to give back its Lease: the tasks of a program get 10 s.
const TERMINATION_SECONDS: i64 = 12;

/// The pod template: what the user said about the pods, around `spec`. `labels` are those of the selector; a user's
/// label of the same name does not replace them. What the user said about the main container is not used here.
pub(super) fn template(
    installation: Installation<'_>,
    labels: &BTreeMap<String, String>,
    placement: &Placement,
    builtin_tolerations: Vec<Toleration>,
    spec: PodSpec,
) -> PodTemplateSpec {
    let mut node_selector = BTreeMap::from([("kubernetes.io/os".to_owned(), "linux".to_owned())]);
    node_selector.extend(placement.node_selector.clone());
    let tolerations: Vec<_> = builtin_tolerations
        .into_iter()
        .chain(placement.tolerations.iter().cloned())
        .collect();
    let mut all_labels = placement.labels.clone();
    all_labels.extend(labels.clone());
    let pull_secrets = &installation.metallb.image_pull_secrets;
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(all_labels),
            annotations: some_map(&placement.annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            node_selector: Some(node_selector),
            tolerations: (!tolerations.is_empty()).then_some(tolerations),
            affinity: placement.affinity.clone(),
            image_pull_secrets: (!pull_secrets.is_empty()).then(|| pull_secrets.clone()),
            priority_class_name: placement.priority_class_name.clone(),
            runtime_class_name: placement.runtime_class_name.clone(),
            termination_grace_period_seconds: Some(TERMINATION_SECONDS),
            ..spec
        }),
    }
}

/// Speakers and FRR also serve control-plane nodes.
pub(super) fn control_plane_tolerations() -> Vec<Toleration> {
    [
        "node-role.kubernetes.io/master",
        "node-role.kubernetes.io/control-plane",
    ]
    .map(|key| Toleration {
        key: Some(key.to_owned()),
        operator: Some("Exists".to_owned()),
        effect: Some("NoSchedule".to_owned()),
        ..Toleration::default()
    })
    .into()
}

/// Selects exactly the pods with `labels`.
pub(super) fn selector(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels),
        ..LabelSelector::default()
    }
}

/// The rights of a program's container: nothing beyond `capabilities`, and no writing to its image.
pub(super) fn confined(capabilities: &[&str]) -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            add: (!capabilities.is_empty())
                .then(|| capabilities.iter().map(|name| (*name).to_owned()).collect()),
        }),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..SecurityContext::default()
    }
}

/// Adds port, liveness and readiness of the endpoint that every program serves on `port`.
pub(super) fn observed(container: Container, port: u16) -> Container {
    Container {
        ports: Some(vec![ContainerPort {
            name: Some(METRICS_PORT.to_owned()),
            container_port: i32::from(port),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        liveness_probe: Some(probe("/healthz", port)),
        readiness_probe: Some(probe("/readyz", port)),
        ..container
    }
}

fn probe(path: &str, port: u16) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(i32::from(port)),
            ..HTTPGetAction::default()
        }),
        // Readiness is asked often, because the status of the MetalLB object and roll-outs wait for it.
        period_seconds: Some(if path == "/readyz" { 2 } else { 10 }),
        timeout_seconds: Some(1),
        failure_threshold: Some(3),
        ..Probe::default()
    }
}

/// Variables that tell a program its pod, its namespace and its node. Those of MetalLB's own programs have kept the
/// names they have in MetalLB's manifests.
pub(super) fn identity() -> Vec<EnvVar> {
    [
        ("METALLB_NODE_NAME", "spec.nodeName"),
        ("METALLB_POD_NAME", "metadata.name"),
        ("NODE_NAME", "spec.nodeName"),
        ("POD_NAME", "metadata.name"),
        ("POD_NAMESPACE", "metadata.namespace"),
    ]
    .map(|(name, path)| EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: path.to_owned(),
            }),
            ..EnvVarSource::default()
        }),
    })
    .into()
}

/// A directory that lives as long as the pod.
pub(super) fn empty_dir(name: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    }
}

/// A writable mount.
pub(super) fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        ..VolumeMount::default()
    }
}

fn some_map(map: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then(|| map.clone())
}
