//! The cluster as one speaker sees it, and what follows from it for a Service. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Service};
use kube::ResourceExt;
use metallb_domain::config::{Config, L2Advertisement, Pool};
use metallb_domain::election::{Ballot, Reach, Standing, Verdict, decide};
use metallb_domain::endpoints::UsableEndpoints;
use metallb_domain::ip_range::{IpRange, parse_address};
use metallb_domain::selector::Labels;
use metallb_domain::service::annotation;

use crate::decision::{Announcement, Decision, Outcome, Reason};
use crate::layer2::Links;

/// The label by which a node is taken out of load balancing, whatever its value.
const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// What a speaker is told on its command line and never changes.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Name of its Node.
    pub node: String,
    /// The `spec.loadBalancerClass` it serves; `None`: Services without one.
    pub class: Option<String>,
    /// Announce also from nodes that are excluded from load balancing.
    pub ignore_exclude_label: bool,
}

/// What matters about a Node, apart from whether its speaker is alive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its labels.
    pub labels: Labels,
    /// Its condition `NetworkUnavailable` is true.
    pub network_unavailable: bool,
}

impl NodeFacts {
    /// Reads a Node.
    pub fn of(node: &Node) -> Self {
        let mut conditions = node
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten());
        Self {
            labels: node.labels().clone(),
            network_unavailable: conditions
                .any(|condition| condition.type_ == "NetworkUnavailable" && condition.status == "True"),
        }
    }
}

/// Which Services a new configuration may concern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affected {
    /// Those with addresses of these pools. Those with addresses of no pool are concerned by every new pool.
    pub pools: BTreeSet<String>,
}

/// Configuration, nodes and interfaces, in a form that makes each decision cheap.
#[derive(Debug, Default)]
pub struct View {
    settings: Settings,
    config: Config,
    /// Ranges of all pools by first address; they do not overlap.
    ranges: BTreeMap<IpAddr, (IpRange, Arc<Pool>)>,
    nodes: BTreeMap<String, NodeFacts>,
    /// The nodes each advertisement selects, by its name.
    reaches: BTreeMap<String, Reach>,
    interfaces: BTreeSet<String>,
}

impl View {
    /// Sees nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Puts another configuration in force. O(pools + advertisements × (pools + nodes)), nodes only for advertisements
    /// that changed.
    pub fn set_config(&mut self, config: Config) -> Affected {
        let mut affected = Affected::default();
        let names = self.config.pools.keys().chain(config.pools.keys());
        affected.pools.extend(
            names
                .filter(|name| self.config.pools.get(*name) != config.pools.get(*name))
                .cloned(),
        );
        let names: BTreeSet<&String> = self
            .config
            .l2_advertisements
            .keys()
            .chain(config.l2_advertisements.keys())
            .collect();
        for name in names {
            let (before, after) = (
                self.config.l2_advertisements.get(name),
                config.l2_advertisements.get(name),
            );
            if before == after {
                continue;
            }
            for ad in before.into_iter().chain(after) {
                let pools = self.config.pools.values().chain(config.pools.values());
                affected.pools.extend(
                    pools
                        .filter(|pool| ad.pools.selects(pool))
                        .map(|pool| pool.name.clone()),
                );
            }
            match after {
                Some(ad) => self.reaches.insert(name.clone(), self.reach(ad)),
                None => self.reaches.remove(name),
            };
        }
        let ranges = config
            .pools
            .values()
            .flat_map(|pool| pool.ranges.iter().map(move |range| (range, pool)));
        self.ranges = ranges
            .map(|(range, pool)| (range.first(), (*range, Arc::clone(pool))))
            .collect();
        self.config = config;
        affected
    }

    /// Takes note of a Node, or that it is gone. Returns whether anything that matters changed. O(advertisements) if
    /// so, else O(labels).
    pub fn set_node(&mut self, name: &str, facts: Option<NodeFacts>) -> bool {
        if self.nodes.get(name) == facts.as_ref() {
            return false;
        }
        for ad in self.config.l2_advertisements.values() {
            let reach = self.reaches.entry(ad.name.clone()).or_default();
            match facts.as_ref().and_then(|facts| weight(ad, &facts.labels)) {
                Some(weight) => reach.nodes.insert(name.to_owned(), weight),
                None => reach.nodes.remove(name),
            };
        }
        match facts {
            Some(facts) => self.nodes.insert(name.to_owned(), facts),
            None => self.nodes.remove(name),
        };
        true
    }

    /// Takes note of the names of this node's interfaces. Returns whether they changed.
    pub fn set_interfaces(&mut self, names: BTreeSet<String>) -> bool {
        let changed = self.interfaces != names;
        self.interfaces = names;
        changed
    }

    /// Decides about one Service. `held` is the pool by which it is announced already: if the configuration has no
    /// pool for its addresses any more, that one stands in until the controller has taken the addresses away.
    ///
    /// Costs O(log ranges + advertisements × selectors), plus what [`decide`] says.
    pub fn decide(
        &self,
        service: &Service,
        endpoints: &UsableEndpoints,
        held: Option<&Arc<Pool>>,
        alive: impl Fn(&str) -> bool,
    ) -> Decision {
        let addresses = match self.addresses(service) {
            Ok(addresses) => addresses,
            Err(reason) => return Decision::withhold(reason),
        };
        let Some(pool) = self
            .pool_of(&addresses)
            .or_else(|| held.filter(|pool| holds(pool, &addresses)))
        else {
            return Decision::withhold(Reason::IpNotAllowed);
        };
        let labels = service.labels();
        let ads: Vec<&L2Advertisement> = self
            .config
            .l2_advertisements_of(pool)
            .map(|ad| &**ad)
            .filter(|ad| ad.covers_service(labels))
            .collect();
        Decision {
            pool: Some(Arc::clone(pool)),
            names_interfaces: ads.iter().any(|ad| ad.interfaces.is_some()),
            outcome: self.elect(service, &addresses, &ads, endpoints, alive),
        }
    }

    /// The addresses of a Service that is to be announced by somebody.
    fn addresses(&self, service: &Service) -> Result<Vec<IpAddr>, Reason> {
        let spec = service.spec.as_ref();
        if spec.and_then(|spec| spec.type_.as_deref()) != Some("LoadBalancer") {
            return Err(Reason::NotLoadBalancer);
        }
        if spec.and_then(|spec| spec.load_balancer_class.as_deref()) != self.settings.class.as_deref() {
            return Err(Reason::OtherClass);
        }
        let status = service
            .status
            .as_ref()
            .and_then(|status| status.load_balancer.as_ref());
        let ingress = status
            .and_then(|balancer| balancer.ingress.as_deref())
            .unwrap_or_default();
        if ingress.is_empty() {
            return Err(Reason::NoIpAllocated);
        }
        let addresses = ingress.iter().map(|entry| parse_address(entry.ip.as_deref()?));
        addresses.collect::<Option<_>>().ok_or(Reason::InvalidIp)
    }

    /// The pool that holds all addresses. Unlike the controller this one does not care about addresses a pool avoids:
    /// what is in a status was given out.
    fn pool_of(&self, addresses: &[IpAddr]) -> Option<&Arc<Pool>> {
        let first = *addresses.first()?;
        let (_, (range, pool)) = self.ranges.range(..=first).next_back()?;
        (range.contains(first) && holds(pool, addresses)).then_some(pool)
    }

    fn elect(
        &self,
        service: &Service,
        addresses: &[IpAddr],
        ads: &[&L2Advertisement],
        endpoints: &UsableEndpoints,
        alive: impl Fn(&str) -> bool,
    ) -> Outcome {
        let Some(first) = addresses.first() else {
            return Outcome::Withhold {
                reason: Reason::NoIpAllocated,
                rival: None,
            };
        };
        let policy = service
            .spec
            .as_ref()
            .and_then(|spec| spec.external_traffic_policy.as_deref());
        let ballot = Ballot {
            address: *first,
            local: policy == Some("Local"),
            shared: annotation(service, "allow-shared-ip").is_some(),
            endpoints,
        };
        let reaches: Vec<&Reach> = ads.iter().filter_map(|ad| self.reaches.get(&ad.name)).collect();
        let standing = |node: &str| Standing {
            alive: alive(node),
            barred: self.is_barred(node),
        };
        let withhold = |reason| Outcome::Withhold { reason, rival: None };
        match decide(&self.settings.node, &ballot, &reaches, standing) {
            Verdict::Announce => match self.links(ads) {
                Some(links) => Outcome::Announce(Announcement {
                    addresses: addresses.to_vec(),
                    links,
                }),
                None => withhold(Reason::NoInterface),
            },
            Verdict::NotOwner { rival } => Outcome::Withhold {
                reason: Reason::NotOwner,
                rival: rival.map(str::to_owned),
            },
            Verdict::NoMatchingAdvertisement => withhold(Reason::NoMatchingAdvertisement),
            Verdict::SharedIpWithServiceSelector => withhold(Reason::SharedIpWithServiceSelector),
        }
    }

    fn is_barred(&self, node: &str) -> bool {
        self.nodes.get(node).is_some_and(|facts| {
            facts.network_unavailable
                || (!self.settings.ignore_exclude_label && facts.labels.contains_key(EXCLUDE_LABEL))
        })
    }

    /// The interfaces of the advertisements that select this node; `None` if it has not one of them.
    fn links(&self, ads: &[&L2Advertisement]) -> Option<Links> {
        let mine = ads.iter().filter(|ad| {
            self.reaches
                .get(&ad.name)
                .is_some_and(|reach| reach.nodes.contains_key(&self.settings.node))
        });
        let links = mine.map(|ad| match &ad.interfaces {
            None => Links::All,
            Some(names) => Links::Named(names.clone()),
        });
        let links = links.reduce(|all, more| all.union(&more))?;
        match &links {
            Links::Named(names) if names.is_disjoint(&self.interfaces) => None,
            _ => Some(links),
        }
    }

    fn reach(&self, ad: &L2Advertisement) -> Reach {
        let nodes = self.nodes.iter();
        Reach {
            selects_services: !ad.service_selectors.is_empty(),
            nodes: nodes
                .filter_map(|(name, facts)| Some((name.clone(), weight(ad, &facts.labels)?)))
                .collect(),
        }
    }
}

/// What an advertisement gives a node with these labels; `None` if it does not select it.
fn weight(ad: &L2Advertisement, labels: &Labels) -> Option<u32> {
    ad.covers_node(labels)
        .then(|| u32::try_from(ad.preference(labels)).unwrap_or(0))
}

fn holds(pool: &Pool, addresses: &[IpAddr]) -> bool {
    addresses
        .iter()
        .all(|address| pool.ranges.iter().any(|range| range.contains(*address)))
}

#[cfg(test)]
mod tests;
