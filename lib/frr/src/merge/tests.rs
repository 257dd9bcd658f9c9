#![allow(clippy::needless_pass_by_value, reason = "`json!` makes values")]

mod alone;
mod together;

use std::collections::BTreeMap;

use metallb_crds::frrk8s::FRRConfigurationSpec;
use serde_json::{Value, json};

use super::*;

/// Merges objects, called `a`, `b`, ... in the namespace `metallb-system`, on a node in the zone `east`.
fn merge_specs(specs: &[Value], secrets: &Secrets<'_>) -> Merged {
    let specs: Vec<FRRConfigurationSpec> = specs
        .iter()
        .map(|spec| serde_json::from_value(spec.clone()).expect("a valid spec"))
        .collect();
    let names = ["a", "b", "c", "d"];
    let objects: Vec<Named<'_>> = specs
        .iter()
        .zip(names)
        .map(|(spec, name)| Named {
            namespace: "metallb-system",
            name,
            spec,
        })
        .collect();
    let labels = BTreeMap::from([("zone".to_owned(), "east".to_owned())]);
    merge(&labels, &objects, secrets)
}

fn merge_all(specs: &[Value]) -> Merged {
    merge_specs(specs, &Secrets::Ignored)
}

/// The refusal of the last of the objects; the others are fine.
#[track_caller]
fn refusal(specs: &[Value]) -> String {
    let merged = merge_all(specs);
    assert_eq!(merged.accepted.len(), specs.len() - 1, "{:?}", merged.refused);
    assert_eq!(merged.refused.len(), 1);
    merged.refused[0].to_string()
}

#[track_caller]
fn accepted(specs: &[Value]) -> Model {
    let merged = merge_all(specs);
    assert_eq!(merged.refused, []);
    merged.model
}

fn routers(routers: Value) -> Value {
    json!({"bgp": {"routers": routers}})
}

/// A router with one neighbor R1, AS 64601, which has these fields in addition or instead.
fn with_neighbor(fields: Value) -> Value {
    let mut neighbor = json!({"address": "198.51.100.11", "asn": 64601});
    for (key, value) in fields.as_object().expect("fields") {
        neighbor[key] = value.clone();
    }
    neighbor
        .as_object_mut()
        .expect("fields")
        .retain(|_, value| !value.is_null());
    routers(json!([{
        "asn": 64500,
        "prefixes": ["10.70.1.0/24", "10.70.2.0/24", "2001:db8:7001::/64"],
        "neighbors": [neighbor],
    }]))
}
