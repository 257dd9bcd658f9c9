use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::PolicyRule;
use rstest::rstest;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::lifecycle::environment::tests::variables;
use crate::lifecycle::object::Kind;
use crate::lifecycle::validate::validate;

fn rendered(spec: &Value) -> Vec<Desired> {
    let metallb: MetalLB = serde_json::from_value(json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "MetalLB",
        "metadata": {"name": "metallb", "namespace": "metallb-system", "uid": "the-uid"},
        "spec": spec,
    }))
    .unwrap();
    let environment = Environment::from_variables(variables()).unwrap();
    render(&validate(&metallb, &environment).unwrap(), &environment)
}

fn object<'a>(objects: &'a [Desired], kind: Kind, name: &str) -> Option<&'a Value> {
    let found = objects
        .iter()
        .find(|object| object.key.kind == kind && object.key.name == name);
    found.map(|object| &object.object.data)
}

fn pod<'a>(objects: &'a [Desired], kind: Kind, name: &str) -> &'a Value {
    &object(objects, kind, name).unwrap()["spec"]["template"]["spec"]
}

fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let containers = pod["containers"].as_array().unwrap();
    containers
        .iter()
        .find(|container| container["name"] == name)
        .unwrap()
}

fn arguments(container: &Value) -> Vec<&str> {
    container["args"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

#[rstest]
#[case("frr")]
#[case("frr-k8s")]
#[case("frr-k8s-external")]
fn everything_that_a_backend_deploys(#[case] backend: &str) {
    let objects = rendered(&json!({"bgpBackend": backend, "frrk8sConfig": {"namespace": "elsewhere"}}));
    let values: Vec<_> = objects
        .iter()
        .map(|desired| serde_json::to_value(&desired.object).unwrap())
        .collect();
    insta::assert_json_snapshot!(backend, values);
}

#[test]
fn objects_in_the_namespace_are_owned_and_those_of_the_cluster_are_not() {
    for desired in rendered(&json!({})) {
        let metadata = &desired.object.metadata;
        let labels = metadata.labels.as_ref().unwrap();
        assert_eq!(labels[MANAGED_BY], MANAGER);
        assert_eq!(labels[INSTALLATION], "metallb-system");
        let owners = metadata.owner_references.clone().unwrap_or_default();
        if desired.key.kind.is_namespaced() {
            assert_eq!(
                metadata.namespace.as_deref(),
                Some("metallb-system"),
                "{}",
                desired.key
            );
            assert_eq!(
                (owners.len(), owners[0].uid.as_str(), owners[0].controller),
                (1, "the-uid", Some(true))
            );
        } else {
            assert_eq!(
                (metadata.namespace.as_ref(), owners.len()),
                (None, 0),
                "{}",
                desired.key
            );
            assert!(desired.key.name.starts_with("metallb-system:"));
        }
    }
}

#[test]
fn every_field_reaches_the_pods_it_is_meant_for() {
    let config = |mark: &str| {
        json!({
            "priorityClassName": format!("{mark}-priority"),
            "runtimeClassName": format!("{mark}-runtime"),
            "annotations": {"mark": mark},
            "podLabels": {"mark": mark, "app": "stolen"},
            "resources": {"limits": {"cpu": "1"}},
            "extraArgs": [format!("--{mark}")],
            "affinity": {"nodeAffinity": {}},
            "replicas": 3,
        })
    };
    let objects = rendered(&json!({
        "logLevel": "debug",
        "loadBalancerClass": "example.com/class",
        "ignoreExcludeLB": true,
        "imagePullSecrets": [{"name": "pull"}],
        "nodeSelector": {"kubernetes.io/os": "windows", "a": "b"},
        "speakerTolerations": [{"key": "s", "operator": "Exists"}],
        "speakerConfig": config("speaker"),
        "controllerNodeSelector": {"c": "d"},
        "controllerTolerations": [{"key": "c", "operator": "Exists"}],
        "controllerConfig": config("controller"),
        "frrk8sConfig": {"alwaysBlock": ["fc00::/7", "10.0.0.0/8 "]},
    }));
    for (kind, name, main, mark) in [
        (Kind::Deployment, "controller", "controller", "controller"),
        (Kind::DaemonSet, "speaker", "speaker", "speaker"),
        (Kind::DaemonSet, "frr-k8s", "controller", "speaker"),
    ] {
        let template = &object(&objects, kind, name).unwrap()["spec"]["template"];
        let pod = &template["spec"];
        assert_eq!(pod["priorityClassName"], format!("{mark}-priority"), "{name}");
        assert_eq!(pod["runtimeClassName"], format!("{mark}-runtime"), "{name}");
        assert_eq!(pod["imagePullSecrets"], json!([{"name": "pull"}]), "{name}");
        assert!(pod["affinity"]["nodeAffinity"].is_object(), "{name}");
        assert_eq!(template["metadata"]["annotations"]["mark"], mark, "{name}");
        assert_eq!(template["metadata"]["labels"]["mark"], mark, "{name}");
        assert_ne!(
            template["metadata"]["labels"]["app"], "stolen",
            "{name}: the selector must find the pod"
        );
        assert_eq!(container(pod, main)["resources"]["limits"]["cpu"], "1", "{name}");
        assert!(
            arguments(container(pod, main)).contains(&"--log-level=debug"),
            "{name}"
        );
    }
    let speaker = pod(&objects, Kind::DaemonSet, "speaker");
    assert_eq!(
        speaker["nodeSelector"],
        json!({"kubernetes.io/os": "windows", "a": "b"})
    );
    assert_eq!(
        arguments(container(speaker, "speaker")),
        [
            "--port=9120",
            "--log-level=debug",
            "--lb-class=example.com/class",
            "--ignore-exclude-lb=true",
            "--speaker"
        ]
    );
    let keys: Vec<_> = speaker["tolerations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["key"].as_str())
        .collect();
    let expected = [
        "node-role.kubernetes.io/master",
        "node-role.kubernetes.io/control-plane",
        "s",
    ];
    assert_eq!(keys, expected.map(Some), "built-in ones first");
    let controller = pod(&objects, Kind::Deployment, "controller");
    assert_eq!(
        controller["nodeSelector"],
        json!({"kubernetes.io/os": "linux", "c": "d"})
    );
    assert_eq!(
        controller["tolerations"],
        json!([{"key": "c", "operator": "Exists"}])
    );
    assert_eq!(
        arguments(container(controller, "controller")),
        [
            "--port=9120",
            "--log-level=debug",
            "--lb-class=example.com/class",
            "--controller"
        ]
    );
    assert_eq!(
        object(&objects, Kind::Deployment, "controller").unwrap()["spec"]["replicas"],
        3
    );
    let frr = pod(&objects, Kind::DaemonSet, "frr-k8s");
    assert!(arguments(container(frr, "controller")).contains(&"--always-block=10.0.0.0/8,fc00::/7"));
    assert_eq!(
        container(frr, "frr")["resources"],
        Value::Null,
        "only the main container has the resources"
    );
}

#[test]
fn nothing_is_set_that_nobody_asked_for() {
    let objects = rendered(&json!({}));
    let deployment = object(&objects, Kind::Deployment, "controller").unwrap();
    assert_eq!(
        deployment["spec"]["replicas"],
        Value::Null,
        "kubectl scale must stick"
    );
    let pod = pod(&objects, Kind::Deployment, "controller");
    for field in [
        "tolerations",
        "affinity",
        "priorityClassName",
        "runtimeClassName",
        "imagePullSecrets",
    ] {
        assert_eq!(pod[field], Value::Null, "{field}");
    }
    assert_eq!(
        arguments(container(pod, "controller")),
        ["--port=9120", "--log-level=info"]
    );
}

#[test]
fn images_are_used_verbatim() {
    let objects = rendered(&json!({}));
    let controller = pod(&objects, Kind::Deployment, "controller");
    assert_eq!(
        container(controller, "controller")["image"],
        "registry.example:5000/metallb/controller:v1@sha256:0123"
    );
}

#[test]
fn switching_policies_off_leaves_the_policy_out() {
    let mut off = variables();
    off.insert("DISABLE_NETWORK_POLICIES".to_owned(), "true".to_owned());
    let environment = Environment::from_variables(off).unwrap();
    let metallb: MetalLB = serde_json::from_value(json!({"metadata": {}})).unwrap();
    let objects = render(&validate(&metallb, &environment).unwrap(), &environment);
    assert!(
        objects
            .iter()
            .all(|object| object.key.kind != Kind::NetworkPolicy)
    );
}

/// One right: group, resource, verb.
type Right = (String, String, String);

fn rights(rules: &[PolicyRule]) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for rule in rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                rights.extend(
                    rule.verbs
                        .iter()
                        .map(|verb| (group.clone(), resource.clone(), verb.clone())),
                );
            }
        }
    }
    rights
}

fn rules(role: &Value) -> Vec<PolicyRule> {
    Vec::deserialize(&role["rules"]).unwrap()
}

/// What the install manifest gives the operator: everywhere, and in its namespace.
fn held() -> (BTreeSet<Right>, BTreeSet<Right>) {
    let manifest = include_str!("../../../../manifests/metallb-operator.yaml");
    let documents = serde_saphyr::from_multiple::<Value>(manifest).unwrap();
    let of_kind = |kind: &str| {
        let role = documents
            .iter()
            .find(|document| document["kind"] == kind)
            .unwrap();
        // A right limited to names does not allow to grant it without names.
        let unlimited: Vec<_> = rules(role)
            .into_iter()
            .filter(|rule| rule.resource_names.is_none())
            .collect();
        rights(&unlimited)
    };
    let everywhere = of_kind("ClusterRole");
    let here = &of_kind("Role") | &everywhere;
    (everywhere, here)
}

#[rstest]
#[case("frr")]
#[case("frr-k8s")]
#[case("frr-k8s-external")]
fn the_operator_holds_every_right_it_grants(#[case] backend: &str) {
    let (everywhere, here) = held();
    for desired in rendered(&json!({"bgpBackend": backend, "frrk8sConfig": {"namespace": "elsewhere"}})) {
        let held = match desired.key.kind {
            Kind::ClusterRole => &everywhere,
            Kind::Role => &here,
            _ => continue,
        };
        let granted = rights(&rules(&desired.object.data));
        let missing: Vec<_> = granted.difference(held).collect();
        assert!(
            missing.is_empty(),
            "{} grants what the manifest does not give: {missing:?}",
            desired.key
        );
    }
}
