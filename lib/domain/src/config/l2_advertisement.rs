//! Layer 2 advertisements: `L2Advertisement`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use metallb_crds::metallb::L2Advertisement as L2AdvertisementObject;

use super::Pool;
use super::settle::Settling;
use crate::selector::{Labels, Selector, all_or_any_matches, any_matches, check_duplicates, parse_list};

/// One checked `L2Advertisement`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L2Advertisement {
    /// Name of the object.
    pub name: String,
    /// The pools it announces.
    pub pools: PoolSelection,
    /// The nodes that may announce; empty means all.
    pub node_selectors: Vec<Selector>,
    /// Names of the host interfaces to answer on; `None` means all.
    pub interfaces: Option<BTreeSet<String>>,
    /// The Services it announces, by label; empty means all.
    pub service_selectors: Vec<Selector>,
    /// Which of the nodes to prefer.
    pub preferences: Vec<NodePreference>,
}

/// One of `spec.preferredNodeSelectors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePreference {
    /// Added to the score of each node that matches; 1 to 100.
    pub weight: i32,
    /// The nodes preferred.
    pub selector: Selector,
}

/// Which pools an advertisement is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolSelection {
    /// Neither names nor selectors were given.
    All,
    /// Pools with one of the names, and pools that one of the selectors matches.
    Some {
        /// Names of pools; they need not exist.
        names: BTreeSet<String>,
        /// Selectors on the labels of pools.
        selectors: Vec<Selector>,
    },
}

impl L2Advertisement {
    /// True when a node with these labels may announce.
    pub fn covers_node(&self, labels: &Labels) -> bool {
        all_or_any_matches(&self.node_selectors, labels)
    }

    /// True when it is for a Service with these labels.
    pub fn covers_service(&self, labels: &Labels) -> bool {
        all_or_any_matches(&self.service_selectors, labels)
    }

    /// Sum of the weights of the preferences that match a node; 0 for one that may not announce at all.
    pub fn preference(&self, labels: &Labels) -> i64 {
        if !self.covers_node(labels) {
            return 0;
        }
        let matching = self
            .preferences
            .iter()
            .filter(|preference| preference.selector.matches(labels));
        matching.map(|preference| i64::from(preference.weight)).sum()
    }
}

impl PoolSelection {
    /// Checks the two lists by which advertisements select pools.
    pub(super) fn parse(
        names: &[String],
        selectors: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector],
    ) -> Result<Self, String> {
        if names.is_empty() && selectors.is_empty() {
            return Ok(Self::All);
        }
        let selectors =
            parse_list(selectors).map_err(|error| format!("spec.ipAddressPoolSelectors: {error}"))?;
        Ok(Self::Some {
            names: unique("ipAddressPools", names)?,
            selectors,
        })
    }

    /// True when `pool` is selected.
    pub fn selects(&self, pool: &Pool) -> bool {
        match self {
            Self::All => true,
            Self::Some { names, selectors } => {
                names.contains(&pool.name) || any_matches(selectors, &pool.labels)
            }
        }
    }
}

/// A list as a set; something listed twice is an error.
pub(super) fn unique(field: &str, list: &[String]) -> Result<BTreeSet<String>, String> {
    let mut set = BTreeSet::new();
    for item in list {
        if !set.insert(item.clone()) {
            return Err(format!(
                "duplicate definition of {field}: \"{item}\" is listed twice: remove one"
            ));
        }
    }
    Ok(set)
}

/// Checks all layer 2 advertisements.
pub(super) fn settle(settling: &mut Settling<'_>) -> BTreeMap<String, Arc<L2Advertisement>> {
    let objects = settling.objects;
    settling.settle(
        "L2Advertisement",
        &objects.l2_advertisements,
        &settling.previous.l2_advertisements,
        |ad| &ad.metadata,
        |name, ad| parse(name, ad).map_err(|error| format!("parsing l2 advertisement {name}: {error}")),
        |_| Ok(()),
    )
}

fn parse(name: &str, ad: &L2AdvertisementObject) -> Result<L2Advertisement, String> {
    let spec = &ad.spec;
    unique("ipAddressPools", &spec.ip_address_pools)?;
    for (field, selectors) in [
        ("ipAddressPoolSelectors", &spec.ip_address_pool_selectors),
        ("nodeSelectors", &spec.node_selectors),
        ("serviceSelectors", &spec.service_selectors),
    ] {
        check_duplicates(field, selectors).map_err(|error| error.to_string())?;
    }
    let node_selectors =
        parse_list(&spec.node_selectors).map_err(|error| format!("spec.nodeSelectors: {error}"))?;
    let service_selectors =
        parse_list(&spec.service_selectors).map_err(|error| format!("spec.serviceSelectors: {error}"))?;
    let preference = |item: &metallb_crds::metallb::PreferredNodeSelector| {
        Selector::parse(&item.preference)
            .map(|selector| NodePreference {
                weight: item.weight,
                selector,
            })
            .map_err(|error| format!("spec.preferredNodeSelectors: {error}"))
    };
    Ok(L2Advertisement {
        name: name.to_owned(),
        node_selectors,
        service_selectors,
        preferences: spec
            .preferred_node_selectors
            .iter()
            .map(preference)
            .collect::<Result<_, _>>()?,
        pools: PoolSelection::parse(&spec.ip_address_pools, &spec.ip_address_pool_selectors)?,
        interfaces: (!spec.interfaces.is_empty()).then(|| spec.interfaces.iter().cloned().collect()),
    })
}
