//! A Service as the planner keeps it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::bgp::key::NodeName;
use crate::bgp::offer::{Offer, Scope, ServiceView, Withheld};
use crate::bgp::policy::{AdId, AnnouncedPool, Policy};
use crate::bgp::route::Route;
use crate::endpoints::UsableEndpoints;

#[derive(Debug)]
pub(super) struct Service {
    pub(super) view: Option<ServiceView>,
    pub(super) endpoints: UsableEndpoints,
    /// The pool the addresses came from, once the configuration has lost it.
    pub(super) kept: Option<Arc<AnnouncedPool>>,
    pub(super) offer: Result<Offer, Withheld>,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            view: None,
            endpoints: UsableEndpoints::default(),
            kept: None,
            offer: Err(Withheld::NoService),
        }
    }
}

impl Service {
    pub(super) fn is_empty(&self) -> bool {
        self.view.is_none() && self.endpoints == UsableEndpoints::default()
    }

    /// Makes the offer anew and returns the old one. A pool that the configuration lost stays in use for addresses
    /// that were announced from it: taking the route away before the Service has another address would only cut it
    /// off.
    pub(super) fn renew(&mut self, policy: &Policy) -> Result<Offer, Withheld> {
        if let Ok(offer) = &self.offer {
            let same = self
                .view
                .as_ref()
                .is_some_and(|view| view.addresses.are(&offer.addresses));
            let keep = same && policy.pool_of(&offer.addresses).is_none();
            self.kept = keep.then(|| Arc::clone(&offer.pool));
        }
        let kept = self.kept.as_ref();
        let offer = Offer::new(policy, kept, self.view.as_ref(), &self.endpoints);
        std::mem::replace(&mut self.offer, offer)
    }

    /// Whether endpoints let every node announce it, or none.
    pub(super) fn is_announced_by_all(&self) -> bool {
        self.offer
            .as_ref()
            .is_ok_and(|offer| !matches!(offer.scope, Scope::Local(_)))
    }

    pub(super) fn cluster_routes(&self, policy: &Policy, ads: &[AdId]) -> Vec<Route> {
        cluster_routes(policy, self.offer.as_ref().ok(), ads)
    }

    pub(super) fn local_routes(&self, policy: &Policy, node: &NodeName, ads: &[AdId]) -> Vec<Route> {
        local_routes(policy, self.offer.as_ref().ok(), node, ads)
    }
}

pub(super) fn cluster_routes(policy: &Policy, offer: Option<&Offer>, ads: &[AdId]) -> Vec<Route> {
    let offer = offer.filter(|offer| offer.scope == Scope::Cluster);
    offer
        .and_then(|offer| offer.routes(policy, ads).ok())
        .unwrap_or_default()
}

pub(super) fn local_routes(
    policy: &Policy,
    offer: Option<&Offer>,
    node: &NodeName,
    ads: &[AdId],
) -> Vec<Route> {
    let offer = offer.filter(|offer| matches!(&offer.scope, Scope::Local(nodes) if nodes.contains(node)));
    offer
        .and_then(|offer| offer.routes(policy, ads).ok())
        .unwrap_or_default()
}

pub(super) fn local_nodes(offer: Option<&Offer>) -> BTreeSet<&NodeName> {
    match offer.map(|offer| &offer.scope) {
        Some(Scope::Local(nodes)) => nodes.iter().collect(),
        _ => BTreeSet::new(),
    }
}
