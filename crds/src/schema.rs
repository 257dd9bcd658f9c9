//! Turns the schemas derived from the Rust types into those users of the API know.
//!
//! What is derived is valid, yet it is not what Kubernetes API types written in Go look like. Some of the differences
//! matter: a `nullable` field keeps an explicit `null` instead of being defaulted, the API server does not know the
//! formats `uint16` and `uint32`, and without the atomic markers two server-side appliers would own parts of one
//! selector. [`finish`] removes them all.

mod embedded;
mod standard;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps,
};
use serde_json::{Map, Value, json};

pub(crate) use embedded::{affinity, local_object_references, resource_requirements, tolerations};

/// Rewrites the schemas of all versions of `crd`, and completes its names. Doing it twice changes nothing more.
///
/// # Panics
///
/// When a schema cannot be expressed in JSON, or is none after the rewrite. Both depend on the types alone, and the
/// tests of this crate go through all of them.
pub fn finish(crd: &mut CustomResourceDefinition) {
    let names = &mut crd.spec.names;
    names
        .list_kind
        .get_or_insert_with(|| format!("{}List", names.kind));
    for version in &mut crd.spec.versions {
        let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
        else {
            continue;
        };
        let mut value = serde_json::to_value(&*schema).expect("a schema is JSON");
        rewrite(&mut value);
        add_standard_properties(&mut value);
        *schema = serde_json::from_value::<JSONSchemaProps>(value).expect("the rewrite leaves a schema");
    }
}

/// An integer of Go's type `int`, whose schema says nothing about its size.
pub(crate) fn integer_without_format(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "integer" })
}

/// Rewrites `schema` and all schemas in it.
fn rewrite(schema: &mut Value) {
    if let Some(standard) = standard::replacement(schema) {
        *schema = standard;
        return;
    }
    let Value::Object(object) = schema else {
        return;
    };
    remove_what_only_derived_schemas_have(object);
    make_number_plain(object);
    if let Some(Value::String(description)) = object.get_mut("description") {
        *description = reflow(description);
    }
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        properties.values_mut().for_each(rewrite);
    }
    for key in ["items", "additionalProperties"] {
        object.get_mut(key).into_iter().for_each(rewrite);
    }
}

fn remove_what_only_derived_schemas_have(schema: &mut Map<String, Value>) {
    for key in ["nullable", "title"] {
        schema.remove(key);
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    let empty = |default: &Value| match default {
        Value::Null | Value::Object(_) => true,
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    if schema.get("default").is_some_and(empty) {
        schema.remove("default");
    }
    schema.retain(|_, value| !value.is_null());
    if schema.get("type") == Some(&json!("array")) {
        // Checks nothing, and the API server warns about it.
        schema.remove("format");
    }
}

/// Gives a number of a Rust type the format Go's types have: 32-bit unsigned numbers become `int32` if a bound keeps
/// them in that range, else `int64` with the bounds of the type.
fn make_number_plain(schema: &mut Map<String, Value>) {
    let (largest, format) = match schema.get("format").and_then(Value::as_str) {
        Some("uint16") => (u32::from(u16::MAX), None),
        Some("uint32") => (u32::MAX, Some("int64")),
        _ => return,
    };
    let bound = |schema: &Map<String, Value>, name| schema.get(name).and_then(Value::as_f64);
    let fits_int32 = bound(schema, "maximum").is_some_and(|maximum| maximum <= f64::from(i32::MAX));
    match format {
        Some(_) if fits_int32 => schema.insert("format".to_owned(), json!("int32")),
        Some(format) => schema.insert("format".to_owned(), json!(format)),
        None => schema.remove("format"),
    };
    schema.entry("minimum").or_insert_with(|| json!(0));
    schema.entry("maximum").or_insert_with(|| json!(largest));
}

/// Joins the lines of a doc comment; an empty line stays a paragraph break.
fn reflow(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| {
        let words: Vec<_> = paragraph.split_whitespace().collect();
        words.join(" ")
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// Describes the fields every object has.
fn add_standard_properties(root: &mut Value) {
    let Some(Value::Object(properties)) = root.get_mut("properties") else {
        return;
    };
    properties.insert(
        "apiVersion".to_owned(),
        json!({ "type": "string", "description": "Group and version of this object's kind." }),
    );
    properties.insert(
        "kind".to_owned(),
        json!({ "type": "string", "description": "Kind of this object." }),
    );
    properties.insert("metadata".to_owned(), json!({ "type": "object" }));
}

#[cfg(test)]
mod tests;
