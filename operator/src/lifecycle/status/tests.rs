use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use rstest::rstest;

use super::*;
use crate::lifecycle::readiness::Problem;

fn time(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

fn component(name: &str, waiting: Option<&str>, problems: Vec<Problem>) -> Component {
    Component {
        status: ComponentStatus {
            kind: "DaemonSet".to_owned(),
            name: name.to_owned(),
            ..ComponentStatus::default()
        },
        selector: BTreeMap::new(),
        waiting: waiting.map(str::to_owned),
        problems,
    }
}

fn problem(lasting: bool, cause: &str) -> Problem {
    Problem {
        lasting,
        place: "node n2".to_owned(),
        cause: cause.to_owned(),
    }
}

fn deployed(failures: &[&str], components: Vec<Component>) -> Verdict {
    Verdict::Deployed {
        backend: "frr-k8s",
        failures: failures.iter().map(|text| (*text).to_owned()).collect(),
        components,
    }
}

/// Status of Available, Upgradeable, Progressing, Degraded, as letters.
fn letters(status: &MetalLBStatus) -> String {
    let types: Vec<_> = status
        .conditions
        .iter()
        .map(|condition| condition.type_.as_str())
        .collect();
    assert_eq!(types, ["Available", "Upgradeable", "Progressing", "Degraded"]);
    status
        .conditions
        .iter()
        .map(|condition| &condition.status[..1])
        .collect()
}

fn message<'a>(status: &'a MetalLBStatus, type_: &str) -> &'a str {
    let condition = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)
        .unwrap();
    &condition.message
}

#[rstest]
#[case::ready(deployed(&[], vec![component("speaker", None, vec![])]), "TTFF", "")]
#[case::starting(
    deployed(&[], vec![component("speaker", Some("1 of 2 pods ready"), vec![problem(false, "is starting")])]),
    "FFTF",
    "speaker: 1 of 2 pods ready; node n2: is starting"
)]
#[case::failing(
    deployed(&[], vec![
        component("controller", None, vec![]),
        component("speaker", Some("1 of 2 pods ready"), vec![problem(true, "image x cannot be pulled")]),
    ]),
    "FFTT",
    "speaker: 1 of 2 pods ready; node n2: image x cannot be pulled"
)]
#[case::two_waiting(
    deployed(&[], vec![component("a", Some("does not exist yet"), vec![]), component("b", Some("0 of 1 pods ready"), vec![])]),
    "FFTF",
    "a: does not exist yet. b: 0 of 1 pods ready"
)]
#[case::refused(
    deployed(&["apply DaemonSet speaker: forbidden"], vec![component("speaker", None, vec![])]),
    "FFFT",
    "apply DaemonSet speaker: forbidden"
)]
#[case::invalid(
    Verdict::Invalid(vec![Violation::Backend, Violation::AlwaysBlock("x".to_owned())]),
    "FFFT",
    "invalid BGP Backend, must be one of native, frr, frr-k8s, frr-k8s-external; invalid CIDR x in AlwaysBlock"
)]
#[case::misplaced(
    Verdict::Misplaced(Misplaced::Name("other".to_owned())),
    "FFFT",
    "Incorrect MetalLB resource name: other: the object must be named metallb"
)]
#[case::removing(
    Verdict::Removing { remaining: vec!["DaemonSet speaker".to_owned()] },
    "FFTF",
    "waiting for the end of DaemonSet speaker"
)]
fn conditions_say_what_is_so_and_why(#[case] verdict: Verdict, #[case] expected: &str, #[case] why: &str) {
    let status = status(&verdict, Some(3), None, &time(100));
    assert_eq!(letters(&status), expected);
    assert_eq!(message(&status, "Available"), why);
    let loud = if expected.as_bytes()[3] == b'T' {
        "Degraded"
    } else {
        "Progressing"
    };
    assert_eq!(message(&status, loud), why);
    assert_eq!(status.observed_generation, Some(3));
    for condition in &status.conditions {
        assert_eq!(condition.observed_generation, Some(3));
        assert!(
            condition
                .reason
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric()),
            "{}",
            condition.reason
        );
        assert!(!condition.reason.is_empty());
    }
}

#[test]
fn the_same_verdict_later_gives_the_same_status() {
    let verdict = deployed(&[], vec![component("speaker", None, vec![])]);
    let first = status(&verdict, Some(1), None, &time(100));
    assert_eq!(status(&verdict, Some(1), Some(&first), &time(200)), first);
}

#[test]
fn only_a_condition_that_flips_gets_a_new_time() {
    let waiting = deployed(&[], vec![component("speaker", Some("0 of 1 pods ready"), vec![])]);
    let before = status(&waiting, Some(1), None, &time(100));
    let after = status(&deployed(&[], vec![]), Some(2), Some(&before), &time(200));
    let times: Vec<_> = after
        .conditions
        .iter()
        .map(|condition| condition.last_transition_time.0.as_second())
        .collect();
    assert_eq!(times, [200, 200, 200, 100], "Degraded stays False");
}

#[test]
fn an_invalid_change_does_not_hide_what_still_runs() {
    let running = deployed(&[], vec![component("speaker", None, vec![])]);
    let before = status(&running, Some(1), None, &time(100));
    let after = status(
        &Verdict::Invalid(vec![Violation::Backend]),
        Some(2),
        Some(&before),
        &time(200),
    );
    assert_eq!(after.backend.as_deref(), Some("frr-k8s"));
    assert_eq!(after.components, before.components);
}

#[test]
fn a_very_long_text_is_cut_between_characters() {
    let failure = "ä".repeat(5000);
    let status = status(&deployed(&[&failure], vec![]), Some(1), None, &time(1));
    let text = message(&status, "Degraded");
    assert!(text.len() <= MESSAGE_LIMIT && text.ends_with("ä…"));
}
