//! The objects that must exist for a MetalLB object: a pure function of the object and the environment.

mod config_maps;
mod controller;
mod frr;
mod network_policy;
mod pod;
mod rbac;
mod speaker;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use metallb_crds::metallb::MetalLB;

use super::environment::Environment;
use super::object::Desired;
use super::validate::{Backend, NAME, ValidMetalLb};

/// Label that marks what the operator made, with the value [`MANAGER`].
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`], and field manager of every write.
pub(crate) const MANAGER: &str = "metallb-operator";
/// Label that holds the namespace of the installation: what tells cluster-wide objects of two installations apart.
pub(crate) const INSTALLATION: &str = "metallb.io/installation";

/// A checked MetalLB object together with where and from which images it is deployed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Installation<'a> {
    metallb: &'a ValidMetalLb,
    environment: &'a Environment,
}

/// Every object of the installation, in the order of applying.
pub(crate) fn render(metallb: &ValidMetalLb, environment: &Environment) -> Vec<Desired> {
    let installation = Installation { metallb, environment };
    let mut objects = Vec::new();
    objects.extend(rbac::controller(installation));
    objects.extend(rbac::speaker(installation));
    objects.push(config_maps::excluded_interfaces(installation).into());
    if environment.network_policies {
        objects.push(network_policy::controller(installation).into());
    }
    match metallb.backend {
        Backend::Frr => {
            objects.extend(rbac::frr_agent(installation, "speaker"));
            objects.push(config_maps::frr_startup(installation).into());
        }
        Backend::FrrK8s => {
            objects.extend(rbac::frr_agent(installation, frr::SERVICE_ACCOUNT));
            objects.push(config_maps::frr_startup(installation).into());
            objects.push(frr::daemon_set(installation).into());
        }
        Backend::FrrK8sExternal { .. } => {}
    }
    objects.push(speaker::daemon_set(installation).into());
    objects.push(controller::deployment(installation).into());
    objects.sort_by_key(|desired| desired.key.kind);
    objects
}

impl Installation<'_> {
    /// Metadata of an object in the operator's namespace: found by label, and collected with the MetalLB object even
    /// when the operator is not there to do it.
    fn namespaced(self, name: &str, labels: BTreeMap<String, String>) -> ObjectMeta {
        ObjectMeta {
            namespace: Some(self.environment.namespace.clone()),
            owner_references: Some(vec![OwnerReference {
                api_version: MetalLB::api_version(&()).into_owned(),
                kind: MetalLB::kind(&()).into_owned(),
                name: NAME.to_owned(),
                uid: self.metallb.uid.clone(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]),
            ..self.of_cluster(name, labels)
        }
    }

    /// Metadata of an object of the cluster. It has no owner reference, because the garbage collector does not accept
    /// an owner in a namespace; the operator deletes it by label.
    fn of_cluster(self, name: &str, mut labels: BTreeMap<String, String>) -> ObjectMeta {
        labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
        labels.insert("app.kubernetes.io/part-of".to_owned(), "metallb".to_owned());
        labels.insert(
            "app.kubernetes.io/version".to_owned(),
            env!("CARGO_PKG_VERSION").to_owned(),
        );
        labels.insert(INSTALLATION.to_owned(), self.environment.namespace.clone());
        ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels),
            ..ObjectMeta::default()
        }
    }
}

/// Labels of the pods of controller and speaker. They are what selectors match, hence never change.
pub(super) fn metallb_labels(component: &str) -> BTreeMap<String, String> {
    labels([("app", "metallb"), ("component", component)])
}

/// Labels of the pods of the `frr-k8s` DaemonSet. They are what selectors match, hence never change.
pub(super) fn frr_k8s_labels() -> BTreeMap<String, String> {
    labels([("app", "frr-k8s"), ("app.kubernetes.io/component", "frr-k8s")])
}

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

#[cfg(test)]
mod tests;
