//! Removes what the operator deployed and does not want any more. Nothing is removed by name: only what carries the
//! labels of this installation is ever looked at.

use std::collections::HashSet;

use kube::Client;
use kube::api::{DeleteParams, DynamicObject, Preconditions, PropagationPolicy};
use metallb_kit::Error;
use metallb_kit::apply::within;

use super::object::{Key, Kind};

/// What to remove of `inventory` when only `wanted` shall stay, in the order of removing: programs before what they
/// need. Objects that are already on their way out are left alone.
pub(crate) fn surplus<'a, T: AsRef<DynamicObject>>(
    inventory: &'a [(Key, T)],
    wanted: &HashSet<Key>,
) -> Vec<(&'a Key, &'a DynamicObject)> {
    let surplus = inventory.iter().rev().map(|(key, object)| (key, object.as_ref()));
    surplus
        .filter(|(key, object)| !wanted.contains(key) && object.metadata.deletion_timestamp.is_none())
        .collect()
}

/// Removes exactly this object: a successor under the same name stays. An object that is gone counts as removed.
/// Returns the object when it stays for a while, because it has finalizers.
pub(crate) async fn remove(
    client: &Client,
    namespace: &str,
    key: &Key,
    object: &DynamicObject,
) -> Result<Option<DynamicObject>, Error> {
    let params = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions {
            uid: object.metadata.uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let api = key.kind.api(client.clone(), namespace);
    match within(&format!("delete {key}"), api.delete(&key.name, &params)).await {
        Ok(answer) => Ok(answer.left()),
        // 409: another object has the name now, so ours is gone.
        Err(error) if error.is_not_found() || error.kind() == "conflict" => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether `kind` runs pods.
pub(crate) fn is_workload(kind: Kind) -> bool {
    matches!(kind, Kind::DaemonSet | Kind::Deployment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn entry(kind: Kind, name: &str, deleting: bool) -> (Key, Arc<DynamicObject>) {
        let mut value = json!({"metadata": {"name": name}});
        if deleting {
            value["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let key = Key {
            kind,
            name: name.to_owned(),
        };
        (key, Arc::new(serde_json::from_value(value).unwrap()))
    }

    #[test]
    fn programs_go_first_and_nothing_goes_twice() {
        let inventory = [
            entry(Kind::ServiceAccount, "frr-k8s-daemon", false),
            entry(Kind::ConfigMap, "frr-startup", true),
            entry(Kind::DaemonSet, "frr-k8s", false),
            entry(Kind::DaemonSet, "speaker", false),
        ];
        let wanted = HashSet::from([inventory[3].0.clone()]);
        let names: Vec<_> = surplus(&inventory, &wanted)
            .iter()
            .map(|(key, _)| key.name.as_str())
            .collect();
        assert_eq!(names, ["frr-k8s", "frr-k8s-daemon"]);
    }
}
