//! Ties the pods of a workload to the ServiceAccount they run under.
//!
//! The token of a pod is only good for the very ServiceAccount it was issued for. When that is deleted, its successor
//! of the same name does not help the pods that run: they hold a dead token until the kubelet renews it, up to an hour
//! later. Hence the pod template names the uid, and a new ServiceAccount brings new pods.

use kube::api::DynamicObject;
use serde_json::Value;

use super::object::Desired;

/// Annotation of pods with the uid of their ServiceAccount.
const ACCOUNT_UID: &str = "metallb.io/service-account-uid";

/// The workload `desired` with the uid of its ServiceAccount in its pod template; other kinds as they are. `uid_of`
/// knows the ServiceAccounts by name. While it does not know the one needed, pods stay as `live` has them: they must
/// not be replaced because the operator cannot see something.
pub(crate) fn tied_to_account(
    desired: &Desired,
    live: Option<&DynamicObject>,
    uid_of: impl Fn(&str) -> Option<String>,
) -> Desired {
    let mut desired = desired.clone();
    let account = desired
        .object
        .data
        .pointer("/spec/template/spec/serviceAccountName")
        .and_then(Value::as_str);
    let uid = account.and_then(uid_of).or_else(|| known(live?));
    if let Some(uid) = uid
        && let Some(Value::Object(metadata)) = desired.object.data.pointer_mut("/spec/template/metadata")
        && let Value::Object(annotations) = metadata
            .entry("annotations")
            .or_insert_with(|| Value::Object(serde_json::Map::new()))
    {
        annotations.insert(ACCOUNT_UID.to_owned(), Value::String(uid));
    }
    desired
}

/// The uid in the pod template of a workload as it is stored.
fn known(live: &DynamicObject) -> Option<String> {
    let annotations = live.data.pointer("/spec/template/metadata/annotations")?;
    Some(annotations.get(ACCOUNT_UID)?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lifecycle::object::{Key, Kind};

    fn speaker(annotations: &Value) -> Desired {
        let object = json!({"metadata": {"name": "speaker"}, "spec": {"template": {
            "metadata": {"annotations": annotations}, "spec": {"serviceAccountName": "speaker"},
        }}});
        desired(Kind::DaemonSet, object)
    }

    fn desired(kind: Kind, object: Value) -> Desired {
        Desired {
            key: Key {
                kind,
                name: "speaker".to_owned(),
            },
            object: serde_json::from_value(object).unwrap(),
        }
    }

    #[test]
    fn a_new_service_account_changes_the_pods_and_an_unseen_one_does_not() {
        let wanted = speaker(&json!({"mine": "1"}));
        let uid = |uid: &'static str| move |name: &str| (name == "speaker").then(|| uid.to_owned());
        let first = tied_to_account(&wanted, None, uid("one"));
        assert_eq!(first, speaker(&json!({"mine": "1", ACCOUNT_UID: "one"})));
        assert_eq!(tied_to_account(&wanted, Some(&first.object), |_| None), first);
        let next = tied_to_account(&wanted, Some(&first.object), uid("two"));
        assert_eq!(next, speaker(&json!({"mine": "1", ACCOUNT_UID: "two"})));
        assert_eq!(tied_to_account(&wanted, None, |_| None), wanted);
    }

    #[test]
    fn other_kinds_and_templates_without_annotations_are_fine() {
        let map = desired(
            Kind::ConfigMap,
            json!({"metadata": {"name": "speaker"}, "data": {}}),
        );
        assert_eq!(tied_to_account(&map, None, |_| Some("one".to_owned())), map);
        let bare = json!({"metadata": {"name": "speaker"}, "spec": {"template": {
            "metadata": {"labels": {}}, "spec": {"serviceAccountName": "speaker"}}}});
        let tied = tied_to_account(&desired(Kind::Deployment, bare), None, |_| Some("one".to_owned()));
        assert_eq!(known(&tied.object).as_deref(), Some("one"));
    }
}
