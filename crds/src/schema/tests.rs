use std::collections::BTreeSet;

use kube::CustomResourceExt;

use super::*;
use crate::metallb::{BGPPeer, MetalLB};

/// Calls `check` with every schema in `schema` and the path to it.
fn visit(schema: &Value, path: &str, check: &mut dyn FnMut(&str, &Map<String, Value>)) {
    let Value::Object(object) = schema else { return };
    check(path, object);
    for (name, property) in object
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        visit(property, &format!("{path}.{name}"), check);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = object.get(key) {
            visit(inner, &format!("{path}[]"), check);
        }
    }
}

fn visit_all(mut check: impl FnMut(&str, &Map<String, Value>)) {
    for crd in crate::all() {
        for version in &crd.spec.versions {
            let schema = version
                .schema
                .as_ref()
                .unwrap()
                .open_api_v3_schema
                .as_ref()
                .unwrap();
            let path = format!("{}/{}", crd.spec.names.kind, version.name);
            visit(&serde_json::to_value(schema).unwrap(), &path, &mut check);
        }
    }
}

#[test]
fn nothing_that_only_derived_schemas_have_is_left() {
    let mut schemas = 0;
    visit_all(|path, schema| {
        schemas += 1;
        for key in ["nullable", "title", "$ref", "oneOf", "allOf", "not"] {
            assert!(!schema.contains_key(key), "{path} has {key}");
        }
        let values = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
        assert!(values.into_iter().all(Value::is_string), "{path} has an odd enum");
        if let Some(default) = schema.get("default") {
            let plain = !matches!(default, Value::Null | Value::Object(_)) && default != &json!([]);
            assert!(plain, "{path} has the default {default}");
        }
    });
    assert!(schemas > 500, "the visitor saw only {schemas} schemas");
}

#[test]
fn integers_have_a_format_the_api_server_knows_and_bounds_within_it() {
    visit_all(|path, schema| {
        let format = schema.get("format").and_then(Value::as_str);
        if schema.get("type") == Some(&json!("integer")) {
            assert!(
                matches!(format, None | Some("int32" | "int64")),
                "{path} has the format {format:?}"
            );
        }
        if format == Some("int32") {
            let bounds = ["minimum", "maximum"].map(|name| schema.get(name).and_then(Value::as_f64));
            let in_range = |bound: f64| bound >= f64::from(i32::MIN) && bound <= f64::from(i32::MAX);
            assert!(
                bounds.into_iter().flatten().all(in_range),
                "{path} is an int32 with {bounds:?}"
            );
        }
    });
}

#[test]
fn every_field_of_our_own_is_explained() {
    let core = ["affinity", "resources", "Tolerations", "imagePullSecrets"];
    let mut unexplained = BTreeSet::new();
    visit_all(|path, schema| {
        let of_core = core.iter().any(|name| path.contains(&format!("{name}[]")))
            || core.iter().any(|name| path.contains(&format!("{name}.")));
        let element = path.ends_with("[]") || path.ends_with(".metadata");
        let text = schema.get("description").and_then(Value::as_str);
        if !of_core && !element && text.is_none_or(|text| text.len() < 10 || !text.ends_with('.')) {
            unexplained.insert(path.to_owned());
        }
        assert!(text.is_none_or(|text| !text.contains("Auto-generated")), "{path}");
    });
    assert_eq!(unexplained, BTreeSet::new());
}

#[test]
fn selectors_are_atomic() {
    let mut selectors = 0;
    visit_all(|path, schema| {
        let properties = schema.get("properties").and_then(Value::as_object);
        let Some(expressions) = properties.and_then(|properties| properties.get("matchExpressions")) else {
            return;
        };
        selectors += 1;
        let old_type = path.starts_with("BGPPeer/v1beta1");
        let atomic = (!old_type).then(|| json!("atomic"));
        assert_eq!(schema.get("x-kubernetes-map-type"), atomic.as_ref(), "{path}");
        assert_eq!(
            expressions.get("x-kubernetes-list-type"),
            atomic.as_ref(),
            "{path}"
        );
        let values = expressions.pointer("/items/properties/values").unwrap();
        assert_eq!(values.get("x-kubernetes-list-type"), atomic.as_ref(), "{path}");
    });
    assert!(selectors >= 15, "the visitor saw only {selectors} selectors");
}

#[test]
fn core_types_keep_the_merge_rules_they_have_in_a_pod() {
    let mut crd = MetalLB::crd();
    finish(&mut crd);
    let crd = serde_json::to_value(&crd).unwrap();
    let at = |path: &str| {
        let base =
            "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/speakerConfig/properties";
        crd.pointer(&format!("{base}{path}"))
            .unwrap_or_else(|| panic!("no {path}"))
    };
    let claims = at("/resources/properties/claims");
    assert_eq!(claims["x-kubernetes-list-type"], "map");
    assert_eq!(claims["x-kubernetes-list-map-keys"], json!(["name"]));
    let quantity = at("/resources/properties/limits/additionalProperties");
    assert_eq!(quantity["x-kubernetes-int-or-string"], true);
    assert!(quantity["pattern"].as_str().unwrap().contains("[KMGTPE]i"));
    let node = "/affinity/properties/nodeAffinity/properties/requiredDuringSchedulingIgnoredDuringExecution";
    assert_eq!(at(node)["x-kubernetes-map-type"], "atomic");
    let terms = at(&format!("{node}/properties/nodeSelectorTerms"));
    assert_eq!(terms["x-kubernetes-list-type"], "atomic");
    assert_eq!(terms["items"]["x-kubernetes-map-type"], "atomic");
    assert!(
        terms
            .pointer("/items/properties/matchExpressions/items/properties/operator")
            .is_some()
    );
}

#[test]
fn finishing_twice_changes_nothing() {
    for crd in crate::all() {
        let mut again = crd.clone();
        finish(&mut again);
        assert_eq!(again, crd);
    }
}

#[test]
fn every_root_describes_the_standard_fields() {
    for crd in crate::all() {
        assert_eq!(
            crd.spec.names.list_kind.as_deref(),
            Some(format!("{}List", crd.spec.names.kind).as_str())
        );
    }
    let mut crd = BGPPeer::crd();
    finish(&mut crd);
    let root = serde_json::to_value(&crd).unwrap();
    let root = root
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties")
        .unwrap();
    assert_eq!(root["metadata"], json!({ "type": "object" }));
    assert_eq!(
        (&root["apiVersion"]["type"], &root["kind"]["type"]),
        (&json!("string"), &json!("string"))
    );
}

#[test]
fn lines_of_a_comment_are_joined_but_paragraphs_stay() {
    assert_eq!(reflow("one\ntwo\n\nthree\n  four"), "one two\n\nthree four");
}
