//! Which version of each FRRConfiguration is in force.
//!
//! An object that was in force and is changed into something impossible stays in force as it was, and so does one whose
//! Secret has gone: what works is not taken down by a mistake. An object that is in force wins over a new or changed
//! one that contradicts it; among the others the older one wins.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};
use metallb_crds::frrk8s::FRRConfigurationSpec;
use metallb_frr::merge::{BASIC_AUTH, Merged, Named, Secret, Secrets, merge};
use metallb_frr::model::Model;

use crate::inputs::{Candidate, Snapshot};

/// Namespace and name of an object.
type Key = (String, String);

/// The objects in force.
#[derive(Debug, Default)]
pub struct Acceptance {
    in_force: BTreeMap<Key, Arc<Candidate>>,
    /// The Secrets that the objects in force were resolved with.
    secrets: BTreeMap<String, Secret>,
}

/// What FRRouting shall do, and what is wrong with the objects that say so.
#[derive(Debug)]
pub struct Decision {
    pub model: Model,
    /// One text per object that is not, or not as it is now, in force.
    pub problems: Vec<String>,
    pub warnings: Vec<String>,
}

impl Acceptance {
    /// Takes in the present objects. Cost: one merge, and one more when an object was refused; both linear in the size
    /// of the objects that select this node.
    pub fn decide(&mut self, snapshot: &Snapshot) -> Decision {
        let order = self.order(&snapshot.objects);
        let unreadable = order.iter().filter_map(|object| {
            let error = object.0.as_ref().err()?;
            Some((key(object), format!("{}: cannot be read: {error}", path(object))))
        });
        let mut problems: BTreeMap<Key, String> = unreadable.collect();

        let merged = merge_all(snapshot, &order, &snapshot.secrets);
        let warnings = merged
            .warnings
            .iter()
            .map(|warning| format!("{}: {}", warning.object, warning.text))
            .collect();
        note_refusals(&mut problems, &merged);
        let model = if problems.is_empty() {
            self.remember(&order, &merged, &snapshot.secrets);
            merged.model
        } else {
            let present: Vec<_> = order
                .iter()
                .map(|object| self.version(object, &problems))
                .collect();
            let secrets = self.last_known(&snapshot.secrets);
            let merged = merge_all(snapshot, &present, &secrets);
            note_refusals(&mut problems, &merged);
            self.remember(&present, &merged, &secrets);
            merged.model
        };
        Decision {
            model,
            problems: problems.into_values().collect(),
            warnings,
        }
    }

    /// Who wins a contradiction comes first.
    fn order(&self, objects: &[Arc<Candidate>]) -> Vec<Arc<Candidate>> {
        let mut order = objects.to_vec();
        order.sort_by_cached_key(|object| (!self.is_in_force(object), age(object), key(object)));
        order
    }

    fn is_in_force(&self, object: &Candidate) -> bool {
        self.in_force
            .get(&key(object))
            .is_some_and(|known| spec(known) == spec(object) && spec(object).is_some())
    }

    /// The version of `object` to use: as it is, or as it was when it was last in force.
    fn version(&self, object: &Arc<Candidate>, problems: &BTreeMap<Key, String>) -> Arc<Candidate> {
        let key = key(object);
        let last = self.in_force.get(&key).filter(|_| problems.contains_key(&key));
        Arc::clone(last.unwrap_or(object))
    }

    /// The present Secrets, and in place of those that are gone or useless what they were.
    fn last_known(&self, present: &BTreeMap<String, Secret>) -> BTreeMap<String, Secret> {
        let mut secrets = self.secrets.clone();
        let usable = present
            .iter()
            .filter(|(name, secret)| is_usable(secret) || !self.secrets.contains_key(*name));
        secrets.extend(usable.map(|(name, secret)| (name.clone(), secret.clone())));
        secrets
    }

    fn remember(&mut self, objects: &[Arc<Candidate>], merged: &Merged, secrets: &BTreeMap<String, Secret>) {
        let accepted: std::collections::BTreeSet<Key> = merged
            .accepted
            .iter()
            .map(|name| (name.namespace.clone(), name.name.clone()))
            .collect();
        let in_force = objects.iter().map(|object| (key(object), Arc::clone(object)));
        self.in_force = in_force.filter(|(key, _)| accepted.contains(key)).collect();
        let specs = self.in_force.values().filter_map(|object| spec(object));
        let neighbors = specs
            .flat_map(|spec| &spec.bgp.routers)
            .flat_map(|router| &router.neighbors);
        let names = neighbors
            .map(|neighbor| &neighbor.password_secret.name)
            .filter(|name| !name.is_empty());
        self.secrets = names
            .filter_map(|name| Some((name.clone(), secrets.get(name)?.clone())))
            .collect();
    }
}

fn merge_all(snapshot: &Snapshot, objects: &[Arc<Candidate>], secrets: &BTreeMap<String, Secret>) -> Merged {
    let keys: Vec<Key> = objects.iter().map(|object| key(object)).collect();
    let named: Vec<Named<'_>> = objects
        .iter()
        .zip(&keys)
        .filter_map(|(object, (namespace, name))| {
            Some(Named {
                namespace,
                name,
                spec: spec(object)?,
            })
        })
        .collect();
    merge(&snapshot.node_labels, &named, &Secrets::Known(secrets))
}

/// The first thing said about an object is about its present version, and stands.
fn note_refusals(problems: &mut BTreeMap<Key, String>, merged: &Merged) {
    for refusal in &merged.refused {
        let key = (refusal.object.namespace.clone(), refusal.object.name.clone());
        problems.entry(key).or_insert_with(|| refusal.to_string());
    }
}

fn is_usable(secret: &Secret) -> bool {
    secret.type_ == BASIC_AUTH && secret.password.is_some()
}

fn key(object: &Candidate) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn path(object: &Candidate) -> String {
    let (namespace, name) = key(object);
    format!("{namespace}/{name}")
}

fn spec(object: &Candidate) -> Option<&FRRConfigurationSpec> {
    object.0.as_ref().ok().map(|object| &object.spec)
}

fn age(object: &Candidate) -> Option<Timestamp> {
    object.meta().creation_timestamp.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests;
