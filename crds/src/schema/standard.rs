//! Types of the Kubernetes API that many kinds embed, with the validation and the merge rules Go's generators give
//! them.

use serde_json::{Map, Value, json};

/// The schema that stands for `derived` if that is the one of a type known here. A description of its own, which says
/// what the field is for, is kept.
pub(super) fn replacement(derived: &Value) -> Option<Value> {
    let properties = derived.get("properties")?.as_object()?;
    let mut standard = if is_label_selector(properties) {
        label_selector()
    } else if is_condition(properties) {
        condition()
    } else {
        return None;
    };
    let described = derived.get("description").and_then(Value::as_str);
    if let Some(text) = described.filter(|text| !is_description_of_the_type(text)) {
        standard["description"] = json!(super::reflow(text));
    }
    Some(standard)
}

fn has_exactly(properties: &Map<String, Value>, names: &[&str]) -> bool {
    properties.len() == names.len() && names.iter().all(|name| properties.contains_key(*name))
}

/// A selector whose `values` may be absent; the older one of BGPPeer, which requires them, is another type.
fn is_label_selector(properties: &Map<String, Value>) -> bool {
    let required = |name: &str| {
        let required = properties
            .get("matchExpressions")
            .and_then(|list| list.pointer("/items/required"));
        required
            .and_then(Value::as_array)
            .is_some_and(|fields| fields.contains(&json!(name)))
    };
    has_exactly(properties, &["matchExpressions", "matchLabels"]) && required("key") && !required("values")
}

fn is_condition(properties: &Map<String, Value>) -> bool {
    has_exactly(
        properties,
        &[
            "lastTransitionTime",
            "message",
            "observedGeneration",
            "reason",
            "status",
            "type",
        ],
    )
}

/// Whether a description comes with the type and so says nothing about the field.
fn is_description_of_the_type(text: &str) -> bool {
    text.starts_with("A label selector is a label query") || text.starts_with("Condition contains details")
}

fn label_selector() -> Value {
    json!({
        "description": "Selects objects by their labels; everything said must hold. An empty selector matches all.",
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "description": "Labels an object must have, with exactly these values.",
                "type": "object",
                "additionalProperties": { "type": "string" },
            },
            "matchExpressions": {
                "description": "Conditions on labels, all of which must hold.",
                "type": "array",
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "description": "A condition on one label.",
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": { "description": "Key of the label.", "type": "string" },
                        "operator": {
                            "description": "Relation of the label to the values: In, NotIn, Exists or DoesNotExist. NotIn and DoesNotExist also match objects without the label.",
                            "type": "string",
                        },
                        "values": {
                            "description": "The values for In and NotIn, at least one. Must be empty for Exists and DoesNotExist.",
                            "type": "array",
                            "x-kubernetes-list-type": "atomic",
                            "items": { "type": "string" },
                        },
                    },
                },
            },
        },
    })
}

fn condition() -> Value {
    let type_pattern = concat!(
        r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?",
        r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
    );
    json!({
        "description": "One aspect of the state of the object.",
        "type": "object",
        "required": ["lastTransitionTime", "message", "reason", "status", "type"],
        "properties": {
            "type": {
                "description": "The aspect.",
                "type": "string",
                "maxLength": 316,
                "pattern": type_pattern,
            },
            "status": {
                "description": "Whether it holds.",
                "type": "string",
                "enum": ["True", "False", "Unknown"],
            },
            "reason": {
                "description": "Why, in one word for programs.",
                "type": "string",
                "minLength": 1,
                "maxLength": 1024,
                "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            },
            "message": {
                "description": "Why, in words for people.",
                "type": "string",
                "maxLength": 32768,
            },
            "lastTransitionTime": {
                "description": "When the status last changed.",
                "type": "string",
                "format": "date-time",
            },
            "observedGeneration": {
                "description": "Generation of the object this is about.",
                "type": "integer",
                "format": "int64",
                "minimum": 0,
            },
        },
    })
}
