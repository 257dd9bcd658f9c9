use std::sync::LazyLock;

use kube::core::cel::Validator;
use rstest::rstest;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

fn definition(kind: &str) -> CustomResourceDefinition {
    static ALL: LazyLock<Vec<CustomResourceDefinition>> = LazyLock::new(all);
    let found = ALL.iter().find(|crd| crd.spec.names.kind == kind);
    found.unwrap_or_else(|| panic!("no kind {kind}")).clone()
}

/// The root schema of the newest version of `kind`, or of the version given as `kind/version`.
fn schema(kind: &str) -> Value {
    let (kind, name) = kind.split_once('/').unwrap_or((kind, ""));
    let crd = definition(kind);
    let version = crd
        .spec
        .versions
        .iter()
        .find(|version| version.name == name || name.is_empty())
        .unwrap();
    serde_json::to_value(
        version
            .schema
            .as_ref()
            .unwrap()
            .open_api_v3_schema
            .as_ref()
            .unwrap(),
    )
    .unwrap()
}

/// The schema of a field; `path` is like `spec.preferredNodeSelectors[].weight`.
fn field(kind: &str, path: &str) -> Value {
    let mut schema = schema(kind);
    for name in path.replace("[]", ".[]").split('.') {
        let inner = match name {
            "[]" => schema.get("items").cloned(),
            _ => schema.pointer(&format!("/properties/{name}")).cloned(),
        };
        schema = inner.unwrap_or_else(|| panic!("{kind} has no {path}"));
    }
    schema
}

#[rstest]
#[case("BFDProfile", "bfdprofiles", &["v1beta1"])]
#[case("BGPAdvertisement", "bgpadvertisements", &["v1beta1"])]
#[case("BGPPeer", "bgppeers", &["v1beta2", "v1beta1"])]
#[case("Community", "communities", &["v1beta1"])]
#[case("ConfigurationState", "configurationstates", &["v1beta1"])]
#[case("IPAddressPool", "ipaddresspools", &["v1beta1"])]
#[case("L2Advertisement", "l2advertisements", &["v1beta1"])]
#[case("MetalLB", "metallbs", &["v1beta1"])]
#[case("ServiceBGPStatus", "servicebgpstatuses", &["v1beta1"])]
#[case("ServiceL2Status", "servicel2statuses", &["v1beta1"])]
fn kinds_have_their_names_versions_and_status(
    #[case] kind: &str,
    #[case] plural: &str,
    #[case] versions: &[&str],
) {
    let crd = definition(kind);
    assert_eq!(
        crd.metadata.name.as_deref(),
        Some(format!("{plural}.metallb.io").as_str())
    );
    assert_eq!(crd.spec.names.plural, plural);
    assert_eq!(
        crd.spec.names.singular.as_deref(),
        Some(kind.to_lowercase().as_str())
    );
    assert_eq!(crd.spec.scope, "Namespaced");
    let found: Vec<_> = crd
        .spec
        .versions
        .iter()
        .map(|version| version.name.as_str())
        .collect();
    assert_eq!(found, versions);
    for (position, version) in crd.spec.versions.iter().enumerate() {
        assert!(version.served);
        assert_eq!(version.storage, position == 0, "the first version is stored");
        assert!(version.subresources.as_ref().unwrap().status.is_some());
    }
}

#[test]
fn the_old_version_of_bgp_peer_warns() {
    let crd = definition("BGPPeer");
    let [new, old] = crd.spec.versions.as_slice() else {
        panic!("two versions")
    };
    assert_eq!((new.deprecated, old.deprecated), (None, Some(true)));
    assert_eq!(
        old.deprecation_warning.as_deref(),
        Some("v1beta1 is deprecated, please use v1beta2")
    );
}

#[rstest]
#[case("IPAddressPool", &["Auto Assign boolean 0 .spec.autoAssign", "Avoid Buggy IPs boolean 0 .spec.avoidBuggyIPs", "Addresses string 0 .spec.addresses"])]
#[case("L2Advertisement", &["IPAddressPools string 0 .spec.ipAddressPools", "IPAddressPool Selectors string 0 .spec.ipAddressPoolSelectors", "Interfaces string 0 .spec.interfaces", "Node Selectors string 10 .spec.nodeSelectors"])]
#[case("BGPAdvertisement", &["IPAddressPools string 0 .spec.ipAddressPools", "IPAddressPool Selectors string 0 .spec.ipAddressPoolSelectors", "Peers string 0 .spec.peers", "Node Selectors string 10 .spec.nodeSelectors"])]
#[case("BGPPeer", &["Address string 0 .spec.peerAddress", "ASN string 0 .spec.peerASN", "BFD Profile string 0 .spec.bfdProfile", "Multi Hops string 0 .spec.ebgpMultiHop"])]
#[case("BFDProfile", &["Passive Mode boolean 0 .spec.passiveMode", "Transmit Interval integer 0 .spec.transmitInterval", "Receive Interval integer 0 .spec.receiveInterval", "Multiplier integer 0 .spec.detectMultiplier"])]
#[case("Community", &[])]
#[case("ServiceL2Status", &["Allocated Node string 0 .status.node", "Service Name string 0 .status.serviceName", "Service Namespace string 0 .status.serviceNamespace"])]
#[case("ServiceBGPStatus", &["Node string 0 .status.node", "Service Name string 0 .status.serviceName", "Service Namespace string 0 .status.serviceNamespace"])]
#[case("ConfigurationState", &["Result string 0 .status.result", "ErrorSummary string 0 .status.errorSummary", "Age date 0 .metadata.creationTimestamp"])]
#[case("MetalLB", &[
    "Available string 0 .status.conditions[?(@.type=='Available')].status",
    "Degraded string 0 .status.conditions[?(@.type=='Degraded')].status",
    "Progressing string 0 .status.conditions[?(@.type=='Progressing')].status",
    "Age date 0 .metadata.creationTimestamp",
    "Backend string 1 .status.backend",
    "Version string 1 .status.version",
    "Reason string 1 .status.conditions[?(@.type=='Degraded')].message",
])]
fn listings_show_the_columns_people_know(#[case] kind: &str, #[case] columns: &[&str]) {
    for version in definition(kind).spec.versions {
        let found: Vec<_> = version
            .additional_printer_columns
            .into_iter()
            .flatten()
            .map(|column| {
                let priority = column.priority.unwrap_or(0);
                format!("{} {} {priority} {}", column.name, column.type_, column.json_path)
            })
            .collect();
        assert_eq!(found, columns, "{}", version.name);
    }
}

#[rstest]
#[case("IPAddressPool", "spec", json!(["addresses"]))]
#[case("IPAddressPool", "status", json!(["assignedIPv4", "assignedIPv6", "availableIPv4", "availableIPv6"]))]
#[case("L2Advertisement", "spec", json!(null))]
#[case("L2Advertisement", "spec.preferredNodeSelectors[]", json!(["preference", "weight"]))]
#[case("BGPAdvertisement", "spec", json!(null))]
#[case("BGPPeer", "spec", json!(["myASN"]))]
#[case("BGPPeer", "spec.passwordSecret", json!(null))]
#[case("BGPPeer/v1beta1", "spec", json!(["myASN", "peerASN", "peerAddress"]))]
#[case("BGPPeer/v1beta1", "spec.nodeSelectors[].matchExpressions[]", json!(["key", "operator", "values"]))]
#[case("BFDProfile", "spec", json!(null))]
#[case("Community", "spec.communities[]", json!(null))]
#[case("ServiceL2Status", "status", json!(null))]
#[case("ServiceL2Status", "status.interfaces[]", json!(null))]
#[case("ServiceBGPStatus", "status", json!(null))]
#[case("ConfigurationState", "status", json!(null))]
#[case("ConfigurationState", "status.conditions[]", json!(["lastTransitionTime", "message", "reason", "status", "type"]))]
#[case("MetalLB", "spec", json!(null))]
fn required_fields(#[case] kind: &str, #[case] path: &str, #[case] required: Value) {
    let mut found = field(kind, path).get("required").cloned().unwrap_or_default();
    if let Some(names) = found.as_array_mut() {
        names.sort_by_key(|name| name.as_str().map(str::to_owned));
    }
    assert_eq!(found, required);
}

#[test]
fn only_pools_need_a_spec() {
    for crd in all() {
        let kind = crd.spec.names.kind.as_str();
        for version in &crd.spec.versions {
            let required = schema(&format!("{kind}/{}", version.name))
                .get("required")
                .cloned();
            let expected = (kind == "IPAddressPool").then(|| json!(["spec"]));
            assert_eq!(required, expected, "{kind}");
        }
    }
    assert_eq!(
        schema("ConfigurationState").pointer("/properties/spec"),
        None,
        "has no spec at all"
    );
}

#[rstest]
#[case("IPAddressPool", "spec.autoAssign", json!({ "type": "boolean", "default": true }))]
#[case("IPAddressPool", "spec.avoidBuggyIPs", json!({ "type": "boolean", "default": false }))]
#[case("IPAddressPool", "spec.serviceAllocation.priority", json!({ "type": "integer" }))]
#[case("IPAddressPool", "status.availableIPv6", json!({ "type": "integer", "format": "int64" }))]
#[case("L2Advertisement", "spec.preferredNodeSelectors[].weight", json!({ "type": "integer", "format": "int32", "minimum": 1.0, "maximum": 100.0 }))]
#[case("BGPAdvertisement", "spec.aggregationLength", json!({ "type": "integer", "format": "int32", "default": 32, "minimum": 1.0 }))]
#[case("BGPAdvertisement", "spec.aggregationLengthV6", json!({ "type": "integer", "format": "int32", "default": 128 }))]
#[case("BGPAdvertisement", "spec.localPref", json!({ "type": "integer", "format": "int64", "minimum": 0.0, "maximum": 4_294_967_295.0 }))]
#[case("BGPPeer", "spec.myASN", json!({ "type": "integer", "format": "int64", "minimum": 0.0, "maximum": 4_294_967_295.0 }))]
#[case("BGPPeer", "spec.peerASN", json!({ "type": "integer", "format": "int64", "minimum": 0.0, "maximum": 4_294_967_295.0 }))]
#[case("BGPPeer", "spec.localASN", json!({ "type": "integer", "format": "int64", "minimum": 1.0, "maximum": 4_294_967_295.0 }))]
#[case("BGPPeer", "spec.dynamicASN", json!({ "type": "string", "enum": ["internal", "external"] }))]
#[case("BGPPeer", "spec.peerPort", json!({ "type": "integer", "default": 179, "minimum": 1.0, "maximum": 16384.0 }))]
#[case("BGPPeer", "spec.holdTime", json!({ "type": "string" }))]
#[case("BGPPeer", "spec.password", json!({ "type": "string" }))]
#[case("BGPPeer", "spec.disableMP", json!({ "type": "boolean", "default": false }))]
#[case("BGPPeer", "spec.dualStackAddressFamily", json!({ "type": "boolean", "default": false }))]
#[case("BGPPeer", "spec.ebgpMultiHop", json!({ "type": "boolean" }))]
#[case("BGPPeer/v1beta1", "spec.peerPort", json!({ "type": "integer", "minimum": 0.0, "maximum": 16384.0 }))]
#[case("BFDProfile", "spec.receiveInterval", json!({ "type": "integer", "format": "int32", "minimum": 10.0, "maximum": 60000.0 }))]
#[case("BFDProfile", "spec.transmitInterval", json!({ "type": "integer", "format": "int32", "minimum": 10.0, "maximum": 60000.0 }))]
#[case("BFDProfile", "spec.echoInterval", json!({ "type": "integer", "format": "int32", "minimum": 10.0, "maximum": 60000.0 }))]
#[case("BFDProfile", "spec.detectMultiplier", json!({ "type": "integer", "format": "int32", "minimum": 2.0, "maximum": 255.0 }))]
#[case("BFDProfile", "spec.minimumTtl", json!({ "type": "integer", "format": "int32", "minimum": 1.0, "maximum": 254.0 }))]
#[case("BFDProfile", "spec.echoMode", json!({ "type": "boolean" }))]
#[case("Community", "spec.communities[].value", json!({ "type": "string" }))]
#[case("ConfigurationState", "status.result", json!({ "type": "string", "enum": ["Valid", "Invalid", "Unknown"] }))]
#[case("ConfigurationState", "status.conditions[].reason", json!({ "type": "string", "minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$" }))]
#[case("ConfigurationState", "status.conditions[].message", json!({ "type": "string", "maxLength": 32768 }))]
#[case("MetalLB", "spec.logLevel", json!({ "type": "string", "enum": ["all", "debug", "info", "warn", "error", "none"] }))]
#[case("MetalLB", "spec.bgpBackend", json!({ "type": "string" }))]
#[case("MetalLB", "spec.loadBalancerClass", json!({ "type": "string", "pattern": r"^([a-z0-9A-Z]([\w.\-]*[a-z0-9A-Z])?/)?[a-z0-9A-Z]([\w.\-]*[a-z0-9A-Z])?$" }))]
#[case("MetalLB", "spec.frrk8sConfig.secretPassthrough", json!({ "type": "boolean" }))]
fn bounds_and_defaults(#[case] kind: &str, #[case] path: &str, #[case] expected: Value) {
    let mut found = field(kind, path);
    found.as_object_mut().unwrap().remove("description");
    assert_eq!(found, expected);
}

#[test]
fn lists_that_merge_by_key() {
    let conditions = field("ConfigurationState", "status.conditions");
    assert_eq!(conditions["x-kubernetes-list-type"], "map");
    assert_eq!(conditions["x-kubernetes-list-map-keys"], json!(["type"]));
    let conditions = field("MetalLB", "status.conditions");
    assert_eq!(
        conditions.get("x-kubernetes-list-type"),
        None,
        "the operator writes them all at once"
    );
    assert_eq!(
        field("BGPPeer", "spec.passwordSecret")["x-kubernetes-map-type"],
        "atomic"
    );
    let values = field(
        "BGPPeer/v1beta1",
        "spec.nodeSelectors[].matchExpressions[].values",
    );
    assert_eq!(values["minItems"], 1);
}

fn rules_broken(kind: &str, object: &Value, old: Option<&Value>) -> Vec<(String, String)> {
    match Validator::new().validate(&schema(kind), object, old) {
        Ok(()) => Vec::new(),
        Err(errors) => errors
            .into_vec()
            .into_iter()
            .map(|error| (error.field_path, error.message))
            .collect(),
    }
}

#[rstest]
#[case(json!({ "aggregationLength": 24, "serviceSelectors": [{}] }), true)]
#[case(json!({ "aggregationLengthV6": 64, "serviceSelectors": [{}] }), true)]
#[case(json!({ "aggregationLength": 32, "aggregationLengthV6": 128, "serviceSelectors": [{}] }), false)]
#[case(json!({ "serviceSelectors": [{}] }), false)]
#[case(json!({ "aggregationLength": 24, "aggregationLengthV6": 64 }), false)]
#[case(json!({ "aggregationLength": 24, "serviceSelectors": [] }), false)]
fn an_aggregate_cannot_select_services(#[case] spec: Value, #[case] refused: bool) {
    let broken = rules_broken("BGPAdvertisement", &json!({ "spec": spec }), None);
    let expected = "serviceSelectors and aggregationLength are mutually exclusive, can only be used together with default aggregationLength (32) and aggregationLengthV6 (128)";
    let expected = if refused {
        vec![("spec".to_owned(), expected.to_owned())]
    } else {
        Vec::new()
    };
    assert_eq!(broken, expected);
}

#[rstest]
#[case("1s", None)]
#[case("10s", None)]
#[case("65535s", None)]
#[case("1m30s", None)]
#[case("0s", Some("connect time should be between 1 seconds to 65535"))]
#[case("65536s", Some("connect time should be between 1 seconds to 65535"))]
#[case("-10s", Some("connect time should be between 1 seconds to 65535"))]
#[case("1500ms", Some("connect time should contain a whole number of seconds"))]
fn connect_time_is_whole_seconds(#[case] time: &str, #[case] message: Option<&str>) {
    let object = json!({ "spec": { "myASN": 1, "connectTime": time } });
    let broken = rules_broken("BGPPeer", &object, None);
    let expected: Vec<_> = message
        .map(|message| ("spec.connectTime".to_owned(), message.to_owned()))
        .into_iter()
        .collect();
    assert_eq!(broken, expected);
}

#[test]
fn connect_time_must_be_a_duration() {
    let object = json!({ "spec": { "myASN": 1, "connectTime": "abc" } });
    let broken = rules_broken("BGPPeer", &object, None);
    assert!(
        broken.iter().any(|(path, _)| path == "spec.connectTime"),
        "{broken:?}"
    );
}

#[rstest]
#[case(json!({ "enableGracefulRestart": false }), json!({ "enableGracefulRestart": true }), true)]
#[case(json!({ "enableGracefulRestart": true }), json!({ "enableGracefulRestart": false }), true)]
#[case(json!({ "enableGracefulRestart": true }), json!({ "enableGracefulRestart": true }), false)]
#[case(json!({}), json!({ "enableGracefulRestart": true }), false)]
#[case(json!({ "enableGracefulRestart": true }), json!({}), false)]
fn graceful_restart_does_not_change_once_said(#[case] old: Value, #[case] new: Value, #[case] refused: bool) {
    let broken = rules_broken("BGPPeer", &json!({ "spec": new }), Some(&json!({ "spec": old })));
    let expected = refused.then(|| {
        (
            "spec.enableGracefulRestart".to_owned(),
            "EnableGracefulRestart cannot be changed after creation".to_owned(),
        )
    });
    assert_eq!(broken, expected.into_iter().collect::<Vec<_>>());
}

#[rstest]
fn status_objects_stay_with_their_service_and_node(
    #[values("ServiceL2Status", "ServiceBGPStatus")] kind: &str,
    #[values("node", "serviceName", "serviceNamespace")] field: &str,
) {
    let old = json!({ "status": { "node": "n1", "serviceName": "web", "serviceNamespace": "shop" } });
    assert_eq!(rules_broken(kind, &old, Some(&old)), []);
    let mut new = old.clone();
    new["status"][field] = json!("other");
    let expected = (format!("status.{field}"), "Value is immutable".to_owned());
    assert_eq!(rules_broken(kind, &new, Some(&old)), [expected]);
    assert_eq!(rules_broken(kind, &new, None), [], "the first write is free");
    assert_eq!(
        rules_broken(kind, &new, Some(&json!({}))),
        [],
        "the status may come later"
    );
}

/// Reads `object` as `K` and writes it again.
fn again<K: DeserializeOwned + serde::Serialize>(object: &Value) -> Value {
    serde_json::to_value(serde_json::from_value::<K>(object.clone()).unwrap()).unwrap()
}

#[test]
fn objects_without_a_spec_are_read_with_its_defaults() {
    let bare = json!({ "metadata": { "name": "bare" } });
    let read: BGPAdvertisement = serde_json::from_value(bare.clone()).unwrap();
    assert_eq!(
        (read.spec.aggregation_length, read.spec.aggregation_length_v6),
        (32, 128)
    );
    let read: BGPPeer = serde_json::from_value(bare.clone()).unwrap();
    assert_eq!(read.spec, BGPPeerSpec::default());
    for written in [
        again::<L2Advertisement>(&bare),
        again::<BFDProfile>(&bare),
        again::<Community>(&bare),
        again::<MetalLB>(&bare),
        again::<ServiceL2Status>(&bare),
        again::<ServiceBGPStatus>(&bare),
        again::<v1beta1::BGPPeer>(&bare),
    ] {
        assert_eq!(written["metadata"], bare["metadata"]);
    }
    let written = again::<ConfigurationState>(&bare);
    assert_eq!(written.get("spec"), None, "has no spec at all");
    assert!(
        serde_json::from_value::<IPAddressPool>(bare).is_err(),
        "the schema requires it"
    );
}

#[test]
fn values_only_the_rules_refuse_are_read() {
    let peer = json!({ "metadata": {}, "spec": { "myASN": 0, "holdTime": "abc", "peerAddress": "tor" } });
    let peer: BGPPeer = serde_json::from_value(peer).unwrap();
    assert_eq!(peer.spec.hold_time.unwrap().as_std(), None);
    let advertisement = json!({ "metadata": {}, "spec": { "localPref": -1, "aggregationLengthV6": -5 } });
    let advertisement: BGPAdvertisement = serde_json::from_value(advertisement).unwrap();
    assert_eq!(
        (
            advertisement.spec.local_pref,
            advertisement.spec.aggregation_length_v6
        ),
        (-1, -5)
    );
}

#[test]
fn a_null_is_an_absent_value() {
    let peer = json!({ "metadata": {}, "status": null, "spec": {
        "myASN": 1, "peerASN": null, "peerPort": null, "holdTime": null, "vrf": null, "dynamicASN": null,
    }});
    let peer: BGPPeer = serde_json::from_value(peer).unwrap();
    assert_eq!(
        peer.spec,
        BGPPeerSpec {
            my_asn: 1,
            ..Default::default()
        }
    );
}

#[test]
fn a_password_is_not_printed() {
    let peer: BGPPeer =
        serde_json::from_value(json!({ "metadata": {}, "spec": { "myASN": 1, "password": "s3cret" } }))
            .unwrap();
    assert!(!format!("{peer:?}").contains("s3cret"));
    let peer: v1beta1::BGPPeer = serde_json::from_value(json!({ "metadata": {}, "spec": {
        "myASN": 1, "peerASN": 2, "peerAddress": "1.1.1.1", "password": "s3cret",
    }}))
    .unwrap();
    assert!(!format!("{peer:?}").contains("s3cret"));
}
