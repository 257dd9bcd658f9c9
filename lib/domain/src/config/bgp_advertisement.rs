//! BGP advertisements: `BGPAdvertisement`.

mod attach;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use metallb_crds::metallb::BGPAdvertisement as BgpAdvertisementObject;

use super::community::Community;
use super::l2_advertisement::unique;
use super::settle::Settling;
use super::{Backend, Config, PoolSelection, References};
use crate::ip_range::IpFamily;
use crate::selector::{Labels, Selector, all_or_any_matches, check_duplicates, parse_list};

/// One checked `BGPAdvertisement`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BgpAdvertisement {
    /// Name of the object.
    pub name: String,
    /// Which pools it is meant for.
    pub selection: PoolSelection,
    /// Names of the pools it is in force for: those selected, less those it contradicts.
    pub pools: BTreeSet<String>,
    /// Length of the announced IPv4 prefixes, 0 to 32 (the schema of the API asks for 1 at least).
    pub aggregation_length: u8,
    /// Length of the announced IPv6 prefixes, 0 to 128.
    pub aggregation_length_v6: u8,
    /// LOCAL_PREF (RFC 4271 section 5.1.5); 0 means not set.
    pub local_pref: u32,
    /// Communities of the routes, aliases resolved.
    pub communities: BTreeSet<Community>,
    /// Names of the peers that hear of the routes; empty means all. They need not exist.
    pub peers: BTreeSet<String>,
    /// The nodes that announce; empty means all.
    pub node_selectors: Vec<Selector>,
    /// The Services that are announced, by label; empty means all.
    pub service_selectors: Vec<Selector>,
}

impl BgpAdvertisement {
    /// True when a node with these labels announces.
    pub fn covers_node(&self, labels: &Labels) -> bool {
        all_or_any_matches(&self.node_selectors, labels)
    }

    /// True when it is for a Service with these labels.
    pub fn covers_service(&self, labels: &Labels) -> bool {
        all_or_any_matches(&self.service_selectors, labels)
    }

    /// True when `peer` hears of the routes.
    pub fn reaches(&self, peer: &str) -> bool {
        self.peers.is_empty() || self.peers.contains(peer)
    }

    /// Length of the announced prefixes of a family.
    pub fn length(&self, family: IpFamily) -> u8 {
        match family {
            IpFamily::V4 => self.aggregation_length,
            IpFamily::V6 => self.aggregation_length_v6,
        }
    }
}

/// Checks all BGP advertisements and attaches them to the pools of `config`, which must be complete otherwise.
pub(super) fn settle(
    settling: &mut Settling<'_>,
    config: &Config,
) -> BTreeMap<String, Arc<BgpAdvertisement>> {
    let objects = settling.objects;
    let aliases: BTreeMap<&str, Community> = config
        .communities
        .values()
        .flat_map(|aliases| aliases.iter().map(|(alias, value)| (alias.as_str(), *value)))
        .collect();
    let detached = |ad: &Arc<BgpAdvertisement>| {
        Arc::new(BgpAdvertisement {
            pools: BTreeSet::new(),
            ..(**ad).clone()
        })
    };
    let previous = &settling.previous.bgp_advertisements;
    let previous: BTreeMap<_, _> = previous
        .iter()
        .map(|(name, ad)| (name.clone(), detached(ad)))
        .collect();
    let settled = settling.settle(
        "BGPAdvertisement",
        &objects.bgp_advertisements,
        &previous,
        |ad| &ad.metadata,
        |name, ad| parse(name, ad, &aliases, objects.references, objects.backend),
        |_| Ok(()),
    );
    attach::attach(settling, config, settled, &previous)
}

fn parse(
    name: &str,
    ad: &BgpAdvertisementObject,
    aliases: &BTreeMap<&str, Community>,
    references: References,
    backend: Backend,
) -> Result<BgpAdvertisement, String> {
    let spec = &ad.spec;
    let wrap = |error: String| format!("parsing bgp advertisement {name}: {error}");
    check_lists(ad).map_err(wrap)?;
    let narrowed = spec.aggregation_length != 32 || spec.aggregation_length_v6 != 128;
    if !spec.service_selectors.is_empty() && narrowed {
        return Err(wrap(
            "serviceSelectors and aggregationLength are mutually exclusive: remove spec.serviceSelectors, or leave \
             spec.aggregationLength at 32 and spec.aggregationLengthV6 at 128"
                .to_owned(),
        ));
    }
    let selectors =
        |field: &str, list: &[_]| parse_list(list).map_err(|error| wrap(format!("spec.{field}: {error}")));
    Ok(BgpAdvertisement {
        name: name.to_owned(),
        aggregation_length: length("aggregationLength", spec.aggregation_length, 32).map_err(wrap)?,
        aggregation_length_v6: length("aggregationLengthV6", spec.aggregation_length_v6, 128)
            .map_err(wrap)?,
        local_pref: u32::try_from(spec.local_pref).map_err(|_| {
            wrap(format!(
                "invalid local preference {}: spec.localPref must be 0 to 4294967295",
                spec.local_pref
            ))
        })?,
        // A message about a community keeps its own shape.
        communities: communities(&spec.communities, aliases, references, backend)?,
        peers: spec.peers.iter().cloned().collect(),
        node_selectors: selectors("nodeSelectors", &spec.node_selectors)?,
        service_selectors: selectors("serviceSelectors", &spec.service_selectors)?,
        selection: PoolSelection::parse(&spec.ip_address_pools, &spec.ip_address_pool_selectors)
            .map_err(wrap)?,
        pools: BTreeSet::new(),
    })
}

fn check_lists(ad: &BgpAdvertisementObject) -> Result<(), String> {
    let spec = &ad.spec;
    unique("ipAddressPools", &spec.ip_address_pools)?;
    unique("community", &spec.communities)?;
    unique("peers", &spec.peers)?;
    for (field, selectors) in [
        ("ipAddressPoolSelectors", &spec.ip_address_pool_selectors),
        ("nodeSelectors", &spec.node_selectors),
        ("serviceSelectors", &spec.service_selectors),
    ] {
        check_duplicates(field, selectors).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Lengths below 0 count as 0, which fits no pool of that family.
fn length(field: &str, value: i32, max: u8) -> Result<u8, String> {
    match u8::try_from(value.max(0)) {
        Ok(length) if length <= max => Ok(length),
        _ => Err(format!(
            "invalid aggregation length {value}: spec.{field} must be at most {max}"
        )),
    }
}

fn communities(
    texts: &[String],
    aliases: &BTreeMap<&str, Community>,
    references: References,
    backend: Backend,
) -> Result<BTreeSet<Community>, String> {
    let mut values = BTreeSet::new();
    for text in texts {
        let value = match aliases.get(text.as_str()) {
            Some(value) => *value,
            None if references == References::Open && !text.contains(':') => continue,
            None => Community::parse(text)
                .map_err(|error| format!("{error}\ninvalid community \"{text}\" in BGP advertisement"))?,
        };
        if backend == Backend::Native && value.is_large() {
            return Err(format!(
                "invalid community \"{text}\" in BGP advertisement: the native backend has no large communities: use A:B"
            ));
        }
        values.insert(value);
    }
    Ok(values)
}
