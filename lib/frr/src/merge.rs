//! Merging the FRRConfigurations of a node into one [`Model`].
//!
//! Objects can only add to each other. Each is converted on its own first, because it must make sense alone: the BFD
//! profiles, prefixes and imported VRFs it names must be its own. Then it is added to what the objects before it
//! built. Lists are united, the more permissive filter wins, everything else must be equal where both set it.
//!
//! An object that is faulty or contradicts an earlier one is left out whole and reported; it does no harm to the others.
//! So the caller decides by the order of the objects who wins a conflict. It can keep a formerly good object in force
//! by passing the last accepted spec of an object that was refused.

pub mod problem;

mod combine;
mod convert;
mod selector;

use std::collections::BTreeMap;
use std::fmt;

use metallb_crds::frrk8s::FRRConfigurationSpec;

pub use problem::{Fault, Problem};

use crate::model::{Model, Vrf};

/// An FRRConfiguration, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub spec: &'a FRRConfigurationSpec,
}

/// Where `passwordSecret` is looked up.
#[derive(Clone, Copy, Debug)]
pub enum Secrets<'a> {
    /// Nowhere: references count as no password. For admission, which must not depend on Secrets.
    Ignored,
    /// The Secrets of the agent's namespace, by name.
    Known(&'a BTreeMap<String, Secret>),
}

/// What matters of a Secret.
#[derive(Clone, Debug)]
pub struct Secret {
    /// The type of the Secret; only [`BASIC_AUTH`] is accepted.
    pub type_: String,
    /// The value of its key `password`.
    pub password: Option<metallb_crds::frrk8s::Password>,
}

/// The type a Secret with the password of a session must have.
pub const BASIC_AUTH: &str = "kubernetes.io/basic-auth";

/// The name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    pub namespace: String,
    pub name: String,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Why an object is not part of the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    pub object: ObjectName,
    /// The object it contradicts, if that is the reason.
    pub other: Option<ObjectName>,
    pub problem: Problem,
}

impl Refusal {
    /// Whether another event than a change of the object can cure it: a Secret that is missing or unfit.
    pub fn is_transient(&self) -> bool {
        self.problem.fault.is_transient()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.other {
            Some(other) => write!(f, "{} contradicts {other}: {}", self.object, self.problem),
            None => write!(f, "{}: {}", self.object, self.problem),
        }
    }
}

/// Something in an object that has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub object: ObjectName,
    pub text: String,
}

/// The outcome of a merge.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    pub model: Model,
    /// Objects the model is made of, in the order they were given.
    pub accepted: Vec<ObjectName>,
    /// Objects that were left out. Objects that do not select the node are in neither list.
    pub refused: Vec<Refusal>,
    pub warnings: Vec<Warning>,
}

/// An object that made sense alone.
struct Part {
    object: ObjectName,
    model: Model,
}

/// Merges the objects that select a node with these labels; an earlier object wins over a later one.
///
/// Costs O(n log n) in the number of prefixes, neighbors and selectors of all objects. Looking for the other side of
/// a conflict costs one comparison per accepted object.
pub fn merge(node_labels: &BTreeMap<String, String>, objects: &[Named<'_>], secrets: &Secrets<'_>) -> Merged {
    let mut merged = Merged::default();
    let mut parts = Vec::new();
    for object in objects {
        let name = ObjectName {
            namespace: object.namespace.to_owned(),
            name: object.name.to_owned(),
        };
        match selector::matches(&object.spec.node_selector, node_labels) {
            Ok(false) => {}
            Ok(true) => add(&mut merged, &mut parts, name, object.spec, secrets),
            Err(problem) => merged.refuse(name, None, problem),
        }
    }
    drop_unsupported_evpn(&mut merged, &mut parts);
    merged.accepted = parts.into_iter().map(|part| part.object).collect();
    merged.model.raw.sort();
    merged
}

fn add(
    merged: &mut Merged,
    parts: &mut Vec<Part>,
    name: ObjectName,
    spec: &FRRConfigurationSpec,
    secrets: &Secrets<'_>,
) {
    let mut warnings = Vec::new();
    let model = match convert::object(&name, spec, secrets, &mut warnings) {
        Ok(model) => model,
        Err(problem) => return merged.refuse(name, None, problem),
    };
    merged.warnings.extend(warnings.into_iter().map(|text| Warning {
        object: name.clone(),
        text,
    }));
    if let Err(problem) = combine::check(&merged.model, &model) {
        let other = parts
            .iter()
            .find_map(|part| Some((part, combine::check(&part.model, &model).err()?)));
        let (other, problem) = match other {
            Some((part, problem)) => (Some(part.object.clone()), problem),
            None => (None, problem),
        };
        return merged.refuse(name, other, problem);
    }
    combine::absorb(&mut merged.model, model.clone());
    parts.push(Part { object: name, model });
}

/// Leaves out objects that want VNIs advertised by a router which, all objects taken together, has no neighbor to
/// advertise them to. The last such object goes first; each removal may make another one necessary.
fn drop_unsupported_evpn(merged: &mut Merged, parts: &mut Vec<Part>) {
    while let Some((vrf, problem)) = combine::unsupported_evpn(&merged.model) {
        let Some(index) = parts.iter().rposition(|part| has_evpn(&part.model, &vrf)) else {
            return;
        };
        let part = parts.remove(index);
        merged.refuse(part.object, None, problem);
        merged.model = Model::default();
        for part in &*parts {
            combine::absorb(&mut merged.model, part.model.clone());
        }
    }
}

fn has_evpn(model: &Model, vrf: &Vrf) -> bool {
    model.routers.get(vrf).is_some_and(|router| router.evpn.is_some())
}

impl Merged {
    fn refuse(&mut self, object: ObjectName, other: Option<ObjectName>, problem: Problem) {
        self.refused.push(Refusal {
            object,
            other,
            problem,
        });
    }
}

#[cfg(test)]
mod tests;
