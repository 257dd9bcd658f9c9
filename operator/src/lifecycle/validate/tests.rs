use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::lifecycle::environment::tests::variables;

fn environment() -> Environment {
    Environment::from_variables(variables()).unwrap()
}

fn metallb(spec: &Value) -> MetalLB {
    serde_json::from_value(json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "MetalLB",
        "metadata": {"name": "metallb", "namespace": "metallb-system", "uid": "u"},
        "spec": spec,
    }))
    .unwrap()
}

fn texts(spec: &Value) -> Vec<String> {
    let violations = validate(&metallb(spec), &environment()).unwrap_err();
    violations.iter().map(ToString::to_string).collect()
}

#[test]
fn an_empty_spec_is_frr_in_its_own_pods_and_no_wishes() {
    let valid = validate(&metallb(&json!({})), &environment()).unwrap();
    assert_eq!(valid.backend, Backend::FrrK8s);
    assert_eq!(valid.log_level, "info");
    assert_eq!(
        (valid.controller, valid.speaker),
        (Placement::default(), Placement::default())
    );
    assert_eq!((valid.load_balancer_class, valid.uid.as_str()), (None, "u"));
}

#[rstest]
#[case(
    json!({"controllerTolerations": [{"effect": "NoSchedule", "tolerationSeconds": 5}]}),
    "ControllerToleration effect must be NoExecute when tolerationSeconds is set"
)]
#[case(
    json!({"speakerTolerations": [{"operator": "Exists"}, {"tolerationSeconds": 1}]}),
    "SpeakerToleration effect must be NoExecute when tolerationSeconds is set"
)]
#[case(
    json!({"speakerConfig": {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 100, "preference": {}}, {"weight": 101, "preference": {}}]}}}}),
    "SpeakerConfig NodeAffinity set with invalid weight for preferred scheduling term"
)]
#[case(
    json!({"speakerConfig": {"affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 0, "podAffinityTerm": {"topologyKey": "t"}}]}}}}),
    "SpeakerConfig PodAffinity set with invalid weight for preferred scheduling term"
)]
#[case(
    json!({"controllerConfig": {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 0, "preference": {}}]}}}}),
    "ControllerConfig NodeAffinity set with invalid weight for preferred scheduling term"
)]
#[case(
    json!({"controllerConfig": {"affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 101, "podAffinityTerm": {"topologyKey": "t"}}]}}}}),
    "ControllerConfig PodAffinity set with invalid weight for preferred scheduling term"
)]
#[case(
    json!({"bgpBackend": "bogus"}),
    "invalid BGP Backend, must be one of native, frr, frr-k8s, frr-k8s-external"
)]
#[case(
    json!({"bgpBackend": "frr-k8s-external"}),
    "bgp backend: frrk8s external and no default or user provided namespace"
)]
#[case(json!({"frrk8sConfig": {"alwaysBlock": ["10.0.0.1"]}}), "invalid CIDR 10.0.0.1 in AlwaysBlock")]
#[case(json!({"frrk8sConfig": {"alwaysBlock": ["10.0.0.0/8", "foo"]}}), "invalid CIDR foo in AlwaysBlock")]
#[case(json!({"bgpBackend": "native"}), "bgp backend native is not supported by this release; use frr-k8s or frr")]
fn one_broken_rule_is_named_in_the_words_of_the_api(#[case] spec: Value, #[case] text: &str) {
    assert_eq!(texts(&spec), [text]);
}

#[rstest]
#[case(json!({"controllerTolerations": [{"effect": "NoExecute", "tolerationSeconds": 5}]}))]
#[case(json!({"speakerTolerations": [{"effect": "NoSchedule", "tolerationSeconds": 0}]}))]
#[case(json!({"speakerConfig": {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
    {"weight": 1, "preference": {}}, {"weight": 100, "preference": {}}]}}}}))]
#[case(json!({"speakerConfig": {"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
    {"weight": 101, "podAffinityTerm": {"topologyKey": "t"}}]}}}}))]
fn what_no_rule_forbids_passes(#[case] spec: Value) {
    validate(&metallb(&spec), &environment()).unwrap();
}

#[test]
fn all_broken_rules_are_told_in_the_order_of_admission() {
    let spec = json!({
        "bgpBackend": "bogus",
        "frrk8sConfig": {"alwaysBlock": ["x", "y"]},
        "controllerTolerations": [{"tolerationSeconds": 1}],
    });
    assert_eq!(
        texts(&spec),
        [
            "ControllerToleration effect must be NoExecute when tolerationSeconds is set",
            "invalid BGP Backend, must be one of native, frr, frr-k8s, frr-k8s-external",
            "invalid CIDR x in AlwaysBlock",
            "invalid CIDR y in AlwaysBlock",
        ]
    );
}

#[rstest]
#[case(json!({}), Backend::FrrK8s)]
#[case(json!({"bgpBackend": ""}), Backend::FrrK8s)]
#[case(json!({"bgpBackend": "frr-k8s"}), Backend::FrrK8s)]
#[case(json!({"bgpBackend": "frr", "frrk8sConfig": {"namespace": "x", "secretPassthrough": true}}), Backend::Frr)]
#[case(
    json!({"bgpBackend": "frr-k8s-external", "frrk8sConfig": {"namespace": "x", "secretPassthrough": true}}),
    Backend::FrrK8sExternal { namespace: "x".to_owned(), secret_passthrough: true }
)]
fn the_backend_is_what_was_asked_for(#[case] spec: Value, #[case] expected: Backend) {
    assert_eq!(
        validate(&metallb(&spec), &environment()).unwrap().backend,
        expected
    );
}

#[test]
fn the_namespace_of_a_foreign_frr_may_come_from_the_environment_and_is_overridden_by_the_object() {
    let environment = Environment {
        external_namespace: Some("from-environment".to_owned()),
        ..environment()
    };
    let namespace = |spec| match validate(&metallb(&spec), &environment).unwrap().backend {
        Backend::FrrK8sExternal { namespace, .. } => namespace,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        namespace(json!({"bgpBackend": "frr-k8s-external"})),
        "from-environment"
    );
    let both = json!({"bgpBackend": "frr-k8s-external", "frrk8sConfig": {"namespace": "from-object"}});
    assert_eq!(namespace(both), "from-object");
}

#[test]
fn blocked_prefixes_are_trimmed_masked_sorted_and_unique() {
    let spec = json!({"frrk8sConfig": {"alwaysBlock": ["fc00::/7", "10.0.0.0/8 ", "10.1.2.3/8"]}});
    let valid = validate(&metallb(&spec), &environment()).unwrap();
    assert_eq!(valid.always_block, ["10.0.0.0/8", "fc00::/7"]);
}

#[rstest]
#[case("metallb", "metallb-system", None)]
#[case("other", "metallb-system", Some("IncorrectMetalLBResourceName"))]
#[case("metallb", "default", Some("IncorrectMetalLBResourceNamespace"))]
#[case("other", "default", Some("IncorrectMetalLBResourceNamespace"))]
fn only_one_name_in_one_namespace_counts(
    #[case] name: &str,
    #[case] namespace: &str,
    #[case] reason: Option<&str>,
) {
    let mut object = metallb(&json!({}));
    object.metadata.name = Some(name.to_owned());
    object.metadata.namespace = Some(namespace.to_owned());
    let result = in_its_place(&object, &environment());
    assert_eq!(result.as_ref().err().map(Misplaced::reason), reason);
    if let Err(misplaced) = result {
        let found = if namespace == "default" { namespace } else { name };
        assert!(misplaced.to_string().contains(found), "{misplaced}");
    }
}
