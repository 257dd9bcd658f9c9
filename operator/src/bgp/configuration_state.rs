//! The ConfigurationState of the operator: whether the configuration is in force, and which objects are not.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use metallb_crds::metallb::{
    ConfigurationResult, ConfigurationState, ConfigurationStateStatus, LABEL_COMPONENT_TYPE,
};

/// Name of the object, and of the component in its label.
pub(super) const NAME: &str = "operator";
const CONDITION: &str = "configReconcilerValid";
/// Longest message of a condition.
const MAX_MESSAGE: usize = 32768;

/// The object without its status.
pub(super) fn object(namespace: &str) -> ConfigurationState {
    ConfigurationState {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some([(LABEL_COMPONENT_TYPE.to_owned(), NAME.to_owned())].into()),
            ..ObjectMeta::default()
        },
        ..ConfigurationState::default()
    }
}

/// The status for these problems, one text each. The time of the last transition is that of `before` unless the
/// condition changed.
pub(super) fn status(
    problems: &[String],
    before: Option<&ConfigurationStateStatus>,
    now: Timestamp,
) -> ConfigurationStateStatus {
    let valid = problems.is_empty();
    let message = if valid { String::new() } else { message(problems) };
    let status = if valid { "True" } else { "False" };
    let known = before
        .iter()
        .flat_map(|before| &before.conditions)
        .find(|known| known.type_ == CONDITION);
    let since = known
        .filter(|known| known.status == status)
        .map(|known| known.last_transition_time.clone());
    ConfigurationStateStatus {
        result: Some(if valid {
            ConfigurationResult::Valid
        } else {
            ConfigurationResult::Invalid
        }),
        error_summary: message.clone(),
        conditions: vec![Condition {
            type_: CONDITION.to_owned(),
            status: status.to_owned(),
            reason: if valid { "Reconciled" } else { "ConfigurationError" }.to_owned(),
            message,
            last_transition_time: since.unwrap_or(Time(now)),
            observed_generation: None,
        }],
    }
}

fn message(problems: &[String]) -> String {
    let mut message = format!("configuration error: {}", problems.join("\n"));
    let end = (0..=MAX_MESSAGE.min(message.len()))
        .rev()
        .find(|end| message.is_char_boundary(*end));
    message.truncate(end.unwrap_or_default());
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_named_and_the_time_of_transition_is_kept() {
        let (early, late) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        let good = status(&[], None, early);
        assert_eq!(
            (good.result, good.error_summary.as_str()),
            (Some(ConfigurationResult::Valid), "")
        );
        assert_eq!(status(&[], Some(&good), late), good);
        let bad = status(
            &["peer a is wrong".to_owned(), "pool b, too".to_owned()],
            Some(&good),
            late,
        );
        assert_eq!(bad.result, Some(ConfigurationResult::Invalid));
        assert_eq!(
            bad.error_summary,
            "configuration error: peer a is wrong\npool b, too"
        );
        assert_eq!(bad.conditions[0].last_transition_time, Time(late));
    }

    #[test]
    fn a_long_message_is_cut() {
        let bad = status(&["ü".repeat(MAX_MESSAGE)], None, Timestamp::UNIX_EPOCH);
        assert!(bad.error_summary.len() <= MAX_MESSAGE && bad.error_summary.len() > MAX_MESSAGE - 4);
    }
}
