//! The Kubernetes API of this project: the kinds of the groups `metallb.io` ([`metallb`]) and `frrk8s.metallb.io`
//! ([`frrk8s`]).
//!
//! Objects made for MetalLB 0.16 and frr-k8s 0.0.25 are valid here as they are, and the other way round, with these
//! exceptions: `localPref` of a BGPAdvertisement has the bounds of the attribute (RFC 4271 section 5.1.5); the
//! other kinds of `metallb.io` than MetalLB have a category, `metallb-config` or `metallb-state`, and most a short name;
//! MetalLB has a few more optional fields and a status that says more.
//!
//! The types are the only source of the CustomResourceDefinitions in `crds/yaml`, which `cargo xtask gen` writes.

#![allow(
    clippy::duplicated_attributes,
    reason = "two printer columns or two derives of a kind may have the same type"
)]

pub mod conversion;
pub mod duration;
pub mod frrk8s;
pub mod metallb;
pub mod schema;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

/// The CustomResourceDefinitions of all kinds, ready to be applied to a cluster. See [`metallb::all`] for how BGPPeer
/// is converted.
pub fn all() -> Vec<CustomResourceDefinition> {
    let mut crds = metallb::all();
    crds.extend(frrk8s::all());
    crds.iter_mut().for_each(schema::finish);
    crds
}

/// Name of the file that holds `crd` alone: `GROUP_PLURAL.yaml`.
pub fn file_name(crd: &CustomResourceDefinition) -> String {
    format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural)
}
