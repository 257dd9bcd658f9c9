//! Where a Service is announced, to whom, and why not elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Node, Planner, Service};
use crate::bgp::key::{NodeName, Prefix, ServiceKey};
use crate::bgp::offer::{Offer, Scope, Withheld};
use crate::bgp::policy::AdId;

/// How a Service fares over all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Nodes that announce the Service, sessions apart.
    pub announcing: BTreeSet<NodeName>,
    /// How many of the other nodes do not, by reason.
    pub withheld: BTreeMap<Withheld, usize>,
    /// A prefix of the Service for which advertisements of several Services ask for different local preferences. The
    /// advertisement with the lowest name is obeyed.
    pub contested: Option<Prefix>,
}

impl Planner {
    /// Where a Service is announced and why not elsewhere. O(n) for n nodes.
    pub fn verdict(&self, key: &ServiceKey) -> Verdict {
        let mut verdict = Verdict::default();
        let Some(service) = self.services.get(key) else {
            verdict.withheld.insert(Withheld::NoService, self.nodes.len());
            return verdict;
        };
        for (name, node) in &self.nodes {
            match self.announced(service, name, node) {
                Ok(prefixes) => {
                    verdict.announcing.insert(Arc::clone(name));
                    if verdict.contested.is_none() {
                        verdict.contested = prefixes
                            .into_iter()
                            .find(|prefix| self.is_contested(prefix, node));
                    }
                }
                Err(reason) => *verdict.withheld.entry(reason).or_default() += 1,
            }
        }
        verdict
    }

    /// The names of the peers to which each node announces the Service, nodes without such a peer left out. Peers
    /// that do not carry the family of a prefix do not count. O(n) for n nodes.
    pub fn peers_by_node(&self, key: &ServiceKey) -> BTreeMap<NodeName, BTreeSet<Arc<str>>> {
        let Some(service) = self.services.get(key) else {
            return BTreeMap::new();
        };
        let by_node = self
            .nodes
            .iter()
            .map(|(name, node)| (Arc::clone(name), self.peers(service, name, node)));
        by_node.filter(|(_, peers)| !peers.is_empty()).collect()
    }

    /// The names of the peers to which the node announces the Service.
    pub fn peers_on(&self, key: &ServiceKey, name: &NodeName) -> BTreeSet<Arc<str>> {
        match (self.services.get(key), self.nodes.get(name)) {
            (Some(service), Some(node)) => self.peers(service, name, node),
            _ => BTreeSet::new(),
        }
    }

    /// The keys of all Services the planner knows of, in no particular order.
    pub fn services(&self) -> impl Iterator<Item = &ServiceKey> {
        self.services.keys()
    }

    fn peers(&self, service: &Service, name: &NodeName, node: &Node) -> BTreeSet<Arc<str>> {
        let Some(group) = self.session_groups.get(&node.peers) else {
            return BTreeSet::new();
        };
        let Ok(prefixes) = self.announced(service, name, node) else {
            return BTreeSet::new();
        };
        let routes: Vec<_> = prefixes
            .into_iter()
            .map(|prefix| (self.ads(&prefix, node), prefix))
            .collect();
        let hears = |peer: &str, ads: &[AdId]| {
            ads.iter()
                .filter_map(|id| self.policy.ad(*id))
                .any(|ad| ad.spec.reaches(peer))
        };
        let sessions = group.sessions.iter().filter(|session| {
            let mut routes = routes.iter();
            routes.any(|(ads, prefix)| session.carries(prefix) && hears(&session.peer, ads))
        });
        sessions.map(|session| Arc::clone(&session.peer)).collect()
    }

    /// The prefixes of the Service that the node announces, or the first reason why it does not.
    fn announced(
        &self,
        service: &Service,
        name: &NodeName,
        node: &Node,
    ) -> Result<BTreeSet<Prefix>, Withheld> {
        let offer = service.offer.as_ref().map_err(|reason| *reason)?;
        match self.closed(&node.view) {
            None => {
                let routes = offer.routes(&self.policy, &node.ads)?;
                served(offer, name)?;
                Ok(routes.into_iter().map(|(prefix, _)| prefix).collect())
            }
            Some(closed) => {
                offer.routes(&self.policy, &self.policy.ads_on(&node.view.labels))?;
                Err(closed)
            }
        }
    }

    fn ads(&self, prefix: &Prefix, node: &Node) -> Vec<AdId> {
        let shared = self
            .route_groups
            .get(&node.ads)
            .map(|group| group.table.ads(prefix));
        let all: BTreeSet<_> = shared
            .into_iter()
            .flatten()
            .chain(node.local.ads(prefix))
            .collect();
        all.into_iter().collect()
    }

    fn is_contested(&self, prefix: &Prefix, node: &Node) -> bool {
        let ads: Vec<_> = self.ads(prefix, node);
        let ads: Vec<_> = ads
            .iter()
            .filter_map(|id| self.policy.ad(*id))
            .filter(|ad| ad.spec.local_pref != 0)
            .collect();
        ads.iter().enumerate().any(|(at, one)| {
            let mut later = ads.iter().skip(at + 1);
            later.any(|other| one.spec.local_pref != other.spec.local_pref && one.shares_peer_with(other))
        })
    }
}

/// Whether endpoints allow the node to announce.
fn served(offer: &Offer, name: &NodeName) -> Result<(), Withheld> {
    match &offer.scope {
        Scope::Cluster => Ok(()),
        Scope::Local(nodes) if nodes.contains(name) => Ok(()),
        Scope::Local(_) => Err(Withheld::NoLocalEndpoints),
        Scope::Nowhere => Err(Withheld::NoEndpoints),
    }
}
