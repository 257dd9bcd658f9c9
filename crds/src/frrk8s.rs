//! The API group `frrk8s.metallb.io`, version `v1beta1`: what FRRouting on a node shall do, and what it does.
//!
//! [`FRRConfiguration`] is the wish; it is written by users and, per node, by the operator. The agent on each node
//! reports in [`FRRNodeState`] and [`BGPSessionState`]; [`FRRK8sConfiguration`] sets its log level at run time.
//!
//! In these types an absent text and an empty one mean the same, as do an absent AS number and 0; both are read
//! as `None`, and neither is written.

mod bgp_session_state;
mod frr_configuration;
mod frr_node_state;
mod frrk8s_configuration;

pub use bgp_session_state::{BGPSessionState, BGPSessionStateSpec, BGPSessionStateStatus};
pub use frr_configuration::bfd_profile::BFDProfile;
pub use frr_configuration::evpn::{
    AdvertiseVNIs, AdvertisedFamily, EVPNConfig, ExportRouteTarget, ImportRouteTarget, L2VNI, L3VNI,
    RouteDistinguisher,
};
pub use frr_configuration::neighbor::{
    AddressFamily, Advertise, AllowMode, AllowedInPrefixes, AllowedOutPrefixes, CommunityPrefixes,
    DynamicASN, LocalPrefPrefixes, Neighbor, NextHop, Password, PrefixSelector, Receive, SecretReference,
};
pub use frr_configuration::{
    BGPConfig, FRRConfiguration, FRRConfigurationSpec, FRRConfigurationStatus, Import, RawConfig, Router,
};
pub use frr_node_state::{FRRNodeState, FRRNodeStateSpec, FRRNodeStateStatus};
pub use frrk8s_configuration::{
    FRRK8sConfiguration, FRRK8sConfigurationSpec, FRRK8sConfigurationStatus, LogLevel,
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde::{Deserialize, Deserializer};

/// The name of this API group.
pub const GROUP: &str = "frrk8s.metallb.io";

/// The CustomResourceDefinitions of this group, in the order of their names.
pub fn all() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![
        BGPSessionState::crd(),
        FRRConfiguration::crd(),
        FRRK8sConfiguration::crd(),
        FRRNodeState::crd(),
    ];
    crds.iter_mut().for_each(leave_spec_absent);
    crds
}

/// Takes away the default that is derived for `spec` because all its fields may be absent: the API server shall not
/// write what nobody said.
fn leave_spec_absent(crd: &mut CustomResourceDefinition) {
    let schemas = crd
        .spec
        .versions
        .iter_mut()
        .filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    for spec in schemas.filter_map(|schema| schema.properties.as_mut()?.get_mut("spec")) {
        spec.default = None;
    }
}

/// Whether a field has the value it has when it is absent, so that it need not be written.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Reads an empty text as absent.
pub(crate) fn empty_as_none<'de, D: Deserializer<'de>, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de> + AsRef<str>,
{
    Ok(Option::<T>::deserialize(deserializer)?.filter(|text| !text.as_ref().is_empty()))
}

/// Reads the number 0 as absent.
pub(crate) fn zero_as_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Ok(Option::<u32>::deserialize(deserializer)?.filter(|number| *number != 0))
}

#[cfg(test)]
mod tests;
