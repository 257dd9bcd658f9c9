//! `ConfigurationState/controller`: whether the configuration objects this program reads are in force.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, ResourceExt};
use metallb_crds::metallb::{
    ConfigurationResult, ConfigurationState, ConfigurationStateStatus, LABEL_COMPONENT_TYPE,
};
use metallb_domain::config::Problem;
use metallb_kit::apply::{apply, apply_status, within};
use metallb_kit::dirty::Dirty;
use tokio::sync::watch;

use crate::MANAGER;
use crate::args::Args;
use crate::cache::STATE_NAME;

/// Type of the one condition.
const CONDITION: &str = "poolReconcilerValid";
/// Longest message of a condition the API takes.
const MAX_MESSAGE: usize = 32768;
/// Pause after a failed write.
const RETRY: std::time::Duration = std::time::Duration::from_secs(2);

/// Problems of the configuration; `None` as long as none was built.
pub(crate) type Health = Option<Vec<Problem>>;

/// Keeps the object true to `health`, and there.
pub(crate) async fn maintain(
    client: Client,
    args: &Args,
    mut health: watch::Receiver<Health>,
    (stored, checks): (Store<ConfigurationState>, Dirty<()>),
) -> anyhow::Result<()> {
    let api: Api<ConfigurationState> = Api::namespaced(client.clone(), &args.namespace);
    let owner = owner(&client, args).await;
    let key = ObjectRef::new(STATE_NAME).within(&args.namespace);
    loop {
        tokio::select! {
            changed = health.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
            }
            _ = checks.take() => {}
        }
        let Some(problems) = health.borrow().clone() else {
            continue;
        };
        let current = stored.get(&key);
        if let Err(error) = update(&api, args, owner.as_ref(), current.as_deref(), &problems).await {
            tracing::warn!(op = "configurationState", error = %error, "status not written, trying again");
            tokio::time::sleep(RETRY).await;
            checks.mark(());
        }
    }
}

async fn update(
    api: &Api<ConfigurationState>,
    args: &Args,
    owner: Option<&OwnerReference>,
    current: Option<&ConfigurationState>,
    problems: &[Problem],
) -> Result<(), metallb_kit::Error> {
    let before = current.and_then(|current| current.status.as_ref());
    let status = status(problems, before, Timestamp::now());
    let known =
        current.is_some_and(|current| is_labelled(current) && owner.is_none_or(|owner| owns(current, owner)));
    if known && before == Some(&status) {
        return Ok(());
    }
    let mut state = ConfigurationState {
        metadata: ObjectMeta {
            name: Some(STATE_NAME.to_owned()),
            namespace: Some(args.namespace.clone()),
            labels: Some([(LABEL_COMPONENT_TYPE.to_owned(), "controller".to_owned())].into()),
            owner_references: owner.map(|owner| vec![owner.clone()]),
            ..ObjectMeta::default()
        },
        ..ConfigurationState::default()
    };
    if !known {
        apply(api, MANAGER, &state).await?;
    }
    state.metadata.labels = None;
    state.metadata.owner_references = None;
    state.status = Some(status);
    apply_status(api, MANAGER, &state).await.map(|_| ())
}

fn is_labelled(state: &ConfigurationState) -> bool {
    state.labels().contains_key(LABEL_COMPONENT_TYPE)
}

fn owns(state: &ConfigurationState, owner: &OwnerReference) -> bool {
    state
        .owner_references()
        .iter()
        .any(|reference| reference.uid == owner.uid)
}

/// The status for these problems. A condition that did not change keeps its time.
fn status(
    problems: &[Problem],
    before: Option<&ConfigurationStateStatus>,
    now: Timestamp,
) -> ConfigurationStateStatus {
    let valid = problems.is_empty();
    let texts: Vec<String> = problems
        .iter()
        .map(|problem| format!("configuration error: {problem}"))
        .collect();
    let message = shortened(texts.join("\n"));
    let mut condition = Condition {
        type_: CONDITION.to_owned(),
        status: if valid { "True" } else { "False" }.to_owned(),
        reason: if valid { "Reconciled" } else { "ConfigurationError" }.to_owned(),
        message: message.clone(),
        last_transition_time: Time(now),
        observed_generation: None,
    };
    let previous = before.and_then(|before| {
        before
            .conditions
            .iter()
            .find(|previous| previous.type_ == CONDITION)
    });
    if let Some(previous) = previous.filter(|previous| previous.status == condition.status) {
        condition.last_transition_time = previous.last_transition_time.clone();
    }
    ConfigurationStateStatus {
        result: Some(if valid {
            ConfigurationResult::Valid
        } else {
            ConfigurationResult::Invalid
        }),
        error_summary: message,
        conditions: vec![condition],
    }
}

fn shortened(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        let end = (0..=MAX_MESSAGE - 3)
            .rev()
            .find(|end| message.is_char_boundary(*end))
            .unwrap_or(0);
        message.truncate(end);
        message.push_str("...");
    }
    message
}

/// The pod this runs in, so that the object goes with the last replica. Without it the object just stays.
async fn owner(client: &Client, args: &Args) -> Option<OwnerReference> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &args.namespace);
    let pod = within("get own pod", api.get(args.pod()?)).await;
    match pod {
        Ok(pod) => Some(OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            name: pod.name_any(),
            uid: pod.uid()?,
            ..OwnerReference::default()
        }),
        Err(error) => {
            tracing::debug!(op = "configurationState", error = %error, "own pod not readable, the object gets no owner");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use metallb_domain::config::Effect;

    use super::*;

    fn problem(message: &str) -> Problem {
        Problem {
            kind: "IPAddressPool",
            name: "a".into(),
            message: message.into(),
            effect: Effect::LastGood,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn result_summary_and_condition_say_the_same() {
        let valid = status(&[], None, at(1));
        assert_eq!(
            (valid.result, valid.error_summary.as_str()),
            (Some(ConfigurationResult::Valid), "")
        );
        let invalid = status(&[problem("parsing address pool a: bad")], Some(&valid), at(2));
        assert_eq!(invalid.result, Some(ConfigurationResult::Invalid));
        assert_eq!(
            invalid.error_summary,
            "configuration error: parsing address pool a: bad"
        );
        let condition = &invalid.conditions[0];
        assert_eq!(
            (condition.reason.as_str(), condition.last_transition_time.0),
            ("ConfigurationError", at(2))
        );
    }

    #[test]
    fn nothing_changed_means_an_equal_status() {
        let first = status(&[problem("x")], None, at(1));
        assert_eq!(status(&[problem("x")], Some(&first), at(2)), first);
        let other = status(&[problem("y")], Some(&first), at(2));
        assert_eq!(
            other.conditions[0].last_transition_time.0,
            at(1),
            "the status of the condition is the same"
        );
        assert_ne!(other, first);
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let long = status(&[problem(&"ä".repeat(40_000))], None, at(1));
        assert!(long.error_summary.len() <= MAX_MESSAGE && long.error_summary.ends_with("..."));
    }
}
