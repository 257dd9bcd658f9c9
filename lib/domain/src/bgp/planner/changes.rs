//! What follows from a change of an input.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::bgp::key::{NodeName, ServiceKey};

/// What a change of an input calls for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Nodes whose plan changed, or may have.
    pub nodes: BTreeSet<NodeName>,
    /// Services that may be announced otherwise, or not be announced for another reason.
    pub services: BTreeSet<ServiceKey>,
    /// Nodes on which every Service may be announced otherwise.
    pub service_nodes: BTreeSet<NodeName>,
}

impl Changes {
    /// Adds the other changes to these.
    pub fn merge(&mut self, other: Changes) {
        self.nodes.extend(other.nodes);
        self.services.extend(other.services);
        self.service_nodes.extend(other.service_nodes);
    }
}

impl Changes {
    pub(super) fn of_node(name: &NodeName) -> Self {
        Self {
            nodes: BTreeSet::from([Arc::clone(name)]),
            services: BTreeSet::new(),
            service_nodes: BTreeSet::from([Arc::clone(name)]),
        }
    }
}
