//! Brings objects into the state they should have, and writes only what differs.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use kube::Client;
use kube::api::{DynamicObject, Patch, PatchParams};
use metallb_kit::apply::{covers, within};
use serde_json::Value;

use super::object::{Desired, Key};
use super::observed::Observed;
use super::render::MANAGER;
use super::takeover::take_over;

/// Annotation with a digest of what was last applied. It tells that a field is no longer wanted, which a comparison of
/// the wanted fields alone cannot see.
const DIGEST: &str = "metallb.io/applied-digest";

/// What was done about one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was as it should be: nothing was written.
    Unchanged,
    /// It did not exist.
    Created,
    /// It was brought up to what is wanted now.
    Updated,
    /// Somebody else had changed or deleted it, and it was repaired.
    Repaired,
}

/// Why an object is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// The API server refused or did not answer.
    #[error(transparent)]
    Api(#[from] metallb_kit::Error),
    /// Somebody else's object has the name.
    #[error("{key} belongs to {owner}; rename or delete it")]
    Conflict {
        /// Which object.
        key: Key,
        /// Kind and name of its owner.
        owner: String,
    },
}

impl ApplyError {
    /// Short word for metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            ApplyError::Api(error) => error.kind(),
            ApplyError::Conflict { .. } => "object_conflict",
        }
    }

    /// One line for a condition: the object, the call and what the API server said.
    pub(crate) fn explain(&self) -> String {
        match self {
            ApplyError::Api(error) => explain(error),
            conflict @ ApplyError::Conflict { .. } => conflict.to_string(),
        }
    }
}

/// One line for a condition: the call and what the API server said.
pub(crate) fn explain(error: &metallb_kit::Error) -> String {
    match error.status() {
        Some(status) => format!("{error}: {}", status.message),
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

/// Applies objects to one cluster.
pub(crate) struct Applier {
    client: Client,
    namespace: String,
    observed: Observed,
    /// For objects that the comparison calls different although applying them changes nothing, because the API server
    /// spells a value in another way (`0.5` CPU is `500m`) or a user added an item to a list: the state in which that
    /// was found out.
    settled: HashMap<Key, String>,
    /// What this process applied last, to tell repairs from updates.
    applied: HashMap<Key, u64>,
}

impl Applier {
    /// Nothing applied yet.
    pub(crate) fn new(client: Client, namespace: &str, observed: Observed) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            observed,
            settled: HashMap::new(),
            applied: HashMap::new(),
        }
    }

    /// Makes one object what it should be. `uid` is that of the MetalLB object.
    pub(crate) async fn apply(&mut self, desired: &Desired, uid: &str) -> Result<Outcome, ApplyError> {
        let key = &desired.key;
        let digest = digest(&desired.object);
        let wanted = with_digest(&desired.object, digest);
        let watched = self.observed.deployed(key);
        let live = match &watched {
            Some(live) => Some((**live).clone()),
            None => self.unmarked(key).await?,
        };
        if let Some(live) = &live {
            not_foreign(key, live, uid)?;
            if watched.is_none() {
                take_over(&self.client, &self.namespace, key, live).await?;
            }
            if self.is_settled(key, live, &wanted) {
                self.applied.insert(key.clone(), digest);
                return Ok(Outcome::Unchanged);
            }
        }
        let stored = self.write(key, &wanted).await?;
        let outcome = self.outcome(key, digest, live.as_ref(), &stored);
        self.settled.insert(key.clone(), fingerprint(&stored));
        self.applied.insert(key.clone(), digest);
        self.observed.see_deployed(key.kind, stored);
        Ok(outcome)
    }

    /// An object of that name which does not carry our labels, hence is not watched.
    async fn unmarked(&self, key: &Key) -> Result<Option<DynamicObject>, ApplyError> {
        let api = key.kind.api(self.client.clone(), &self.namespace);
        Ok(within(&format!("get {key}"), api.get_opt(&key.name)).await?)
    }

    fn is_settled(&self, key: &Key, live: &DynamicObject, wanted: &DynamicObject) -> bool {
        let (live_value, wanted) = (value(live), value(wanted));
        let metadata = |value: &Value| value.get("metadata").cloned().unwrap_or_default();
        covers(&metadata(&live_value), &metadata(&wanted))
            && (covers(&live_value, &wanted) || self.settled.get(key) == Some(&fingerprint(live)))
    }

    async fn write(&self, key: &Key, wanted: &DynamicObject) -> Result<DynamicObject, ApplyError> {
        let api = key.kind.api(self.client.clone(), &self.namespace);
        let params = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(wanted);
        let mut stored = within(&format!("apply {key}"), api.patch(&key.name, &params, &patch)).await?;
        stored.metadata.managed_fields = None;
        Ok(stored)
    }

    fn outcome(
        &self,
        key: &Key,
        digest: u64,
        live: Option<&DynamicObject>,
        stored: &DynamicObject,
    ) -> Outcome {
        let as_before = self.applied.get(key) == Some(&digest);
        match live {
            None if as_before => Outcome::Repaired,
            None => Outcome::Created,
            Some(live) if live.metadata.resource_version == stored.metadata.resource_version => {
                Outcome::Unchanged
            }
            Some(_) if as_before => Outcome::Repaired,
            Some(_) => Outcome::Updated,
        }
    }

    /// Forgets an object that is no longer wanted.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.settled.remove(key);
        self.applied.remove(key);
    }
}

/// Refuses an object that another owner controls. An object without owner is taken over: that is how an installation
/// made by hand or by another operator is continued.
fn not_foreign(key: &Key, live: &DynamicObject, uid: &str) -> Result<(), ApplyError> {
    let owners = live.metadata.owner_references.iter().flatten();
    match owners
        .filter(|owner| owner.controller == Some(true))
        .find(|owner| owner.uid != uid)
    {
        None => Ok(()),
        Some(owner) => Err(ApplyError::Conflict {
            key: key.clone(),
            owner: format!("{} {} (uid {})", owner.kind, owner.name, owner.uid),
        }),
    }
}

/// The state of an object as far as it can differ from what was applied: the generation where the API server counts
/// changes of the specification, else the resource version.
fn fingerprint(object: &DynamicObject) -> String {
    let metadata = &object.metadata;
    let uid = metadata.uid.as_deref().unwrap_or_default();
    match metadata.generation {
        Some(generation) => format!("{uid}/generation/{generation}"),
        None => format!(
            "{uid}/version/{}",
            metadata.resource_version.as_deref().unwrap_or_default()
        ),
    }
}

fn digest(object: &DynamicObject) -> u64 {
    let mut hasher = DefaultHasher::new();
    value(object).to_string().hash(&mut hasher);
    hasher.finish()
}

fn with_digest(object: &DynamicObject, digest: u64) -> DynamicObject {
    let mut object = object.clone();
    let annotations = object.metadata.annotations.get_or_insert_default();
    annotations.insert(DIGEST.to_owned(), format!("{digest:016x}"));
    object
}

fn value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).expect("a dynamic object holds JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::object::Kind;
    use serde_json::json;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_digest_follows_the_content() {
        let one = object(json!({"metadata": {"name": "a"}, "data": {"x": "1"}}));
        let other = object(json!({"metadata": {"name": "a"}, "data": {}}));
        assert_eq!(digest(&one), digest(&one.clone()));
        assert_ne!(digest(&one), digest(&other));
        let marked = with_digest(&one, digest(&one)).metadata.annotations.unwrap();
        assert_eq!(marked[DIGEST].len(), 16);
    }

    #[test]
    fn only_an_object_of_another_owner_is_refused() {
        let key = Key {
            kind: Kind::DaemonSet,
            name: "speaker".to_owned(),
        };
        let owned_by = |uid: &str, controller: bool| {
            object(json!({"metadata": {"name": "speaker", "ownerReferences": [
                {"apiVersion": "v1", "kind": "Other", "name": "o", "uid": uid, "controller": controller}
            ]}}))
        };
        let nobody = object(json!({"metadata": {"name": "speaker"}}));
        assert!(not_foreign(&key, &nobody, "ours").is_ok());
        assert!(not_foreign(&key, &owned_by("ours", true), "ours").is_ok());
        assert!(not_foreign(&key, &owned_by("theirs", false), "ours").is_ok());
        let refused = not_foreign(&key, &owned_by("theirs", true), "ours").unwrap_err();
        assert_eq!(
            refused.explain(),
            "DaemonSet speaker belongs to Other o (uid theirs); rename or delete it"
        );
    }
}
