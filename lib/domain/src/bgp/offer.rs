//! Which routes a Service contributes, and where.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;

use super::key::{NodeName, Prefix};
use super::policy::{AdId, AnnouncedPool, Policy};
use super::route::Route;
use crate::endpoints::UsableEndpoints;
use crate::ip_range::{IpFamily, parse_address};
use crate::selector::Labels;

/// What the plan needs to know of a Service of type LoadBalancer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceView {
    /// Labels of the Service.
    pub labels: Labels,
    /// The addresses of `status.loadBalancer.ingress`, or why they cannot be used.
    pub addresses: Addresses,
    /// `externalTrafficPolicy: Local`: only nodes with an endpoint announce.
    pub local: bool,
}

impl ServiceView {
    /// The view of a Service, `None` when the plan has nothing to do with it: it is of another type, or its
    /// `loadBalancerClass` is not `class`.
    pub fn of(service: &Service, class: Option<&str>) -> Option<Self> {
        let spec = service.spec.as_ref()?;
        if spec.type_.as_deref() != Some("LoadBalancer") || spec.load_balancer_class.as_deref() != class {
            return None;
        }
        Some(Self {
            labels: service.metadata.labels.clone().unwrap_or_default(),
            addresses: Addresses::of(service),
            local: spec.external_traffic_policy.as_deref() == Some("Local"),
        })
    }
}

/// The addresses of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Addresses {
    /// One or more addresses.
    Assigned(Vec<IpAddr>),
    /// No ingress entry.
    #[default]
    None,
    /// An ingress entry without an address, such as one with a host name only.
    Invalid,
}

impl Addresses {
    fn of(service: &Service) -> Self {
        let status = service
            .status
            .as_ref()
            .and_then(|status| status.load_balancer.as_ref());
        let ingress: Vec<_> = status
            .and_then(|status| status.ingress.as_ref())
            .into_iter()
            .flatten()
            .collect();
        if ingress.is_empty() {
            return Self::None;
        }
        let addresses = ingress.iter().map(|entry| parse_address(entry.ip.as_deref()?));
        addresses
            .collect::<Option<_>>()
            .map_or(Self::Invalid, Self::Assigned)
    }

    /// Whether exactly these addresses are assigned.
    pub(super) fn are(&self, addresses: &[IpAddr]) -> bool {
        matches!(self, Self::Assigned(assigned) if assigned == addresses)
    }
}

/// Why a node does not announce a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Withheld {
    /// There is no such Service of type LoadBalancer.
    NoService,
    /// No address has been assigned.
    NoAddress,
    /// An ingress entry has no address.
    InvalidAddress,
    /// No pool contains all addresses.
    NotAllowed,
    /// No advertisement of the pool selects the node.
    NotOwner,
    /// None of those advertisements selects the Service.
    NoMatchingAdvertisement,
    /// Two of those advertisements give different local preferences to one route.
    ConflictingAdvertisements,
    /// The node's network is not set up.
    NetworkUnavailable,
    /// The node is excluded from external load balancers.
    ExcludedNode,
    /// `externalTrafficPolicy: Local`, and no endpoint on the node can serve.
    NoLocalEndpoints,
    /// No endpoint can serve.
    NoEndpoints,
}

impl Withheld {
    /// The word for this reason in Events, statuses and logs.
    pub fn token(self) -> &'static str {
        match self {
            Self::NoService => "notLoadBalancer",
            Self::NoAddress => "noIPAllocated",
            Self::InvalidAddress => "invalidIP",
            Self::NotAllowed => "ipNotAllowed",
            Self::NotOwner => "notOwner",
            Self::NoMatchingAdvertisement => "noMatchingAdvertisement",
            Self::ConflictingAdvertisements => "conflictingAdvertisements",
            Self::NetworkUnavailable => "nodeNetworkUnavailable",
            Self::ExcludedNode => "nodeLabeledExcludeBalancers",
            Self::NoLocalEndpoints => "noLocalEndpoints",
            Self::NoEndpoints => "noEndpoints",
        }
    }
}

/// The routes of a Service before it is known which node is asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Offer {
    pub(super) pool: Arc<AnnouncedPool>,
    pub(super) addresses: Vec<IpAddr>,
    /// Every advertisement of the pool; with prefixes when its service selectors match.
    ads: Vec<(AdId, Option<Vec<Prefix>>)>,
    pub(super) scope: Scope,
}

/// Which nodes can announce, as far as endpoints decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of them.
    Cluster,
    /// Those with an endpoint that can serve.
    Local(BTreeSet<NodeName>),
    /// None: no endpoint can serve.
    Nowhere,
}

impl Offer {
    /// `kept` is the pool to use when no pool of `policy` contains the addresses any more. O(p log r + a) for p
    /// addresses, r address ranges and a advertisements of the pool.
    pub(super) fn new(
        policy: &Policy,
        kept: Option<&Arc<AnnouncedPool>>,
        view: Option<&ServiceView>,
        endpoints: &UsableEndpoints,
    ) -> Result<Self, Withheld> {
        let view = view.ok_or(Withheld::NoService)?;
        let addresses = match &view.addresses {
            Addresses::Assigned(addresses) if !addresses.is_empty() => addresses,
            Addresses::Invalid => return Err(Withheld::InvalidAddress),
            Addresses::Assigned(_) | Addresses::None => return Err(Withheld::NoAddress),
        };
        let pool = policy.pool_of(addresses).or(kept).ok_or(Withheld::NotAllowed)?;
        let prefixes = |id: AdId| {
            let ad = &policy.ad(id)?.spec;
            if !ad.covers_service(&view.labels) {
                return None;
            }
            let each = addresses
                .iter()
                .map(|address| Prefix::around(*address, ad.length(IpFamily::of(*address))));
            Some(each.collect::<BTreeSet<_>>().into_iter().collect())
        };
        Ok(Self {
            pool: Arc::clone(pool),
            addresses: addresses.clone(),
            ads: policy
                .ads_of(pool)
                .into_iter()
                .map(|id| (id, prefixes(id)))
                .collect(),
            scope: match (endpoints.any(), view.local) {
                (false, _) => Scope::Nowhere,
                (true, false) => Scope::Cluster,
                (true, true) => Scope::Local(
                    endpoints
                        .nodes()
                        .iter()
                        .map(|node| node.as_str().into())
                        .collect(),
                ),
            },
        })
    }

    /// The routes on a node which the advertisements `on_node` (ascending) select, endpoints apart, sorted.
    /// O(a log n + a²) for a advertisements of the pool and n on the node; the square is over the few that match.
    pub(super) fn routes(&self, policy: &Policy, on_node: &[AdId]) -> Result<Vec<Route>, Withheld> {
        let here = self
            .ads
            .iter()
            .filter(|(id, _)| on_node.binary_search(id).is_ok());
        let here: Vec<_> = here.collect();
        if here.is_empty() {
            return Err(Withheld::NotOwner);
        }
        let matching: Vec<_> = here
            .iter()
            .filter_map(|(id, prefixes)| Some((*id, policy.ad(*id)?, prefixes.as_ref()?)))
            .collect();
        if matching.is_empty() {
            return Err(Withheld::NoMatchingAdvertisement);
        }
        let conflict = matching.iter().enumerate().any(|(at, (_, one, _))| {
            let later = matching.iter().skip(at + 1);
            later
                .into_iter()
                .any(|(_, other, _)| self.pool.conflict(one, other))
        });
        if conflict {
            return Err(Withheld::ConflictingAdvertisements);
        }
        let routes = matching
            .iter()
            .flat_map(|(id, _, prefixes)| prefixes.iter().map(|prefix| (prefix.clone(), *id)));
        Ok(routes.collect())
    }
}
