use metallb_crds::frrk8s::Password;
use serde_json::{Value, json};

use super::*;

/// An object `name`, made `age` seconds after the first one.
fn object(name: &str, age: u32, spec: Value) -> Arc<Candidate> {
    let mut object = json!({
        "apiVersion": "frrk8s.metallb.io/v1beta1", "kind": "FRRConfiguration",
        "metadata": {
            "name": name, "namespace": "metallb-system",
            "creationTimestamp": format!("2026-01-01T00:00:{age:02}Z"),
        },
    });
    object["spec"] = spec;
    Arc::new(serde_json::from_value(object).unwrap())
}

fn router(asn: u32, prefixes: &[&str]) -> Value {
    json!({ "bgp": { "routers": [{ "asn": asn, "prefixes": prefixes }] } })
}

fn with_secret(name: &str) -> Value {
    let neighbor = json!({ "address": "192.0.2.1", "asn": 64601, "passwordSecret": { "name": name } });
    json!({ "bgp": { "routers": [{ "asn": 64500, "neighbors": [neighbor] }] } })
}

fn snapshot(objects: Vec<Arc<Candidate>>) -> Snapshot {
    Snapshot {
        objects,
        ..Snapshot::default()
    }
}

fn prefixes(decision: &Decision) -> Vec<String> {
    decision
        .model
        .routers
        .values()
        .flat_map(|router| &router.prefixes)
        .map(ToString::to_string)
        .collect()
}

#[test]
fn the_older_of_two_objects_wins_a_contradiction() {
    let objects = vec![
        object("a", 9, router(64999, &[])),
        object("b", 1, router(64500, &["10.0.0.0/24"])),
    ];
    let decision = Acceptance::default().decide(&snapshot(objects));
    assert_eq!(prefixes(&decision), ["10.0.0.0/24"]);
    let [problem] = decision.problems.as_slice() else {
        panic!("{:?}", decision.problems)
    };
    assert!(problem.contains("metallb-system/a"), "{problem}");
}

#[test]
fn what_is_in_force_wins_over_what_is_changed() {
    let mut acceptance = Acceptance::default();
    let other = object("b", 2, router(64500, &["10.0.0.0/24"]));
    let good = object("a", 1, router(64500, &["10.0.1.0/24"]));
    acceptance.decide(&snapshot(vec![good, Arc::clone(&other)]));
    let changed = object("a", 1, router(64999, &["10.0.1.0/24"]));
    let decision = acceptance.decide(&snapshot(vec![changed, other]));
    assert_eq!(prefixes(&decision), ["10.0.0.0/24", "10.0.1.0/24"]);
    assert_eq!(decision.problems.len(), 1);
}

#[test]
fn an_object_that_is_broken_by_a_change_stays_as_it_was_until_it_is_mended_or_deleted() {
    let mut acceptance = Acceptance::default();
    acceptance.decide(&snapshot(vec![object("a", 1, router(64500, &["10.0.0.0/24"]))]));
    let broken = || vec![object("a", 1, router(64500, &["nonsense"]))];
    for _ in 0..2 {
        let decision = acceptance.decide(&snapshot(broken()));
        assert_eq!(prefixes(&decision), ["10.0.0.0/24"]);
        assert_eq!(decision.problems.len(), 1);
    }
    let mended = acceptance.decide(&snapshot(vec![object("a", 1, router(64500, &["10.0.5.0/24"]))]));
    assert_eq!(
        (prefixes(&mended), mended.problems.len()),
        (vec!["10.0.5.0/24".to_owned()], 0)
    );
    acceptance.decide(&snapshot(broken()));
    assert_eq!(prefixes(&acceptance.decide(&snapshot(Vec::new()))), [""; 0]);
    assert_eq!(
        prefixes(&acceptance.decide(&snapshot(broken()))),
        [""; 0],
        "what was deleted is forgotten"
    );
}

#[test]
fn a_session_keeps_its_password_when_the_secret_goes() {
    let mut acceptance = Acceptance::default();
    let mut snapshot = snapshot(vec![object("a", 1, with_secret("bgp"))]);
    assert_eq!(
        acceptance.decide(&snapshot).model.routers.len(),
        0,
        "without its Secret a new object waits"
    );
    let secret = Secret {
        type_: BASIC_AUTH.to_owned(),
        password: Some(Password("x".to_owned())),
    };
    snapshot.secrets.insert("bgp".to_owned(), secret);
    let before = acceptance.decide(&snapshot);
    assert_eq!((before.model.routers.len(), before.problems.len()), (1, 0));
    snapshot.secrets.clear();
    let after = acceptance.decide(&snapshot);
    assert_eq!(after.model, before.model);
    let [problem] = after.problems.as_slice() else {
        panic!("{:?}", after.problems)
    };
    assert!(problem.contains("secret bgp not found"), "{problem}");
    let again = acceptance.decide(&snapshot);
    assert_eq!(again.model, before.model, "and it does so for good");
}

#[test]
fn an_object_that_cannot_be_read_is_named() {
    let objects = vec![
        object("a", 1, json!({ "bgp": "?" })),
        object("b", 2, router(64500, &["10.0.0.0/24"])),
    ];
    let decision = Acceptance::default().decide(&snapshot(objects));
    assert_eq!(prefixes(&decision), ["10.0.0.0/24"]);
    let [problem] = decision.problems.as_slice() else {
        panic!("{:?}", decision.problems)
    };
    assert!(
        problem.starts_with("metallb-system/a: cannot be read"),
        "{problem}"
    );
}
