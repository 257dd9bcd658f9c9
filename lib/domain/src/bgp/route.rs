//! The routes of a group of nodes, with who contributes them.

use std::collections::{BTreeMap, BTreeSet};

use super::key::{Prefix, ServiceKey};
use super::policy::AdId;

/// One route that a Service contributes because of one advertisement.
pub(super) type Route = (Prefix, AdId);

/// Prefixes and, for each, the (advertisement, Service) pairs that call for it. A prefix is there as long as one pair
/// does. What is announced for a prefix depends only on its set of advertisements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RouteTable {
    routes: BTreeMap<Prefix, Vec<(AdId, ServiceKey)>>,
}

/// What a change of a table did.
#[derive(Debug, Default)]
pub(super) struct TableChange {
    /// Some prefix appeared, vanished or has other advertisements now.
    pub(super) changed: bool,
    /// Other Services that contribute to such a prefix.
    pub(super) sharers: BTreeSet<ServiceKey>,
    /// The prefixes concerned.
    pub(super) prefixes: BTreeSet<Prefix>,
}

impl RouteTable {
    /// Replaces the routes `before` of `service` by `after`. O((b + a) log n) for b and a routes and n prefixes,
    /// plus the sharers of the prefixes that change.
    pub(super) fn replace(&mut self, service: &ServiceKey, before: &[Route], after: &[Route]) -> TableChange {
        let mut change = TableChange::default();
        for route in before.iter().filter(|route| !after.contains(route)) {
            if self.remove(service, route) {
                self.note(&route.0, service, &mut change);
            }
        }
        for route in after.iter().filter(|route| !before.contains(route)) {
            if self.add(service, route) {
                self.note(&route.0, service, &mut change);
            }
        }
        change
    }

    fn note(&self, prefix: &Prefix, service: &ServiceKey, change: &mut TableChange) {
        change.changed = true;
        change.prefixes.insert(prefix.clone());
        let sharers = self.services(prefix).filter(|sharer| *sharer != service);
        change.sharers.extend(sharers.cloned());
    }

    /// True when the prefix has another set of advertisements now.
    pub(super) fn add(&mut self, service: &ServiceKey, (prefix, ad): &Route) -> bool {
        let sources = self.routes.entry(prefix.clone()).or_default();
        let source = (*ad, service.clone());
        let Err(at) = sources.binary_search(&source) else {
            return false;
        };
        sources.insert(at, source);
        only_source(sources, *ad)
    }

    fn remove(&mut self, service: &ServiceKey, (prefix, ad): &Route) -> bool {
        let Some(sources) = self.routes.get_mut(prefix) else {
            return false;
        };
        let source = (*ad, service.clone());
        let Ok(at) = sources.binary_search(&source) else {
            return false;
        };
        let last_of_ad = only_source(sources, *ad);
        sources.remove(at);
        if sources.is_empty() {
            self.routes.remove(prefix);
        }
        last_of_ad
    }

    pub(super) fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// The advertisements of `prefix`, ascending, possibly repeated.
    pub(super) fn ads(&self, prefix: &Prefix) -> impl Iterator<Item = AdId> + '_ {
        self.routes.get(prefix).into_iter().flatten().map(|(ad, _)| *ad)
    }

    /// The Services that contribute to `prefix`, possibly repeated.
    pub(super) fn services(&self, prefix: &Prefix) -> impl Iterator<Item = &ServiceKey> {
        self.routes
            .get(prefix)
            .into_iter()
            .flatten()
            .map(|(_, service)| service)
    }

    /// All prefixes in the order of their text.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Prefix, &[(AdId, ServiceKey)])> {
        self.routes
            .iter()
            .map(|(prefix, sources)| (prefix, sources.as_slice()))
    }
}

/// Whether exactly one of the (sorted) sources has this advertisement. O(log n).
fn only_source(sources: &[(AdId, ServiceKey)], ad: AdId) -> bool {
    let start = sources.partition_point(|(other, _)| *other < ad);
    let mut same = sources.get(start..).unwrap_or_default().iter();
    same.next().is_some_and(|(first, _)| *first == ad) && same.next().is_none_or(|(next, _)| *next != ad)
}
