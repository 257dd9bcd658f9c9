//! The stored objects a configuration is made from.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use metallb_crds::metallb::{
    BFDProfile, BGPAdvertisement, BGPPeer, Community, IPAddressPool, L2Advertisement,
};

use crate::selector::Labels;

/// Everything a configuration is made from. A program fills in what it reads and leaves the rest empty.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// Which rules of a BGP backend apply.
    pub backend: Backend,
    /// Whether names must lead to something.
    pub references: References,
    /// The namespace the objects are from; only named in messages.
    pub namespace: String,
    /// `IPAddressPool`s.
    pub pools: Vec<Arc<IPAddressPool>>,
    /// `L2Advertisement`s.
    pub l2_advertisements: Vec<Arc<L2Advertisement>>,
    /// `BGPAdvertisement`s.
    pub bgp_advertisements: Vec<Arc<BGPAdvertisement>>,
    /// `BGPPeer`s.
    pub peers: Vec<Arc<BGPPeer>>,
    /// `BFDProfile`s.
    pub bfd_profiles: Vec<Arc<BFDProfile>>,
    /// `Community` objects.
    pub communities: Vec<Arc<Community>>,
    /// Labels of every Namespace, for the namespace selectors of pools.
    pub namespaces: BTreeMap<String, Labels>,
    /// Labels of every Node, to tell whether two objects meet on one. Empty when unknown.
    pub nodes: BTreeMap<String, Labels>,
    /// Secrets of the namespace by name, for the passwords of peers. `None`: references to Secrets are passed on to
    /// the agent unchecked.
    pub secrets: Option<BTreeMap<String, Arc<Secret>>>,
}

/// The BGP implementation whose limits apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// FRRouting, in whatever pod it runs.
    #[default]
    Frr,
    /// The speaker's own, small implementation.
    Native,
}

/// How references to other objects are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum References {
    /// A BFD profile, Secret or community alias that does not exist is a problem.
    #[default]
    Checked,
    /// They may be created later: for admission, so that the order of creation does not matter.
    Open,
}
