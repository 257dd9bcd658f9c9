//! The API group `metallb.io`: what users write to configure MetalLB, and the status objects it writes itself.
//!
//! All kinds are namespaced; only objects in MetalLB's own namespace have an effect. `spec` may be absent on every
//! kind but [`IPAddressPool`] and is then read as its default.
//!
//! Every program of this project reads stored objects with these types, so they are more lenient than the schemas:
//! a value that only the rules refuse (a duration that is none, a local preference out of range) is read and can be
//! reported.

pub mod bfd_profile;
pub mod bgp_advertisement;
pub mod bgp_peer;
pub mod community;
pub mod configuration_state;
pub mod ip_address_pool;
pub mod l2_advertisement;
#[expect(
    clippy::module_inception,
    reason = "a file is named after the kind it holds, the module after the group"
)]
pub mod metallb;
pub mod service_bgp_status;
pub mod service_l2_status;
pub mod v1beta1;

pub use bfd_profile::{BFDProfile, BFDProfileSpec, BFDProfileStatus};
pub use bgp_advertisement::{BGPAdvertisement, BGPAdvertisementSpec, BGPAdvertisementStatus};
pub use bgp_peer::{BGPPeer, BGPPeerSpec, BGPPeerStatus, DynamicASN, Password, SecretReference};
pub use community::{Community, CommunityAlias, CommunitySpec, CommunityStatus};
pub use configuration_state::{
    ConfigurationResult, ConfigurationState, ConfigurationStateFields, ConfigurationStateStatus,
};
pub use ip_address_pool::{IPAddressPool, IPAddressPoolSpec, IPAddressPoolStatus, ServiceAllocation};
pub use l2_advertisement::{
    L2Advertisement, L2AdvertisementSpec, L2AdvertisementStatus, PreferredNodeSelector,
};
pub use metallb::{
    ComponentConfig, ComponentStatus, FRRK8sConfig, LogLevel, MetalLB, MetalLBSpec, MetalLBStatus,
};
pub use service_bgp_status::{ServiceBGPStatus, ServiceBGPStatusSpec, ServiceBGPStatusStatus};
pub use service_l2_status::{InterfaceInfo, ServiceL2Status, ServiceL2StatusSpec, ServiceL2StatusStatus};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use kube::core::crd::merge_crds;

use crate::frrk8s::is_default;

/// The name of this API group.
pub const GROUP: &str = "metallb.io";

/// Annotation of a Service: name of the only pool its address may come from.
pub const ANNOTATION_ADDRESS_POOL: &str = "metallb.io/address-pool";
/// Annotation of a Service: one address, or one of each family separated by a comma, which it must get.
pub const ANNOTATION_LOAD_BALANCER_IPS: &str = "metallb.io/loadBalancerIPs";
/// Annotation of a Service: key that allows it to share an address with Services of the same key.
pub const ANNOTATION_ALLOW_SHARED_IP: &str = "metallb.io/allow-shared-ip";
/// Annotation MetalLB writes on a Service: name of the pool its address was taken from.
pub const ANNOTATION_IP_ALLOCATED_FROM_POOL: &str = "metallb.io/ip-allocated-from-pool";
/// Prefix of the deprecated spelling of the annotations. An annotation with the current prefix, even an empty one,
/// wins over its deprecated twin.
pub const DEPRECATED_ANNOTATION_PREFIX: &str = "metallb.universe.tf/";

/// Label of the status objects: node they are about.
pub const LABEL_NODE: &str = "metallb.io/node";
/// Label of the status objects: name of the Service they are about.
pub const LABEL_SERVICE_NAME: &str = "metallb.io/service-name";
/// Label of the status objects: namespace of the Service they are about.
pub const LABEL_SERVICE_NAMESPACE: &str = "metallb.io/service-namespace";
/// Label of a ConfigurationState: kind of program that wrote it.
pub const LABEL_COMPONENT_TYPE: &str = "metallb.io/component-type";
/// Label of a ConfigurationState: node of the program that wrote it.
pub const LABEL_NODE_NAME: &str = "metallb.io/node-name";

/// The CustomResourceDefinitions of this group, in the order of their names.
///
/// BGPPeer has two versions, of which v1beta2 is stored. They convert without a webhook: all fields of v1beta1 have the
/// same name and meaning in v1beta2, so the API server needs only change the version and leave out what v1beta1 does
/// not know. [`crate::conversion::use_webhook`] changes that.
///
/// # Panics
///
/// Never: the two versions of BGPPeer agree in what can be merged, which is tested.
pub fn all() -> Vec<CustomResourceDefinition> {
    let bgp_peer = merge_crds(vec![v1beta1::BGPPeer::crd(), BGPPeer::crd()], "v1beta2")
        .expect("both versions have one group, scope and kind");
    let mut crds = vec![
        BFDProfile::crd(),
        BGPAdvertisement::crd(),
        bgp_peer,
        Community::crd(),
        ConfigurationState::crd(),
        IPAddressPool::crd(),
        L2Advertisement::crd(),
        MetalLB::crd(),
        ServiceBGPStatus::crd(),
        ServiceL2Status::crd(),
    ];
    crds.iter_mut().for_each(crate::schema::finish);
    crds
}

#[cfg(test)]
mod tests;
