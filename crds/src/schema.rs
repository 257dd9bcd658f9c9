//! What makes a derived schema the one users of the API know.

use k8s_openapi::api::core::v1::{Affinity, LocalObjectReference, ResourceRequirements, Toleration};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

/// An integer without a format.
pub(crate) fn integer_without_format(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer" })
}

/// A list of tolerations.
pub(crate) fn tolerations(generator: &mut SchemaGenerator) -> Schema {
    embedded::<Vec<Toleration>>(generator)
}

/// A list of references to objects of the same namespace.
pub(crate) fn local_object_references(generator: &mut SchemaGenerator) -> Schema {
    embedded::<Vec<LocalObjectReference>>(generator)
}

/// An affinity.
pub(crate) fn affinity(generator: &mut SchemaGenerator) -> Schema {
    embedded::<Affinity>(generator)
}

/// Requests and limits of a container.
pub(crate) fn resource_requirements(generator: &mut SchemaGenerator) -> Schema {
    embedded::<ResourceRequirements>(generator)
}

/// A type of the core API without its descriptions, which would make the CRD several times larger; `kubectl explain
/// pod.spec` has them.
fn embedded<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<T>();
    if let Some(object) = schema.as_object_mut() {
        object.remove("description");
        object
            .values_mut()
            .for_each(|value| without_descriptions(value, false));
    }
    schema
}

/// `names` says that the keys of `value` are names of fields, not keywords of the schema.
fn without_descriptions(value: &mut Value, names: bool) {
    match value {
        Value::Object(object) => {
            if !names {
                object.remove("description");
            }
            for (key, value) in object {
                without_descriptions(value, !names && key == "properties");
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| without_descriptions(item, false)),
        _ => {}
    }
}
