//! Continuing an installation that was not made by server-side apply under our name.
//!
//! Server-side apply removes a field only when its last owner stops setting it. Whoever created the object by other
//! means (an older operator, `kubectl apply`, Helm) would own its fields for ever, and containers, variables and volumes
//! of the old program would stay in the pods of the new one. So that ownership is moved to us first, once.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Client, ResourceExt};
use metallb_kit::Error;
use metallb_kit::apply::within;
use serde_json::{Value, json};

use super::object::Key;
use super::render::MANAGER;

/// Field managers of tools that install. Fields of others (a user's `kubectl edit`, an autoscaler, an injector) stay
/// theirs.
const INSTALLERS: [&str; 5] = [
    "manager",
    "helm",
    "kubectl",
    "kubectl-client-side-apply",
    "kubectl-create",
];

/// Moves the fields that installers own in `live` to us. Does nothing, and calls nobody, when there are none.
pub(crate) async fn take_over(
    client: &Client,
    namespace: &str,
    key: &Key,
    live: &DynamicObject,
) -> Result<(), Error> {
    let Some(managed) = moved(live.managed_fields()) else {
        return Ok(());
    };
    // The version makes sure that nobody's change is overlooked.
    let patch = Patch::Merge(json!({
        "metadata": { "managedFields": managed, "resourceVersion": live.metadata.resource_version },
    }));
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let api = key.kind.api(client.clone(), namespace);
    within(&format!("take over {key}"), api.patch(&key.name, &params, &patch)).await?;
    tracing::info!(object = %key, "taken over from another installer");
    Ok(())
}

/// The entries with those of installers united in one of ours; `None` when no installer has one.
fn moved(entries: &[ManagedFieldsEntry]) -> Option<Vec<ManagedFieldsEntry>> {
    let is_installer = |entry: &&ManagedFieldsEntry| {
        entry.subresource.as_deref().unwrap_or_default().is_empty()
            && entry.operation.as_deref() == Some("Update")
            && entry
                .manager
                .as_deref()
                .is_some_and(|manager| INSTALLERS.contains(&manager))
    };
    let is_ours = |entry: &&ManagedFieldsEntry| {
        entry.subresource.as_deref().unwrap_or_default().is_empty()
            && entry.operation.as_deref() == Some("Apply")
            && entry.manager.as_deref() == Some(MANAGER)
    };
    let first = entries.iter().find(is_installer)?;
    let mut fields = Value::Null;
    for entry in entries
        .iter()
        .filter(|entry| is_installer(entry) || is_ours(entry))
    {
        if let Some(FieldsV1(more)) = &entry.fields_v1 {
            unite(&mut fields, more);
        }
    }
    let ours = ManagedFieldsEntry {
        manager: Some(MANAGER.to_owned()),
        operation: Some("Apply".to_owned()),
        fields_v1: Some(FieldsV1(fields)),
        ..first.clone()
    };
    let others = entries
        .iter()
        .filter(|entry| !is_installer(entry) && !is_ours(entry));
    Some(others.cloned().chain([ours]).collect())
}

/// Adds `more` to a set of fields, which is a tree of maps.
fn unite(fields: &mut Value, more: &Value) {
    match (fields, more) {
        (Value::Object(fields), Value::Object(more)) => {
            for (key, value) in more {
                unite(fields.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (fields @ Value::Null, more) => *fields = more.clone(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, subresource: Option<&str>, fields: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some(operation.to_owned()),
            subresource: subresource.map(str::to_owned),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }

    #[test]
    fn fields_of_installers_become_ours_and_others_keep_theirs() {
        let scale = entry(
            "kubectl",
            "Update",
            Some("scale"),
            json!({"f:spec": {"f:replicas": {}}}),
        );
        let user = entry(
            "kubectl-edit",
            "Update",
            None,
            json!({"f:spec": {"f:paused": {}}}),
        );
        let before = [
            entry(
                "manager",
                "Update",
                None,
                json!({"f:spec": {"f:a": {}, "f:x": {"f:y": {}}}}),
            ),
            scale.clone(),
            entry(MANAGER, "Apply", None, json!({"f:spec": {"f:a": {}, "f:b": {}}})),
            user.clone(),
            entry("helm", "Update", None, json!({"f:spec": {"f:x": {"f:z": {}}}})),
        ];
        let after = moved(&before).unwrap();
        assert_eq!(after[..2], [scale, user]);
        let united = json!({"f:spec": {"f:a": {}, "f:b": {}, "f:x": {"f:y": {}, "f:z": {}}}});
        assert_eq!(after[2..], [entry(MANAGER, "Apply", None, united)]);
    }

    #[test]
    fn nothing_moves_when_no_installer_owns_anything() {
        let before = [
            entry(MANAGER, "Apply", None, json!({"f:spec": {}})),
            entry("manager", "Update", Some("status"), json!({"f:status": {}})),
        ];
        assert_eq!(moved(&before), None);
    }
}
