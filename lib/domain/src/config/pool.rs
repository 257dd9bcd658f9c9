//! Pools of addresses: `IPAddressPool`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use metallb_crds::metallb::IPAddressPool;

use super::settle::Settling;
use crate::ip_range::{IpFamily, IpRange, is_buggy};
use crate::selector::{Labels, Selector, all_or_any_matches, any_matches, check_duplicates, parse_list};

/// One checked `IPAddressPool`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Name of the object.
    pub name: String,
    /// Labels of the object; advertisements select pools by them.
    pub labels: Labels,
    /// `spec.addresses`, in the order in which addresses are handed out; no two overlap. Never empty.
    pub ranges: Vec<IpRange>,
    /// False: used only for Services that name the pool or one of its addresses.
    pub auto_assign: bool,
    /// True: IPv4 addresses ending in .0 and .255 are never handed out, not even on request.
    pub avoid_buggy_ips: bool,
    /// `spec.serviceAllocation`: present on *pinned* pools, which are tried before the generic ones and which only the
    /// Services it admits may use.
    pub allocation: Option<ServiceAllocation>,
}

/// Who may use a pinned pool, with namespace selectors resolved to names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceAllocation {
    /// Smaller positive numbers are preferred; 0 and below come last.
    pub priority: i64,
    /// Namespaces admitted; `None` when the pool does not restrict them. An empty set admits nobody.
    pub namespaces: Option<BTreeSet<String>>,
    /// Selectors on the labels of Services, one of which must match; empty when the pool does not restrict them.
    pub services: Vec<Selector>,
}

impl Pool {
    /// True when the pool may hand out `address`. O(ranges).
    pub fn contains(&self, address: IpAddr) -> bool {
        !(self.avoid_buggy_ips && is_buggy(address))
            && self.ranges.iter().any(|range| range.contains(address))
    }

    /// True when the pool has a range of `family`.
    pub fn has_family(&self, family: IpFamily) -> bool {
        self.ranges.iter().any(|range| range.family() == family)
    }

    /// True when a Service in `namespace` with `labels` may use the pool.
    pub fn admits(&self, namespace: &str, labels: &Labels) -> bool {
        self.allocation.as_ref().is_none_or(|allocation| {
            allocation
                .namespaces
                .as_ref()
                .is_none_or(|names| names.contains(namespace))
                && all_or_any_matches(&allocation.services, labels)
        })
    }

    /// Place among the pinned pools: by priority, then by name; pools without a positive priority come last.
    pub fn rank(&self) -> (i64, &str) {
        let priority = self
            .allocation
            .as_ref()
            .map_or(0, |allocation| allocation.priority);
        (if priority > 0 { priority } else { i64::MAX }, &self.name)
    }
}

const KIND: &str = "IPAddressPool";

/// Checks all pools, each alone and against the others.
pub(super) fn settle(settling: &mut Settling<'_>) -> BTreeMap<String, Arc<Pool>> {
    let objects = settling.objects;
    let mut taken = Taken::default();
    settling.settle(
        KIND,
        &objects.pools,
        &settling.previous.pools,
        |pool| &pool.metadata,
        |name, pool| {
            parse(name, pool, &objects.namespaces)
                .map_err(|error| format!("parsing address pool {name}: {error}"))
        },
        |pool| taken.accept(pool),
    )
}

fn parse(name: &str, pool: &IPAddressPool, namespaces: &BTreeMap<String, Labels>) -> Result<Pool, String> {
    let spec = &pool.spec;
    if spec.addresses.is_empty() {
        return Err("no prefixes defined: list at least one CIDR or range in spec.addresses".to_owned());
    }
    let ranges = spec
        .addresses
        .iter()
        .map(|text| IpRange::parse(text))
        .collect::<Result<Vec<_>, _>>();
    let ranges = ranges.map_err(|error| format!("spec.addresses: {error}"))?;
    check_own_overlap(&ranges)?;
    let allocation = spec.service_allocation.as_ref();
    Ok(Pool {
        name: name.to_owned(),
        labels: pool.metadata.labels.clone().unwrap_or_default(),
        ranges,
        auto_assign: spec.auto_assign,
        avoid_buggy_ips: spec.avoid_buggy_ips,
        allocation: allocation
            .map(|allocation| parse_allocation(allocation, namespaces))
            .transpose()?,
    })
}

fn check_own_overlap(ranges: &[IpRange]) -> Result<(), String> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0].overlaps(&pair[1])) {
        Some(pair) => Err(format!(
            "CIDR \"{}\" overlaps with already defined CIDR \"{}\" of the same pool: remove one of them from spec.addresses",
            pair[1], pair[0]
        )),
        None => Ok(()),
    }
}

fn parse_allocation(
    spec: &metallb_crds::metallb::ServiceAllocation,
    namespaces: &BTreeMap<String, Labels>,
) -> Result<ServiceAllocation, String> {
    let mut names = BTreeSet::new();
    for name in &spec.namespaces {
        if !names.insert(name.clone()) {
            return Err(format!(
                "duplicate definition in namespaces field: remove the second \"{name}\" from spec.serviceAllocation.namespaces"
            ));
        }
    }
    check_duplicates("namespaceSelectors", &spec.namespace_selectors).map_err(|error| error.to_string())?;
    check_duplicates("serviceSelectors", &spec.service_selectors).map_err(|error| error.to_string())?;
    let by_label = parse_list(&spec.namespace_selectors).map_err(|error| {
        format!(
            "invalid namespace label selector in ip pool, spec.serviceAllocation.namespaceSelectors: {error}"
        )
    })?;
    let services = parse_list(&spec.service_selectors).map_err(|error| {
        format!("invalid service label selector in ip pool, spec.serviceAllocation.serviceSelectors: {error}")
    })?;
    let restricted = !names.is_empty() || !by_label.is_empty();
    let selected = namespaces
        .iter()
        .filter(|(_, labels)| any_matches(&by_label, labels));
    names.extend(selected.map(|(name, _)| name.clone()));
    Ok(ServiceAllocation {
        priority: spec.priority,
        namespaces: restricted.then_some(names),
        services,
    })
}

/// Ranges of the pools accepted so far, by first address.
#[derive(Default)]
struct Taken {
    ranges: BTreeMap<IpAddr, (IpRange, String)>,
}

impl Taken {
    /// O(ranges of the pool × log of all ranges).
    fn accept(&mut self, pool: &Pool) -> Result<(), String> {
        for range in &pool.ranges {
            // Accepted ranges do not overlap each other, so only the last one that starts at or before the end of
            // this one can be in the way.
            if let Some((_, (other, owner))) = self.ranges.range(..=range.last()).next_back()
                && other.overlaps(range)
            {
                return Err(format!(
                    "parsing address pool {}: CIDR \"{range}\" overlaps with already defined CIDR \"{other}\" of pool {owner}: \
                     remove the common addresses from one of the two",
                    pool.name
                ));
            }
        }
        for range in &pool.ranges {
            self.ranges.insert(range.first(), (*range, pool.name.clone()));
        }
        Ok(())
    }
}
