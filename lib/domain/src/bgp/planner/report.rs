//! Where a Service is announced, to whom, and why not elsewhere.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::{Node, Planner, RouteGroup, Service};
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
    /// Where a Service is announced and why not elsewhere. O(g + n) for g route groups and n nodes that announce it or
    /// are closed.
    pub fn verdict(&self, key: &ServiceKey) -> Verdict {
        let mut verdict = Verdict::default();
        let offer = match self.services.get(key).map(|service| service.offer.as_ref()) {
            Some(Ok(offer)) => offer,
            Some(Err(reason)) => {
                verdict.withhold(*reason, self.nodes.len());
                return verdict;
            }
            None => {
                verdict.withhold(Withheld::NoService, self.nodes.len());
                return verdict;
            }
        };
        for (ads, group) in &self.route_groups {
            if ads.is_empty() {
                self.judge_each(offer, &group.members, &mut verdict);
                continue;
            }
            match offer.routes(&self.policy, ads) {
                Err(reason) => verdict.withhold(reason, group.members.len()),
                Ok(routes) => {
                    let before = verdict.announcing.len();
                    match &offer.scope {
                        Scope::Cluster => verdict.announcing.extend(group.members.iter().cloned()),
                        Scope::Local(nodes) => verdict
                            .announcing
                            .extend(group.members.intersection(nodes).cloned()),
                        Scope::Nowhere => {}
                    }
                    let announcing = verdict.announcing.len() - before;
                    verdict.withhold(unserved(&offer.scope), group.members.len() - announcing);
                    let prefixes: BTreeSet<_> = routes.into_iter().map(|(prefix, _)| prefix).collect();
                    verdict.contested = verdict
                        .contested
                        .into_iter()
                        .chain(self.contested(group, &prefixes))
                        .min();
                }
            }
        }
        verdict
    }

    /// Nodes that no advertisement selects, or that announce nothing at all.
    fn judge_each(&self, offer: &Offer, members: &BTreeSet<NodeName>, verdict: &mut Verdict) {
        for node in members.iter().filter_map(|name| self.nodes.get(name)) {
            let closed = self.closed(&node.view).unwrap_or(Withheld::NotOwner);
            let routes = offer.routes(&self.policy, &self.policy.ads_on(&node.view.labels));
            verdict.withhold(routes.err().unwrap_or(closed), 1);
        }
    }

    /// The peers to which each node announces the Service, sorted by name; nodes without such a peer are left out.
    /// Peers that do not carry the family of a prefix do not count. Nodes with equal answers share them. O(n) for n
    /// nodes.
    pub fn peers_by_node(&self, key: &ServiceKey) -> BTreeMap<NodeName, Arc<[Arc<str>]>> {
        let Some(service) = self.services.get(key) else {
            return BTreeMap::new();
        };
        let mut known = HashMap::<(*const AdId, *const usize), Arc<[Arc<str>]>>::new();
        let by_node = self.nodes.iter().map(|(name, node)| {
            let shared = node.local.is_empty() && service.is_announced_by_all();
            if !shared {
                return (Arc::clone(name), self.peers(service, name, node));
            }
            let place = (node.ads.as_ptr(), node.peers.as_ptr());
            let peers = known
                .entry(place)
                .or_insert_with(|| self.peers(service, name, node));
            (Arc::clone(name), Arc::clone(peers))
        });
        by_node.filter(|(_, peers)| !peers.is_empty()).collect()
    }

    /// The peers to which the node announces the Service, sorted by name.
    pub fn peers_on(&self, key: &ServiceKey, name: &NodeName) -> Arc<[Arc<str>]> {
        match (self.services.get(key), self.nodes.get(name)) {
            (Some(service), Some(node)) => self.peers(service, name, node),
            _ => Arc::default(),
        }
    }

    /// The keys of all Services the planner knows of, in no particular order.
    pub fn services(&self) -> impl Iterator<Item = &ServiceKey> {
        self.services.keys()
    }

    fn peers(&self, service: &Service, name: &NodeName, node: &Node) -> Arc<[Arc<str>]> {
        let Some(group) = self.session_groups.get(&node.peers) else {
            return Arc::default();
        };
        let Ok(prefixes) = self.announced(service, name, node) else {
            return Arc::default();
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
        let names: BTreeSet<_> = sessions.map(|session| Arc::clone(&session.peer)).collect();
        names.into_iter().collect()
    }

    /// The prefixes of the Service that the node announces, or the first reason why it does not.
    fn announced(
        &self,
        service: &Service,
        name: &NodeName,
        node: &Node,
    ) -> Result<BTreeSet<Prefix>, Withheld> {
        let offer = service.offer.as_ref().map_err(|reason| *reason)?;
        // A closed node has no advertisements.
        let routes = offer.routes(&self.policy, &node.ads)?;
        match &offer.scope {
            Scope::Cluster => {}
            Scope::Local(nodes) if nodes.contains(name) => {}
            scope => return Err(unserved(scope)),
        }
        Ok(routes.into_iter().map(|(prefix, _)| prefix).collect())
    }

    /// The first of the prefixes to which the advertisements of the group's nodes give different local preferences.
    fn contested(&self, group: &RouteGroup, prefixes: &BTreeSet<Prefix>) -> Option<Prefix> {
        let nodes = group.members.iter().filter_map(|name| self.nodes.get(name));
        let with_local = nodes.filter(|node| !node.local.is_empty());
        let tables: Vec<_> = with_local.map(|node| &node.local).collect();
        let contested = |prefix: &&Prefix| {
            self.is_contested(group.table.ads(prefix).collect())
                || tables.iter().any(|local| {
                    self.is_contested(group.table.ads(prefix).chain(local.ads(prefix)).collect())
                })
        };
        prefixes.iter().find(contested).cloned()
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

    fn is_contested(&self, ads: BTreeSet<AdId>) -> bool {
        let ads = ads.into_iter().filter_map(|id| self.policy.ad(id));
        let ads: Vec<_> = ads.filter(|ad| ad.spec.local_pref != 0).collect();
        ads.iter().enumerate().any(|(at, one)| {
            let mut later = ads.iter().skip(at + 1);
            later.any(|other| one.spec.local_pref != other.spec.local_pref && one.shares_peer_with(other))
        })
    }
}

impl Verdict {
    fn withhold(&mut self, reason: Withheld, nodes: usize) {
        if nodes > 0 {
            *self.withheld.entry(reason).or_default() += nodes;
        }
    }
}

/// Why a node that may announce does not, as far as endpoints decide.
fn unserved(scope: &Scope) -> Withheld {
    match scope {
        Scope::Nowhere => Withheld::NoEndpoints,
        Scope::Cluster | Scope::Local(_) => Withheld::NoLocalEndpoints,
    }
}
