use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use metallb_crds::frrk8s::{self, AllowMode};

use super::prefix;
use crate::merge::problem::{Fault, Problem};
use crate::model::{Advertise, Attributes, Community, Family, Unicast};

const ALLOWED: &str = "toAdvertise.allowed.prefixes";
const WITH_LOCAL_PREF: &str = "withLocalPref";
const WITH_COMMUNITY: &str = "withCommunity";

/// `announced` are the prefixes that may be announced at all.
pub(super) fn convert(
    advertise: &frrk8s::Advertise,
    unicast: Unicast,
    announced: &BTreeSet<IpNet>,
) -> Result<Advertise, Problem> {
    let mut routes = allowed(&advertise.allowed, unicast, announced)?;
    local_prefs(&mut routes, &advertise.with_local_pref, unicast)?;
    communities(&mut routes, &advertise.with_community, unicast)?;
    Ok(Advertise {
        routes,
        next_hop_ipv4: advertise
            .next_hop
            .ipv4
            .as_deref()
            .map(|text| next_hop_ipv4(text, unicast))
            .transpose()?,
        next_hop_ipv6: advertise
            .next_hop
            .ipv6
            .as_deref()
            .map(|text| next_hop_ipv6(text, unicast))
            .transpose()?,
    })
}

fn allowed(
    allowed: &frrk8s::AllowedOutPrefixes,
    unicast: Unicast,
    announced: &BTreeSet<IpNet>,
) -> Result<BTreeMap<IpNet, Attributes>, Fault> {
    let attributes = Attributes::default;
    if allowed.mode == AllowMode::All {
        let fitting = announced
            .iter()
            .filter(|prefix| unicast.contains(Family::of(prefix)));
        return Ok(fitting.map(|prefix| (*prefix, attributes())).collect());
    }
    let mut routes = BTreeMap::new();
    for text in &allowed.prefixes {
        let prefix = fitting(ALLOWED, text, unicast)?;
        if !announced.contains(&prefix) {
            return Err(Fault::NotOriginated(prefix));
        }
        routes.insert(prefix, attributes());
    }
    Ok(routes)
}

fn local_prefs(
    routes: &mut BTreeMap<IpNet, Attributes>,
    items: &[frrk8s::LocalPrefPrefixes],
    unicast: Unicast,
) -> Result<(), Fault> {
    let mut defined = BTreeSet::new();
    for item in items {
        let value = item.local_pref.to_string();
        for prefix in item_prefixes(WITH_LOCAL_PREF, &value, &item.prefixes, unicast, &mut defined)? {
            let first = attributes(routes, WITH_LOCAL_PREF, &value, prefix)?
                .local_pref
                .replace(item.local_pref);
            if let Some(first) = first {
                return Err(Fault::TwoLocalPrefs {
                    prefix,
                    first,
                    second: item.local_pref,
                });
            }
        }
    }
    Ok(())
}

fn communities(
    routes: &mut BTreeMap<IpNet, Attributes>,
    items: &[frrk8s::CommunityPrefixes],
    unicast: Unicast,
) -> Result<(), Fault> {
    let mut defined = BTreeSet::new();
    for item in items {
        let community: Community = item.community.parse()?;
        let value = match community {
            Community::Standard(..) => community.to_string(),
            Community::Large(..) => format!("large:{community}"),
        };
        for prefix in item_prefixes(WITH_COMMUNITY, &value, &item.prefixes, unicast, &mut defined)? {
            attributes(routes, WITH_COMMUNITY, &value, prefix)?
                .communities
                .insert(community);
        }
    }
    Ok(())
}

/// The prefixes of one item of a list. `defined` are the values, with family, of the items before it.
fn item_prefixes(
    field: &'static str,
    value: &str,
    texts: &[String],
    unicast: Unicast,
    defined: &mut BTreeSet<(String, Family)>,
) -> Result<BTreeSet<IpNet>, Fault> {
    let mut prefixes = BTreeSet::new();
    for text in texts {
        let prefix = fitting(field, text, unicast)?;
        if !prefixes.insert(prefix) {
            return Err(Fault::PrefixTwice {
                field,
                value: value.to_owned(),
                prefix,
            });
        }
    }
    let families: BTreeSet<Family> = prefixes.iter().map(Family::of).collect();
    for family in families {
        if !defined.insert((value.to_owned(), family)) {
            return Err(Fault::AlreadyDefined {
                field,
                value: value.to_owned(),
                family,
            });
        }
    }
    Ok(prefixes)
}

fn attributes<'a>(
    routes: &'a mut BTreeMap<IpNet, Attributes>,
    field: &'static str,
    value: &str,
    prefix: IpNet,
) -> Result<&'a mut Attributes, Fault> {
    routes.get_mut(&prefix).ok_or_else(|| Fault::NotAnnounced {
        field,
        value: value.to_owned(),
        prefix,
    })
}

/// A prefix of a family the neighbor has.
fn fitting(field: &'static str, text: &str, unicast: Unicast) -> Result<IpNet, Fault> {
    let prefix = prefix(field, text)?;
    family(field, &prefix, Family::of(&prefix), unicast)?;
    Ok(prefix)
}

fn family(field: &'static str, what: &dyn ToString, family: Family, unicast: Unicast) -> Result<(), Fault> {
    if unicast.contains(family) {
        Ok(())
    } else {
        Err(Fault::Family {
            field,
            what: what.to_string(),
            family,
        })
    }
}

fn next_hop_ipv4(text: &str, unicast: Unicast) -> Result<Ipv4Addr, Fault> {
    let field = "toAdvertise.nextHop.ipv4";
    match text.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) if !address.is_unspecified() && !address.is_multicast() => {
            family(field, &address, Family::Ipv4, unicast).map(|()| address)
        }
        _ => Err(Fault::Ipv4Address {
            field,
            text: text.to_owned(),
        }),
    }
}

fn next_hop_ipv6(text: &str, unicast: Unicast) -> Result<Ipv6Addr, Fault> {
    let field = "toAdvertise.nextHop.ipv6";
    match text.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address))
            if !address.is_unspecified() && !address.is_multicast() && !address.is_unicast_link_local() =>
        {
            family(field, &address, Family::Ipv6, unicast).map(|()| address)
        }
        _ => Err(Fault::Ipv6Address {
            field,
            text: text.to_owned(),
        }),
    }
}
