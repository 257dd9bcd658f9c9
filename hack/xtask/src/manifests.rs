//! The manifests a user applies to install the operator: one with the images of a release, one with the images of
//! this checkout.
//!
//! Names are those of the Go operator's manifest, so that applying ours over it replaces it.

use anyhow::Result;
use serde_json::{Value, json};

use crate::generate::yaml;

mod rights;

const NAMESPACE: &str = "metallb-system";
const OPERATOR: &str = "metallb-operator-controller-manager";
const SERVICE_ACCOUNT: &str = "manager-account";

/// Where images come from.
struct Images {
    operator: String,
    controller: String,
    speaker: String,
    frr_agent: String,
    frr: &'static str,
}

impl Images {
    /// The images of a release.
    fn release() -> Self {
        Self::tagged(
            concat!("v", env!("CARGO_PKG_VERSION")),
            "quay.io/frrouting/frr:10.4.3",
        )
    }

    /// What `cargo xtask images` packs.
    fn dev() -> Self {
        Self::tagged("dev", "docker.io/library/frr:10")
    }

    fn tagged(tag: &str, frr: &'static str) -> Self {
        let ours = |program: &str| format!("docker.io/metallb/{program}:{tag}");
        Self {
            operator: ours("operator"),
            controller: ours("controller"),
            speaker: ours("speaker"),
            frr_agent: ours("frr-agent"),
            frr,
        }
    }
}

/// The generated files below `manifests/`: path from the root of the workspace, and text.
///
/// # Errors
/// A CustomResourceDefinition has no YAML form.
pub fn files() -> Result<Vec<(String, String)>> {
    Ok(vec![
        (
            "manifests/metallb-operator.yaml".to_owned(),
            install(&Images::release())?,
        ),
        (
            "manifests/metallb-operator-dev.yaml".to_owned(),
            install(&Images::dev())?,
        ),
    ])
}

fn install(images: &Images) -> Result<String> {
    let mut objects = vec![namespace()];
    for crd in metallb_crds::all() {
        objects.push(serde_json::to_value(crd)?);
    }
    objects.push(namespaced("v1", "ServiceAccount", SERVICE_ACCOUNT));
    objects.extend(rights::objects());
    objects.push(disruption_budget());
    objects.push(deployment(images));
    let mut text = String::new();
    for object in &objects {
        let document = yaml(object)?;
        if text.is_empty() {
            text = document;
        } else if let Some((_, document)) = document.split_once('\n') {
            // Only the first document needs the line that says where the file comes from.
            text.push_str(document);
        }
    }
    Ok(text)
}

/// Speakers use the network of their node, which the Pod Security standards only allow to privileged pods.
fn namespace() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {
            "name": NAMESPACE,
            "labels": {
                "control-plane": "controller-manager",
                "pod-security.kubernetes.io/audit": "privileged",
                "pod-security.kubernetes.io/enforce": "privileged",
                "pod-security.kubernetes.io/warn": "privileged",
            },
        },
    })
}

fn namespaced(api_version: &str, kind: &str, name: &str) -> Value {
    json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name, "namespace": NAMESPACE } })
}

fn disruption_budget() -> Value {
    let mut budget = namespaced("policy/v1", "PodDisruptionBudget", OPERATOR);
    budget["spec"] = json!({
        "maxUnavailable": 1,
        "selector": { "matchLabels": { "control-plane": "controller-manager" } },
    });
    budget
}

fn deployment(images: &Images) -> Value {
    let labels = json!({ "control-plane": "controller-manager" });
    let mut deployment = namespaced("apps/v1", "Deployment", OPERATOR);
    deployment["metadata"]["labels"] = labels.clone();
    deployment["spec"] = json!({
        "replicas": 2,
        "selector": { "matchLabels": labels },
        "template": {
            "metadata": { "labels": labels },
            "spec": {
                "serviceAccountName": SERVICE_ACCOUNT,
                "terminationGracePeriodSeconds": 12,
                "nodeSelector": { "kubernetes.io/os": "linux" },
                "affinity": { "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{
                    "weight": 100,
                    "podAffinityTerm": {
                        "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": labels },
                    },
                }] } },
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": { "type": "RuntimeDefault" },
                },
                "containers": [container(images)],
            },
        },
    });
    deployment
}

fn container(images: &Images) -> Value {
    let probe = |path: &str, period: u8| json!({ "httpGet": { "path": path, "port": "metrics" }, "periodSeconds": period, "timeoutSeconds": 1 });
    json!({
        "name": "manager",
        "image": images.operator,
        "args": ["--enable-leader-election"],
        "env": [
            field("OPERATOR_NAMESPACE", "metadata.namespace"),
            field("POD_NAME", "metadata.name"),
            variable("CONTROLLER_IMAGE", &images.controller),
            variable("SPEAKER_IMAGE", &images.speaker),
            variable("FRR_IMAGE", images.frr),
            variable("FRRK8S_IMAGE", &images.frr_agent),
            variable("FRRK8S_EXTERNAL_NAMESPACE", "frr-k8s-system"),
        ],
        "ports": [{ "name": "metrics", "containerPort": 8080, "protocol": "TCP" }],
        "livenessProbe": probe("/healthz", 10),
        "readinessProbe": probe("/readyz", 2),
        "resources": { "requests": { "cpu": "50m", "memory": "32Mi" } },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        },
    })
}

fn variable(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}

fn field(name: &str, path: &str) -> Value {
    json!({ "name": name, "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": path } } })
}
