use rstest::rstest;
use serde_json::{Value, json};

use super::{ClusterFamilies, Families, RequestError, ServiceRequest};
use crate::ip_range::IpFamily;

fn request(metadata: &Value, spec: &Value) -> ServiceRequest {
    let mut object = json!({"metadata": {"namespace": "n", "name": "s"}});
    for (key, value) in metadata.as_object().unwrap() {
        object["metadata"][key] = value.clone();
    }
    object["spec"] = spec.clone();
    ServiceRequest::of(&serde_json::from_value(object).unwrap())
}

fn annotated(annotations: &Value) -> ServiceRequest {
    request(&json!({"annotations": annotations}), &json!({}))
}

#[rstest]
#[case(json!({}), ClusterFamilies::Unassigned)]
#[case(json!({"clusterIP": ""}), ClusterFamilies::Unassigned)]
#[case(json!({"clusterIP": "10.0.0.1"}), ClusterFamilies::Known(Families::Single(IpFamily::V4)))]
#[case(json!({"clusterIP": "10.0.0.1", "clusterIPs": ["fd00::1"]}), ClusterFamilies::Known(Families::Single(IpFamily::V6)))]
#[case(json!({"clusterIPs": ["fd00::1", "10.0.0.1"]}), ClusterFamilies::Known(Families::Dual))]
#[case(json!({"clusterIPs": ["10.0.0.2", "10.0.0.1"]}), ClusterFamilies::Unknown("10.0.0.2,10.0.0.1".into()))]
#[case(json!({"clusterIP": "None"}), ClusterFamilies::Unknown("None".into()))]
fn families(#[case] spec: Value, #[case] expected: ClusterFamilies) {
    assert_eq!(request(&json!({}), &spec).families, expected);
}

#[rstest]
#[case(json!({"metallb.io/loadBalancerIPs": "192.0.2.1"}), json!(null), Ok(vec!["192.0.2.1"]))]
#[case(json!({"metallb.io/loadBalancerIPs": " 2001:db8::1 , 192.0.2.1"}), json!(null), Ok(vec!["2001:db8::1", "192.0.2.1"]))]
#[case(json!({"metallb.universe.tf/loadBalancerIPs": "192.0.2.1"}), json!(null), Ok(vec!["192.0.2.1"]))]
#[case(json!({"metallb.io/loadBalancerIPs": "", "metallb.universe.tf/loadBalancerIPs": "192.0.2.1"}), json!(null), Ok(vec![]))]
#[case(json!({}), json!("192.0.2.2"), Ok(vec!["192.0.2.2"]))]
#[case(json!({"metallb.io/loadBalancerIPs": ""}), json!("192.0.2.2"), Ok(vec!["192.0.2.2"]))]
#[case(json!({"metallb.io/loadBalancerIPs": "192.0.2.1"}), json!("192.0.2.1"), Err("both"))]
#[case(json!({"metallb.io/loadBalancerIPs": "192.0.2.1,"}), json!(null), Err("invalid"))]
#[case(json!({}), json!("tomorrow"), Err("\"tomorrow\""))]
#[case(json!({"metallb.io/loadBalancerIPs": "192.0.2.1,192.0.2.2"}), json!(null), Err("more than one address of a family"))]
#[case(json!({"metallb.io/loadBalancerIPs": "192.0.2.1,2001:db8::1,192.0.2.2"}), json!(null), Err("more than one"))]
fn requested_addresses(
    #[case] annotations: Value,
    #[case] field: Value,
    #[case] expected: Result<Vec<&str>, &str>,
) {
    let got = request(
        &json!({"annotations": annotations}),
        &json!({"loadBalancerIP": field}),
    )
    .addresses;
    match expected {
        Ok(texts) => {
            assert_eq!(
                got.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(),
                texts
            );
        }
        Err(part) => {
            let message = got.unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}

#[test]
fn an_empty_annotation_hides_the_deprecated_one() {
    let both = annotated(&json!({"metallb.io/address-pool": "", "metallb.universe.tf/address-pool": "b"}));
    assert_eq!(both.pool, None);
    assert_eq!(both.legacy_annotations, ["metallb.universe.tf/address-pool"]);
    assert_eq!(
        annotated(&json!({"metallb.universe.tf/address-pool": "b"}))
            .pool
            .as_deref(),
        Some("b")
    );
}

#[test]
fn the_backend_key_is_the_selector_under_local_policy_only() {
    let selector = json!({"b": "2", "a": "1"});
    let local = request(
        &json!({}),
        &json!({"externalTrafficPolicy": "Local", "selector": selector}),
    );
    assert_eq!(local.sharing.backend, "a=1,b=2");
    let cluster = request(
        &json!({}),
        &json!({"externalTrafficPolicy": "Cluster", "selector": selector}),
    );
    assert_eq!(cluster.sharing.backend, "");
}

#[test]
fn a_request_error_names_what_to_remove() {
    assert!(RequestError::Twice.to_string().contains("remove the field"));
}
