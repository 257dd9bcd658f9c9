//! Adding the model of one object to that of others.
//!
//! [`check`] finds every contradiction and changes nothing; [`absorb`] then cannot fail.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Display;

use super::problem::{Fault, Problem, Within};
use crate::model::evpn::{Evpn, VniTargets};
use crate::model::{Advertise, Model, Neighbor, Peer, Receive, Router, Vrf};

/// Whether the two can be one.
pub(super) fn check(model: &Model, other: &Model) -> Result<(), Problem> {
    for (name, profile) in &other.bfd_profiles {
        if model.bfd_profiles.get(name).is_some_and(|known| known != profile) {
            return Err(Fault::DifferentProfiles(name.to_string()).into());
        }
    }
    for (vrf, router) in &other.routers {
        if let Some(known) = model.routers.get(vrf) {
            check_router(known, router).within(|| format!("router {}-{}", router.asn, vrf_label(vrf)))?;
        }
    }
    check_vnis(model, other)
}

/// Whether an object can be used at all, whatever the others say.
pub(super) fn check_alone(model: &Model) -> Result<(), Problem> {
    for (vrf, router) in &model.routers {
        let l3 = router.evpn.as_ref().is_some_and(|evpn| evpn.l3_vni.is_some());
        if l3 && !router.neighbors.is_empty() {
            let place = || format!("router {}-{}", router.asn, vrf_label(vrf));
            return Err(Fault::L3VniNeighbors).within(place);
        }
    }
    let mut seen = BTreeMap::new();
    for (vni, use_) in vnis(model) {
        if seen.insert(vni, use_).is_some() {
            return Err(Fault::DuplicateVni(vni).into());
        }
    }
    Ok(())
}

/// A router that shall advertise VNIs and has no neighbor to advertise them to.
pub(super) fn unsupported_evpn(model: &Model) -> Option<(Vrf, Problem)> {
    model.routers.iter().find_map(|(vrf, router)| {
        let evpn = router.evpn.as_ref()?;
        let wanted = evpn.advertise_all_vnis || evpn.advertise_svi || !evpn.l2_vnis.is_empty();
        let possible = router
            .neighbors
            .values()
            .any(|neighbor| neighbor.families.activate_evpn);
        (wanted && !possible).then(|| {
            let place = vec![format!("router {}-{}", router.asn, vrf_label(vrf))];
            (
                vrf.clone(),
                Problem {
                    place,
                    fault: Fault::NoEvpnNeighbor,
                },
            )
        })
    })
}

/// Adds a neighbor to those of the same router and object.
pub(super) fn add_neighbor(
    neighbors: &mut BTreeMap<Peer, Neighbor>,
    peer: Peer,
    neighbor: Neighbor,
) -> Result<(), Fault> {
    match neighbors.entry(peer) {
        Entry::Vacant(entry) => {
            entry.insert(neighbor);
        }
        Entry::Occupied(mut entry) => {
            check_neighbor(entry.get(), &neighbor)?;
            absorb_neighbor(entry.get_mut(), neighbor);
        }
    }
    Ok(())
}

/// Adds an L2 VNI to those of the same router and object.
pub(super) fn add_l2_vni(
    vnis: &mut BTreeMap<u32, VniTargets>,
    vni: u32,
    targets: VniTargets,
) -> Result<(), Fault> {
    match vnis.entry(vni) {
        Entry::Vacant(entry) => {
            entry.insert(targets);
        }
        Entry::Occupied(mut entry) => {
            check_targets(vni, entry.get(), &targets)?;
            absorb_targets(entry.get_mut(), targets);
        }
    }
    Ok(())
}

/// Adds `other` to `model`. The caller has asked [`check`] before.
pub(super) fn absorb(model: &mut Model, other: Model) {
    model.bfd_profiles.extend(other.bfd_profiles);
    model.raw.extend(other.raw);
    for (vrf, router) in other.routers {
        match model.routers.entry(vrf) {
            Entry::Vacant(entry) => {
                entry.insert(router);
            }
            Entry::Occupied(mut entry) => absorb_router(entry.get_mut(), router),
        }
    }
}

/// How messages call a VRF.
fn vrf_label(vrf: &Vrf) -> &str {
    match vrf {
        Vrf::Default => "",
        Vrf::Named(name) => name.as_str(),
    }
}

/// Every use of a VNI: of the layer 2 ones and the layer 3 one of each router.
fn vnis(model: &Model) -> impl Iterator<Item = (u32, (&Vrf, bool))> {
    model.routers.iter().flat_map(|(vrf, router)| {
        let evpn = router.evpn.iter();
        evpn.flat_map(move |evpn| {
            let l2 = evpn.l2_vnis.keys().map(move |vni| (*vni, (vrf, false)));
            let l3 = evpn.l3_vni.iter().map(move |(vni, _)| (*vni, (vrf, true)));
            l2.chain(l3)
        })
    })
}

/// The same use of a VNI in both models is merged; two different uses are one too many.
fn check_vnis(model: &Model, other: &Model) -> Result<(), Problem> {
    let known: BTreeMap<u32, (&Vrf, bool)> = vnis(model).collect();
    match vnis(other).find(|(vni, use_)| known.get(vni).is_some_and(|known| known != use_)) {
        Some((vni, _)) => Err(Fault::DuplicateVni(vni).into()),
        None => Ok(()),
    }
}

fn check_router(router: &Router, other: &Router) -> Result<(), Problem> {
    if router.asn != other.asn {
        return Err(Fault::DifferentAsns(router.asn, other.asn).into());
    }
    equal_if_set("id", router.id.as_ref(), other.id.as_ref())?;
    for (peer, neighbor) in &other.neighbors {
        if let Some(known) = router.neighbors.get(peer) {
            check_neighbor(known, neighbor).within(|| format!("neighbor {}@{peer}", neighbor.remote_as))?;
        }
    }
    if let (Some(evpn), Some(theirs)) = (&router.evpn, &other.evpn) {
        check_evpn(evpn, theirs)?;
    }
    let l3 = |router: &Router| router.evpn.as_ref().is_some_and(|evpn| evpn.l3_vni.is_some());
    if l3(router) && !other.neighbors.is_empty() || l3(other) && !router.neighbors.is_empty() {
        return Err(Fault::L3VniNeighbors.into());
    }
    Ok(())
}

fn absorb_router(router: &mut Router, other: Router) {
    router.id = router.id.or(other.id);
    router.prefixes.extend(other.prefixes);
    router.imports.extend(other.imports);
    for (peer, neighbor) in other.neighbors {
        match router.neighbors.entry(peer) {
            Entry::Vacant(entry) => {
                entry.insert(neighbor);
            }
            Entry::Occupied(mut entry) => absorb_neighbor(entry.get_mut(), neighbor),
        }
    }
    match (&mut router.evpn, other.evpn) {
        (Some(evpn), Some(theirs)) => absorb_evpn(evpn, theirs),
        (evpn @ None, theirs) => *evpn = theirs,
        (Some(_), None) => {}
    }
}

fn equal<T: PartialEq + Display>(field: &'static str, first: &T, second: &T) -> Result<(), Fault> {
    if first == second {
        return Ok(());
    }
    Err(Fault::Different {
        field,
        first: first.to_string(),
        second: second.to_string(),
    })
}

fn equal_if_set<T: PartialEq + Display>(
    field: &'static str,
    first: Option<T>,
    second: Option<T>,
) -> Result<(), Fault> {
    match (first, second) {
        (Some(first), Some(second)) => equal(field, &first, &second),
        _ => Ok(()),
    }
}

/// Unset differs from every value here.
fn equal_options<T: PartialEq + Display>(
    field: &'static str,
    first: Option<&T>,
    second: Option<&T>,
) -> Result<(), Fault> {
    let text = |value: Option<&T>| value.map_or_else(|| "unset".to_owned(), ToString::to_string);
    equal(field, &text(first), &text(second))
}

/// The value a timer is compared by where an object leaves it out.
const UNSET_CONNECT_TIME: u16 = 60;

fn check_neighbor(neighbor: &Neighbor, other: &Neighbor) -> Result<(), Fault> {
    equal("asn", &neighbor.remote_as, &other.remote_as)?;
    equal("port", &neighbor.port.unwrap_or(179), &other.port.unwrap_or(179))?;
    equal_options("sourceaddress", neighbor.source.as_ref(), other.source.as_ref())?;
    if neighbor.password != other.password {
        let hidden = "hidden".to_owned();
        return Err(Fault::Different {
            field: "password",
            first: hidden.clone(),
            second: hidden,
        });
    }
    if let (Some(profile), Some(theirs)) = (&neighbor.bfd_profile, &other.bfd_profile)
        && profile != theirs
    {
        return Err(Fault::DifferentBfd(profile.to_string(), theirs.to_string()));
    }
    equal("ebgpMultiHop", &neighbor.ebgp_multihop, &other.ebgp_multihop)?;
    let dual = |neighbor: &Neighbor| neighbor.families.unicast == crate::model::Unicast::Dual;
    equal("dualStackAddressFamily", &dual(neighbor), &dual(other))?;
    let (timers, theirs) = (
        neighbor.timers.unwrap_or_default(),
        other.timers.unwrap_or_default(),
    );
    equal("holdTime", &timers.hold, &theirs.hold)?;
    equal("keepaliveTime", &timers.keepalive, &theirs.keepalive)?;
    let connect_time = |neighbor: &Neighbor| neighbor.connect_time.unwrap_or(UNSET_CONNECT_TIME);
    equal("connectTime", &connect_time(neighbor), &connect_time(other))?;
    equal_options("localASN", neighbor.local_as.as_ref(), other.local_as.as_ref())?;
    check_advertise(&neighbor.advertise, &other.advertise)
}

fn check_advertise(advertise: &Advertise, other: &Advertise) -> Result<(), Fault> {
    equal_if_set(
        "toAdvertise.nextHop.ipv4",
        advertise.next_hop_ipv4,
        other.next_hop_ipv4,
    )?;
    equal_if_set(
        "toAdvertise.nextHop.ipv6",
        advertise.next_hop_ipv6,
        other.next_hop_ipv6,
    )?;
    for (prefix, attributes) in &other.routes {
        let known = advertise.routes.get(prefix).and_then(|known| known.local_pref);
        if let (Some(first), Some(second)) = (known, attributes.local_pref)
            && first != second
        {
            return Err(Fault::TwoLocalPrefs {
                prefix: *prefix,
                first,
                second,
            });
        }
    }
    Ok(())
}

fn absorb_neighbor(neighbor: &mut Neighbor, other: Neighbor) {
    neighbor.timers = neighbor.timers.or(other.timers);
    neighbor.connect_time = neighbor.connect_time.or(other.connect_time);
    neighbor.bfd_profile = neighbor.bfd_profile.take().or(other.bfd_profile);
    // Any object that asks for it gets it: asking cannot contradict not asking.
    neighbor.graceful_restart |= other.graceful_restart;
    neighbor.families.activate_unicast |= other.families.activate_unicast;
    neighbor.families.activate_evpn |= other.families.activate_evpn;
    let advertise = &mut neighbor.advertise;
    advertise.next_hop_ipv4 = advertise.next_hop_ipv4.or(other.advertise.next_hop_ipv4);
    advertise.next_hop_ipv6 = advertise.next_hop_ipv6.or(other.advertise.next_hop_ipv6);
    for (prefix, attributes) in other.advertise.routes {
        let known = advertise.routes.entry(prefix).or_default();
        known.local_pref = known.local_pref.or(attributes.local_pref);
        known.communities.extend(attributes.communities);
    }
    match (&mut neighbor.receive, other.receive) {
        (Receive::All, _) => {}
        (receive, Receive::All) => *receive = Receive::All,
        (Receive::Filtered(selectors), Receive::Filtered(theirs)) => selectors.extend(theirs),
    }
}

fn check_evpn(evpn: &Evpn, other: &Evpn) -> Result<(), Fault> {
    equal(
        "evpn.advertiseVNIs",
        &evpn.advertise_all_vnis,
        &other.advertise_all_vnis,
    )?;
    equal("evpn.advertiseSVI", &evpn.advertise_svi, &other.advertise_svi)?;
    for (vni, targets) in &other.l2_vnis {
        if let Some(known) = evpn.l2_vnis.get(vni) {
            check_targets(*vni, known, targets)?;
        }
    }
    match (&evpn.l3_vni, &other.l3_vni) {
        (Some((vni, targets)), Some((theirs, other))) if vni == theirs => check_targets(*vni, targets, other),
        (Some((vni, _)), Some((theirs, _))) => Err(Fault::TwoL3Vnis(*vni, *theirs)),
        _ => Ok(()),
    }
}

fn absorb_evpn(evpn: &mut Evpn, other: Evpn) {
    for (vni, targets) in other.l2_vnis {
        absorb_targets(evpn.l2_vnis.entry(vni).or_default(), targets);
    }
    match (&mut evpn.l3_vni, other.l3_vni) {
        (Some((_, targets)), Some((_, theirs))) => absorb_targets(targets, theirs),
        (l3 @ None, theirs) => *l3 = theirs,
        (Some(_), None) => {}
    }
}

fn check_targets(vni: u32, targets: &VniTargets, other: &VniTargets) -> Result<(), Fault> {
    equal_if_set("evpn.rd", targets.rd, other.rd)?;
    if targets.import.is_empty() != other.import.is_empty() {
        return Err(Fault::ImplicitTargets {
            vni,
            field: "importRTs",
        });
    }
    if targets.export.is_empty() != other.export.is_empty() {
        return Err(Fault::ImplicitTargets {
            vni,
            field: "exportRTs",
        });
    }
    Ok(())
}

fn absorb_targets(targets: &mut VniTargets, other: VniTargets) {
    targets.rd = targets.rd.or(other.rd);
    targets.import.extend(other.import);
    targets.export.extend(other.export);
}
