use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use rstest::rstest;
use serde_json::{Value, json};

use super::{Labels, Selector, check_duplicates, parse_list};

fn selector(value: Value) -> LabelSelector {
    serde_json::from_value(value).unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
    json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]})
}

#[rstest]
#[case(json!({}), &[], true)]
#[case(json!({"matchLabels": {"a": "b"}}), &[("a", "b")], true)]
#[case(json!({"matchLabels": {"a": "b"}}), &[("a", "c")], false)]
#[case(json!({"matchLabels": {"a": "b", "c": "d"}}), &[("a", "b")], false)]
#[case(expression("a", "In", &["x", "y"]), &[("a", "y")], true)]
#[case(expression("a", "In", &["x", "y"]), &[], false)]
#[case(expression("a", "NotIn", &["x"]), &[("a", "x")], false)]
#[case(expression("a", "NotIn", &["x"]), &[], true)]
#[case(expression("a", "Exists", &[]), &[("a", "")], true)]
#[case(expression("a", "Exists", &[]), &[("b", "")], false)]
#[case(expression("a", "DoesNotExist", &[]), &[("b", "")], true)]
#[case(expression("a", "DoesNotExist", &[]), &[("a", "x")], false)]
fn matching(#[case] written: Value, #[case] on: &[(&str, &str)], #[case] expected: bool) {
    assert_eq!(
        Selector::parse(&selector(written)).unwrap().matches(&labels(on)),
        expected
    );
}

#[rstest]
#[case(expression("a", "surprise", &["x"]), "not a valid label selector operator")]
#[case(expression("a", "in", &["x"]), "not a valid label selector operator")]
#[case(expression("a", "", &[]), "not a valid label selector operator")]
#[case(expression("a", "In", &[]), "values set cannot be empty")]
#[case(expression("a", "NotIn", &[]), "values set cannot be empty")]
#[case(expression("a", "Exists", &["x"]), "values set must be empty")]
#[case(expression("", "Exists", &[]), "invalid key")]
#[case(expression("Upper.Case/x", "Exists", &[]), "invalid key")]
#[case(expression("/x", "Exists", &[]), "invalid key")]
#[case(expression("a/b/c", "Exists", &[]), "invalid key")]
#[case(json!({"matchLabels": {"bad key!": "b"}}), "invalid key")]
#[case(json!({"matchLabels": {"a": "-b"}}), "invalid value")]
#[case(json!({"matchLabels": {"a": "x".repeat(64)}}), "invalid value")]
#[case(json!({"matchLabels": {"x".repeat(64): "a"}}), "invalid key")]
fn refused(#[case] written: Value, #[case] part: &str) {
    let message = Selector::parse(&selector(written)).unwrap_err().to_string();
    assert!(message.contains(part), "{message}");
}

#[rstest]
#[case("example.com/a-b_c.D")]
#[case("a")]
#[case("node.kubernetes.io/exclude-from-external-load-balancers")]
fn good_keys(#[case] key: &str) {
    assert!(Selector::parse(&selector(expression(key, "Exists", &[]))).is_ok());
}

#[rstest]
#[case(json!([expression("a", "In", &["x", "z", "x"])]), "duplicate match expression value")]
#[case(
    json!([{"matchExpressions": [
        {"key": "a", "operator": "In", "values": ["x", "z"]},
        {"key": "a", "operator": "In", "values": ["z", "x"]},
    ]}]),
    "duplicate match expressions"
)]
#[case(json!([{"matchLabels": {"a": "b"}}, {"matchLabels": {"a": "b"}}]), "duplicate definition of nodeSelectors")]
#[case(json!([{}, {"matchLabels": {}, "matchExpressions": []}]), "duplicate definition of nodeSelectors")]
#[case(json!([expression("a", "In", &["x", "z"]), expression("a", "In", &["z", "x"])]), "duplicate definition")]
fn duplicates(#[case] list: Value, #[case] part: &str) {
    let list: Vec<LabelSelector> = serde_json::from_value(list).unwrap();
    let message = check_duplicates("nodeSelectors", &list).unwrap_err().to_string();
    assert!(message.contains(part), "{message}");
}

#[test]
fn the_order_of_expressions_distinguishes_selectors() {
    let (first, second) = (
        json!({"key": "a", "operator": "Exists"}),
        json!({"key": "b", "operator": "Exists"}),
    );
    let list = json!([{"matchExpressions": [first, second]}, {"matchExpressions": [second, first]}]);
    let list: Vec<LabelSelector> = serde_json::from_value(list).unwrap();
    assert_eq!(check_duplicates("nodeSelectors", &list), Ok(()));
    assert_eq!(parse_list(&list).unwrap().len(), 2);
}
