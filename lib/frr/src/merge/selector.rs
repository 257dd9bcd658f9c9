use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::problem::{Fault, Problem};

/// Whether the selector matches the labels; an empty selector does. Says what is wrong with a faulty one.
pub(super) fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> Result<bool, Problem> {
    let mut all = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value));
    for requirement in selector.match_expressions.iter().flatten() {
        // No short cut: a faulty requirement must be found whatever the ones before it say.
        all &= holds(requirement, labels).map_err(Problem::new)?;
    }
    Ok(all)
}

fn holds(requirement: &LabelSelectorRequirement, labels: &BTreeMap<String, String>) -> Result<bool, Fault> {
    let LabelSelectorRequirement {
        key,
        operator,
        values,
    } = requirement;
    let values = values.as_deref().unwrap_or_default();
    let fault = |what: &str| {
        Err(Fault::Selector(format!(
            "key {key:?}, operator {operator:?}: {what}"
        )))
    };
    if key.is_empty() {
        return fault("the key must not be empty");
    }
    let value = labels.get(key);
    match operator.as_str() {
        "In" | "NotIn" if values.is_empty() => fault("at least one value is needed"),
        "In" => Ok(value.is_some_and(|value| values.contains(value))),
        "NotIn" => Ok(value.is_none_or(|value| !values.contains(value))),
        "Exists" | "DoesNotExist" if !values.is_empty() => fault("there must be no values"),
        "Exists" => Ok(value.is_some()),
        "DoesNotExist" => Ok(value.is_none()),
        _ => fault("the operator must be In, NotIn, Exists or DoesNotExist"),
    }
}
