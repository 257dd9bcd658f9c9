//! Parts of a Pod that users of the MetalLB kind may set. Their schemas come from the Kubernetes API and lack what only
//! Go's generators add: atomic lists and maps, and what a quantity looks like. Their descriptions are left out, they
//! would make the CRD several times larger; `kubectl explain pod.spec` has them.

use k8s_openapi::api::core::v1::{Affinity, LocalObjectReference, ResourceRequirements, Toleration};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// A list of tolerations.
pub(crate) fn tolerations(generator: &mut SchemaGenerator) -> Schema {
    embedded::<Vec<Toleration>>(generator)
}

/// A list of names of objects in the same namespace.
pub(crate) fn local_object_references(generator: &mut SchemaGenerator) -> Schema {
    embedded::<Vec<LocalObjectReference>>(generator)
}

/// An affinity.
pub(crate) fn affinity(generator: &mut SchemaGenerator) -> Schema {
    embedded::<Affinity>(generator)
}

/// Requests and limits of a container. Its claims are a map by name.
pub(crate) fn resource_requirements(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = embedded::<ResourceRequirements>(generator);
    if let Some(Value::Object(claims)) = schema.pointer_mut("/properties/claims") {
        claims.insert("x-kubernetes-list-type".to_owned(), json!("map"));
        claims.insert("x-kubernetes-list-map-keys".to_owned(), json!(["name"]));
    }
    schema
}

/// The schema of `T`. The outermost list, if it is one, gets no marker: it belongs to our own type.
fn embedded<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<T>();
    if let Some(object) = schema.as_object_mut() {
        complete(object);
        object.remove("x-kubernetes-list-type");
    }
    schema
}

fn complete(schema: &mut Map<String, Value>) {
    schema.remove("description");
    if schema.get("type") == Some(&json!("array")) {
        schema.insert("x-kubernetes-list-type".to_owned(), json!("atomic"));
    }
    if schema.get("x-kubernetes-int-or-string") == Some(&json!(true)) {
        add_quantity_syntax(schema);
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        let is_atomic = is_atomic(properties);
        properties
            .values_mut()
            .filter_map(Value::as_object_mut)
            .for_each(complete);
        if is_atomic {
            schema.insert("x-kubernetes-map-type".to_owned(), json!("atomic"));
        }
    }
    for key in ["items", "additionalProperties"] {
        schema
            .get_mut(key)
            .and_then(Value::as_object_mut)
            .into_iter()
            .for_each(complete);
    }
}

/// Whether an object with these fields is a selector or a reference, which is always written as a whole.
fn is_atomic(properties: &Map<String, Value>) -> bool {
    const ATOMIC: [&[&str]; 3] = [
        &["nodeSelectorTerms"],
        &["matchExpressions", "matchFields"],
        &["name"],
    ];
    ATOMIC.iter().any(|names| {
        properties.len() == names.len() && names.iter().all(|name| properties.contains_key(*name))
    })
}

fn add_quantity_syntax(schema: &mut Map<String, Value>) {
    const QUANTITY: &str = concat!(
        r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))",
        r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
    );
    schema.insert(
        "anyOf".to_owned(),
        json!([{ "type": "integer" }, { "type": "string" }]),
    );
    schema.insert("pattern".to_owned(), json!(QUANTITY));
}
