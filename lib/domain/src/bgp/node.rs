//! What the plan knows of a Node, and what it gives it.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use metallb_crds::frrk8s::{BGPConfig, FRRConfigurationSpec};

use super::key::NodeName;
use crate::selector::Labels;

/// A Node with this label, whatever its value, announces nothing.
pub const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
/// The label by which an FRRConfiguration selects its node.
pub const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";
/// The label of an FRRConfiguration that names its node, so that the agent there can watch its own object only.
pub const NODE_LABEL: &str = "metallb.io/node";

/// What the plan needs to know of a Node. Readiness, taints and cordons do not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeView {
    /// Labels of the Node.
    pub labels: Labels,
    /// The condition `NetworkUnavailable` is `True`.
    pub network_unavailable: bool,
}

impl NodeView {
    /// The view of a Node.
    pub fn of(node: &Node) -> Self {
        let conditions = node
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten());
        Self {
            labels: node.metadata.labels.clone().unwrap_or_default(),
            network_unavailable: conditions
                .into_iter()
                .any(|condition| condition.type_ == "NetworkUnavailable" && condition.status == "True"),
        }
    }
}

/// The FRRConfiguration of one node.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// Name of the Node.
    pub node: NodeName,
    /// Value of the label `kubernetes.io/hostname` on the Node, or its name when it lacks the label.
    pub hostname: Arc<str>,
    /// The BGP part; nodes with equal results share it.
    pub bgp: Arc<BGPConfig>,
}

impl NodePlan {
    /// Name of the FRRConfiguration.
    pub fn name(&self) -> String {
        format!("metallb-{}", self.node)
    }

    /// Labels of the FRRConfiguration. A node whose name is too long for a label value gets none: agents also look
    /// at objects without this label, and the node selector decides.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let fits = self.node.len() <= 63;
        fits.then(|| (NODE_LABEL.to_owned(), self.node.to_string()))
            .into_iter()
            .collect()
    }

    /// The specification. O(size of the result).
    pub fn spec(&self) -> FRRConfigurationSpec {
        FRRConfigurationSpec {
            bgp: BGPConfig::clone(&self.bgp),
            node_selector: self.node_selector(),
            ..FRRConfigurationSpec::default()
        }
    }

    /// The selector that matches this node only.
    pub fn node_selector(&self) -> LabelSelector {
        let hostname = (HOSTNAME_LABEL.to_owned(), self.hostname.to_string());
        LabelSelector {
            match_labels: Some(BTreeMap::from([hostname])),
            ..LabelSelector::default()
        }
    }
}

impl PartialEq for NodePlan {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
            && self.hostname == other.hostname
            && (Arc::ptr_eq(&self.bgp, &other.bgp) || self.bgp == other.bgp)
    }
}
