use rstest::rstest;
use serde_json::json;

use super::*;

fn peer(version: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("metallb.io/{version}"), "kind": "BGPPeer",
        "metadata": { "name": "tor", "namespace": "metallb-system", "uid": "u-1", "labels": { "a": "b" } },
        "spec": spec,
    })
}

#[test]
fn all_of_the_old_version_is_in_the_new_one() {
    let spec = json!({
        "myASN": 64512, "peerASN": 64600, "peerAddress": "10.2.0.1", "sourceAddress": "10.2.0.9", "peerPort": 1179,
        "holdTime": "90s", "keepaliveTime": "30s", "routerID": "10.2.0.9", "password": "p", "bfdProfile": "fast",
        "ebgpMultiHop": true,
        "nodeSelectors": [
            { "matchLabels": { "rack": "r1" }, "matchExpressions": [{ "key": "disk", "operator": "In", "values": ["ssd"] }] },
            {},
        ],
    });
    let old = peer("v1beta1", &spec);
    let new = convert(old.clone(), "metallb.io/v1beta2").unwrap();
    let mut expected = peer("v1beta2", &spec);
    for default in ["disableMP", "dualStackAddressFamily"] {
        expected["spec"][default] = json!(false);
    }
    assert_eq!(new, expected);
    assert_eq!(convert(new, "metallb.io/v1beta1").unwrap(), old);
}

#[rstest]
#[case::port(json!({ "myASN": 1, "peerASN": 2, "peerAddress": "1.1.1.1", "peerPort": 0 }), "peerPort")]
#[case::hold_time(json!({ "myASN": 1, "peerASN": 2, "peerAddress": "1.1.1.1" }), "holdTime")]
#[case::keepalive_time(json!({ "myASN": 1, "peerASN": 2, "peerAddress": "1.1.1.1" }), "keepaliveTime")]
fn what_has_no_value_is_left_to_the_defaults(#[case] spec: Value, #[case] field: &str) {
    let new = convert(peer("v1beta1", &spec), "metallb.io/v1beta2").unwrap();
    assert_eq!(new["spec"].get(field), None, "{new}");
}

#[rstest]
#[case(json!({ "dynamicASN": "external", "peerAddress": "1.1.1.1" }))]
#[case(json!({ "peerASN": 2, "interface": "eth5" }))]
#[case(json!({ "peerASN": 2, "peerAddress": "1.1.1.1", "localASN": 4_294_967_295_u32, "connectTime": "10s", "vrf": "red" }))]
#[case(json!({ "peerASN": 2, "peerAddress": "1.1.1.1", "passwordSecret": { "name": "s", "namespace": "n" } }))]
#[case(json!({ "peerASN": 2, "peerAddress": "1.1.1.1", "enableGracefulRestart": true }))]
#[case(json!({ "peerASN": 2, "peerAddress": "1.1.1.1", "disableMP": true, "dualStackAddressFamily": true }))]
#[case(json!({ "peerASN": 2, "peerAddress": "1.1.1.1", "nodeSelectors": [{ "matchExpressions": [{ "key": "edge", "operator": "Exists" }] }] }))]
#[case(json!({}))]
fn the_new_version_survives_a_client_that_only_knows_the_old(#[case] mut spec: Value) {
    spec["myASN"] = json!(64512);
    for default in ["disableMP", "dualStackAddressFamily"] {
        if spec.get(default).is_none() {
            spec[default] = json!(false);
        }
    }
    let new = peer("v1beta2", &spec);
    let mut old = convert(new.clone(), "metallb.io/v1beta1").unwrap();
    for required in ["myASN", "peerASN", "peerAddress"] {
        assert!(
            old["spec"].get(required).is_some(),
            "v1beta1 requires {required}: {old}"
        );
    }
    assert_eq!(convert(old.clone(), "metallb.io/v1beta2").unwrap(), new);

    old["spec"]["ebgpMultiHop"] = json!(true);
    let changed = convert(old, "metallb.io/v1beta2").unwrap();
    spec["ebgpMultiHop"] = json!(true);
    assert_eq!(
        changed["spec"], spec,
        "a change made through the old version is kept"
    );
}

#[test]
fn metadata_is_not_touched_otherwise() {
    let plain = json!({ "myASN": 1, "peerASN": 2, "peerAddress": "1.1.1.1" });
    let old = convert(peer("v1beta2", &plain), "metallb.io/v1beta1").unwrap();
    assert_eq!(old["metadata"], peer("v1beta2", &plain)["metadata"]);
}

#[test]
fn an_annotation_that_cannot_be_read_is_dropped() {
    let mut old = peer(
        "v1beta1",
        &json!({ "myASN": 1, "peerASN": 2, "peerAddress": "1.1.1.1" }),
    );
    old["metadata"]["annotations"] = json!({ ANNOTATION_V1BETA2: "{", "other": "kept" });
    let new = convert(old, "metallb.io/v1beta2").unwrap();
    assert_eq!(new["metadata"]["annotations"], json!({ "other": "kept" }));
    assert_eq!(new["spec"]["peerAddress"], "1.1.1.1");
}

#[rstest]
#[case("metallb.io/v1beta1")]
#[case("metallb.io/v1beta2")]
fn an_object_that_has_the_version_is_returned_as_it_is(#[case] version: &str) {
    let object = json!({ "apiVersion": version, "spec": { "unknown": 1 } });
    assert_eq!(convert(object.clone(), version).unwrap(), object);
}

#[rstest]
#[case(json!({ "apiVersion": "metallb.io/v1" }), "metallb.io/v1beta2", "\"metallb.io/v1\"")]
#[case(json!({ "apiVersion": "metallb.io/v1beta2" }), "metallb.io/v2", "\"metallb.io/v2\"")]
#[case(json!({}), "metallb.io/v1beta1", "\"\"")]
fn an_unknown_version_is_named(#[case] object: Value, #[case] desired: &str, #[case] named: &str) {
    let error = convert(object, desired).unwrap_err().to_string();
    assert!(error.contains(named), "{error}");
}

#[test]
fn a_malformed_object_is_an_error_with_its_cause() {
    let object = peer("v1beta1", &json!({ "myASN": "many" }));
    let error = convert(object, "metallb.io/v1beta2").unwrap_err();
    assert_eq!(
        error.to_string(),
        "object is not a BGPPeer of version metallb.io/v1beta1"
    );
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("many"), "{cause}");
}

#[test]
fn a_webhook_can_be_told_to_convert() {
    let mut crds = crate::metallb::all();
    let crd = crds
        .iter_mut()
        .find(|crd| crd.spec.names.kind == "BGPPeer")
        .unwrap();
    assert_eq!(crd.spec.conversion, None);
    use_webhook(
        crd,
        WebhookClientConfig {
            url: Some("https://127.0.0.1/convert".into()),
            ..Default::default()
        },
    );
    let stanza = serde_json::to_value(&crd.spec.conversion).unwrap();
    assert_eq!(
        stanza,
        json!({
            "strategy": "Webhook",
            "webhook": {
                "clientConfig": { "url": "https://127.0.0.1/convert" },
                "conversionReviewVersions": ["v1", "v1beta1"],
            },
        })
    );
}
