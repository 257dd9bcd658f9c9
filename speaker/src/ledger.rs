//! What was decided about each Service, and which decisions a change can touch.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;

use metallb_domain::service::ServiceKey;

use crate::decision::{Decision, Outcome};

/// Decisions by Service, with the indexes that keep the cost of a change proportional to what it can touch.
///
/// Services that are none of this program's business have no entry.
#[derive(Debug, Default)]
pub struct Ledger {
    decisions: HashMap<ServiceKey, Decision>,
    /// By pool name; `None` for those with addresses of no pool.
    by_pool: HashMap<Option<String>, HashSet<ServiceKey>>,
    by_rival: HashMap<String, HashSet<ServiceKey>>,
    announced: HashSet<ServiceKey>,
    by_interface: HashSet<ServiceKey>,
}

impl Ledger {
    /// What was decided last.
    pub fn get(&self, service: &ServiceKey) -> Option<&Decision> {
        self.decisions.get(service)
    }

    /// Replaces a decision and returns the one before. O(1).
    pub fn put(&mut self, service: &ServiceKey, decision: Decision) -> Option<Decision> {
        let before = self.decisions.remove(service);
        if let Some(before) = &before {
            self.unlist(service, before);
        }
        if !decision.reason().is_some_and(super::decision::Reason::is_final) {
            self.list(service, &decision);
            self.decisions.insert(service.clone(), decision);
        }
        before
    }

    /// Every Service.
    pub fn all(&self) -> Vec<ServiceKey> {
        self.decisions.keys().cloned().collect()
    }

    /// Services with addresses of these pools, and those with addresses of none.
    pub fn of_pools(&self, pools: &BTreeSet<String>) -> Vec<ServiceKey> {
        let pools = pools.iter().map(|pool| Some(pool.clone())).chain([None]);
        pools
            .filter_map(|pool| self.by_pool.get(&pool))
            .flatten()
            .cloned()
            .collect()
    }

    /// Services whose decision may change because something about another node did: those announced here, which it
    /// may take over, and those it keeps from this node.
    pub fn touched_by_node(&self, node: &str) -> Vec<ServiceKey> {
        let lost = self.by_rival.get(node).into_iter().flatten();
        self.announced.iter().chain(lost).cloned().collect()
    }

    /// Services for which it matters which interfaces there are.
    pub fn of_interfaces(&self) -> Vec<ServiceKey> {
        self.by_interface.iter().cloned().collect()
    }

    /// How many Services are announced here.
    pub fn announced(&self) -> usize {
        self.announced.len()
    }

    fn list(&mut self, service: &ServiceKey, decision: &Decision) {
        let pool = decision.pool.as_ref().map(|pool| pool.name.clone());
        self.by_pool.entry(pool).or_default().insert(service.clone());
        if decision.names_interfaces {
            self.by_interface.insert(service.clone());
        }
        match &decision.outcome {
            Outcome::Announce(_) => {
                self.announced.insert(service.clone());
            }
            Outcome::Withhold {
                rival: Some(rival), ..
            } => {
                self.by_rival
                    .entry(rival.clone())
                    .or_default()
                    .insert(service.clone());
            }
            Outcome::Withhold { rival: None, .. } => {}
        }
    }

    fn unlist(&mut self, service: &ServiceKey, decision: &Decision) {
        remove(
            &mut self.by_pool,
            &decision.pool.as_ref().map(|pool| pool.name.clone()),
            service,
        );
        self.by_interface.remove(service);
        self.announced.remove(service);
        if let Outcome::Withhold {
            rival: Some(rival), ..
        } = &decision.outcome
        {
            remove(&mut self.by_rival, rival, service);
        }
    }
}

fn remove<K: Eq + Hash>(index: &mut HashMap<K, HashSet<ServiceKey>>, key: &K, service: &ServiceKey) {
    if let Some(services) = index.get_mut(key) {
        services.remove(service);
        if services.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use metallb_domain::config::Pool;

    use super::*;
    use crate::decision::{Announcement, Reason};
    use crate::layer2::Links;

    fn key(name: &str) -> ServiceKey {
        ServiceKey {
            namespace: "default".to_owned(),
            name: name.to_owned(),
        }
    }

    fn decision(pool: Option<&str>, outcome: Outcome) -> Decision {
        let pool = pool.map(|name| {
            Arc::new(Pool {
                name: name.to_owned(),
                labels: std::collections::BTreeMap::new(),
                ranges: Vec::new(),
                auto_assign: true,
                avoid_buggy_ips: false,
                allocation: None,
            })
        });
        Decision {
            pool,
            names_interfaces: false,
            outcome,
        }
    }

    fn announce() -> Outcome {
        Outcome::Announce(Announcement {
            addresses: vec![[192, 0, 2, 10].into()],
            links: Links::All,
        })
    }

    fn lost_to(rival: &str) -> Outcome {
        Outcome::Withhold {
            reason: Reason::NotOwner,
            rival: Some(rival.to_owned()),
        }
    }

    fn sorted(mut services: Vec<ServiceKey>) -> Vec<String> {
        services.sort();
        services.into_iter().map(|service| service.name).collect()
    }

    #[test]
    fn a_node_touches_what_it_could_take_and_what_it_holds_back() {
        let mut ledger = Ledger::default();
        ledger.put(&key("mine"), decision(Some("p"), announce()));
        ledger.put(&key("to-n2"), decision(Some("p"), lost_to("n2")));
        ledger.put(&key("to-n3"), decision(Some("q"), lost_to("n3")));
        assert_eq!(sorted(ledger.touched_by_node("n2")), ["mine", "to-n2"]);
        assert_eq!(sorted(ledger.touched_by_node("n9")), ["mine"]);
        ledger.put(&key("to-n2"), decision(Some("p"), announce()));
        ledger.put(&key("mine"), decision(Some("p"), lost_to("n3")));
        assert_eq!(sorted(ledger.touched_by_node("n2")), ["to-n2"]);
        assert_eq!(sorted(ledger.touched_by_node("n3")), ["mine", "to-n2", "to-n3"]);
        assert_eq!(ledger.announced(), 1);
    }

    #[test]
    fn a_pool_touches_its_services_and_those_without_one() {
        let mut ledger = Ledger::default();
        ledger.put(&key("p"), decision(Some("p"), announce()));
        ledger.put(&key("q"), decision(Some("q"), announce()));
        ledger.put(
            &key("none"),
            decision(
                None,
                Outcome::Withhold {
                    reason: Reason::IpNotAllowed,
                    rival: None,
                },
            ),
        );
        assert_eq!(
            sorted(ledger.of_pools(&BTreeSet::from(["p".to_owned()]))),
            ["none", "p"]
        );
    }

    #[test]
    fn services_that_do_not_matter_leave_no_trace() {
        let mut ledger = Ledger::default();
        ledger.put(&key("a"), decision(Some("p"), announce()));
        ledger.put(&key("a"), Decision::withhold(Reason::NoIpAllocated));
        ledger.put(&key("b"), Decision::withhold(Reason::NotLoadBalancer));
        assert!(ledger.all().is_empty() && ledger.by_pool.is_empty() && ledger.announced.is_empty());
    }
}
