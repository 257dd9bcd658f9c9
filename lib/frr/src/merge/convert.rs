//! One FRRConfiguration, checked and converted on its own.

mod advertise;
mod evpn;
mod neighbor;
mod receive;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::IpNet;
use metallb_crds::frrk8s;

use super::problem::{Fault, Problem, Within};
use super::{ObjectName, Secrets, combine};
use crate::model::{BfdProfile, InvalidText, Model, ProfileName, RawText, Router, Vrf};

/// What the parts of an object need to know of the object.
struct Object<'a> {
    name: &'a ObjectName,
    profiles: BTreeSet<ProfileName>,
    /// The prefixes of each VRF. If a VRF has several routers here, those of the last one.
    prefixes: BTreeMap<Vrf, BTreeSet<IpNet>>,
    secrets: &'a Secrets<'a>,
}

pub(super) fn object(
    name: &ObjectName,
    spec: &frrk8s::FRRConfigurationSpec,
    secrets: &Secrets<'_>,
    warnings: &mut Vec<String>,
) -> Result<Model, Problem> {
    let mut model = Model {
        bfd_profiles: bfd_profiles(&spec.bgp.bfd_profiles)?,
        ..Model::default()
    };
    let object = Object {
        name,
        profiles: model.bfd_profiles.keys().cloned().collect(),
        prefixes: prefixes_by_vrf(&spec.bgp.routers)?,
        secrets,
    };
    for router in &spec.bgp.routers {
        let place = || format!("router {}-{}", router.asn, router.vrf);
        let (vrf, converted) = object.router(router, warnings).within(place)?;
        let alone = Model {
            routers: BTreeMap::from([(vrf, converted)]),
            ..Model::default()
        };
        combine::check(&model, &alone)?;
        combine::absorb(&mut model, alone);
    }
    if !spec.raw.raw_config.is_empty() {
        model.raw.push(RawText {
            priority: spec.raw.priority,
            object: name.name.clone(),
            text: spec.raw.raw_config.clone(),
        });
    }
    combine::check_alone(&model)?;
    Ok(model)
}

fn bfd_profiles(profiles: &[frrk8s::BFDProfile]) -> Result<BTreeMap<ProfileName, BfdProfile>, Problem> {
    let mut converted = BTreeMap::new();
    for profile in profiles {
        let name: ProfileName = text("bfdProfiles.name", &profile.name)?;
        let place = || format!("bfdProfile {name}");
        let value = bfd_profile(profile).within(place)?;
        if converted.insert(name.clone(), value).is_some() {
            return Err(Fault::DuplicateProfile(name.to_string()).into());
        }
    }
    Ok(converted)
}

fn bfd_profile(profile: &frrk8s::BFDProfile) -> Result<BfdProfile, Fault> {
    let interval = |field, value| range(field, value, 10, 60000);
    Ok(BfdProfile {
        receive_interval: interval("receiveInterval", profile.receive_interval)?,
        transmit_interval: interval("transmitInterval", profile.transmit_interval)?,
        detect_multiplier: range("detectMultiplier", profile.detect_multiplier, 2, 255)?,
        echo_interval: interval("echoInterval", profile.echo_interval)?,
        echo_mode: profile.echo_mode.unwrap_or_default(),
        passive_mode: profile.passive_mode.unwrap_or_default(),
        minimum_ttl: range("minimumTtl", profile.minimum_ttl, 1, 254)?,
    })
}

fn prefixes_by_vrf(routers: &[frrk8s::Router]) -> Result<BTreeMap<Vrf, BTreeSet<IpNet>>, Problem> {
    routers
        .iter()
        .map(|router| {
            let place = || format!("router {}-{}", router.asn, router.vrf);
            let vrf = text("vrf", &router.vrf).within(place)?;
            Ok((vrf, prefixes(&router.prefixes).within(place)?))
        })
        .collect()
}

fn prefixes(texts: &[String]) -> Result<BTreeSet<IpNet>, Fault> {
    texts.iter().map(|text| prefix("prefixes", text)).collect()
}

impl Object<'_> {
    fn router(&self, router: &frrk8s::Router, warnings: &mut Vec<String>) -> Result<(Vrf, Router), Problem> {
        if router.asn == 0 {
            return Err(Fault::ZeroAsn.into());
        }
        let vrf: Vrf = text("vrf", &router.vrf)?;
        let prefixes = prefixes(&router.prefixes)?;
        let imports = self.imports(&vrf, &router.imports)?;
        let mut announced = prefixes.clone();
        for import in &imports {
            announced.extend(self.prefixes.get(import).into_iter().flatten());
        }
        let mut converted = Router {
            asn: router.asn,
            id: router.id.as_deref().map(router_id).transpose()?,
            imports,
            prefixes,
            neighbors: BTreeMap::new(),
            evpn: router
                .evpn
                .as_ref()
                .map(|evpn| evpn::convert(evpn, &vrf))
                .transpose()?,
        };
        for neighbor in &router.neighbors {
            let place = || format!("neighbor {}", neighbor::label(neighbor));
            let (peer, value) = self
                .neighbor(neighbor, router.asn, &announced, warnings)
                .within(place)?;
            combine::add_neighbor(&mut converted.neighbors, peer, value).within(place)?;
        }
        Ok((vrf, converted))
    }

    fn imports(&self, vrf: &Vrf, imports: &[frrk8s::Import]) -> Result<BTreeSet<Vrf>, Fault> {
        imports
            .iter()
            .map(|import| {
                let imported = text("imports.vrf", &import.vrf)?;
                if imported == *vrf {
                    Err(Fault::SelfImport(imported))
                } else if self.prefixes.contains_key(&imported) {
                    Ok(imported)
                } else {
                    Err(Fault::UnknownImport(imported))
                }
            })
            .collect()
    }
}

fn router_id(text: &str) -> Result<Ipv4Addr, Fault> {
    match text.parse() {
        Ok(id) if id != Ipv4Addr::UNSPECIFIED => Ok(id),
        _ => Err(Fault::Ipv4Address {
            field: "id",
            text: text.to_owned(),
        }),
    }
}

fn text<T: FromStr<Err = InvalidText>>(field: &'static str, text: &str) -> Result<T, Fault> {
    text.parse().map_err(|fault| Fault::Text { field, fault })
}

/// A prefix with its host bits cleared, as FRRouting does.
fn prefix(field: &'static str, text: &str) -> Result<IpNet, Fault> {
    match IpNet::from_str(text) {
        Ok(prefix) => Ok(prefix.trunc()),
        Err(_) => Err(Fault::Prefix {
            field,
            text: text.to_owned(),
        }),
    }
}

fn range(field: &'static str, value: Option<u32>, min: u32, max: u32) -> Result<Option<u32>, Fault> {
    match value {
        Some(number) if !(min..=max).contains(&number) => Err(Fault::Range {
            field,
            value: number.to_string(),
            min,
            max,
        }),
        value => Ok(value),
    }
}
