use serde_json::{Value, json};

use super::*;

fn schema(kind: &str, path: &str) -> Value {
    let crd = all().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    let crd = serde_json::to_value(crd).unwrap();
    let base = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    crd.pointer(&format!("{base}{path}"))
        .unwrap_or_else(|| panic!("no {path}"))
        .clone()
}

#[test]
fn names_and_scopes_are_those_of_the_api() {
    let found: Vec<_> = all()
        .iter()
        .map(|crd| (crd.metadata.name.clone().unwrap(), crd.spec.scope.clone()))
        .collect();
    let expected = [
        ("bgpsessionstates.frrk8s.metallb.io", "Namespaced"),
        ("frrconfigurations.frrk8s.metallb.io", "Namespaced"),
        ("frrk8sconfigurations.frrk8s.metallb.io", "Namespaced"),
        ("frrnodestates.frrk8s.metallb.io", "Cluster"),
    ];
    assert_eq!(
        found,
        expected.map(|(name, scope)| (name.to_owned(), scope.to_owned()))
    );
}

#[test]
fn an_object_without_spec_is_an_empty_one() {
    let object = json!({ "apiVersion": "frrk8s.metallb.io/v1beta1", "kind": "FRRConfiguration", "metadata": { "name": "a" } });
    let object: FRRConfiguration = serde_json::from_value(object).unwrap();
    assert_eq!(object.spec, FRRConfigurationSpec::default());
    assert_eq!(serde_json::to_value(&object).unwrap()["spec"], json!({}));
}

#[test]
fn every_field_keeps_its_name() {
    let spec = json!({
        "bgp": {
            "bfdProfiles": [{
                "name": "fast", "receiveInterval": 150, "transmitInterval": 151, "detectMultiplier": 5,
                "echoInterval": 60, "echoMode": true, "passiveMode": false, "minimumTtl": 253,
            }],
            "routers": [{
                "asn": 64500, "id": "192.0.2.1", "vrf": "blue", "prefixes": ["10.70.1.0/24"],
                "imports": [{ "vrf": "default" }],
                "neighbors": [{
                    "asn": 4_294_967_295_u32, "dynamicASN": "external", "address": "198.51.100.11", "interface": "up0",
                    "port": 1791, "sourceaddress": "198.51.100.2", "password": "x",
                    "passwordSecret": { "name": "s", "namespace": "n" }, "holdTime": "90s", "keepaliveTime": "30s",
                    "connectTime": "7s", "ebgpMultiHop": true, "bfdProfile": "fast", "enableGracefulRestart": true,
                    "disableMP": true, "dualStackAddressFamily": true, "localASN": 64777,
                    "addressFamilies": ["unicast", "evpn"],
                    "toAdvertise": {
                        "allowed": { "mode": "all", "prefixes": ["10.70.1.0/24"] },
                        "nextHop": { "ipv4": "198.51.100.200", "ipv6": "2001:db8::1" },
                        "withLocalPref": [{ "prefixes": ["10.70.1.0/24"], "localPref": 240 }],
                        "withCommunity": [{ "prefixes": ["10.70.1.0/24"], "community": "64500:31" }],
                    },
                    "toReceive": {
                        "allowed": { "mode": "all", "prefixes": [{ "prefix": "10.80.0.0/16", "le": 24, "ge": 17 }] },
                    },
                }],
                "evpn": {
                    "advertiseVNIs": "All", "advertiseSVI": true,
                    "l2vnis": [{ "vni": 1000, "rd": "64500:1000", "importRTs": ["*:1"], "exportRTs": ["64500:2"] }],
                    "l3vni": {
                        "vni": 4000, "rd": "64500:4", "importRTs": ["1:1"], "exportRTs": ["1:2"],
                        "advertisePrefixes": ["unicast"],
                    },
                },
            }],
        },
        "nodeSelector": { "matchLabels": { "zone": "east" } },
        "raw": { "priority": 5, "rawConfig": "debug bgp keepalives" },
    });
    let typed: FRRConfigurationSpec = serde_json::from_value(spec.clone()).unwrap();
    assert_eq!(serde_json::to_value(&typed).unwrap(), spec);
    assert!(
        !format!("{typed:?}").contains("Password(\"x"),
        "a password must not be printed"
    );
}

#[test]
fn empty_and_absent_are_the_same() {
    let neighbor: Neighbor = serde_json::from_value(json!({
        "asn": 0, "localASN": 0, "address": "", "interface": "", "password": "", "bfdProfile": "", "sourceaddress": "",
        "disableMP": false, "dualStackAddressFamily": false, "addressFamilies": [], "toAdvertise": { "allowed": {} },
        "toReceive": { "allowed": { "mode": "filtered" } }, "passwordSecret": {},
    }))
    .unwrap();
    assert_eq!(neighbor, Neighbor::default());
    assert_eq!(serde_json::to_value(&neighbor).unwrap(), json!({}));
}

#[test]
fn bounds_and_defaults_are_in_the_schema() {
    let router = "/properties/bgp/properties/routers/items/properties";
    let neighbor = format!("{router}/neighbors/items/properties");
    let check = |path: String, expected: Value| {
        let found = schema("FRRConfiguration", &path);
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(found.get(key), Some(value), "{key} of {path}");
        }
    };
    check(
        "/properties/bgp/properties/routers".into(),
        json!({ "maxItems": 50 }),
    );
    check(
        format!("{router}/asn"),
        json!({ "type": "integer", "format": "int64", "minimum": 0.0, "maximum": 4_294_967_295.0 }),
    );
    check(
        format!("{neighbor}/localASN"),
        json!({ "format": "int64", "minimum": 1.0, "maximum": 4_294_967_295.0 }),
    );
    check(
        format!("{neighbor}/port"),
        json!({ "minimum": 0.0, "maximum": 16384.0 }),
    );
    check(
        format!("{neighbor}/addressFamilies"),
        json!({ "default": ["unicast"], "maxItems": 2 }),
    );
    check(format!("{neighbor}/disableMP"), json!({ "default": false }));
    check(
        format!("{neighbor}/dualStackAddressFamily"),
        json!({ "default": false }),
    );
    check(
        format!("{neighbor}/passwordSecret"),
        json!({ "x-kubernetes-map-type": "atomic" }),
    );
    check(
        format!("{neighbor}/toReceive/properties/allowed/properties/mode"),
        json!({ "default": "filtered" }),
    );
    check(
        format!("{neighbor}/toAdvertise/properties/allowed/properties/mode"),
        json!({ "default": "filtered" }),
    );
    check(
        format!("{router}/evpn/properties/l2vnis"),
        json!({ "maxItems": 10 }),
    );
    check(
        format!("{router}/evpn/properties/l3vni"),
        json!({ "required": ["advertisePrefixes", "vni"] }),
    );
    let rules = schema(
        "FRRConfiguration",
        &format!("{neighbor}/connectTime/x-kubernetes-validations"),
    );
    assert_eq!(rules.as_array().map(Vec::len), Some(2));
}

#[test]
fn session_states_show_what_matters_in_a_listing() {
    let crd = all().remove(0);
    let columns = crd.spec.versions[0].additional_printer_columns.clone().unwrap();
    let columns: Vec<_> = columns
        .iter()
        .map(|column| (column.name.as_str(), column.json_path.as_str()))
        .collect();
    let expected = [
        ("Node", ".status.node"),
        ("Peer", ".status.peer"),
        ("VRF", ".status.vrf"),
        ("BGP", ".status.bgpStatus"),
        ("BFD", ".status.bfdStatus"),
    ];
    assert_eq!(columns, expected);
}
