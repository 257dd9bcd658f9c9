//! Which addresses this node answers for, and on which interfaces.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use metallb_domain::service::ServiceKey;

/// The interfaces on which an address is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Links {
    /// All that can resolve addresses.
    All,
    /// Only those with these names.
    Named(BTreeSet<String>),
}

impl Links {
    /// Whether an interface is one of them.
    pub fn allow(&self, interface: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(interface),
        }
    }

    /// The interfaces of either.
    pub fn union(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Named(mut names), Self::Named(more)) => {
                names.extend(more.iter().cloned());
                Self::Named(names)
            }
            _ => Self::All,
        }
    }

    /// Whether every interface of these is one of `other`.
    fn within(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::All) => true,
            (Self::All, Self::Named(_)) => false,
            (Self::Named(names), Self::Named(others)) => names.is_subset(others),
        }
    }
}

/// What a change of the registry means for one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It is answered for where it was not before: the neighbors must hear of it.
    Gained(IpAddr),
    /// It is no longer answered for.
    Lost(IpAddr),
}

/// Addresses and interfaces per Service. Services that share an address unite their interfaces.
#[derive(Debug, Default)]
pub struct Registry {
    services: HashMap<ServiceKey, BTreeMap<IpAddr, Links>>,
    addresses: BTreeMap<IpAddr, Vec<ServiceKey>>,
}

impl Registry {
    /// Replaces what a Service has announced; nothing at all withdraws it. Saying the same again has no effect.
    ///
    /// Costs O(addresses of the Service × sharers of each).
    pub fn set(&mut self, service: &ServiceKey, wanted: BTreeMap<IpAddr, Links>) -> Vec<Effect> {
        let current = self.services.get(service);
        if current.map_or(wanted.is_empty(), |current| *current == wanted) {
            return Vec::new();
        }
        let touched: BTreeSet<IpAddr> = current
            .into_iter()
            .flatten()
            .map(|(address, _)| *address)
            .chain(wanted.keys().copied())
            .collect();
        let before: Vec<(IpAddr, Option<Links>)> = touched
            .iter()
            .map(|address| (*address, self.links(*address)))
            .collect();
        self.replace(service, wanted);
        before
            .into_iter()
            .filter_map(|(address, before)| self.effect(address, before.as_ref()))
            .collect()
    }

    /// Whether a request for this address that arrived on this interface is answered. O(log addresses + sharers).
    pub fn answers(&self, address: IpAddr, interface: &str) -> bool {
        self.rules(address).any(|links| links.allow(interface))
    }

    /// Where an address is announced; `None` if it is not. O(log addresses + sharers).
    pub fn links(&self, address: IpAddr) -> Option<Links> {
        let mut rules = self.rules(address);
        let first = rules.next()?.clone();
        Some(rules.fold(first, Links::union))
    }

    /// All addresses that are answered for, in order.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.addresses.keys().copied()
    }

    fn rules(&self, address: IpAddr) -> impl Iterator<Item = &Links> {
        let sharers = self.addresses.get(&address).into_iter().flatten();
        sharers.filter_map(move |service| self.services.get(service)?.get(&address))
    }

    fn replace(&mut self, service: &ServiceKey, wanted: BTreeMap<IpAddr, Links>) {
        let old = self.services.remove(service).unwrap_or_default();
        for address in old.keys().filter(|address| !wanted.contains_key(address)) {
            if let Entry::Occupied(mut sharers) = self.addresses.entry(*address) {
                sharers.get_mut().retain(|sharer| sharer != service);
                if sharers.get().is_empty() {
                    sharers.remove();
                }
            }
        }
        for address in wanted.keys().filter(|address| !old.contains_key(address)) {
            self.addresses.entry(*address).or_default().push(service.clone());
        }
        if !wanted.is_empty() {
            self.services.insert(service.clone(), wanted);
        }
    }

    fn effect(&self, address: IpAddr, before: Option<&Links>) -> Option<Effect> {
        match (before, self.links(address)) {
            (_, None) => Some(Effect::Lost(address)),
            (Some(before), Some(after)) if after.within(before) => None,
            (_, Some(_)) => Some(Effect::Gained(address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ServiceKey {
        ServiceKey {
            namespace: "default".to_owned(),
            name: name.to_owned(),
        }
    }

    fn named(names: &[&str]) -> Links {
        Links::Named(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn ip() -> IpAddr {
        IpAddr::from([192, 0, 2, 10])
    }

    fn at(links: Links) -> BTreeMap<IpAddr, Links> {
        BTreeMap::from([(ip(), links)])
    }

    #[test]
    fn an_address_is_gained_once_and_lost_once() {
        let mut registry = Registry::default();
        assert!(!registry.answers(ip(), "eth0"));
        assert_eq!(registry.set(&key("a"), at(Links::All)), [Effect::Gained(ip())]);
        assert!(registry.answers(ip(), "eth0"));
        assert_eq!(registry.set(&key("a"), at(Links::All)), []);
        assert_eq!(registry.set(&key("a"), BTreeMap::new()), [Effect::Lost(ip())]);
        assert!(!registry.answers(ip(), "eth0"));
        assert_eq!(registry.set(&key("a"), BTreeMap::new()), []);
        assert_eq!(registry.addresses().count(), 0);
    }

    #[test]
    fn a_shared_address_is_answered_until_the_last_sharer_goes() {
        let mut registry = Registry::default();
        registry.set(&key("a"), at(Links::All));
        assert_eq!(
            registry.set(&key("b"), at(Links::All)),
            [],
            "nothing new for the neighbors"
        );
        assert_eq!(registry.set(&key("a"), BTreeMap::new()), []);
        assert!(registry.answers(ip(), "eth0"));
        assert_eq!(registry.set(&key("b"), BTreeMap::new()), [Effect::Lost(ip())]);
    }

    #[test]
    fn sharers_unite_their_interfaces() {
        let mut registry = Registry::default();
        registry.set(&key("a"), at(named(&["eth0"])));
        assert!(registry.answers(ip(), "eth0") && !registry.answers(ip(), "eth1"));
        assert_eq!(
            registry.set(&key("b"), at(named(&["eth1"]))),
            [Effect::Gained(ip())]
        );
        assert!(registry.answers(ip(), "eth0") && registry.answers(ip(), "eth1"));
        assert_eq!(registry.links(ip()), Some(named(&["eth0", "eth1"])));
        assert_eq!(
            registry.set(&key("a"), BTreeMap::new()),
            [],
            "fewer interfaces are no news"
        );
        assert!(!registry.answers(ip(), "eth0"));
    }

    #[test]
    fn moving_to_another_address_loses_one_and_gains_one() {
        let mut registry = Registry::default();
        registry.set(&key("a"), at(Links::All));
        let other = IpAddr::from([192, 0, 2, 11]);
        let effects = registry.set(&key("a"), BTreeMap::from([(other, Links::All)]));
        assert_eq!(effects, [Effect::Lost(ip()), Effect::Gained(other)]);
    }

    #[test]
    fn narrowing_stops_answers_elsewhere() {
        let mut registry = Registry::default();
        registry.set(&key("a"), at(Links::All));
        assert_eq!(registry.set(&key("a"), at(named(&["eth1"]))), []);
        assert!(!registry.answers(ip(), "eth0") && registry.answers(ip(), "eth1"));
    }
}
